/* http1_meaning: what the fields of a head mean, each by itself and all together.
 *
 * A field is judged when it is met, and what needs the others when all are known. Framing fields
 * have one accepted spelling each: "Content-Length: digits", once, or "Transfer-Encoding: chunked",
 * once (RFC 9112, 6). Everything else that they may say has been read in two ways by two parties
 * somewhere. */
#include "wire/http1_class.h"
#include "wire/http1_field.h"
#include "wire/http1_inside.h"

enum {
    MAX_OPTIONS = 32, /* of Connection: each is looked for among the fields */
    SURE_DIGITS = 18, /* are never beyond 2^63 - 1 */
};

/* Kept out of the others, whose registers would be saved for it every time. */
#define RARE static __attribute__((noinline))

static enum http1_refuse content_length(struct str v, struct http_head *h)
{
    if (h->present & FIELD_BIT(HTTP_FIELD_CONTENT_LENGTH))
        return REFUSE_CL_DUPLICATE;
    uint64_t length = 0; /* of what fits: str_u64 judges the others */
    for (size_t i = 0; i < v.n; i++) {
        if (!is_class(v.p[i], CLASS_DIGIT))
            return REFUSE_CL_MALFORMED;
        length = length * 10 + (uint64_t)(v.p[i] - '0');
    }
    if (v.n == 0)
        return REFUSE_CL_MALFORMED;
    h->length = length;
    if (v.n <= SURE_DIGITS)
        return REFUSE_NONE;
    return str_u64(v, INT64_MAX, &h->length) ? REFUSE_NONE : REFUSE_CL_OVERFLOW;
}

RARE enum http1_refuse transfer_encoding(struct str v, const struct http_head *h)
{
    if (h->present & FIELD_BIT(HTTP_FIELD_TRANSFER_ENCODING))
        return REFUSE_TE_DUPLICATE;
    if (str_eq_nocase(v, STR("chunked")))
        return REFUSE_NONE;
    unsigned chunked = 0, others = 0;
    bool last = false;
    struct str item, rest = v;
    while (http1_list_next(&rest, &item)) {
        if (!http1_is_token(item))
            return REFUSE_TE_SYNTAX;
        last = str_eq_nocase(item, STR("chunked"));
        chunked += last;
        others += !last;
    }
    if (chunked > 1)
        return REFUSE_TE_DUPLICATE;
    if (!last)
        return REFUSE_TE_NOT_CHUNKED;
    return others ? REFUSE_TE_CODING : REFUSE_TE_SYNTAX;
}

RARE enum http1_refuse connection_list(struct str v, struct http1_facts *f)
{
    struct str item, rest = v;
    while (http1_list_next(&rest, &item)) {
        if (!http1_is_token(item))
            return REFUSE_CONNECTION;
        if (++f->options > MAX_OPTIONS)
            return REFUSE_CONNECTION_COUNT;
        if (str_eq_nocase(item, STR("close")))
            f->close = true;
        else if (str_eq_nocase(item, STR("keep-alive")))
            f->persist = true;
        else if (str_eq_nocase(item, STR("upgrade")))
            f->upgrade = true;
        else
            f->nominates = true;
    }
    return REFUSE_NONE;
}

static enum http1_refuse connection(struct str v, struct http1_facts *f)
{
    if (!str_eq(v, STR("keep-alive")) || f->options >= MAX_OPTIONS)
        return connection_list(v, f);
    f->options++; /* most say just this, in these letters */
    f->persist = true;
    return REFUSE_NONE;
}

/* Behind an upgrade nothing is seen any more. To HTTP/2 or TLS that would be more requests, past
 * every rule here: such an offer is not passed on. An unreadable one is none. */
RARE void upgrade(struct str v, struct http1_facts *f)
{
    struct str item, rest = v;
    while (http1_list_next(&rest, &item)) {
        const char *slash = memchr(item.p, '/', item.n);
        struct str name = {item.p, slash ? (size_t)(slash - item.p) : item.n};
        struct str version = {slash ? slash + 1 : "1", slash ? item.n - name.n - 1 : 1};
        if (!http1_is_token(name) || !http1_is_token(version) || str_eq_nocase(name, STR("h2c")) ||
            str_eq_nocase(name, STR("h2")) || str_eq_nocase(name, STR("http")) ||
            str_eq_nocase(name, STR("tls")))
            f->upgrade_refused = true;
    }
    if (str_trim(v).n == 0)
        f->upgrade_refused = true;
}

RARE enum http1_refuse max_forwards(struct str v, struct http_head *h)
{
    if (h->method != HTTP_TRACE && h->method != HTTP_OPTIONS)
        return REFUSE_NONE;
    uint64_t n;
    if ((h->present & FIELD_BIT(HTTP_FIELD_MAX_FORWARDS)) || !str_u64(v, INT32_MAX, &n))
        return REFUSE_MAX_FORWARDS;
    h->max_forwards = (uint32_t)n;
    return REFUSE_NONE;
}

