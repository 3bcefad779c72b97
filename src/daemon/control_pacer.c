/* Pacers: which instances have become slow, err more or hang, as all workers' answers show.
 *
 * Every LOOK_NS the counters of the instance rows are read, and what came since the last look goes
 * to the instance's pacer (detect/pace.h), which compares it with the others of its service and
 * with its own past. What a pacer raises is a finding (control_findings.h) of the instance, said
 * again at each look while it stays: it degrades and never fails. A pacer of the service as a whole
 * finds what all of its instances have in common; it is silent while one of them has a finding.
 *
 * Only services that speak HTTP: of others it is not known when an answer is one. A pacer is made
 * with an instance's first request, and goes when another takes its slot: what has none costs
 * nothing, and where there is no memory for one it is not judged. control_pace.c is what leaves
 * instances out, by a bound that the user set; here nobody is left out.
 *
 * A look that comes late says nothing of anybody: this process stood still, or the machine. */
#include "daemon/control.h"
#include "detect/pace.h"

#define LOOK_NS (500 * NS_PER_MS)

_Static_assert((int)SKETCH_BUCKETS == (int)LATENCY_BUCKETS, "a row's latencies are a look's");
_Static_assert((int)PACER_MOST == (int)POOL_MAX, "a pool is judged at once");

/* What the rows of all lanes have counted of one instance; wraps. */
struct counted {
    uint32_t latency[LATENCY_BUCKETS];
    uint32_t sent, errors, lost;
};

struct pacer_row {
    struct pacer pacer;
    struct counted seen;
    uint32_t told;    /* bits of enum pacer_sense: findings of it */
    char service[64]; /* whose it is, of a service as a whole; cut */
};

static const enum finding_kind kinds[PACER_SENSES] = {
    [PACER_OTHERS] = FINDING_SLOWER_THAN_POOL,
    [PACER_BEFORE] = FINDING_SLOWER_THAN_BEFORE,
    [PACER_ERRORS] = FINDING_MORE_ERRORS,
    [PACER_HANG] = FINDING_HANG,
};

/* ---- counting ---- */

static uint64_t requests_of(const struct control *c, uint32_t slot)
{
    uint64_t sum = 0;
    for (uint32_t lane = 0; lane < cells_lanes(&c->cells); lane++)
        if (cells_lane_used(&c->cells, lane))
            sum += cell_get(&cells_instance(&c->cells, lane, slot)->requests);
    return sum;
}

/* waiting: requests in flight now. */
static void read_rows(const struct control *c, uint32_t slot, struct counted *now,
                      uint32_t *waiting)
{
    uint64_t in_flight = 0;
    *now = (struct counted){0};
    for (uint32_t lane = 0; lane < cells_lanes(&c->cells); lane++) {
        if (!cells_lane_used(&c->cells, lane))
            continue;
        const struct instance_row *row = cells_instance(&c->cells, lane, slot);
        for (int i = 0; i < LATENCY_BUCKETS; i++)
            now->latency[i] += (uint32_t)cell_get(&row->latency[i]);
        now->sent += (uint32_t)cell_get(&row->requests);
        now->errors += (uint32_t)cell_get(&row->errors_5xx);
        now->lost +=
            (uint32_t)(cell_get(&row->refused) + cell_get(&row->timeouts) + cell_get(&row->resets));
        in_flight += cell_get(&row->inflight);
    }
    *waiting = in_flight > UINT32_MAX ? 0 : (uint32_t)in_flight; /* lanes are read one by one */
}

/* More than a look can bring: rows of a worker were cleared. */
static bool fell(const struct counted *now, const struct counted *seen)
{
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        if (now->latency[i] - seen->latency[i] > INT32_MAX)
            return true;
    return now->sent - seen->sent > INT32_MAX || now->errors - seen->errors > INT32_MAX ||
           now->lost - seen->lost > INT32_MAX;
}

static void since_seen(struct pacer_row *row, const struct counted *now, struct pacer_look *l)
{
    if (fell(now, &row->seen))
        row->seen = *now;
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        l->answers[i] = now->latency[i] - row->seen.latency[i];
    l->sent = now->sent - row->seen.sent;
    l->errors = now->errors - row->seen.errors;
    l->lost = now->lost - row->seen.lost;
    row->seen = *now;
}

