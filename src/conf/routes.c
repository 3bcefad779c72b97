/* Routes: what each takes, and the one thing that is done with it. Where a setting has no meaning
 * for that thing it is refused, for its writer expects something of it. */
#include "conf/backends.h"
#include "conf/builder.h"

struct route_place {
    struct builder *b;
    const struct node *node;
    const struct seen *seen;
    const struct view_service *service;
    const struct node *service_node;
    struct view_route *r;
};

static const struct node *at(const struct route_place *p, const char *key)
{
    return settings_seen(p->seen, BLOCK_ROUTE, key);
}

/* Complains about each of these settings that is there. */
static void refuse(const struct route_place *p, const char *const *keys, const char *why)
{
    for (; *keys; keys++) {
        const struct node *n = at(p, *keys);
        if (n)
            conf_complain(p->b->c, &n->place, "", "%s is for routes %s only", *keys, why);
    }
}

/* --- to --- */

/* "api" or "api:95"; false after a problem was reported. */
static bool target_parts(struct conf *c, const struct value *v, size_t *name, uint64_t *weight)
{
    const char *colon = v->text.n ? memchr(v->text.p, ':', v->text.n) : NULL;
    *name = colon ? (size_t)(colon - v->text.p) : v->text.n;
    *weight = 1;
    struct str digits = {v->text.p + *name + 1, colon ? v->text.n - *name - 1 : 0};
    if (colon && !str_u64(digits, VIEW_MAX_WEIGHT, weight)) {
        conf_complain(c, &v->place, conf_text(c, "a weight is 0 to %d", VIEW_MAX_WEIGHT),
                      "'" STR_FMT "' is not a service with its weight", STR_ARG(conf_shown(v)));
        return false;
    }
    return true;
}

static bool is_twice(const struct value *first, const struct value *v, size_t name)
{
    for (const struct value *i = first; i && i != v; i = i->next)
        if (str_starts(i->text, (struct str){v->text.p, name}) &&
            (i->text.n == name || i->text.p[name] == ':'))
            return true;
    return false;
}

static void add_target(struct route_place *p, const struct value *first, const struct value *v)
{
    size_t name;
    uint64_t weight;
    if (v->bad || !target_parts(p->b->c, v, &name, &weight))
        return;
    if (is_twice(first, v, name)) {
        conf_complain(p->b->c, &v->place, "", "'" STR_FMT "' stands here twice",
                      STR_ARG(conf_shown(v)));
        return;
    }
    struct view_target *t = &p->r->targets[p->r->n_targets++];
    t->weight = (uint32_t)weight;
    links_add(p->b, v, name, "to", p->service, &t->service);
}

static void build_targets(struct route_place *p, const struct value *v)
{
    uint32_t n = build_count_items(v), weights = 0, errors = p->b->c->problems->errors;
    if (n == 0 || n > VIEW_MAX_TARGETS) {
        conf_complain(p->b->c, &v->place, "", "a route leads to 1 to %d services",
                      VIEW_MAX_TARGETS);
        return;
    }
    p->r->targets = build_array(p->b, n, sizeof *p->r->targets);
    if (!p->r->targets)
        return;
    const struct value *first = v->kind == VALUE_LIST ? v->items : v;
    for (const struct value *i = first; i; i = v->kind == VALUE_LIST ? i->next : NULL)
        add_target(p, first, i);
    for (uint32_t i = 0; i < p->r->n_targets; i++)
        weights += p->r->targets[i].weight;
    if (weights == 0 && p->b->c->problems->errors == errors)
        conf_complain(p->b->c, &v->place, "", "every service of this route has weight 0");
}

/* --- what is done --- */

static void check_rewrite(const struct route_place *p)
{
    const struct node *n = at(p, "rewrite");
    const struct view_words *paths = &p->r->match.paths;
    if (!n)
        return;
    if (!at(p, "path"))
        conf_complain(p->b->c, &n->place, "add 'path = /'", "rewrite without path");
    for (uint32_t i = 0; i < paths->n; i++)
        if (paths->list[i].p[0] == '*') {
            conf_complain(p->b->c, &n->place, "make a route of its own of it",
                          "rewrite needs the beginning of a path, not its end");
            return;
        }
}

static void forward(struct route_place *p)
{
    static const char *const redirects[] = {"status", NULL};
    static const char *const responds[] = {"text", "file", "type", NULL};
    const struct value *to = settings_value(p->seen, BLOCK_ROUTE, "to");
    p->r->action = ROUTE_FORWARD;
    refuse(p, redirects, "with a redirect");
    refuse(p, responds, "that respond");
    check_rewrite(p);
    if (to)
        build_targets(p, to);
    else if (!at(p, "to") && !p->node->damaged && !build_has_backends(p->service_node, p->service))
        conf_complain(p->b->c, &p->node->place, "add 'to = SERVICE', 'redirect' or 'respond'",
                      "this route leads to the service's own backends, and there are none");
}

static const char *const of_backends[] = {
    "rewrite",        "mirror",      "mirror-share", "idempotent",       "hedge-after",
    "request-remove", "request-set", "request-add",  "hedge-percentile", NULL};

