/* Backends that come and go: the sources (discover/) say that something changed, and the view in
 * force is merged with what they say now. What comes out, if it is another view, goes the way of a
 * reload to the supervisor and the proxy, but the configuration file is not read. One at a time, at
 * most one in MERGE_NS, fewer where thousands of instances make one dear: what changes meanwhile is
 * in the next.
 *
 * What the API is told counts when it is kept on disk; the asker is answered when a view with it is
 * in force. If the supervisor refuses that view, or does not answer, the asker hears that; what he
 * said stays and is tried again. */
#include <stdio.h>

#include "daemon/control.h"

#define MERGE_NS (50 * NS_PER_MS) /* from one merge to the next, at least */
#define AGAIN_NS (5 * NS_PER_S)   /* after one that failed */
#define REST_NS  (60 * NS_PER_S)  /* of a slot without an instance */
enum { COST = 8 };                /* of the time, a merge may take one part */
enum { EVENTS_A_VIEW = 16 };      /* of instances that came or went; more are counted */

/* ---- what the sources say ---- */

static void on_changed(void *context)
{
    struct control *c = context;
    c->discovering.wanted = true;
    discovering_plan(c);
}

static void on_note(void *context, enum discover_note note, const char *subject, const char *text)
{
    static const struct {
        uint8_t code, level;
    } of[] = {
        [DISCOVER_FAILED] = {EVENT_SOURCE_FAILED, EVENT_WARNING},
        [DISCOVER_BACK] = {EVENT_SOURCE_BACK, EVENT_INFO},
        [DISCOVER_DAMAGED] = {EVENT_STATE_DAMAGED, EVENT_ERROR},
    };
    struct control *c = context;
    struct event *ev =
        control_event(c, (enum event_code)of[note].code, (enum event_level)of[note].level);
    event_subject(ev, "%.150s", subject);
    event_text(ev, "%.300s", text);
    control_event_end(c, ev);
}

static void on_unsaved(void *context, const struct err *e)
{
    control_unsaved(context, e);
}

void discovering_plan(struct control *c)
{
    struct discovering *g = &c->discovering;
    if (!g->wanted || !c->view || c->reloading.state != RELOAD_IDLE || timer_is_set(&g->due))
        return;
    uint64_t now = loop_now(c->loop);
    loop_timer_set(c->loop, &g->due, MAX(now, g->next_at));
}

static void on_due(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, discovering.due);
    if (c->reloading.state == RELOAD_IDLE)
        loop_defer(c->loop, &c->reloading.run);
}

/* ---- askers ---- */

static void answer(struct control *c, const struct err *e)
{
    struct list *serving = &c->discovering.serving;
    while (!list_empty(serving)) {
        struct admin_telling *w = LIST_ENTRY(serving->next, struct admin_telling, link);
        list_remove(&w->link);
        w->told.epoch = c->view ? c->view->epoch : 0;
        w->told.code = e ? e->code : 0;
        w->told.text = e ? e->text : "";
        w->done(w, &w->told);
    }
}

void discovering_begin(struct control *c)
{
    struct discovering *g = &c->discovering;
    g->wanted = false;
    g->unmerged = 0;
    g->next_at = loop_now(c->loop) + MERGE_NS;
    loop_timer_stop(c->loop, &g->due);
    while (!list_empty(&g->waiting)) {
        struct list *first = g->waiting.next;
        list_remove(first);
        list_push_back(&g->serving, first);
    }
}

void discovering_done(struct control *c)
{
    answer(c, NULL);
}

void discovering_failed(struct control *c, const struct err *e)
{
    struct discovering *g = &c->discovering;
    if (c->view)
        discover_follow(g->sources, c->view, NULL, c->view, NULL);
    if (!list_empty(&g->serving) || g->runs) {
        g->wanted = true;
        g->next_at = loop_now(c->loop) + AGAIN_NS;
    }
    answer(c, e);
}

/* ---- the merge ---- */

