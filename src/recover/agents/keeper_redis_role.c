/* What it follows, and whether it takes writes. An order becomes requests in one go, so that Redis
 * does them without anything in between; the last one is INFO, which tells the exact position.
 *
 *   order     requests                                                done when
 *   FOLLOW    REPLICAOF address                                        it is accepted
 *   FENCE     REPLICAOF sink, INFO                                     INFO is there
 *   PROMOTE   REPLICAOF NO ONE, a write, INFO                          it is a primary and takes
 * writes DEMOTE    REPLICAOF sink, CLIENT KILL (normal, pubsub), INFO       INFO is there lapse the
 * same                                                 REPLICAOF is accepted
 *
 * One that is to take no writes any more and does not say so within D (an order) or half of D
 * (lapse) is killed. One that does not run takes nothing and no writes: FENCE, DEMOTE and FOLLOW
 * are done at once, and what is to be followed is told it when it runs. */
#include <stdio.h>

#include "recover/agents/keeper_redis.h"

#define ORDER_LIMIT (2 * NS_PER_S)
#define RETRY_FIRST (100 * NS_PER_MS)

static void ask(struct kept_redis *r, uint8_t tag, const char *a, const char *b, const char *c)
{
    struct buf *out = redis_link_ask(&r->link, tag);
    if (out)
        resp_put_words(out, a, b, c, NULL);
}

static void ask_replicaof(struct kept_redis *r, const char *host, unsigned port)
{
    struct buf *out = redis_link_ask(&r->link, TAG_SET);
    char number[16];
    snprintf(number, sizeof number, "%u", port);
    if (out) {
        resp_put_words(out, "REPLICAOF", host, number, NULL);
        r->setting++;
    }
}

void redis_told(struct kept_redis *r)
{
    const struct addr *a = &r->keeper->spec.places[r->primary].address;
    char ip[ADDR_TEXT_MAX];
    r->set_at = loop_now(r->keeper->loop);
    if (!redis_link_is_open(&r->link))
        return;
    switch (r->follows) {
    case FOLLOWS_SINK: ask_replicaof(r, "127.0.0.1", r->sink.port); break;
    case FOLLOWS_PRIMARY:
        addr_format_ip(a, ip);
        ask_replicaof(r, ip, a->port);
        break;
    case FOLLOWS_NOBODY:
        ask(r, TAG_SET, "REPLICAOF", "NO", "ONE");
        r->setting++;
        break;
    }
}

/* Told what it was told before, it would go on to wait for its next try, up to a second. */
void redis_retell(struct kept_redis *r)
{
    ask_replicaof(r, "127.0.0.1", r->sink.port);
    redis_told(r);
    redis_link_flush(&r->link);
    r->retry = MIN(2 * r->retry, NS_PER_S);
}

static void limit(struct kept_redis *r, uint64_t within)
{
    uint64_t at = loop_refresh(r->keeper->loop) + within;
    if (!timer_is_set(&r->limit) || at < r->limit.at)
        loop_timer_set(r->keeper->loop, &r->limit, at);
}

void redis_passwords(struct kept_redis *r)
{
    const struct agent_instance *spec = &r->keeper->spec;
    const char *const users[][2] = {{"holdfast", spec->password},
                                    {"default", spec->gate_password},
                                    {"reader", spec->gate_password}};
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        struct buf *out = redis_link_ask(&r->link, TAG_NONE);
        char password[INSTANCE_PASSWORD + 1];
        snprintf(password, sizeof password, ">%s", users[i][1]);
        if (out)
            resp_put_words(out, "ACL", "SETUSER", users[i][0], password, NULL);
        wipe(password, sizeof password);
    }
    struct buf *out = redis_link_ask(&r->link, TAG_NONE);
    if (out)
        resp_put_words(out, "CONFIG", "SET", "masterauth", spec->password, NULL);
    redis_link_flush(&r->link);
}

/* All but ourselves. */
static void ask_kill(struct kept_redis *r, const char *type)
{
    struct buf *out = redis_link_ask(&r->link, TAG_NONE);
    if (out)
        resp_put_words(out, "CLIENT", "KILL", "TYPE", type, NULL);
}

static void ask_order(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    bool promote = k->ordered && k->order.what == ORDER_PROMOTE;
    redis_told(r);
    if (r->demoting) {
        ask_kill(r, "normal");
        ask_kill(r, "pubsub");
    }
    if (promote)
        ask(r, TAG_PROBE, "DEL", "holdfast:none", NULL);
    if (k->ordered && k->order.what != ORDER_FOLLOW)
        ask(r, TAG_LAST, "INFO", "replication", NULL);
    redis_link_flush(&r->link);
}

