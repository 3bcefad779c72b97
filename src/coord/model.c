#include "coord/model.h"

#include "coord/engine.h"

#define LATE (50 * NS_PER_MS)

enum stage {
    ON_ITS_WAY,
    BEING_ANSWERED,
    REFUSED, /* an answer too, but it needs no coordinator */
    WAITING, /* a range, until the coordinator is back */
    LOST,    /* nothing comes of it any more; its deadline will tell */
};

/* A request on its way, there or back. It outlives the request that is dropped. */
struct job {
    struct list link;
    struct client *client;   /* NULL when it is gone */
    struct coord_request *r; /* NULL when it is dropped */
    enum stage stage;
    uint64_t at;
    bool lose_answer;
    struct coord_op *ops;
    uint32_t n;
    enum coord_outcome outcome;
    uint64_t revision;
    struct store_list found;
};

struct model {
    struct loop *loop;
    struct store store;
    struct prng prng;
    uint64_t delay_low, delay_high;
    bool away;
    enum model_fault ordered;
    uint32_t times, chance[MODEL_FAULTS];
    struct list jobs, clients;
    struct timer next;
};

struct client {
    struct coord c;
    struct model *m;
    struct list link;
    bool away;
};

/* What a watch waits for: coord_watch.own. */
struct due {
    uint64_t at; /* 0: for nothing */
};

static struct client *client_of(struct coord *c)
{
    return CONTAINER_OF(c, struct client, c);
}

static bool is_away(const struct client *k)
{
    return k->away || k->m->away;
}

static uint64_t delay(struct model *m)
{
    return m->delay_low +
           (m->delay_high > m->delay_low ? prng_below(&m->prng, m->delay_high - m->delay_low) : 0);
}

static uint64_t after_delay(struct model *m)
{
    return clock_now() + delay(m);
}

static bool waits_for_time(const struct job *j)
{
    return j->stage == ON_ITS_WAY || j->stage == BEING_ANSWERED || j->stage == REFUSED;
}

/* The first watch that is due, or when the next one will be. */
static struct coord_watch *due_watch(struct model *m, uint64_t now, uint64_t *next)
{
    list_for_each (k, &m->clients) {
        struct client *client = LIST_ENTRY(k, struct client, link);
        list_for_each (it, &client->c.watches) {
            struct coord_watch *w = LIST_ENTRY(it, struct coord_watch, link);
            const struct due *d = w->own;
            if (!d || !d->at || is_away(client))
                continue;
            if (d->at <= now)
                return w;
            *next = MIN(*next, d->at);
        }
    }
    return NULL;
}

static struct job *due_job(struct model *m, uint64_t now, uint64_t *next)
{
    struct job *first = NULL;
    list_for_each (it, &m->jobs) {
        struct job *j = LIST_ENTRY(it, struct job, link);
        if (!waits_for_time(j))
            continue;
        *next = MIN(*next, j->at);
        if (j->at <= now && (!first || j->at < first->at))
            first = j;
    }
    return first;
}

static void plan(struct model *m)
{
    uint64_t next = UINT64_MAX;
    if (due_watch(m, 0, &next) || due_job(m, 0, &next) || next != UINT64_MAX)
        loop_timer_set(m->loop, &m->next, next);
    else
        loop_timer_stop(m->loop, &m->next);
}

/* ---- A request's way ---- */

static void job_free(struct job *j)
{
    list_remove(&j->link);
    store_list_free(&j->found);
    mem_free(j->ops);
    mem_free(j);
}

static void lose(struct job *j)
{
    j->stage = j->r && j->r->is_range ? WAITING : LOST;
    if (!j->r)
        job_free(j);
}

static void poke_watches(struct model *m)
{
    list_for_each (k, &m->clients) {
        struct client *client = LIST_ENTRY(k, struct client, link);
        list_for_each (it, &client->c.watches) {
            struct due *d = LIST_ENTRY(it, struct coord_watch, link)->own;
            if (d && !d->at)
                d->at = after_delay(m);
        }
    }
}

