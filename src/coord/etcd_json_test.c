#include "coord/etcd_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "coord/etcd_scan.h"

#define HEADER                                                                                     \
    "\"header\":{\"cluster_id\":\"14841639068965178418\",\"member_id\":\"10276657743932975437\","  \
    "\"revision\":\"7\",\"raft_term\":\"2\"}"

static const struct etcd_scope SCOPE = {{"hf/a", 4}, 3};

static void assert_text(struct buf *b, const char *expected)
{
    assert_true(buf_add(b, "", 1));
    assert_string_equal(b->p, expected);
    buf_clear(b);
}

/* --- what is asked --- */

static void a_change_is_one_transaction(void **state)
{
    struct buf b = {0};
    struct coord_op ops[] = {
        {STR("k"), STR("v"), 0, COORD_PUT},
        {STR("l"), STR(""), UINT64_C(18000000000000000000), COORD_REMOVE},
        {STR("m"), STR("w"), COORD_ANY, COORD_PUT},
        {STR("n"), STR(""), 5, COORD_LEAVE},
    };
    assert_true(etcd_ask_txn(STR("p/"), ops, 4, &b));
    assert_text(
        &b, "{\"compare\":["
            "{\"key\":\"cC9r\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"0\"},"
            "{\"key\":\"cC9s\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":"
            "\"18000000000000000000\"},"
            "{\"key\":\"cC9u\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"5\"}],"
            "\"success\":[{\"request_put\":{\"key\":\"cC9r\",\"value\":\"dg==\"}},"
            "{\"request_delete_range\":{\"key\":\"cC9s\"}},"
            "{\"request_put\":{\"key\":\"cC9t\",\"value\":\"dw==\"}}]}");
    buf_free(&b);
}

/* One that only compares would be answered from what one member knows, however old. */
static void a_comparison_alone_reads_as_well(void **state)
{
    struct buf b = {0};
    struct coord_op op = {STR("k"), STR(""), 3, COORD_LEAVE};
    const char *look = "[{\"request_range\":{\"key\":\"aw==\",\"keys_only\":true}}]";
    char expected[512];
    snprintf(expected, sizeof expected,
             "{\"compare\":[{\"key\":\"aw==\",\"target\":\"MOD\",\"result\":\"EQUAL\","
             "\"mod_revision\":\"3\"}],\"success\":%s,\"failure\":%s}",
             look, look);
    assert_true(etcd_ask_txn(STR(""), &op, 1, &b));
    assert_text(&b, expected);
    buf_free(&b);
}

static void a_range_ends_behind_its_prefix(void **state)
{
    struct buf b = {0};
    struct etcd_range r = {.prefix = STR("a/")};
    assert_true(etcd_ask_range(&r, &b));
    assert_text(&b, "{\"key\":\"YS8=\",\"range_end\":\"YTA=\"}");
    r = (struct etcd_range){{"a\xff\xff", 3}, STR("a\xff\xff/x"), 9, 100, true, false};
    assert_true(etcd_ask_range(&r, &b));
    assert_text(&b,
                "{\"key\":\"Yf//L3gA\",\"range_end\":\"Yg==\",\"limit\":\"100\",\"revision\":\"9\","
                "\"keys_only\":true}");
    r = (struct etcd_range){.prefix = STR("")};
    assert_true(etcd_ask_range(&r, &b));
    assert_text(&b, "{\"key\":\"AA==\",\"range_end\":\"AA==\"}");
    r = (struct etcd_range){.prefix = STR("\xff"), .one = true, .limit = 1, .keys_only = true};
    assert_true(etcd_ask_range(&r, &b));
    assert_text(&b, "{\"key\":\"/w==\",\"limit\":\"1\",\"keys_only\":true}");
    buf_free(&b);
}

static void a_watch_and_a_log_in(void **state)
{
    struct buf b = {0};
    assert_true(etcd_ask_watch(STR("a"), 8, &b));
    assert_text(&b,
                "{\"create_request\":{\"key\":\"YQ==\",\"range_end\":\"Yg==\",\"start_revision\":"
                "\"8\",\"progress_notify\":true,\"fragment\":true}}");
    assert_true(etcd_ask_token("a\"b", "p\\\n\xc3\xa4", &b));
    assert_text(&b, "{\"name\":\"a\\u0022b\",\"password\":\"p\\u005c\\u000a\xc3\xa4\"}");
    buf_free(&b);
}

