/* Units of the DNS codec: names, messages there and back, answers with aliases, and what must be
 * refused, cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "wire/dns.h"

static struct dns_name name_of(const char *text)
{
    struct dns_name n;
    assert_true(dns_name_parse(str_of(text), &n));
    return n;
}

static void assert_name(const struct dns_name *n, const char *want)
{
    char text[DNS_NAME_TEXT_MAX];
    assert_int_equal(dns_name_text(n, text), strlen(want));
    assert_string_equal(text, want);
}

static void names_from_text(void **state)
{
    (void)state;
    char label[65], longest[300] = "";
    struct dns_name n = name_of("www.Example.org");
    assert_int_equal(n.n, 17);
    assert_memory_equal(n.bytes, "\3www\7Example\3org", 17);
    assert_name(&n, "www.Example.org");
    struct dns_name dotted = name_of("WWW.example.ORG.");
    assert_true(dns_name_eq(&n, &dotted));
    struct dns_name other = name_of("www.example.orh");
    assert_false(dns_name_eq(&n, &other));
    static const char *const wrong[] = {"", ".", "..", "a..b", ".a", "a b", "a/b", "a\\.b", "\xc3"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(dns_name_parse(str_of(wrong[i]), &n));
    memset(label, 'x', 64);
    label[63] = 0;
    assert_true(dns_name_parse(str_of(label), &n));
    label[63] = 'x';
    label[64] = 0;
    assert_false(dns_name_parse(str_of(label), &n));
    for (int i = 0; i < 127; i++)
        strcat(longest, i ? ".a" : "a");
    assert_int_equal(strlen(longest), 253);
    assert_true(dns_name_parse(str_of(longest), &n));
    assert_int_equal(n.n, 255);
    assert_name(&n, longest);
    strcat(longest, "a");
    assert_false(dns_name_parse(str_of(longest), &n));
}

static void text_of_any_bytes(void **state)
{
    (void)state;
    struct dns_name n = {.n = 7, .bytes = "\5a.\\\0\xff"};
    assert_name(&n, "a\\046\\092\\000\\255");
    struct dns_name root = {.n = 1};
    assert_name(&root, ".");
    struct dns_name full = {.n = 255};
    size_t at = 0;
    for (int i = 0; i < 3; i++, at += 64)
        full.bytes[at] = 63;
    full.bytes[at] = 61;
    char text[DNS_NAME_TEXT_MAX];
    assert_true(dns_name_text(&full, text) < sizeof text);
}

/* ---- there and back ---- */

struct kept {
    struct dns_record r[16];
    unsigned n;
};

static void keep(void *arg, const struct dns_record *r)
{
    struct kept *l = arg;
    assert_true(l->n < ARRAY_LEN(l->r));
    l->r[l->n++] = *r;
}

static const struct dns_head response = {
    .id = 0x1234, .response = true, .recursion_desired = true, .recursion_available = true};

static struct dns_record record(const char *name, uint16_t type, uint32_t ttl)
{
    return (struct dns_record){
        .name = name_of(name), .type = type, .class = DNS_IN, .ttl = ttl, .section = DNS_ANSWER};
}

static struct dns_record alias(const char *name, const char *to, uint32_t ttl)
{
    struct dns_record r = record(name, DNS_CNAME, ttl);
    r.target = name_of(to);
    return r;
}

static struct dns_record address(const char *name, uint8_t last, uint32_t ttl)
{
    struct dns_record r = record(name, DNS_A, ttl);
    memcpy(r.ip, (uint8_t[]){192, 0, 2, last}, 4);
    return r;
}

static struct dns_record service(const char *target, uint16_t port)
{
    struct dns_record r = record("_http._tcp.x.test", DNS_SRV, 30);
    r.priority = 1;
    r.weight = 10;
    r.port = port;
    r.target = name_of(target);
    return r;
}

static struct dns_question question(const char *name, uint16_t type)
{
    return (struct dns_question){name_of(name), type, DNS_IN};
}

static void write_all(struct buf *out, const struct dns_head *h, const struct dns_question *q,
                      const struct dns_record *r, size_t n, size_t limit)
{
    struct dns_writer w;
    dns_begin(&w, out, h, limit);
    dns_put_question(&w, q);
    for (size_t i = 0; i < n; i++)
        dns_put_record(&w, &r[i]);
    dns_put_opt(&w, DNS_UDP_ASK);
    assert_true(dns_end(&w));
}

