/* service: a service as one worker sees it.
 *
 * A new view makes new services of those that have changed; their targets (the instances) live on
 * while slot, name and address stay, and with them their pooled connections, the requests that they
 * have and what the worker learnt about them. An exchange keeps the service that it began with
 * until it ends, but its instance counts it in the pool in use.
 *
 * Two verdicts meet here: control's, read from the cells, and the worker's own. A member is failed
 * if either says so; otherwise control's counts. Control knows more (all workers, the checks); the
 * worker knows first, and knows its own path. */
#include <errno.h>

#include "proxy/internal.h"

static struct judge_params own_params(const struct view_service *conf)
{
    return (struct judge_params){
        .checked = false,
        .rise = 1,
        .fall = 1,
        .eject_after = conf->eject.after,
        .hold = conf->eject.hold,
        .hold_max = conf->eject.hold_max,
        .interval = NS_PER_S,
        .fast_interval = NS_PER_S,
    };
}

/* --- targets --- */

static void on_hold(struct timer *timer)
{
    target_tick(CONTAINER_OF(timer, struct target, hold));
}

static struct target *target_new(struct worker *w, const struct view_instance *i,
                                 const struct view_service *conf)
{
    struct target *t = mem_zero(1, sizeof *t);
    if (!t)
        return NULL;
    struct judge_params params = own_params(conf);
    t->refs = 1;
    t->worker = w;
    t->slot = i->slot;
    t->addr = i->addr;
    str_copy(t->name, sizeof t->name, i->name);
    t->row = cells_instance(&w->cells, w->lane, i->slot);
    t->seen_changes = UINT64_MAX;
    judge_init(&t->judge, &params, loop_now(w->loop));
    timer_init(&t->hold, on_hold);
    list_init(&t->idle);
    return t;
}

static void close_pooled(struct target *t)
{
    while (!list_empty(&t->idle))
        upstream_close(LIST_ENTRY(t->idle.next, struct upstream, link));
}

static void clear_row(struct instance_row *row)
{
    cell *cells = (cell *)row;
    for (size_t i = 0; i < sizeof *row / sizeof *cells; i++)
        cell_set(&cells[i], 0);
}

void target_unref(struct target *t)
{
    CHECK(t->refs > 0);
    if (--t->refs)
        return;
    struct worker *w = t->worker;
    loop_timer_stop(w->loop, &t->hold);
    if (w->targets[t->slot] == t) {
        w->targets[t->slot] = NULL;
        if (!w->ending)
            clear_row(t->row); /* whoever gets the slot next begins at zero */
    }
    mem_free(t);
}

/* The instance left the configuration. What is under way ends in peace; nothing new comes, and
 * nothing waits in the pool. */
static void target_leave(struct target *t)
{
    t->service = NULL;
    close_pooled(t);
}

static void arm_hold(struct target *t)
{
    struct loop *l = t->worker->loop;
    uint64_t at = t->judge.verdict == VERDICT_FAILED ? judge_deadline(&t->judge) : UINT64_MAX;
    if (at == UINT64_MAX)
        loop_timer_stop(l, &t->hold);
    else
        loop_timer_set(l, &t->hold, at);
}

static void read_verdict(struct target *t, const struct instance_verdict *row, struct member *m)
{
    uint64_t verdict = cell_get(&row->verdict), since = cell_get(&row->since);
    if (cell_get(&row->changes) == 0)
        verdict = VERDICT_SUSPECT; /* control has not looked yet */
    bool failed = verdict >= VERDICT_FAILED;
    if (judge_hear(&t->judge, (enum verdict)MIN(verdict, VERDICT_FAILED),
                   loop_now(t->worker->loop)))
        arm_hold(t);
    bool own_failed = t->judge.verdict == VERDICT_FAILED;
    uint8_t was = m->verdict;
    m->verdict = failed || own_failed ? VERDICT_FAILED : (uint8_t)verdict;
    if (was == VERDICT_FAILED && m->verdict != VERDICT_FAILED)
        m->returned = loop_now(t->worker->loop);
    m->certain = (failed && cell_get(&row->certain)) || (own_failed && t->judge.certain);
    m->since = failed ? since : t->judge.since;
    m->draining = cell_get(&row->draining) != 0;
    m->trial = cell_get(&row->reason) == REASON_RECOVERING || t->judge.reason == REASON_RECOVERING;
    cell_set(&t->row->verdict, (uint64_t)t->judge.verdict);
}

