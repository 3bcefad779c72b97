#include "sim.h"

#include <math.h>
#include <stdlib.h>

#include "balance/balance.h"

#define MEAN_SERVICE (5.0 * (double)MS)
#define WARM_UP      0.1 /* of the time, not counted */

enum { KEYS = 10000, QUEUE = 1 << 18, EVENTS_MOST = 1 << 12 };

/* A request in the hands of an instance. */
struct job {
    uint64_t arrived;
    double needs; /* ns on a core that is not slow */
    uint32_t worker;
};

struct instance {
    struct job *queue; /* a ring of QUEUE */
    uint32_t head, waiting, busy, cores;
    uint64_t phase; /* when its slow times begin */
    double busy_ns;
};

enum event_kind { EVENT_ARRIVAL, EVENT_END };

struct event {
    uint64_t at, serial; /* serial: equal times in the order of their making */
    enum event_kind kind;
    uint32_t instance;
    struct job job;
};

struct sim {
    const struct scenario *s;
    struct pool *pools;
    struct instance *instances;
    struct event *heap;
    uint32_t n_events;
    uint64_t serial, now, warm;
    struct prng arrivals, sizes, keys;
    const double *key_until;
    struct samples *out, *unloaded;
};

/* --- events --- */

static bool earlier(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->serial < b->serial;
}

static void push(struct sim *m, struct event e)
{
    CHECK(m->n_events < EVENTS_MOST);
    e.serial = m->serial++;
    uint32_t at = m->n_events++;
    for (; at > 0 && earlier(&e, &m->heap[(at - 1) / 2]); at = (at - 1) / 2)
        m->heap[at] = m->heap[(at - 1) / 2];
    m->heap[at] = e;
}

static struct event pop(struct sim *m)
{
    struct event first = m->heap[0], last = m->heap[--m->n_events];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < m->n_events; at = child) {
        if (child + 1 < m->n_events && earlier(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!earlier(&m->heap[child], &last))
            break;
        m->heap[at] = m->heap[child];
    }
    m->heap[at] = last;
    return first;
}

/* --- chance --- */

static double exponential(struct prng *r)
{
    return -log(1 - prng_unit(r));
}

/* Nine of ten requests are short, the tenth is long: the squared coefficient of variation is 3.9.
 */
static double service_time(struct sim *m)
{
    bool lasting = prng_below(&m->sizes, 10) == 0;
    return exponential(&m->sizes) * MEAN_SERVICE * (lasting ? 4.6 : 0.6);
}

/* Zipf's law with exponent 0.8: the most popular of 10,000 keys has 3 % of the requests. */
static double *make_keys(void)
{
    double *until = mem_zero(KEYS, sizeof *until), sum = 0;
    for (uint32_t k = 0; until && k < KEYS; k++)
        until[k] = sum += pow(k + 1, -0.8);
    for (uint32_t k = 0; until && k < KEYS; k++)
        until[k] /= sum;
    return until;
}

