/* The bodies of the messages between control and the agent, and what the fields of a start may
 * hold. Pure. Whoever receives checks: neither end is believed by the other (agent.h). */
#include "daemon/agent.h"
#include "daemon/agent_field.h"

enum { MEMBER_MIN = 4 + ADDR_BYTES, LINE_MIN = 4 };

const char *agent_kind_name(enum agent_kind k)
{
    switch (k) {
    case AGENT_ETCD: return "etcd";
    case AGENT_KINDS: break;
    }
    UNREACHABLE();
}

const char *agent_life_name(enum agent_life l)
{
    switch (l) {
    case AGENT_NEVER: return "never";
    case AGENT_RUNNING: return "running";
    case AGENT_STOPPING: return "stopping";
    case AGENT_ENDED: return "ended";
    case AGENT_LIVES: break;
    }
    UNREACHABLE();
}

/* --- what fields may hold --- */

/* Ends in an argument of another program, among names, addresses, '=' and ','. */
static bool is_name(const char *s)
{
    size_t n = strnlen(s, AGENT_NAME_MAX);
    if (n == 0 || n == AGENT_NAME_MAX || s[0] == '-' || s[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static bool is_place(const struct addr *a)
{
    return (a->kind == ADDR_IP4 || a->kind == ADDR_IP6) && a->port != 0;
}

static int check_member(const struct agent_etcd *a, uint32_t i, bool *self, struct err *e)
{
    const struct agent_member *m = &a->members[i];
    if (!is_name(m->name))
        return err_set(e, ERR_INVAL, "member %u of etcd has a name that cannot be", i + 1);
    if (!is_place(&m->peer))
        return err_set(e, ERR_INVAL, "member %s of etcd has no address", m->name);
    for (uint32_t j = 0; j < i; j++)
        if (addr_eq(&a->members[j].peer, &m->peer) || strcmp(a->members[j].name, m->name) == 0)
            return err_set(e, ERR_INVAL, "two members of etcd have the name or address of %s",
                           m->name);
    if (strcmp(m->name, a->name) == 0 && addr_eq(&m->peer, &a->peer))
        *self = true;
    return 0;
}

int agent_etcd_check(const struct agent_etcd *a, struct err *e)
{
    bool self = false;
    if (!is_name(a->name))
        return err_set(e, ERR_INVAL,
                       "etcd's member name is not made of up to %d letters, digits, '.', '_', '-'",
                       AGENT_NAME_MAX - 1);
    if (!is_name(a->token))
        return err_set(e, ERR_INVAL, "etcd's cluster token cannot be");
    if (!is_place(&a->client) || !is_place(&a->peer) || addr_eq(&a->client, &a->peer))
        return err_set(e, ERR_INVAL, "etcd's addresses are not two IP addresses with ports");
    if (a->heartbeat_ms < 10 || a->heartbeat_ms > 5000)
        return err_set(e, ERR_INVAL, "etcd's heartbeat of %u ms is not within 10 and 5000",
                       a->heartbeat_ms);
    if (a->election_ms < 5 * a->heartbeat_ms || a->election_ms > 50000)
        return err_set(e, ERR_INVAL,
                       "etcd's election time-out of %u ms is not within 5 heartbeats and 50 s",
                       a->election_ms);
    if (a->n_members == 0 || a->n_members > AGENT_MEMBERS)
        return err_set(e, ERR_INVAL, "etcd's list has %u members, not 1 to %d", a->n_members,
                       AGENT_MEMBERS);
    for (uint32_t i = 0; i < a->n_members; i++) {
        int r = check_member(a, i, &self, e);
        if (r)
            return r;
    }
    return self ? 0 : err_set(e, ERR_INVAL, "etcd's list of members does not name itself");
}

/* --- out --- */

static void put_etcd(struct buf *b, const struct agent_etcd *a)
{
    put_str(b, str_of(a->name));
    put_str(b, str_of(a->token));
    put_addr(b, &a->client);
    put_addr(b, &a->peer);
    put_u8(b, a->existing);
    put_u8(b, a->force_new);
    put_u32(b, a->heartbeat_ms);
    put_u32(b, a->election_ms);
    put_u32(b, a->n_members);
    for (uint32_t i = 0; i < a->n_members; i++) {
        put_str(b, str_of(a->members[i].name));
        put_addr(b, &a->members[i].peer);
    }
}

void agent_put_start(struct buf *b, const struct agent_start *s)
{
    put_u64(b, s->ticket);
    put_u32(b, s->kind);
    put_etcd(b, &s->etcd);
}

void agent_put_stop(struct buf *b, const struct agent_stop *s)
{
    put_u64(b, s->ticket);
    put_u32(b, s->kind);
    put_u64(b, s->grace);
}

void agent_put_order(struct buf *b, const struct agent_order *o)
{
    put_u64(b, o->ticket);
    put_u32(b, o->task);
}

void agent_put_state(struct buf *b, const struct agent_state *s)
{
    put_u32(b, s->kind);
    put_u32(b, s->life);
    put_u8(b, s->wanted);
    put_u8(b, s->has_data);
    put_u32(b, s->pid);
    put_u32(b, s->starts);
    put_u32(b, s->status);
    put_u64(b, s->since);
    put_u64(b, s->lines_lost);
    if (s->life != AGENT_NEVER)
        put_etcd(b, &s->etcd);
    put_u32(b, s->n_lines);
    for (uint32_t i = 0; i < s->n_lines; i++)
        put_str(b, str_of(s->lines[i]));
}

void agent_put_answer(struct buf *b, const struct agent_answer *a)
{
    put_u64(b, a->ticket);
    put_u32(b, (uint32_t)-a->code);
    put_str(b, str_of(a->sentence));
    put_u32(b, a->disk.writes);
    put_u64(b, a->disk.median);
    put_u64(b, a->disk.p99);
    put_u64(b, a->disk.worst);
    put_u64(b, a->history);
    put_u64(b, a->position);
}

/* --- in --- */

static void get_etcd(struct reader *r, struct agent_etcd *a)
{
    get_text(r, a->name, sizeof a->name);
    get_text(r, a->token, sizeof a->token);
    get_addr(r, &a->client);
    get_addr(r, &a->peer);
    a->existing = get_flag(r);
    a->force_new = get_flag(r);
    a->heartbeat_ms = get_u32(r);
    a->election_ms = get_u32(r);
    uint32_t n = get_count(r, MEMBER_MIN);
    if (n > AGENT_MEMBERS)
        r->failed = true;
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        get_text(r, a->members[i].name, sizeof a->members[i].name);
        get_addr(r, &a->members[i].peer);
    }
    a->n_members = r->failed ? 0 : n;
}

int agent_get_start(struct reader *r, struct agent_start *s, struct err *e)
{
    *s = (struct agent_start){.ticket = get_u64(r)};
    s->kind = get_below(r, AGENT_KINDS);
    get_etcd(r, &s->etcd);
    if (!reader_done(r))
        return err_set(e, ERR_PROTO, "the order to start a program is malformed");
    return agent_etcd_check(&s->etcd, e);
}

bool agent_get_stop(struct reader *r, struct agent_stop *s)
{
    *s = (struct agent_stop){.ticket = get_u64(r)};
    s->kind = get_below(r, AGENT_KINDS);
    s->grace = get_u64(r);
    return reader_done(r) && s->grace <= AGENT_STOP_MOST;
}

bool agent_get_order(struct reader *r, struct agent_order *o)
{
    *o = (struct agent_order){.ticket = get_u64(r)};
    o->task = get_below(r, AGENT_TASKS);
    return reader_done(r);
}

bool agent_get_state(struct reader *r, struct agent_state *s)
{
    *s = (struct agent_state){.kind = get_below(r, AGENT_KINDS)};
    s->life = get_below(r, AGENT_LIVES);
    s->wanted = get_flag(r);
    s->has_data = get_flag(r);
    s->pid = get_u32(r);
    s->starts = get_u32(r);
    s->status = get_u32(r);
    s->since = get_u64(r);
    s->lines_lost = get_u64(r);
    if (s->life != AGENT_NEVER)
        get_etcd(r, &s->etcd);
    uint32_t n = get_count(r, LINE_MIN);
    if (n > AGENT_LINES)
        r->failed = true;
    for (uint32_t i = 0; i < n && !r->failed; i++)
        get_text(r, s->lines[i], sizeof s->lines[i]);
    s->n_lines = r->failed ? 0 : n;
    return reader_done(r) && (s->life == AGENT_NEVER || agent_etcd_check(&s->etcd, NULL) == 0);
}

bool agent_get_answer(struct reader *r, struct agent_answer *a)
{
    *a = (struct agent_answer){.ticket = get_u64(r)};
    a->code = -(int)get_below(r, ERR_CODES);
    get_text(r, a->sentence, sizeof a->sentence);
    a->disk.writes = get_u32(r);
    a->disk.median = get_u64(r);
    a->disk.p99 = get_u64(r);
    a->disk.worst = get_u64(r);
    a->history = get_u64(r);
    a->position = get_u64(r);
    return reader_done(r);
}