static void refresh_member(struct target *t)
{
    if (!t->service)
        return;
    const struct instance_verdict *row = cells_verdict(&t->worker->cells, t->slot);
    t->seen_changes = cell_get(&row->changes);
    read_verdict(t, row, &t->service->pool.members[t->member]);
    pool_update(&t->service->pool);
}

void service_sync(struct service *s)
{
    bool changed = false;
    for (uint32_t i = 0; i < s->pool.n; i++) {
        struct target *t = s->targets[i];
        const struct instance_verdict *row = cells_verdict(&t->worker->cells, t->slot);
        uint64_t changes = cell_get(&row->changes);
        if (__builtin_expect(changes == t->seen_changes, 1))
            continue;
        t->seen_changes = changes;
        read_verdict(t, row, &s->pool.members[i]);
        changed = true;
    }
    if (changed)
        pool_update(&s->pool);
}

static bool tell_judge(struct target *t, enum signal_kind kind, uint32_t count, uint32_t detail,
                       struct signal *out)
{
    *out = (struct signal){
        .at = loop_now(t->worker->loop),
        .slot = t->slot,
        .count = count,
        .kind = (uint16_t)kind,
        .observer = (uint16_t)(t->worker->index + 1),
        .detail = detail,
    };
    return judge_signal(&t->judge, out);
}

static bool tell_judge_of_ok(struct target *t)
{
    struct signal s;
    uint32_t count = t->ok_unsaid;
    t->ok_unsaid = 0;
    return count && tell_judge(t, SIGNAL_REQ_OK, count, 0, &s);
}

static void count_failure(struct target *t, enum signal_kind kind)
{
    struct instance_row *r = t->row;
    switch (kind) {
    case SIGNAL_REQ_REFUSED: cell_add(&r->refused, 1); break;
    case SIGNAL_REQ_TIMEOUT: cell_add(&r->timeouts, 1); break;
    case SIGNAL_REQ_RESET: cell_add(&r->resets, 1); break;
    case SIGNAL_REQ_5XX: cell_add(&r->errors_5xx, 1); break;
    case SIGNAL_REQ_OK: break;
    case SIGNAL_CHECK_OK:
    case SIGNAL_CHECK_REFUSED:
    case SIGNAL_CHECK_TIMEOUT:
    case SIGNAL_CHECK_RESET:
    case SIGNAL_CHECK_BAD:
    case SIGNAL_BEAT_OK:
    case SIGNAL_BEAT_FAILED:
    case SIGNAL_BEAT_MISSING:
    case SIGNAL_KINDS: UNREACHABLE();
    }
}

void target_signal(struct target *t, enum signal_kind kind, uint32_t detail)
{
    struct signal s;
    count_failure(t, kind);
    bool changed = tell_judge_of_ok(t);
    changed = tell_judge(t, kind, 1, detail, &s) || changed;
    /* Its row may be another's by now, who is not to blame. */
    bool mine = t->worker->targets[t->slot] == t;
    if (mine && !proxy_evidence(t->worker->proxy, &s))
        cell_add(&t->worker->row->signals_dropped, 1);
    if (!changed)
        return;
    arm_hold(t);
    refresh_member(t);
}

void target_ok(struct target *t, uint64_t latency_us)
{
    cell_add(&t->row->ok, 1);
    cell_add(&t->row->latency_us_sum, latency_us);
    cell_add(&t->row->latency[latency_bucket(latency_us)], 1);
    if (t->judge.verdict != VERDICT_HEALTHY || t->judge.bad_requests)
        target_signal(t, SIGNAL_REQ_OK, (uint32_t)MIN(latency_us, UINT32_MAX));
    else
        t->ok_unsaid++;
}

