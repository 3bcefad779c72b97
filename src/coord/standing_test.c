#include "coord/standing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct standing full(void)
{
    struct standing s = {
        .full = true, .bytes = 17, .used = 16, .voters = 3, .config = 42, .revision = 1000, .n = 2};
    s.said = (struct managed_said){.record = MANAGED_DATA,
                                   .line = {{1, 2, 3}, 4, 5},
                                   .founder = "f",
                                   .expects = "node-1.x",
                                   .place = 6,
                                   .member = 7,
                                   .leader = 8,
                                   .term = 9,
                                   .applied = UINT64_MAX,
                                   .disk = 1,
                                   .timers = 2,
                                   .pace = 3,
                                   .turn = 11};
    s.members[0] = (struct standing_member){7, 0, false, "a", {.kind = ADDR_IP4, .port = 7302}};
    s.members[1] = (struct standing_member){8, 6, true, "", {.kind = ADDR_IP6, .port = 1}};
    s.members[0].peer.ip[0] = 10;
    s.members[1].peer.ip[15] = 1;
    return s;
}

static void what_is_said_is_heard(void **state)
{
    struct standing s = full(), back, none = {.n = 0};
    struct buf b = {0}, again = {0};
    standing_put(&s, &b);
    assert_true(standing_get(buf_str(&b), &back));
    assert_memory_equal(&back.said.line, &s.said.line, sizeof s.said.line);
    assert_string_equal(back.said.expects, "node-1.x");
    assert_true(back.full && !back.restoring && back.config == 42 && back.said.term == 9);
    assert_true(addr_eq(&back.members[1].peer, &s.members[1].peer) && back.members[1].learner);
    assert_int_equal(back.members[1].place, 6);
    assert_true(back.said.disk == 1 && back.said.timers == 2 && back.said.pace == 3);
    assert_int_equal(back.said.turn, 11);
    assert_true(back.bytes == 17 && back.used == 16);
    standing_put(&back, &again);
    assert_true(str_eq(buf_str(&b), buf_str(&again)));
    assert_true(b.n < STANDING_MAX);
    buf_clear(&b);
    standing_put(&none, &b);
    assert_true(standing_get(buf_str(&b), &back) && back.n == 0 && back.said.founder[0] == 0);
    buf_free(&b);
    buf_free(&again);
}

/* Cut anywhere, it is refused, or ends between sections. Any change is read or refused. */
static void damage_is_harmless(void **state)
{
    struct standing s = full(), back;
    struct buf b = {0};
    uint32_t read = 0;
    standing_put(&s, &b);
    for (size_t n = 0; n < b.n; n++)
        read += standing_get((struct str){b.p, n}, &back);
    assert_int_equal(read, 6);
    for (size_t i = 0; i < b.n; i++)
        for (int x = 1; x < 256; x += 17) {
            b.p[i] ^= (char)x;
            if (standing_get(buf_str(&b), &back))
                assert_true(back.said.record < MANAGED_RECORDS && back.n <= MANAGED_MEMBERS);
            b.p[i] ^= (char)x;
        }
    b.p[0]++;
    assert_false(standing_get(buf_str(&b), &back));
    buf_free(&b);
}

/* One of a release before this has no timers; a level of a later one is the highest. */
static void other_releases_are_understood(void **state)
{
    struct standing s = full(), back;
    struct buf b = {0};
    standing_put(&s, &b);
    b.n -= 3 + 16;
    b.p[b.n - 11] = 17;
    assert_true(standing_get(buf_str(&b), &back) && back.said.disk == 3 && back.bytes == 0);
    b.n -= 3 + 11;
    assert_true(standing_get(buf_str(&b), &back));
    assert_true(back.n == 2 && !back.said.disk && !back.said.timers && !back.said.turn);
    buf_free(&b);
}

static void others_sections_are_skipped(void **state)
{
    struct standing s = full(), back;
    struct buf b = {0};
    standing_put(&s, &b);
    buf_add(&b, "\x63\x02\x00hi", 5);
    assert_true(standing_get(buf_str(&b), &back) && back.n == 2);
    buf_clear(&b);
    buf_add(&b, "\x01\x63\x02\x00hi", 6);
    assert_false(standing_get(buf_str(&b), &back)); /* not before itself */
    buf_clear(&b);
    s.n = MANAGED_MEMBERS;
    for (uint32_t i = 0; i < s.n; i++)
        s.members[i] = s.members[0];
    standing_put(&s, &b);
    assert_true(standing_get(buf_str(&b), &back));
    size_t one = 3 + 8 + 1 + 8 + 3 + 4 + 1;
    struct str last = {b.p + b.n - 19 - 14 - one, one}; /* before timers and file */
    struct buf more = {0};
    buf_add_str(&more, buf_str(&b));
    buf_add_str(&more, last);
    assert_false(standing_get(buf_str(&more), &back)); /* one too many */
    buf_free(&more);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_heard),
        cmocka_unit_test(damage_is_harmless),
        cmocka_unit_test(other_releases_are_understood),
        cmocka_unit_test(others_sections_are_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
