/* The cluster's keys: one-time tokens for machines that join, and rotation. What is decided is
 * mesh_token.h's and mesh_keys.h's; here are the files, the members and the events around them.
 *
 * STATE/tokens is the book of tokens, STATE/rotation the rotation that this node drives. The key
 * file is the configuration's: it keeps its mode and owner. */
#include "daemon/control.h"

#include "daemon/paths.h"
#include "mesh/mesh_join.h"

static void tell(struct control *c, enum event_code code, enum event_level level, const char *text)
{
    struct event *ev = control_event(c, code, level);
    event_text(ev, "%s", text);
    control_event_end(c, ev);
}

/* --- the key file --- */

static int key_path(const struct control *c, char path[PATHS_MAX], struct err *e)
{
    struct str file = c->view->cluster.key_file;
    return file.n && str_copy(path, PATHS_MAX, file) == file.n
               ? 0
               : err_set(e, ERR_ABSENT, "this cluster has no key file");
}

static int read_keys(void *context, struct keyring *out, struct err *e)
{
    struct buf text = {0};
    char path[PATHS_MAX];
    int r = key_path(context, path, e);
    if (r == 0 && !buf_reserve(&text, 4 * (size_t)KEYRING_TEXT_MAX))
        r = err_set(e, ERR_NOMEM, "no memory for the key file");
    if (r == 0)
        r = file_read(path, KEYRING_TEXT_MAX, &text, e);
    if (r == 0) {
        r = keyring_parse(buf_str(&text), out, e);
        if (r)
            err_wrap(e, "%s", path);
    }
    if (text.p)
        wipe(text.p, text.cap);
    buf_free(&text);
    return r;
}

static int write_keys(void *context, const struct keyring *keys, struct err *e)
{
    struct control *c = context;
    struct buf text = {0};
    char path[PATHS_MAX];
    int r = key_path(c, path, e);
    if (r == 0 && buf_reserve(&text, KEYRING_TEXT_MAX))
        keyring_print(keys, &text);
    if (r == 0)
        r = text.failed ? err_set(e, ERR_NOMEM, "no memory for the key file")
                        : file_update(path, buf_str(&text), e);
    if (text.p)
        wipe(text.p, text.cap);
    buf_free(&text);
    r = r ? r : mesh_set_view(c->meshing.mesh, c->view, e);
    if (r == 0) {
        coordinating_keys(c);
        rolling_keys(c);
        gate_tell_all_secrets(c);
    }
    return r;
}

static int adopt_keys(void *context, struct err *e)
{
    struct control *c = context;
    int r = mesh_set_view(c->meshing.mesh, c->view, e);
    if (r == 0) {
        coordinating_keys(c);
        rolling_keys(c);
        gate_tell_all_secrets(c);
    }
    return r;
}

/* --- rotation --- */

static uint32_t on_nodes(void *context, struct rotation_node *out, uint32_t max)
{
    const struct control *c = context;
    const struct view_cluster *v = &c->view->cluster;
    uint32_t n = MIN(v->n_nodes, max);
    const struct membership *m = mesh_borrow(c->meshing.mesh);
    for (uint32_t i = 0; i < n; i++) {
        struct member_info info = {.state = MEMBER_FAILED};
        bool known = member_find(m, node_id(v->name, v->nodes[i].name), &info);
        out[i] = (struct rotation_node){
            .name = v->nodes[i].name,
            .state = known ? member_state_name((enum member_state)info.state) : "not known",
            .alive = i == v->self || (known && info.state == MEMBER_ALIVE),
            .self = i == v->self};
    }
    mesh_return(c->meshing.mesh);
    return n;
}

static void on_send(void *context, struct str node, struct str bytes)
{
    const struct control *c = context;
    struct err e = {0};
    if (mesh_send(c->meshing.mesh, node, MESH_KEYS, bytes, &e))
        log_debug(c->log, "a message about keys is not sent: %s", e.text);
}

static void on_entropy(void *context, void *out, size_t n)
{
    (void)context;
    entropy(out, n);
}

static void on_tell(void *context, bool bad, const char *text)
{
    tell(context, EVENT_CLUSTER_KEY, bad ? EVENT_WARNING : EVENT_INFO, text);
}

void keying_message(struct control *c, struct str from, struct str bytes)
{
    if (c->meshing.rotation)
        rotation_hear(c->meshing.rotation, from, bytes, loop_now(c->loop));
}

void keying_link(struct control *c, struct str node)
{
    if (c->meshing.rotation)
        rotation_link(c->meshing.rotation, node, mesh_link_key(c->meshing.mesh, node));
}

void keying_beat(struct control *c)
{
    if (c->meshing.rotation)
        rotation_tick(c->meshing.rotation, loop_now(c->loop));
}

/* --- guests --- */

bool keying_guest_key(void *context, uint64_t token, uint8_t secret[SEAL_SECRET])
{
    const struct control *c = context;
    return c->meshing.tokens && tokens_link_key(c->meshing.tokens, token, secret);
}