void target_tick(struct target *t)
{
    uint64_t now = loop_now(t->worker->loop);
    bool changed = tell_judge_of_ok(t);
    changed = judge_tick(&t->judge, now) || changed;
    while (!list_empty(&t->idle)) {
        struct upstream *oldest = LIST_ENTRY(t->idle.prev, struct upstream, link);
        if (now - oldest->idle_since < UPSTREAM_IDLE_NS)
            break;
        upstream_close(oldest);
    }
    if (!changed)
        return;
    arm_hold(t);
    refresh_member(t);
}

/* --- picking --- */

enum { PICK_AGAIN = 4 }; /* when others take the last place meanwhile */

/* Under limits, too? What was not limited when it began counts for no limit. */
static bool is_limited(const struct view_service *conf)
{
    bool any = conf->admit.requests || conf->admit.per_instance;
    for (uint32_t i = 0; i < conf->n_instances; i++)
        any |= conf->instances[i].max_requests > 0;
    return any;
}

static int given(struct service *s, int member)
{
    if (member < 0)
        return PICK_NOBODY;
    struct target *t = s->targets[member];
    struct limit *limit = s->pool.members[member].limit;
    if (limit && !limit_take(limit)) { /* another worker was faster */
        pool_done(&s->pool, (uint32_t)member);
        return PICK_FULL;
    }
    t->placed += limit != NULL;
    t->inflight++;
    if (t->service != s) { /* a request that goes on with what a reload has replaced */
        pool_done(&s->pool, (uint32_t)member);
        if (t->service)
            pool_begin(&t->service->pool, t->member);
    }
    return member;
}

int service_pick(struct service *s, const struct tried *tried, uint64_t key)
{
    int member;
    service_sync(s);
    for (int i = 0; i < PICK_AGAIN; i++) {
        member = given(s, pool_pick(&s->pool, tried, key, loop_now(s->worker->loop)));
        if (member != PICK_FULL)
            break;
    }
    return member == PICK_NOBODY && s->limited && pool_full(&s->pool, tried) ? PICK_FULL : member;
}

int service_pick_sticky(struct service *s, const struct tried *tried, uint32_t member)
{
    service_sync(s);
    const struct limit *limit = s->pool.members[member].limit;
    const struct member *m = &s->pool.members[member];
    if (limit && limit_full(limit) && m->verdict < VERDICT_FAILED && !m->draining &&
        !tried_has(tried, member))
        return PICK_FULL;
    return given(s, pool_pick_sticky(&s->pool, tried, member, loop_now(s->worker->loop)));
}

void service_observe(struct service *s, uint32_t member, enum outcome outcome, uint64_t latency)
{
    const struct target *t = s->targets[member];
    if (t->service)
        pool_observe(&t->service->pool, t->member, outcome, latency, loop_now(s->worker->loop));
}

void service_done(struct service *s, uint32_t member)
{
    struct target *t = s->targets[member];
    CHECK(t->inflight > 0);
    t->inflight--;
    if (t->service)
        pool_done(&t->service->pool, t->member);
    if (!t->placed)
        return;
    t->placed--;
    limit_give(&s->worker->places[t->slot]);
    admission_came_free(s);
}

/* --- services --- */

static struct target *find_or_make(struct worker *w, const struct view_instance *i,
                                   const struct view_service *conf)
{
    struct target *t = w->targets[i->slot];
    if (t && addr_eq(&t->addr, &i->addr) && str_eq(str_of(t->name), i->name)) {
        t->refs++;
        return t;
    }
    return target_new(w, i, conf);
}

