/* What membership and leases say to a node goes through the seal; what comes through the seal goes
 * to membership, under the name of who sealed it. The first message to a node finds no session: a
 * HELLO goes in its place, and the message waits for the answer, since above 32 nodes a probe that
 * is lost at every first contact would look like a failure. Few wait, and not for long: WAITING
 * messages, the newest of each node and kind, a second at most. */
#include "mesh/engine.h"

#include "mesh/hello.h"
#include "os/os.h"
#include "wire/lease.h"

#define WAITS UINT64_C(1000000000) /* ns */
enum { WAITING = 32, PLAIN_HEADER = FRAME_HEADER + 8 };

_Static_assert(MEMBER_DATAGRAM_MAX + SEAL_OVERHEAD <= SEAL_DATAGRAM_MAX, "one datagram");
_Static_assert((int)LEASE_DATAGRAM_MAX <= (int)MEMBER_DATAGRAM_MAX, "it may wait too");

struct waiting {
    uint64_t to, since;
    uint8_t *p; /* owned; NULL: free */
    size_t n;
};

struct engine {
    struct engine_host host;
    struct membership *members;
    struct seal *seal; /* NULL: plain */
    uint64_t self;
    uint8_t tag[FRAME_TAG];
    uint64_t now; /* of the last call that told */
    struct waiting waiting[WAITING];
};

/* ---- messages that wait for a session ---- */

static void drop(struct waiting *w)
{
    mem_free(w->p);
    *w = (struct waiting){0};
}

/* The place for a message to this node: where one to it waits already, a free one, or that of the
 * one that has waited longest. */
static struct waiting *place_for(struct engine *g, uint64_t to, bool lease)
{
    struct waiting *best = &g->waiting[0];
    for (uint32_t i = 0; i < WAITING; i++) {
        struct waiting *w = &g->waiting[i];
        if (w->p && w->to == to && lease_is(w->p, w->n) == lease)
            return w;
        if (best->p && (!w->p || w->since < best->since))
            best = w;
    }
    return best;
}

static void keep(struct engine *g, uint64_t to, const void *p, size_t n)
{
    struct waiting *w = place_for(g, to, lease_is(p, n));
    uint8_t *copy = w->p ? w->p : mem_alloc(MEMBER_DATAGRAM_MAX);
    if (!copy)
        return; /* lost messages are normal */
    memcpy(copy, p, n);
    *w = (struct waiting){.to = to, .since = g->now, .p = copy, .n = n};
}

static void deliver(struct engine *g, uint64_t to, const void *p, size_t n);

static void release(struct engine *g, uint64_t to, bool send)
{
    for (uint32_t i = 0; i < WAITING; i++) {
        struct waiting w = g->waiting[i];
        if (!w.p || w.to != to)
            continue;
        g->waiting[i] = (struct waiting){0};
        if (send && g->now - w.since <= WAITS)
            deliver(g, to, w.p, w.n);
        drop(&w);
    }
}

/* ---- out ---- */

static void deliver_plain(struct engine *g, uint64_t to, const void *p, size_t n)
{
    uint8_t out[SEAL_DATAGRAM_MAX];
    frame_header(out, FRAME_PLAIN, g->tag);
    le64_put(out + FRAME_HEADER, g->self);
    memcpy(out + PLAIN_HEADER, p, n);
    g->host.send(g->host.context, to, out, PLAIN_HEADER + n);
}

static void deliver(struct engine *g, uint64_t to, const void *p, size_t n)
{
    uint8_t out[SEAL_DATAGRAM_MAX];
    bool sealed;
    size_t wrote = seal_write(g->seal, to, p, n, g->now, out, &sealed);
    if (wrote)
        g->host.send(g->host.context, to, out, wrote);
    if (!sealed) {
        keep(g, to, p, n);
        return;
    }
    wrote = seal_renew(g->seal, to, g->now, out);
    if (wrote)
        g->host.send(g->host.context, to, out, wrote);
}

static void on_send(void *context, uint64_t to, const void *p, size_t n)
{
    struct engine *g = context;
    CHECK(n <= MEMBER_DATAGRAM_MAX);
    if (g->seal)
        deliver(g, to, p, n);
    else
        deliver_plain(g, to, p, n);
}

static void on_changed(void *context, const struct member_change *c)
{
    struct engine *g = context;
    g->host.changed(g->host.context, c);
}

static void on_incarnation(void *context, uint64_t incarnation)
{
    struct engine *g = context;
    g->host.incarnation(g->host.context, incarnation);
}

