/* conf_load: the stages in a row. */
#include "conf/tree.h"

static int summary(const struct conf_problems *p, const char *path, struct err *e)
{
    return err_set(e, ERR_INVAL, "%s has %u error%s", path, p->errors, p->errors == 1 ? "" : "s");
}

/* The sources are needed until every problem has found its line. */
static int load(struct conf *c, const char *path, bool backends, struct err *e)
{
    bool damaged = false;
    int file = conf_source_read(c, str_of(path), NULL, e);
    if (file < 0)
        return c->nomem       ? err_set(e, ERR_NOMEM, "no memory to read %s", path)
               : e && e->code ? e->code
                              : -ERR_IO;
    struct node *top = conf_parse(c, (uint32_t)file, 0, &damaged);
    c->view = view_new();
    if (!c->view || c->nomem)
        return err_set(e, ERR_NOMEM, "no memory to read %s", path);
    if (backends)
        conf_build_backends(c, top);
    else
        conf_build(c, top, damaged || c->too_large);
    conf_problems_sort(c->problems);
    if (c->nomem)
        return err_set(e, ERR_NOMEM, "no memory to read %s", path);
    if (c->problems->errors)
        return summary(c->problems, path, e);
    /* What leaves this room is what view_decode accepts: one set of promises. */
    return backends || c->env->partial ? 0 : view_verify(c->view, e);
}

static int load_from(const char *path, bool backends, const struct conf_env *env, struct view **out,
                     struct conf_problems *problems, struct err *e)
{
    struct err local = {0};
    struct conf c = {.env = env, .problems = problems};
    int rc = load(&c, path, backends, &local);
    arena_free(&c.arena);
    if (rc) {
        view_free(c.view);
        if (e)
            *e = local;
        return rc;
    }
    *out = c.view;
    return 0;
}

int conf_load(const char *path, const struct conf_env *env, struct view **out,
              struct conf_problems *problems, struct err *e)
{
    return load_from(path, false, env, out, problems, e);
}

/* The shared one first: what is missing is missing there. */
static int load_shared(struct conf *c, const char *own, const char *shared,
                       const struct conf_env *shared_env, struct err *e)
{
    bool damaged = false;
    struct conf_env const *env = c->env;
    c->env = shared_env;
    int file = conf_source_read(c, str_of(shared), NULL, e);
    struct node *all = file < 0 ? NULL : conf_parse(c, (uint32_t)file, 0, &damaged);
    c->env = env;
    int mine = file < 0 ? -1 : conf_source_read(c, str_of(own), NULL, e);
    if (mine < 0)
        return c->nomem       ? err_set(e, ERR_NOMEM, "no memory to read %s", own)
               : e && e->code ? e->code
                              : -ERR_IO;
    struct node *local = conf_parse(c, (uint32_t)mine, 0, &damaged);
    c->view = view_new();
    if (!c->view || c->nomem)
        return err_set(e, ERR_NOMEM, "no memory to read %s", own);
    conf_build(c, conf_local_merge(c, all, local), damaged || c->too_large);
    c->view->file = arena_str(&c->view->arena, str_of(own));
    conf_problems_sort(c->problems);
    if (c->nomem || !c->view->file.p)
        return err_set(e, ERR_NOMEM, "no memory to read %s", own);
    return c->problems->errors ? summary(c->problems, shared, e) : view_verify(c->view, e);
}

int conf_load_shared(const char *own, const struct conf_env *env, const char *shared,
                     const struct conf_env *shared_env, struct view **out,
                     struct conf_problems *problems, struct err *e)
{
    struct err local = {0};
    struct conf c = {.env = env, .problems = problems, .picks = true};
    int rc = load_shared(&c, own, shared, shared_env, &local);
    arena_free(&c.arena);
    if (rc) {
        view_free(c.view);
        if (e)
            *e = local;
        return rc;
    }
    *out = c.view;
    return 0;
}

int conf_load_backends(const char *path, const struct conf_env *env, struct view **out,
                       struct conf_problems *problems, struct err *e)
{
    return load_from(path, true, env, out, problems, e);
}