static void service_free(struct service *s)
{
    for (uint32_t i = 0; s->targets && i < s->conf->n_instances; i++) {
        struct target *t = s->targets[i];
        if (!t)
            continue;
        if (t->service == s)
            target_leave(t);
        target_unref(t);
    }
    rules_close(&s->rules);
    for (uint32_t i = 0; s->route_rules && i < s->conf->n_routes; i++)
        rules_close(&s->route_rules[i]);
    mem_free(s->route_rules);
    if (s->door)
        door_unref(s->door);
    pool_free(&s->pool);
    mem_free(s->targets);
    mem_free(s->format);
    sticky_members_close(&s->sessions);
    common_unref(s->common);
    shared_view_unref(s->shared);
    mem_free(s);
}

/* What was learnt of the instances that stay; an instance that a reload adds begins slowly, one
 * that was there at the start does not. */
static void inherit(struct service *s, const struct service *before)
{
    s->budget = before->budget;
    for (uint32_t i = 0; i < s->pool.n; i++) {
        const struct target *t = s->targets[i];
        s->pool.members[i].returned = loop_now(s->worker->loop);
        if (t->service == before)
            pool_inherit(&s->pool, i, &before->pool, t->member);
    }
}

/* The zones that a service's instances name; numbers from 1, in the order of their first. */
struct zones {
    struct str name[POOL_ZONES];
    uint8_t n;
};

/* 0: none. Those that are too many are all the last. */
static uint8_t zone_number(struct zones *z, struct str zone)
{
    if (zone.n == 0)
        return 0;
    for (uint8_t i = 0; i < z->n; i++)
        if (str_eq(z->name[i], zone))
            return (uint8_t)(i + 1);
    if (z->n + 1 < POOL_ZONES)
        z->name[z->n++] = zone;
    return z->n;
}

static void place_in_zones(struct service *s)
{
    struct zones z = {.n = 0};
    for (uint32_t i = 0; i < s->pool.n; i++)
        s->pool.members[i].zone = zone_number(&z, s->conf->instances[i].zone);
    uint8_t known = z.n, own = zone_number(&z, s->shared->view->zone);
    s->pool.params.zone = own <= known ? own : 0; /* nobody is near */
}

static int open_pool(struct service *s, struct err *e)
{
    const struct view_service *conf = s->conf;
    struct pool_params params = {
        .algorithm = (enum algorithm)conf->balance,
        .n = conf->n_instances,
        .eject_permille = conf->eject.share_permille,
        .group_least_permille = conf->group_permille,
        .subset = conf->subset,
        .peer = s->worker->index,
        .peers = s->worker->proxy_workers,
        .slow_start = conf->slow_start,
        .bound_permille = conf->hash_bound_permille,
    };
    entropy(&params.seed, sizeof params.seed);
    return pool_open(&s->pool, &params, e);
}

static int open_rules(struct service *s, struct err *e)
{
    const struct view_service *conf = s->conf;
    s->route_rules = conf->n_routes ? mem_zero(conf->n_routes, sizeof *s->route_rules) : NULL;
    if (conf->n_routes && !s->route_rules)
        return err_set(e, ERR_NOMEM, "no memory for the routes of " STR_FMT, STR_ARG(conf->name));
    int r = rules_open(&s->rules, &conf->rules, e);
    s->rules.rates = &s->common->rates[0];
    for (uint32_t i = 0; r == 0 && i < conf->n_routes; i++) {
        r = rules_open(&s->route_rules[i], &conf->routes[i].rules, e);
        s->route_rules[i].rates = &s->common->rates[1 + i];
    }
    return r;
}