static void on_entropy(void *context, void *out, size_t n)
{
    struct engine *g = context;
    g->host.entropy(g->host.context, out, n);
}

static bool on_member(void *context, uint64_t id)
{
    struct engine *g = context;
    struct member_info info;
    return g->members && member_find(g->members, id, &info);
}

/* ---- its life ---- */

static int make_parts(struct engine *g, const struct engine_options *o, uint64_t now, struct err *e)
{
    const struct seal_host sh = {.context = g, .entropy = on_entropy, .member = on_member};
    const struct member_host mh = {
        .context = g, .send = on_send, .changed = on_changed, .incarnation = on_incarnation};
    int rc = 0;
    if (!o->plain)
        rc = seal_new(&g->seal, o->cluster, o->self.id, &o->keys, &sh, e);
    else if (!frame_tag(o->cluster, g->tag))
        rc = err_set(e, ERR_NOMEM, "no memory for the mesh");
    return rc ? rc
              : member_new(&g->members, &o->params, &mh, &o->self, o->incarnation, o->seed, now, e);
}

int engine_new(struct engine **out, const struct engine_options *o, const struct engine_host *h,
               uint64_t now, struct err *e)
{
    *out = NULL;
    struct engine *g = mem_zero(1, sizeof *g);
    if (!g)
        return err_set(e, ERR_NOMEM, "no memory for the mesh");
    g->host = *h;
    g->self = o->self.id;
    g->now = now;
    int rc = make_parts(g, o, now, e);
    if (rc)
        engine_free(g);
    else
        *out = g;
    return rc;
}

void engine_free(struct engine *g)
{
    if (!g)
        return;
    member_free(g->members);
    seal_free(g->seal);
    for (uint32_t i = 0; i < WAITING; i++)
        drop(&g->waiting[i]);
    mem_free(g);
}

/* ---- in ---- */

static void refuse(struct engine *g, enum seal_result why, bool payload)
{
    g->host.refused(g->host.context, why, payload);
}

static void hand_over(struct engine *g, uint64_t from, const uint8_t *p, size_t n)
{
    uint64_t before = member_refused(g->members);
    bool lease = g->host.lease && lease_is(p, n), sound = true;
    if (!lease)
        member_receive(g->members, from, p, n, g->now);
    else if (on_member(g, from))
        sound = g->host.lease(g->host.context, from, p, n);
    if (!sound || member_refused(g->members) != before)
        refuse(g, SEAL_OK, true);
}

static void receive_plain(struct engine *g, const uint8_t *p, size_t n)
{
    enum frame_kind kind;
    enum seal_result r = frame_read(p, n, g->tag, &kind);
    if (r == SEAL_OK && kind != FRAME_PLAIN)
        r = SEAL_VERSION;
    if (r == SEAL_OK && n < PLAIN_HEADER)
        r = SEAL_SHORT;
    if (r == SEAL_OK)
        hand_over(g, le64_get(p + FRAME_HEADER), p + PLAIN_HEADER, n - PLAIN_HEADER);
    else
        refuse(g, r, false);
}

static void receive_sealed(struct engine *g, uint8_t *p, size_t n)
{
    struct seal_opened o;
    enum seal_result r = seal_read(g->seal, p, n, g->now, &o);
    if (o.reply_n)
        g->host.send(g->host.context, o.from, o.reply, o.reply_n);
    if (o.up)
        release(g, o.from, true);
    if (r == SEAL_OK)
        hand_over(g, o.from, o.p, o.n);
    else if (r >= SEAL_SHORT)
        refuse(g, r, false);
}

void engine_receive(struct engine *g, uint8_t *datagram, size_t n, uint64_t now)
{
    g->now = now;
    if (g->seal)
        receive_sealed(g, datagram, n);
    else
        receive_plain(g, datagram, n);
}

/* ---- time, and the rest ---- */

void engine_send_lease(struct engine *g, uint64_t to, const void *payload, size_t n, uint64_t now)
{
    g->now = now;
    on_send(g, to, payload, n);
}

void engine_tick(struct engine *g, uint64_t now)
{
    g->now = now;
    member_tick(g->members, now);
}

uint64_t engine_deadline(const struct engine *g)
{
    return member_deadline(g->members);
}

struct membership *engine_members(struct engine *g)
{
    return g->members;
}

struct seal *engine_seal(struct engine *g)
{
    return g->seal;
}

void engine_forget(struct engine *g, uint64_t id, uint64_t now)
{
    g->now = now;
    release(g, id, false);
    if (g->seal)
        seal_forget(g->seal, id);
}