static void tell_left_out(struct control *c, uint32_t n, const char *service, const char *why)
{
    if (n == 0)
        return;
    struct event *ev = control_event(c, EVENT_INSTANCES_LEFT_OUT, EVENT_WARNING);
    event_subject(ev, "%s", service);
    event_text(ev, "%u instances are left out: %s", n, why);
    control_event_end(c, ev);
}

/* Said when it becomes another, not with every merge. */
static void tell_report(struct control *c, const struct merge_report *now)
{
    struct merge_report *was = &c->discovering.report;
    if (now->surplus != was->surplus)
        tell_left_out(c, now->surplus, now->first_surplus,
                      "a service has at most 1024, all services together 16384");
    if (now->itself != was->itself)
        tell_left_out(c, now->itself, now->first_itself,
                      "the service would forward to its own listener");
    *was = *now;
}

int discovering_complete(struct control *c, struct view **view, struct err *e)
{
    struct merge_report report = {0};
    struct view *next = NULL;
    int r = discover_follow(c->discovering.sources, *view, c->view, c->view, e);
    if (r == 0 && !discover_adds(c->discovering.sources, *view)) {
        tell_report(c, &report);
        return 0;
    }
    if (r == 0)
        r = discover_merge(c->discovering.sources, *view, &next, &report, e);
    if (r)
        return r;
    view_free(*view);
    *view = next;
    tell_report(c, &report);
    return 0;
}

void discovering_run(struct control *c)
{
    struct discovering *g = &c->discovering;
    struct merge_report report;
    struct view *next = NULL;
    struct err e = {0};
    if (!g->wanted || !c->view)
        return;
    discovering_begin(c);
    uint64_t began = loop_refresh(c->loop);
    g->runs = true;
    int r = discover_merge(g->sources, c->view, &next, &report, &e);
    if (r == 0)
        tell_report(c, &report);
    bool same = r == 0 && merge_same(next, c->view);
    g->next_at = MAX(g->next_at, began + COST * (loop_refresh(c->loop) - began));
    if (r == 0 && !same) {
        reload_merged(c, next);
        return;
    }
    view_free(next);
    if (r)
        discovering_failed(c, &e);
    else
        discovering_done(c);
    g->runs = false;
    reload_go_on(c);
}

/* ---- a view came into force ---- */

static const char *source_text(const struct view_instance *n, char text[200])
{
    static const char *const origins[ORIGINS] = {"the file", "dns ", "drop-in ", "the API"};
    snprintf(text, 200, "%s%.*s", origins[n->origin], (int)MIN(n->source.n, 180u), n->source.p);
    return text;
}

static void tell_instance(struct control *c, enum event_code code, const struct view_service *s,
                          const struct view_instance *n)
{
    char source[200], address[ADDR_TEXT_MAX];
    struct event *ev = control_event(c, code, EVENT_INFO);
    event_subject(ev, "%.*s/%.*s", (int)MIN(s->name.n, 80u), s->name.p, (int)MIN(n->name.n, 120u),
                  n->name.p);
    if (n->origin == ORIGIN_API)
        event_by(ev, c->discovering.by);
    addr_format(&n->addr, address);
    if (code == EVENT_INSTANCE_ADDED)
        event_text(ev, "%s, weight %u, from %s", address, n->weight, source_text(n, source));
    else
        event_text(ev, "no longer from %s; what is under way ends in peace",
                   source_text(n, source));
    control_event_end(c, ev);
}

/* Those of one that the other has not, the file's apart: a reload names these. */
static uint32_t tell_difference(struct control *c, enum event_code code, const struct view *of,
                                const struct view *other, uint32_t told)
{
    struct view_index index = {.v = other};
    for (uint32_t i = 0; i < of->n_services; i++) {
        const struct view_service *s = &of->services[i];
        const struct view_service *o = view_index_find(&index, i, s->name);
        for (uint32_t k = 0; k < s->n_instances; k++) {
            const struct view_instance *n = &s->instances[k];
            bool same = o && k < o->n_instances && str_eq(o->instances[k].name, n->name);
            if (n->origin == ORIGIN_FILE || same || (o && view_instance_find(o, n->name)))
                continue;
            if (told++ < EVENTS_A_VIEW)
                tell_instance(c, code, s, n);
        }
    }
    view_index_free(&index);
    return told;
}

