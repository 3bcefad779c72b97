#include "view/log_format.h"

static const char *const names[LOG_FIELDS] = {
    [LOG_LITERAL] = "",
    [LOG_ATTEMPTS] = "attempts",
    [LOG_BYTES] = "bytes",
    [LOG_BYTES_IN] = "bytes-in",
    [LOG_CAUSE] = "cause",
    [LOG_CLIENT] = "client",
    [LOG_CLIENT_PORT] = "client-port",
    [LOG_CONNECT] = "connect",
    [LOG_DURATION] = "duration",
    [LOG_FIRST_BYTE] = "first-byte",
    [LOG_HEADER] = "header:NAME",
    [LOG_HOST] = "host",
    [LOG_INSTANCE] = "instance",
    [LOG_LISTENER] = "listener",
    [LOG_METHOD] = "method",
    [LOG_PATH] = "path",
    [LOG_PROTOCOL] = "protocol",
    [LOG_QUERY] = "query",
    [LOG_REFERER] = "referer",
    [LOG_REQUEST] = "request",
    [LOG_ROUTE] = "route",
    [LOG_SERVICE] = "service",
    [LOG_STATUS] = "status",
    [LOG_TIME] = "time",
    [LOG_TIME_ISO] = "time-iso",
    [LOG_TIME_UNIX] = "time-unix",
    [LOG_TRACE_ID] = "trace-id",
    [LOG_TRANSFER] = "transfer",
    [LOG_USER_AGENT] = "user-agent",
    [LOG_WAIT] = "wait",
};

#define COMMON "{client} - - [{time}] \"{request}\" {status} {bytes}"

static const struct {
    const char *name, *text;
} forms[] = {
    {"plain", COMMON " {duration} {service} {instance} {attempts}"},
    {"common", COMMON},
    {"combined", COMMON " \"{referer}\" \"{user-agent}\""},
    {"json", "{{\"time\":{time-iso},\"service\":{service},\"listener\":{listener},"
             "\"client\":{client},\"client_port\":{client-port},\"method\":{method},"
             "\"host\":{host},\"path\":{path},\"query\":{query},\"protocol\":{protocol},"
             "\"status\":{status},\"bytes_in\":{bytes-in},\"bytes_out\":{bytes},"
             "\"duration_us\":{duration},\"connect_us\":{connect},\"wait_us\":{wait},"
             "\"first_byte_us\":{first-byte},\"transfer_us\":{transfer},\"attempts\":{attempts},"
             "\"route\":{route},\"instance\":{instance},\"cause\":{cause},"
             "\"trace_id\":{trace-id},\"referer\":{referer},\"user_agent\":{user-agent}}}"},
};

const char *log_field_name(unsigned field)
{
    return field > LOG_LITERAL && field < LOG_FIELDS ? names[field] : NULL;
}

const char *log_form_name(unsigned i)
{
    return i < ARRAY_LEN(forms) ? forms[i].name : NULL;
}

static int add(struct log_format *f, struct log_item item, struct err *e)
{
    if (f->n == LOG_ITEMS_MAX)
        return err_set(e, ERR_INVAL, "it has more than %d parts", LOG_ITEMS_MAX);
    f->items[f->n++] = item;
    return 0;
}

static int keep_header(struct log_format *f, struct str name, uint8_t *index, struct err *e)
{
    for (uint8_t i = 0; i < f->n_headers; i++)
        if (str_eq_nocase(f->headers[i], name)) {
            *index = i;
            return 0;
        }
    if (f->n_headers == LOG_HEADERS_MAX)
        return err_set(e, ERR_INVAL, "it has more than %d header fields", LOG_HEADERS_MAX);
    *index = f->n_headers;
    f->headers[f->n_headers++] = name;
    return 0;
}

static bool token(struct str s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], l = (char)(c | 0x20);
        bool letter = l >= 'a' && l <= 'z', digit = c >= '0' && c <= '9';
        if (!letter && !digit && !memchr(marks, c, sizeof marks - 1))
            return false;
    }
    return s.n > 0;
}

static int unknown(struct str name, struct err *e)
{
    struct suggest near = suggest_for(name);
    for (unsigned i = LOG_LITERAL + 1; i < LOG_FIELDS; i++)
        suggest_try(&near, str_of(names[i]));
    if (near.n)
        return err_set(e, ERR_INVAL, "it has no field {" STR_FMT "}; did you mean {" STR_FMT "}?",
                       STR_ARG(name), STR_ARG(near.name[0]));
    return err_set(e, ERR_INVAL, "it has no field {" STR_FMT "}", STR_ARG(name));
}

