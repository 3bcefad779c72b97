/* Pace: which instances are slower than their pool. control sees the answers of all workers, in the
 * latency histograms of the instance rows, so it is who compares; balance/outlier.h decides, and
 * the judge of each instance is told (judge_pace), so that there is one verdict with one reason.
 *
 * Every WINDOW_NS the histograms are read, and what came since they were last read is one window's
 * answers. An instance with few of them is left until they are enough, LONGEST_NS at most. Its
 * latency is the median: the bucket that has it, and within that bucket's bounds the mean of all,
 * which is exact where answers take about the same time.
 *
 * When control is away nobody is compared: verdicts stay as they are, in the cells. After a restart
 * those who are out stay out for another hold. */
#include "balance/outlier.h"
#include "daemon/control.h"

#define WINDOW_NS  (3 * NS_PER_S)
#define LONGEST_NS (60 * NS_PER_S)

enum { ANSWERS = 10, WINDOWS = 2 };

/* What the rows of all lanes say of one instance. */
struct reading {
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t sum_us;
};

struct pace_row {
    struct outlier outlier;
    struct reading seen; /* at the beginning of its window */
    uint64_t since;      /* ns, when that was */
};

static void read_lanes(const struct control *c, uint32_t slot, struct reading *r)
{
    *r = (struct reading){0};
    for (uint32_t lane = 0; lane < cells_lanes(&c->cells); lane++) {
        if (!cells_lane_used(&c->cells, lane))
            continue;
        const struct instance_row *row = cells_instance(&c->cells, lane, slot);
        for (int i = 0; i < LATENCY_BUCKETS; i++)
            r->buckets[i] += cell_get(&row->latency[i]);
        r->sum_us += cell_get(&row->latency_us_sum);
    }
}

/* ns; n > 0 answers */
static uint64_t typical(const struct reading *r, uint64_t n)
{
    uint64_t below = 0, mean = r->sum_us * 1000 / n;
    unsigned i = 0;
    while (i < LATENCY_BUCKETS - 1 && (below += r->buckets[i]) * 2 < n)
        i++;
    uint64_t from = i ? (uint64_t)(latency_bound(i - 1) * 1e9) : 0;
    uint64_t to = (uint64_t)(latency_bound(i) * 1e9);
    return mean < from ? from : MIN(mean, to);
}

/* Since the window began. A row that fell, which none should, begins a new one. */
static uint64_t since(struct reading *now, const struct reading *seen)
{
    uint64_t n = 0;
    for (int i = 0; i < LATENCY_BUCKETS; i++) {
        if (now->buckets[i] < seen->buckets[i])
            return 0;
        now->buckets[i] -= seen->buckets[i];
        n += now->buckets[i];
    }
    now->sum_us -= MIN(seen->sum_us, now->sum_us);
    return n;
}

static void take_window(struct control *c, uint32_t slot, uint64_t now)
{
    struct pace_row *row = &c->pacing.rows[slot];
    const struct judge *j = &c->subjects[slot].judge;
    struct reading all, part;
    read_lanes(c, slot, &all);
    part = all;
    uint64_t n = since(&part, &row->seen);
    bool enough = n >= ANSWERS || row->outlier.state != OUTLIER_IN;
    row->outlier.answers = (uint32_t)MIN(n, UINT32_MAX);
    row->outlier.latency = n ? typical(&part, n) : 0;
    row->outlier.absent = cell_get(&cells_verdict(&c->cells, slot)->draining) != 0 ||
                          (j->verdict == VERDICT_FAILED && j->reason != REASON_SLOW);
    if (enough || now - row->since >= LONGEST_NS) {
        row->seen = all;
        row->since = now;
    }
}

static enum pace pace_of(const struct outlier *o)
{
    switch (o->state) {
    case OUTLIER_OUT: return PACE_SLOW;
    case OUTLIER_TRIAL: return PACE_TRIAL;
    case OUTLIER_IN:
    case OUTLIER_STATES: break;
    }
    return PACE_NORMAL;
}

