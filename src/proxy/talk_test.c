/* What a connection to a Redis says, byte by byte and all at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proxy/talk.h"

static ssize_t ask(struct talk *t, const char *text)
{
    return talk_ask(t, text, strlen(text), true);
}

static void answer(struct talk *t, const char *text)
{
    assert_int_equal(talk_answer(t, text, strlen(text)), strlen(text));
}

#define GET  "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"
#define AUTH "*2\r\n$4\r\nAUTH\r\n$1\r\ns\r\n"

static void a_command_has_one_reply(void **state)
{
    (void)state;
    struct talk t = {0};
    assert_true(talk_movable(&t));
    assert_int_equal(ask(&t, GET GET "*1\r\n$4\r\nPI"), 2 * strlen(GET));
    assert_int_equal(t.asked, 2);
    assert_false(talk_idle(&t));
    answer(&t, "$1\r\na\r\n>2\r\n+invalidate\r\n*0\r\n");
    assert_int_equal(t.answered, 1);
    answer(&t, "$-1\r");
    assert_int_equal(t.answered, 1);
    answer(&t, "\n");
    assert_true(talk_movable(&t));
    assert_int_equal(ask(&t, "\r\nPING\r\n"), 8); /* an empty line is not answered */
    assert_int_equal(t.asked, 3);
    talk_free(&t);
}

/* Larger than the room that there is: it goes in parts. */
static void a_large_command_goes_as_it_comes(void **state)
{
    (void)state;
    struct talk t = {0};
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$100000\r\nabc";
    assert_int_equal(talk_ask(&t, head, sizeof head - 1, true), 0);
    assert_int_equal(talk_ask(&t, head, sizeof head - 1, false), sizeof head - 1);
    assert_int_equal(t.asked, 1);
    char rest[1000] = {0};
    size_t left = 100000 - 3 + 2;
    while (left) {
        size_t n = MIN(left, sizeof rest);
        assert_int_equal(talk_ask(&t, rest, n, true), n);
        left -= n;
        assert_false(talk_idle(&t));
    }
    assert_true(resp_frame_between(&t.ask));
    answer(&t, "+OK\r\n");
    assert_true(talk_movable(&t));
    talk_free(&t);
}

static void replays(const struct talk *t, const char *text, uint32_t n)
{
    struct buf b = {0};
    uint32_t replies;
    assert_true(talk_replay(t, &b, &replies));
    assert_int_equal(replies, n);
    assert_true(str_eq(buf_str(&b), str_of(text)));
    buf_free(&b);
}

/* The state of a connection is what was accepted, in the order in which it was. */
static void what_was_accepted_is_replayed(void **state)
{
    (void)state;
    struct talk t = {0};
    assert_int_equal(ask(&t, "SELECT 3\r\n" GET), 10); /* alone */
    assert_int_equal(ask(&t, GET), 0);
    answer(&t, "+OK\r\n");
    replays(&t, "SELECT 3\r\n", 1);
    assert_int_equal(ask(&t, GET AUTH), strlen(GET)); /* what was before is answered first */
    answer(&t, "$-1\r\n");
    assert_int_equal(ask(&t, AUTH), strlen(AUTH));
    answer(&t, "+OK\r\n");
    assert_int_equal(ask(&t, "select 99\r\n"), 11);
    answer(&t, "-ERR DB index is out of range\r\n");
    replays(&t, "SELECT 3\r\n" AUTH, 2);
    assert_int_equal(ask(&t, "SELECT 4\r\n"), 10);
    answer(&t, "+OK\r\n");
    replays(&t, AUTH "SELECT 4\r\n", 2);
    ask(&t, "client setname me\r\n");
    answer(&t, "+OK\r\n");
    replays(&t, AUTH "SELECT 4\r\nclient setname me\r\n", 3);
    ask(&t, "RESET\r\n");
    answer(&t, "+RESET\r\n");
    replays(&t, "", 0);
    assert_true(talk_movable(&t));
    talk_free(&t);
}

static void a_transaction_does_not_move(void **state)
{
    (void)state;
    struct talk t = {0};
    ask(&t, "WATCH x\r\n");
    answer(&t, "+OK\r\n");
    assert_true(talk_idle(&t) && !talk_movable(&t));
    ask(&t, "UNWATCH\r\n");
    answer(&t, "+OK\r\n");
    assert_true(talk_movable(&t));
    ask(&t, "MULTI\r\nSET a b\r\n");
    answer(&t, "+OK\r\n+QUEUED\r\n");
    assert_true(talk_idle(&t) && !talk_movable(&t));
    ask(&t, "exec\r\n");
    answer(&t, "*1\r\n+OK\r\n");
    assert_true(talk_movable(&t));
    ask(&t, "MULTI\r\nSELECT 1\r\n"); /* queued: who knows */
    answer(&t, "+OK\r\n+QUEUED\r\n");
    ask(&t, "DISCARD\r\n");
    answer(&t, "+OK\r\n");
    assert_false(talk_movable(&t));
    talk_free(&t);
}

static void subscriptions_pass_without_a_look(void **state)
{
    (void)state;
    static const char *const wild[] = {"SUBSCRIBE a b\r\n", "MONITOR\r\n", "CLIENT REPLY OFF\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(wild); i++) {
        struct talk t = {0};
        assert_int_equal(ask(&t, wild[i]), strlen(wild[i]));
        assert_false(talk_movable(&t) || talk_idle(&t));
        assert_int_equal(ask(&t, "what ever"), 9);
        answer(&t, "what ever");
        talk_free(&t);
    }
    struct talk t = {0};
    ask(&t, "CLIENT TRACKING on\r\n");
    answer(&t, "+OK\r\n");
    assert_true(talk_idle(&t) && !talk_movable(&t));
    talk_free(&t);
}

/* What blocks is waited for by nobody, and nothing goes past it. */
static void what_blocks_is_not_waited_for(void **state)
{
    (void)state;
    struct talk t = {0};
    assert_int_equal(ask(&t, GET "BLPOP x 0\r\n" GET), strlen(GET) + 11);
    assert_false(talk_quiet(&t));
    answer(&t, "$-1\r\n");
    assert_true(talk_quiet(&t) && !talk_idle(&t));
    assert_int_equal(ask(&t, GET), 0);
    answer(&t, "*-1\r\n");
    assert_true(talk_movable(&t));
    assert_int_equal(ask(&t, GET), strlen(GET));
    assert_false(talk_quiet(&t));
    talk_free(&t);
}

static void a_zero_byte_ends_the_replies(void **state)
{
    (void)state;
    struct talk t = {0};
    ask(&t, GET GET);
    assert_int_equal(talk_answer(&t, "$1\r\n\0\r\n\0HF", 10), 7);
    assert_int_equal(t.answered, 1);
    assert_int_equal(talk_answer(&t, "x", 1), -1);
    talk_free(&t);
}

static void without_memory_it_is_fixed(void **state)
{
    (void)state;
    struct talk t = {0};
    mem_fail_at(1);
    assert_int_equal(ask(&t, AUTH), strlen(AUTH));
    mem_fail_at(0);
    answer(&t, "+OK\r\n");
    assert_false(talk_movable(&t));
    talk_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_has_one_reply),
        cmocka_unit_test(a_large_command_goes_as_it_comes),
        cmocka_unit_test(what_was_accepted_is_replayed),
        cmocka_unit_test(a_transaction_does_not_move),
        cmocka_unit_test(subscriptions_pass_without_a_look),
        cmocka_unit_test(what_blocks_is_not_waited_for),
        cmocka_unit_test(a_zero_byte_ends_the_replies),
        cmocka_unit_test(without_memory_it_is_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
