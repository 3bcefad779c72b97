/* The rules of HTTP traffic as bytes; decode_rules.c is the mirror image. */
#include "view/format.h"
#include "view/view.h"

void put_words(struct buf *b, const struct view_words *w)
{
    put_u32(b, w->n);
    for (uint32_t i = 0; i < w->n; i++)
        put_str(b, w->list[i]);
}

static void put_edits(struct buf *b, const struct view_edit *list, uint32_t n)
{
    put_u32(b, n);
    for (uint32_t i = 0; i < n; i++) {
        put_u8(b, list[i].op);
        put_str(b, list[i].name);
        put_str(b, list[i].value);
    }
}

static void put_rate(struct buf *b, const struct view_rate *r)
{
    put_u8(b, r->per.kind);
    put_str(b, r->per.name);
    put_u32(b, r->requests);
    put_u32(b, r->burst);
    put_u64(b, r->every);
    put_u32(b, r->keys);
}

static void put_rules(struct buf *b, const struct view_rules *r)
{
    put_edits(b, r->request, r->n_request);
    put_edits(b, r->response, r->n_response);
    put_u32(b, r->n_rates);
    for (uint32_t i = 0; i < r->n_rates; i++)
        put_rate(b, &r->rates[i]);
    put_u32(b, r->mirror_permille);
    put_u32(b, r->mirror);
    put_u8(b, r->idempotent);
    put_u64(b, r->hedge_after);
    put_u32(b, r->hedge_permille);
    put_u8(b, r->secret);
}

static void put_match(struct buf *b, const struct view_match *m)
{
    put_words(b, &m->hosts);
    put_words(b, &m->paths);
    put_words(b, &m->methods);
    put_words(b, &m->headers);
    put_words(b, &m->queries);
    put_words(b, &m->cookies);
}

static void put_route(struct buf *b, const struct view_route *r)
{
    put_str(b, r->name);
    put_match(b, &r->match);
    put_u8(b, r->action);
    put_u32(b, r->n_targets);
    for (uint32_t i = 0; i < r->n_targets; i++) {
        put_u32(b, r->targets[i].service);
        put_u32(b, r->targets[i].weight);
    }
    put_str(b, r->rewrite);
    put_str(b, r->location);
    put_u16(b, r->status);
    put_str(b, r->body);
    put_str(b, r->type);
    put_rules(b, &r->rules);
}

static void put_page(struct buf *b, const struct view_page *p)
{
    put_u16(b, p->status);
    put_str(b, p->type);
    put_str(b, p->body);
}

void put_traffic(struct buf *b, const struct view_service *s)
{
    put_u32(b, s->admit.requests);
    put_u32(b, s->admit.per_instance);
    put_u32(b, s->admit.queue);
    put_u64(b, s->admit.wait);
    put_u32(b, s->breaker.failed_permille);
    put_u32(b, s->breaker.least);
    put_u64(b, s->breaker.window);
    put_u64(b, s->breaker.rest);
    put_u8(b, s->sticky.kind);
    put_str(b, s->sticky.cookie);
    put_u64(b, s->sticky.ttl);
    put_u8(b, s->sticky.secure);
    put_rules(b, &s->rules);
    put_u32(b, s->n_routes);
    for (uint32_t i = 0; i < s->n_routes; i++)
        put_route(b, &s->routes[i]);
    put_u32(b, s->n_pages);
    for (uint32_t i = 0; i < s->n_pages; i++)
        put_page(b, &s->pages[i]);
}