/* ---- rows ---- */

/* Made at the first request since the slot has this subject, or control began. */
static struct pacer_row *row_of(struct control *c, uint32_t slot)
{
    struct pacers *p = &c->pacers;
    uint32_t waiting;
    if (p->rows[slot] || requests_of(c, slot) == p->idle[slot])
        return p->rows[slot];
    p->rows[slot] = mem_zero(1, sizeof *p->rows[slot]);
    if (p->rows[slot])
        read_rows(c, slot, &p->rows[slot]->seen, &waiting);
    return p->rows[slot];
}

/* A slot that another service has got begins anew: what was found went with the other's name. */
static struct pacer_row *whole_of(struct control *c, const struct view_service *s)
{
    char name[sizeof((struct pacer_row *)0)->service];
    CHECK(s->slot < c->pacers.n_services);
    struct pacer_row **row = &c->pacers.services[s->slot];
    str_copy(name, sizeof name, s->name);
    if (*row && strcmp((*row)->service, name) == 0)
        return *row;
    mem_free(*row);
    *row = mem_zero(1, sizeof **row);
    if (*row)
        str_copy((*row)->service, sizeof(*row)->service, s->name);
    return *row;
}

static bool is_apart(const struct control *c, uint32_t slot)
{
    const struct judge *j = &c->subjects[slot].judge;
    return cell_get(&cells_verdict(&c->cells, slot)->draining) != 0 ||
           j->verdict == VERDICT_FAILED || j->reason == REASON_RECOVERING;
}

/* ---- findings ---- */

static void unsay(struct control *c, struct pacer_row *row, enum pacer_sense s,
                  enum subject_kind kind, struct str name)
{
    if (row->told >> s & 1)
        control_cleared(c, kind, name, kinds[s], 0);
    row->told &= ~(1u << s);
}

static void say(struct control *c, struct pacer_row *row, enum pacer_sense s,
                enum subject_kind kind, struct str name, uint64_t now)
{
    char says[FINDING_SAYS];
    row->told |= 1u << s;
    struct finding_signal signal = {
        .at = now,
        .kind = kinds[s],
        .verdict = VERDICT_DEGRADED,
        .weight = 1,
        .observer = FINDER_CONTROL,
        .says = {says, pacer_say(&row->pacer, s, "answers", now, says, sizeof says)},
    };
    control_found(c, kind, name, &signal);
}

static void tell_instance(struct control *c, struct pacer_row *row, const struct view_service *s,
                          const struct view_instance *i, uint64_t now)
{
    char name[FINDING_NAME_MAX + 1];
    struct str full = finding_instance_name(s, i, name);
    for (int sense = 0; sense < PACER_SENSES; sense++) {
        if (row->pacer.alarm[sense].raised)
            say(c, row, (enum pacer_sense)sense, SUBJECT_INSTANCE, full, now);
        else
            unsay(c, row, (enum pacer_sense)sense, SUBJECT_INSTANCE, full);
    }
}

/* ---- looks ---- */

/* Adds what came of one instance to what came of all. */
static void add_look(struct pacer_look *all, const struct pacer_look *l)
{
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        all->answers[i] += l->answers[i];
    all->sent += l->sent;
    all->errors += l->errors;
    all->lost += l->lost;
}

/* What they have in common: slower than before, more errors than before. Hangs and the comparison
 * are of instances. */
static void judge_whole(struct control *c, const struct view_service *s,
                        const struct pacer_look *look, bool quiet, bool blind, uint64_t now)
{
    static const enum pacer_sense senses[] = {PACER_BEFORE, PACER_ERRORS};
    struct pacer_params params = pacer_of_requests();
    struct pacer_row *row = whole_of(c, s);
    if (!row)
        return;
    struct pacer *one = &row->pacer;
    pacer_look(one, look, now);
    pacer_judge(&one, 1, &params, blind, now);
    for (size_t i = 0; i < ARRAY_LEN(senses); i++) {
        if (quiet && one->alarm[senses[i]].raised)
            say(c, row, senses[i], SUBJECT_SERVICE, s->name, now);
        else
            unsay(c, row, senses[i], SUBJECT_SERVICE, s->name);
    }
}