/* It is there: it happens. */
static void happen(struct model *m, struct job *j)
{
    uint64_t before = m->store.revision;
    int bad = 0;
    if (j->ops)
        bad = store_cas(&m->store, j->ops, j->n, &j->outcome, NULL);
    else if (j->r)
        bad = store_range(&m->store, j->r->prefix, &j->found, NULL);
    if (bad) {
        j->stage = REFUSED;
        j->at = 1;
        if (!j->r)
            job_free(j);
        return;
    }
    j->revision = m->store.revision;
    if (j->revision != before)
        poke_watches(m);
    j->stage = BEING_ANSWERED;
    j->at = after_delay(m);
    if (j->lose_answer || !j->r)
        lose(j);
}

static void answer(struct job *j)
{
    struct coord_request *r = j->r;
    struct err why;
    struct coord_answer a = {j->outcome, j->revision, j->found.items, j->found.n, NULL};
    if (j->stage == REFUSED) {
        err_set(&why, ERR_IO, "the model of a coordinator refuses");
        a = (struct coord_answer){.outcome = COORD_FAILED, .why = &why};
    }
    if (a.outcome == COORD_CONFLICT)
        a.revision = 0;
    list_remove(&j->link);
    r->own = NULL;
    coord_answer(r, &a);
    job_free(j);
}

static void go_on(struct model *m, struct job *j)
{
    bool cut = j->client && is_away(j->client);
    switch (j->stage) {
    case ON_ITS_WAY:
        if (cut)
            lose(j);
        else
            happen(m, j);
        break;
    case BEING_ANSWERED:
        if (cut)
            lose(j);
        else
            answer(j);
        break;
    case REFUSED: answer(j); break;
    case WAITING:
    case LOST: UNREACHABLE();
    }
}

/* ---- Watches ---- */

static void tell(struct model *m, struct coord_watch *w)
{
    struct due *d = w->own;
    struct store_list l;
    bool whole = !w->whole || store_since(&m->store, w->prefix, w->revision, &l, NULL);
    int bad = whole ? store_range(&m->store, w->prefix, &l, NULL) : 0;
    if (bad) { /* no memory: again a little later */
        d->at = clock_now() + NS_PER_MS;
        return;
    }
    d->at = 0;
    if (whole || l.revision > w->revision)
        CHECK(coord_tell(w, l.items, l.n, l.revision, whole));
    store_list_free(&l);
}

static void on_next(struct timer *t)
{
    struct model *m = CONTAINER_OF(t, struct model, next);
    uint64_t now = clock_now(), next;
    struct coord_watch *w;
    struct job *j;
    while ((w = due_watch(m, now, &next)))
        tell(m, w);
    while (next = UINT64_MAX, (j = due_job(m, now, &next)))
        go_on(m, j);
    plan(m);
}

/* ---- What coord.c asks ---- */

static enum model_fault draw_fault(struct model *m)
{
    if (m->times) {
        m->times--;
        return m->ordered;
    }
    uint64_t draw = prng_below(&m->prng, 1000);
    for (uint32_t f = MODEL_SOUND + 1; f < MODEL_FAULTS; f++) {
        if (draw < m->chance[f])
            return (enum model_fault)f;
        draw -= m->chance[f];
    }
    return MODEL_SOUND;
}

static void set_out(struct client *k, struct job *j)
{
    struct coord_request *r = j->r;
    enum model_fault fault = r->is_range ? MODEL_SOUND : draw_fault(k->m);
    j->stage = ON_ITS_WAY;
    j->at = after_delay(k->m);
    if (is_away(k)) {
        j->stage = r->is_range ? WAITING : REFUSED;
        return;
    }
    switch (fault) {
    case MODEL_LOST: j->stage = LOST; break;
    case MODEL_UNANSWERED: j->lose_answer = true; break;
    case MODEL_LATE: j->at = r->deadline + LATE; break;
    case MODEL_REFUSED: j->stage = REFUSED; break;
    case MODEL_SOUND:
    case MODEL_FAULTS: break;
    }
}

static int begin(struct coord *c, struct coord_request *r, struct err *e)
{
    struct client *k = client_of(c);
    struct job *j = mem_zero(1, sizeof *j);
    if (!j)
        return err_set(e, ERR_NOMEM, "no memory for a request");
    *j = (struct job){.client = k, .r = r, .ops = r->ops, .n = r->n};
    r->ops = NULL;
    r->own = j;
    list_push_back(&k->m->jobs, &j->link);
    set_out(k, j);
    plan(k->m);
    return 0;
}

