/* mesh.h: what control sees. pulse.c has the heartbeats' thread, links.c the streams, contacts.c
 * knows who is who. */
#include "mesh/mesh.h"

#include <stdarg.h>
#include <stdio.h>

#include "mesh/mesh_inside.h"
#include "os/aead.h"

#define INCARNATION "incarnation"

void mesh_complain(struct mesh *m, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    m->host.complain(m->host.context, text);
}

/* --- numbers that outlive the process --- */

int mesh_keep(const struct mesh *m, const char *name, uint64_t number, struct err *e)
{
    char path[sizeof m->state_dir + 32], text[32];
    snprintf(path, sizeof path, "%s/%s", m->state_dir, name);
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)number);
    return file_replace(path, (struct str){text, (size_t)n}, 0600, e);
}

uint64_t mesh_kept(struct mesh *m, const char *name)
{
    char path[sizeof m->state_dir + 32];
    struct buf text = {0};
    struct err e = {0};
    uint64_t last = 0;
    snprintf(path, sizeof path, "%s/%s", m->state_dir, name);
    int r = file_read(path, 64, &text, &e);
    struct str digits = buf_str(&text);
    if (digits.n && digits.p[digits.n - 1] == '\n')
        digits.n--;
    if (r == 0 && !str_u64(digits, UINT64_MAX / 2, &last))
        r = err_set(&e, ERR_PROTO, "%s does not hold a number", path);
    if (r && r != -ERR_ABSENT)
        mesh_complain(m, "this node's %s of before is lost: %s", name, e.text);
    buf_free(&text);
    return last;
}

/* --- what the heartbeats tell --- */

static void on_change(struct mesh *m, const struct member_change *c)
{
    if (c->info.state >= MEMBER_FAILED)
        links_close(m->links, c->info.id);
    else if (c->info.state == MEMBER_ALIVE && !c->info.self)
        links_retry(m->links, c->info.id);
    m->host.changed(m->host.context, c, mesh_name(m, c->info.id));
}

static void on_news(void *context, const struct pulse_news *n)
{
    struct mesh *m = context;
    switch (n->kind) {
    case NEWS_CHANGE: on_change(m, &n->change); return;
    case NEWS_INCARNATION:
        m->incarnation = n->incarnation;
        loop_timer_set(m->loop, &m->save, loop_now(m->loop));
        return;
    case NEWS_COMPLAINT: m->host.complain(m->host.context, n->text); return;
    }
}

/* --- what the links ask --- */

static struct str link_name(void *context, uint64_t id)
{
    return mesh_name(context, id);
}

static void link_message(void *context, uint64_t from, uint16_t kind, struct str bytes)
{
    struct mesh *m = context;
    if (kind > 0 && kind < MESH_KINDS)
        m->host.message(m->host.context, mesh_name(m, from), (enum mesh_kind)kind, bytes);
}

static void link_changed(void *context, uint64_t id, bool up)
{
    struct mesh *m = context;
    m->host.link(m->host.context, mesh_name(m, id), up);
}

static void link_complain(void *context, const char *text)
{
    struct mesh *m = context;
    m->host.complain(m->host.context, text);
}

static bool link_guest_key(void *context, uint64_t token, uint8_t secret[SEAL_SECRET])
{
    struct mesh *m = context;
    return m->host.guest_key && m->host.guest_key(m->host.context, token, secret);
}

static void link_guest(void *context, uint64_t token, const struct addr *from, struct str bytes,
                       struct buf *answer)
{
    struct mesh *m = context;
    m->host.guest(m->host.context, token, from, bytes, answer);
}

/* --- the view --- */

static struct member_params params_of(const struct view_cluster *c)
{
    struct member_params p = member_defaults();
    p.heartbeat = c->heartbeat;
    p.suspect_after = c->suspect_after;
    return p;
}

/* Zones are told apart by number here: the first node of a zone gives it. */
static uint32_t zone_of(const struct view_cluster *c, uint32_t index)
{
    struct str zone = c->nodes[index].zone;
    for (uint32_t i = 0; zone.n && i < c->n_nodes; i++)
        if (str_eq(c->nodes[i].zone, zone))
            return i + 1;
    return 0;
}

