#include "coordinator.h"
#include "primary.h"

#include <stdio.h>

enum { LATEST_START_DAYS = 40 };

/* ---- names */

static uint32_t *slot_of(const struct world *w, uint64_t id)
{
    uint32_t i = (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 40) & w->index_mask;
    while (w->index[i] && w->nodes[w->index[i] - 1].id != id)
        i = (i + 1) & w->index_mask;
    return &w->index[i];
}

uint32_t world_node(const struct world *w, uint64_t id)
{
    return *slot_of(w, id) - 1; /* 0, for nobody, becomes UINT32_MAX */
}

const char *world_name(void *world, uint64_t id)
{
    struct world *w = world;
    uint32_t i = world_node(w, id);
    return i < w->o.nodes ? w->nodes[i].name : "a stranger";
}

/* ---- who looks on */

void world_watch(struct world *w, const struct watch *watch)
{
    CHECK(w->watch_count < ARRAY_LEN(w->watches));
    w->watches[w->watch_count++] = watch;
}

void world_tell(struct world *w, const struct happening *h)
{
    for (uint32_t i = 0; i < w->watch_count; i++)
        w->watches[i]->tell(w->watches[i]->context, w, h);
}

void world_mix(struct world *w, uint64_t value)
{
    w->digest = (w->digest ^ value ^ w->now << 1) * UINT64_C(0x100000001b3);
    w->digest ^= w->digest >> 31;
}

/* ---- faults */

static void act_on(struct node *n, const struct fault *f)
{
    switch (f->kind) {
    case FAULT_CRASH:
    case FAULT_WIPE:
    case FAULT_LEAVE: n->down = true; break;
    case FAULT_PAUSE: n->paused = true; break;
    case FAULT_SLOW: n->slow += (uint64_t)f->value * MS; break;
    case FAULT_DRIFT: n->ppm += f->value; break;
    case FAULT_DISK_SLOW: n->disk_slow += (uint64_t)f->value * MS; break;
    case FAULT_DISK_FULL: n->disk_full = true; break;
    case FAULT_MAINTENANCE: n->maintenance = true; break;
    case FAULT_CUT:
    case FAULT_LOSS:
    case FAULT_DELAY:
    case FAULT_DUP:
    case FAULT_REORDER:
    case FAULT_CORRUPT:
    case FAULT_REPLAY:
    case FAULT_FORGE:
    case FAULT_ROTATE:
    case FAULT_COORD_AWAY:
    case FAULT_COORD_LOSS:
    case FAULT_COORD_DELAY:
    case FAULT_COORD_BREAK:
    case FAULT_COORD_COMPACT:
    case FAULT_REFUSE:
    case FAULT_VOTERS:
    case FAULT_APPLY: break;
    case FAULT_KINDS: UNREACHABLE();
    }
}

/* All conditions from all faults that are under way. */
void world_conditions(struct world *w)
{
    for (uint32_t i = 0; i < w->o.nodes; i++) {
        struct node *n = &w->nodes[i];
        n->down = n->paused = n->maintenance = n->disk_full = false;
        n->slow = n->disk_slow = 0;
        n->ppm = 0;
        for (uint32_t k = 0; k < w->o.faults->n; k++)
            if (w->active[k] && !fault_of_pair(w->o.faults->v[k].kind) &&
                w->o.faults->v[k].a >> i & 1)
                act_on(n, &w->o.faults->v[k]);
    }
    net_conditions(w);
    for (uint32_t i = 0; i < w->o.nodes; i++)
        node_conditions(&w->nodes[i]);
    if (w->coordinator)
        coordinator_conditions(w->coordinator);
    world_tell(w, &(struct happening){.kind = HAPPENED_CONDITIONS});
}

/* What strikes at once; the rest are conditions. */
static void strike(struct world *w, const struct fault *f)
{
    for (uint32_t i = 0; i < w->o.nodes; i++) {
        struct node *n = &w->nodes[i];
        if (!(f->a >> i & 1))
            continue;
        if (f->kind == FAULT_CRASH || f->kind == FAULT_WIPE)
            node_stop(n);
        if (f->kind == FAULT_WIPE)
            n->kept = 0;
        if (f->kind == FAULT_WIPE && w->coordinator)
            follower_wipe(&w->coordinator->followers[i]);
        if (f->kind == FAULT_LEAVE)
            node_leave(n);
    }
}

/* Membership does not notice it. */
static void begin_of_coordinator(struct world *w, const struct fault *f)
{
    coordinator_conditions(w->coordinator);
    world_tell(w, &(struct happening){.kind = HAPPENED_CONDITIONS});
    coordinator_strike(w->coordinator, f);
}

static void begin(struct world *w, uint32_t fault)
{
    const struct fault *f = &w->o.faults->v[fault];
    w->active[fault] = true;
    if (fault_of_coordinator(f->kind)) {
        begin_of_coordinator(w, f);
    } else {
        if (f->kind == FAULT_REPLAY || f->kind == FAULT_FORGE)
            attack(w, fault);
        if (!fault_of_pair(f->kind))
            strike(w, f);
        if (f->kind == FAULT_ROTATE)
            rekey_begin(w, f->a);
        world_conditions(w);
    }
    if (f->length)
        queue_put(&w->queue, (struct event){w->now + f->length, 0, EVENT_HEAL, 0, fault, NULL});
}

static void heal(struct world *w, uint32_t fault)
{
    w->active[fault] = false;
    if (!fault_of_coordinator(w->o.faults->v[fault].kind)) {
        world_conditions(w);
        return;
    }
    coordinator_conditions(w->coordinator);
    world_tell(w, &(struct happening){.kind = HAPPENED_CONDITIONS});
}