static void tell_more(struct control *c, enum event_code code, uint32_t told)
{
    if (told <= EVENTS_A_VIEW)
        return;
    struct event *ev = control_event(c, code, EVENT_INFO);
    event_text(ev, "and %u more", told - EVENTS_A_VIEW);
    control_event_end(c, ev);
}

void discovering_adopt(struct control *c, const struct view *was)
{
    struct err e = {0};
    if (was) {
        tell_more(c, EVENT_INSTANCE_REMOVED,
                  tell_difference(c, EVENT_INSTANCE_REMOVED, was, c->view, 0));
        tell_more(c, EVENT_INSTANCE_ADDED,
                  tell_difference(c, EVENT_INSTANCE_ADDED, c->view, was, 0));
    } else {
        c->discovering.wanted = true; /* of a control before this one */
    }
    if (discover_follow(c->discovering.sources, c->view, NULL, c->view, &e))
        log_error(c->log, "not every source of backends is followed: %s", e.text);
    discovering_plan(c);
}

void discovering_resting(const struct control *c, uint64_t bits[VIEW_MAX_SLOTS / 64])
{
    uint64_t now = loop_now(c->loop);
    memset(bits, 0, VIEW_MAX_SLOTS / 8);
    for (uint32_t slot = 0; slot < MIN(c->n_subjects, (uint32_t)VIEW_MAX_SLOTS); slot++)
        if (c->discovering.freed[slot] && now - c->discovering.freed[slot] < REST_NS)
            bits[slot / 64] |= 1ull << (slot % 64);
}

/* ---- what the API tells ---- */

/* Drains of one item; true: it was not so before. */
static bool set_drain(struct control *c, const struct view_service *s, const struct told_item *item)
{
    char text[ADDR_TEXT_MAX];
    struct str name = item->name;
    bool on = item->drain == TOLD_DRAIN;
    if (name.n == 0)
        name = (struct str){text, addr_format(&item->addr, text)};
    if (item->drain == TOLD_AS_IT_IS || drains_has(c, s->name, name) == on ||
        drains_set(c, s->name, name, on, NULL))
        return false;
    const struct view_instance *n = view_instance_find(s, name);
    if (n && n->slot < c->n_subjects && c->subjects[n->slot].used)
        judging_publish(c, n->slot);
    struct event *ev = control_event(c, on ? EVENT_DRAIN : EVENT_RESUME, EVENT_INFO);
    event_subject(ev, "%.*s/%.*s", (int)MIN(s->name.n, 80u), s->name.p, (int)MIN(name.n, 120u),
                  name.p);
    event_text(ev, on ? "takes no new requests" : "takes requests again");
    control_event_end(c, ev);
    return true;
}

static uint32_t set_drains(struct control *c, const struct view_service *s,
                           const struct told_change *change)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < change->n && change->mode != TOLD_REMOVE; i++)
        n += set_drain(c, s, &change->items[i]);
    if (n)
        drains_save(c);
    return n;
}

static int check_listeners(const struct control *c, const struct view_service *s,
                           const struct told_change *change, struct err *e)
{
    for (uint32_t i = 0; i < change->n; i++)
        for (uint32_t k = 0; k < s->n_sockets; k++)
            if (addr_eq(&change->items[i].addr, &c->view->sockets[s->sockets[k]].addr))
                return err_set(e, ERR_INVAL, "the service would forward to its own listener");
    return 0;
}

/* Whether there may be too many, as far as can be told without a merge. */
static bool is_crowded(const struct control *c, const struct view_service *s, uint32_t added)
{
    uint32_t others = 0, all = c->discovering.unmerged + added;
    for (uint32_t i = 0; i < s->n_instances; i++)
        others += s->instances[i].origin != ORIGIN_API;
    for (uint32_t i = 0; i < c->view->n_services; i++)
        all += c->view->services[i].n_instances;
    return others + discover_told_count(c->discovering.sources, s->name) > POOL_MAX ||
           all > VIEW_MAX_SLOTS;
}

