/* Leases for control. Its terms are the view's. P, the length of a voter's promise, is also kept in
 * STATE/promise: a node that starts with shorter terms than it had is quiet for as long as it may
 * have promised before. A longer P is kept before it is promised, a shorter one once no promise of
 * the longer one can be out. */
#include "mesh/mesh_inside.h"

#define PROMISE "promise"
#define LONGEST (3 * 3600 * NS_PER_S) /* beyond what any terms lead to */
enum { CLOCK_ERROR = 5000 /* rho, millionths: clocks that are worse by far are broken */ };

/* --- terms --- */

static struct lease_params params_of(const struct view_cluster *c)
{
    return (struct lease_params){.lease = c->lease,
                                 .demote = c->demotion,
                                 .beat = MIN(c->heartbeat, c->lease / 4),
                                 .rho = CLOCK_ERROR};
}

/* A disk that takes nothing is told of once, and tried until it does: until then a node that starts
 * anew would be quiet for too short a time. */
static void keep_promise(struct mesh *m)
{
    struct err e = {0};
    uint64_t now = clock_now();
    bool over = now - m->terms_at > m->kept;
    if (m->promise == m->kept || (m->promise < m->kept && !over) || now < m->keep_at)
        return;
    if (mesh_keep(m, PROMISE, m->promise, &e)) {
        if (!m->keep_at)
            mesh_complain(m, "how long this node promises leases cannot be kept: %s", e.text);
        m->keep_at = now + MESH_KEEP_AGAIN;
        return;
    }
    m->keep_at = 0;
    m->kept = m->promise;
}

void mesh_lease_begin(struct mesh *m, const struct view_cluster *c, struct lease_params *terms,
                      uint64_t *quiet)
{
    *terms = params_of(c);
    m->terms_at = clock_now();
    m->kept = MIN(mesh_kept(m, PROMISE), LONGEST);
    m->promise = lease_promise(terms);
    *quiet = m->terms_at + MAX(m->kept, m->promise);
    keep_promise(m);
}

static struct leases *borrow_leases(const struct mesh *m, uint64_t *now)
{
    pulse_lock(m->pulse);
    return pulse_leases(m->pulse, now);
}

static void return_leases(const struct mesh *m)
{
    pulse_unlock(m->pulse);
    pulse_stir(m->pulse);
}

void mesh_lease_terms(struct mesh *m, const struct view_cluster *c)
{
    struct lease_params terms = params_of(c);
    uint64_t promise = lease_promise(&terms), now;
    if (promise != m->promise)
        m->terms_at = clock_now();
    m->promise = promise;
    keep_promise(m);
    leases_params(borrow_leases(m, &now), &terms, now);
    return_leases(m);
}

void mesh_lease_beat(struct mesh *m)
{
    keep_promise(m);
}

void mesh_lease_news(void *context, uint64_t role, unsigned effects)
{
    struct mesh *m = context;
    if (m->host.lease)
        m->host.lease(m->host.context, role, effects);
}

/* --- for control --- */

/* The slowest clock may count it, and this one be the fastest. */
uint64_t mesh_lease_longest(const struct mesh *m)
{
    struct lease_params p = {.lease = MAX(m->promise, m->kept), .rho = CLOCK_ERROR};
    return lease_promise(&p);
}

/* FNV-1a: the same on all nodes, and needs no memory. */
uint64_t mesh_role(struct str service)
{
    uint64_t sum = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < service.n; i++)
        sum = (sum ^ (uint8_t)service.p[i]) * UINT64_C(1099511628211);
    return sum ? sum : 1;
}

void mesh_lease_votes(struct mesh *m, struct votes_head *head, struct vote_row *rows)
{
    uint64_t now;
    leases_votes(borrow_leases(m, &now), head, rows);
    return_leases(m);
}

void mesh_lease_voters(struct mesh *m, uint64_t version, const struct str *names, uint32_t n)
{
    uint64_t ids[LEASE_VOTERS_MAX], now;
    CHECK(n <= LEASE_VOTERS_MAX);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = node_id(str_of(m->cluster), names[i]);
    leases_voters(borrow_leases(m, &now), version, ids, n, now);
    return_leases(m);
}

int mesh_lease_role(struct mesh *m, uint64_t role, struct role_row *row, struct err *e)
{
    uint64_t now;
    struct leases *l = borrow_leases(m, &now);
    int r = leases_role(l, role, row, now, e);
    return_leases(m);
    return r;
}

void mesh_lease_want(struct mesh *m, uint64_t role, uint64_t epoch)
{
    uint64_t now;
    struct leases *l = borrow_leases(m, &now);
    leases_want(l, role, epoch, now);
    return_leases(m);
}

bool mesh_lease_confirm(struct mesh *m, uint64_t role, uint64_t gate, uint64_t epoch)
{
    uint64_t now;
    struct leases *l = borrow_leases(m, &now);
    bool held = leases_confirm(l, role, gate, epoch, now);
    return_leases(m);
    return held;
}

void mesh_lease_drop(struct mesh *m, uint64_t role)
{
    uint64_t now;
    struct leases *l = borrow_leases(m, &now);
    leases_drop(l, role, now);
    return_leases(m);
}

bool mesh_lease_read(const struct mesh *m, uint64_t role, struct mesh_lease *out)
{
    uint64_t now;
    struct leases *l = borrow_leases(m, &now);
    bool known = leases_read(l, role, now, out);
    pulse_unlock(m->pulse);
    return known;
}
