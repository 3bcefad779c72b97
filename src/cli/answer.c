#include "cli/answer.h"

static int add_body(struct answer *a, const char *p, size_t n, struct err *e)
{
    if (n > a->body.limit - a->body.n)
        return err_set(e, ERR_LIMIT, "it is too long");
    if (!buf_add(&a->body, p, n))
        return err_set(e, ERR_NOMEM, "out of memory");
    return 0;
}

/* Nothing may follow: we ask one question at a time. What does, spoils the connection only. */
static void finish(struct answer *a, size_t behind)
{
    a->whole = true;
    if (behind)
        a->keep_alive = false;
}

static int add_length(struct answer *a, const char *p, size_t n, struct err *e)
{
    size_t take = a->left < n ? (size_t)a->left : n;
    int rc = add_body(a, p, take, e);
    a->left -= take;
    if (!rc && a->left == 0)
        finish(a, n - take);
    return rc;
}

static int add_chunks(struct answer *a, const char *p, size_t n, struct err *e)
{
    while (n) {
        const struct http_refusal *why = NULL;
        struct str data;
        size_t used;
        int step = http_chunked_step(&a->chunked, p, n, &used, &data, &why);
        if (step == HTTP_REFUSED)
            return err_set(e, ERR_PROTO, "%s", why->text);
        int rc = add_body(a, data.p, data.n, e);
        if (rc)
            return rc;
        p += used;
        n -= used;
        if (step == HTTP_DONE) {
            finish(a, n);
            return 0;
        }
    }
    return 0;
}

static int add_framed(struct answer *a, const char *p, size_t n, struct err *e)
{
    switch ((enum http_framing)a->framing) {
    case HTTP_BODY_NONE: finish(a, n); return 0;
    case HTTP_BODY_LENGTH: return add_length(a, p, n, e);
    case HTTP_BODY_CHUNKED: return add_chunks(a, p, n, e);
    case HTTP_BODY_CLOSE: return add_body(a, p, n, e);
    case HTTP_BODY_TUNNEL: break;
    }
    return err_set(e, ERR_PROTO, "it switches to another protocol");
}

/* The head of the final response, if it is whole: its status is set then. */
static int take_head(struct answer *a, struct err *e)
{
    static const struct http_limits limits = {ANSWER_HEAD_MAX, ANSWER_FIELDS_MAX};
    const struct http_refusal *why = NULL;
    struct http_head h;
    for (;;) {
        int r = http_parse_response(a->head.p, a->head.n, a->seen, HTTP_GET, &limits, &h, &why);
        if (r == HTTP_REFUSED)
            return err_set(e, ERR_PROTO, "%s", why->text);
        a->seen = r == HTTP_MORE ? a->head.n : 0;
        if (r == HTTP_MORE)
            return 0;
        buf_drop_front(&a->head, h.bytes);
        if (h.status >= 200 || h.status == 101)
            break;
    }
    a->status = h.status;
    a->framing = h.framing;
    a->left = h.length;
    a->keep_alive = h.keep_alive;
    if (h.framing == HTTP_BODY_LENGTH && h.length > a->body.limit)
        return err_set(e, ERR_LIMIT, "it is too long");
    return 0;
}

int answer_add(struct answer *a, const char *p, size_t n, struct err *e)
{
    CHECK(!a->whole);
    a->began = a->began || n;
    if (a->status)
        return add_framed(a, p, n, e);
    if (!buf_add(&a->head, p, n))
        return err_set(e, ERR_NOMEM, "out of memory");
    int rc = take_head(a, e);
    if (!rc && a->status)
        rc = add_framed(a, a->head.p, a->head.n, e);
    return rc;
}

int answer_end(struct answer *a, struct err *e)
{
    if (!a->status || a->framing != HTTP_BODY_CLOSE)
        return err_set(e, ERR_PROTO, "the connection ended before it was whole");
    a->keep_alive = false;
    a->whole = true;
    return 0;
}

void answer_free(struct answer *a)
{
    buf_free(&a->head);
    buf_free(&a->body);
}
