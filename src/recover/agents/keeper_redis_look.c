/* How it is. A look is a row of requests whose replies are waited for before the next one:
 *
 *   INFO replication            role, position, the link, its replicas
 *   INFO persistence            does it load? can it write its append-only file?
 *   of a primary:
 *   DEL of what is not there    a write that changes nothing, and is refused like any other
 *   each second EXPIRE          of a key of our own, in a database of our own: a write that reaches
 * the disk WAIT                        its replicas say where they are
 *
 * Every 25 ms; more often while somebody waits for what it tells. Each look that finds nothing
 * wrong is a good answer. What is wrong for hang_after makes the instance not well: it answers and
 * refuses writes, its disk is full, it does not answer at all. That memory is full is its users'
 * business. Time in which the agent did not run itself does not count, nor does time in which Redis
 * was ready and got no processor, up to SPARED times hang_after (patience.h, starved.h). */
#include <stdio.h>

#include "recover/agents/keeper_redis.h"

#define LOOK_EVERY   (25 * NS_PER_MS)
#define LOOK_SOON    (8 * NS_PER_MS)
#define TURN_MOST    (2 * LOOK_EVERY) /* what comes later is our own delay */
#define SPARED       4                /* without a processor for longer it is not well either */
#define EAGER_FOR    (NS_PER_S)
#define EXPIRE_EVERY (NS_PER_S)

/* --- what INFO says. Pure --- */

static bool is_place(const struct instance_place *p, struct str ip, struct str port)
{
    char text[ADDR_TEXT_MAX];
    uint64_t n;
    size_t len = addr_format_ip(&p->address, text);
    return str_eq(ip, (struct str){text, len}) && str_u64(port, UINT16_MAX, &n) &&
           n == p->address.port;
}

static void read_follower(struct str line, const struct agent_instance *spec,
                          struct redis_info *out)
{
    struct str ip, port, state, offset, lag;
    uint64_t position, seconds = 0;
    if (!resp_info_part(line, STR("ip"), &ip) || !resp_info_part(line, STR("port"), &port) ||
        !resp_info_part(line, STR("state"), &state) ||
        !resp_info_part(line, STR("offset"), &offset) || !str_u64(offset, INT64_MAX, &position))
        return;
    if (resp_info_part(line, STR("lag"), &lag))
        str_u64(lag, UINT32_MAX, &seconds);
    for (uint32_t i = 0; i < spec->n_places; i++)
        if (is_place(&spec->places[i], ip, port) && i != spec->place)
            out->followers[i] = (struct instance_follower){str_eq(state, STR("online")), position,
                                                           seconds * NS_PER_S};
}

bool redis_info_read(struct str text, const struct agent_instance *spec, struct redis_info *out)
{
    struct str s;
    *out = (struct redis_info){0};
    if (!resp_info(text, STR("role"), &s))
        return false;
    out->primary = str_eq(s, STR("master"));
    if (resp_info(text, STR("master_replid"), &s))
        str_copy(out->id, sizeof out->id, s);
    out->link_up = resp_info(text, STR("master_link_status"), &s) && str_eq(s, STR("up"));
    out->syncing = resp_info(text, STR("master_sync_in_progress"), &s) && !str_eq(s, STR("0"));
    for (unsigned i = 0; out->primary && i < 2 * ROLE_NODES; i++) {
        char key[16];
        snprintf(key, sizeof key, "slave%u", i);
        if (resp_info(text, str_of(key), &s))
            read_follower(s, spec, out);
    }
    return resp_info_u64(text, out->primary ? STR("master_repl_offset") : STR("slave_repl_offset"),
                         &out->position);
}

/* --- what it means --- */

/* Whose data it has. What it had stays what it had unless it is being replaced, or is of another
 * stream than before without our knowing whose. */
static uint64_t history_of(const struct kept_redis *r, const struct redis_info *i, bool joined)
{
    const struct agent_report *report = &r->keeper->report;
    if (i->primary)
        return report->history;
    if (joined)
        return r->follows_epoch;
    if (i->syncing || strcmp(i->id, r->info.id) != 0 || i->position < r->info.position)
        return 0;
    return report->history;
}

static void learn_followers(struct kept_redis *r, const struct redis_info *i)
{
    struct agent_report *report = &r->keeper->report;
    report->n_followers = report->state == INSTANCE_PRIMARY ? r->keeper->spec.n_places : 0;
    memcpy(report->followers, i->followers, sizeof report->followers);
}