static void redirect(struct route_place *p)
{
    static const char *const responds[] = {"text", "file", "type", NULL};
    static const char *const codes[] = {"301", "302", "303", "307", "308"};
    const struct value *v = settings_value(p->seen, BLOCK_ROUTE, "status");
    p->r->action = ROUTE_REDIRECT;
    p->r->status = 302;
    refuse(p, of_backends, "that lead to backends");
    refuse(p, responds, "that respond");
    for (size_t i = 0; v && i < ARRAY_LEN(codes); i++)
        if (str_eq(v->text, str_of(codes[i]))) {
            p->r->status = (uint16_t)(i < 3 ? 301 + i : 304 + i);
            return;
        }
    if (v)
        settings_wrong(p->b->c, schema_setting(schema_block(BLOCK_ROUTE), STR("status")), v,
                       "is no status of a redirect");
}

static void respond(struct route_place *p)
{
    static const char *const redirects[] = {"status", NULL};
    const struct value *v = settings_value(p->seen, BLOCK_ROUTE, "respond");
    const struct node *body = at(p, "file") ? at(p, "file") : at(p, "text");
    p->r->action = ROUTE_RESPOND;
    refuse(p, of_backends, "that lead to backends");
    refuse(p, redirects, "with a redirect");
    page_fill(p->b, BLOCK_ROUTE, p->seen, &p->r->body, &p->r->type);
    if (v && p->r->status >= 300 && p->r->status <= 399)
        conf_complain(p->b->c, &v->place, "write 'redirect = URL' and 'status'",
                      "a redirect needs to say where to");
    else if (body && (p->r->status == 204 || p->r->status == 205))
        conf_complain(p->b->c, &body->place, "", "an answer with status %u has no body",
                      p->r->status);
}

static void build_action(struct route_place *p)
{
    const struct node *answer = at(p, "respond"), *elsewhere = at(p, "redirect");
    const struct node *second = elsewhere && answer ? answer : elsewhere ? elsewhere : answer;
    if (second && (at(p, "to") || (elsewhere && answer)))
        conf_complain(p->b->c, &second->place, "make two routes of it",
                      "a route has one of to, redirect and respond");
    else if (elsewhere)
        redirect(p);
    else if (answer)
        respond(p);
    else
        forward(p);
}

/* --- all of them --- */

/* Whether it takes every request, as far as one can see at once. */
static bool takes_all(const struct view_match *m)
{
    bool any_path = m->paths.n == 0;
    for (uint32_t i = 0; i < m->paths.n; i++)
        any_path |= str_eq(m->paths.list[i], STR("/"));
    return any_path && m->hosts.n + m->methods.n + m->headers.n + m->queries.n + m->cookies.n == 0;
}

/* A valid name that no route before has; false after a problem. */
static bool name_route(struct builder *b, const struct node *n, const struct value *arg,
                       struct map *names, struct str *name)
{
    if (!arg)
        return false;
    *name = build_name(b, arg, "route");
    if (!name->p)
        return false;
    const struct node *first = map_get(names, *name);
    if (first) {
        conf_complain(b->c, &arg->place, "", "a second route '" STR_FMT "' (the first is at %s)",
                      STR_ARG(*name), conf_where(b->c, &first->place));
        return false;
    }
    build_remember(b, names, *name, n);
    return true;
}

static bool build_route(struct builder *b, const struct node *service, const struct node *n,
                        const struct view_service *s, struct map *names, struct view_route *r)
{
    struct seen seen;
    *r = (struct view_route){0}; /* a refused one may have been here */
    const struct value *arg = backends_argument(b->c, n, BLOCK_ROUTE);
    if (!arg && n->args && n->args->next)
        return false; /* the block may be another's */
    bool named = name_route(b, n, arg, names, &r->name);
    if (named && !n->block && !n->damaged) {
        conf_complain(b->c, &n->place, "write 'route NAME { path = ...  to = ... }'",
                      "route " STR_FMT " has no block", STR_ARG(r->name));
        return false;
    }
    uint32_t errors = b->c->problems->errors;
    settings_apply(b->c, BLOCK_ROUTE, n->children, r, &seen);
    rules_build(b, n, BLOCK_ROUTE, &seen, s, &r->rules);
    if (n->damaged || b->c->problems->errors != errors)
        return named; /* a misspelt statement is not missing as well */
    struct route_place p = {b, n, &seen, s, service, r};
    build_action(&p);
    return named;
}

void routes_build(struct builder *b, const struct node *service, struct view_service *s)
{
    struct map names = {0};
    const struct view_route *all = NULL; /* that takes all */
    uint32_t n = build_count(service->children, "route");
    uint32_t room = MIN(n, (uint32_t)VIEW_MAX_ROUTES), used = 0;
    s->routes = build_array(b, room, sizeof *s->routes);
    for (const struct node *k = service->children; k && s->routes && !b->c->nomem; k = k->next) {
        if (!build_is(k, "route"))
            continue;
        if (used++ == room) {
            conf_complain(b->c, &k->place, "", "more than %d routes", VIEW_MAX_ROUTES);
            break;
        }
        struct view_route *r = &s->routes[s->n_routes];
        uint32_t errors = b->c->problems->errors;
        if (!build_route(b, service, k, s, &names, r))
            continue;
        s->n_routes++;
        if (all)
            conf_warn(b->c, &k->place, "move it before that one",
                      "no request gets to route " STR_FMT ": route " STR_FMT " takes all",
                      STR_ARG(r->name), STR_ARG(all->name));
        else if (takes_all(&r->match) && !k->damaged && b->c->problems->errors == errors)
            all = r;
    }
    map_free(&names);
}
