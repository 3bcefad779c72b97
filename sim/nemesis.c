#include "nemesis.h"

/* How a kind is drawn: how often, how long, how much. Ranges are log-uniform. */
struct habit {
    uint32_t weight;
    uint64_t shortest, longest; /* ms */
    int64_t least, most;
    bool attack;
};
static const struct habit habits[FAULT_KINDS] = {
    [FAULT_CUT] = {24, 50, 9000, 0, 0, false},
    [FAULT_LOSS] = {10, 200, 9000, 2, 90, false},
    [FAULT_DELAY] = {8, 200, 8000, 2, 400, false},
    [FAULT_DUP] = {5, 500, 9000, 5, 100, false},
    [FAULT_REORDER] = {5, 500, 9000, 5, 100, false},
    [FAULT_CORRUPT] = {6, 500, 9000, 2, 100, true},
    [FAULT_REPLAY] = {6, 500, 9000, 5, 200, true},
    [FAULT_FORGE] = {4, 500, 9000, 5, 200, true},
    [FAULT_CRASH] = {18, 20, 8000, 0, 0, false},
    [FAULT_WIPE] = {8, 20, 8000, 0, 0, false},
    [FAULT_PAUSE] = {14, 30, 8000, 0, 0, false},
    [FAULT_SLOW] = {10, 500, 12000, 5, 400, false},
    [FAULT_DRIFT] = {5, 1000, 20000, 10, 500, false},
    [FAULT_DISK_SLOW] = {4, 1000, 20000, 20, 5000, false},
    [FAULT_DISK_FULL] = {3, 1000, 20000, 0, 0, false},
    [FAULT_LEAVE] = {8, 20, 8000, 0, 0, false},
    [FAULT_MAINTENANCE] = {4, 500, 9000, 0, 0, false},
    [FAULT_ROTATE] = {1, 0, 0, 0, 0, false},
    [FAULT_COORD_AWAY] = {16, 50, 8000, 0, 0, false},
    [FAULT_COORD_LOSS] = {6, 500, 9000, 5, 90, false},
    [FAULT_COORD_DELAY] = {6, 500, 9000, 2, 1500, false},
    [FAULT_COORD_BREAK] = {10, 0, 0, 0, 0, false},
    [FAULT_COORD_COMPACT] = {5, 0, 0, 0, 0, false},
    [FAULT_REFUSE] = {6, 500, 9000, 0, 0, false},
    [FAULT_VOTERS] = {6, 0, 0, 0, 0, false},
    [FAULT_APPLY] = {40, 0, 0, 0, 0, false},
};
enum {
    FORMING_MS = 1500,
    FEWEST = 20,
    MORE = 13,
    COORD_FEWEST = 16,
    COORD_MORE = 25,
    COORD_TOGETHER = 3, /* one in so many comes right behind the one before it */
    COORD_TOGETHER_MS = 400,
    VOTING_NODES = 16, /* among more it costs too much */
    ROTATIONS = 6,
};

static uint64_t log_uniform(struct prng *r, uint64_t least, uint64_t most)
{
    uint32_t doublings = 0;
    while (least << (doublings + 1) <= most)
        doublings++;
    uint64_t from = least << prng_below(r, doublings + 1);
    uint64_t drawn = from + prng_below(r, from + 1);
    return MIN(drawn, most);
}

static uint64_t some(struct prng *r, uint32_t nodes, uint32_t count)
{
    uint64_t set = 0;
    while (count) {
        uint64_t bit = UINT64_C(1) << prng_below(r, nodes);
        count -= set & bit ? 0 : 1;
        set |= bit;
    }
    return set;
}

static uint64_t everybody(uint32_t nodes)
{
    return nodes == FAULT_NODES ? UINT64_MAX : (UINT64_C(1) << nodes) - 1;
}

/* Between whom: one link, one node and all others, or two sides. */
static void draw_pair(struct prng *r, uint32_t nodes, struct fault *f)
{
    f->both = prng_below(r, 5) < 3;
    uint32_t side = 1;
    switch (prng_below(r, 3)) {
    case 0:
        f->a = some(r, nodes, 1);
        do
            f->b = some(r, nodes, 1);
        while (f->b == f->a);
        return;
    case 1: side = 1; break;
    default: side = 1 + (uint32_t)prng_below(r, nodes - 1); break;
    }
    f->a = some(r, nodes, side);
    f->b = everybody(nodes) & ~f->a;
    if (!f->both && prng_below(r, 2)) {
        uint64_t a = f->a;
        f->a = f->b;
        f->b = a;
    }
}

static enum fault_kind draw_kind(struct prng *r, uint32_t allowed)
{
    uint32_t all = 0;
    for (uint32_t k = 0; k < FAULT_KINDS; k++)
        all += allowed >> k & 1 ? habits[k].weight : 0;
    uint64_t at = prng_below(r, all);
    for (uint32_t k = 0; k < FAULT_KINDS; k++) {
        uint32_t weight = allowed >> k & 1 ? habits[k].weight : 0;
        if (at < weight)
            return (enum fault_kind)k;
        at -= weight;
    }
    UNREACHABLE();
}

/* Swarm testing (A. Groce et al., ISSTA 2012): a schedule that leaves kinds out goes deeper into
 * those that it has. */
static uint32_t draw_allowed(struct prng *r, bool sealed)
{
    uint32_t allowed = 0;
    while (!allowed)
        for (uint32_t k = 0; k < FAULT_ROTATE; k++)
            if (prng_below(r, 3) && (sealed || !habits[k].attack))
                allowed |= 1u << k;
    return allowed;
}

