/* Answers to what operators ask of the shared configuration. Whoever asked may have left. */
#include "daemon/control_asking.h"

#include <stdio.h>

static void finish(struct asking *a, const struct admin_config_result *r)
{
    if (a->renumbers)
        a->c->configuring.renumbering = false;
    if (a->renumbers && r->code && !r->conflict)
        log_warning(a->c->log, "version %llu gets no other number: %s",
                    (unsigned long long)a->number, r->text);
    if (!list_empty(&a->waiter)) {
        struct admin_config_wait *w = LIST_ENTRY(a->waiter.next, struct admin_config_wait, link);
        list_remove(&w->link);
        w->done(w, r);
    }
    asking_free(a);
}

void asking_fail(struct asking *a, const struct err *e)
{
    struct admin_config_result r = {.code = e->code, .text = e->text};
    finish(a, &r);
}

void asking_conflicts(struct asking *a, uint64_t number)
{
    char text[160];
    struct admin_config_result r = {.code = -ERR_BUSY, .conflict = true, .text = text};
    snprintf(text, sizeof text,
             "somebody else applied version %llu meanwhile: nothing was changed, plan again",
             (unsigned long long)number);
    finish(a, &r);
}

void asking_fail_with_problems(struct asking *a, const struct conf_problems *p, const struct err *e)
{
    struct admin_problem *list = mem_zero(MAX(p->n, 1u), sizeof *list);
    struct admin_config_result r = {.code = e->code, .text = e->text, .problems = list};
    for (uint32_t i = 0; list && i < p->n; i++) {
        const struct conf_problem *from = &p->list[i];
        if (from->severity == CONF_ERROR)
            list[r.n_problems++] =
                (struct admin_problem){str_of(from->file), from->line, from->column,
                                       str_of(from->text), str_of(from->hint)};
    }
    finish(a, &r);
    mem_free(list);
}

static const char *warning_of(const struct control *c)
{
    const struct configuring *g = &c->configuring;
    struct coord_health h = {.reachable = false};
    if (!g->coord)
        return "there is no coordinator: this is what the node itself knows";
    coord_health(g->coord, &h);
    return h.reachable && g->adopter.head_known
               ? NULL
               : "the coordinator does not answer: this is the last that is known";
}

static void tell_result(struct asking *a, struct admin_config_result *r)
{
    struct str *changes = reload_lines(buf_str(&a->changes), &r->n_changes);
    struct str *risks = reload_lines(buf_str(&a->risks), &r->n_risks);
    struct str *left = reload_lines(buf_str(&a->left), &r->n_left);
    r->changes = changes;
    r->risks = risks;
    r->left = left;
    finish(a, r);
    mem_free(changes);
    mem_free(risks);
    mem_free(left);
}

void asking_tell_plan(struct asking *a)
{
    struct admin_config_result r = {
        .revision = a->head.revision, .same = asking_same_files(a), .warning = warning_of(a->c)};
    admin_version_of(&a->head.version, &r.version);
    tell_result(a, &r);
}

void asking_tell_risks(struct asking *a)
{
    struct admin_config_result r = {
        .code = -ERR_DENIED,
        .asks = true,
        .text = "the change takes something away that is in use: confirm it with yes"};
    tell_result(a, &r);
}

void asking_tell_version(struct asking *a, const struct version *v, bool same)
{
    struct admin_config_result r = {.same = same};
    admin_version_of(v, &r.version);
    tell_result(a, &r);
}

void asking_tell_applied(struct asking *a)
{
    const struct version *v = &a->application.version;
    const char *changes = v->changes[0] ? v->changes : "no differences";
    const char *end = strchr(changes, '\n');
    struct event *ev = control_event(a->c, EVENT_CONFIG_APPLIED, EVENT_INFO);
    event_by(ev, v->who);
    event_subject(ev, "version %llu", (unsigned long long)v->number);
    event_text(ev, "by %.60s%s%.80s: %.*s%s", v->who, v->note[0] ? ", " : "", v->note,
               (int)MIN(strcspn(changes, "\n"), (size_t)150), changes, end ? ", ..." : "");
    control_event_end(a->c, ev);
}

void asking_tell_files(struct asking *a, const struct shared_conf *s)
{
    struct admin_file *files = mem_zero(s->bundle.n, sizeof *files);
    struct admin_config_result r = {.files = files, .main = s->bundle.main};
    for (uint32_t i = 0; files && i < s->bundle.n; i++)
        files[r.n_files++] = (struct admin_file){s->bundle.files[i].name, s->bundle.files[i].text};
    admin_version_of(&s->version, &r.version);
    finish(a, &r);
    mem_free(files);
}

void asking_tell_history(struct asking *a)
{
    struct admin_version *list = mem_zero(MAX(a->n, 1u), sizeof *list);
    struct admin_config_result r = {.versions = list, .warning = warning_of(a->c)};
    for (uint32_t i = 0; list && i < a->n; i++)
        admin_version_of(&a->list[i], &list[r.n_versions++]);
    finish(a, &r);
    mem_free(list);
}
