/* classes: see the table of docs/http1.md, "Beside llhttp", for the reasons. */
#include "classes.h"

#include <string.h>

static bool both_accept(const struct reading *r)
{
    return r->result == HTTP_DONE && r->theirs.result == ORACLE_DONE;
}

static bool same_meaning(const struct reading *r)
{
    const struct http_head *h = &r->head;
    const struct oracle *o = &r->theirs;
    static const enum oracle_framing framing[] = {
        [HTTP_BODY_NONE] = ORACLE_NONE,       [HTTP_BODY_LENGTH] = ORACLE_LENGTH,
        [HTTP_BODY_CHUNKED] = ORACLE_CHUNKED, [HTTP_BODY_CLOSE] = ORACLE_CLOSE,
        [HTTP_BODY_TUNNEL] = ORACLE_TUNNEL,
    };
    if (r->used != o->bytes)
        return false;
    if (r->kind == CASE_CHUNKED)
        return r->payload == o->payload;
    return framing[h->framing] == o->framing &&
           (h->framing != HTTP_BODY_LENGTH || h->length == o->length) && h->minor == o->minor &&
           h->status == o->status && h->n_headers == o->fields && r->text == o->text &&
           str_eq(h->method_text, str_of(o->method)) && h->keep_alive == o->keep_alive;
}

bool reading_agrees(const struct reading *r)
{
    if (r->result == HTTP_REFUSED)
        return r->theirs.result == ORACLE_REFUSED;
    if (r->result == HTTP_MORE)
        return r->theirs.result == ORACLE_MORE;
    return both_accept(r) && same_meaning(r);
}

static bool contains(const struct reading *r, const char *text)
{
    return memmem(r->p, r->n, text, strlen(text)) != NULL;
}

/* Where a difference may only be of one kind, the reason says which. */

static bool in_first_line(const struct reading *r)
{
    for (size_t i = 0; i < r->n && r->p[i] != '\n'; i++)
        if (((unsigned char)r->p[i] < 0x20 && r->p[i] != '\r') || r->p[i] == 0x7f)
            return r->kind == CASE_RESPONSE;
    return false;
}

static bool nameless(const struct reading *r)
{
    return contains(r, "\n:");
}

static bool folded(const struct reading *r)
{
    return contains(r, "\r\n ") || contains(r, "\r\n\t");
}

static bool rtsp(const struct reading *r)
{
    return contains(r, " RTSP/");
}

static bool is_response(const struct reading *r)
{
    return r->kind == CASE_RESPONSE;
}

/* What they accept, or would wait for more of, and we refuse: by our code. */
struct stricter {
    const char *code;
    bool (*only)(const struct reading *r);
};

static const struct stricter stricter[] = {
    {"nul", in_first_line},
    {"control-character", in_first_line},
    {"bare-cr", NULL},
    {"bare-lf", NULL},
    {"head-too-large", NULL},
    {"request-line-too-long", NULL},
    {"empty-lines", NULL},
    {"request-line", NULL},
    {"version", rtsp},
    {"version-major", NULL},
    {"target-character", NULL},
    {"target-form", NULL},
    {"target-scheme", NULL},
    {"target-https", NULL},
    {"target-userinfo", NULL},
    {"target-authority", NULL},
    {"status-line", NULL},
    {"status-code", NULL},
    {"obs-fold", NULL},
    {"field-name", nameless},
    {"too-many-fields", NULL},
    {"host-missing", NULL},
    {"host-duplicate", NULL},
    {"host-invalid", NULL},
    {"cl-malformed", folded},
    {"cl-overflow", NULL},
    {"te-syntax", NULL},
    {"te-duplicate", NULL},
    {"te-not-chunked", NULL},
    {"te-coding", NULL},
    {"te-http10", NULL},
    {"connection-syntax", NULL},
    {"connection-options", NULL},
    {"expect", NULL},
    {"max-forwards", NULL},
    {"informational-body", is_response},
    {"switching-without-upgrade", is_response},
    {"chunk-overflow", NULL},
    {"chunk-extension", NULL},
    {"chunk-line-too-long", NULL},
    {"trailer-forbidden", NULL},
};

