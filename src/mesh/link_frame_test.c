/* Units of frames, hellos and identities: what is written reads back, what is cut waits, what is
 * wrong is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mesh/link_frame.h"

static void a_frame_reads_back(void **state)
{
    (void)state;
    struct buf b = {0};
    struct link_frame f;
    link_frame_write(&b, 3, 1, STR("one"));
    link_frame_write(&b, 4, 2, STR(""));
    assert_int_equal(link_frame_read(buf_str(&b), LINK_MESSAGE_MAX, &f), LINK_FRAME_WHOLE);
    assert_int_equal(f.kind, 3);
    assert_int_equal(f.version, 1);
    assert_true(str_eq(f.body, STR("one")));
    struct str rest = {b.p + f.bytes, b.n - f.bytes};
    assert_int_equal(link_frame_read(rest, LINK_MESSAGE_MAX, &f), LINK_FRAME_WHOLE);
    assert_int_equal(f.kind, 4);
    assert_int_equal(f.version, 2);
    assert_int_equal(f.body.n, 0);
    assert_int_equal(f.bytes, rest.n);
    buf_free(&b);
}

static void every_cut_waits_for_more(void **state)
{
    (void)state;
    struct buf b = {0};
    struct link_frame f;
    link_frame_write(&b, 3, 1, STR("some words"));
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(link_frame_read((struct str){b.p, n}, LINK_MESSAGE_MAX, &f),
                         LINK_FRAME_MORE);
    buf_free(&b);
}

static void a_length_beyond_the_bound_is_known_from_the_header(void **state)
{
    (void)state;
    struct buf b = {0};
    struct link_frame f;
    put_u32(&b, 101);
    put_u16(&b, 1);
    put_u16(&b, 1);
    assert_int_equal(link_frame_read(buf_str(&b), 100, &f), LINK_FRAME_TOO_LONG);
    assert_int_equal(link_frame_read(buf_str(&b), 101, &f), LINK_FRAME_MORE);
    buf_free(&b);
}

static void a_frame_without_memory_leaves_nothing(void **state)
{
    (void)state;
    struct buf b = {0};
    mem_fail_at(1);
    link_frame_write(&b, 3, 1, STR("some words"));
    assert_true(mem_failed());
    mem_fail_at(0);
    assert_true(b.failed);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

static bool reads_hello(uint16_t low, uint16_t high, struct str program, size_t cut)
{
    struct buf b = {0};
    struct greeting in = {low, high, program}, out;
    greeting_write(&b, &in);
    bool ok = greeting_read((struct str){b.p, b.n - cut}, &out);
    if (ok)
        assert_true(out.low == low && out.high == high && str_eq(out.program, program));
    buf_free(&b);
    return ok;
}

static void hellos(void **state)
{
    (void)state;
    static const char line[] =
        "0123456789012345678901234567890123456789012345678901234567890123456";
    assert_true(reads_hello(1, 1, STR("holdfast 0.1.0"), 0));
    assert_true(reads_hello(3, 9, STR(""), 0));
    assert_false(reads_hello(0, 1, STR("x"), 0));
    assert_false(reads_hello(3, 2, STR("x"), 0));
    assert_false(reads_hello(1, 1, STR("x"), 1));
    assert_false(reads_hello(1, 1, STR("a\nb"), 0));
    assert_false(reads_hello(1, 1, (struct str){"\xc3\xa4", 2}, 0));
    assert_true(reads_hello(1, 1, (struct str){line, 64}, 0));
    assert_false(reads_hello(1, 1, (struct str){line, 65}, 0));
    assert_false(greeting_read(STR(""), &(struct greeting){0}));
}

static void a_later_hello_may_say_more(void **state)
{
    (void)state;
    struct buf b = {0};
    struct greeting h = {1, 2, STR("holdfast 9")};
    greeting_write(&b, &h);
    buf_add_str(&b, STR("and more"));
    assert_true(greeting_read(buf_str(&b), &h));
    buf_free(&b);
}

static void the_highest_version_of_both_holds(void **state)
{
    static const struct {
        uint16_t low, high, their_low, their_high, agreed;
    } cases[] = {{1, 1, 1, 1, 1}, {1, 2, 1, 1, 1}, {1, 2, 2, 3, 2}, {1, 5, 2, 4, 4},
                 {1, 1, 2, 3, 0}, {3, 4, 1, 2, 0}, {2, 3, 3, 9, 3}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct greeting a = {cases[i].low, cases[i].high, STR("")};
        struct greeting b = {cases[i].their_low, cases[i].their_high, STR("")};
        assert_int_equal(greeting_agree(&a, &b), cases[i].agreed);
        assert_int_equal(greeting_agree(&b, &a), cases[i].agreed);
    }
}

static void identities_read_back(void **state)
{
    (void)state;
    struct identity out, node = {.key = 0x0a1b2c3d, .cluster = 1, .from = UINT64_MAX, .to = 77};
    struct identity guest = {.guest = true, .token = 0xfedcba9876543210};
    char text[IDENTITY_MAX + 1];
    size_t n = identity_write(&node, text);
    assert_string_equal(text, "0a1b2c3d:0000000000000001:ffffffffffffffff:000000000000004d");
    assert_true(identity_read((struct str){text, n}, &out));
    assert_false(out.guest);
    assert_true(out.key == node.key && out.cluster == 1 && out.from == UINT64_MAX && out.to == 77);
    n = identity_write(&guest, text);
    assert_string_equal(text, "token:fedcba9876543210");
    assert_true(identity_read((struct str){text, n}, &out));
    assert_true(out.guest && out.token == guest.token);
}

static void an_identity_is_written_in_one_way_only(void **state)
{
    (void)state;
    static const char good[] = "0a1b2c3d:0000000000000001:ffffffffffffffff:000000000000004d";
    struct identity out;
    char text[sizeof good];
    for (size_t i = 0; i < sizeof good - 1; i++) {
        memcpy(text, good, sizeof good);
        assert_false(identity_read((struct str){text, i}, &out));
        text[i] = text[i] == ':' ? '0' : ':';
        assert_false(identity_read((struct str){text, sizeof good - 1}, &out));
        text[i] = 'A';
        assert_false(identity_read((struct str){text, sizeof good - 1}, &out));
    }
    assert_false(
        identity_read(STR("0a1b2c3d:0000000000000001:ffffffffffffffff:000000000000004d "), &out));
    assert_false(identity_read(STR("token:fedcba987654321"), &out));
    assert_false(identity_read(STR("token:fedcba98765432100"), &out));
    assert_false(identity_read(STR(""), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_reads_back),
        cmocka_unit_test(every_cut_waits_for_more),
        cmocka_unit_test(a_length_beyond_the_bound_is_known_from_the_header),
        cmocka_unit_test(a_frame_without_memory_leaves_nothing),
        cmocka_unit_test(hellos),
        cmocka_unit_test(a_later_hello_may_say_more),
        cmocka_unit_test(the_highest_version_of_both_holds),
        cmocka_unit_test(identities_read_back),
        cmocka_unit_test(an_identity_is_written_in_one_way_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
