/* The world that a node's configuration is read in: the same for the supervisor, for control, for a
 * program that checks itself before an upgrade, and for `holdfast check`. Here conf/ and mesh/
 * meet, which do not know each other: whether a key file holds keys is the mesh's to say. */
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "mesh/seal.h"
#include "os/aead.h"
#include "os/os.h"

enum { KEY_FILE_MAX = 16 * 1024 };

static int check_key(void *self, const char *path, struct err *e)
{
    struct buf text = {0};
    struct keyring keys = {0};
    struct err why = {0};
    if (!buf_reserve(&text, 4 * (size_t)KEY_FILE_MAX)) /* no copy of it stays anywhere else */
        return err_set(e, ERR_NOMEM, "no memory for the cluster's key file");
    int r = file_read(path, KEY_FILE_MAX, &text, e);
    if (r == 0) {
        r = keyring_parse(buf_str(&text), &keys, &why);
        if (r)
            err_set(e, (enum err_code) - r, "the cluster's key file: %s", why.text);
    }
    keyring_wipe(&keys);
    wipe(text.p, text.cap);
    buf_free(&text);
    return r;
}

struct conf_env daemon_conf_env(const char *node)
{
    struct conf_env env = conf_env_real();
    env.node = node;
    env.check_key = check_key;
    return env;
}
