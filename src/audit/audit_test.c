/* The thread and its queue: nothing waits for the disk, and nothing is lost without being told. */
#include "audit/inside.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/faulty_vfs.h"

struct fixture {
    char dir[64], path[96];
    struct loop *loop;
    struct audit *audit;
    struct timer poll, end;
    bool (*done)(struct fixture *f);
    uint64_t seq;
    uint32_t news[4];
    uint64_t lost;
    char text[320];
    /* of the latest answer */
    struct audit_ask ask;
    uint32_t answers, n;
    int code;
    uint64_t written;
};

static void on_news(void *context, enum audit_news what, uint64_t n, const char *text)
{
    struct fixture *f = context;
    f->news[what]++;
    f->lost += what == AUDIT_LOST ? n : 0;
    str_copy(f->text, sizeof f->text, str_of(text));
}

static void on_answer(struct audit_ask *ask, const struct audit_answer *a)
{
    struct fixture *f = CONTAINER_OF(ask, struct fixture, ask);
    f->answers++;
    f->n = a->n;
    f->code = a->code;
    f->written = a->written;
}

static void on_poll(struct timer *t)
{
    struct fixture *f = CONTAINER_OF(t, struct fixture, poll);
    if (f->done(f))
        loop_stop(f->loop);
    else
        loop_timer_set(f->loop, t, loop_now(f->loop) + 2 * NS_PER_MS);
}

static void on_end(struct timer *t)
{
    (void)t;
    fail_msg("waited in vain");
}

static void until(struct fixture *f, bool (*done)(struct fixture *f))
{
    f->done = done;
    timer_init(&f->poll, on_poll);
    timer_init(&f->end, on_end);
    loop_timer_set(f->loop, &f->poll, loop_now(f->loop));
    loop_timer_set(f->loop, &f->end, loop_refresh(f->loop) + 60 * NS_PER_S);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    loop_timer_stop(f->loop, &f->end);
}

static void begin(struct fixture *f, size_t queue)
{
    struct audit_options o = {.loop = f->loop,
                              .path = f->path,
                              .node = "a",
                              .vfs = "faulty",
                              .limits = {NS_PER_S * 3600, 100000, 1 << 26},
                              .queue = queue,
                              .context = f,
                              .news = on_news};
    assert_int_equal(audit_new(&f->audit, &o, NULL), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/audit-thread-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/audit.db", f->dir);
    faulty_begin();
    assert_int_equal(loop_new(&f->loop, NULL), 0);
    f->ask.done = on_answer;
    begin(f, 64 * 1024);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    audit_free(f->audit);
    loop_free(f->loop);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static bool add(struct fixture *f)
{
    struct audit_record r = {.seq = ++f->seq,
                             .boot = clock_now(),
                             .wall = clock_wall(),
                             .kind = AUDIT_VERDICT,
                             .code = STR("instance-verdict"),
                             .level = STR("info"),
                             .subject = STR("web/a"),
                             .text = STR("something")};
    return audit_add(f->audit, &r);
}

static void ask(struct fixture *f)
{
    struct audit_question q = {.kind = AUDIT_SPAN, .limit = AUDIT_ANSWER_ROWS};
    struct err e = {0};
    assert_int_equal(audit_ask(f->audit, &f->ask, &q, &e), 0);
}

static bool is_answered(struct fixture *f)
{
    return f->ask.job == NULL;
}
static bool has_lost(struct fixture *f)
{
    return f->news[AUDIT_LOST] > 0;
}
static bool has_failed(struct fixture *f)
{
    return f->news[AUDIT_FAILS] > 0;
}
static bool works_again(struct fixture *f)
{
    return f->news[AUDIT_WORKS] > 0;
}
static bool has_written_all(struct fixture *f)
{
    return audit_counts(f->audit).written == f->seq;
}

/* A question comes after all that was added before it, without a pause. */
static void test_an_answer_has_all_that_came_before(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 1; i <= 20; i++) {
        assert_true(add(f));
        ask(f);
        until(f, is_answered);
        assert_int_equal(f->code, 0);
        assert_int_equal(f->n, i);
        assert_int_equal(f->written, i);
    }
}

static void test_it_is_there_for_who_comes_next(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++)
        assert_true(add(f));
    audit_free(f->audit); /* writes what waits */
    begin(f, 64 * 1024);
    ask(f);
    until(f, is_answered);
    assert_int_equal(f->n, 50);
    assert_int_equal(f->written, 0); /* by this one */
}

static void test_many_records_are_few_transactions(void **state)
{
    struct fixture *f = *state;
    ask(f);
    until(f, is_answered);
    int before = atomic_load(&faulty.writes);
    for (int i = 0; i < 80; i++)
        assert_true(add(f));
    until(f, has_written_all);
    assert_true(atomic_load(&faulty.writes) - before < 80);
}

