/* The rules of HTTP traffic from bytes: the mirror image of encode_rules.c. */
#include "view/decoder.h"
#include "view/format.h"

void get_words(struct decoder *d, struct view_words *w)
{
    w->list = get_array(d, &w->n, 4, sizeof *w->list);
    for (uint32_t i = 0; i < w->n && !d->r.failed; i++)
        w->list[i] = get_text(d);
}

static struct view_edit *get_edits(struct decoder *d, uint32_t *n)
{
    struct view_edit *list = get_array(d, n, VIEW_EDIT_MIN, sizeof *list);
    for (uint32_t i = 0; i < *n && !d->r.failed; i++) {
        list[i].op = get_u8(&d->r);
        list[i].name = get_text(d);
        list[i].value = get_text(d);
    }
    return list;
}

static void get_rate(struct decoder *d, struct view_rate *r)
{
    r->per.kind = get_u8(&d->r);
    r->per.name = get_text(d);
    r->requests = get_u32(&d->r);
    r->burst = get_u32(&d->r);
    r->every = get_u64(&d->r);
    r->keys = get_u32(&d->r);
}

static void get_rules(struct decoder *d, struct view_rules *r)
{
    r->request = get_edits(d, &r->n_request);
    r->response = get_edits(d, &r->n_response);
    r->rates = get_array(d, &r->n_rates, VIEW_RATE_MIN, sizeof *r->rates);
    for (uint32_t i = 0; i < r->n_rates && !d->r.failed; i++)
        get_rate(d, &r->rates[i]);
    r->mirror_permille = get_u32(&d->r);
    r->mirror = get_u32(&d->r);
    r->idempotent = get_bool(d);
    r->hedge_after = get_u64(&d->r);
    r->hedge_permille = get_u32(&d->r);
    r->secret = get_bool(d);
}

static void get_match(struct decoder *d, struct view_match *m)
{
    get_words(d, &m->hosts);
    get_words(d, &m->paths);
    get_words(d, &m->methods);
    get_words(d, &m->headers);
    get_words(d, &m->queries);
    get_words(d, &m->cookies);
}

static void get_route(struct decoder *d, struct view_route *r)
{
    r->name = get_text(d);
    get_match(d, &r->match);
    r->action = get_u8(&d->r);
    r->targets = get_array(d, &r->n_targets, 8, sizeof *r->targets);
    for (uint32_t i = 0; i < r->n_targets; i++) {
        r->targets[i].service = get_u32(&d->r);
        r->targets[i].weight = get_u32(&d->r);
    }
    r->rewrite = get_text(d);
    r->location = get_text(d);
    r->status = get_u16(&d->r);
    r->body = get_text(d);
    r->type = get_text(d);
    get_rules(d, &r->rules);
}

static void get_page(struct decoder *d, struct view_page *p)
{
    p->status = get_u16(&d->r);
    p->type = get_text(d);
    p->body = get_text(d);
}

void get_traffic(struct decoder *d, struct view_service *s)
{
    s->admit.requests = get_u32(&d->r);
    s->admit.per_instance = get_u32(&d->r);
    s->admit.queue = get_u32(&d->r);
    s->admit.wait = get_u64(&d->r);
    s->breaker.failed_permille = get_u32(&d->r);
    s->breaker.least = get_u32(&d->r);
    s->breaker.window = get_u64(&d->r);
    s->breaker.rest = get_u64(&d->r);
    s->sticky.kind = get_u8(&d->r);
    s->sticky.cookie = get_text(d);
    s->sticky.ttl = get_u64(&d->r);
    s->sticky.secure = get_bool(d);
    get_rules(d, &s->rules);
    s->routes = get_array(d, &s->n_routes, VIEW_ROUTE_MIN, sizeof *s->routes);
    for (uint32_t i = 0; i < s->n_routes && !d->r.failed; i++)
        get_route(d, &s->routes[i]);
    s->pages = get_array(d, &s->n_pages, VIEW_PAGE_MIN, sizeof *s->pages);
    for (uint32_t i = 0; i < s->n_pages && !d->r.failed; i++)
        get_page(d, &s->pages[i]);
}
