/* Lines: what each field says, and that nothing that a client sends can forge another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/log_line.h"

static const char request[] =
    "GET /a/b?c=d&e HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test/1\r\n"
    "Referer: http://x/\r\nAccept: */*\r\ntraceparent: "
    "00-0123456789abcdef0123456789abcdef-0011223344556677-01\r\n\r\n";

struct made {
    struct log_format f;
    struct log_record r;
    struct buf facts;
    char line[LOG_LINE_MAX + 1];
};

static void make(struct made *m, const char *form)
{
    struct err e = {0};
    struct http_limits limits = {16384, 64};
    static struct http_head h;
    const struct http_refusal *why;
    *m = (struct made){0};
    if (log_format_compile(str_of(form), &m->f, &e))
        fail_msg("%s", e.text);
    assert_int_equal(http_parse_request(request, sizeof request - 1, 0, &limits, &h, &why),
                     HTTP_DONE);
    log_facts(&m->facts, &m->f, &h);
    m->r = (struct log_record){
        .client = STR("192.0.2.1"),
        .listener = STR("0.0.0.0:8080"),
        .service = STR("web"),
        .instance = STR("10.0.0.11:3000"),
        .client_port = 4711,
        .status = 200,
        .attempts = 2,
        .bytes = 128,
        .bytes_in = 7,
        .wall_ns = UINT64_C(1700000000) * NS_PER_S + 42 * NS_PER_MS,
        .duration = 1234,
        .connect = 34,
        .wait = 1000,
        .first_byte = 1100,
        .transfer = 200,
        .facts = buf_str(&m->facts),
    };
}

static const char *told(struct made *m)
{
    size_t n = log_render(&m->f, &m->r, m->line);
    assert_true(n <= LOG_LINE_MAX);
    m->line[n] = 0;
    return m->line;
}

static void line_is(const char *form, const char *want)
{
    struct made m;
    make(&m, form);
    assert_string_equal(told(&m), want);
    buf_free(&m.facts);
}

static void known_forms(void **state)
{
    line_is("plain",
            "192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] \"GET /a/b?c=d&e HTTP/1.1\" 200 128 "
            "1234 web 10.0.0.11:3000 2");
    line_is("common", "192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] \"GET /a/b?c=d&e HTTP/1.1\" 200 "
                      "128");
    line_is("combined", "192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] \"GET /a/b?c=d&e HTTP/1.1\" "
                        "200 128 \"http://x/\" \"test/1\"");
    line_is("json",
            "{\"time\":\"2023-11-14T22:13:20.042Z\",\"service\":\"web\",\"listener\":"
            "\"0.0.0.0:8080\",\"client\":\"192.0.2.1\",\"client_port\":4711,\"method\":\"GET\","
            "\"host\":\"example.com\",\"path\":\"/a/b\",\"query\":\"c=d&e\",\"protocol\":"
            "\"HTTP/1.1\",\"status\":200,\"bytes_in\":7,\"bytes_out\":128,\"duration_us\":1234,"
            "\"connect_us\":34,\"wait_us\":1000,\"first_byte_us\":1100,\"transfer_us\":200,"
            "\"attempts\":2,\"route\":\"\",\"instance\":\"10.0.0.11:3000\",\"cause\":\"\","
            "\"trace_id\":\"0123456789abcdef0123456789abcdef\",\"referer\":\"http://x/\","
            "\"user_agent\":\"test/1\"}");
}

static void fields_of_ones_own(void **state)
{
    line_is("{method}|{path}|{query}|{protocol}|{host}", "GET|/a/b|c=d&e|HTTP/1.1|example.com");
    line_is("{header:ACCEPT} {header:absent} {referer}", "*/* - http://x/");
    line_is("{time-iso} {time-unix}", "2023-11-14T22:13:20.042Z 1700000000.042");
    line_is("{connect}+{wait}+{transfer} {first-byte} {cause}", "34+1000+200 1100 -");
    line_is("{{{client}:{client-port}}}", "{\"192.0.2.1\":4711}");
}

static void what_is_not_known_says_so(void **state)
{
    static const char *const forms[] = {
        "{instance} {connect} {request} {trace-id} {client-port}",
        "{{{instance},{connect},{request},{trace-id},{client-port}"};
    static const char *const want[] = {"- - - - -", "{\"\",null,\"\",\"\",null"};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct made m;
        make(&m, forms[i]);
        m.r.facts = STR("");
        m.r.instance = STR("");
        m.r.connect = LOG_UNKNOWN;
        m.r.client_port = 0;
        assert_string_equal(told(&m), want[i]);
        buf_free(&m.facts);
    }
}

