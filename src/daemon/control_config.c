/* This node follows the configuration that all nodes share.
 *
 * The core in coord/versions.h decides; here are its hands. A newer head is fetched from the
 * coordinator, kept in STATE/config (kept.h), and used by a reload, which reads the version's files
 * instead of the node's own but for what is local to it. What cannot be used changes nothing: the
 * node stays with what it has, says so (event, status, and `config/node/NAME` for the others), and
 * tries again. Nothing here waits: while the coordinator is away reloads go on from what is kept.
 *
 * At a start the newest version that the machine can take runs, as the supervisor has chosen too.
 * When only control was replaced, the view in force says which version it is of. */
#include "daemon/control_config.h"

#include <stdio.h>

#include "daemon/control.h"
#include "daemon/control_coord.h"
#include "daemon/daemon.h"

#define FETCH_WITHIN (5 * NS_PER_S)
#define RENUMBER_IN  (2 * NS_PER_S) /* a watch may be behind another for a moment */

struct conf_place configuring_place(const struct control *c, char name[256])
{
    return (struct conf_place){c->o.file, c->o.state_dir, control_self(c, name)};
}

static void tell(struct control *c, enum event_code code, enum event_level level,
                 const struct version *v, const char *text)
{
    struct event *ev = control_event(c, code, level);
    if (v->number)
        event_subject(ev, "version %llu", (unsigned long long)v->number);
    else
        event_subject(ev, "%s", c->o.file);
    event_text(ev, "%s", text);
    control_event_end(c, ev);
}

/* As the others call this node. */
struct str control_name(const struct control *c)
{
    const struct view_node *self = c->view ? view_self(c->view) : NULL;
    return self ? self->name : str_of(c->o.node);
}

void configuring_idle(struct control *c)
{
    c->configuring.running = false;
}

/* ---- the adopter's hands ---- */

static uint64_t now(const struct control *c)
{
    return loop_now(c->loop);
}

static void on_fetched(void *context, const struct coord_answer *a)
{
    struct control *c = context;
    adopter_fetched(&c->configuring.adopter, c->configuring.adopter.target.number, a, now(c));
    configuring_settle(c);
}

static void fetch(void *context, uint64_t number)
{
    struct control *c = context;
    struct configuring *g = &c->configuring;
    struct err e = {0};
    char key[VERSION_KEY];
    version_key(number, key);
    if (!g->coord)
        err_set(&e, ERR_BUSY, "there is no coordinator");
    else
        coord_range(g->coord, str_of(key), now(c) + FETCH_WITHIN, on_fetched, c, NULL, &e);
    if (e.code) {
        struct coord_answer none = {.outcome = COORD_FAILED, .why = &e};
        adopter_fetched(&g->adopter, number, &none, now(c));
    }
}

static void note_kept(struct control *c)
{
    uint64_t numbers[KEPT_MAX];
    uint64_t most = kept_list(c->o.state_dir, numbers) ? numbers[0] : 0;
    c->configuring.kept_most = MAX(c->configuring.kept_most, most);
}

static void keep(void *context, const struct version *v, struct str bundle)
{
    struct control *c = context;
    struct err e = {0};
    int r = kept_write(c->o.state_dir, v, bundle, &e);
    control_unsaved(c, r ? &e : NULL);
    note_kept(c);
    adopter_kept(&c->configuring.adopter, v->number, r ? &e : NULL, now(c));
}

static void use(void *context, const struct version *v, struct str bundle)
{
    struct control *c = context;
    struct configuring *g = &c->configuring;
    struct err e = {0};
    int r = shared_conf_read(&g->target, v, bundle, &e);
    if (r == 0 && list_empty(&g->reload.link))
        r = reload_request(c, &g->reload, &e);
    g->wanted = r == 0;
    if (r)
        adopter_used(&g->adopter, v->number, &e, now(c));
}

static void tell_adopted(struct control *c)
{
    const struct version *v = &c->configuring.used.version;
    char text[EVENT_TEXT_MAX];
    snprintf(text, sizeof text, "runs here now: applied by %.60s on %.60s%s%.150s", v->who, v->node,
             v->note[0] ? ": " : "", v->note);
    tell(c, EVENT_CONFIG_ADOPTED, EVENT_INFO, v, text);
}

