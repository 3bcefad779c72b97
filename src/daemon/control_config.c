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

#define SAY_WITHIN   (5 * NS_PER_S)
#define FETCH_WITHIN (5 * NS_PER_S)

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

/* ---- what reloads are made from ---- */

static void tell_notes(struct control *c, struct str notes)
{
    while (notes.n) {
        const char *end = memchr(notes.p, '\n', notes.n);
        size_t n = end ? (size_t)(end - notes.p) : notes.n;
        struct event *ev = control_event(c, EVENT_CONFIG_REFUSED, EVENT_ERROR);
        event_subject(ev, "%s", c->o.file);
        event_text(ev, "%.*s", (int)MIN(n, 300u), notes.p);
        control_event_end(c, ev);
        notes.p += MIN(n + 1, notes.n);
        notes.n -= MIN(n + 1, notes.n);
    }
}

/* What cannot be read is set aside, so that it is told once. */
static void check_kept(struct control *c)
{
    uint64_t numbers[KEPT_MAX];
    uint32_t n = kept_list(c->o.state_dir, numbers);
    struct shared_conf s = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct err e = {0};
        if (kept_read(c->o.state_dir, numbers[i], &s, &e) && e.code != -ERR_NOMEM) {
            kept_set_aside(c->o.state_dir, numbers[i]);
            struct event *ev = control_event(c, EVENT_STATE_DAMAGED, EVENT_ERROR);
            event_subject(ev, "config/%010llu", (unsigned long long)numbers[i]);
            event_text(ev, "%s; the coordinator is asked for what is in force", e.text);
            control_event_end(c, ev);
        }
        shared_conf_free(&s);
    }
}

static int first_load(struct control *c, const struct conf_place *p, struct view **out,
                      struct conf_problems *problems, struct err *e)
{
    struct buf notes = {0};
    check_kept(c);
    int r = shared_conf_start(p, out, &c->configuring.used, problems, &notes, e);
    tell_notes(c, buf_str(&notes));
    buf_free(&notes);
    return r;
}

/* What else the own file says: compiled alone it would differ so much. */
static void note_left(struct control *c, const struct conf_place *p, const struct view *next)
{
    struct conf_env env = daemon_conf_env(p->node);
    struct conf_problems problems = {0};
    struct view *own = NULL;
    struct buf *left = &c->configuring.left;
    if (conf_load(p->file, &env, &own, &problems, NULL) == 0)
        conf_diff(next, own, left);
    else
        buf_printf(left, "%s has errors of its own, which do not count\n", p->file);
    view_free(own);
    conf_problems_free(&problems);
}