static struct member_node node_of(const struct view_cluster *c, uint32_t i)
{
    return (struct member_node){.id = node_id(c->name, c->nodes[i].name),
                                .zone = zone_of(c, i),
                                .witness = c->nodes[i].role == NODE_WITNESS};
}

static int read_keys(const struct view_cluster *c, struct keyring *keys, struct err *e)
{
    char path[4096];
    if (!str_copy(path, sizeof path, c->key_file))
        return err_set(e, ERR_LIMIT, "the key file's path is too long");
    return keyring_load(path, keys, e) ? err_wrap(e, "the cluster's key file") : 0;
}

struct taking {
    struct mesh *m;
    struct engine *engine;
};

static void forget(void *context, const struct contact *p)
{
    struct taking *t = context;
    uint64_t now = clock_now();
    links_drop_peer(t->m->links, p->id);
    member_remove(engine_members(t->engine), p->id, now);
    engine_forget(t->engine, p->id, now);
}

static int take_node(struct taking *t, const struct view_cluster *c, uint32_t i, struct err *e)
{
    struct mesh *m = t->m;
    const struct view_node *v = &c->nodes[i];
    struct member_node n = node_of(c, i);
    int r = contacts_put(&m->contacts, n.id, v->name, &v->address, e);
    if (r == 0 && i != c->self)
        r = member_add(engine_members(t->engine), &n, clock_now(), e);
    if (r == 0 && i != c->self)
        r = links_set_peer(m->links, n.id, &v->address, e);
    return r;
}

/* The nodes of the view, and no others. */
static int take_nodes(struct mesh *m, struct engine *engine, const struct view_cluster *c,
                      struct err *e)
{
    struct taking t = {m, engine};
    int r = 0;
    contacts_begin(&m->contacts);
    for (uint32_t i = 0; r == 0 && i < c->n_nodes; i++)
        r = take_node(&t, c, i, e);
    if (r == 0)
        contacts_end(&m->contacts, forget, &t);
    return r;
}

int mesh_set_view(struct mesh *m, const struct view *v, struct err *e)
{
    struct keyring keys = {0};
    struct member_params params = params_of(&v->cluster);
    int r = read_keys(&v->cluster, &keys, e);
    if (r == 0) {
        mesh_lease_terms(m, &v->cluster);
        struct engine *engine = pulse_lock(m->pulse);
        seal_set_keys(engine_seal(engine), &keys);
        member_set_params(engine_members(engine), &params);
        links_set_keys(m->links, &keys);
        r = take_nodes(m, engine, &v->cluster, e);
        pulse_unlock(m->pulse);
        pulse_stir(m->pulse);
    }
    keyring_wipe(&keys);
    return r;
}

/* --- start and end --- */

/* On the first turn of the loop: heartbeats and leases do not wait for the disk. */
static void on_save(struct timer *t)
{
    struct mesh *m = CONTAINER_OF(t, struct mesh, save);
    struct err e = {0};
    if (mesh_keep(m, INCARNATION, m->incarnation, &e) == 0)
        return;
    if (!m->save_failed)
        mesh_complain(m, "this node's incarnation cannot be kept: %s", e.text);
    m->save_failed = true;
    loop_timer_set(m->loop, &m->save, loop_now(m->loop) + MESH_KEEP_AGAIN);
}

static int open_parts(struct mesh *m, const struct view_cluster *c, struct err *e)
{
    struct links_host links = {
        m, link_name, link_message, link_changed, link_complain, link_guest_key, link_guest};
    struct pulse_options o = {
        .loop = m->loop, .context = m, .news = on_news, .lease = mesh_lease_news};
    o.engine = (struct engine_options){.cluster = c->name,
                                       .self = node_of(c, c->self),
                                       .params = params_of(c),
                                       .incarnation = mesh_kept(m, INCARNATION) + 1};
    mesh_lease_begin(m, c, &o.lease_params, &o.lease_quiet);
    entropy(&o.engine.seed, sizeof o.engine.seed);
    int r = read_keys(c, &o.engine.keys, e);
    if (r == 0)
        r = links_new(&m->links, m->loop, c->name, o.engine.self.id, &o.engine.keys, &links, e);
    if (r == 0)
        r = pulse_new(&m->pulse, &o, &m->contacts, e);
    m->incarnation = o.engine.incarnation;
    loop_timer_set(m->loop, &m->save, loop_now(m->loop));
    keyring_wipe(&o.engine.keys);
    return r;
}