static void on_reloaded(struct admin_reload *reload, const struct admin_reload_result *result)
{
    struct control *c = CONTAINER_OF(reload, struct control, configuring.reload);
    struct configuring *g = &c->configuring;
    struct err e = {.code = result->code};
    uint64_t number = g->target.version.number;
    if (result->code) {
        const struct admin_problem *p = result->problems;
        if (result->n_problems)
            snprintf(e.text, sizeof e.text, "%.*s:%u: %.*s", (int)MIN(p->file.n, 80u), p->file.p,
                     p->line, (int)MIN(p->text.n, 150u), p->text.p);
        else
            str_copy(e.text, sizeof e.text, str_of(result->text));
        adopter_used(&g->adopter, number, &e, now(c));
    } else {
        g->fallen[0] = 0;
        shared_conf_free(&g->used);
        g->used = g->target;
        g->target = (struct shared_conf){0};
        tell_adopted(c);
        adopter_used(&g->adopter, number, NULL, now(c));
        kept_forget(c->o.state_dir, number);
    }
    configuring_settle(c);
}

/* ---- what the coordinator says ---- */

/* The latest: after a pause a watch tells several changes of one key at once, in their order. */
static const struct coord_item *item_of(const struct coord_item *items, uint32_t n, struct str key)
{
    for (uint32_t i = n; i > 0; i--)
        if (str_eq(items[i - 1].key, key))
            return &items[i - 1];
    return NULL;
}

static void on_head(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                    bool whole)
{
    struct control *c = context;
    const struct coord_item *head = item_of(items, n, STR(VERSIONS_HEAD));
    (void)revision;
    if (head || whole)
        adopter_head(&c->configuring.adopter, head, now(c));
    configuring_settle(c);
    asking_wake(c);
}

/* ---- wiring ---- */

static void tell_problem(struct control *c)
{
    struct configuring *g = &c->configuring;
    const char *text = g->adopter.problem.code ? g->adopter.problem.text : "";
    if (strcmp(text, g->refused) == 0)
        return;
    str_copy(g->refused, sizeof g->refused, str_of(text));
    if (text[0])
        tell(c, EVENT_CONFIG_REFUSED, EVENT_WARNING, &g->adopter.head.version, text);
}

/* ---- numbers ---- */

/* Numbers come from others too: what cannot be one does not count. */
static void raise_to(uint64_t *most, uint64_t number)
{
    if (number < VERSION_MOST)
        *most = MAX(*most, number);
}

uint64_t configuring_highest(struct control *c)
{
    const struct configuring *g = &c->configuring;
    const struct view_cluster *k = &c->view->cluster;
    const struct standing *s;
    uint64_t most = MAX(g->used.version.number, g->kept_most);
    for (uint32_t i = 0; i < g->n_said; i++)
        raise_to(&most, g->said[i].says.number);
    for (uint32_t i = 0; i < k->n_nodes; i++)
        if (i != k->self && managed_hears(c, i, &s))
            raise_to(&most, s->config);
    return most;
}

static bool is_restoring(struct control *c)
{
    const struct coord_record *r = &c->coordinating.record;
    const struct view_cluster *k = &c->view->cluster;
    const struct standing *s;
    bool yes = c->coordinating.restore_from[0] || r->restoring || r->raise || r->filling;
    for (uint32_t i = 0; i < k->n_nodes && !yes; i++)
        yes = i != k->self && managed_hears(c, i, &s) && s->restoring;
    return yes;
}

/* After a restore head may be behind what nodes run. Whoever finds that, has it written anew, with
 * a number that nobody used for anything else; of several one is first. Returns when to look. */
static uint64_t renumber(struct control *c)
{
    struct configuring *g = &c->configuring;
    if (!g->coord || !adopter_overtaken(&g->adopter)) {
        g->renumber_at = 0;
        return UINT64_MAX;
    }
    if (g->renumber_at && now(c) >= g->renumber_at && !g->renumbering && !is_restoring(c)) {
        g->renumber_at = now(c) + 5 * RENUMBER_IN;
        asking_renumber(c);
    } else if (now(c) >= g->renumber_at) {
        g->renumber_at = now(c) + RENUMBER_IN;
    }
    return g->renumber_at;
}

