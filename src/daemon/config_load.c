/* What a node's view is made from, where all nodes share a configuration: a version, and what is
 * local to the node from its own file.
 *
 *   at the start  the newest version that is kept and that the machine can take; of those that the
 *                 supervisor refuses, an older one. That is a stopgap: the status says so, nothing
 *                 is written because of it, and the version in force is tried again as ever
 *   a version     is to be used: errors of the own file are no reason against it (kept.h)
 *   a reload      an operator's: errors of the own file, wherever they are, refuse it */
#include "daemon/control.h"
#include "daemon/daemon.h"

#include <stdio.h>

/* ---- what is told ---- */

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

/* There is a newer version than the one that the node starts with; the newest counts. */
static void fall(struct control *c, uint64_t number, const char *why, size_t n)
{
    struct configuring *g = &c->configuring;
    if (number < g->fallen_from)
        return;
    g->fallen_from = number;
    snprintf(g->fallen, sizeof g->fallen, "version %llu, the newest here, cannot be used: %.*s",
             (unsigned long long)number, (int)MIN(n, 180u), why);
}

const char *configuring_problem(const struct control *c)
{
    const struct configuring *g = &c->configuring;
    return g->adopter.problem.code ? g->adopter.problem.text : g->fallen;
}

/* Told when it changes; the status always has it. */
static void own_problem(struct control *c, const char *text)
{
    struct configuring *g = &c->configuring;
    if (strcmp(g->own_problem, text) == 0)
        return;
    str_copy(g->own_problem, sizeof g->own_problem, str_of(text));
    if (!text[0])
        return;
    struct event *ev = control_event(c, EVENT_CONFIG_REFUSED, EVENT_ERROR);
    event_subject(ev, "%s", c->o.file);
    event_text(ev, "%s", text);
    control_event_end(c, ev);
}

void configuring_check_kept(struct control *c)
{
    uint64_t numbers[KEPT_MAX];
    uint32_t n = kept_list(c->o.state_dir, numbers);
    struct shared_conf s = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct err e = {0};
        if (kept_read(c->o.state_dir, numbers[i], &s, &e) && e.code != -ERR_NOMEM) {
            kept_set_aside(c->o.state_dir, numbers[i]);
            fall(c, numbers[i], e.text, strlen(e.text));
            struct event *ev = control_event(c, EVENT_STATE_DAMAGED, EVENT_ERROR);
            event_subject(ev, "config/%010llu", (unsigned long long)numbers[i]);
            event_text(ev, "%s; the coordinator is asked for what is in force", e.text);
            control_event_end(c, ev);
        }
        shared_conf_free(&s);
    }
}

/* ---- the own file ---- */

/* One that says no more than what is local to the node is no whole configuration, and need not be.
 */
static int check_own(const struct conf_place *p, struct conf_problems *problems, struct err *e)
{
    struct conf_env env = daemon_conf_env(p->node);
    struct view *own = NULL;
    env.partial = true;
    int r = conf_load(p->file, &env, &own, problems, e);
    view_free(own);
    return r;
}

/* What else it says, if it is a whole configuration: alone it would differ so much. */
static void note_left(struct control *c, const struct conf_place *p, const struct view *next)
{
    struct conf_env env = daemon_conf_env(p->node);
    struct conf_problems ignored = {0};
    struct view *own = NULL;
    if (conf_load(p->file, &env, &own, &ignored, NULL) == 0)
        conf_diff(next, own, &c->configuring.left);
    view_free(own);
    conf_problems_free(&ignored);
}

/* broken: why its copy had to do, or empty. */
static void note_own(struct control *c, const struct conf_place *p, const char *broken)
{
    struct conf_problems problems = {0};
    struct err e = {0};
    char text[KEPT_OWN_TEXT] = "";
    buf_clear(&c->configuring.own_copy);
    if (!broken[0])
        daemon_bundle(p->file, &c->configuring.own_copy, NULL);
    if (!broken[0] && check_own(p, &problems, &e))
        snprintf(text, sizeof text, "%s, none of them in what is local to this node", e.text);
    own_problem(c, broken[0] ? broken : text);
    conf_problems_free(&problems);
}

/* What the node could use is what it may need once more. */
void configuring_keep_own(struct control *c)
{
    struct buf *copy = &c->configuring.own_copy;
    struct err e = {0};
    if (c->view->version && copy->n) {
        int r = kept_own_write(c->o.state_dir, buf_str(copy), &e);
        control_unsaved(c, r ? &e : NULL);
    }
    buf_free(copy);
}

/* ---- what is read ---- */

static int first_load(struct control *c, const struct conf_place *p, struct view **out,
                      struct conf_problems *problems, struct err *e)
{
    struct configuring *g = &c->configuring;
    struct shared_start s = {.below = g->below};
    uint64_t numbers[KEPT_MAX];
    configuring_check_kept(c);
    uint64_t newest = kept_list(c->o.state_dir, numbers) ? numbers[0] : 0;
    int r = shared_conf_start(p, &s, e);
    tell_notes(c, buf_str(&s.notes));
    if (s.notes.n)
        fall(c, newest, s.notes.p, strcspn(s.notes.p, "\n"));
    if (r == 0 && g->fallen_from < s.used.version.number)
        g->fallen[0] = 0;
    if (r == 0 && s.used.version.number)
        note_own(c, p, s.own);
    shared_conf_free(&g->used);
    *out = s.view;
    *problems = s.problems;
    g->used = s.used;
    s.view = NULL;
    s.problems = (struct conf_problems){0};
    s.used = (struct shared_conf){0};
    shared_start_free(&s);
    return r;
}

bool configuring_refused(struct control *c, const char *why)
{
    struct configuring *g = &c->configuring;
    uint64_t number = g->used.version.number;
    if (c->view || !number || !kept_has_below(c->o.state_dir, number))
        return false;
    fall(c, number, why, strlen(why));
    g->below = number;
    return true;
}

static int reload_own(struct control *c, const struct conf_place *p, struct view **out,
                      struct conf_problems *problems, struct err *e)
{
    const struct shared_conf *used = &c->configuring.used;
    struct err own = {0};
    if (used->version.number && check_own(p, problems, &own)) {
        own_problem(c, own.text);
        if (e)
            *e = own;
        return own.code;
    }
    conf_problems_free(problems);
    int r = shared_conf_load(p, used, false, out, problems, e);
    if (r == 0 && used->version.number) {
        note_own(c, p, "");
        note_left(c, p, *out);
    }
    return r;
}

static int load_target(struct control *c, const struct conf_place *p, struct view **out,
                       struct conf_problems *problems, struct err *e)
{
    char own[KEPT_OWN_TEXT];
    int r = shared_conf_load_anyway(p, &c->configuring.target, false, out, problems, own, e);
    if (r == 0)
        note_own(c, p, own);
    return r;
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
    if (g->running)
        return load_target(c, &p, out, problems, e);
    if (g->used.version.number || !c->view->version)
        return reload_own(c, &p, out, problems, e);
    return err_set(e, ERR_BUSY,
                   "version %llu runs here and is not on this node's disk any more: the "
                   "coordinator is asked for it",
                   (unsigned long long)c->view->version);
}
