/* priority: a thread is what it is said to have become. */
#include "os/priority.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { REACHED = 10, RIGHTLESS = 2, OTHERWISE = 3 };

/* What a child becomes: its exit status is REACHED + enum priority. */
static int become(bool rights)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_RTPRIO, &none);
        setrlimit(RLIMIT_NICE, &none);
        if (!rights && geteuid() == 0 && setresuid(65534, 65534, 65534))
            _exit(RIGHTLESS);
        enum priority p = priority_raise();
        int policy = sched_getscheduler(0), nice = getpriority(PRIO_PROCESS, 0);
        bool as_said = (p == PRIORITY_REAL_TIME) == (policy == SCHED_RR) &&
                       (p == PRIORITY_RAISED) == (nice < 0);
        _exit(as_said ? REACHED + (int)p : OTHERWISE);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_it_is_as_urgent_as_it_says(void **state)
{
    (void)state;
    assert_int_equal(become(false), REACHED + PRIORITY_ORDINARY);
    assert_in_range(become(true), REACHED, REACHED + PRIORITY_ORDINARY);
}

/* REACHED + what it has become; what it starts is ordinary. */
static int favour(bool rights)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_NICE, &none);
        if (!rights && geteuid() == 0 && setresuid(65534, 65534, 65534))
            _exit(RIGHTLESS);
        enum priority p = priority_favour();
        int mine = getpriority(PRIO_PROCESS, 0), status = 0;
        pid_t its = fork();
        if (its == 0)
            _exit(getpriority(PRIO_PROCESS, 0) < 0);
        bool heard = waitpid(its, &status, 0) == its;
        bool as_said = heard && status == 0 && (p == PRIORITY_RAISED) == (mine < 0);
        _exit(as_said ? REACHED + (int)p : OTHERWISE);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_what_a_favoured_one_starts_is_ordinary(void **state)
{
    (void)state;
    assert_int_equal(favour(false), REACHED + PRIORITY_ORDINARY);
    assert_in_range(favour(true), REACHED + PRIORITY_RAISED, REACHED + PRIORITY_ORDINARY);
}

static void test_each_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(priority_name(PRIORITY_REAL_TIME), "real-time");
    assert_string_equal(priority_name(PRIORITY_RAISED), "raised");
    assert_string_equal(priority_name(PRIORITY_ORDINARY), "ordinary");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_as_urgent_as_it_says),
        cmocka_unit_test(test_what_a_favoured_one_starts_is_ordinary),
        cmocka_unit_test(test_each_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