static void draw_fault(struct prng *r, const struct nemesis_options *o, uint32_t allowed,
                       struct fault *f)
{
    uint64_t end = o->length - o->quiet, start = MIN(FORMING_MS * MS, end / 4);
    f->kind = draw_kind(r, allowed);
    const struct habit *h = &habits[f->kind];
    f->at = (start + prng_below(r, end - start - MS)) / MS * MS;
    uint64_t length = h->longest ? log_uniform(r, h->shortest, h->longest) * MS : 0;
    f->length = MIN(length, end - f->at);
    if (h->most)
        f->value = (int64_t)log_uniform(r, (uint64_t)h->least, (uint64_t)h->most);
    if (o->tame && (f->kind == FAULT_LOSS || f->kind == FAULT_DELAY))
        f->value = MAX(f->value / 4, 1);
    if (f->kind == FAULT_DRIFT && prng_below(r, 2))
        f->value = -f->value;
    if (fault_of_pair(f->kind))
        draw_pair(r, o->nodes, f);
    else
        f->a = some(r, o->nodes, 1);
}

/* One in four schedules loses a node for good; the others must agree that it is gone. */
static void draw_loss_for_good(struct prng *r, const struct nemesis_options *o, struct faults *f)
{
    if (o->nodes < 3 || prng_below(r, 4))
        return;
    for (uint32_t i = 0; i < f->n; i++) {
        struct fault *x = &f->v[i];
        if (x->kind == FAULT_CRASH || x->kind == FAULT_LEAVE) {
            x->length = 0;
            return;
        }
    }
}

static void sort(struct faults *f)
{
    for (uint32_t i = 1; i < f->n; i++)
        for (uint32_t j = i; j > 0 && f->v[j].at < f->v[j - 1].at; j--) {
            struct fault x = f->v[j];
            f->v[j] = f->v[j - 1];
            f->v[j - 1] = x;
        }
}

/* What happens to the coordinator, and what is asked of it. Its draws are its own: with or without
 * it the rest is the same. */
static void draw_coordinator(const struct nemesis_options *o, struct faults *out)
{
    struct prng r;
    prng_seed(&r, o->seed ^ UINT64_C(0x636f6f7264));
    uint64_t per_minute = COORD_FEWEST + prng_below(&r, COORD_MORE);
    uint64_t count = (per_minute * o->length + 60 * SEC - 1) / (60 * SEC);
    uint32_t allowed = 1u << FAULT_APPLY;
    for (uint32_t k = FAULT_COORD_AWAY; k < FAULT_APPLY; k++)
        allowed |= prng_below(&r, 3) ? 1u << k : 0;
    if (o->nodes > VOTING_NODES)
        allowed &= ~(1u << FAULT_VOTERS);
    for (uint64_t i = 0; i < count && out->n < FAULTS_MOST; i++) {
        struct fault *f = &out->v[out->n++];
        draw_fault(&r, o, allowed, f);
        uint64_t whom = prng_below(&r, 3);
        if (f->kind == FAULT_COORD_COMPACT ||
            (f->kind != FAULT_APPLY && f->kind != FAULT_VOTERS && !whom))
            f->a = everybody(o->nodes);
        else if (f->kind == FAULT_VOTERS || (f->kind == FAULT_APPLY && whom))
            f->a = some(&r, o->nodes, 1 + (uint32_t)prng_below(&r, MIN(o->nodes, 5)));
        if (i && !prng_below(&r, COORD_TOGETHER) &&
            f[-1].at + f->length + SEC < o->length - o->quiet)
            f->at = f[-1].at + prng_below(&r, COORD_TOGETHER_MS) * MS;
    }
}

/* One after the other, mostly. */
static void draw_rotations(const struct nemesis_options *o, struct faults *out)
{
    struct prng r;
    prng_seed(&r, o->seed ^ UINT64_C(0x726f74617465));
    for (uint64_t n = 1 + prng_below(&r, ROTATIONS); n && out->n < FAULTS_MOST; n--)
        draw_fault(&r, o, 1u << FAULT_ROTATE, &out->v[out->n++]);
}

void nemesis_draw(struct faults *out, const struct nemesis_options *o)
{
    struct prng r;
    CHECK(o->nodes >= 2 && o->nodes <= FAULT_NODES);
    CHECK(o->length > o->quiet + SEC);
    prng_seed(&r, o->seed);
    uint64_t per_minute = FEWEST + prng_below(&r, MORE);
    *out = (struct faults){0};
    uint64_t count = (per_minute * o->length + 60 * SEC - 1) / (60 * SEC);
    uint32_t allowed = draw_allowed(&r, o->sealed);
    for (uint64_t i = 0; i < MIN(count, FAULTS_MOST); i++)
        draw_fault(&r, o, allowed, &out->v[out->n++]);
    draw_loss_for_good(&r, o, out);
    if (o->coordinator)
        draw_coordinator(o, out);
    if (o->rotate && o->sealed)
        draw_rotations(o, out);
    sort(out);
}

uint64_t faults_healed(const struct faults *f, bool coordinator)
{
    uint64_t healed = 0;
    for (uint32_t i = 0; i < f->n; i++)
        if (fault_of_coordinator(f->v[i].kind) == coordinator)
            healed = MAX(healed, f->v[i].at + f->v[i].length);
    return healed;
}