void redis_learn(struct kept_redis *r, const struct redis_info *i)
{
    struct keeper *k = r->keeper;
    bool follows = r->follows == FOLLOWS_PRIMARY && !r->setting;
    bool joined = follows && !i->primary && i->link_up && !i->syncing;
    k->report.history = history_of(r, i, joined);
    k->report.joined = joined;
    k->report.position = i->position;
    if (!i->primary && !r->demoting)
        keeper_state(k, INSTANCE_REPLICA);
    r->info = *i;
    r->known = true;
    learn_followers(r, i);
}

static void complain(struct kept_redis *r, struct str what)
{
    if (!r->complaint[0])
        str_copy(r->complaint, sizeof r->complaint, what);
}

static void was_disk(struct kept_redis *r, struct str text)
{
    struct str s;
    if (resp_info(text, STR("loading"), &s) && !str_eq(s, STR("0")))
        complain(r, STR("it loads its data"));
    if (resp_info(text, STR("aof_last_write_status"), &s) && !str_eq(s, STR("ok")))
        complain(r, STR("it cannot write its append-only file: is the disk full?"));
}

/* Users may fill its memory; and its role may have changed since we asked. */
static void was_write(struct kept_redis *r, const struct resp_value *v)
{
    if (resp_is_error(v) && !str_starts(v->text, STR("OOM")) && r->follows == FOLLOWS_NOBODY) {
        char text[150];
        snprintf(text, sizeof text, "it refuses writes: %.*s", (int)MIN(v->text.n, (size_t)110),
                 v->text.p);
        complain(r, str_of(text));
    }
}

/* A key of ours has to be there first. */
static void was_expire(struct kept_redis *r, const struct resp_value *v)
{
    struct buf *out =
        v->type == RESP_NUMBER && v->number == 0 ? redis_link_ask(&r->link, TAG_NONE) : NULL;
    if (out)
        resp_put_words(out, "SET", "holdfast:probe", "1", NULL);
    redis_link_flush(&r->link);
    was_write(r, v);
}

static bool should_be_other(const struct kept_redis *r)
{
    return !r->setting && !r->demoting && !r->keeper->ordered &&
           r->info.primary != (r->follows == FOLLOWS_NOBODY);
}

static uint64_t turn(struct kept_redis *r, uint64_t now)
{
    return patience_turn(&r->well, now, TURN_MOST, starved_look(&r->starved, now),
                         SPARED * r->keeper->spec.hang_after);
}

static void judge(struct kept_redis *r)
{
    struct keeper *k = r->keeper;
    uint64_t now = loop_now(k->loop), bad = turn(r, now);
    if (r->fresh && !r->complaint[0])
        complain(r, STR("it starts"));
    if (!r->complaint[0] && r->known && should_be_other(r))
        complain(r, r->info.primary ? STR("it is a primary, and was not told to be one")
                                    : STR("it follows somebody, and was told not to"));
    if (r->complaint[0] == 0) {
        patience_good(&r->well, now);
        keeper_well(k, KEEPER_GOOD);
    } else if (bad >= k->spec.hang_after || r->fresh) {
        keeper_well(k, "%s", r->complaint);
    }
}

/* --- looks --- */

static bool is_eager(const struct kept_redis *r, uint64_t now)
{
    return now < r->eager_until || r->keeper->ordered || r->fresh ||
           (r->follows == FOLLOWS_PRIMARY && !r->keeper->report.joined);
}

static void again(struct kept_redis *r)
{
    uint64_t now = loop_now(r->keeper->loop);
    loop_timer_set(r->keeper->loop, &r->look, now + (is_eager(r, now) ? LOOK_SOON : LOOK_EVERY));
}

static void ask(struct kept_redis *r, uint8_t tag, const char *a, const char *b, const char *c)
{
    struct buf *out = redis_link_ask(&r->link, tag);
    if (!out)
        return;
    resp_put_words(out, a, b, c, NULL);
    r->looks += tag != TAG_NONE;
}

static void ask_wait(struct kept_redis *r)
{
    uint32_t n = 0;
    char count[16];
    bool behind = false;
    for (uint32_t i = 0; i < ROLE_NODES; i++)
        if (r->info.followers[i].connected) {
            n++;
            behind |= r->info.followers[i].position < r->info.position;
        }
    snprintf(count, sizeof count, "%u", n);
    if (behind)
        ask(r, TAG_NONE, "WAIT", count, "2");
}

