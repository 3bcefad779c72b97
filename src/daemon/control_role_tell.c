/* What people are told of roles, and what they may ask for. An operator's wish is a change of the
 * record, made by compare-and-set on whatever node he asks: who must act learns of it by the watch.
 */
#include <stdio.h>

#include "daemon/control.h"

#define ASK_NS (10 * NS_PER_S)

/* --- events --- */

static const struct {
    enum event_code code;
    enum event_level level;
} told[FAILOVER_NEWS] = {
    [FAILOVER_NEWS_RECORD] = {EVENT_ROLE_RECORDED, EVENT_INFO},
    [FAILOVER_NEWS_LOST] = {EVENT_ROLE_LOST, EVENT_WARNING},
    [FAILOVER_NEWS_WAITS] = {EVENT_ROLE_WAITS, EVENT_WARNING},
    [FAILOVER_NEWS_BEGINS] = {EVENT_ROLE_TAKEN, EVENT_INFO},
    [FAILOVER_NEWS_PROMOTED] = {EVENT_ROLE_PROMOTED, EVENT_WARNING},
    [FAILOVER_NEWS_FAILED] = {EVENT_ROLE_FAILED, EVENT_WARNING},
    [FAILOVER_NEWS_DEMOTED] = {EVENT_ROLE_DEMOTED, EVENT_INFO},
    [FAILOVER_NEWS_YIELDS] = {EVENT_SWITCHOVER_BEGAN, EVENT_INFO},
    [FAILOVER_NEWS_STAYS] = {EVENT_SWITCHOVER_FAILED, EVENT_WARNING},
    [FAILOVER_NEWS_INSYNC] = {EVENT_ROLE_INSYNC, EVENT_INFO},
    [FAILOVER_NEWS_TOLD] = {EVENT_ROLE_TOLD, EVENT_INFO},
};

static uint64_t took(const struct failover_chain *k)
{
    return k->n > 1 ? k->steps[k->n - 1].at - k->steps[0].at : 0;
}

/* Whose the role was before, as far as it is known here; ROLE_NOBODY. */
static uint8_t came_from(const struct role_here *r)
{
    const struct failover_record *k = &r->core.record;
    const struct failover_chain *h = &r->core.chain;
    uint8_t at = k->from < r->n                                                          ? k->from
                 : h->epoch == k->r.epoch && h->before < r->n && h->before != h->primary ? h->before
                 : r->named == k->r.primary                                              ? r->before
                                                                                         : r->named;
    return at < r->n && at != k->r.primary ? at : ROLE_NOBODY;
}

static const char *reason_of(const struct role_here *r)
{
    if (r->core.record.from < r->n)
        return "switchover";
    if (came_from(r) == ROLE_NOBODY)
        return "first";
    return strstr(r->core.chain.why, "an operator") ? "forced" : "failover";
}

/* What `why` shows (docs/failover.md#why): each step with its time, and whose position it is. */
static void add_chain(struct role_here *r)
{
    const struct failover_chain *k = &r->core.chain;
    uint8_t before = came_from(r);
    audit_states(r->owner, before < r->n ? r->names[before] : "", role_place_name(r, k->primary),
                 reason_of(r));
    bool failed = strcmp(reason_of(r), "failover") == 0;
    audit_rule(r->owner, "%s", r->fault[0] && failed ? r->fault : k->why);
    for (uint32_t i = 0; i < k->n; i++) {
        const struct failover_step *s = &k->steps[i];
        bool has = s->kind == FAILOVER_STEP_FENCED || s->kind == FAILOVER_STEP_CATCH_UP;
        char who[FAILOVER_NAME + 8];
        snprintf(who, sizeof who, "node %s",
                 role_place_name(r, s->place < r->n ? s->place : k->primary));
        /* what nobody lost begins here when the record names this node */
        enum failover_step_kind kind = s->kind == FAILOVER_STEP_LOST && s->place == k->primary
                                           ? FAILOVER_STEP_RECORDED
                                           : (enum failover_step_kind)s->kind;
        audit_evidence(r->owner, failover_step_name(kind), str_of(who), s->at,
                       has ? s->position : 0, 1, "%s",
                       s->kind == FAILOVER_STEP_AGREED && failed ? r->fault : "");
    }
}

