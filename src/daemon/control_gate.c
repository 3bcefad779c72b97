/* What control tells the proxies of services of kind primary, beside the cells: that the cells have
 * changed, so that nobody who waits at a gate waits for the next look, and the password with which
 * a gate speaks to the instance at its node (docs/gate.md).
 *
 * The password is derived from the cluster's key, which only control has, and goes over control's
 * own line to each proxy. A new proxy, a new view and a new key have all of them told anew. */
#include "daemon/control.h"
#include "mesh/seal.h"
#include "os/aead.h"

enum { PASSWORD_BYTES = 32 };

void gate_tell_roles(struct control *c)
{
    for (uint32_t i = 0; i < CELLS_BANKS; i++)
        if (ipc_is_open(&c->proxies[i].ipc))
            ipc_send(&c->proxies[i].ipc, IPC_ROLES, STR(""), NULL, 0, NULL);
}

static bool derive(const struct seal_key *key, struct str service, bool gate,
                   char out[INSTANCE_PASSWORD])
{
    uint8_t bytes[PASSWORD_BYTES];
    struct buf info = {0};
    buf_printf(&info, "holdfast instance " STR_FMT "%s", STR_ARG(service), gate ? " gate" : "");
    bool ok = !info.failed && hkdf_sha256((struct str){(const char *)key->secret, SEAL_SECRET},
                                          STR(""), buf_str(&info), bytes, sizeof bytes);
    for (size_t i = 0; ok && i < sizeof bytes; i++) {
        static const char digits[] = "0123456789abcdef";
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[ok ? 2 * PASSWORD_BYTES : 0] = 0;
    wipe(bytes, sizeof bytes);
    buf_free(&info);
    return ok;
}

int instance_password(const struct control *c, struct str service, bool gate,
                      char out[INSTANCE_PASSWORD], struct err *e)
{
    char file[PATHS_MAX];
    struct keyring ring = {0};
    out[0] = 0;
    if (c->view->cluster.key_file.n == 0)
        return err_set(e, ERR_ABSENT, "this node is in no cluster that has a key");
    str_copy(file, sizeof file, c->view->cluster.key_file);
    int r = keyring_load(file, &ring, e);
    const struct seal_key *key = r ? NULL : keyring_in_use(&ring);
    if (r == 0 && !key)
        r = err_set(e, ERR_ABSENT, "the cluster's key file has no key in use");
    if (r == 0 && !derive(key, service, gate, out))
        r = err_set(e, ERR_IO, "a password cannot be derived");
    keyring_wipe(&ring);
    return r;
}

static void tell_secret(struct control *c, const struct view_service *s, struct ipc *to)
{
    char password[INSTANCE_PASSWORD];
    struct err e;
    struct buf b = {0};
    if (instance_password(c, s->name, true, password, &e)) {
        log_error(c->log, "the gate of " STR_FMT " has no password: %s", STR_ARG(s->name), e.text);
        return;
    }
    put_str(&b, s->name);
    put_str(&b, str_of(password));
    if (b.failed || ipc_send(to, IPC_SECRET, buf_str(&b), NULL, 0, &e))
        log_error(c->log, "the gate of " STR_FMT " is not told its password", STR_ARG(s->name));
    if (b.p)
        wipe(b.p, b.cap);
    wipe(password, sizeof password);
    buf_free(&b);
}

void gate_tell_secrets(struct control *c, uint32_t bank)
{
    for (uint32_t i = 0; c->view && i < c->view->n_services; i++) {
        const struct view_service *s = &c->view->services[i];
        if (s->primary.agent == AGENT_REDIS && ipc_is_open(&c->proxies[bank].ipc))
            tell_secret(c, s, &c->proxies[bank].ipc);
    }
}

void gate_tell_all_secrets(struct control *c)
{
    for (uint32_t i = 0; i < CELLS_BANKS; i++)
        gate_tell_secrets(c, i);
}