void keying_guest(void *context, uint64_t token, const struct addr *from, struct str bytes,
                  struct buf *answer)
{
    struct control *c = context;
    struct join_host h = {c, read_keys};
    struct err why = {0};
    char node[TOKEN_NAME_MAX + 1], at[ADDR_TEXT_MAX];
    bool ok = join_answer(c->meshing.tokens, token, bytes, &c->view->cluster, &h, clock_wall(),
                          answer, node, &why);
    addr_format_ip(from, at);
    struct event *ev = control_event(c, EVENT_JOIN, ok ? EVENT_INFO : EVENT_WARNING);
    event_subject(ev, "%.120s", node);
    if (ok)
        event_text(ev, "%s has the cluster's keys, by the token %016llx", at,
                   (unsigned long long)token);
    else
        event_text(ev, "%s is refused: %.240s", at, why.text);
    control_event_end(c, ev);
}

/* --- for the admin API --- */

static int alone(struct err *e)
{
    return err_set(e, ERR_ABSENT, "this node is alone: its configuration has no cluster");
}

int keying_token(void *context, struct str node, uint64_t ttl, struct admin_ticket *out,
                 struct err *e)
{
    struct control *c = context;
    struct token t;
    uint64_t now = clock_wall();
    if (!c->meshing.mesh)
        return alone(e);
    if (!c->meshing.tokens)
        return err_set(e, ERR_IO, "the file of tokens could not be read: see the log");
    const struct view_cluster *v = &c->view->cluster;
    if (node.n && !view_node_find(c->view, node))
        return err_set(e, ERR_ABSENT,
                       "there is no node " STR_FMT ": write it into the configuration of every "
                       "node and reload, then make its token",
                       (int)MIN(node.n, 100u), node.p);
    int r =
        tokens_make(c->meshing.tokens, v->name, &v->nodes[v->self].address, node, ttl, now, &t, e);
    if (r)
        return r;
    *out =
        (struct admin_ticket){.id = t.id, .at = t.at, .cluster = v->name, .expires_at = now + ttl};
    token_print(&t, &out->text);
    token_wipe(&t);
    if (out->text.failed)
        return err_set(e, ERR_NOMEM, "no memory for a token");
    struct event *ev = control_event(c, EVENT_JOIN, EVENT_INFO);
    event_subject(ev, "%.*s", (int)MIN(node.n, 120u), node.p);
    event_text(ev, "the token %016llx lets a machine join within %llu s",
               (unsigned long long)out->id, (unsigned long long)(ttl / NS_PER_S));
    control_event_end(c, ev);
    return 0;
}

static void fill_rotation(struct control *c, struct admin_keys *out)
{
    static const char *const states[] = {"none", "running", "done", "failed"};
    struct rotation_status s = rotation_status(c->meshing.rotation);
    const struct view_cluster *v = &c->view->cluster;
    out->number = s.state == ROTATION_NONE ? 0 : s.number;
    out->state = states[s.state];
    out->step = rotation_step_name((enum rotation_step)s.step);
    out->force = s.force;
    out->key = s.key;
    str_copy(out->text, sizeof out->text, str_of(s.text));
    for (uint32_t i = 0; i < MIN(s.n, v->n_nodes); i++) {
        out->nodes[i].name = v->nodes[i].name;
        out->nodes[i].done = s.done[i];
    }
    out->n_nodes = MIN(s.n, v->n_nodes);
}

int keying_keys(void *context, struct admin_keys *out, struct err *e)
{
    struct control *c = context;
    struct keyring k = {0};
    if (!c->meshing.rotation)
        return alone(e);
    int r = read_keys(c, &k, e);
    if (r)
        return r;
    out->file = c->view->cluster.key_file;
    out->n = MIN(k.n, (uint32_t)ARRAY_LEN(out->keys));
    for (uint32_t i = 0; i < out->n; i++) {
        out->keys[i].id = k.keys[i].id;
        out->keys[i].use = k.keys[i].use;
    }
    keyring_wipe(&k);
    fill_rotation(c, out);
    return 0;
}

int keying_rotate(void *context, bool force, struct err *e)
{
    struct control *c = context;
    if (!c->meshing.rotation)
        return alone(e);
    int r = rotation_start(c->meshing.rotation, force, loop_now(c->loop), e);
    if (r == -ERR_EXISTS)
        r = e->code = -ERR_DENIED;
    return r;
}

/* --- start and end --- */

static bool on_moved(void *context)
{
    return coordinating_keys_known(context);
}

void keying_begin(struct control *c)
{
    struct rotation_host h = {c,          on_nodes,   on_send, read_keys, write_keys,
                              adopt_keys, on_entropy, on_tell, on_moved};
    struct err e = {0};
    char path[PATHS_MAX];
    int r = paths_join(path, c->o.state_dir, "tokens", &e);
    if (r == 0 && tokens_open(&c->meshing.tokens, path, &e))
        tell(c, EVENT_STATE_DAMAGED, EVENT_ERROR, e.text);
    r = paths_join(path, c->o.state_dir, "rotation", &e);
    if (r == 0)
        r = rotation_open(&c->meshing.rotation, path, &h, &e);
    if (r)
        tell(c, EVENT_CLUSTER_KEY, EVENT_ERROR, e.text);
}

void keying_end(struct control *c)
{
    tokens_free(c->meshing.tokens);
    rotation_free(c->meshing.rotation);
    c->meshing.tokens = NULL;
    c->meshing.rotation = NULL;
}