static void insync_text(const struct role_here *r, struct event *ev)
{
    struct buf text = {0};
    const struct role_record *k = &r->core.record.r;
    for (uint8_t i = 0; i < r->n; i++)
        if (k->insync >> i & 1)
            buf_printf(&text, "%s%s", text.n ? ", " : "", r->names[i]);
    if (!text.failed)
        event_text(ev, "%s: %d of %u", text.n ? text.p : "nobody", __builtin_popcount(k->insync),
                   r->n);
    buf_free(&text);
}

static void news_text(struct role_here *r, const struct failover_news *n, struct event *ev)
{
    const char *who = role_place_name(r, n->place);
    unsigned long long epoch = n->epoch;
    switch (n->what) {
    case FAILOVER_NEWS_INSYNC: insync_text(r, ev); return;
    case FAILOVER_NEWS_PROMOTED:
        event_text(ev, "epoch %llu, after %llu ms: %s", epoch,
                   (unsigned long long)(took(&r->core.chain) / NS_PER_MS), n->text);
        add_chain(r);
        return;
    case FAILOVER_NEWS_TOLD:
        event_text(ev, "%s took over under epoch %llu, after %llu ms: %s", who, epoch,
                   (unsigned long long)(took(&r->core.chain) / NS_PER_MS), n->text);
        add_chain(r);
        return;
    case FAILOVER_NEWS_YIELDS: event_text(ev, "to %s", who); return;
    case FAILOVER_NEWS_STAYS: event_text(ev, "to %s: %s", who, n->text); return;
    case FAILOVER_NEWS_LOST:
        snprintf(r->fault, sizeof r->fault, "%s: %s", who, n->text);
        event_text(ev, "%s", r->fault);
        return;
    case FAILOVER_NEWS_RECORD:
    case FAILOVER_NEWS_WAITS:
    case FAILOVER_NEWS_BEGINS:
    case FAILOVER_NEWS_FAILED:
    case FAILOVER_NEWS_DEMOTED: event_text(ev, "epoch %llu: %s", epoch, n->text); return;
    case FAILOVER_NEWS: break;
    }
    UNREACHABLE();
}

/* The address goes with the role, after it came and before it goes. */
void role_address(struct role_here *r, bool take)
{
    const struct view_primary *p = &r->owner->view->services[r->service].primary;
    struct agent_role o = {.what = take ? ORDER_VIP_TAKE : ORDER_VIP_LEAVE,
                           .epoch = r->core.record.r.epoch,
                           .primary = ROLE_NOBODY};
    uint64_t ticket;
    struct err e = {0};
    r->address_owed = false;
    if (!p->vip.kind)
        return;
    str_copy(o.service, sizeof o.service, str_of(r->name));
    if (agent_line_role(&r->owner->coordinating.agent, &o, &ticket, &e) == 0)
        return;
    log_warning(r->owner->log, "the address of %s: %s", r->name, e.text);
    r->address_owed = agent_line_is_open(&r->owner->coordinating.agent);
}

void role_news(struct role_here *r, const struct failover_news *n)
{
    if (n->what == FAILOVER_NEWS_PROMOTED || n->what == FAILOVER_NEWS_DEMOTED)
        role_address(r, n->what == FAILOVER_NEWS_PROMOTED);
    bool quiet = n->what == FAILOVER_NEWS_PROMOTED &&
                 (r->core.record.from < r->n || r->core.chain.before >= r->n);
    struct event *ev =
        control_event(r->owner, told[n->what].code, quiet ? EVENT_INFO : told[n->what].level);
    event_subject(ev, "%s", r->name);
    news_text(r, n, ev);
    control_event_end(r->owner, ev);
}

/* Writers of a switchover wait from the moment this node held them until it hears that another
 * takes writes: nobody else knows both ends. */
void role_held_step(struct role_here *r)
{
    const struct failover_record *k = &r->core.record;
    if (k->r.primary != r->named) {
        r->before = r->named;
        r->named = k->r.primary;
    }
    if (!r->core.held_at || r->core.held_at == r->held_told || k->r.primary >= r->n ||
        k->r.primary == r->self || !failover_acts(&r->core, k->r.primary))
        return;
    r->held_told = r->core.held_at;
    r->held_for = loop_now(r->owner->loop) - r->held_told;
    r->held_epoch = k->r.epoch;
    struct event *ev = control_event(r->owner, EVENT_SWITCHOVER_DONE, EVENT_INFO);
    event_subject(ev, "%s", r->name);
    event_text(ev, "%s takes writes under epoch %llu; they waited for %llu ms",
               role_place_name(r, k->r.primary), (unsigned long long)k->r.epoch,
               (unsigned long long)(r->held_for / NS_PER_MS));
    control_event_end(r->owner, ev);
}