static uint64_t draw_key(struct sim *m)
{
    double at = prng_unit(&m->keys);
    uint32_t low = 0, high = KEYS - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (m->key_until[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return (low + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* --- instances --- */

static double slowness(const struct sim *m, uint32_t i)
{
    const struct scenario *s = m->s;
    if (i >= s->slow)
        return 1;
    if (s->slow_every && (m->now + m->instances[i].phase) % s->slow_every >= s->slow_for)
        return 1;
    return s->slow_times;
}

static void start(struct sim *m, uint32_t i, struct job job)
{
    struct instance *in = &m->instances[i];
    double takes = job.needs * slowness(m, i);
    in->busy++;
    in->busy_ns += takes;
    push(m, (struct event){
                .at = m->now + (uint64_t)takes + 1, .kind = EVENT_END, .instance = i, .job = job});
}

static void enter(struct sim *m, uint32_t i, struct job job)
{
    struct instance *in = &m->instances[i];
    if (in->busy < in->cores) {
        start(m, i, job);
        return;
    }
    CHECK(in->waiting < QUEUE);
    in->queue[(in->head + in->waiting++) % QUEUE] = job;
}

/* --- requests --- */

static void request(struct sim *m, uint32_t worker)
{
    struct job job = {.arrived = m->now, .needs = service_time(m), .worker = worker};
    int i = pool_pick(&m->pools[worker], NULL, draw_key(m), m->now);
    CHECK(i >= 0);
    if (m->now >= m->warm) {
        m->out->picks++;
        m->out->slow_picks += (uint32_t)i < m->s->slow;
        if (m->unloaded)
            samples_add(m->unloaded, job.needs);
    }
    enter(m, (uint32_t)i, job);
}

static void end(struct sim *m, const struct event *e)
{
    struct instance *in = &m->instances[e->instance];
    uint64_t took = m->now - e->job.arrived;
    in->busy--;
    if (in->waiting > 0) {
        struct job next = in->queue[in->head];
        in->head = (in->head + 1) % QUEUE;
        in->waiting--;
        start(m, e->instance, next);
    }
    pool_end(&m->pools[e->job.worker], e->instance, OUTCOME_OK, took, m->now);
    if (e->job.arrived >= m->warm)
        samples_add(m->out, (double)took);
    if (m->s->clients)
        request(m, e->job.worker);
}

static void next_arrival(struct sim *m)
{
    const struct scenario *s = m->s;
    double cores = 0;
    for (uint32_t i = 0; i < s->instances; i++)
        cores += m->instances[i].cores;
    double gap = MEAN_SERVICE / (cores * s->load);
    if (s->burst_every && m->now % s->burst_every < s->burst_for)
        gap /= s->burst_times;
    push(m, (struct event){.at = m->now + (uint64_t)(gap * exponential(&m->arrivals)) + 1,
                           .kind = EVENT_ARRIVAL});
}

static void arrival(struct sim *m)
{
    request(m, (uint32_t)prng_below(&m->arrivals, m->s->workers));
    next_arrival(m);
}

/* --- a run --- */

static bool make(struct sim *m, const struct variant *v, uint64_t seed)
{
    const struct scenario *s = m->s;
    struct prng phases;
    prng_seed(&phases, seed * 4 + 3);
    m->heap = mem_alloc(EVENTS_MOST * sizeof *m->heap);
    m->pools = mem_zero(s->workers, sizeof *m->pools);
    m->instances = mem_zero(s->instances, sizeof *m->instances);
    if (!m->heap || !m->pools || !m->instances)
        return false;
    for (uint32_t i = 0; i < s->instances; i++) {
        struct instance *in = &m->instances[i];
        in->queue = mem_alloc(QUEUE * sizeof *in->queue);
        in->cores = s->cores_of[i] ? s->cores_of[i] : s->cores;
        in->phase = s->slow_every ? prng_below(&phases, s->slow_every) : 0;
        if (!in->queue)
            return false;
    }
    for (uint32_t w = 0; w < s->workers; w++) {
        struct pool_params params = {
            .algorithm = v->algorithm,
            .n = s->instances,
            .seed = seed * 1000 + w,
            .bound_permille = v->bound_permille,
            .half_life = v->half_life,
        };
        if (pool_open(&m->pools[w], &params, NULL))
            return false;
        for (uint32_t i = 0; i < s->instances; i++)
            m->pools[w].members[i].weight = s->weigh_cores ? m->instances[i].cores : 1;
        pool_update(&m->pools[w]);
    }
    prng_seed(&m->arrivals, seed * 4);
    prng_seed(&m->sizes, seed * 4 + 1);
    prng_seed(&m->keys, seed * 4 + 2);
    return true;
}

static void run(struct sim *m)
{
    m->warm = (uint64_t)((double)m->s->length * WARM_UP);
    if (m->s->clients == 0)
        next_arrival(m);
    for (uint32_t c = 0; c < m->s->clients; c++)
        request(m, c % m->s->workers);
    while (m->heap[0].at < m->s->length) {
        struct event e = pop(m);
        m->now = e.at;
        switch (e.kind) {
        case EVENT_ARRIVAL: arrival(m); break;
        case EVENT_END: end(m, &e); break;
        }
    }
}

/* What waits at the end has not been answered, and counts with the time that it has waited: it
 * must not be better to answer never than late. */
static void count_waiting(struct sim *m)
{
    for (uint32_t i = 0; i < m->s->instances; i++) {
        const struct instance *in = &m->instances[i];
        for (uint32_t k = 0; k < in->waiting; k++) {
            const struct job *job = &in->queue[(in->head + k) % QUEUE];
            if (job->arrived >= m->warm)
                samples_add(m->out, (double)(m->s->length - job->arrived));
        }
    }
}

static void measure_use(struct sim *m)
{
    double sum = 0, most = 0;
    for (uint32_t i = 0; i < m->s->instances; i++) {
        double use = m->instances[i].busy_ns / m->instances[i].cores;
        sum += use;
        most = MAX(most, use);
    }
    m->out->imbalance += most / (sum / m->s->instances);
    m->out->runs++;
}

static void unmake(struct sim *m)
{
    for (uint32_t w = 0; m->pools && w < m->s->workers; w++)
        pool_free(&m->pools[w]);
    for (uint32_t i = 0; m->instances && i < m->s->instances; i++)
        mem_free(m->instances[i].queue);
    mem_free(m->pools);
    mem_free(m->instances);
    mem_free(m->heap);
}

bool simulate(const struct scenario *s, const struct variant *v, uint64_t seed, struct samples *out,
              struct samples *unloaded)
{
    double *keys = make_keys();
    struct sim m = {.s = s, .out = out, .unloaded = unloaded, .key_until = keys};
    bool made = keys && make(&m, v, seed);
    if (made) {
        run(&m);
        count_waiting(&m);
        measure_use(&m);
    }
    unmake(&m);
    mem_free(keys);
    return made && !out->failed && !(unloaded && unloaded->failed);
}

/* --- samples --- */

void samples_add(struct samples *s, double ns)
{
    if (s->n == s->room) {
        size_t room = MAX(2 * s->room, 1 << 16);
        double *grown = mem_resize(s->ns, room * sizeof *grown);
        if (!grown) {
            s->failed = true;
            return;
        }
        s->ns = grown;
        s->room = room;
    }
    s->ns[s->n++] = ns;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void samples_sort(struct samples *s)
{
    qsort(s->ns, s->n, sizeof *s->ns, by_value);
}

double samples_at(const struct samples *s, double quantile)
{
    return s->n ? s->ns[(size_t)(quantile * (double)(s->n - 1))] : 0;
}