static void a_client_cannot_forge_a_line(void **state)
{
    struct made m;
    make(&m, "\"{instance}\" {status}");
    m.r.instance = STR("/\"\n\r\x1b[31m\\ \x7f\xff");
    assert_string_equal(told(&m), "\"/\\x22\\x0a\\x0d\\x1b[31m\\x5c \\x7f\xff\" 200");
    buf_free(&m.facts);
    make(&m, "{{{instance}}}");
    m.r.instance = STR("\"}\n\\\xc3\xa4\xff\xed\xa0\x80\xf0\x9f\x98\x80\xc3");
    assert_string_equal(told(&m), "{\"\\\"}\\u000a\\\\\xc3\xa4\\ufffd\\ufffd\\ufffd\\ufffd"
                                  "\xf0\x9f\x98\x80\\ufffd\"}");
    buf_free(&m.facts);
}

/* Strict enough for one object of strings and numbers: quotes, escapes and braces must pair. */
static bool is_json(const char *p)
{
    bool quoted = false;
    if (*p++ != '{')
        return false;
    for (; *p && (quoted || *p != '}'); p++) {
        if (quoted && *p == '\\') {
            p++;
            if (*p == 'u' && strspn(p + 1, "0123456789abcdef") < 4)
                return false;
            if (!strchr("\"\\u", *p) || !*p)
                return false;
        } else if (*p == '"') {
            quoted = !quoted;
        } else if ((unsigned char)*p < 0x20) {
            return false;
        }
    }
    return *p == '}' && p[1] == 0;
}

static void however_long_json_stays_json(void **state)
{
    struct prng r;
    prng_seed(&r, 9);
    static char noise[2 * LOG_LINE_MAX];
    for (int round = 0; round < 300; round++) {
        struct made m;
        make(&m, "json");
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = round % 3 ? (char)prng_below(&r, 256) : "\"\\\n\xff"[prng_below(&r, 4)];
        m.r.service = (struct str){noise, prng_below(&r, sizeof noise)};
        m.r.instance = m.r.route = m.r.cause = m.r.listener = m.r.service;
        m.r.duration = m.r.bytes = m.r.bytes_in = m.r.wait = UINT64_MAX - 1;
        if (!is_json(told(&m)))
            fail_msg("no JSON: %s", m.line);
        buf_free(&m.facts);
    }
}

static void facts_are_bounded(void **state)
{
    static struct http_head h;
    static char path[3 * LOG_FACT_MAX];
    struct log_format f;
    struct buf facts = {0};
    char form[512] = "{path}";
    for (int i = 0; i < LOG_HEADERS_MAX; i++)
        snprintf(form + strlen(form), 32, "{header:h%d}", i);
    assert_int_equal(log_format_compile(str_of(form), &f, NULL), 0);
    memset(path, 'a', sizeof path);
    h = (struct http_head){.method_text = STR("GET"), .target = {path, sizeof path}};
    h.n_headers = LOG_HEADERS_MAX;
    for (int i = 0; i < LOG_HEADERS_MAX; i++) {
        static char names[LOG_HEADERS_MAX][8];
        snprintf(names[i], sizeof names[i], "H%d", i);
        h.headers[i].name = str_of(names[i]);
        h.headers[i].value = (struct str){path, sizeof path};
    }
    log_facts(&facts, &f, &h);
    assert_in_range(facts.n, 3 * LOG_FACT_MAX, LOG_FACTS_MAX + 64);
    struct log_record r = {.facts = buf_str(&facts)};
    char line[LOG_LINE_MAX];
    size_t n = log_render(&f, &r, line);
    assert_in_range(n, LOG_LINE_FIELDS, LOG_LINE_MAX);
    /* cut anywhere, they are read as far as they go */
    for (size_t cut = 0; cut < facts.n; cut += 7) {
        r.facts.n = cut;
        log_render(&f, &r, line);
    }
    buf_free(&facts);
    for (unsigned long fail = 1; fail < 4; fail++) {
        mem_fail_at(fail);
        log_facts(&facts, &f, &h);
        mem_fail_at(0);
        r.facts = buf_str(&facts);
        log_render(&f, &r, line);
        buf_free(&facts);
        facts = (struct buf){0};
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_forms),
        cmocka_unit_test(fields_of_ones_own),
        cmocka_unit_test(what_is_not_known_says_so),
        cmocka_unit_test(a_client_cannot_forge_a_line),
        cmocka_unit_test(however_long_json_stays_json),
        cmocka_unit_test(facts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