static bool they_refuse(const struct reading *r, const char *error)
{
    return r->result != HTTP_REFUSED && r->theirs.result == ORACLE_REFUSED &&
           strcmp(r->theirs.error, error) == 0;
}

static bool unknown_method(const struct reading *r)
{
    return they_refuse(r, "HPE_INVALID_METHOD") && r->result == HTTP_DONE &&
           r->head.method == HTTP_OTHER;
}

static bool later_version(const struct reading *r)
{
    if (!they_refuse(r, "HPE_INVALID_VERSION") || r->result != HTTP_DONE)
        return false;
    struct str target = r->head.target;
    const char *version = r->kind == CASE_REQUEST ? target.p + target.n + 1 : r->p;
    return version[7] > '1'; /* "HTTP/1.x" */
}

/* They take the tab for a part of the token or number: no length, no coding, no option. */
static bool tab_around_value(const struct reading *r)
{
    uint32_t fields = 1u << HTTP_FIELD_CONNECTION | 1u << HTTP_FIELD_CONTENT_LENGTH |
                      1u << HTTP_FIELD_TRANSFER_ENCODING;
    return r->result == HTTP_DONE && (r->head.present & fields) && contains(r, "\t") &&
           (both_accept(r) || they_refuse(r, "HPE_INVALID_CONTENT_LENGTH") ||
            they_refuse(r, "HPE_INVALID_TRANSFER_ENCODING"));
}

static bool quoted_extension(const struct reading *r)
{
    return (they_refuse(r, "HPE_INVALID_CHUNK_SIZE") || they_refuse(r, "HPE_STRICT")) &&
           r->kind == CASE_CHUNKED && contains(r, "\"");
}

/* All but whether the connection stays is the same. */
static bool only_keep_alive(const struct reading *r)
{
    struct reading same = *r;
    same.theirs.keep_alive = r->head.keep_alive;
    return both_accept(r) && r->kind != CASE_CHUNKED && same_meaning(&same);
}

static bool tunnel_kept(const struct reading *r)
{
    return only_keep_alive(r) && r->head.framing == HTTP_BODY_TUNNEL;
}

static bool framed_204(const struct reading *r)
{
    return only_keep_alive(r) && r->head.status == 204 && r->head.declared != HTTP_BODY_NONE;
}

static bool close_and_keep_alive(const struct reading *r)
{
    return only_keep_alive(r) && r->head.minor == 0 && !r->head.keep_alive &&
           (r->head.present & 1u << HTTP_FIELD_CONNECTION);
}

static const struct {
    const char *name;
    bool (*explains)(const struct reading *r);
} classes[] = {
    {"unknown method", unknown_method},
    {"later minor version", later_version},
    {"tab around a value", tab_around_value},
    {"quoted extension", quoted_extension},
    {"connection of a tunnel", tunnel_kept},
    {"204 that frames a body", framed_204},
    {"close and keep-alive in HTTP/1.0", close_and_keep_alive},
};

static bool is_stricter(const struct reading *r, const struct stricter *s)
{
    return r->result == HTTP_REFUSED && r->theirs.result != ORACLE_REFUSED &&
           strcmp(r->why->code, s->code) == 0 && (!s->only || s->only(r));
}

int class_of(const struct reading *r)
{
    for (size_t i = 0; i < ARRAY_LEN(stricter); i++)
        if (is_stricter(r, &stricter[i]))
            return (int)i;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (classes[i].explains(r))
            return (int)(ARRAY_LEN(stricter) + i);
    return -1;
}

const char *class_name(int class)
{
    size_t i = (size_t) class;
    if (i < ARRAY_LEN(stricter))
        return stricter[i].code;
    i -= ARRAY_LEN(stricter);
    return i < ARRAY_LEN(classes) ? classes[i].name : NULL;
}