/* --- what is answered --- */

static void the_outcome_of_a_transaction(void **state)
{
    static const struct {
        const char *body;
        int code;
        bool succeeded;
    } CASES[] = {
        {"{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{}}]}", 0, true},
        {"{" HEADER "}", 0, false},
        {"{" HEADER ",\"succeeded\":false}", 0, false},
        {"{" HEADER ",\"succeeded\":\"true\"}", ERR_PROTO, false},
        {"{\"succeeded\":true}", ERR_PROTO, false},
        {"{\"header\":{\"revision\":\"0\"},\"succeeded\":true}", ERR_PROTO, false},
        {"{\"header\":{\"revision\":\"-1\"},\"succeeded\":true}", ERR_PROTO, false},
        {"{\"header\":{\"revision\":-1},\"succeeded\":true}", ERR_PROTO, false},
        {"{\"header\":{\"revision\":\"99999999999999999999\"}}", ERR_PROTO, false},
        {"[]", ERR_PROTO, false},
        {"", ERR_PROTO, false},
        {"{" HEADER, ERR_PROTO, false},
        {"{" HEADER "}x", ERR_PROTO, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct etcd_header h;
        bool succeeded;
        struct err e = {0};
        assert_int_equal(etcd_read_txn(str_of(CASES[i].body), &h, &succeeded, &e), -CASES[i].code);
        if (CASES[i].code)
            continue;
        assert_int_equal(succeeded, CASES[i].succeeded);
        assert_true(h.cluster == UINT64_C(14841639068965178418));
        assert_true(h.member == UINT64_C(10276657743932975437));
        assert_int_equal(h.revision, 7);
        assert_int_equal(h.term, 2);
    }
    struct etcd_header h;
    bool succeeded;
    assert_int_equal(etcd_read_txn(STR("{\"header\":{\"revision\":7}}"), &h, &succeeded, NULL), 0);
    assert_int_equal(h.revision, 7);
}

static void a_page_of_keys(void **state)
{
    /* hf/a, hf/aa (with a NUL behind, which cannot be named), hf/ab */
    struct str body =
        STR("{" HEADER ",\"kvs\":["
            "{\"key\":\"aGYvYQ==\",\"create_revision\":\"2\",\"mod_revision\":\"3\",\"value\":"
            "\"eHk=\"},"
            "{\"key\":\"aGYvYWEA\",\"mod_revision\":\"4\",\"value\":\"eHk=\"},"
            "{\"key\":\"aGYvYWI=\",\"mod_revision\":\"5\"}],\"more\":true,\"count\":\"9\"}");
    struct etcd_page p;
    struct err e = {0};
    assert_int_equal(etcd_read_range(body, &SCOPE, &p, &e), 0);
    assert_int_equal(p.items.n, 2);
    assert_int_equal(p.present, 3);
    assert_true(p.more);
    assert_true(str_eq(p.items.p[0].key, STR("a")) && str_eq(p.items.p[0].value, STR("xy")));
    assert_int_equal(p.items.p[0].revision, 3);
    assert_true(str_eq(p.items.p[1].key, STR("ab")) && str_eq(p.items.p[1].value, STR("")));
    assert_true(str_eq(p.last, STR("hf/ab")));
    assert_int_equal(p.header.revision, 7);
    etcd_items_free(&p.items);

    assert_int_equal(etcd_read_range(STR("{" HEADER "}"), &SCOPE, &p, &e), 0);
    assert_int_equal(p.items.n, 0);
    assert_false(p.more);
    etcd_items_free(&p.items);
}

static void broken_pages_are_refused(void **state)
{
    static const char *const CASES[] = {
        "{" HEADER ",\"kvs\":{}}",
        "{" HEADER ",\"kvs\":[1]}",
        "{" HEADER ",\"kvs\":[{\"key\":\"aGYvYQ==\"}]}",                       /* no revision */
        "{" HEADER ",\"kvs\":[{\"key\":\"aGYvYQ=\",\"mod_revision\":\"1\"}]}", /* no base64 */
        "{" HEADER ",\"kvs\":[{\"key\":5,\"mod_revision\":\"1\"}]}",
        "{" HEADER ",\"kvs\":[{\"key\":\"aGYvYg==\",\"mod_revision\":\"1\"}]}", /* hf/b */
        "{" HEADER ",\"kvs\":[{\"key\":\"aGYvYQ==\",\"mod_revision\":\"1\"},"
        "{\"key\":\"aGYvYQ==\",\"mod_revision\":\"1\"}]}", /* twice */
        "{" HEADER ",\"kvs\":[{\"key\":\"aGYvYWI=\",\"mod_revision\":\"1\"},"
        "{\"key\":\"aGYvYWE=\",\"mod_revision\":\"1\"}]}", /* downwards */
        "{" HEADER ",\"more\":true}",
        "{\"kvs\":[]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct etcd_page p;
        struct err e = {0};
        assert_int_equal(etcd_read_range(str_of(CASES[i]), &SCOPE, &p, &e), -ERR_PROTO);
        assert_true(strstr(e.text, "not how etcd answers") != NULL);
        assert_null(p.items.p);
    }
}

static void a_token_fits_a_header(void **state)
{
    struct buf b = {0};
    assert_int_equal(etcd_read_token(STR("{\"token\":\"nAwm.18\"}"), &b, NULL), 0);
    assert_string_equal(b.p, "nAwm.18");
    assert_int_equal(etcd_read_token(STR("{\"token\":\"a\\r\\nb: c\"}"), &b, NULL), -ERR_PROTO);
    assert_int_equal(etcd_read_token(STR("{\"token\":\"\"}"), &b, NULL), -ERR_PROTO);
    assert_int_equal(etcd_read_token(STR("{}"), &b, NULL), -ERR_PROTO);
    buf_free(&b);
}

static void lines_of_a_watch(void **state)
{
    struct etcd_line l;
    struct err e = {0};
    assert_int_equal(
        etcd_read_line(STR("{\"result\":{" HEADER ",\"created\":true}}"), &SCOPE, &l, &e), 0);
    assert_int_equal(l.kind, ETCD_LINE_CREATED);
    assert_int_equal(
        etcd_read_line(
            STR("{\"result\":{" HEADER ",\"fragment\":true,\"events\":["
                "{\"kv\":{\"key\":\"aGYvYQ==\",\"mod_revision\":\"6\",\"value\":\"eHk=\"}},"
                "{\"type\":\"DELETE\",\"kv\":{\"key\":\"aGYvYWI=\",\"mod_revision\":\"7\"}}"
                "]}}"),
            &SCOPE, &l, &e),
        0);
    assert_int_equal(l.kind, ETCD_LINE_CHANGES);
    assert_true(l.fragment);
    assert_int_equal(l.changes.n, 2);
    assert_int_equal(l.newest, 7);
    assert_false(l.changes.p[0].gone);
    assert_true(l.changes.p[1].gone && str_eq(l.changes.p[1].key, STR("ab")));
    etcd_items_free(&l.changes);

    assert_int_equal(
        etcd_read_line(STR("{\"result\":{\"header\":{\"raft_term\":\"2\"},\"canceled\":"
                           "true,\"compact_revision\":\"4\"}}"),
                       &SCOPE, &l, &e),
        0);
    assert_int_equal(l.kind, ETCD_LINE_COMPACTED);
    assert_int_equal(
        etcd_read_line(STR("{\"result\":{" HEADER ",\"created\":true,\"canceled\":true,"
                           "\"cancel_reason\":\"rpc error: code = Unauthenticated desc = "
                           "etcdserver: invalid auth token\"}}"),
                       &SCOPE, &l, &e),
        0);
    assert_int_equal(l.kind, ETCD_LINE_ENDED);
    assert_int_equal(etcd_meaning_of(&l.why), ETCD_TOKEN);
    assert_int_equal(
        etcd_read_line(STR("{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":"
                           "\"etcdserver: no leader\",\"http_status\":\"Service "
                           "Unavailable\"}}"),
                       &SCOPE, &l, &e),
        0);
    assert_int_equal(l.kind, ETCD_LINE_ENDED);
    assert_int_equal(l.why.grpc, 14);
    assert_string_equal(l.why.text, "etcdserver: no leader");
}

static void broken_lines_are_refused(void **state)
{
    static const char *const CASES[] = {
        "{}",
        "{\"result\":[]}",
        "{\"result\":{}}",
        "{\"result\":{" HEADER ",\"events\":{}}}",
        "{\"result\":{" HEADER ",\"events\":[{}]}}",
        "{\"result\":{" HEADER ",\"canceled\":true,\"compact_revision\":\"x\"}}",
        "{\"result\":{" HEADER
        ",\"events\":[{\"kv\":{\"key\":\"aGYvYQ==\",\"mod_revision\":\"6\"}},"
        "{\"kv\":{\"key\":\"aGYvYQ==\",\"mod_revision\":\"5\"}}]}}",
        "{\"result\":{" HEADER ",\"events\":[{\"kv\":{\"key\":\"aGY=\",\"mod_revision\":\"6\"}}]}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct etcd_line l;
        assert_int_equal(etcd_read_line(str_of(CASES[i]), &SCOPE, &l, NULL), -ERR_PROTO);
        assert_null(l.changes.p);
    }
}

/* Bodies as etcd 3.4.23 sent them, and what must not be mistaken: one that may have happened. */
static void what_refusals_mean(void **state)
{
    static const struct {
        unsigned http;
        const char *body;
        enum etcd_meaning meaning;
    } CASES[] = {
        {400, "{\"error\":\"unexpected EOF\",\"message\":\"unexpected EOF\",\"code\":3}",
         ETCD_REFUSED},
        {400,
         "{\"error\":\"etcdserver: duplicate key given in txn request\",\"code\":3}"
         "Grpc-Trailer-Content-Type: application/grpc\r\n",
         ETCD_REFUSED},
        {429, "{\"error\":\"etcdserver: mvcc: database space exceeded\",\"code\":8}", ETCD_REFUSED},
        {429,
         "{\"error\":\"grpc: received message larger than max (3000008 vs. 2097152)\",\"message\":"
         "\"grpc: received message larger than max (3000008 vs. 2097152)\",\"code\":8}",
         ETCD_TOO_MUCH},
        {429, "{\"error\":\"etcdserver: too many requests\",\"code\":8}", ETCD_ELSEWHERE},
        {400, "{\"error\":\"etcdserver: request is too large\",\"code\":3}", ETCD_REFUSED},
        {403, "{\"error\":\"etcdserver: permission denied\",\"code\":7}", ETCD_REFUSED},
        {401, "{\"error\":\"etcdserver: invalid auth token\",\"code\":16}", ETCD_TOKEN},
        {400, "{\"error\":\"etcdserver: user name is empty\",\"code\":3}", ETCD_TOKEN},
        {400, "{\"error\":\"etcdserver: revision of auth store is old\",\"code\":3}", ETCD_TOKEN},
        {503, "{\"error\":\"etcdserver: request timed out\",\"code\":14}", ETCD_UNSURE},
        {503,
         "{\"error\":\"etcdserver: request timed out, possibly due to previous leader failure\","
         "\"code\":14}",
         ETCD_UNSURE},
        {503, "{\"error\":\"etcdserver: leader changed\",\"code\":14}", ETCD_UNSURE},
        {503, "{\"error\":\"etcdserver: no leader\",\"code\":14}", ETCD_ELSEWHERE},
        {503, "{\"error\":\"etcdserver: server stopped\",\"code\":14}", ETCD_UNSURE},
        {503, "{\"error\":\"etcdserver: rpc not supported for learner\",\"code\":14}",
         ETCD_ELSEWHERE},
        {500, "{\"error\":\"raft proposal dropped\",\"code\":2}", ETCD_ELSEWHERE},
        {400, "{\"error\":\"etcdserver: mvcc: required revision has been compacted\",\"code\":11}",
         ETCD_COMPACTED},
        {404, "Not Found\n", ETCD_ELSEWHERE},
        {503, "<html>try again</html>", ETCD_UNSURE},
        {500, "", ETCD_UNSURE},
        {200, "", ETCD_UNSURE},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct etcd_refusal r;
        etcd_read_refusal(CASES[i].http, str_of(CASES[i].body), &r);
        assert_int_equal(etcd_meaning_of(&r), CASES[i].meaning);
        assert_true(r.text[0]);
    }
}

/* Each allocation fails once, in turn. */
static void memory_that_runs_out(void **state)
{
    struct str line =
        STR("{\"result\":{" HEADER ",\"events\":["
            "{\"kv\":{\"key\":\"aGYvYQ==\",\"mod_revision\":\"6\",\"value\":\"eHk=\"}}]}}");
    struct str page = STR("{" HEADER ",\"kvs\":[{\"key\":\"aGYvYQ==\",\"mod_revision\":\"3\"}]}");
    struct coord_op op = {STR("k"), STR("v"), 0, COORD_PUT};
    bool failed = true;
    for (unsigned long n = 1; failed; n++) {
        struct buf b = {0};
        struct etcd_line l;
        struct etcd_page p;
        mem_fail_at(n);
        bool asked = etcd_ask_txn(STR("p/"), &op, 1, &b);
        int r1 = etcd_read_line(line, &SCOPE, &l, NULL);
        int r2 = etcd_read_range(page, &SCOPE, &p, NULL);
        failed = mem_failed();
        mem_fail_at(0);
        assert_true(failed != (asked && r1 == 0 && r2 == 0));
        etcd_items_free(&l.changes);
        etcd_items_free(&p.items);
        buf_free(&b);
    }
}

/* --- JSON in place --- */

static void texts_that_are_json(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } CASES[] = {
        {"{}", true},
        {" [ ] ", true},
        {"{\"a\" : [1, -2.5e3, true,false , null, \"x\\\"y\"], \"b\":{} }\n", true},
        {"", false},
        {" ", false},
        {"{", false},
        {"{]", false},
        {"[}", false},
        {"[1,]", false},
        {"[,1]", false},
        {"{\"a\"}", false},
        {"{\"a\":}", false},
        {"{\"a\":1,}", false},
        {"{a:1}", false},
        {"[1 2]", false},
        {"\"", false},
        {"\"\\", false},
        {"\"\\\"", false},
        {"\"a\nb\"", false},
        {"tru", false},
        {"{}x", false},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
         false}, /* too deep */
    };
    struct str v;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(scan_value(str_of(CASES[i].text), false, &v), CASES[i].ok);
    assert_true(scan_value(STR("{} and more"), true, &v) && str_eq(v, STR("{}")));
}