void redis_connected(struct kept_redis *r)
{
    r->setting = 0;
    ask(r, TAG_NONE, "SELECT", "16", NULL);
    ask_order(r);
    redis_look_soon(r);
}

/* --- orders --- */

static void change(struct kept_redis *r, enum redis_follows follows, uint8_t primary)
{
    struct keeper *k = r->keeper;
    if (r->follows == FOLLOWS_NOBODY && follows != FOLLOWS_NOBODY && r->life == REDIS_RUNS)
        r->demoting = true;
    r->follows = follows;
    r->primary = primary;
    r->retry = RETRY_FIRST;
    k->report.follows = follows == FOLLOWS_PRIMARY ? primary : ROLE_NOBODY;
    k->report.joined = false;
}

/* Not told anything yet since its start: it is as it was configured, which is fenced. */
static bool is_at_rest(const struct kept_redis *r)
{
    return r->life != REDIS_RUNS || (r->fresh && !r->demoting);
}

static void promote(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    struct err e;
    if (r->life != REDIS_RUNS || r->fresh || !r->known || !redis_link_is_open(&r->link)) {
        int rc = err_set(&e, ERR_BUSY, "it cannot be promoted now: %s",
                         k->report.sentence[0] ? k->report.sentence : "it does not answer");
        keeper_done(k, rc, &e);
        keeper_rests(k);
        return;
    }
    if (r->follows == FOLLOWS_NOBODY && k->report.state == INSTANCE_PRIMARY) {
        k->report.history = k->order.epoch;
        keeper_done(k, 0, NULL);
        return;
    }
    change(r, FOLLOWS_NOBODY, 0);
    r->demoting = false;
    limit(r, ORDER_LIMIT);
    ask_order(r);
}

static bool is_of_epoch(const struct kept_redis *r, uint64_t epoch)
{
    const struct keeper *k = r->keeper;
    if (r->follows == FOLLOWS_NOBODY)
        return k->acts && k->acts_epoch == epoch;
    return r->follows == FOLLOWS_PRIMARY && r->follows_epoch == epoch;
}

void redis_order(struct keeper *k)
{
    struct kept_redis *r = k->kept;
    bool asks_only = false;
    loop_timer_stop(k->loop, &r->limit);
    switch ((enum instance_order)k->order.what) {
    case ORDER_PROMOTE: promote(r); return;
    case ORDER_FOLLOW:
        change(r, FOLLOWS_PRIMARY, k->order.primary);
        r->follows_epoch = k->order.epoch;
        break;
    case ORDER_FENCE:
        asks_only = is_of_epoch(r, k->order.epoch);
        if (!asks_only)
            change(r, FOLLOWS_SINK, 0);
        break;
    case ORDER_DEMOTE:
        asks_only = r->follows != FOLLOWS_NOBODY;
        if (!asks_only)
            change(r, FOLLOWS_SINK, 0);
        break;
    case ORDER_STOP:
    case ORDER_VIP_TAKE:
    case ORDER_VIP_LEAVE:
    case INSTANCE_ORDERS: UNREACHABLE();
    }
    if (is_at_rest(r)) {
        redis_told(r);
        redis_link_flush(&r->link);
        keeper_rests(k);
        keeper_done(k, 0, NULL);
        return;
    }
    limit(r, r->demoting ? k->spec.demotion : ORDER_LIMIT);
    if (asks_only) {
        ask(r, TAG_LAST, "INFO", "replication", NULL);
        redis_link_flush(&r->link);
    } else {
        ask_order(r);
    }
}

void redis_lapse(struct keeper *k)
{
    struct kept_redis *r = k->kept;
    if (r->follows == FOLLOWS_NOBODY)
        change(r, FOLLOWS_SINK, 0);
    if (!r->demoting) {
        keeper_rests(k);
        return;
    }
    limit(r, k->spec.demotion / 2);
    ask_order(r);
}

void redis_on_limit(struct timer *t)
{
    struct kept_redis *r = CONTAINER_OF(t, struct kept_redis, limit);
    struct keeper *k = r->keeper;
    struct err e;
    if (r->demoting) {
        redis_kill(r, "it did not stop to take writes in time");
        return;
    }
    if (k->ordered && k->order.what == ORDER_PROMOTE)
        redis_lapse(k);
    keeper_done(k, err_set(&e, ERR_TIMEOUT, "it does not answer"), &e);
    keeper_tell(k);
}

