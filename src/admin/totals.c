#include "admin/totals.h"

#include "os/loop.h"

enum verdict verdict_clamp(uint64_t v)
{
    return v < VERDICTS ? (enum verdict)v : VERDICT_SUSPECT;
}

/* Every generation of the proxy counts, those that have ended too: sums never fall. */
static bool lane_counts(const struct cells *c, uint32_t workers, uint32_t lane)
{
    return lane % c->workers < workers && cells_lane_used(c, lane);
}

void totals_service(const struct cells *c, uint32_t workers, uint32_t slot,
                    struct service_totals *out)
{
    *out = (struct service_totals){0};
    if (slot >= c->header->services)
        return;
    for (uint32_t lane = 0; lane < cells_lanes(c); lane++) {
        if (!lane_counts(c, workers, lane))
            continue;
        const struct service_row *r = cells_service(c, lane, slot);
        out->requests += cell_get(&r->requests);
        for (size_t i = 0; i < ARRAY_LEN(out->status); i++)
            out->status[i] += cell_get(&r->status[i]);
        out->retries += cell_get(&r->retries);
        out->retries_denied += cell_get(&r->retries_denied);
        out->refused_heads += cell_get(&r->refused_heads);
        out->no_instance += cell_get(&r->no_instance);
        out->tunnels += cell_get(&r->tunnels);
        out->relayed += cell_get(&r->relayed);
        out->hedges += cell_get(&r->hedges);
        out->hedges_won += cell_get(&r->hedges_won);
        out->mirrored += cell_get(&r->mirrored);
        out->mirrors_lost += cell_get(&r->mirrors_lost);
        out->rate_limited += cell_get(&r->rate_limited);
        out->waiting += cell_get(&r->waiting);
        out->waited += cell_get(&r->waited);
        out->queue_full += cell_get(&r->queue_full);
        out->queue_late += cell_get(&r->queue_late);
        out->stuck += cell_get(&r->stuck);
        out->unstuck += cell_get(&r->unstuck);
        out->broken += cell_get(&r->broken);
        out->breaker_opened += cell_get(&r->breaker_opened);
        out->breaker = MAX(out->breaker, cell_get(&r->breaker));
        out->held += cell_get(&r->held);
        out->held_total += cell_get(&r->held_total);
        out->hold_refused += cell_get(&r->hold_refused);
        out->cut_deposed += cell_get(&r->cut_deposed);
        out->led_on += cell_get(&r->led_on);
        out->read_replica += cell_get(&r->read_replica);
        out->read_primary += cell_get(&r->read_primary);
        out->read_left += cell_get(&r->read_left);
        out->commits += cell_get(&r->commits);
        out->bytes_in += cell_get(&r->bytes_in);
        out->bytes_out += cell_get(&r->bytes_out);
        out->latency_us_sum += cell_get(&r->latency_us_sum);
        for (size_t i = 0; i < LATENCY_BUCKETS; i++)
            out->latency[i] += cell_get(&r->latency[i]);
    }
}

void totals_instance(const struct cells *c, uint32_t workers, uint32_t slot,
                     struct instance_totals *out)
{
    *out = (struct instance_totals){.proxy_verdict = VERDICT_HEALTHY};
    if (slot >= c->header->slots)
        return;
    for (uint32_t lane = 0; lane < cells_lanes(c); lane++) {
        if (!lane_counts(c, workers, lane))
            continue;
        const struct instance_row *r = cells_instance(c, lane, slot);
        out->inflight += cell_get(&r->inflight);
        out->requests += cell_get(&r->requests);
        out->ok += cell_get(&r->ok);
        out->refused += cell_get(&r->refused);
        out->timeouts += cell_get(&r->timeouts);
        out->resets += cell_get(&r->resets);
        out->errors_5xx += cell_get(&r->errors_5xx);
        out->connects += cell_get(&r->connects);
        out->idle += cell_get(&r->idle);
        out->latency_us_sum += cell_get(&r->latency_us_sum);
        for (size_t i = 0; i < LATENCY_BUCKETS; i++)
            out->latency[i] += cell_get(&r->latency[i]);
        enum verdict v = verdict_clamp(cell_get(&r->verdict));
        out->proxy_verdict = verdict_worse(out->proxy_verdict, v);
    }
}

void totals_listener(const struct cells *c, uint32_t workers, uint32_t slot,
                     struct listener_totals *out)
{
    *out = (struct listener_totals){0};
    if (slot >= CELLS_LISTENERS)
        return;
    for (uint32_t lane = 0; lane < cells_lanes(c); lane++) {
        if (!lane_counts(c, workers, lane))
            continue;
        const struct listener_row *r = cells_listener(c, lane, slot);
        out->open += cell_get(&r->open);
        out->accepted += cell_get(&r->accepted);
        out->refused += cell_get(&r->refused);
        out->bad_hellos += cell_get(&r->bad_hellos);
        out->bad_heads += cell_get(&r->bad_heads);
        out->rests += cell_get(&r->rests);
        out->bytes_in += cell_get(&r->bytes_in);
        out->bytes_out += cell_get(&r->bytes_out);
    }
}

