/* RESP: what messages say, and what is none. */
#include "wire/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
    const char *bytes;
    uint8_t type;
    int64_t number;
    const char *text;
    bool null;
} replies[] = {
    {"+OK\r\n", RESP_SIMPLE, 0, "OK", false},
    {"+\r\n", RESP_SIMPLE, 0, "", false},
    {"-ERR no such thing\r\n", RESP_ERROR, 0, "ERR no such thing", false},
    {":0\r\n", RESP_NUMBER, 0, NULL, false},
    {":-12\r\n", RESP_NUMBER, -12, NULL, false},
    {":+12\r\n", RESP_NUMBER, 12, NULL, false},
    {":9223372036854775807\r\n", RESP_NUMBER, INT64_MAX, NULL, false},
    {":-9223372036854775808\r\n", RESP_NUMBER, INT64_MIN, NULL, false},
    {"$0\r\n\r\n", RESP_BULK, 0, "", false},
    {"$5\r\na\r\nb\n\r\n", RESP_BULK, 0, "a\r\nb\n", false},
    {"$-1\r\n", RESP_BULK, 0, "", true},
    {"*0\r\n", RESP_ARRAY, 0, "", false},
    {"*-1\r\n", RESP_ARRAY, 0, "", true},
    {"*2\r\n*1\r\n$1\r\na\r\n*0\r\n", RESP_ARRAY, 2, NULL, false},
    {"*3\r\n:1\r\n*2\r\n+a\r\n*-1\r\n$-1\r\n", RESP_ARRAY, 3, NULL, false},
    {"_\r\n", RESP_NULL, 0, "", true},
    {"#t\r\n", RESP_BOOL, 1, "t", false},
    {",3.14\r\n", RESP_DOUBLE, 0, "3.14", false},
    {"(34928903284092385\r\n", RESP_BIG_NUMBER, 0, "34928903284092385", false},
    {"!10\r\nERR wrong!\r\n", RESP_BLOB_ERROR, 0, "ERR wrong!", false},
    {"=7\r\ntxt:abc\r\n", RESP_VERBATIM, 0, "txt:abc", false},
    {"%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n_\r\n", RESP_MAP, 4, NULL, false},
    {"~2\r\n+a\r\n+b\r\n", RESP_SET, 2, NULL, false},
    {">2\r\n+message\r\n$1\r\nx\r\n", RESP_PUSH, 2, NULL, false},
    {"|1\r\n+ttl\r\n:5\r\n+OK\r\n", RESP_ATTRIBUTE, 2, NULL, false},
    {"*2\r\n|1\r\n+ttl\r\n:5\r\n:1\r\n:2\r\n", RESP_ARRAY, 2, NULL, false},
};

static void replies_are_read_to_their_end(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct resp_reader r = resp_reader_of(str_of(replies[i].bytes));
        struct resp_value v;
        assert_true(resp_get(&r, &v));
        assert_int_equal(v.type, replies[i].type);
        assert_true(v.number == replies[i].number && v.null == replies[i].null);
        if (replies[i].text)
            assert_true(str_eq(v.text, str_of(replies[i].text)));
        assert_true(resp_skip(&r, &v));
        if (v.type == RESP_ATTRIBUTE)
            assert_true(resp_get(&r, &v));
        assert_true(r.p == r.end);
        assert_false(resp_get(&r, &v));
        assert_false(r.failed);
    }
}

static void what_is_no_resp_is_refused(void **state)
{
    static const char *const bad[] = {
        "OK\r\n",
        "\r\n",
        "+OK\n",
        ":\r\n",
        ":1x\r\n",
        ":--1\r\n",
        "$\r\n",
        "$-2\r\n",
        "$1\r\nab\r\n",
        "$1\r\na\n\n",
        "$536870913\r\n",
        "*-2\r\n",
        "*x\r\n",
        "%-1\r\n",
        "$?\r\n",
        "*?\r\n",
        "~-1\r\n",
        "!-1\r\n",
        "*99999999999\r\n",
        ":99999999999999999999999\r\n",
        "#x\r\n",
        "_x\r\n",
        ":9223372036854775808\r\n",
        "*1\r\nx\r\n",
        "*3\r\n:1\r\n",
        "$5\r\nab\r\n",
        "+OK",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct resp_reader r = resp_reader_of(str_of(bad[i]));
        struct resp_value v;
        if (resp_get(&r, &v) && resp_skip(&r, &v))
            fail_msg("taken for RESP: %s", bad[i]);
    }
}