/* --- what is asked for --- */

static int wish(struct failover_record *w, enum admin_role_ask what, uint8_t to, struct err *e)
{
    switch (what) {
    case ADMIN_ROLE_SWITCH: return failover_wants_switchover(w, to, e);
    case ADMIN_ROLE_FORCE: return failover_wants_force(w, to, e);
    case ADMIN_ROLE_PAUSE: return failover_wants_pause(w, true, e);
    case ADMIN_ROLE_GO_ON: return failover_wants_pause(w, false, e);
    case ADMIN_ROLE_ASKS: break;
    }
    UNREACHABLE();
}

static void ended(struct role_here *r, const char *state, const char *text)
{
    r->request.state = state;
    str_copy(r->request.text, sizeof r->request.text, str_of(text));
}

static void ask_done(void *context, const struct coord_answer *a)
{
    struct role_here *r = context;
    r->ask_ticket = 0;
    if (a->outcome == COORD_DONE && r->ask == ADMIN_ROLE_SWITCH)
        str_copy(r->request.text, sizeof r->request.text,
                 STR("the primary was asked to hand over"));
    else if (a->outcome == COORD_DONE && r->ask != ADMIN_ROLE_FORCE)
        ended(r, "done", "");
    else if (a->outcome == COORD_DONE)
        str_copy(r->request.text, sizeof r->request.text, STR("it is recorded"));
    else if (a->outcome == COORD_CONFLICT)
        ended(r, "failed", "something else changed just then: ask again");
    else
        ended(r, "failed", a->why->text);
    role_run(r);
}

/* What moves the role shows in the record, whether the answer comes or not. */
void role_forget_wish(struct role_here *r)
{
    if (!r->ask_ticket)
        return;
    if (r->owner->rolling.coord)
        coord_cancel(r->owner->rolling.coord, r->ask_ticket);
    r->ask_ticket = 0;
    if (r->ask == ADMIN_ROLE_PAUSE || r->ask == ADMIN_ROLE_GO_ON)
        ended(r, "failed",
              "the coordinator is another now, and it is not known: look, and ask again");
}

static int write_wish(struct role_here *r, const struct failover_record *w, struct err *e)
{
    struct control *c = r->owner;
    struct buf text = {0};
    char key[COORD_KEY_MAX];
    snprintf(key, sizeof key, "service/%s", r->name);
    struct coord_op op = {.key = str_of(key), .expected = w->r.revision, .act = COORD_PUT};
    int rc = failover_record_write(w, r->places, r->n, &text)
                 ? 0
                 : err_set(e, ERR_NOMEM, "no memory to write it");
    op.value = buf_str(&text);
    rc = rc ? rc
            : coord_cas(c->rolling.coord, &op, 1, loop_now(c->loop) + 2 * NS_PER_S, ask_done, r,
                        &r->ask_ticket, e);
    buf_free(&text);
    return rc;
}

static void tell_asked(struct role_here *r, enum admin_role_ask what, uint8_t to)
{
    static const enum event_code codes[ADMIN_ROLE_ASKS] = {
        [ADMIN_ROLE_SWITCH] = EVENT_SWITCHOVER,
        [ADMIN_ROLE_FORCE] = EVENT_FAILOVER_FORCED,
        [ADMIN_ROLE_PAUSE] = EVENT_ROLE_PAUSED,
        [ADMIN_ROLE_GO_ON] = EVENT_ROLE_PAUSED,
    };
    struct event *ev =
        control_event(r->owner, codes[what], what == ADMIN_ROLE_FORCE ? EVENT_WARNING : EVENT_INFO);
    event_subject(ev, "%s", r->name);
    if (what == ADMIN_ROLE_PAUSE || what == ADMIN_ROLE_GO_ON)
        event_text(ev, "%s",
                   what == ADMIN_ROLE_PAUSE ? "nothing is decided about it" : "it goes on");
    else
        event_text(ev, "to %s", to < r->n ? r->names[to] : "the best");
    control_event_end(r->owner, ev);
}