int configuring_load(struct control *c, struct view **out, struct conf_problems *problems,
                     struct err *e)
{
    struct configuring *g = &c->configuring;
    char name[256];
    struct conf_place p = configuring_place(c, name);
    g->running = g->wanted;
    g->wanted = false;
    buf_clear(&g->left);
    if (!c->view)
        return first_load(c, &p, out, problems, e);
    const struct shared_conf *s = g->running ? &g->target : &g->used;
    if (!s->version.number && c->view->version)
        return err_set(e, ERR_BUSY,
                       "version %llu runs here and is not on this node's disk any more: the "
                       "coordinator is asked for it",
                       (unsigned long long)c->view->version);
    int r = shared_conf_load(&p, s, false, out, problems, e);
    if (r == 0 && s->version.number && !g->running)
        note_left(c, &p, *out);
    return r;
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

static void keep(void *context, const struct version *v, struct str bundle)
{
    struct control *c = context;
    struct err e = {0};
    int r = kept_write(c->o.state_dir, v, bundle, &e);
    control_unsaved(c, r ? &e : NULL);
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

static const struct coord_item *item_of(const struct coord_item *items, uint32_t n, struct str key)
{
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(items[i].key, key))
            return &items[i];
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

static void hear_node(struct configuring *g, const struct coord_item *item)
{
    struct str prefix = STR(VERSIONS_NODE);
    struct str name = {item->key.p + prefix.n, item->key.n - MIN(prefix.n, item->key.n)};
    struct version_adopted says = {0};
    uint32_t i = 0;
    if (!g->said && !(g->said = mem_zero(VIEW_MAX_NODES, sizeof *g->said)))
        return; /* people see less */
    while (i < g->n_said && !str_eq(str_of(g->said[i].name), name))
        i++;
    if (item->gone && i < g->n_said)
        g->said[i] = g->said[--g->n_said];
    if (item->gone || i == VIEW_MAX_NODES || name.n >= sizeof g->said->name ||
        version_adopted_read(item->value, &says, NULL))
        return;
    str_copy(g->said[i].name, sizeof g->said[i].name, name);
    g->said[i].says = says;
    g->n_said = MAX(g->n_said, i + 1);
}

static void on_nodes(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                     bool whole)
{
    struct control *c = context;
    (void)revision;
    if (whole)
        c->configuring.n_said = 0;
    for (uint32_t i = 0; i < n; i++)
        hear_node(&c->configuring, &items[i]);
}

/* ---- what this node says of itself ---- */

static bool same_said(const struct version_adopted *a, const struct version_adopted *b)
{
    return a->number == b->number && strcmp(a->problem, b->problem) == 0;
}

static void say(struct control *c);

static void on_said(void *context, const struct coord_answer *a)
{
    struct control *c = context;
    struct configuring *g = &c->configuring;
    g->saying = false;
    g->own_said = a->outcome == COORD_DONE && g->own_said;
    if (a->outcome == COORD_DONE)
        say(c);
    else /* the timer will */
        configuring_settle(c);
}

/* One at a time; what changes meanwhile is in the next. */
static void say(struct control *c)
{
    struct configuring *g = &c->configuring;
    struct version_adopted is = {.number = g->used.version.number};
    char key[256];
    struct buf text = {0};
    snprintf(is.problem, sizeof is.problem, "%s",
             g->adopter.problem.code ? g->adopter.problem.text : "");
    for (char *p = is.problem; *p; p++)
        *p = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
    if (!g->coord || !g->begun || g->saying || (g->own_said && same_said(&is, &g->own)))
        return;
    snprintf(key, sizeof key, VERSIONS_NODE STR_FMT, STR_ARG(control_name(c)));
    struct coord_op op = {.key = str_of(key), .expected = COORD_ANY, .act = COORD_PUT};
    if (version_adopted_write(&is, &text, NULL) == 0) {
        op.value = buf_str(&text);
        g->saying = coord_cas(g->coord, &op, 1, now(c) + SAY_WITHIN, on_said, c, NULL, NULL) == 0;
    }
    g->own = is;
    g->own_said = g->saying;
    buf_free(&text);
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

void configuring_settle(struct control *c)
{
    struct configuring *g = &c->configuring;
    if (!g->begun)
        return;
    uint64_t due = adopter_deadline(&g->adopter);
    tell_problem(c);
    say(c);
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
    struct coord_watcher head = {c, on_head}, nodes = {c, on_nodes};
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
    check_kept(c);
    if (kept_read(c->o.state_dir, c->view->version, &g->used, &e))
        log_error(c->log, "version %llu runs here and cannot be read from the disk: %s",
                  (unsigned long long)c->view->version, e.text);
}

void configuring_adopt(struct control *c, const struct view *was)
{
    struct configuring *g = &c->configuring;
    if (!g->begun) {
        struct adopter_params params = adopter_defaults();
        struct adopter_host host = {c, fetch, keep, use};
        restore(c);
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
    mem_free(g->said);
    g->said = NULL;
}

/* ---- what the admin API sees ---- */

void admin_version_of(const struct version *v, struct admin_version *out)
{
    *out = (struct admin_version){v->number, v->from, v->when, v->digest,
                                  v->who,    v->node, v->note, v->changes};
}

static bool is_alive(const struct admin_cluster *k, struct str name)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (str_eq(k->members[i].name, name))
            return k->members[i].info.state == MEMBER_ALIVE;
    return false;
}

static void picture_node(const struct configuring *g, struct admin_adoption *to)
{
    to->problem = "";
    for (uint32_t i = 0; i < g->n_said; i++)
        if (str_eq(str_of(g->said[i].name), to->node)) {
            to->told = true;
            to->number = g->said[i].says.number;
            to->problem = g->said[i].says.problem;
        }
    if (!to->self)
        return;
    to->told = to->alive = true; /* of itself a node knows without the coordinator */
    to->number = g->used.version.number;
    to->problem = g->adopter.problem.code ? g->adopter.problem.text : "";
}

static int picture_nodes(struct control *c, struct admin_config *out, struct err *e)
{
    const struct view_cluster *v = &c->view->cluster;
    struct admin_cluster k = {0};
    out->n_nodes = MAX(v->n_nodes, 1u);
    out->nodes = arena_array(&out->arena, out->n_nodes, sizeof *out->nodes);
    if (!out->nodes)
        return err_set(e, ERR_NOMEM, "no memory for the nodes");
    bool several = meshing_cluster(c, &k, NULL) == 0;
    for (uint32_t i = 0; i < out->n_nodes; i++) {
        struct admin_adoption *n = &out->nodes[i];
        n->self = v->n_nodes == 0 || i == v->self;
        n->node = v->n_nodes ? v->nodes[i].name : control_name(c);
        n->alive = several && is_alive(&k, n->node);
        picture_node(&c->configuring, n);
    }
    admin_cluster_free(&k);
    return 0;
}

int configuring_picture(void *context, struct admin_config *out, struct err *e)
{
    struct control *c = context;
    const struct configuring *g = &c->configuring;
    struct coord_health health = {0};
    admin_version_of(&g->used.version, &out->used);
    admin_version_of(&g->adopter.head.version, &out->head);
    out->revision = g->adopter.head.revision;
    out->head_known = g->adopter.head_known;
    out->problem = g->adopter.problem.code ? g->adopter.problem.text : "";
    if (g->coord)
        coord_health(g->coord, &health);
    char *engine = arena_cstr(&out->arena, str_of(health.engine));
    if (!engine)
        return err_set(e, ERR_NOMEM, "no memory for the configuration");
    out->coordinator = engine;
    out->reachable = health.reachable;
    return picture_nodes(c, out, e);
}