int mesh_new(struct mesh **out, struct loop *l, const struct view *v, struct str state_dir,
             const struct mesh_host *h, struct err *e)
{
    CHECK(v->cluster.key_file.n);
    struct mesh *m = mem_zero(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for the mesh");
    m->loop = l;
    timer_init(&m->save, on_save);
    m->host = *h;
    int r = str_copy(m->state_dir, sizeof m->state_dir, state_dir)
                ? 0
                : err_set(e, ERR_LIMIT, "the state directory's path is too long");
    if (r == 0 && !str_copy(m->cluster, sizeof m->cluster, v->cluster.name))
        r = err_set(e, ERR_LIMIT, "the cluster's name is too long");
    if (r == 0)
        r = open_parts(m, &v->cluster, e);
    if (r == 0) {
        r = take_nodes(m, pulse_lock(m->pulse), &v->cluster, e);
        pulse_unlock(m->pulse);
    }
    if (r) {
        mesh_free(m);
        return r;
    }
    pulse_stir(m->pulse);
    *out = m;
    return 0;
}

void mesh_free(struct mesh *m)
{
    if (!m)
        return;
    loop_timer_stop(m->loop, &m->save);
    pulse_free(m->pulse);
    links_free(m->links);
    contacts_free(&m->contacts);
    mem_free(m);
}

void mesh_set_sockets(struct mesh *m, int datagram_fd, int listen_fd)
{
    struct err e = {0};
    if (datagram_fd >= 0)
        pulse_socket(m->pulse, datagram_fd);
    if (listen_fd >= 0 && links_set_listener(m->links, listen_fd, &e))
        mesh_complain(m, "no other node can connect: %s", e.text);
}

/* --- for control --- */

void mesh_beat(struct mesh *m)
{
    pulse_beat(m->pulse);
    mesh_lease_beat(m);
}

struct membership *mesh_borrow(const struct mesh *m)
{
    return engine_members(pulse_lock(m->pulse));
}

void mesh_return(const struct mesh *m)
{
    pulse_unlock(m->pulse);
}

struct str mesh_name(const struct mesh *m, uint64_t id)
{
    const struct contact *p = contacts_find(&m->contacts, id);
    return p ? p->name : STR("");
}

int mesh_send(struct mesh *m, struct str node, enum mesh_kind kind, struct str bytes, struct err *e)
{
    if (node.n) {
        const struct contact *p = contacts_named(&m->contacts, node);
        return p ? links_send(m->links, p->id, (uint16_t)kind, bytes, e)
                 : err_set(e, ERR_ABSENT, "there is no node %.*s", (int)node.n, node.p);
    }
    uint32_t took = links_broadcast(m->links, (uint16_t)kind, bytes);
    return took == links_counts(m->links).up
               ? 0
               : err_set(e, ERR_BUSY, "only %u of the other nodes took the message", took);
}

uint32_t mesh_link_key(const struct mesh *m, struct str node)
{
    const struct contact *p = contacts_named(&m->contacts, node);
    return p ? links_key(m->links, p->id) : 0;
}

void mesh_leave(struct mesh *m)
{
    member_leave(mesh_borrow(m), clock_now());
    mesh_return(m);
    pulse_stir(m->pulse);
}

bool mesh_left(const struct mesh *m)
{
    bool left = member_left(mesh_borrow(m));
    mesh_return(m);
    return left;
}

void mesh_maintenance(struct mesh *m, bool on)
{
    member_set_maintenance(mesh_borrow(m), on, clock_now());
    mesh_return(m);
    pulse_stir(m->pulse);
}

struct mesh_counts mesh_counts(const struct mesh *m)
{
    struct pulse_counts p = pulse_counts(m->pulse);
    struct mesh_counts c = {.sent = p.sent,
                            .received = p.received,
                            .sent_bytes = p.sent_bytes,
                            .received_bytes = p.received_bytes,
                            .refused_payload = p.refused_payload,
                            .logged = p.told,
                            .links = links_counts(m->links).up,
                            .priority = p.priority};
    memcpy(c.refused, p.refused, sizeof c.refused);
    return c;
}