static void values_are_read(void **state)
{
    struct resp_reader r = resp_reader_of(STR("*4\r\n$1\r\na\r\n:-5\r\n*2\r\n+x\r\n$-1\r\n#t\r\n"));
    struct resp_value v, top;
    assert_true(resp_get(&r, &top) && top.type == RESP_ARRAY && top.number == 4);
    struct resp_reader again = r;
    assert_true(resp_get(&r, &v) && str_eq(v.text, STR("a")));
    assert_true(resp_get(&r, &v) && v.type == RESP_NUMBER && v.number == -5);
    assert_true(resp_get(&r, &v) && v.number == 2);
    assert_true(resp_skip(&r, &v));
    assert_true(resp_get(&r, &v) && v.type == RESP_BOOL && v.number == 1);
    assert_false(resp_get(&r, &v));
    assert_false(r.failed);
    assert_true(resp_skip(&again, &top) && again.p == r.p);
    r = resp_reader_of(STR(":-9223372036854775808\r\n"));
    assert_true(resp_get(&r, &v) && v.number == INT64_MIN);
    r = resp_reader_of(STR("-ERR x\r\n"));
    assert_true(resp_get(&r, &v) && resp_is_error(&v) && str_eq(v.text, STR("ERR x")));
}

static void values_that_are_cut_are_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct str all = str_of(replies[i].bytes);
        for (size_t n = 1; n < all.n; n++) {
            struct resp_reader r = resp_reader_of((struct str){all.p, n});
            struct resp_value v = {0};
            bool attribute = all.p[0] == '|';
            bool whole = resp_get(&r, &v) && resp_skip(&r, &v);
            if (attribute && whole)
                whole = resp_get(&r, &v) && resp_skip(&r, &v);
            assert_false(whole);
        }
    }
}

static void info_is_read(void **state)
{
    struct str info =
        STR("# Replication\r\nrole:master\r\nmaster_repl_offset:123\r\n"
            "slave0:ip=10.0.0.2,port=6379,state=online,offset=120,lag=0\r\nempty:\r\n");
    struct str s;
    uint64_t n;
    assert_true(resp_info(info, STR("role"), &s) && str_eq(s, STR("master")));
    assert_true(resp_info_u64(info, STR("master_repl_offset"), &n) && n == 123);
    assert_false(resp_info(info, STR("repl_offset"), &s));
    assert_false(resp_info_u64(info, STR("role"), &n));
    assert_true(resp_info(info, STR("empty"), &s) && s.n == 0);
    assert_true(resp_info(info, STR("slave0"), &s));
    struct str part;
    assert_true(resp_info_part(s, STR("ip"), &part) && str_eq(part, STR("10.0.0.2")));
    assert_true(resp_info_part(s, STR("lag"), &part) && str_eq(part, STR("0")));
    assert_false(resp_info_part(s, STR("p"), &part));
}

static void requests_are_written(void **state)
{
    struct buf b = {0};
    resp_put_words(&b, "REPLICAOF", "NO", "ONE", NULL);
    assert_true(str_eq(buf_str(&b), STR("*3\r\n$9\r\nREPLICAOF\r\n$2\r\nNO\r\n$3\r\nONE\r\n")));
    buf_free(&b);
}

static void memory_may_run_out(void **state)
{
    bool done = false;
    for (unsigned long n = 1; !done; n++) {
        struct buf b = {0};
        mem_fail_at(n);
        resp_put_words(&b, "INFO", "replication", NULL);
        done = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(b.failed, !done);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_to_their_end),
        cmocka_unit_test(what_is_no_resp_is_refused),
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(values_that_are_cut_are_refused),
        cmocka_unit_test(info_is_read),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
