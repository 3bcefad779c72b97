/* answer: what the proxy says itself: refusals, redirects, pages.
 *
 * A service may have pages of its own for errors; the header rules of its routes hold for these
 * answers too (a redirect wants its Strict-Transport-Security as much as a page does). Head and
 * body are sent at once; what the client does not take becomes pending, at most VIEW_MAX_PAGE. */
#include "proxy/internal.h"

/* The page for this status, or for its class. */
static const struct view_page *page_for(const struct view_service *s, uint16_t status)
{
    const struct view_page *class = NULL;
    for (uint32_t i = 0; i < s->n_pages; i++) {
        if (s->pages[i].status == status)
            return &s->pages[i];
        if (s->pages[i].status == status / 100)
            class = &s->pages[i];
    }
    return class;
}

static void send(struct client *c, size_t head, struct str body)
{
    size_t sent = client_send(c, (struct str){c->worker->out, head}, body);
    if (sent < body.n && !buf_add(&c->pending, body.p + sent, body.n - sent))
        c->s.broken = true;
}

void exchange_answer(struct exchange *x, uint16_t status, struct str type, struct str body,
                     const struct http_edits *extra)
{
    CHECK(!x->answered);
    struct client *c = x->client;
    struct worker *w = c->worker;
    bool body_read = x->body.done && x->body.run == 0;
    struct http_answer a = {
        .keep_client = c->keep && body_read && !w->draining && !c->listener->retired,
        .client_minor = x->client_minor,
        .head_request = x->head_request,
        .via = STR("holdfast"),
        .date = worker_date(w),
        .edits = x->edits,
        .n_edits = x->n_rules,
    };
    c->keep = a.keep_client;
    x->answered = true;
    x->status = status;
    x->up_keep = false;
    size_t n = http_write_own(status, type, body.n, extra, &a, w->out, sizeof w->out);
    if (n == 0) { /* rules wrote more than a head holds */
        a.n_edits = 0;
        n = http_write_own(status, type, body.n, NULL, &a, w->out, sizeof w->out);
    }
    if (x->head_request)
        body.n = 0;
    x->bytes_out += body.n;
    send(c, n, body);
    exchange_finish(x);
}

void exchange_fail(struct exchange *x, uint16_t status, const char *text)
{
    const struct http_edit soon = {HTTP_EDIT_SET, STR("Retry-After"), STR("1")};
    const struct http_edits extra = {&soon, status == 503};
    exchange_refuse(x, status, text, &extra);
}

void exchange_refuse(struct exchange *x, uint16_t status, const char *text,
                     const struct http_edits *extra)
{
    struct client *c = x->client;
    if (!x->cause)
        x->cause = "local";
    x->failed = status >= 500;
    if (x->answered || x->relay) {
        /* The client must not take the part that it has for the whole, nor an end for an answer. */
        net_set_reset_on_close(c->s.io.fd);
        c->keep = false;
        client_close(c);
        return;
    }
    const struct view_page *page = page_for(x->front->conf, status);
    char line[256];
    size_t n = str_copy(line, sizeof line - 1, str_of(text));
    line[n++] = '\n';
    if (page)
        exchange_answer(x, status, page->type, page->body, extra);
    else
        exchange_answer(x, status, STR("text/plain; charset=utf-8"), (struct str){line, n}, extra);
}

void answer_refusal(struct client *c, uint16_t status, const char *text)
{
    struct worker *w = c->worker;
    struct http_answer a = {.client_minor = 1, .via = STR("holdfast"), .date = worker_date(w)};
    const struct view_page *page = page_for(c->listener->service->conf, status);
    if (page) {
        size_t n =
            http_write_own(status, page->type, page->body.n, NULL, &a, w->out, sizeof w->out);
        send(c, n, page->body);
        return;
    }
    size_t n = http_write_error(status, text, &a, 0, w->out, sizeof w->out);
    send(c, n, STR(""));
}
