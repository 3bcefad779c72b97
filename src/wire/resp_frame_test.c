/* Values of RESP in one piece, byte by byte, and next to each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "wire/resp_frame.h"

typedef int frame_fn(struct resp_frame *f, const char *p, size_t n, size_t *used);

/* Frames it in pieces of this size, with more behind it. */
static void frames(frame_fn *frame, const char *text, size_t n, size_t piece, bool empty)
{
    char bytes[512];
    struct resp_frame f = {0};
    memcpy(bytes, text, n);
    memcpy(bytes + n, "*9\r\n", 4);
    for (size_t at = 0; at < n;) {
        size_t used, most = MIN(piece, n + 4 - at);
        int r = frame(&f, bytes + at, most, &used);
        at += used;
        assert_true(used <= most && at <= n);
        assert_int_equal(r, at == n ? RESP_DONE : RESP_MORE);
        assert_int_equal(resp_frame_between(&f), at == n);
        if (r == RESP_MORE)
            assert_int_equal(used, most);
    }
    assert_int_equal(f.empty, empty);
}

static const char *const replies[] = {
    "+OK\r\n",
    "-ERR no\r\n",
    ":-12\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "$5\r\na\r\nb\r\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*2\r\n$1\r\na\r\n*1\r\n*1\r\n:1\r\n",
    "_\r\n",
    "#t\r\n",
    ",1.5\r\n",
    "(123456789012345678901234567890\r\n",
    "=7\r\ntxt:abc\r\n",
    "!3\r\nERR\r\n",
    "%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n",
    "~1\r\n+a\r\n",
    ">2\r\n+message\r\n+x\r\n",
    "|1\r\n+ttl\r\n:5\r\n$1\r\nx\r\n",
};

static const struct {
    const char *text;
    bool empty;
} commands[] = {
    {"*1\r\n$4\r\nPING\r\n", false},
    {"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", false},
    {"*0\r\n", true},
    {"*-1\r\n", true},
    {"PING\r\n", false},
    {"PING\n", false},
    {"\r\n", true},
    {"  \n", true},
    {"SET a b\r\n", false},
};

static void each_value_ends_where_it_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++)
        for (size_t piece = 1; piece < 64; piece++)
            frames(resp_frame_reply, replies[i], strlen(replies[i]), piece, false);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        for (size_t piece = 1; piece < 64; piece++)
            frames(resp_frame_command, commands[i].text, strlen(commands[i].text), piece,
                   commands[i].empty);
}

static void what_has_no_length_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"x\r\n",
                                      "$x\r\n",
                                      "$\r\n",
                                      "$-2\r\n",
                                      "$1\n",
                                      "*1\r\nx",
                                      "$?\r\n",
                                      "\r\n",
                                      "*1\r\n\n",
                                      "*99999999999999\r\n",
                                      "$99999999999999999\r\n",
                                      "*9999999999999999999999999\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct resp_frame f = {0};
        size_t used, at = 0, n = strlen(bad[i]);
        int r = RESP_MORE;
        while (r == RESP_MORE && at < n) {
            r = resp_frame_reply(&f, bad[i] + at, 1, &used);
            at += used;
        }
        /* one that wants more finds its end in the next line */
        if (r == RESP_MORE)
            r = resp_frame_reply(&f, "\n", 1, &used);
        assert_int_equal(r, RESP_BAD);
    }
    struct resp_frame f = {0};
    char line[4096];
    size_t used;
    int r = RESP_MORE;
    memset(line, 'a', sizeof line);
    for (int i = 0; i < 64 && r == RESP_MORE; i++)
        r = resp_frame_command(&f, line, sizeof line, &used);
    assert_int_equal(r, RESP_BAD); /* a line without an end */
}

static size_t words_of(const char *text, struct str *words)
{
    return resp_words(text, strlen(text), words, 3);
}

static void words_are_those_that_are_whole(void **state)
{
    (void)state;
    struct str w[3];
    assert_int_equal(words_of("*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n", w), 2);
    assert_true(str_eq(w[0], STR("SELECT")) && str_eq(w[1], STR("3")));
    assert_int_equal(words_of("*2\r\n$6\r\nSELECT\r\n$1\r\n", w), 1);
    assert_int_equal(words_of("*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n", w), 3);
    assert_int_equal(words_of(" select  3\r\n", w), 2);
    assert_true(str_eq(w[0], STR("select")) && str_eq(w[1], STR("3")));
    assert_int_equal(words_of("select 3", w), 1);
    assert_int_equal(words_of("*1\r\n:1\r\n", w), 0);
    assert_int_equal(words_of("*1\r\n$-1\r\n", w), 0);
    assert_int_equal(words_of("", w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_ends_where_it_ends),
        cmocka_unit_test(what_has_no_length_is_refused),
        cmocka_unit_test(words_are_those_that_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