/* The part of the head that a field is taken from. */
static int needs(struct log_format *f, struct log_item *item, struct str header, struct err *e)
{
    switch ((enum log_field)item->field) {
    case LOG_HEADER: return keep_header(f, header, &item->header, e);
    case LOG_HOST: return keep_header(f, STR("host"), &item->header, e);
    case LOG_REFERER: return keep_header(f, STR("referer"), &item->header, e);
    case LOG_USER_AGENT: return keep_header(f, STR("user-agent"), &item->header, e);
    case LOG_TRACE_ID: return keep_header(f, STR("traceparent"), &item->header, e);
    case LOG_METHOD:
    case LOG_PATH:
    case LOG_PROTOCOL:
    case LOG_QUERY:
    case LOG_REQUEST: f->request = true; return 0;
    case LOG_LITERAL:
    case LOG_ATTEMPTS:
    case LOG_BYTES:
    case LOG_BYTES_IN:
    case LOG_CAUSE:
    case LOG_CLIENT:
    case LOG_CLIENT_PORT:
    case LOG_CONNECT:
    case LOG_DURATION:
    case LOG_FIRST_BYTE:
    case LOG_INSTANCE:
    case LOG_LISTENER:
    case LOG_ROUTE:
    case LOG_SERVICE:
    case LOG_STATUS:
    case LOG_TIME:
    case LOG_TIME_ISO:
    case LOG_TIME_UNIX:
    case LOG_TRANSFER:
    case LOG_WAIT:
    case LOG_FIELDS: return 0;
    }
    return 0;
}

static int add_field(struct log_format *f, struct str name, struct err *e)
{
    static const struct str header = {"header:", 7};
    struct log_item item = {.field = LOG_LITERAL};
    struct str of = {"", 0};
    for (unsigned i = LOG_LITERAL + 1; i < LOG_FIELDS; i++)
        if (i != LOG_HEADER && str_eq(name, str_of(names[i])))
            item.field = (uint8_t)i;
    if (str_starts(name, header)) {
        item.field = LOG_HEADER;
        of = (struct str){name.p + header.n, name.n - header.n};
        if (!token(of))
            return err_set(e, ERR_INVAL, "'" STR_FMT "' is no name of a header field", STR_ARG(of));
    }
    if (item.field == LOG_LITERAL)
        return unknown(name, e);
    int rc = needs(f, &item, of, e);
    return rc ? rc : add(f, item, e);
}

static int add_literal(struct log_format *f, const char *from, const char *to, struct err *e)
{
    struct log_item item = {.field = LOG_LITERAL, .n = (uint16_t)(to - from), .p = from};
    return from == to ? 0 : add(f, item, e);
}

/* What stands at a brace: "{{" and "}}" leave one of them in the literal that follows. */
static int brace(struct log_format *f, const char **at, const char *end, const char **literal,
                 struct err *e)
{
    const char *p = *at;
    int rc = add_literal(f, *literal, p, e);
    if (rc)
        return rc;
    if (p + 1 < end && p[1] == p[0]) {
        *literal = p + 1;
        *at = p + 2;
        return 0;
    }
    const char *close = *p == '{' ? memchr(p, '}', (size_t)(end - p)) : NULL;
    if (!close)
        return err_set(e, ERR_INVAL, "it has a '%c' without its partner; '%c%c' stands for one", *p,
                       *p, *p);
    *literal = *at = close + 1;
    return add_field(f, (struct str){p + 1, (size_t)(close - p - 1)}, e);
}

static int compile(struct str text, struct log_format *f, struct err *e)
{
    const char *at = text.p, *end = text.p + text.n, *literal = at;
    f->json = str_starts(text, STR("{{"));
    while (at < end) {
        unsigned char c = (unsigned char)*at;
        if (c < 0x20 || c == 0x7f)
            return err_set(e, ERR_INVAL, "it has a control character");
        if (c != '{' && c != '}') {
            at++;
            continue;
        }
        int rc = brace(f, &at, end, &literal, e);
        if (rc)
            return rc;
    }
    return add_literal(f, literal, end, e);
}

int log_format_compile(struct str text, struct log_format *out, struct err *e)
{
    *out = (struct log_format){0};
    struct suggest near = suggest_for(text);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (str_eq(text, str_of(forms[i].name)))
            return compile(str_of(forms[i].text), out, e);
        suggest_try(&near, str_of(forms[i].name));
    }
    if (text.n > LOG_FORMAT_MAX)
        return err_set(e, ERR_INVAL, "it is longer than %d bytes", LOG_FORMAT_MAX);
    if (text.n == 0 || !memchr(text.p, '{', text.n))
        return err_set(e, ERR_INVAL, "it is neither a known form nor has it a {field}%s%s%s",
                       near.n ? "; did you mean " : "", near.n ? near.name[0].p : "",
                       near.n ? "?" : "");
    return compile(text, out, e);
}