/* The most advanced of those that are well, as far as known here: for who forces without a name. */
static uint8_t best_here(const struct role_here *r)
{
    uint8_t best = ROLE_NOBODY;
    for (uint8_t i = 0; i < r->n; i++) {
        const struct role_message *m = i == r->self ? NULL : &r->core.peers[i].said;
        bool up = i == r->self ? r->core.reported && r->core.report.instance != INSTANCE_DOWN
                               : r->core.peers[i].heard && r->core.peers[i].alive &&
                                     m->instance != INSTANCE_DOWN;
        if (!up || i == r->core.record.r.primary)
            continue;
        if (best == ROLE_NOBODY) {
            best = i;
            continue;
        }
        const struct role_message *b = best == r->self ? NULL : &r->core.peers[best].said;
        uint64_t data_i = m ? m->data : r->core.report.data;
        uint64_t data_b = b ? b->data : r->core.report.data;
        uint64_t at_i = m ? m->position : r->core.report.position;
        uint64_t at_b = b ? b->position : r->core.report.position;
        if (data_i > data_b || (data_i == data_b && at_i > at_b))
            best = i;
    }
    return best;
}

int rolling_ask(void *context, const struct view_service *s, enum admin_role_ask what, int to,
                struct err *e)
{
    static const char *const names[ADMIN_ROLE_ASKS] = {"switchover", "failover", "pause", "resume"};
    struct control *c = context;
    struct role_here *r = role_find(c, s->name);
    uint8_t place = to == ADMIN_NOBODY ? ROLE_NOBODY : (uint8_t)to;
    if (!r || !c->rolling.coord)
        return err_set(e, ERR_BUSY, "the coordinator cannot be reached: nothing can be recorded");
    if (r->ask_ticket)
        return err_set(e, ERR_BUSY, "something is asked for already");
    if (what == ADMIN_ROLE_FORCE && place == ROLE_NOBODY)
        place = best_here(r);
    struct failover_record w = r->core.record;
    int rc = wish(&w, what, place, e);
    w.when = clock_wall() / NS_PER_MS;
    str_copy(w.who, sizeof w.who, str_of(c->auditing.by[0] ? c->auditing.by : "an operator"));
    snprintf(w.why, sizeof w.why, "an operator: %s", names[what]);
    rc = rc ? rc : write_wish(r, &w, e);
    if (rc)
        return rc;
    r->request = (struct admin_role_request){
        .number = ++c->rolling.requests, .what = names[what], .state = "running"};
    r->ask = what;
    r->ask_to = place;
    r->ask_since = loop_now(c->loop);
    r->ask_from = r->core.record.r.primary;
    tell_asked(r, what, place);
    return 0;
}

/* Whether what was asked for has come about. */
void role_ask_step(struct role_here *r)
{
    bool running = r->request.number && strcmp(r->request.state, "running") == 0;
    bool moves = r->ask == ADMIN_ROLE_SWITCH || r->ask == ADMIN_ROLE_FORCE;
    if (!running || r->ask_ticket || !moves)
        return;
    const struct role_record *k = &r->core.record.r;
    bool there = r->ask_to < r->n ? k->primary == r->ask_to : k->primary != r->ask_from;
    uint64_t now = loop_now(r->owner->loop), until = r->ask_since + ASK_NS;
    if (there && failover_acts(&r->core, k->primary)) {
        char text[ADMIN_REASON_MAX];
        snprintf(text, sizeof text, "%s is primary, epoch %llu", role_place_name(r, k->primary),
                 (unsigned long long)k->epoch);
        ended(r, "done", text);
    } else if (!there && k->wanted == ROLE_NOBODY && k->epoch && r->ask == ADMIN_ROLE_SWITCH &&
               now > r->ask_since + NS_PER_S) {
        ended(r, "failed", "it was given up: the primary goes on, see its events");
    } else if (now >= until) {
        ended(r, "failed",
              failover_waits(&r->core)[0] ? failover_waits(&r->core)
                                          : "it took too long: look at its events");
    }
}

/* --- the picture --- */

static const char *instance_text(uint8_t instance)
{
    static const char *const names[] = {"unknown", "down", "replica", "primary"};
    return names[MIN(instance, INSTANCE_PRIMARY)];
}