void configuring_settle(struct control *c)
{
    struct configuring *g = &c->configuring;
    if (!g->begun)
        return;
    if (g->adopter.head_known && version_same(&g->adopter.head.version, &g->used.version))
        g->fallen[0] = 0;
    uint64_t due = adopter_deadline(&g->adopter);
    tell_problem(c);
    configuring_say(c);
    due = MIN(due, renumber(c));
    if (g->coord && !g->own_said && !g->saying)
        due = MIN(due, now(c) + NS_PER_S);
    if (due == UINT64_MAX)
        loop_timer_stop(c->loop, &g->due);
    else
        loop_timer_set(c->loop, &g->due, due);
}

static void on_due(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, configuring.due);
    if (now(c) >= adopter_deadline(&c->configuring.adopter))
        adopter_tick(&c->configuring.adopter, now(c));
    configuring_settle(c);
}

static void watch(struct control *c)
{
    struct configuring *g = &c->configuring;
    struct coord_watcher head = {c, on_head}, nodes = {c, configuring_nodes};
    struct err e = {0};
    if (coord_watch(g->coord, STR(VERSIONS_HEAD), &head, &g->head, &e) ||
        coord_watch(g->coord, STR(VERSIONS_NODE), &nodes, &g->nodes, &e))
        log_error(c->log, "the configuration in force is not followed: %s", e.text);
}

/* What was asked of the coordinator that goes is never answered. */
static void unwatch(struct control *c)
{
    struct configuring *g = &c->configuring;
    struct err gone = {.code = -ERR_BUSY, .text = "there is another coordinator"};
    struct coord_answer none = {.outcome = COORD_FAILED, .why = &gone};
    if (g->coord && g->adopter.phase == ADOPTER_FETCHING)
        adopter_fetched(&g->adopter, g->adopter.target.number, &none, now(c));
    coord_unwatch(g->head);
    coord_unwatch(g->nodes);
    g->head = g->nodes = NULL;
}

void configuring_coord(struct control *c, struct coord *coord)
{
    struct configuring *g = &c->configuring;
    if (g->coord == coord)
        return;
    if (g->coord)
        asking_end(c, "the coordinator is another now: ask again");
    unwatch(c);
    g->coord = coord;
    g->own_said = g->saying = false;
    if (coord && g->begun)
        watch(c);
    configuring_settle(c);
}

/* The view in force is of a version, and control is new: its files should be on the disk. */
static void restore(struct control *c)
{
    struct configuring *g = &c->configuring;
    struct err e = {0};
    if (c->view->version == g->used.version.number)
        return;
    configuring_check_kept(c);
    if (kept_read(c->o.state_dir, c->view->version, &g->used, &e))
        log_error(c->log, "version %llu runs here and cannot be read from the disk: %s",
                  (unsigned long long)c->view->version, e.text);
}

void configuring_adopt(struct control *c, const struct view *was)
{
    struct configuring *g = &c->configuring;
    configuring_keep_own(c);
    if (!g->begun) {
        struct adopter_params params = adopter_defaults();
        struct adopter_host host = {c, fetch, keep, use};
        restore(c);
        note_kept(c);
        adopter_begin(&g->adopter, &params, &host,
                      g->used.version.number ? &g->used.version : NULL);
        g->begun = true;
        if (g->coord)
            watch(c);
    }
    coordinating_adopt(c, was);
    configuring_settle(c);
}

void configuring_init(struct control *c)
{
    struct configuring *g = &c->configuring;
    *g = (struct configuring){.reload.done = on_reloaded};
    list_init(&g->reload.link);
    list_init(&g->asks);
    timer_init(&g->due, on_due);
    coordinating_init(c);
}

void configuring_end(struct control *c)
{
    struct configuring *g = &c->configuring;
    asking_end(c, "control ends");
    coordinating_end(c);
    loop_timer_stop(c->loop, &g->due);
    adopter_free(&g->adopter);
    shared_conf_free(&g->used);
    shared_conf_free(&g->target);
    buf_free(&g->left);
    buf_free(&g->own_copy);
    mem_free(g->said);
    g->said = NULL;
}