/* It takes no writes, and whatever was to be done about that is done. */
void redis_role_dead(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    struct err e;
    bool promoting = k->ordered && k->order.what == ORDER_PROMOTE;
    loop_timer_stop(k->loop, &r->limit);
    if (r->follows == FOLLOWS_NOBODY)
        change(r, FOLLOWS_SINK, 0);
    r->demoting = false;
    r->fresh = true;
    r->setting = 0;
    k->report.joined = false;
    k->report.history = k->report.position = 0;
    keeper_state(k, INSTANCE_DOWN);
    keeper_rests(k);
    if (promoting)
        keeper_done(k, err_set(&e, ERR_IO, "it died"), &e);
    else
        keeper_done(k, 0, NULL);
}

/* --- replies --- */

static void refused(struct kept_redis *r, const struct resp_value *v)
{
    struct keeper *k = r->keeper;
    struct err e;
    if (str_starts(v->text, STR("LOADING")))
        return; /* it is told again at each look */
    if (k->ordered)
        keeper_done(
            k, err_set(&e, ERR_IO, "it answers: %.*s", (int)MIN(v->text.n, (size_t)120), v->text.p),
            &e);
}

static void was_set(struct kept_redis *r, const struct resp_value *v)
{
    struct keeper *k = r->keeper;
    if (r->setting)
        r->setting--;
    if (resp_is_error(v)) {
        refused(r, v);
        return;
    }
    if (r->setting)
        return;
    r->fresh = false;
    if (r->follows == FOLLOWS_NOBODY)
        return;
    if (r->demoting) {
        r->demoting = false;
        loop_timer_stop(k->loop, &r->limit);
        keeper_state(k, INSTANCE_REPLICA);
    }
    keeper_rests(k);
    if (k->ordered && k->order.what == ORDER_FOLLOW)
        keeper_done(k, 0, NULL);
    keeper_tell(k);
}

static void promoted(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    struct err e;
    if (!keeper_lease_holds(k, loop_refresh(k->loop))) {
        keeper_done(k, err_set(&e, ERR_DENIED, "the lease has run out"), &e);
        redis_lapse(k);
        return;
    }
    k->report.history = k->order.epoch;
    keeper_state(k, INSTANCE_PRIMARY);
    keeper_well(k, KEEPER_GOOD);
    patience_good(&r->well, loop_now(k->loop));
    keeper_done(k, 0, NULL);
}

static void was_last(struct kept_redis *r, const struct resp_value *v)
{
    struct keeper *k = r->keeper;
    struct redis_info info;
    struct err e;
    if (resp_is_error(v) || !redis_info_read(v->text, &k->spec, &info)) {
        keeper_done(k, err_set(&e, ERR_PROTO, "it does not tell its position"), &e);
        return;
    }
    redis_learn(r, &info);
    if (!k->ordered || k->order.what == ORDER_FOLLOW)
        return;
    loop_timer_stop(k->loop, &r->limit);
    if (k->order.what != ORDER_PROMOTE)
        keeper_done(k, 0, NULL);
    else if (info.primary)
        promoted(r);
}

/* While it is promoted: what refuses a write now is no primary. */
static bool promotion_fails(struct kept_redis *r, const struct resp_value *v)
{
    struct keeper *k = r->keeper;
    struct err e;
    if (!k->ordered || k->order.what != ORDER_PROMOTE)
        return false;
    if (resp_is_error(v)) {
        int rc = err_set(&e, ERR_IO, "it refuses writes: %.*s", (int)MIN(v->text.n, (size_t)120),
                         v->text.p);
        keeper_done(k, rc, &e);
        redis_lapse(k);
    }
    return true;
}

void redis_reply(void *context, uint8_t tag, const struct resp_value *v)
{
    struct kept_redis *r = context;
    switch ((enum redis_tag)tag) {
    case TAG_NONE: break;
    case TAG_SET: was_set(r, v); break;
    case TAG_LAST: was_last(r, v); break;
    case TAG_PROBE:
        if (!promotion_fails(r, v))
            redis_looked(r, tag, v);
        break;
    case TAG_INFO:
    case TAG_DISK:
    case TAG_EXPIRE: redis_looked(r, tag, v); break;
    }
}
