#include "proxy/reads.h"

struct reads reads_look(const struct role_row *r, uint32_t n_on, const struct reads_bounds *b,
                        uint16_t was, uint64_t now)
{
    struct reads out = {0};
    uint64_t primary = cell_get(&r->primary), known = cell_get(&r->known_at);
    uint64_t age = now > known ? now - known : 0, late = age > READS_LATE ? age : 0;
    bool unknown = b->bytes && !b->time && late > READS_UNKNOWN;
    if (known == 0 || unknown)
        return out;
    for (uint32_t i = 0; i < MIN(n_on, (uint32_t)GATE_PLACES); i++) {
        uint64_t v = cell_get(&r->replicas[i]), part = was >> i & 1 ? 1 : 2;
        uint64_t lag = cells_replica_lag(v) + late;
        bool in_time = !b->time || lag <= b->time / part;
        bool near = !b->bytes || cells_replica_bytes(v) <= b->bytes / part;
        if (v == 0 || primary == i + 1 || !in_time || !near)
            continue;
        out.fit |= (uint16_t)(1u << i);
        out.lag[i] = lag;
    }
    return out;
}

int reads_pick(const struct reads *s, const uint32_t load[GATE_PLACES], uint32_t draw)
{
    int best = -1;
    uint64_t least = 0;
    for (uint32_t k = 0; k < GATE_PLACES; k++) {
        uint32_t i = (k + draw) % GATE_PLACES;
        uint64_t cost = ((uint64_t)load[i] + 1) * (s->lag[i] / READS_STEP + 2);
        if (!(s->fit >> i & 1) || (best >= 0 && cost >= least))
            continue;
        best = (int)i;
        least = cost;
    }
    return best;
}