bool world_faulty(const struct world *w)
{
    for (uint32_t k = 0; w->o.faults && k < w->o.faults->n; k++)
        if (w->active[k] && w->o.faults->v[k].length)
            return true;
    return false;
}

void world_crash(struct world *w, uint32_t node)
{
    node_stop(&w->nodes[node]);
}

/* ---- time */

static void happen(struct world *w, const struct event *e)
{
    struct node *n = &w->nodes[e->node];
    switch ((enum event_kind)e->kind) {
    case EVENT_ARRIVE: node_arrive(n, e->p); break;
    case EVENT_WAKE: node_wake(n, e->tag); break;
    case EVENT_RUN:
        if (e->tag == n->life)
            node_run(n);
        break;
    case EVENT_FAULT: begin(w, (uint32_t)e->tag); break;
    case EVENT_HEAL: heal(w, (uint32_t)e->tag); break;
    case EVENT_ATTACK: attack(w, (uint32_t)e->tag); break;
    case EVENT_START:
        if (!n->engine && !n->life && !n->down)
            node_start(n);
        break;
    case EVENT_ERRAND: coordinator_errand(w->coordinator, e->p); break;
    case EVENT_REKEY: rekey_tick(w); break;
    case EVENT_SERVICE: service_tick(w->service); break;
    case EVENT_LETTER: primary_letter(w, e->node, e->p); break;
    case EVENT_FOLLOW: follower_run(&w->coordinator->followers[e->node], e->tag); break;
    }
}

void world_run(struct world *w, uint64_t until)
{
    struct event e;
    while (!w->stop && queue_take(&w->queue, until, &e)) {
        w->now = e.at;
        w->events++;
        happen(w, &e);
    }
    if (!w->stop)
        w->now = until;
}

/* ---- making one */

static void make_nodes(struct world *w)
{
    uint32_t n = w->o.nodes;
    w->nodes = sim_zero(n, sizeof *w->nodes);
    w->index_mask = 1;
    while (w->index_mask < 2 * n)
        w->index_mask *= 2;
    w->index = sim_zero(w->index_mask--, sizeof *w->index);
    for (uint32_t i = 0; i < n; i++) {
        struct node *x = &w->nodes[i];
        x->world = w;
        x->index = i;
        snprintf(x->name, sizeof x->name, "n%u", i);
        x->id = node_id(STR("sim"), str_of(x->name));
        x->wake_at = NEVER;
        x->keys = w->keys;
        x->clock_local = SEC + prng_below(&w->chance, LATEST_START_DAYS * 24 * HOUR);
        *slot_of(w, x->id) = i + 1;
        uint64_t start = w->o.spread ? prng_below(&w->chance, w->o.spread) : 0;
        queue_put(&w->queue, (struct event){start, 0, EVENT_START, i, 0, NULL});
    }
}

static void make_key(struct world *w)
{
    struct prng r;
    prng_seed(&r, w->o.seed);
    w->keys = (struct keyring){.n = 1, .keys = {{.id = 1, .use = true}}};
    for (uint32_t i = 0; i < SEAL_SECRET; i++)
        w->keys.keys[0].secret[i] = (uint8_t)prng_next(&r);
}

static void plan_faults(struct world *w)
{
    uint32_t n = w->o.nodes;
    CHECK(n <= FAULT_NODES);
    w->links = sim_zero((size_t)n * n, sizeof *w->links);
    if (w->o.primary)
        w->coordinator = coordinator_new(w);
    for (uint32_t i = 0; i < w->o.faults->n; i++) {
        const struct fault *f = &w->o.faults->v[i];
        queue_put(&w->queue, (struct event){f->at, 0, EVENT_FAULT, 0, i, NULL});
        if ((f->kind == FAULT_REPLAY || f->kind == FAULT_FORGE) && !w->tape && !w->o.plain)
            w->tape = sim_zero(TAPE, sizeof *w->tape);
        if (fault_of_coordinator(f->kind) && !w->coordinator)
            w->coordinator = coordinator_new(w);
    }
}

struct world *world_new(const struct world_options *o)
{
    struct world *w = sim_zero(1, sizeof *w);
    CHECK(o->nodes >= 1 && o->nodes <= WORLD_NODES);
    w->o = *o;
    prng_seed(&w->net, o->seed ^ UINT64_C(0x6e6574));
    prng_seed(&w->chance, o->seed ^ UINT64_C(0x636861));
    prng_seed(&w->entropy, o->seed ^ UINT64_C(0x656e74));
    prng_seed(&w->rekeys, o->seed ^ UINT64_C(0x6b6579));
    make_key(w);
    make_nodes(w);
    if (o->faults)
        plan_faults(w);
    return w;
}

void world_free(struct world *w)
{
    struct event e;
    w->watch_count = 0;
    for (uint32_t i = 0; i < w->o.nodes; i++)
        node_stop(&w->nodes[i]);
    while (queue_take(&w->queue, NEVER, &e))
        if (e.kind == EVENT_ERRAND)
            coordinator_drop(e.p);
        else
            mem_free(e.p);
    coordinator_free(w->coordinator);
    for (struct packet *p; (p = w->spare);) {
        w->spare = p->next;
        mem_free(p);
    }
    queue_free(&w->queue);
    attack_free(w);
    mem_free(w->index);
    mem_free(w->links);
    mem_free(w->nodes);
    mem_free(w);
}
