#include "detect/logs/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* The words with blanks between, "*" for a variable one. */
static void expect(const char *line, const char *wanted)
{
    struct words w;
    struct buf out = {0};
    words_of(str_of(line), &w);
    for (uint32_t i = 0; i < w.n; i++) {
        struct str word = {line + w.from[i], w.to[i] - w.from[i]};
        assert_true(w.hash[i] == 0 || *word.p == '-' || w.hash[i] == word_hash(word));
        buf_printf(&out, "%s", i ? " " : "");
        buf_add_str(&out, w.hash[i] ? word : STR("*"));
    }
    buf_add(&out, "", 1);
    assert_string_equal(out.p, wanted);
    buf_free(&out);
}

static void numbers_and_what_holds_one_are_variable(void **state)
{
    expect("", "");
    expect(" \t ", "");
    expect("started", "started");
    expect("took 12 ms", "took * ms");
    expect("sda1 is gone", "* is gone");
    expect("x=1, y=2", "x * y *");
    expect("key=value other:thing", "key value other thing");
}

static void variable_neighbours_are_one(void **state)
{
    expect("2026-11-23 21:38:04.123 UTC [1234] LOG:  ready", "* UTC * LOG ready");
    expect("from 10.0.0.1:3000 to [fe80::1]:80", "from * to *");
    expect("list 1 2 3 4 end", "list * end");
    expect("Nov 23 21:38:04 host kernel: up", "* host kernel up");
    expect("1:M 23 Nov 2026 21:38:04.123 * Ready", "* M * * Ready");
}

static void paths_are_variable(void **state)
{
    expect("open /var/lib failed", "open * failed");
    expect("GET http://a/b now", "GET http * now");
    expect("web/one at a@b", "* at *");
    expect("addr=? fd=7", "addr * fd *");
    expect("fe80::ab:cd up", "* cd up");
}

static void quoted_texts_are_variable(void **state)
{
    expect("relation \"no such thing\" is gone", "relation * is gone");
    expect("can't open 'a b' or `c d`", "can t open * or *");
    expect("\"a\" \"b\" c", "* c");
    expect("empty \"\" here", "empty * here");
    expect("say \"it is \\\"so\\\"\" now", "say * now");
    expect("open \"and never closed", "open and never closed");
    expect("path=\"a b\" x", "path * x");
}

static void what_msg_says_counts(void **state)
{
    expect("level=info msg=\"server is up\" err=\"bad thing\"",
           "level info msg server is up err *");
}

static void statements_and_units_are_variable(void **state)
{
    expect("LOG:  statement: BEGIN; drop it", "LOG statement *");
    expect("slow (12 ms): SELECT a FROM b", "slow * ms *");
    expect("state: SELECTED now", "state SELECTED now");
    expect("Started dbus.service - D-Bus System Message Bus.", "Started *");
    expect("x.mount - A b was skipped because", "* was skipped because");
    expect("a.service: Failed", "* Failed");
    expect("flags ---- and -", "flags ---- and -");
}

static void of_json_only_what_is_told_counts(void **state)
{
    expect("{\"level\":\"warn\",\"ts\":\"2026\",\"caller\":\"a/b.go:1\",\"msg\":\"slow "
           "read\",\"took\":1}",
           "warn slow read");
    expect("{\"msg\":\"a \\\"quoted\\\" one\"}", "a * one");
    expect("{\"alpha\":\"x\",\"beta\":[1,2]}", "alpha beta");
    expect("{\"msg", "msg");
}

static void parameters_leave_the_key_as_it_is(void **state)
{
    struct words a, b, c;
    words_of(STR("took 12 ms from 10.0.0.1"), &a);
    words_of(STR("took 9 ms from fe80::12"), &b);
    words_of(STR("took 9 ms for fe80::12"), &c);
    assert_true(a.key == b.key);
    assert_true(a.key != c.key);
}

static void long_lines_are_bounded(void **state)
{
    struct buf in = {0};
    struct words w;
    for (int i = 0; i < 3000; i++)
        buf_printf(&in, "a ");
    words_of(buf_str(&in), &w);
    assert_int_equal(w.n, WORDS_MAX);
    buf_clear(&in);
    for (int i = 0; i < 9000; i++)
        buf_add(&in, "a", 1);
    words_of(buf_str(&in), &w);
    assert_int_equal(w.n, 1);
    assert_int_equal(w.to[0], WORDS_BYTES);
    buf_free(&in);
}

/* Lines of random bytes, mostly those that mean something. */
static void with_and_without_avx2_are_the_same(void **state)
{
    static const char some[] = "aZ09 \t=,:;()[]{}<>|\\\"'`/-.{\"\"msg\xff\x80\r";
    struct prng r;
    prng_seed(&r, 7);
    for (int i = 0; i < 20000; i++) {
        char line[300];
        size_t n = prng_below(&r, sizeof line);
        for (size_t k = 0; k < n; k++)
            line[k] = prng_below(&r, 8) ? some[prng_below(&r, sizeof some - 1)]
                                        : (char)prng_below(&r, 256);
        struct words a, b;
        words_of((struct str){line, n}, &a);
        words_of_portably((struct str){line, n}, &b);
        assert_int_equal(a.n, b.n);
        assert_true(a.key == b.key);
        assert_memory_equal(a.from, b.from, a.n * sizeof *a.from);
        assert_memory_equal(a.to, b.to, a.n * sizeof *a.to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_what_holds_one_are_variable),
        cmocka_unit_test(variable_neighbours_are_one),
        cmocka_unit_test(paths_are_variable),
        cmocka_unit_test(quoted_texts_are_variable),
        cmocka_unit_test(what_msg_says_counts),
        cmocka_unit_test(statements_and_units_are_variable),
        cmocka_unit_test(of_json_only_what_is_told_counts),
        cmocka_unit_test(parameters_leave_the_key_as_it_is),
        cmocka_unit_test(long_lines_are_bounded),
        cmocka_unit_test(with_and_without_avx2_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
