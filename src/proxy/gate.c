#include "proxy/gate.h"

const char gate_mark[GATE_MARK] = {0, 'H', 'F', 'E', 'N', 'D', '1', '\n'};

struct gate_state gate_look(const struct role_row *r, uint32_t n_on, uint64_t now)
{
    uint64_t primary = cell_get(&r->primary);
    return (struct gate_state){
        .until = gate_open(r, now) ? cell_get(&r->lease_until) : 0,
        .hold = cell_get(&r->hold),
        .epoch = cell_get(&r->epoch),
        .primary =
            primary >= 1 && primary <= MIN(n_on, (uint32_t)GATE_PLACES) ? (int)primary - 1 : -1,
        .sync = (uint32_t)MIN(cell_get(&r->sync), (uint64_t)GATE_PLACES),
        .insync = (uint16_t)cell_get(&r->insync),
    };
}

enum gate_way gate_way(const struct gate_state *g, int self, bool hop)
{
    if (g->until)
        return GATE_HERE;
    return g->primary >= 0 && g->primary != self && !hop ? GATE_THERE : GATE_WAIT;
}