RARE void te(struct str v, struct http_head *h)
{
    struct str item, rest = v;
    while (http1_list_next(&rest, &item))
        h->te_trailers |= str_eq_nocase(item, STR("trailers"));
}

static enum http1_refuse request_meaning(enum http_field field, struct str v, struct http_head *h)
{
    if (field == HTTP_FIELD_HOST) {
        if (h->present & FIELD_BIT(HTTP_FIELD_HOST))
            return REFUSE_HOST_DUPLICATE;
        if (v.n && !http1_authority_valid(v, false))
            return REFUSE_HOST_INVALID;
        if (!h->host.p) /* an absolute target's authority goes before (RFC 9112, 3.2.2) */
            h->host = v;
    } else if (field == HTTP_FIELD_TE) {
        te(v, h);
    } else if (field == HTTP_FIELD_MAX_FORWARDS) {
        return max_forwards(v, h);
    } else if (field == HTTP_FIELD_EXPECT) {
        if ((h->present & FIELD_BIT(HTTP_FIELD_EXPECT)) || !str_eq_nocase(v, STR("100-continue")))
            return REFUSE_EXPECT;
    }
    return REFUSE_NONE;
}

enum http1_refuse http1_field_meaning(enum http_field field, struct str value, struct http_head *h,
                                      struct http1_facts *f)
{
    switch (field) {
    case HTTP_FIELD_CONTENT_LENGTH: return content_length(value, h);
    case HTTP_FIELD_TRANSFER_ENCODING: return transfer_encoding(value, h);
    case HTTP_FIELD_CONNECTION: return connection(value, f);
    case HTTP_FIELD_UPGRADE: upgrade(value, f); return REFUSE_NONE;
    case HTTP_FIELD_HOST:
    case HTTP_FIELD_TE:
    case HTTP_FIELD_EXPECT:
    case HTTP_FIELD_MAX_FORWARDS:
        return f->request ? request_meaning(field, value, h) : REFUSE_NONE;
    case HTTP_FIELD_OTHER:
    case HTTP_FIELD_KEEP_ALIVE:
    case HTTP_FIELD_PROXY_CONNECTION:
    case HTTP_FIELD_TRAILER:
    case HTTP_FIELD_VIA:
    case HTTP_FIELD_FORWARDED:
    case HTTP_FIELD_X_FORWARDED_FOR:
    case HTTP_FIELD_X_FORWARDED_PROTO:
    case HTTP_FIELD_X_FORWARDED_HOST:
    case HTTP_FIELD_DATE:
    case HTTP_FIELD_SERVER:
    case HTTP_FIELD_PROXY_AUTHORIZATION:
    case HTTP_FIELD_PROXY_AUTHENTICATE:
    case HTTP_FIELD_COOKIE:
    case HTTP_FIELD_SET_COOKIE:
    case HTTP_FIELD_TRACEPARENT:
    case HTTP_FIELD_TRACESTATE:
    case HTTP_FIELDS: return REFUSE_NONE;
    }
    return REFUSE_NONE;
}

static void nominate(struct http_head *h, struct str name)
{
    for (uint32_t i = 0; i < h->n_headers; i++)
        if (h->headers[i].field == HTTP_FIELD_OTHER && str_eq_nocase(h->headers[i].name, name))
            h->headers[i].hop = true;
}

/* Fields that Connection names end here (RFC 9110, 7.6.1). A field that the proxy itself
 * understands cannot be dropped in this way: framing and Host are written anew, and who forwarded
 * is not the sender's to hide. */
RARE void nominate_all(struct http_head *h)
{
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (h->headers[i].field != HTTP_FIELD_CONNECTION)
            continue;
        struct str item, rest = h->headers[i].value;
        while (http1_list_next(&rest, &item))
            nominate(h, item);
    }
}

enum http1_refuse http1_settle(struct http_head *h, const struct http1_facts *f)
{
    bool cl = h->present & FIELD_BIT(HTTP_FIELD_CONTENT_LENGTH);
    bool coded = h->present & FIELD_BIT(HTTP_FIELD_TRANSFER_ENCODING);
    if (cl && coded)
        return REFUSE_CL_AND_TE;
    if (coded && h->minor == 0)
        return REFUSE_TE_HTTP10;
    h->declared = coded ? HTTP_BODY_CHUNKED : cl ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    h->framing = cl && h->length == 0 ? HTTP_BODY_NONE : h->declared;
    h->keep_alive = !f->close && (h->minor > 0 || f->persist);
    h->upgrade = f->upgrade && h->minor > 0 && !f->upgrade_refused &&
                 (h->present & FIELD_BIT(HTTP_FIELD_UPGRADE));
    if (f->nominates)
        nominate_all(h);
    return REFUSE_NONE;
}
