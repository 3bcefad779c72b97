/* Programs are started with what they are given and nothing else, and end whole. */
#include "recover/agents/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The kernel, as far as it can refuse: the linker puts these before its own. */
pid_t __real_fork(void);
pid_t __wrap_fork(void);
int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev);

static bool no_processes;
static int no_watch; /* the n-th that is added from now on is refused; 0: none */

pid_t __wrap_fork(void)
{
    if (!no_processes)
        return __real_fork();
    errno = EAGAIN;
    return -1;
}

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev)
{
    if (op != EPOLL_CTL_ADD || no_watch == 0 || --no_watch)
        return __real_epoll_ctl(epoll, op, fd, ev);
    errno = ENOSPC;
    return -1;
}

struct test {
    struct loop *loop;
    struct runner runner;
    struct timer limit;
    struct buf text;
    bool exited;
    int status;
    const char *until; /* the loop stops when it has been printed */
};

static void on_output(struct runner *p, struct str bytes)
{
    struct test *t = CONTAINER_OF(p, struct test, runner);
    if (t->text.n < 1024 * 1024)
        buf_add_str(&t->text, bytes);
    if (t->until && memmem(t->text.p, t->text.n, t->until, strlen(t->until)))
        loop_stop(t->loop);
}

static void on_exit_(struct runner *p, int status)
{
    struct test *t = CONTAINER_OF(p, struct test, runner);
    assert_false(runner_runs(p));
    t->exited = true;
    t->status = status;
    loop_stop(t->loop);
}

static void on_limit(struct timer *t)
{
    fail_msg("nothing happened for 30 s");
}

static int set_up(void **state)
{
    struct test *t = mem_zero(1, sizeof *t);
    assert_non_null(t);
    assert_int_equal(loop_new(&t->loop, NULL), 0);
    runner_init(&t->runner, t->loop);
    t->runner.on_output = on_output;
    t->runner.on_exit = on_exit_;
    timer_init(&t->limit, on_limit);
    loop_timer_set(t->loop, &t->limit, loop_now(t->loop) + 30 * NS_PER_S);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct test *t = *state;
    runner_abandon(&t->runner);
    loop_timer_stop(t->loop, &t->limit);
    buf_free(&t->text);
    loop_free(t->loop);
    mem_free(t);
    return 0;
}

static int start(struct test *t, const char *script, struct program with)
{
    const char *argv[] = {"sh", "-c", script, NULL}, *envp[] = {"A=1", NULL};
    with.path = with.path ? with.path : "/bin/sh";
    with.argv = argv;
    with.envp = envp;
    t->exited = false;
    buf_clear(&t->text);
    struct err e = {0};
    int r = runner_start(&t->runner, &with, &e);
    assert_true(r == 0 || e.text[0]);
    return r;
}

static void wait_for(struct test *t, const char *text)
{
    t->until = text;
    assert_int_equal(loop_run(t->loop, NULL), 0);
    t->until = NULL;
}

static const char *text_of(struct test *t)
{
    assert_true(buf_add(&t->text, "", 1));
    t->text.n--;
    return t->text.p;
}

/* What a script prints until it ends with status 0. */
static const char *output_of(struct test *t, const char *script, struct program with)
{
    assert_int_equal(start(t, script, with), 0);
    wait_for(t, NULL);
    assert_true(t->exited);
    assert_int_equal(t->status, 0);
    return text_of(t);
}

static void both_outputs_and_the_status_come_back(void **state)
{
    struct test *t = *state;
    assert_string_equal(output_of(t, "echo out; echo err >&2", (struct program){0}), "out\nerr\n");
    assert_int_equal(start(t, "exit 7", (struct program){0}), 0);
    wait_for(t, NULL);
    assert_int_equal(WEXITSTATUS(t->status), 7);
    char what[96];
    runner_tell(t->status, what, sizeof what);
    assert_string_equal(what, "ended with status 7");
    assert_int_equal(start(t, "kill -SEGV $$", (struct program){0}), 0);
    wait_for(t, NULL);
    runner_tell(t->status, what, sizeof what);
    assert_non_null(strstr(what, "signal 11"));
}

/* Whatever a program writes at its very end is there before its end is told. */
static void nothing_of_the_output_is_missing(void **state)
{
    struct test *t = *state;
    for (int i = 0; i < 20; i++) {
        const char *text =
            output_of(t, "head -c 60000 /dev/zero | tr '\\0' x", (struct program){0});
        assert_int_equal(strlen(text), 60000);
    }
}

/* One that the C library keeps for itself: some shells and runners start us with it ignored. */
static void signal_of_libc(void (*handler)(int))
{
    uint64_t action[8] = {(uint64_t)(uintptr_t)handler};
    assert_int_equal(syscall(SYS_rt_sigaction, 32, action, NULL, sizeof(uint64_t)), 0);
}

