/* How far the places are behind: by bytes, as they say themselves where they are, and by time, as
 * lag.h finds it from what the primary said and when. Nobody says it to anybody: each node sees it
 * for itself, those that are no candidates too. */
#include "recover/failover_inside.h"

#define SILENT_NS (1200 * MS) /* it says how it is each second, also when nothing moves */

void lag_step(struct failover *f, uint64_t now)
{
    uint8_t primary = f->record.r.primary;
    if (primary >= f->params.n || !failover_acts(f, primary))
        return;
    const struct failover_peer *p = &f->peers[primary];
    if (primary == f->params.self)
        lag_saw(&f->lag, f->report.position, now);
    else if (p->alive && !p->failed && now - p->heard_at < SILENT_NS)
        lag_saw(&f->lag, p->said.position, now);
}

static uint64_t position_of(const struct failover *f, uint8_t i)
{
    return i == f->params.self ? f->report.position : f->peers[i].said.position;
}

struct failover_behind failover_behind(const struct failover *f, uint8_t i, uint64_t now)
{
    struct failover_behind b = {0};
    uint64_t has = position_of(f, i), top = lag_top(&f->lag);
    bool heard = i == f->params.self ? f->reported : f->peers[i].heard;
    if (i == f->params.self && f->promoted)
        b.known = true;
    else if (heard && lag_of(&f->lag, has, now, &b.time))
        b = (struct failover_behind){true, top > has ? top - has : 0, b.time};
    return b;
}

static bool is_there(const struct failover *f, uint8_t primary)
{
    const struct failover_peer *p = &f->peers[primary];
    if (primary == f->params.self)
        return f->promoted != 0;
    return p->alive && !p->failed && failover_acts(f, primary) && (p->said.flags & ROLE_WELL);
}

/* As of when it was lost: the time since then makes nobody's data worse than the others'. */
bool failover_far(const struct failover *f, uint8_t i, uint64_t now)
{
    const struct failover_record *k = &f->record;
    bool bounded = f->params.lag_bytes || f->lag_bound;
    if (!bounded || k->r.sync || k->r.forced || i == k->r.primary || k->r.primary >= f->params.n ||
        is_there(f, k->r.primary))
        return false;
    struct failover_behind b = failover_behind(f, i, f->lost_at ? f->lost_at : now);
    return b.known && ((f->params.lag_bytes && b.bytes > f->params.lag_bytes) ||
                       (f->lag_bound && b.time > f->lag_bound));
}

bool failover_readable(const struct failover *f, uint8_t i)
{
    const struct failover_peer *p = &f->peers[i];
    if (p->maintenance || i == f->record.r.primary)
        return false;
    if (i == f->params.self)
        return f->reported && f->report.well && f->report.instance == INSTANCE_REPLICA &&
               f->report.data != 0;
    return p->alive && !p->failed && p->heard && (p->said.flags & ROLE_WELL) &&
           p->said.instance == INSTANCE_REPLICA && p->said.data != 0;
}
