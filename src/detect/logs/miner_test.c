#include "detect/logs/miner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "detect/logs/error_words.h"

static struct template *line(struct miner *m, const char *text)
{
    bool founded;
    return miner_line(m, str_of(text), &founded);
}

static void expect_text(const struct template *t, const char *text)
{
    assert_non_null(t);
    assert_true(str_eq(template_text(t), str_of(text)));
}

static void lines_of_one_event_share_a_template(void **state)
{
    struct miner *m = miner_new(100, NULL, NULL);
    bool founded;
    struct template *t = miner_line(m, STR("accepted 10.0.0.1:80 in 3 ms"), &founded);
    assert_true(founded);
    uint64_t id = t->id;
    t = miner_line(m, STR("accepted [::1]:9 in 1000 ms"), &founded);
    assert_false(founded);
    assert_true(t->id == id);
    assert_int_equal(t->lines, 2);
    expect_text(t, "accepted <*> in <*> ms");
    assert_true(line(m, "closed 10.0.0.1:80 in 3 ms")->id != id);
    assert_int_equal(miner_templates(m), 2);
    assert_null(line(m, " \t"));
    miner_free(m);
}

static void the_id_is_of_the_words_alone(void **state)
{
    struct miner *a = miner_new(100, NULL, NULL), *b = miner_new(100, NULL, NULL);
    line(a, "something else");
    assert_true(line(a, "disk 7 is full")->id == line(b, "disk 12 is full")->id);
    miner_free(a);
    miner_free(b);
}

static void a_word_that_differs_in_a_long_line_becomes_variable(void **state)
{
    struct miner *m = miner_new(100, NULL, NULL);
    uint64_t id = line(m, "the user alice of the group admin logged in from 10.0.0.1")->id;
    struct template *t = line(m, "the user bob of the group admin logged in from 10.0.0.2");
    assert_true(t->id == id);
    expect_text(t, "the user <*> of the group admin logged in from <*>");
    assert_true(line(m, "the user carol of the group admin logged in from x1")->id == id);
    assert_int_equal(miner_templates(m), 1);
    miner_free(m);
}

static void short_events_join_when_a_place_has_many_values(void **state)
{
    struct miner *m = miner_new(100, NULL, NULL);
    uint64_t first = line(m, "user alice left")->id;
    assert_true(line(m, "user bob left")->id != first);
    line(m, "user carol left");
    assert_int_equal(miner_templates(m), 3);
    struct template *t = line(m, "user dave left");
    expect_text(t, "user <*> left");
    assert_int_equal(t->lines, 4);
    assert_int_equal(miner_templates(m), 1);
    miner_free(m);
}

static void the_first_word_of_a_message_joins_late(void **state)
{
    struct miner *m = miner_new(100, NULL, NULL);
    static const char *const verbs[] = {"starting", "stopping", "checking", "removing", "adding"};
    for (uint32_t i = 0; i < ARRAY_LEN(verbs); i++) {
        char text[64];
        snprintf(text, sizeof text, "%s the thing", verbs[i]);
        line(m, text);
    }
    assert_int_equal(miner_templates(m), ARRAY_LEN(verbs));
    miner_free(m);
}

static void the_head_says_nothing_about_likeness(void **state)
{
    struct miner *m = miner_new(100, NULL, NULL);
    line(m, "Nov 23 21:38:04 host-a postgres[12]: connection received");
    line(m, "Nov 23 21:38:04 host-a postgres[12]: checkpoint complete");
    line(m, "Nov 23 21:38:05 host-a kernel: device up");
    line(m, "Nov 23 21:38:05 host-a kernel: link down");
    assert_int_equal(miner_templates(m), 4);
    miner_free(m);
}

struct told {
    uint32_t forgotten, joined;
};
static void tell(void *context, struct template *t, struct template *into)
{
    struct told *told = context;
    told->forgotten += !into;
    told->joined += into != NULL;
}