static void look_at(struct control *c, const struct view_service *s, bool blind, uint64_t now)
{
    struct pacers *p = &c->pacers;
    struct pacer_params params = pacer_of_requests();
    struct pacer_look all = {0};
    uint32_t n = 0, total = MIN(s->n_instances, (uint32_t)POOL_MAX);
    bool quiet = true; /* no instance has a finding of its own */
    for (uint32_t i = 0; i < total; i++) {
        uint32_t slot = s->instances[i].slot;
        struct pacer_row *row = c->subjects[slot].used ? row_of(c, slot) : NULL;
        struct counted counted;
        struct pacer_look l = {.apart = is_apart(c, slot)};
        if (!row)
            continue;
        read_rows(c, slot, &counted, &l.waiting);
        since_seen(row, &counted, &l);
        pacer_look(&row->pacer, &l, now);
        add_look(&all, &l);
        p->pool[n] = &row->pacer;
        p->members[n++] = i;
    }
    if (n == 0)
        return;
    pacer_judge(p->pool, n, &params, blind, now);
    for (uint32_t i = 0; i < n; i++) {
        const struct view_instance *in = &s->instances[p->members[i]];
        tell_instance(c, p->rows[in->slot], s, in, now);
        quiet &= p->rows[in->slot]->told == 0;
    }
    if (total > 1)
        judge_whole(c, s, &all, quiet, blind, now);
}

static uint64_t look_every(const struct control *c)
{
    return c->o.pacer_look ? c->o.pacer_look : LOOK_NS;
}

static void on_look(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, pacers.timer);
    struct pacers *p = &c->pacers;
    uint64_t now = loop_now(c->loop), every = look_every(c);
    bool blind = p->at && now - p->at > every + every / 2;
    p->at = now;
    for (uint32_t i = 0; c->view && i < c->view->n_services; i++)
        if (c->view->services[i].mode == VIEW_HTTP)
            look_at(c, &c->view->services[i], blind, now);
    loop_timer_set(c->loop, t, now + every);
}

/* ---- control's life ---- */

void pacers_begin(struct control *c, uint32_t slot)
{
    mem_free(c->pacers.rows[slot]);
    c->pacers.rows[slot] = NULL;
    c->pacers.idle[slot] = requests_of(c, slot);
}

int pacers_init(struct control *c, struct err *e)
{
    struct pacers *p = &c->pacers;
    *p = (struct pacers){.n_services = c->cells.header->services};
    timer_init(&p->timer, on_look);
    p->rows = mem_zero(MAX(c->n_subjects, 1u), sizeof(void *));
    p->idle = mem_zero(MAX(c->n_subjects, 1u), sizeof *p->idle);
    p->services = mem_zero(MAX(p->n_services, 1u), sizeof(void *));
    p->pool = mem_zero(POOL_MAX, sizeof(void *));
    p->members = mem_zero(POOL_MAX, sizeof *p->members);
    p->n_rows = c->n_subjects;
    if (!p->rows || !p->idle || !p->services || !p->pool || !p->members) {
        pacers_end(c);
        return err_set(e, ERR_NOMEM, "no memory to watch the pace of %u instances", p->n_rows);
    }
    loop_timer_set(c->loop, &p->timer, loop_now(c->loop) + look_every(c));
    return 0;
}

void pacers_end(struct control *c)
{
    struct pacers *p = &c->pacers;
    if (p->timer.on_fire && timer_is_set(&p->timer))
        loop_timer_stop(c->loop, &p->timer);
    for (uint32_t i = 0; p->rows && i < p->n_rows; i++)
        mem_free(p->rows[i]);
    for (uint32_t i = 0; p->services && i < p->n_services; i++)
        mem_free(p->services[i]);
    mem_free(p->rows);
    mem_free(p->idle);
    mem_free(p->services);
    mem_free(p->pool);
    mem_free(p->members);
    *p = (struct pacers){0};
}