static void test_a_slow_disk_delays_nobody(void **state)
{
    struct fixture *f = *state;
    ask(f);
    until(f, is_answered);
    atomic_store(&faulty.pause_ms, 100);
    uint64_t longest = 0, taken = 0;
    for (int i = 0; i < 5000; i++) {
        uint64_t began = clock_now();
        taken += add(f);
        uint64_t took = clock_now() - began;
        longest = MAX(longest, took);
    }
    assert_true(taken < 5000); /* there is no room for all of them */
    atomic_store(&faulty.pause_ms, 0);
    until(f, has_lost);
    /* All of them in less than one write of that disk takes, but for a scheduler's whims. */
    assert_true(longest < 50 * NS_PER_MS);
    ask(f);
    until(f, is_answered);
    struct audit_counts n = audit_counts(f->audit);
    assert_int_equal(n.lost, 5000 - taken);
    assert_int_equal(f->lost, n.lost);
    assert_int_equal(n.written, taken);
    assert_int_equal(f->news[AUDIT_FAILS], 0);
}

static void test_a_full_disk_is_told_once_and_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    assert_true(add(f));
    ask(f);
    until(f, is_answered);
    atomic_store(&faulty.write, SQLITE_FULL);
    for (int i = 0; i < 10; i++)
        assert_true(add(f));
    until(f, has_failed);
    assert_non_null(strstr(f->text, "full"));
    ask(f); /* it can still be asked for what it has */
    until(f, is_answered);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->written, 1);
    atomic_store(&faulty.write, 0);
    until(f, works_again);
    ask(f);
    until(f, is_answered);
    assert_int_equal(f->n, 11);
    assert_int_equal(f->news[AUDIT_FAILS], 1);
    assert_int_equal(f->news[AUDIT_LOST], 0);
}

static void test_a_damaged_file_makes_room(void **state)
{
    struct fixture *f = *state;
    char aside[128];
    assert_true(add(f));
    audit_free(f->audit);
    int fd = open(f->path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "nonsense, and quite a lot of it", 31), 31);
    close(fd);
    begin(f, 64 * 1024);
    assert_true(add(f));
    ask(f);
    until(f, is_answered);
    assert_int_equal(f->code, 0);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->news[AUDIT_DAMAGED], 1);
    snprintf(aside, sizeof aside, "%s.damaged", f->path);
    assert_non_null(strstr(f->text, aside));
    assert_int_equal(access(aside, F_OK), 0);
}

static void test_a_place_that_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    audit_free(f->audit);
    strcpy(f->path, "/proc/audit.db");
    begin(f, 64 * 1024);
    assert_true(add(f));
    until(f, has_failed);
    assert_non_null(strstr(f->text, "/proc/audit.db"));
    ask(f);
    until(f, is_answered);
    assert_int_equal(f->code, -ERR_IO);
}

static void test_who_leaves_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct audit_ask other = {.done = on_answer};
    struct audit_question q = {.kind = AUDIT_SPAN, .limit = 1};
    assert_int_equal(audit_ask(f->audit, &other, &q, NULL), 0);
    audit_forget(&other);
    ask(f);
    until(f, is_answered);
    assert_int_equal(f->answers, 1);
}

static void test_questions_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct audit_ask many[AUDIT_ASKS + 1] = {{.done = on_answer}};
    struct audit_question q = {.kind = AUDIT_SPAN, .limit = 1};
    for (int i = 0; i < AUDIT_ASKS; i++)
        assert_int_equal(audit_ask(f->audit, &many[i], &q, NULL), 0);
    assert_int_equal(audit_ask(f->audit, &many[AUDIT_ASKS], &q, NULL), -ERR_BUSY);
    for (int i = 0; i < AUDIT_ASKS; i++)
        audit_forget(&many[i]);
}

static void test_memory_fails_at_the_start_and_for_a_question(void **state)
{
    struct fixture *f = *state;
    struct audit_question q = {.kind = AUDIT_SPAN, .limit = 1};
    mem_fail_at(1);
    assert_int_equal(audit_ask(f->audit, &f->ask, &q, NULL), -ERR_NOMEM);
    assert_null(f->ask.job);
    mem_fail_at(1);
    assert_false(add(f)); /* counted, told when there is room */
    mem_fail_at(0);
    assert_true(add(f));
    until(f, has_lost);
    assert_int_equal(f->lost, 1);
    audit_free(f->audit);
    f->audit = NULL;
    struct audit_options o = {.loop = f->loop, .path = f->path, .node = "a", .queue = 1000};
    mem_fail_at(1);
    assert_int_equal(audit_new(&f->audit, &o, NULL), -ERR_NOMEM);
    mem_fail_at(0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_answer_has_all_that_came_before),
        TEST(test_it_is_there_for_who_comes_next),
        TEST(test_many_records_are_few_transactions),
        TEST(test_a_slow_disk_delays_nobody),
        TEST(test_a_full_disk_is_told_once_and_nothing_is_lost),
        TEST(test_a_damaged_file_makes_room),
        TEST(test_a_place_that_cannot_be_written),
        TEST(test_who_leaves_is_not_answered),
        TEST(test_questions_are_bounded),
        TEST(test_memory_fails_at_the_start_and_for_a_question),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
