#include "mesh/leases.h"

#include "mesh/votes.h"

enum { TOLD = 16 };

struct role {
    struct lease_holder holder;
    struct role_row *row; /* NULL: another role has it now */
    uint64_t acts;        /* the epoch that was HELD last */
    unsigned effects;     /* not taken yet */
};
struct told {
    uint64_t node;
    struct lease_terms terms;
};

struct leases {
    struct leases_host host;
    struct lease_params params;
    uint64_t self, incarnation;
    uint64_t beat; /* the next rounds of all roles */
    bool waiting;  /* some role has effects */

    uint64_t version;
    uint32_t n_voters;
    uint64_t voters[LEASE_VOTERS_MAX];

    struct lease_message out[LEASE_BATCH]; /* for all voters */
    uint32_t n_out;

    struct told told[TOLD]; /* a ring */
    uint32_t n_told;

    struct votes votes;
    uint32_t n_roles;
    uint64_t ids[LEASES_ROLES]; /* apart, to find one fast */
    struct role roles[LEASES_ROLES];
};

static struct role *role_of(struct leases *l, uint64_t role)
{
    for (uint32_t i = 0; i < l->n_roles; i++)
        if (l->ids[i] == role)
            return &l->roles[i];
    return NULL;
}

static void note(struct leases *l, struct role *r, unsigned effects)
{
    effects &= ~(unsigned)LEASE_SEND;
    if (!effects)
        return;
    r->effects |= effects;
    if (!l->waiting)
        l->host.effect(l->host.context);
    l->waiting = true;
}

/* --- the row --- */

/* The epoch first: a deadline never stands beside an epoch that nobody confirmed. */
static void publish(struct role *r, uint64_t now)
{
    const struct lease_holder *h = &r->holder;
    uint64_t until = lease_deadline(h, now);
    if (h->state == LEASE_HELD)
        r->acts = h->epoch;
    if (!r->row)
        return;
    if (cell_get(&r->row->lease_epoch) != r->acts)
        cell_put(&r->row->lease_epoch, r->acts);
    if (cell_get(&r->row->lease_until) != until)
        cell_put(&r->row->lease_until, until);
}

static void row_clear(struct role_row *row)
{
    cell_put(&row->lease_until, 0);
    cell_put(&row->incarnation, 0);
    cell_put(&row->role, 0);
    cell_put(&row->lease_epoch, 0);
    cell_put(&row->round, 0);
}

static void row_take(struct role *r, uint64_t now)
{
    row_clear(r->row);
    cell_put(&r->row->role, r->holder.role);
    cell_put(&r->row->round, r->holder.round);
    cell_put(&r->row->incarnation, r->holder.incarnation);
    publish(r, now);
}

/* --- messages out --- */

static void send(struct leases *l, uint64_t to, const struct lease_message *m, uint32_t n)
{
    uint8_t payload[LEASE_DATAGRAM_MAX];
    struct lease_terms terms = lease_params_terms(&l->params);
    l->host.send(l->host.context, to, payload, lease_write(&terms, m, n, payload));
}

static void answered(struct leases *l, uint64_t from, const struct lease_message *m, uint64_t now)
{
    struct role *r = role_of(l, m->role);
    if (!r)
        return;
    note(l, r, lease_receive(&r->holder, from, m, now));
    publish(r, now);
}

static void ask_oneself(struct leases *l, const struct lease_message *m, uint64_t now)
{
    struct lease_message answer;
    if (votes_receive(&l->votes, l->self, m, now, &answer))
        answered(l, l->self, &answer, now);
}

static void flush(struct leases *l, uint64_t now)
{
    uint32_t n = l->n_out;
    l->n_out = 0;
    for (uint32_t i = 0; n && i < l->n_voters; i++)
        if (l->voters[i] != l->self)
            send(l, l->voters[i], l->out, n);
    for (uint32_t i = 0; n && i < l->n_voters; i++)
        for (uint32_t k = 0; l->voters[i] == l->self && k < n; k++)
            ask_oneself(l, &l->out[k], now);
}

static void to_voters(struct leases *l, const struct lease_message *m, uint64_t now)
{
    l->out[l->n_out++] = *m;
    if (l->n_out == LEASE_BATCH)
        flush(l, now);
}

/* What a call to a holder has led to; m is its message if it has one. */
static void led_to(struct leases *l, struct role *r, unsigned effects,
                   const struct lease_message *m, uint64_t now)
{
    note(l, r, effects);
    publish(r, now);
    if (!(effects & LEASE_SEND))
        return;
    if (r->row)
        cell_put(&r->row->round, m->round); /* before it leaves */
    if (l->beat > now)
        lease_sooner(&r->holder, l->beat);
    to_voters(l, m, now);
}