static void walks_over_json(void **state)
{
    struct str v, at = {0}, s;
    char text[8];
    assert_true(scan_value(STR(" { \"a\" : [ 1 , {\"a\":2} , \"x\" ] , \"b\":true,\"a\":[] , "
                               "\"t\":\"\\\"\\u00e4\\n\xc3\xa4\" } "),
                           false, &v));
    assert_true(scan_is_true(scan_get(v, "b")));
    assert_true(str_eq(scan_get(v, "a"), STR("[]"))); /* the last one counts */
    assert_null(scan_get(v, "c").p);
    assert_false(scan_next(scan_get(v, "a"), &at));
    scan_text(scan_get(v, "t"), text, sizeof text);
    assert_string_equal(text, "\"? ??");
    scan_text(scan_get(v, "t"), text, 3);
    assert_string_equal(text, "\"?");
    assert_true(scan_value(STR("[ 1 , {\"a\":2},\"x\"]"), false, &v));
    assert_int_equal(scan_count(v), 3);
    assert_true(scan_next(v, &at) && str_eq(at, STR("1")));
    assert_true(scan_next(v, &at) && str_eq(scan_get(at, "a"), STR("2")));
    assert_true(scan_next(v, &at) && scan_string(at, &s) && str_eq(s, STR("x")));
    assert_false(scan_next(v, &at));
    assert_false(scan_string(STR("5"), &s));
    assert_null(scan_get(v, "a").p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_one_transaction),
        cmocka_unit_test(a_comparison_alone_reads_as_well),
        cmocka_unit_test(a_range_ends_behind_its_prefix),
        cmocka_unit_test(a_watch_and_a_log_in),
        cmocka_unit_test(the_outcome_of_a_transaction),
        cmocka_unit_test(a_page_of_keys),
        cmocka_unit_test(broken_pages_are_refused),
        cmocka_unit_test(a_token_fits_a_header),
        cmocka_unit_test(lines_of_a_watch),
        cmocka_unit_test(broken_lines_are_refused),
        cmocka_unit_test(what_refusals_mean),
        cmocka_unit_test(memory_that_runs_out),
        cmocka_unit_test(texts_that_are_json),
        cmocka_unit_test(walks_over_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