bool latency_quantile(const uint64_t counts[LATENCY_BUCKETS], double q, double *us)
{
    double total = 0, below = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        total += (double)counts[i];
    if (total == 0)
        return false;
    double want = q * total;
    size_t i = 0;
    while (i < LATENCY_BUCKETS - 1 && below + (double)counts[i] < want)
        below += (double)counts[i++];
    unsigned last = LATENCY_BUCKETS - 2, at = (unsigned)i;
    double high = latency_bound(MIN(at, last)), low = at ? latency_bound(at - 1) : 0;
    double share = counts[i] ? (want - below) / (double)counts[i] : 0;
    *us = 1e6 * (low + (high - low) * MAX(0.0, MIN(1.0, share)));
    return true;
}

int history_init(struct history *h, const struct cells *c, uint64_t now, struct err *e)
{
    *h = (struct history){.n_services = c->header->services, .n_instances = c->header->slots};
    h->services = mem_zero(MAX(h->n_services, 1u), sizeof *h->services);
    h->instances = mem_zero(MAX(h->n_instances, 1u), sizeof *h->instances);
    if (!h->services || !h->instances) {
        history_free(h);
        return err_set(e, ERR_NOMEM, "no memory for the history of counters");
    }
    h->fast_at[0] = h->fast_at[1] = h->slow_at[0] = h->slow_at[1] = now;
    return 0;
}

void history_free(struct history *h)
{
    mem_free(h->services);
    mem_free(h->instances);
    *h = (struct history){0};
}

static uint64_t service_errors(const struct service_totals *t)
{
    return t->status[5] + t->status[0];
}

static uint64_t instance_errors(const struct instance_totals *t)
{
    return t->refused + t->timeouts + t->resets + t->errors_5xx;
}

static void remember(uint32_t to[LATENCY_BUCKETS], const uint64_t latency[LATENCY_BUCKETS])
{
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        to[i] = (uint32_t)latency[i];
}

static void past_push(struct past *p, bool fast, bool slow, uint64_t requests, uint64_t errors,
                      const uint64_t latency[LATENCY_BUCKETS])
{
    if (!p->seen) {
        p->seen = true;
        p->requests[1] = requests;
        p->errors[1] = errors;
        remember(p->latency[0], latency);
        remember(p->latency[1], latency);
        fast = true;
    }
    if (fast) {
        p->requests[0] = p->requests[1];
        p->requests[1] = requests;
        p->errors[0] = p->errors[1];
        p->errors[1] = errors;
    }
    if (slow) {
        memcpy(p->latency[0], p->latency[1], sizeof p->latency[0]);
        remember(p->latency[1], latency);
    }
}

static void sample_service(struct history *h, const struct view_service *s, const struct cells *c,
                           uint32_t workers, bool fast, bool slow)
{
    struct service_totals st;
    totals_service(c, workers, s->slot, &st);
    if (s->slot < h->n_services)
        past_push(&h->services[s->slot], fast, slow, st.requests, service_errors(&st), st.latency);
    for (uint32_t i = 0; i < s->n_instances; i++) {
        struct instance_totals it;
        uint32_t slot = s->instances[i].slot;
        totals_instance(c, workers, slot, &it);
        if (slot < h->n_instances)
            past_push(&h->instances[slot], fast, slow, it.requests, instance_errors(&it),
                      it.latency);
    }
}

static bool due(uint64_t at[2], uint64_t now, uint64_t every)
{
    if (now - at[1] < every)
        return false;
    at[0] = at[1];
    at[1] = now;
    return true;
}

void history_sample(struct history *h, const struct view *v, const struct cells *c, uint64_t now)
{
    bool fast = due(h->fast_at, now, HISTORY_FAST_S * NS_PER_S);
    bool slow = due(h->slow_at, now, HISTORY_SLOW_S * NS_PER_S);
    if (!fast && !slow)
        return;
    for (uint32_t i = 0; v && i < v->n_services; i++)
        sample_service(h, &v->services[i], c, v->workers, fast, slow);
}

static uint64_t risen(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static void recent_of(const struct history *h, const struct past *p, uint64_t requests,
                      uint64_t errors, const uint64_t latency[LATENCY_BUCKETS], uint64_t now,
                      struct recent *out)
{
    if (!p->seen)
        return;
    double seconds = (double)risen(now, h->fast_at[0]) / (double)NS_PER_S;
    if (seconds > 0) {
        out->requests_per_second = (double)risen(requests, p->requests[0]) / seconds;
        out->errors_per_second = (double)risen(errors, p->errors[0]) / seconds;
    }
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        out->latency[i] = (uint32_t)latency[i] - p->latency[0][i];
}

void history_service(const struct history *h, uint32_t slot, const struct service_totals *t,
                     uint64_t now, struct recent *out)
{
    *out = (struct recent){0};
    if (slot < h->n_services)
        recent_of(h, &h->services[slot], t->requests, service_errors(t), t->latency, now, out);
}

void history_instance(const struct history *h, uint32_t slot, const struct instance_totals *t,
                      uint64_t now, struct recent *out)
{
    *out = (struct recent){0};
    if (slot < h->n_instances)
        recent_of(h, &h->instances[slot], t->requests, instance_errors(t), t->latency, now, out);
}
