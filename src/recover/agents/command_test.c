/* A command ends within its limit, and what it printed is bounded. */
#include "recover/agents/process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct ended {
    struct loop *loop;
    int code;
    char why[256], output[256];
    size_t n;
};

static void done(void *context, const struct command_end *end)
{
    struct ended *x = context;
    struct err e = {0};
    x->code = command_result(end, "it", &e);
    str_copy(x->why, sizeof x->why, str_of(e.text));
    str_copy(x->output, sizeof x->output, end->output);
    x->n = end->output.n;
    loop_stop(x->loop);
}

static struct program shell(const char *const *argv)
{
    static const char *const nothing[] = {NULL};
    return (struct program){.path = "/bin/sh", .argv = argv, .envp = nothing};
}

static struct ended run(const char *script, uint64_t limit)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct program p = shell(argv);
    struct ended x = {0};
    struct command *c;
    assert_int_equal(loop_new(&x.loop, NULL), 0);
    assert_int_equal(command_start(&c, x.loop, &p, limit, done, &x, NULL), 0);
    assert_int_equal(loop_run(x.loop, NULL), 0);
    loop_free(x.loop);
    return x;
}

static void what_it_printed_is_the_result(void **state)
{
    struct ended x = run("echo 42", 20 * NS_PER_S);
    assert_int_equal(x.code, 0);
    assert_string_equal(x.output, "42\n");
}

static void a_failure_has_its_last_words(void **state)
{
    struct ended x = run("echo first; printf 'no \\033 room\\n\\n' >&2; exit 3", 20 * NS_PER_S);
    assert_int_equal(x.code, -ERR_IO);
    assert_string_equal(x.why, "it ended with status 3: no ? room");
    x = run("exit 4", 20 * NS_PER_S);
    assert_string_equal(x.why, "it ended with status 4");
}

static void who_takes_too_long_is_killed(void **state)
{
    uint64_t from = clock_now();
    struct ended x = run("trap '' TERM; sleep 1000 & sleep 1000", 100 * NS_PER_MS);
    assert_int_equal(x.code, -ERR_TIMEOUT);
    assert_true(clock_now() - from < 10 * NS_PER_S);
}

/* Its end is known before its limit is looked at, however late we look. */
static void one_that_ended_while_we_did_not_run_is_not_late(void **state)
{
    const char *const argv[] = {"sh", "-c", "echo 42", NULL};
    struct program p = shell(argv);
    struct ended x = {0};
    struct command *c;
    assert_int_equal(loop_new(&x.loop, NULL), 0);
    assert_int_equal(command_start(&c, x.loop, &p, 100 * NS_PER_MS, done, &x, NULL), 0);
    usleep(500 * 1000);
    assert_int_equal(loop_run(x.loop, NULL), 0);
    assert_int_equal(x.code, 0);
    loop_free(x.loop);
}

static void who_prints_too_much_is_killed(void **state)
{
    struct ended x = run("yes", 20 * NS_PER_S);
    assert_int_equal(x.code, -ERR_LIMIT);
    assert_true(x.n <= COMMAND_OUTPUT);
}

static void one_that_is_given_up_is_gone(void **state)
{
    const char *const argv[] = {"sh", "-c", "sleep 1000", NULL};
    struct program p = shell(argv);
    struct ended x = {0};
    struct command *c;
    assert_int_equal(loop_new(&x.loop, NULL), 0);
    assert_int_equal(command_start(&c, x.loop, &p, NS_PER_S, done, &x, NULL), 0);
    command_abandon(c);
    command_abandon(NULL);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    loop_free(x.loop);
}

static void memory_and_programs_may_be_missing(void **state)
{
    const char *const argv[] = {"sh", NULL};
    struct program p = shell(argv);
    struct loop *l;
    struct command *c;
    assert_int_equal(loop_new(&l, NULL), 0);
    mem_fail_at(1);
    assert_int_equal(command_start(&c, l, &p, NS_PER_S, done, NULL, NULL), -ERR_NOMEM);
    p.path = "/no/such";
    assert_int_equal(command_start(&c, l, &p, NS_PER_S, done, NULL, NULL), -ERR_ABSENT);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_printed_is_the_result),
        cmocka_unit_test(a_failure_has_its_last_words),
        cmocka_unit_test(who_takes_too_long_is_killed),
        cmocka_unit_test(one_that_ended_while_we_did_not_run_is_not_late),
        cmocka_unit_test(who_prints_too_much_is_killed),
        cmocka_unit_test(one_that_is_given_up_is_gone),
        cmocka_unit_test(memory_and_programs_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
