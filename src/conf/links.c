/* What refers to services by their names, resolved when all are known. A service that a route or
 * mirror leads to need not listen, so what leads where is noted before any is built. */
#include "conf/builder.h"

struct link {
    struct link *next;
    const struct value *value;
    struct str name;
    const char *key; /* of the setting */
    const struct view_service *from;
    uint32_t *index;
};

/* "api:95" names api. */
static struct str named_by(struct str s)
{
    const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
    return colon ? (struct str){s.p, (size_t)(colon - s.p)} : s;
}

static void expect_value(struct builder *b, const struct value *v)
{
    if (v->kind != VALUE_LIST)
        build_remember(b, &b->led, named_by(v->text), v);
    for (const struct value *i = v->items; i; i = i->next)
        build_remember(b, &b->led, named_by(i->text), i);
}

static void expect_in(struct builder *b, const struct node *children, bool route)
{
    for (const struct node *n = children; n; n = n->next)
        if (n->value && (build_is(n, "mirror") || (route && build_is(n, "to"))))
            expect_value(b, n->value);
}

void links_expect(struct builder *b, const struct node *top)
{
    for (const struct node *s = top; s; s = s->next) {
        if (!build_is(s, "service"))
            continue;
        expect_in(b, s->children, false);
        for (const struct node *r = s->children; r; r = r->next)
            if (build_is(r, "route"))
                expect_in(b, r->children, true);
    }
}

bool links_lead_to(const struct builder *b, struct str name)
{
    return map_get(&b->led, name) != NULL;
}

void links_add(struct builder *b, const struct value *v, size_t n, const char *key,
               const struct view_service *from, uint32_t *index)
{
    struct link *link = arena_alloc(&b->c->arena, sizeof *link);
    if (!link) {
        b->c->nomem = true;
        return;
    }
    *link = (struct link){b->links, v, {v->text.p, n}, key, from, index};
    b->links = link;
}

/* Guesses look at what is written: what is referred to stays secret. */
static void unknown(struct builder *b, const struct link *l)
{
    struct suggest g = suggest_for(named_by(l->value->raw));
    if (b->c->problems->n < CONF_MAX_PROBLEMS) /* else nobody will read it */
        for (uint32_t i = 0; i < b->v->n_services; i++)
            if (&b->v->services[i] != l->from)
                suggest_try(&g, b->v->services[i].name);
    struct str shown = conf_shown(l->value);
    if (!l->value->secret)
        shown = named_by(shown);
    conf_complain(b->c, &l->value->place, g.n ? settings_did_you_mean(b->c, &g) : "",
                  "there is no service '" STR_FMT "'", STR_ARG(shown));
}

static void resolve(struct builder *b, const struct link *l, const struct map *indices)
{
    const struct view_service *s = map_get(indices, l->name);
    const struct node *node = map_get(&b->services, l->name);
    if (!s && node)
        return; /* it is there, and has problems of its own */
    if (!s) {
        unknown(b, l);
        return;
    }
    *l->index = (uint32_t)(s - b->v->services);
    if (s->mode != VIEW_HTTP)
        conf_complain(b->c, &l->value->place, "", "service " STR_FMT " does not speak HTTP",
                      STR_ARG(s->name));
    else if (node && !build_has_backends(node, s))
        conf_complain(b->c, &l->value->place, "its routes do not count here",
                      "service " STR_FMT " has no backend of its own", STR_ARG(s->name));
    else if (s == l->from && strcmp(l->key, "mirror") == 0)
        conf_complain(b->c, &l->value->place, "", "service " STR_FMT " would mirror to itself",
                      STR_ARG(s->name));
}

void links_resolve(struct builder *b)
{
    struct map indices = {0};
    for (uint32_t i = 0; i < b->v->n_services; i++)
        build_remember(b, &indices, b->v->services[i].name, &b->v->services[i]);
    for (const struct link *l = b->links; l && !b->c->nomem; l = l->next)
        resolve(b, l, &indices);
    map_free(&indices);
}