static void a_query(void **state)
{
    (void)state;
    struct buf b = {0};
    struct dns_question q = question("a.test", DNS_AAAA);
    struct dns_head h = {.id = 7, .recursion_desired = true};
    write_all(&b, &h, &q, NULL, 0, DNS_MESSAGE_MAX);
    static const char want[] = "\0\7\1\0\0\1\0\0\0\0\0\1"
                               "\1a\4test\0\0\x1c\0\1"
                               "\0\0\x29\4\xd0\0\0\0\0\0\0";
    assert_int_equal(b.n, sizeof want - 1);
    assert_memory_equal(b.p, want, b.n);
    struct dns_message m;
    assert_int_equal(dns_open(&m, buf_str(&b)), 0);
    assert_false(m.head.response);
    assert_int_equal(m.question.type, DNS_AAAA);
    assert_name(&m.question.name, "a.test");
    struct dns_record r;
    assert_int_equal(dns_next(&m, &r), 1);
    assert_int_equal(r.type, DNS_OPT);
    assert_int_equal(r.class, DNS_UDP_ASK);
    assert_int_equal(dns_next(&m, &r), 0);
    buf_free(&b);
}

static void aliases_are_followed(void **state)
{
    (void)state;
    struct buf b = {0};
    struct dns_question q = question("www.x.test", DNS_A);
    const struct dns_record records[] = {
        address("c.test", 9, 5),          address("d.x.test", 1, 300),
        alias("b.x.test", "D.x.test", 7), alias("www.X.test", "b.x.test", 60),
        address("D.X.test", 2, 200),      alias("other.test", "c.test", 1),
    };
    write_all(&b, &response, &q, records, ARRAY_LEN(records), DNS_MESSAGE_MAX);
    struct kept l = {.n = 0};
    struct dns_result result;
    const char *why = NULL;
    assert_int_equal(dns_answer(buf_str(&b), 0x1234, &q, keep, &l, &result, &why), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(result.found, 2);
    assert_int_equal(result.ttl, 7);
    assert_int_equal(l.r[0].ip[3], 1);
    assert_int_equal(l.r[1].ip[3], 2);
    assert_name(&result.name, "d.x.test");
    /* to another question, of another number, or none at all */
    struct dns_question other = question("www.x.test", DNS_AAAA);
    assert_int_equal(dns_answer(buf_str(&b), 0x1234, &other, NULL, NULL, &result, &why), -1);
    other = question("w.x.test", DNS_A);
    assert_int_equal(dns_answer(buf_str(&b), 0x1234, &other, NULL, NULL, &result, &why), -1);
    assert_int_equal(dns_answer(buf_str(&b), 0x1235, &q, NULL, NULL, &result, &why), -1);
    b.p[2] &= 0x7f;
    assert_int_equal(dns_answer(buf_str(&b), 0x1234, &q, NULL, NULL, &result, &why), -1);
    assert_string_equal(why, "it is no response to this question");
    buf_free(&b);
}

static void aliases_in_a_circle_end(void **state)
{
    (void)state;
    struct buf b = {0};
    struct dns_question q = question("a.test", DNS_A);
    const struct dns_record records[] = {alias("a.test", "b.test", 60),
                                         alias("b.test", "a.test", 60)};
    write_all(&b, &response, &q, records, ARRAY_LEN(records), DNS_MESSAGE_MAX);
    struct dns_result result;
    const char *why = NULL;
    assert_int_equal(dns_answer(buf_str(&b), 0x1234, &q, NULL, NULL, &result, &why), 0);
    assert_int_equal(result.found, 0);
    buf_free(&b);
}

static void services(void **state)
{
    (void)state;
    struct buf b = {0};
    struct dns_question q = question("_http._tcp.x.test", DNS_SRV);
    const struct dns_record records[] = {service("n1.x.test", 8080), service("n2.x.test", 8081)};
    write_all(&b, &response, &q, records, ARRAY_LEN(records), DNS_MESSAGE_MAX);
    struct kept l = {.n = 0};
    struct dns_result result;
    const char *why = NULL;
    assert_int_equal(dns_answer(buf_str(&b), 0x1234, &q, keep, &l, &result, &why), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.r[1].port, 8081);
    assert_int_equal(l.r[1].priority, 1);
    assert_int_equal(l.r[1].weight, 10);
    assert_name(&l.r[1].target, "n2.x.test");
    buf_free(&b);
}

/* RFC 2308: the lesser of the SOA record's own TTL and its last field. */
static void nothing_may_be_believed_for_a_while(void **state)
{
    (void)state;
    struct buf b = {0};
    struct dns_question q = question("no.x.test", DNS_A);
    struct dns_record soa = record("x.test", DNS_SOA, 900);
    static const char data[] = "\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x3c";
    soa.data = (struct str){data, sizeof data - 1};
    soa.section = DNS_AUTHORITY;
    struct dns_head h = response;
    h.rcode = DNS_NXDOMAIN;
    write_all(&b, &h, &q, &soa, 1, DNS_MESSAGE_MAX);
    struct dns_result result;
    const char *why = NULL;
    assert_int_equal(dns_answer(buf_str(&b), 0x1234, &q, NULL, NULL, &result, &why), 0);
    assert_int_equal(result.rcode, DNS_NXDOMAIN);
    assert_int_equal(result.found, 0);
    assert_int_equal(result.ttl, 60);
    buf_free(&b);
}

static void what_does_not_fit_is_left_out(void **state)
{
    (void)state;
    struct buf b = {0};
    struct dns_question q = question("a.test", DNS_A);
    struct dns_record records[16];
    for (uint8_t i = 0; i < ARRAY_LEN(records); i++)
        records[i] = address("a.test", i, 60);
    write_all(&b, &response, &q, records, ARRAY_LEN(records), 100);
    struct kept l = {.n = 0};
    struct dns_result result;
    const char *why = NULL;
    assert_in_range(b.n, 80, 100);
    assert_int_equal(dns_answer(buf_str(&b), 0x1234, &q, keep, &l, &result, &why), 0);
    assert_true(result.truncated);
    assert_int_equal(l.n, 4); /* 24 of question and header, 16 each with a compressed name */
    buf_free(&b);
}

/* ---- what must be refused ---- */

static int read_all(struct str bytes)
{
    struct dns_message m;
    struct dns_record r;
    int rc = dns_open(&m, bytes);
    while (rc == 0 && (rc = dns_next(&m, &r)) == 1)
        rc = 0;
    assert_true(rc == 0 || m.why);
    return rc;
}

static void cut_anywhere(void **state)
{
    (void)state;
    struct buf b = {0};
    struct dns_question q = question("_http._tcp.x.test", DNS_SRV);
    struct dns_record records[] = {alias("_http._tcp.x.test", "y.test", 4),
                                   service("n1.x.test", 8080), address("n1.x.test", 1, 30)};
    records[2].section = DNS_ADDITIONAL;
    write_all(&b, &response, &q, records, ARRAY_LEN(records), DNS_MESSAGE_MAX);
    assert_int_equal(read_all(buf_str(&b)), 0);
    for (size_t n = 0; n < b.n; n++) {
        char *copy = mem_alloc(n + 1); /* so that a sanitizer sees what lies beyond */
        memcpy(copy, b.p, n);
        assert_int_equal(read_all((struct str){copy, n}), -1);
        mem_free(copy);
    }
    buf_free(&b);
}

#define HEADER(questions, answers) "\x12\x34\x81\x80\0" questions "\0" answers "\0\0\0\0"
#define RECORD                     "\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1" /* behind its name */

static void malformed(void **state)
{
    (void)state;
    const struct {
        struct str bytes;
        const char *why;
    } rows[] = {
        {STR(HEADER("\1", "\0") "\xc0\x0c\0\1\0\1"), "a name's pointer does not lead backwards"},
        {STR(HEADER("\1", "\0") "\1a\xc0\x0c\0\1\0\1"), "a name's pointer does not lead backwards"},
        {STR(HEADER("\1", "\0") "\xc0\xff\0\1\0\1"), "a name's pointer does not lead backwards"},
        {STR(HEADER("\1", "\0") "\x41x\0\0\1\0\1"), "a label of an unknown kind"},
        {STR(HEADER("\1", "\0") "\x81x\0\0\1\0\1"), "a label of an unknown kind"},
        {STR(HEADER("\1", "\0") "\5abc"), "a name leaves the message"},
        {STR(HEADER("\1", "\0") "\0\0\1\0"), "the question is cut short"},
        {STR(HEADER("\1", "\1") "\0\0\1\0\1\0\0\1\0\1\0\0\0\1\0\3abc"),
         "an address record of a wrong length"},
        {STR(HEADER("\1", "\1") "\0\0\1\0\1\0\0\x21\0\1\0\0\0\1\0\6abcdef"),
         "a service record is cut short"},
        {STR(HEADER("\1", "\1") "\0\0\1\0\1\0\0\5\0\1\0\0\0\1\0\4\1a\0x"),
         "a record holds more than its name"},
        {STR(HEADER("\1", "\1") "\0\0\1\0\1\0\0\5\0\1\0\0\0\1\0\1\1a\0"),
         "a name leaves the message"},
        {STR(HEADER("\1", "\1") "\0\0\1\0\1\0\0\6\0\1\0\0\0\1\0\2\0\0"),
         "a record of a zone's authority has a wrong length"},
        {STR("\x12\x34\x81"), "the message is shorter than a header, or too long"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dns_message m;
        struct dns_record r;
        int rc = dns_open(&m, rows[i].bytes);
        if (rc == 0)
            rc = dns_next(&m, &r);
        assert_int_equal(rc, -1);
        assert_string_equal(m.why, rows[i].why);
    }
    assert_int_equal(read_all(STR(HEADER("\1", "\1") "\1a\0\0\1\0\1\xc0\x0c" RECORD)), 0);
}

/* Pointers that each lead one step back, over labels: long names end, and so do we. */
static void names_that_grow_through_pointers(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add(&b, HEADER("\1", "\0"), DNS_HEADER);
    size_t before = b.n;
    buf_add(&b, "\0", 1);
    buf_add(&b, "\0\1\0\1", 4);
    assert_int_equal(read_all(buf_str(&b)), 0);
    b.n = before;
    /* questions whose names are: ten letters and the name before */
    b.p[5] = 40;
    for (int i = 0; i < 40; i++) {
        size_t here = b.n;
        buf_add(&b, "\12abcdefghij", 11);
        if (i)
            buf_add(&b, (uint8_t[]){(uint8_t)(0xc0 | before >> 8), (uint8_t)before}, 2);
        else
            buf_add(&b, "\0", 1);
        buf_add(&b, "\0\1\0\1", 4);
        before = here;
    }
    struct dns_message m;
    assert_int_equal(dns_open(&m, buf_str(&b)), -1);
    assert_string_equal(m.why, "a name is longer than 255 bytes");
    b.p[5] = 23; /* 23 * 11 + 1 = 254 */
    assert_int_equal(dns_open(&m, buf_str(&b)), 0);
    buf_free(&b);
}

/* A name's own tail is no earlier name: it is not whole yet. */
static void a_name_that_repeats_itself(void **state)
{
    (void)state;
    struct buf b = {0};
    struct dns_question q = question("a.a.a.a", DNS_A);
    write_all(&b, &response, &q, NULL, 0, DNS_MESSAGE_MAX);
    struct dns_message m;
    assert_int_equal(dns_open(&m, buf_str(&b)), 0);
    assert_name(&m.question.name, "a.a.a.a");
    buf_free(&b);
}

static void memory_that_is_out(void **state)
{
    (void)state;
    struct dns_question q = question("a.test", DNS_A);
    struct dns_record r = address("a.test", 1, 60);
    for (unsigned long i = 1;; i++) {
        struct buf b = {0};
        struct dns_writer w;
        mem_fail_at(i);
        dns_begin(&w, &b, &response, DNS_MESSAGE_MAX);
        dns_put_question(&w, &q);
        for (int k = 0; k < 40; k++)
            dns_put_record(&w, &r);
        bool ok = dns_end(&w), failed = mem_failed();
        mem_fail_at(0);
        buf_free(&b);
        assert_int_equal(ok, !failed);
        if (ok)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_from_text),
        cmocka_unit_test(text_of_any_bytes),
        cmocka_unit_test(a_query),
        cmocka_unit_test(aliases_are_followed),
        cmocka_unit_test(aliases_in_a_circle_end),
        cmocka_unit_test(services),
        cmocka_unit_test(nothing_may_be_believed_for_a_while),
        cmocka_unit_test(what_does_not_fit_is_left_out),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(malformed),
        cmocka_unit_test(names_that_grow_through_pointers),
        cmocka_unit_test(a_name_that_repeats_itself),
        cmocka_unit_test(memory_that_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
