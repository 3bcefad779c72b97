/* What a configuration that an operator offers would change: against the version in force, or
 * against what runs here before there is one. */
#include "daemon/control_asking.h"

#include "daemon/bundle_env.h"

/* The version in force, if it is at hand. */
const struct shared_conf *asking_at_hand(const struct asking *a)
{
    const struct configuring *g = &a->c->configuring;
    const struct version *v = &a->head.version;
    if (v->number && version_same(&g->used.version, v))
        return &g->used;
    if (v->number && version_same(&g->target.version, v))
        return &g->target;
    return v->number && version_same(&a->old.version, v) ? &a->old : NULL;
}

/* What of it takes something away. Who votes is what the coordinator says; before it is known, what
 * the configuration in force says. */
static int risks(struct asking *a, const struct view *now, const struct view *next)
{
    struct voters v = a->c->coordinating.voters;
    struct str names[VOTERS_MAX];
    if (a->c->view->cluster.n_nodes && !v.version)
        managed_wanted(a->c, &v);
    for (uint32_t i = 0; i < v.n; i++)
        names[i] = str_of(v.names[i]);
    return conf_risks(now, next, names, v.n, &a->risks);
}

/* What runs before anybody applied: with what comes and goes, in both. */
static int against_running(struct asking *a, struct view *next, struct err *e)
{
    struct merge_report report = {0};
    struct view *merged = NULL;
    int r = discover_merge(a->c->discovering.sources, next, &merged, &report, e);
    if (r == 0 &&
        (conf_diff(a->c->view, merged, &a->changes) < 0 || risks(a, a->c->view, merged) < 0))
        r = err_set(e, ERR_NOMEM, "no memory to compare the configurations");
    view_free(merged);
    return r;
}

/* A version in force that is no longer understood, say after an upgrade, differs in all. */
static int against_head(struct asking *a, const struct conf_place *p, struct view *next,
                        struct err *e)
{
    struct conf_problems ignored = {0};
    struct view *old = NULL;
    char own[KEPT_OWN_TEXT];
    int r = shared_conf_load_anyway(p, asking_at_hand(a), true, &old, &ignored, own, e);
    conf_problems_free(&ignored);
    if (r == -ERR_NOMEM)
        return r;
    if (r)
        return against_running(a, next, e);
    if (conf_diff(old, next, &a->changes) < 0 || risks(a, old, next) < 0)
        r = err_set(e, ERR_NOMEM, "no memory to compare the configurations");
    view_free(old);
    return r;
}

/* What the file says of things that are local to a node: alone it would differ so much. */
static void note_local(struct asking *a, const struct conf_place *p, const struct shared_conf *s,
                       const struct view *next)
{
    struct bundle_world *w = mem_zero(1, sizeof *w);
    struct conf_problems ignored = {0};
    struct view *alone = NULL;
    if (!w)
        return;
    struct conf_env env = bundle_env(w, &s->bundle, p->file, p->node);
    env.whole = true;
    if (conf_load(s->bundle.main.p, &env, &alone, &ignored, NULL) == 0)
        conf_diff(next, alone, &a->left);
    view_free(alone);
    conf_problems_free(&ignored);
    mem_free(w);
}

/* False: it is over. */
bool asking_compare(struct asking *a)
{
    char name[256], own[KEPT_OWN_TEXT];
    struct conf_place p = configuring_place(a->c, name);
    struct conf_problems problems = {0};
    struct shared_conf s = {0};
    struct view *next = NULL;
    struct err e = {0};
    struct version none = {0};
    int r = shared_conf_read(&s, &none, buf_str(&a->bundle), &e);
    r = r ? r : shared_conf_load_anyway(&p, &s, true, &next, &problems, own, &e);
    bool compiled = r == 0;
    if (r == 0)
        r = a->head.version.number ? against_head(a, &p, next, &e) : against_running(a, next, &e);
    if (r == 0)
        note_local(a, &p, &s, next);
    view_free(next);
    shared_conf_free(&s);
    if (r && !compiled && problems.errors)
        asking_fail_with_problems(a, &problems, &e);
    else if (r)
        asking_fail(a, &e);
    conf_problems_free(&problems);
    return r == 0;
}

bool asking_same_files(const struct asking *a)
{
    char digest[BUNDLE_DIGEST];
    return bundle_digest(buf_str(&a->bundle), digest) &&
           strcmp(digest, a->head.version.digest) == 0;
}