static bool drop(struct coord *c, struct coord_request *r)
{
    struct job *j = r->own;
    bool maybe = j->stage != REFUSED && j->stage != WAITING;
    j->r = NULL;
    if (j->stage != ON_ITS_WAY || r->is_range)
        job_free(j);
    plan(client_of(c)->m);
    return maybe;
}

static int watch(struct coord *c, struct coord_watch *w, struct err *e)
{
    struct due *d = mem_zero(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, "no memory to watch");
    d->at = after_delay(client_of(c)->m);
    w->own = d;
    plan(client_of(c)->m);
    return 0;
}

static void unwatch(struct coord *c, struct coord_watch *w)
{
    mem_free(w->own);
    w->own = NULL;
}

static void free_client(struct coord *c)
{
    struct client *k = client_of(c);
    list_for_each (it, &k->m->jobs) {
        struct job *j = LIST_ENTRY(it, struct job, link);
        j->client = j->client == k ? NULL : j->client;
    }
    list_remove(&k->link);
    plan(k->m);
    mem_free(k);
}

static const struct coord_engine engine = {"model", begin, drop, watch, unwatch, free_client};

/* ---- What the test orders ---- */

int model_new(struct model **out, struct loop *l, struct err *e)
{
    struct model *m = mem_zero(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for a model of a coordinator");
    m->loop = l;
    store_init(&m->store);
    prng_seed(&m->prng, 1);
    list_init(&m->jobs);
    list_init(&m->clients);
    timer_init(&m->next, on_next);
    *out = m;
    return 0;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    CHECK(list_empty(&m->clients));
    list_for_each_safe (it, &m->jobs)
        job_free(LIST_ENTRY(it, struct job, link));
    loop_timer_stop(m->loop, &m->next);
    store_free(&m->store);
    mem_free(m);
}

int coord_model_new(struct coord **out, struct model *m, struct err *e)
{
    struct client *k = mem_zero(1, sizeof *k);
    if (!k)
        return err_set(e, ERR_NOMEM, "no memory for a coordinator");
    coord_init(&k->c, &engine, m->loop);
    k->m = m;
    list_push_back(&m->clients, &k->link);
    if (!is_away(k))
        coord_reached(&k->c);
    *out = &k->c;
    return 0;
}

void model_delay(struct model *m, uint64_t low, uint64_t high, uint64_t seed)
{
    m->delay_low = low;
    m->delay_high = high;
    prng_seed(&m->prng, seed);
}

void model_order(struct model *m, enum model_fault fault, uint32_t times)
{
    m->ordered = fault;
    m->times = times;
}

void model_chance(struct model *m, enum model_fault fault, uint32_t thousandth)
{
    CHECK(fault > MODEL_SOUND && fault < MODEL_FAULTS);
    m->chance[fault] = thousandth;
}

static void settle(struct client *k)
{
    struct err why;
    if (is_away(k)) {
        err_set(&why, ERR_IO, "the model of a coordinator is away");
        coord_lost(&k->c, &why);
        return;
    }
    coord_reached(&k->c);
    list_for_each (it, &k->m->jobs) {
        struct job *j = LIST_ENTRY(it, struct job, link);
        if (j->client != k || j->stage != WAITING)
            continue;
        store_list_free(&j->found);
        j->stage = ON_ITS_WAY;
        j->at = after_delay(k->m);
    }
}

void model_away(struct model *m, bool away)
{
    m->away = away;
    list_for_each (it, &m->clients)
        settle(LIST_ENTRY(it, struct client, link));
    plan(m);
}

void coord_model_away(struct coord *c, bool away)
{
    CHECK(c->engine == &engine);
    client_of(c)->away = away;
    settle(client_of(c));
    plan(client_of(c)->m);
}

void model_compact(struct model *m)
{
    store_compact(&m->store, m->store.revision);
}

struct store *model_store(struct model *m)
{
    return &m->store;
}