/* Whether everything still has a place, with what was just told. */
static int check_room(struct control *c, struct str service, struct err *e)
{
    struct merge_report report;
    struct view *next = NULL;
    int r = discover_merge(c->discovering.sources, c->view, &next, &report, e);
    if (r == 0 && report.surplus && str_eq(str_of(report.first_surplus), service))
        r = err_set(e, ERR_LIMIT,
                    "%u instances have no place: a service has at most %d, all services together "
                    "%d",
                    report.surplus, POOL_MAX, VIEW_MAX_SLOTS);
    view_free(next);
    return r;
}

/* All of it or nothing. */
static int apply(struct control *c, const struct view_service *s, const struct told_change *change,
                 struct told_counts *counts, struct err *e)
{
    int r = check_listeners(c, s, change, e);
    if (r == 0)
        r = discover_tell(c->discovering.sources, change, c->view, counts, e);
    if (r)
        return r;
    if (counts->added + counts->removed + counts->updated == 0) {
        discover_undo(c->discovering.sources);
        return 0;
    }
    if (is_crowded(c, s, counts->added))
        r = check_room(c, s->name, e);
    if (r) {
        discover_undo(c->discovering.sources);
        return r;
    }
    r = discover_keep(c->discovering.sources, e);
    c->discovering.unmerged += r ? 0 : counts->added;
    control_unsaved(c, r ? e : NULL);
    return r;
}

int discovering_tell(struct control *c, const struct told_change *change,
                     struct admin_telling *waits, struct admin_told *told, struct err *e)
{
    struct discovering *g = &c->discovering;
    struct told_counts counts = {0};
    const struct view_service *s = c->view ? view_service_find(c->view, change->service) : NULL;
    if (!s)
        return c->view ? err_set(e, ERR_ABSENT, "the service has left the configuration")
                       : err_set(e, ERR_BUSY, "the node is still starting");
    int r = apply(c, s, change, &counts, e);
    if (r)
        return r;
    str_copy(g->by, sizeof g->by, str_of(c->auditing.by));
    *told = (struct admin_told){.added = counts.added,
                                .removed = counts.removed,
                                .updated = counts.updated,
                                .drained = set_drains(c, s, change),
                                .epoch = c->view->epoch,
                                .text = ""};
    bool idle = c->reloading.state == RELOAD_IDLE && !g->wanted;
    if (idle && counts.added + counts.removed + counts.updated == 0)
        return 0;
    waits->told = *told;
    list_push_back(&g->waiting, &waits->link);
    on_changed(c);
    return 1;
}

/* ---- start and end ---- */

int discovering_init(struct control *c, struct err *e)
{
    struct discovering *g = &c->discovering;
    struct discover_options o = {.state_dir = c->o.state_dir};
    struct discover_owner owner = {c, on_changed, on_note, on_unsaved};
    g->freed = mem_zero(MAX(c->n_subjects, 1u), sizeof *g->freed);
    if (!g->freed)
        return err_set(e, ERR_NOMEM, "no memory for %u instances", c->n_subjects);
    return discover_new(&g->sources, c->loop, &o, &owner, e);
}

void discovering_end(struct control *c)
{
    struct discovering *g = &c->discovering;
    loop_timer_stop(c->loop, &g->due);
    while (!list_empty(&g->waiting))
        list_remove(g->waiting.next);
    while (!list_empty(&g->serving))
        list_remove(g->serving.next);
    discover_free(g->sources);
    g->sources = NULL;
    mem_free(g->freed);
    g->freed = NULL;
}

void discovering_open(struct control *c)
{
    struct discovering *g = &c->discovering;
    *g = (struct discovering){0};
    timer_init(&g->due, on_due);
    list_init(&g->waiting);
    list_init(&g->serving);
}