static void why_not(const struct role_here *r, uint8_t i, const struct role_node *n, char *out,
                    size_t size)
{
    const struct role_record *k = &r->core.record.r;
    const char *why = "";
    if (n->failed)
        why = "its node has failed";
    else if (!n->alive)
        why = "its node is not heard";
    else if (n->maintenance)
        why = "its node is in maintenance";
    else if (n->instance == INSTANCE_UNKNOWN)
        why = "it has not said how its instance is";
    else if (n->instance == INSTANCE_DOWN)
        why = "its instance is down";
    else if (!n->well)
        why = "its instance is not well";
    else if (k->sync && !(k->insync >> i & 1))
        why = "it is not in sync";
    else if (n->far)
        why = "it was too far behind when the primary was lost (lag-bytes, lag-time)";
    snprintf(out, size, "%s", why);
}

static void fill_node(const struct role_here *r, uint8_t i, struct admin_role_node *to)
{
    const struct failover *f = &r->core;
    const struct role_record *k = &f->record.r;
    const struct failover_peer *p = &f->peers[i];
    bool self = i == r->self;
    struct role_node n = {.failed = p->failed,
                          .alive = p->alive || self,
                          .maintenance = p->maintenance,
                          .far = f->facts.nodes[i].far,
                          .instance = INSTANCE_UNKNOWN};
    if (self && f->reported) {
        n.instance = f->report.instance;
        n.well = f->report.well;
        n.position = f->report.position;
    } else if (!self && p->heard) {
        n.instance = p->said.instance;
        n.well = (p->said.flags & ROLE_WELL) != 0;
        n.position = p->said.position;
    }
    *to = (struct admin_role_node){.heard = self ? f->reported : p->heard,
                                   .alive = n.alive && !n.failed,
                                   .maintenance = n.maintenance,
                                   .insync = (k->insync >> i & 1) != 0,
                                   .well = n.well,
                                   .instance = instance_text(n.instance),
                                   .position = n.position};
    struct failover_behind b = failover_behind(f, i, loop_now(r->owner->loop));
    to->lag_known = b.known && failover_acts(f, k->primary);
    to->lag_bytes = b.bytes;
    to->lag = b.time;
    why_not(r, i, &n, to->why_not, sizeof to->why_not);
}

static void fill_last(const struct role_here *r, struct admin_role_last *to)
{
    const struct failover_record *k = &r->core.record;
    const struct failover_chain *h = &r->core.chain;
    bool own = h->epoch == k->r.epoch && h->epoch;
    *to = (struct admin_role_last){
        .epoch = k->r.epoch,
        .from = ADMIN_NOBODY,
        .to = k->r.primary < r->n ? k->r.primary : ADMIN_NOBODY,
        .planned = k->from < r->n,
        .wall = k->when * NS_PER_MS,
        .took = k->from >= r->n && own                          ? took(h)
                : k->from < r->n && r->held_epoch == k->r.epoch ? r->held_for
                                                                : 0,
    };
    if (came_from(r) < r->n)
        to->from = came_from(r);
    str_copy(to->why, sizeof to->why, str_of(k->why));
}

int rolling_role(void *context, const struct view_service *s, struct admin_role *out, struct err *e)
{
    struct control *c = context;
    struct role_here *r = role_find(c, s->name);
    if (!r)
        return err_set(e, ERR_BUSY, "nothing is known of it yet");
    const struct failover *f = &r->core;
    const struct role_record *k = &f->record.r;
    const struct role_row *row = cells_role(&c->cells, r->slot);
    struct coord_health h = {.reachable = false};
    if (c->rolling.coord)
        coord_health(c->rolling.coord, &h);
    out->recorded = k->epoch != 0;
    out->epoch = k->epoch;
    out->primary = k->primary < r->n ? k->primary : ADMIN_NOBODY;
    out->wanted = k->wanted < r->n ? k->wanted : ADMIN_NOBODY;
    out->acts = failover_acts(f, k->primary);
    out->paused = k->paused;
    out->coordinator = h.reachable;
    out->state = r->self == ROLE_NOBODY ? NULL : role_state_name(f->role.state);
    out->lease_until = cell_get(&row->lease_until);
    out->hold_until = cell_get(&row->hold);
    out->sync = (uint32_t)cell_get(&row->sync);
    out->wall = f->record.when * NS_PER_MS;
    str_copy(out->who, sizeof out->who, str_of(f->record.who));
    str_copy(out->why, sizeof out->why, str_of(f->record.why));
    str_copy(out->waits, sizeof out->waits, str_of(failover_waits(f)));
    for (uint32_t i = 0; i < r->n; i++)
        fill_node(r, i, &out->nodes[i]);
    role_ask_step(r);
    out->request = r->request;
    if (out->recorded)
        fill_last(r, &out->last);
    return 0;
}
