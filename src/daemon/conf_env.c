/* The world that a node's configuration is read in: the same for the supervisor, for control, for a
 * program that checks itself before an upgrade, and for `holdfast check`. Here conf/ and mesh/
 * meet, which do not know each other: whether a key file holds keys is the mesh's to say. */
#include "admin/admin.h"
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "mesh/seal.h"

/* The path is told by whoever asks, with its place in the configuration. */
static int check_key(void *self, const char *path, struct err *e)
{
    struct keyring keys;
    (void)self;
    int r = keyring_load(path, &keys, e);
    keyring_wipe(&keys);
    return r;
}

static const char *event_name(void *self, unsigned i)
{
    (void)self;
    return i < EVENT_CODES ? event_code_name((enum event_code)i) : NULL;
}

struct conf_env daemon_conf_env(const char *node)
{
    struct conf_env env = conf_env_real();
    env.node = node;
    env.check_key = check_key;
    env.event = event_name;
    return env;
}
