#include "detect/probe.h"

#include <stdio.h>

static bool sendable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

size_t probe_request(struct str path, struct str host, char *to, size_t size)
{
    if (!sendable(path) || !sendable(host) || path.p[0] != '/' || path.n > INT16_MAX ||
        host.n > INT16_MAX)
        return 0;
    int n = snprintf(to, size,
                     "GET " STR_FMT " HTTP/1.1\r\nHost: " STR_FMT
                     "\r\nUser-Agent: holdfast/" HF_VERSION " check\r\nAccept: */*\r\n"
                     "Connection: close\r\n\r\n",
                     STR_ARG(path), STR_ARG(host));
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

bool probe_init(struct probe *p, uint16_t min, uint16_t max, struct str text)
{
    if (text.n > PROBE_TEXT_MAX)
        return false;
    memset(p, 0, offsetof(struct probe, text));
    p->status_min = min;
    p->status_max = max;
    p->text_n = (uint16_t)text.n;
    if (text.n)
        memcpy(p->text, text.p, text.n);
    /* fallback[i]: the longest proper prefix of the text that ends text[0..i] */
    p->fallback[0] = 0;
    for (uint16_t i = 1, k = 0; i < p->text_n; i++) {
        while (k > 0 && text.p[i] != text.p[k])
            k = p->fallback[k - 1];
        if (text.p[i] == text.p[k])
            k++;
        p->fallback[i] = k;
    }
    return true;
}

static int decide(struct probe *p, const char *why)
{
    p->why = why;
    p->result = why ? PROBE_BAD : PROBE_OK;
    return p->result;
}

/* Searches the next bytes of the body itself. */
static int search(struct probe *p, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p->searched == PROBE_BODY_MAX)
            return decide(p, "the wanted text is not in the first 64 KiB");
        p->searched++;
        while (p->matched > 0 && s[i] != p->text[p->matched])
            p->matched = p->fallback[p->matched - 1];
        if (s[i] == p->text[p->matched])
            p->matched++;
        if (p->matched == p->text_n)
            return decide(p, NULL);
    }
    return PROBE_MORE;
}

static int feed_chunks(struct probe *p, const char *s, size_t n)
{
    while (n > 0) {
        size_t used = 0;
        struct str data = {0};
        const struct http_refusal *why = NULL;
        int r = http_chunked_step(&p->chunked, s, n, &used, &data, &why);
        /* payload first, though what follows it be malformed: however the bytes were cut */
        if (search(p, data.p, data.n) != PROBE_MORE)
            return p->result;
        if (r == HTTP_REFUSED)
            return decide(p, "the body's chunks are malformed");
        if (r == HTTP_DONE)
            return decide(p, "the wanted text is not in the body");
        CHECK(used > 0 && used <= n);
        s += used;
        n -= used;
    }
    return PROBE_MORE;
}

static int feed_body(struct probe *p, const char *s, size_t n)
{
    switch ((enum http_framing)p->framing) {
    case HTTP_BODY_CHUNKED: return feed_chunks(p, s, n);
    case HTTP_BODY_CLOSE: return search(p, s, n);
    case HTTP_BODY_LENGTH: {
        size_t some = n < p->length ? n : (size_t)p->length;
        p->length -= some;
        if (search(p, s, some) == PROBE_MORE && p->length == 0)
            decide(p, "the wanted text is not in the body");
        return p->result;
    }
    case HTTP_BODY_NONE:
    case HTTP_BODY_TUNNEL: break;
    }
    return decide(p, "there is no body to hold the wanted text");
}

/* A whole head is there: it decides, or its body will. */
static int judge_head(struct probe *p, const struct http_head *h)
{
    p->status = h->status;
    if (h->framing == HTTP_BODY_TUNNEL)
        return decide(p, "the answer switches protocols");
    if (h->status < p->status_min || h->status > p->status_max)
        return decide(p, "the status is not the wanted one");
    if (p->text_n == 0)
        return decide(p, NULL);
    p->in_body = true;
    p->framing = h->framing;
    p->length = h->length;
    return PROBE_MORE;
}

/* Parses what is kept; true when a head was taken off the front. */
static bool take_head(struct probe *p)
{
    const struct http_limits limits = {PROBE_HEAD_MAX, HTTP_MAX_FIELDS};
    const struct http_refusal *why = NULL;
    struct http_head h;
    switch (http_parse_response(p->head, p->head_n, p->seen, HTTP_GET, &limits, &h, &why)) {
    case HTTP_DONE: break;
    case HTTP_MORE:
        p->seen = p->head_n;
        if (p->head_n == PROBE_HEAD_MAX)
            decide(p, "the head is larger than 8 KiB");
        return false;
    default: decide(p, "the answer is not valid HTTP"); return false;
    }
    CHECK(h.bytes > 0 && h.bytes <= p->head_n);
    if (h.status >= 200 || h.framing == HTTP_BODY_TUNNEL)
        judge_head(p, &h);
    else if (++p->interim > PROBE_INTERIM_MAX)
        decide(p, "too many interim answers");
    p->head_n -= h.bytes;
    memmove(p->head, p->head + h.bytes, p->head_n);
    p->seen = 0;
    return true;
}

int probe_feed(struct probe *p, const char *bytes, size_t n)
{
    while (n > 0 && p->result == PROBE_MORE) {
        if (p->in_body)
            return feed_body(p, bytes, n);
        size_t some = MIN(n, PROBE_HEAD_MAX - p->head_n);
        memcpy(p->head + p->head_n, bytes, some);
        p->head_n += (uint32_t)some;
        bytes += some;
        n -= some;
        while (p->result == PROBE_MORE && !p->in_body && take_head(p))
            ;
        if (p->result == PROBE_MORE && p->in_body) /* what came behind the head */
            feed_body(p, p->head, p->head_n);
    }
    return p->result;
}

int probe_end(struct probe *p)
{
    if (p->result != PROBE_MORE)
        return p->result;
    if (!p->in_body)
        return decide(p, p->head_n || p->interim ? "the answer ended within its head"
                                                 : "the connection ended without an answer");
    return decide(p, p->framing == HTTP_BODY_CLOSE ? "the wanted text is not in the body"
                                                   : "the answer ended within its body");
}