/* --- time --- */

void leases_tick(struct leases *l, uint64_t now)
{
    if (now >= l->beat)
        l->beat = now + l->params.beat;
    for (uint32_t i = 0; i < l->n_roles; i++) {
        struct role *r = &l->roles[i];
        struct lease_message m;
        if (lease_next(&r->holder) <= now)
            led_to(l, r, lease_tick(&r->holder, now, &m), &m, now);
    }
    flush(l, now);
}

uint64_t leases_next(const struct leases *l)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; i < l->n_roles; i++)
        at = MIN(at, lease_next(&l->roles[i].holder));
    return at;
}

/* --- messages in --- */

static bool same_terms(const struct lease_terms *a, const struct lease_terms *b)
{
    return a->lease == b->lease && a->demote == b->demote && a->rho == b->rho;
}

static void differs(struct leases *l, uint64_t from, const struct lease_terms *theirs,
                    const struct lease_terms *ours)
{
    for (uint32_t i = 0; i < TOLD; i++)
        if (l->told[i].node == from && same_terms(&l->told[i].terms, theirs))
            return;
    l->told[l->n_told++ % TOLD] = (struct told){from, *theirs};
    l->host.differs(l->host.context, from, theirs, ours);
}

/* Nobody with other terms gets a promise: it would be as long as ours. */
static bool decline(const struct lease_message *m, struct lease_message *answer)
{
    if (m->kind != LEASE_RENEW)
        return false;
    *answer = *m;
    answer->kind = LEASE_REFUSED;
    answer->refusal = LEASE_TERMS;
    answer->seen = answer->wait = 0;
    return true;
}

bool leases_receive(struct leases *l, uint64_t from, const void *payload, size_t n, uint64_t now)
{
    struct lease_message in[LEASE_BATCH], answers[LEASE_BATCH];
    struct lease_terms theirs, ours = lease_params_terms(&l->params);
    uint32_t answering = 0;
    int count = lease_read(payload, n, &theirs, in);
    if (count < 0)
        return false;
    bool same = same_terms(&theirs, &ours);
    if (!same)
        differs(l, from, &theirs, &ours);
    for (int i = 0; i < count && from != l->self; i++) {
        bool request = in[i].kind == LEASE_RENEW || in[i].kind == LEASE_RELEASE;
        if (!same)
            answering += decline(&in[i], &answers[answering]);
        else if (request)
            answering += votes_receive(&l->votes, from, &in[i], now, &answers[answering]);
        else
            answered(l, from, &in[i], now);
    }
    if (answering)
        send(l, from, answers, answering);
    return true;
}

/* --- the owner's --- */

void leases_want(struct leases *l, uint64_t role, uint64_t epoch, uint64_t now)
{
    struct role *r = role_of(l, role);
    struct lease_message m;
    if (!r)
        return;
    led_to(l, r, lease_want(&r->holder, epoch, now, &m), &m, now);
    flush(l, now);
}

bool leases_confirm(struct leases *l, uint64_t role, uint64_t gate, uint64_t epoch, uint64_t now)
{
    struct role *r = role_of(l, role);
    bool held = r && lease_confirm(&r->holder, gate, epoch, now);
    if (held)
        publish(r, now);
    return held;
}

void leases_drop(struct leases *l, uint64_t role, uint64_t now)
{
    struct role *r = role_of(l, role);
    struct lease_message m;
    if (!r)
        return;
    bool any = lease_drop(&r->holder, now, &m);
    publish(r, now);
    if (any)
        to_voters(l, &m, now);
    flush(l, now);
}

bool leases_read(struct leases *l, uint64_t role, uint64_t now, struct mesh_lease *out)
{
    struct role *r = role_of(l, role);
    if (!r)
        return false;
    const struct lease_holder *h = &r->holder;
    *out = (struct mesh_lease){.state = h->state,
                               .epoch = h->epoch,
                               .deadline = lease_deadline(h, now),
                               .gate = h->gate,
                               .seen = h->seen,
                               .outdated = lease_outdated(h)};
    return true;
}

bool leases_effect(struct leases *l, uint64_t *role, unsigned *effects)
{
    for (uint32_t i = 0; l->waiting && i < l->n_roles; i++) {
        if (!l->roles[i].effects)
            continue;
        *role = l->ids[i];
        *effects = l->roles[i].effects;
        l->roles[i].effects = 0;
        return true;
    }
    l->waiting = false;
    return false;
}

/* --- what there is --- */

