/* Certificates in a directory. The key is written before its certificate: when that is cut in
 * between they do not fit, and the next cert_write makes both anew. */
#include <stdio.h>

#include "os/aead.h"
#include "os/cert.h"
#include "os/file.h"

enum { PATH = 4096, MODE_DIRECTORY = 0700, MODE_FILE = 0600 };

static int path_of(char out[PATH], const char *dir, const char *name, struct err *e)
{
    int n = snprintf(out, PATH, "%s/%s", dir, name);
    return n > 0 && n < PATH ? 0 : err_set(e, ERR_INVAL, "the path %s is too long", dir);
}

/* What cannot be read is as good as absent: it is replaced. */
static void read_or_nothing(const char *path, struct buf *out)
{
    if (!buf_reserve(out, CERT_PEM_MAX + 16 * 1024) || file_read(path, CERT_PEM_MAX, out, NULL))
        buf_clear(out);
}

static int write_authorities(const char *dir, const uint8_t (*secrets)[CERT_SECRET], uint32_t n,
                             bool *changed, struct err *e)
{
    char path[PATH];
    struct buf wanted = {0}, is = {0};
    int r = path_of(path, dir, "ca.pem", e);
    for (uint32_t i = 0; r == 0 && i < n; i++)
        r = cert_authority(secrets[i], &wanted, e);
    if (r == 0) {
        read_or_nothing(path, &is);
        *changed = !str_eq(buf_str(&is), buf_str(&wanted));
        if (*changed)
            r = file_replace(path, buf_str(&wanted), MODE_FILE, e);
    }
    buf_free(&wanted);
    buf_free(&is);
    return r;
}

static int replace_pair(const char *cert_path, const char *key_path, struct str cert,
                        struct str key, struct err *e)
{
    int r = file_replace(key_path, key, MODE_FILE, e);
    return r ? r : file_replace(cert_path, cert, MODE_FILE, e);
}

static void wipe_buf(struct buf *b)
{
    if (b->p)
        wipe(b->p, b->cap);
    buf_free(b);
}

static int write_node(const char *dir, const uint8_t secret[CERT_SECRET],
                      const struct cert_node *node, bool *changed, struct err *e)
{
    char cert_path[PATH], key_path[PATH];
    struct buf cert = {0}, key = {0};
    int r = path_of(cert_path, dir, "node.pem", e);
    if (r == 0)
        r = path_of(key_path, dir, "node.key", e);
    if (r)
        return r;
    read_or_nothing(cert_path, &cert);
    read_or_nothing(key_path, &key);
    *changed = !cert_fits(secret, node, buf_str(&cert), buf_str(&key));
    if (*changed) {
        buf_clear(&cert);
        buf_clear(&key);
        r = cert_issue(secret, node, &cert, &key, e);
        if (r == 0)
            r = replace_pair(cert_path, key_path, buf_str(&cert), buf_str(&key), e);
    }
    buf_free(&cert);
    wipe_buf(&key);
    return r;
}

int cert_write(const char *dir, const uint8_t (*secrets)[CERT_SECRET], uint32_t n, uint32_t use,
               const struct cert_node *node, struct cert_changes *c, struct err *e)
{
    struct cert_changes changes = {0};
    CHECK(n >= 1 && n <= CERT_SECRETS && use < n);
    int r = dir_make(dir, MODE_DIRECTORY, e);
    if (r == 0)
        r = write_authorities(dir, secrets, n, &changes.authorities, e);
    if (r == 0)
        r = write_node(dir, secrets[use], node, &changes.node, e);
    if (c)
        *c = changes;
    return r ? err_wrap(e, "cannot write certificates") : 0;
}
