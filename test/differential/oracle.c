#include "oracle.h"

#include <llhttp.h>
#include <string.h>

struct reading {
    llhttp_t parser; /* first: callbacks get its address */
    struct oracle *out;
    char field[16384], value[16384];
    size_t field_n, value_n;
    bool head_done, message_done;
};

uint64_t oracle_hash(uint64_t hash, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)p[i]) * 0x100000001b3u;
    return hash;
}

static int keep(char *to, size_t size, size_t *have, const char *p, size_t n)
{
    if (n > size - *have)
        return -1;
    memcpy(to + *have, p, n);
    *have += n;
    return 0;
}

static int on_field(llhttp_t *parser, const char *p, size_t n)
{
    struct reading *r = (struct reading *)(void *)parser;
    return r->head_done ? 0 : keep(r->field, sizeof r->field, &r->field_n, p, n);
}

static int on_value(llhttp_t *parser, const char *p, size_t n)
{
    struct reading *r = (struct reading *)(void *)parser;
    return r->head_done ? 0 : keep(r->value, sizeof r->value, &r->value_n, p, n);
}

static int on_value_end(llhttp_t *parser)
{
    struct reading *r = (struct reading *)(void *)parser;
    if (r->head_done)
        return 0;
    while (r->value_n && (r->value[r->value_n - 1] == ' ' || r->value[r->value_n - 1] == '\t'))
        r->value_n--;
    uint64_t h = oracle_hash(r->out->text, r->field, r->field_n);
    h = oracle_hash(h, ":", 1);
    h = oracle_hash(h, r->value, r->value_n);
    r->out->text = oracle_hash(h, "\n", 1);
    r->out->fields++;
    r->field_n = r->value_n = 0;
    return 0;
}

static enum oracle_framing framing_of(const llhttp_t *p)
{
    if (p->upgrade && p->type == HTTP_RESPONSE)
        return ORACLE_TUNNEL;
    if (p->type == HTTP_RESPONSE &&
        (p->status_code / 100 == 1 || p->status_code == 204 || p->status_code == 304))
        return ORACLE_NONE;
    if (p->flags & F_CHUNKED)
        return ORACLE_CHUNKED;
    if (p->flags & F_TRANSFER_ENCODING)
        return ORACLE_CLOSE;
    if (p->flags & F_CONTENT_LENGTH)
        return p->content_length ? ORACLE_LENGTH : ORACLE_NONE;
    return llhttp_message_needs_eof(p) ? ORACLE_CLOSE : ORACLE_NONE;
}

static int on_head(llhttp_t *parser)
{
    struct reading *r = (struct reading *)(void *)parser;
    struct oracle *o = r->out;
    r->head_done = true;
    o->major = parser->http_major;
    o->minor = parser->http_minor;
    o->status = parser->status_code;
    o->method =
        parser->type == HTTP_REQUEST ? llhttp_method_name((llhttp_method_t)parser->method) : "";
    o->framing = framing_of(parser);
    o->length = o->framing == ORACLE_LENGTH ? parser->content_length : 0;
    o->keep_alive = llhttp_should_keep_alive(parser);
    return 0;
}

static int on_body(llhttp_t *parser, const char *p, size_t n)
{
    struct reading *r = (struct reading *)(void *)parser;
    r->out->payload = oracle_hash(r->out->payload, p, n);
    return 0;
}

static int on_message(llhttp_t *parser)
{
    ((struct reading *)(void *)parser)->message_done = true;
    return HPE_PAUSED;
}

static void begin(struct reading *r, bool request, llhttp_settings_t *s, struct oracle *out)
{
    *out = (struct oracle){.text = ORACLE_HASH, .payload = ORACLE_HASH};
    r->out = out;
    r->field_n = r->value_n = 0;
    r->head_done = r->message_done = false;
    llhttp_settings_init(s);
    s->on_header_field = on_field;
    s->on_header_value = on_value;
    s->on_header_value_complete = on_value_end;
    s->on_headers_complete = on_head;
    s->on_body = on_body;
    s->on_message_complete = on_message;
    llhttp_init(&r->parser, request ? HTTP_REQUEST : HTTP_RESPONSE, s);
}

/* One byte at a time: that tells where a head ends. */
static void feed(struct reading *r, const char *p, size_t n, const bool *until)
{
    struct oracle *o = r->out;
    for (size_t i = 0; i < n; i++) {
        llhttp_errno_t e = llhttp_execute(&r->parser, p + i, 1);
        if (e != HPE_OK && e != HPE_PAUSED && e != HPE_PAUSED_UPGRADE) {
            o->result = ORACLE_REFUSED;
            o->error = llhttp_errno_name(e);
            return;
        }
        if (*until) {
            o->result = ORACLE_DONE;
            o->bytes = i + 1;
            return;
        }
    }
}

void oracle_head(bool request, const char *p, size_t n, struct oracle *out)
{
    static struct reading r;
    llhttp_settings_t s;
    begin(&r, request, &s, out);
    feed(&r, p, n, &r.head_done);
}

void oracle_chunked(const char *p, size_t n, struct oracle *out)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    static struct reading r;
    llhttp_settings_t s;
    begin(&r, true, &s, out);
    llhttp_execute(&r.parser, head, sizeof head - 1);
    feed(&r, p, n, &r.message_done);
}