static void judge_it(struct control *c, uint32_t slot)
{
    const struct outlier *o = &c->pacing.rows[slot].outlier;
    struct pace_report r = {.latency = o->said_latency,
                            .median = o->said_median,
                            .answers = o->said_answers,
                            .others = o->said_others,
                            .until = o->until};
    if (c->subjects[slot].used)
        judging_pace(c, slot, pace_of(o), &r);
}

static void compare(struct control *c, const struct view_service *s, uint64_t now)
{
    struct pacing *p = &c->pacing;
    struct outlier_params params = {.factor_permille = s->eject.slow_permille,
                                    .answers = ANSWERS,
                                    .least = s->eject.slow_least,
                                    .share_permille = s->eject.share_permille,
                                    .after = WINDOWS,
                                    .hold = s->eject.hold,
                                    .hold_max = s->eject.hold_max};
    uint32_t n = MIN(s->n_instances, (uint32_t)POOL_MAX);
    for (uint32_t i = 0; i < n; i++) {
        take_window(c, s->instances[i].slot, now);
        p->members[i] = p->rows[s->instances[i].slot].outlier;
    }
    outlier_judge(&params, p->members, n, p->scratch, now);
    for (uint32_t i = 0; i < n; i++) {
        p->rows[s->instances[i].slot].outlier = p->members[i];
        judge_it(c, s->instances[i].slot);
    }
}

/* Nobody is compared any more: all may return. */
static void leave(struct control *c, const struct view_service *s)
{
    for (uint32_t i = 0; i < s->n_instances; i++) {
        struct pace_row *row = &c->pacing.rows[s->instances[i].slot];
        const struct judge *j = &c->subjects[s->instances[i].slot].judge;
        if (row->outlier.state == OUTLIER_IN && j->reason != REASON_SLOW)
            continue;
        *row = (struct pace_row){0};
        judge_it(c, s->instances[i].slot);
    }
}

static uint64_t window(const struct control *c)
{
    return c->o.pace_window ? c->o.pace_window : WINDOW_NS;
}

static void on_window(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, pacing.window);
    uint64_t now = loop_now(c->loop);
    for (uint32_t i = 0; c->view && i < c->view->n_services; i++) {
        if (c->view->services[i].eject.slow_permille)
            compare(c, &c->view->services[i], now);
        else
            leave(c, &c->view->services[i]);
    }
    loop_timer_set(c->loop, t, now + window(c));
}

void pacing_begin(struct control *c, uint32_t slot)
{
    struct pace_row *row = &c->pacing.rows[slot];
    uint64_t now = loop_now(c->loop);
    *row = (struct pace_row){.since = now};
    read_lanes(c, slot, &row->seen);
    if (c->subjects[slot].judge.reason != REASON_SLOW) /* of before a restart */
        return;
    row->outlier.state = OUTLIER_OUT;
    row->outlier.since = now;
    row->outlier.hold_now = c->subjects[slot].judge.params.hold;
    row->outlier.until = now + row->outlier.hold_now;
}

int pacing_init(struct control *c, struct err *e)
{
    struct pacing *p = &c->pacing;
    timer_init(&p->window, on_window);
    p->rows = mem_zero(MAX(c->n_subjects, 1u), sizeof *p->rows);
    p->members = mem_zero(POOL_MAX, sizeof *p->members);
    p->scratch = mem_zero(POOL_MAX, sizeof *p->scratch);
    if (!p->rows || !p->members || !p->scratch) {
        pacing_end(c);
        return err_set(e, ERR_NOMEM, "no memory to compare %u instances", c->n_subjects);
    }
    loop_timer_set(c->loop, &p->window, loop_now(c->loop) + window(c));
    return 0;
}

void pacing_end(struct control *c)
{
    struct pacing *p = &c->pacing;
    if (p->rows)
        loop_timer_stop(c->loop, &p->window);
    mem_free(p->rows);
    mem_free(p->members);
    mem_free(p->scratch);
    *p = (struct pacing){0};
}
