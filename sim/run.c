#include "run.h"

#include "ledger.h"
#include "primary.h"
#include "trace.h"

enum { MANY_LEAST = 33, MANY_MORE = 8, WELL_S = 6 /* more quiet until a service must be well */ };

/* What a seed draws besides faults. Each kind of draw has a stream of its own, so that an option
 * that overrides one does not move the others. */
struct setting {
    uint32_t nodes;
    bool probing, wan, late, plain;
};

static struct setting draw(const struct plan *p, uint64_t seed)
{
    struct prng r;
    prng_seed(&r, seed ^ UINT64_C(0x73657474696e67));
    uint64_t size = prng_below(&r, 32), probing = prng_below(&r, 4);
    uint64_t wan = prng_below(&r, 8), late = prng_below(&r, 4);
    struct setting s = {.nodes = p->nodes, .probing = probing == 0};
    if (!s.nodes)
        s.nodes = size == 0   ? MANY_LEAST + (uint32_t)prng_below(&r, MANY_MORE)
                  : size < 8  ? 3
                  : size < 10 ? 2
                  : size < 14 ? 7
                              : 5;
    s.probing = s.probing || s.nodes > MEMBER_DENSE_MAX;
    s.wan = p->wan || (p->wan_drawn && wan == 0);
    s.late = p->jitter || (p->invented && late == 0);
    s.plain = p->plain || (p->primary && prng_below(&r, 2));
    return s;
}

uint32_t run_nodes(const struct plan *p, uint64_t seed)
{
    return draw(p, seed).nodes;
}

void run_faults(const struct plan *p, uint64_t seed, struct faults *out)
{
    struct setting s = draw(p, seed);
    struct nemesis_options o = {.seed = seed,
                                .length = p->length,
                                .quiet = bounds_of(s.nodes, s.probing, s.wan).quiet +
                                         (p->primary ? WELL_S * SEC : 0),
                                .nodes = s.nodes,
                                .sealed = !s.plain,
                                .tame = s.wan,
                                .coordinator = true,
                                .rotate = p->rotate};
    if (p->faults)
        *out = *p->faults;
    else
        nemesis_draw(out, &o);
}

void run_seed(const struct plan *p, uint64_t seed, struct outcome *out)
{
    struct setting s = draw(p, seed);
    struct faults faults;
    struct trace trace;
    run_faults(p, seed, &faults);
    struct world_options o = {.seed = seed,
                              .nodes = s.nodes,
                              .plain = s.plain,
                              .wan = s.wan,
                              .params = member_defaults(),
                              .jitter = p->jitter ? p->jitter
                                        : s.late  ? p->invented
                                                  : NULL,
                              .faults = &faults,
                              .spread = SEC / 2,
                              .primary = p->primary};
    if (s.probing)
        o.params.dense_max = 0;
    struct world *w = world_new(&o);
    if (p->trace)
        trace_watch(&trace, w, p->trace, p->datagrams);
    struct bounds bounds = bounds_of(s.nodes, s.probing, s.wan);
    uint64_t healed = MAX(faults_healed(&faults, false), 2 * SEC);
    struct invariants *v = invariants_new(w, healed, &bounds);
    struct ledger *l = ledger_new(w, v, MAX(faults_healed(&faults, true), healed));
    struct service *service =
        p->primary ? service_new(w, v, MAX(faults_healed(&faults, true), healed), p->rate) : NULL;
    world_run(w, p->length);
    invariants_end(v);
    ledger_end(l);
    if (service)
        service_end(service);
    *out = (struct outcome){.seed = seed,
                            .nodes = s.nodes,
                            .faults = faults.n,
                            .probing = s.probing,
                            .wan = s.wan,
                            .late = s.late,
                            .broken = v->broken,
                            .broken_at = v->broken_at,
                            .events = w->events,
                            .packets = w->packets,
                            .digest = w->digest};
    memcpy(out->text, v->text, sizeof out->text);
    ledger_free(l);
    invariants_free(v);
    world_free(w);
    service_free(service);
}