void leases_params(struct leases *l, const struct lease_params *p, uint64_t now)
{
    struct lease_terms was = lease_params_terms(&l->params), is = lease_params_terms(p);
    if (same_terms(&was, &is) && p->beat == l->params.beat)
        return;
    l->params = *p;
    lease_voter_params(&l->votes.voter, p);
    for (uint32_t i = 0; i < l->n_roles; i++) {
        lease_holder_params(&l->roles[i].holder, p);
        publish(&l->roles[i], now);
    }
    memset(l->told, 0, sizeof l->told);
}

bool leases_voters(struct leases *l, uint64_t version, const uint64_t *ids, uint32_t n,
                   uint64_t now)
{
    CHECK(n <= LEASE_VOTERS_MAX);
    if (version < l->version)
        return false;
    if (version == l->version && n == l->n_voters && !memcmp(ids, l->voters, n * sizeof ids[0]))
        return true;
    if (version == l->version && version)
        votes_be_quiet(&l->votes, now + lease_promise(&l->params));
    bool member = false;
    for (uint32_t i = 0; i < n; i++)
        member |= ids[i] == l->self;
    l->version = version;
    l->n_voters = n;
    memcpy(l->voters, ids, n * sizeof ids[0]);
    lease_voter_set(&l->votes.voter, version, member);
    for (uint32_t i = 0; i < l->n_roles; i++) {
        lease_holder_voters(&l->roles[i].holder, version, ids, n);
        lease_sooner(&l->roles[i].holder, now); /* what was on its way counts no more */
    }
    return true;
}

void leases_votes(struct leases *l, struct votes_head *head, struct vote_row *rows)
{
    votes_keep(&l->votes, head, rows);
}

/* A row that somebody left: what it says is taken if it can be so. */
static void resume(struct leases *l, struct role *r, uint64_t now)
{
    const struct role_row *row = r->row;
    uint64_t incarnation = cell_get(&row->incarnation), until = cell_get(&row->lease_until);
    if (cell_get(&row->role) != r->holder.role || !incarnation) {
        r->holder.incarnation = l->incarnation++;
        row_take(r, now);
        return;
    }
    bool sound = until > now && until - now <= l->params.lease;
    lease_holder_resume(&r->holder, incarnation, cell_get(&row->round), cell_get(&row->lease_epoch),
                        sound ? until : 0, now);
    publish(r, now);
}

static int add(struct leases *l, uint64_t role, struct role_row *row, uint64_t now, struct err *e)
{
    if (l->n_roles == LEASES_ROLES)
        return err_set(e, ERR_LIMIT, "a node takes part in the leases of %d services at most",
                       LEASES_ROLES);
    struct role *r = &l->roles[l->n_roles];
    l->ids[l->n_roles++] = role;
    *r = (struct role){.row = row};
    lease_holder_init(&r->holder, &l->params, role, 0);
    if (l->version)
        lease_holder_voters(&r->holder, l->version, l->voters, l->n_voters);
    resume(l, r, now);
    return 0;
}

static void remove_role(struct leases *l, struct role *r)
{
    uint32_t i = (uint32_t)(r - l->roles);
    if (r->row)
        row_clear(r->row);
    l->n_roles--;
    l->ids[i] = l->ids[l->n_roles];
    l->roles[i] = l->roles[l->n_roles];
}

/* The same lease in another row: it is there before it is gone here. */
static void move(struct role *r, struct role_row *row, uint64_t now)
{
    struct role_row *was = r->row;
    r->row = row;
    row_take(r, now);
    if (was)
        row_clear(was);
}

/* Whose row it was gets another, or is to be removed. */
static void vacate(struct leases *l, uint64_t role, const struct role_row *row)
{
    for (uint32_t i = 0; i < l->n_roles; i++)
        if (l->roles[i].row == row && l->ids[i] != role)
            l->roles[i].row = NULL;
}

int leases_role(struct leases *l, uint64_t role, struct role_row *row, uint64_t now, struct err *e)
{
    CHECK(role);
    struct role *r = role_of(l, role);
    if (!row) {
        if (r)
            remove_role(l, r);
        return 0;
    }
    vacate(l, role, row);
    if (!r)
        return add(l, role, row, now, e);
    if (r->row != row)
        move(r, row, now);
    return 0;
}

int leases_new(struct leases **out, uint64_t self, const struct lease_params *p,
               uint64_t incarnation, uint64_t quiet, const struct leases_host *h, uint64_t now,
               struct err *e)
{
    struct leases *l = mem_zero(1, sizeof *l);
    *out = l;
    if (!l)
        return err_set(e, ERR_NOMEM, "no memory for the leases");
    l->host = *h;
    l->params = *p;
    l->self = self;
    l->incarnation = MAX(incarnation, 1u);
    votes_init(&l->votes, p, quiet, now);
    return 0;
}

void leases_free(struct leases *l)
{
    mem_free(l);
}