static void what_goes_is_told(void **state)
{
    struct told told = {0};
    struct miner *m = miner_new(4, tell, &told);
    line(m, "user alice left");
    line(m, "user bob left");
    line(m, "user carol left");
    line(m, "user dave left");
    assert_int_equal(told.joined, 2);
    line(m, "one");
    line(m, "two");
    line(m, "three");
    assert_int_equal(told.forgotten, 0);
    line(m, "user erin left");
    line(m, "four");
    assert_int_equal(told.forgotten, 1);
    assert_int_equal(miner_templates(m), 4);
    expect_text(line(m, "user frank left"), "user <*> left");
    assert_int_equal(line(m, "user frank left")->lines, 7);
    line(m, "one");
    assert_int_equal(line(m, "one")->lines, 2); /* it was the oldest, and began anew */
    miner_free(m);
}

static void random_word(struct prng *r, char *to)
{
    size_t n = 3 + prng_below(r, 6);
    for (size_t i = 0; i < n; i++)
        to[i] = (char)('a' + prng_below(r, 26));
    to[n] = 0;
}

/* Of lengths and shapes that share nothing, all with much text. */
static void random_line(struct prng *r, struct buf *out)
{
    buf_clear(out);
    for (uint64_t n = 1 + prng_below(r, 60); n; n--) {
        char word[16];
        random_word(r, word);
        buf_printf(out, "%s ", word);
    }
}

static void memory_is_bounded_whatever_comes(void **state)
{
    struct miner *m = miner_new(MINER_MOST, NULL, NULL);
    struct buf b = {0};
    struct prng r;
    size_t most = 0;
    prng_seed(&r, 1);
    for (int i = 0; i < 20000; i++) {
        bool founded;
        random_line(&r, &b);
        assert_non_null(miner_line(m, buf_str(&b), &founded));
        most = MAX(most, miner_bytes(m));
    }
    assert_int_equal(miner_templates(m), MINER_MOST);
    assert_in_range(most, 1 << 20, MINER_BYTES_MOST);
    miner_free(m);
    buf_free(&b);
}

static void without_memory_lines_are_not_counted_and_nothing_breaks(void **state)
{
    static const char *const lines[] = {"one here",      "two is there now", "user alice left",
                                        "user bob left", "user carol left",  "user dave left"};
    for (unsigned long at = 1; at < 12; at++) {
        mem_fail_at(at);
        struct miner *m = miner_new(100, NULL, NULL);
        for (uint32_t i = 0; m && i < ARRAY_LEN(lines); i++)
            line(m, lines[i]);
        mem_fail_at(0);
        if (m)
            assert_int_equal(line(m, "one here")->lines > 0, 1);
        miner_free(m);
    }
}

static void words_of_errors_are_known(void **state)
{
    static const char *const yes[] = {"ERROR: relation is gone",
                                      "java.lang.NullPointerException",
                                      "Connection refused",
                                      "write failed: No space left on device",
                                      "segfault at 0",
                                      "2 errors",
                                      "BUG: soft lockup",
                                      "Failed to start",
                                      "unable to open",
                                      "request timed out",
                                      "level=fatal"};
    static const char *const no[] = {"all is well",
                                     "0 errors",
                                     "no errors found",
                                     "errors: 0",
                                     "errors=0, warnings=1",
                                     "completed without error",
                                     "mirror is up",
                                     "terror",
                                     "debugging",
                                     "alerted"};
    for (uint32_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(error_words(str_of(yes[i])));
    for (uint32_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(error_words(str_of(no[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_one_event_share_a_template),
        cmocka_unit_test(the_id_is_of_the_words_alone),
        cmocka_unit_test(a_word_that_differs_in_a_long_line_becomes_variable),
        cmocka_unit_test(short_events_join_when_a_place_has_many_values),
        cmocka_unit_test(the_first_word_of_a_message_joins_late),
        cmocka_unit_test(the_head_says_nothing_about_likeness),
        cmocka_unit_test(what_goes_is_told),
        cmocka_unit_test(memory_is_bounded_whatever_comes),
        cmocka_unit_test(without_memory_lines_are_not_counted_and_nothing_breaks),
        cmocka_unit_test(words_of_errors_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