static void ask_primary(struct kept_redis *r, uint64_t now)
{
    ask(r, TAG_PROBE, "DEL", "holdfast:none", NULL);
    if (now - r->probed_at >= EXPIRE_EVERY) {
        r->probed_at = now;
        ask(r, TAG_EXPIRE, "EXPIRE", "holdfast:probe", "31536000");
    }
    ask_wait(r);
}

/* A replica whose primary was not ready is told again. */
static void follow_again(struct kept_redis *r, uint64_t now)
{
    if (r->fresh && !r->setting)
        redis_told(r);
    else if (r->follows == FOLLOWS_PRIMARY && r->known && !r->info.link_up && !r->info.syncing &&
             !r->setting && now - r->set_at > r->retry)
        redis_retell(r);
}

static void begin(struct kept_redis *r, uint64_t now)
{
    r->complaint[0] = 0;
    r->asked_at = now;
    follow_again(r, now);
    if (r->keeper->report.state == INSTANCE_PRIMARY && !r->demoting)
        ask_primary(r, now);
    ask(r, TAG_INFO, "INFO", "replication", NULL);
    ask(r, TAG_DISK, "INFO", "persistence", NULL);
    redis_link_flush(&r->link);
}

/* Replies come in the order of the requests: the first that is missing holds up the rest. */
static const char *missing(const struct kept_redis *r)
{
    uint8_t tag;
    if (!redis_link_is_open(&r->link) || !r->link.connected)
        return "a connection";
    if (!redis_link_waits(&r->link, &tag))
        return "nothing";
    if (tag == LINK_AUTH)
        return "AUTH";
    switch ((enum redis_tag)tag) {
    case TAG_NONE: return "WAIT, or a command whose reply says nothing";
    case TAG_SET: return "REPLICAOF";
    case TAG_INFO:
    case TAG_LAST: return "INFO replication";
    case TAG_DISK: return "INFO persistence";
    case TAG_PROBE: return "DEL, a write that changes nothing";
    case TAG_EXPIRE: return "EXPIRE, a write of the probe's own key";
    }
    return "a command";
}

/* What was asked, for how long it was waited for, and what the process does meanwhile: so that
 * whoever reads it later can tell a hang from a disk, a stopped process and a busy machine. */
static void does_not_answer(struct kept_redis *r, uint64_t now, uint64_t bad)
{
    char spared[64] = "";
    uint64_t ms = r->well.spared / NS_PER_MS;
    if (ms)
        snprintf(spared, sizeof spared, "; %llu ms without a processor are not counted",
                 (unsigned long long)ms);
    keeper_well(r->keeper,
                "it has not answered well for %llu ms (waited for: %s, since %llu ms; %s%s)",
                (unsigned long long)(bad / NS_PER_MS), missing(r),
                (unsigned long long)((now - r->asked_at) / NS_PER_MS), starved_state(&r->starved),
                spared);
}

void redis_on_look(struct timer *t)
{
    struct kept_redis *r = CONTAINER_OF(t, struct kept_redis, look);
    struct keeper *k = r->keeper;
    uint64_t now = loop_refresh(k->loop), bad = turn(r, now);
    bool open = redis_link_is_open(&r->link);
    if (open && r->looks == 0)
        begin(r, now);
    else if (bad >= k->spec.hang_after)
        does_not_answer(r, now, bad);
    again(r);
    keeper_tell(k);
}

void redis_look_soon(struct kept_redis *r)
{
    uint64_t now = loop_refresh(r->keeper->loop);
    r->eager_until = now + EAGER_FOR;
    if (r->life == REDIS_RUNS)
        loop_timer_set(r->keeper->loop, &r->look, now);
}

void redis_look_forget(struct kept_redis *r)
{
    r->looks = 0;
    r->known = false;
}

bool redis_looked(struct kept_redis *r, uint8_t tag, const struct resp_value *v)
{
    struct keeper *k = r->keeper;
    struct redis_info info;
    switch ((enum redis_tag)tag) {
    case TAG_INFO:
        if (resp_is_error(v) || !redis_info_read(v->text, &k->spec, &info))
            complain(r, STR("it does not tell how it is"));
        else
            redis_learn(r, &info);
        break;
    case TAG_DISK: was_disk(r, v->text); break;
    case TAG_PROBE: was_write(r, v); break;
    case TAG_EXPIRE: was_expire(r, v); break;
    case TAG_NONE:
    case TAG_SET:
    case TAG_LAST: return false;
    }
    if (r->looks && --r->looks == 0) {
        judge(r);
        keeper_tell(k);
    }
    return true;
}