int service_new(struct worker *w, struct shared_view *sv, uint32_t index,
                const struct service *before, struct service **out, struct err *e)
{
    const struct view_service *conf = &sv->view->services[index];
    struct service *s = mem_zero(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory for service " STR_FMT, STR_ARG(conf->name));
    list_init(&s->link);
    s->refs = 1;
    s->worker = w;
    s->conf = conf;
    s->revision = sv->revision[index];
    s->limited = is_limited(conf);
    s->shared = sv;
    shared_view_ref(sv);
    s->common = common_ref(sv->commons[index]);
    s->row = cells_service(&w->cells, w->lane, conf->slot);
    s->log = conf->access_log < 0 ? NULL : sv->logs[conf->access_log];
    s->targets = mem_zero(MAX(conf->n_instances, 1u), sizeof *s->targets);
    int r = s->targets
                ? open_pool(s, e)
                : err_set(e, ERR_NOMEM, "no memory for service " STR_FMT, STR_ARG(conf->name));
    if (r == 0)
        r = open_rules(s, e);
    if (r == 0)
        r = session_members_open(s, e);
    for (uint32_t i = 0; r == 0 && i < conf->n_instances; i++) {
        s->targets[i] = find_or_make(w, &conf->instances[i], conf);
        if (!s->targets[i])
            r = err_set(e, ERR_NOMEM, "no memory for an instance of " STR_FMT, STR_ARG(conf->name));
    }
    if (r == 0 && view_is_primary(conf) && !(s->door = door_get(w, conf->slot)))
        r = err_set(e, ERR_NOMEM, "no memory for the gate of " STR_FMT, STR_ARG(conf->name));
    if (r == 0 && !service_open_log(s))
        r = err_set(e, ERR_NOMEM, "no memory for the log of " STR_FMT, STR_ARG(conf->name));
    if (r) {
        service_free(s);
        return r;
    }
    if (before)
        inherit(s, before);
    else
        budget_init(&s->budget, 0, 0);
    s->budget.share_permille = conf->retry.budget_permille;
    s->budget.reserve = conf->retry.reserve;
    *out = s;
    return 0;
}

void service_activate(struct service *s)
{
    struct judge_params params = own_params(s->conf);
    for (uint32_t i = 0; i < s->pool.n; i++) {
        struct target *t = s->targets[i];
        struct target *other = s->worker->targets[t->slot];
        if (other && other != t && other->service)
            target_leave(other); /* the slot went to another address */
        s->worker->targets[t->slot] = t;
        t->service = s;
        t->member = i;
        s->pool.members[i].inflight = t->inflight;
        judge_set_params(&t->judge, &params);
        const struct view_instance *conf = &s->conf->instances[i];
        s->pool.members[i].weight = conf->weight;
        s->pool.members[i].limit = s->limited ? &s->worker->places[t->slot] : NULL;
        s->pool.members[i].priority = (uint8_t)conf->priority;
        s->pool.members[i].key = key_of_instance(s->conf->name, conf->name);
        const struct instance_verdict *row = cells_verdict(&s->worker->cells, t->slot);
        t->seen_changes = cell_get(&row->changes);
        read_verdict(t, row, &s->pool.members[i]);
    }
    place_in_zones(s);
    pool_update(&s->pool);
    if (s->door)
        door_serve(s->door, s);
}

void service_move(struct service *s, struct shared_view *sv, uint32_t index)
{
    shared_view_ref(sv);
    shared_view_unref(s->shared);
    s->shared = sv;
    s->conf = &sv->view->services[index];
    s->log = s->conf->access_log < 0 ? NULL : sv->logs[s->conf->access_log];
    rules_move(&s->rules, &s->conf->rules);
    for (uint32_t i = 0; i < s->conf->n_routes; i++)
        rules_move(&s->route_rules[i], &s->conf->routes[i].rules);
    bool room = service_open_log(s);
    CHECK(room); /* the same settings as before */
    if (s->door)
        door_serve(s->door, s); /* nodes may have moved */
}

void service_leave(struct service *s)
{
    if (s->door)
        door_leave(s->door, s);
    for (uint32_t i = 0; i < s->pool.n; i++)
        if (s->targets[i]->service == s)
            target_leave(s->targets[i]);
}

void service_tick(struct service *s)
{
    circuit_tick(s);
    for (uint32_t i = 0; i < s->pool.n; i++)
        target_tick(s->targets[i]);
}

void service_ref(struct service *s)
{
    s->refs++;
}

void service_unref(struct service *s)
{
    CHECK(s->refs > 0);
    if (--s->refs == 0)
        service_free(s);
}