static void nothing_of_ours_is_inherited(void **state)
{
    struct test *t = *state;
    int low = open("/dev/null", O_RDONLY); /* on purpose not close-on-exec */
    int high = fcntl(low, F_DUPFD, 200);
    assert_true(low >= 3 && high >= 200);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal_of_libc(SIG_IGN);
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &before);
    assert_int_equal(setenv("SECRET", "x", 1), 0);
    /* ls itself has one open for the directory. */
    const char *text = output_of(t,
                                 "env | grep -c . ; ls /proc/self/fd | tr '\\n' ' '; readlink "
                                 "/proc/self/fd/0; grep -E 'Sig(Blk|Ign)' /proc/self/status; pwd",
                                 (struct program){0});
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal_of_libc(SIG_DFL);
    close(low);
    close(high);
    assert_non_null(strstr(text, "0 1 2 3 /dev/null\n"));
    if (!strstr(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n/\n"))
        fail_msg("%s", text);
    assert_null(strstr(text, "200"));
    text = output_of(t, "echo $A$SECRET$PATH$HOME", (struct program){0});
    assert_true(strncmp(text, "1", 1) == 0 && !strchr(text, 'x'));
}

static void limits_hold(void **state)
{
    struct test *t = *state;
    assert_string_equal(output_of(t, "ulimit -n; ulimit -c", (struct program){.files = 77}),
                        "77\n0\n");
    assert_string_equal(output_of(t, "ulimit -v", (struct program){.address = 512 << 20}),
                        "524288\n");
    assert_string_equal(output_of(t, "pwd; umask", (struct program){.directory = "/tmp"}),
                        "/tmp\n0077\n");
    int nice_now = getpriority(PRIO_PROCESS, 0);
    char expected[16];
    snprintf(expected, sizeof expected, "%d\n", nice_now + 3);
    assert_string_equal(
        output_of(t, "cut -d' ' -f19 /proc/self/stat", (struct program){.nice = nice_now + 3}),
        expected);
}

static void it_gains_nothing_and_leads_its_own_session(void **state)
{
    struct test *t = *state;
    const char *text =
        output_of(t, "grep NoNewPrivs /proc/self/status; cut -d' ' -f5,6 /proc/$$/stat; echo $$ $$",
                  (struct program){0});
    assert_true(strncmp(text, "NoNewPrivs:\t1\n", 14) == 0);
    text += 14;
    size_t line = strcspn(text, "\n") + 1;
    assert_memory_equal(text, text + line, line);
}

static void root_becomes_somebody_else(void **state)
{
    struct test *t = *state;
    if (geteuid() != 0) { /* then it cannot, and says so */
        assert_true(start(t, "true", (struct program){.drop = true, .uid = 65534, .gid = 65534}) <
                    0);
        return;
    }
    const char *text = output_of(t,
                                 "id -u; id -g; id -G; grep -E 'Cap(Prm|Eff|Inh|Amb)' "
                                 "/proc/self/status | cut -f2",
                                 (struct program){.drop = true, .uid = 65534, .gid = 65533});
    assert_true(strncmp(text, "65534\n65533\n65533\n", 18) == 0);
    assert_null(strpbrk(text + 18, "123456789abcdef"));
}

static void what_cannot_be_executed_is_told_at_once(void **state)
{
    struct test *t = *state;
    assert_int_equal(start(t, "", (struct program){.path = "/no/such/program"}), -ERR_ABSENT);
    assert_int_equal(start(t, "", (struct program){.path = "/etc/passwd"}), -ERR_DENIED);
    assert_int_equal(start(t, "", (struct program){.directory = "/no/such/directory"}), -ERR_IO);
    assert_false(runner_runs(&t->runner));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left to bury */
    assert_int_equal(errno, ECHILD);
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Nothing runs, nothing is open, nobody waits to be buried; and then it can be started. */
static void nothing_is_left(struct test *t, unsigned open)
{
    assert_false(runner_runs(&t->runner));
    assert_int_equal(descriptors(), open);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_string_equal(output_of(t, "echo well", (struct program){0}), "well\n");
    assert_int_equal(descriptors(), open);
}

static void there_may_be_no_process_for_it(void **state)
{
    struct test *t = *state;
    unsigned open = descriptors();
    no_processes = true;
    int r = start(t, "true", (struct program){0});
    no_processes = false;
    assert_true(r < 0);
    nothing_is_left(t, open);
}

/* Each descriptor that it takes, here and in the child, is the one too many. */
static void there_may_be_no_descriptor_for_it(void **state)
{
    struct test *t = *state;
    struct rlimit before, few;
    unsigned open = descriptors(), refused = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int more = 0, r = -1; r; more++) {
        few = before;
        int next = fcntl(0, F_DUPFD, 3); /* the first that is free */
        close(next);
        few.rlim_cur = (rlim_t)(next + more);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        r = start(t, "true", (struct program){0});
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(more < 16);
        if (r == 0)
            wait_for(t, NULL);
        refused += r != 0;
        nothing_is_left(t, open);
    }
    assert_true(refused >= 4);
}

/* What cannot be watched does not run. */
static void it_may_not_be_watched(void **state)
{
    struct test *t = *state;
    unsigned open = descriptors();
    for (int n = 1; n <= 2; n++) {
        no_watch = n;
        assert_true(start(t, "sleep 1000", (struct program){0}) < 0);
        assert_int_equal(no_watch, 0);
        nothing_is_left(t, open);
    }
}

static void stopping_asks_first(void **state)
{
    struct test *t = *state;
    assert_int_equal(start(t, "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done",
                           (struct program){0}),
                     0);
    wait_for(t, "up\n");
    runner_stop(&t->runner, 20 * NS_PER_S);
    wait_for(t, NULL);
    assert_int_equal(WEXITSTATUS(t->status), 3);
    assert_non_null(strstr(text_of(t), "bye\n"));
}

static void who_does_not_listen_is_killed(void **state)
{
    struct test *t = *state;
    assert_int_equal(
        start(t, "trap '' TERM; echo up; while :; do sleep 0.01; done", (struct program){0}), 0);
    wait_for(t, "up\n");
    runner_stop(&t->runner, 20 * NS_PER_S);
    runner_stop(&t->runner, 50 * NS_PER_MS); /* the shorter one counts */
    runner_stop(&t->runner, 20 * NS_PER_S);
    uint64_t from = clock_now();
    wait_for(t, NULL);
    assert_int_equal(WTERMSIG(t->status), SIGKILL);
    assert_true(clock_now() - from < 10 * NS_PER_S);
    runner_stop(&t->runner, 0); /* harmless */
}

static void who_is_stopped_hears_it_too(void **state)
{
    struct test *t = *state;
    assert_int_equal(
        start(t, "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done", (struct program){0}),
        0);
    wait_for(t, "up\n");
    kill(t->runner.pid, SIGSTOP);
    runner_stop(&t->runner, 20 * NS_PER_S);
    wait_for(t, NULL);
    assert_int_equal(WEXITSTATUS(t->status), 3);
}

static bool is_gone(pid_t pid)
{
    for (int i = 0; i < 3000; i++) {
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        if (n <= 0 || strstr(text, ") Z ")) /* a zombie waits for whoever adopted it */
            return true;
        usleep(10000);
    }
    return false;
}

static void the_group_dies_with_its_leader(void **state)
{
    struct test *t = *state;
    assert_int_equal(start(t, "sleep 1000 & echo $! up; exec sleep 1000", (struct program){0}), 0);
    wait_for(t, " up\n");
    pid_t child = (pid_t)atol(text_of(t));
    assert_true(child > 1 && kill(child, 0) == 0);
    runner_stop(&t->runner, NS_PER_S);
    wait_for(t, NULL);
    assert_int_equal(WTERMSIG(t->status), SIGTERM);
    assert_true(is_gone(child));
    assert_int_equal(start(t, "sleep 1000 & echo $! up; exec sleep 1000", (struct program){0}), 0);
    wait_for(t, " up\n");
    child = (pid_t)atol(text_of(t));
    runner_abandon(&t->runner);
    assert_true(is_gone(child) && !t->exited);
}

static void it_dies_with_us(void **state)
{
    int report[2];
    pid_t pid = 0;
    assert_int_equal(pipe(report), 0);
    pid_t us = fork();
    if (us == 0) { /* starts one and is killed */
        struct program p = {.path = "/bin/sleep",
                            .argv = (const char *const[]){"sleep", "1000", NULL},
                            .envp = (const char *const[]){NULL}};
        int out;
        bool ok = program_execute(&p, &pid, &out, NULL) == 0 &&
                  write(report[1], &pid, sizeof pid) == sizeof pid;
        if (ok)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    assert_int_equal(read(report[0], &pid, sizeof pid), sizeof pid);
    assert_int_equal(waitpid(us, NULL, 0), us);
    assert_true(is_gone(pid));
    close(report[0]);
    close(report[1]);
}

static void a_flood_neither_stops_the_loop_nor_the_program(void **state)
{
    struct test *t = *state;
    assert_int_equal(start(t, "yes | head -c 200000000; exit 5", (struct program){0}), 0);
    uint64_t turns = loop_turns(t->loop);
    wait_for(t, NULL);
    assert_int_equal(WEXITSTATUS(t->status), 5);
    assert_true(loop_turns(t->loop) - turns > 200000000 / (256 * 1024));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(both_outputs_and_the_status_come_back),
        T(nothing_of_the_output_is_missing),
        T(nothing_of_ours_is_inherited),
        T(limits_hold),
        T(it_gains_nothing_and_leads_its_own_session),
        T(root_becomes_somebody_else),
        T(what_cannot_be_executed_is_told_at_once),
        T(there_may_be_no_process_for_it),
        T(there_may_be_no_descriptor_for_it),
        T(it_may_not_be_watched),
        T(stopping_asks_first),
        T(who_does_not_listen_is_killed),
        T(who_is_stopped_hears_it_too),
        T(the_group_dies_with_its_leader),
        T(it_dies_with_us),
        T(a_flood_neither_stops_the_loop_nor_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
