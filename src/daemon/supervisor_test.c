/* The supervisor with real processes: this program is also the children (supervisor_fake.h). Each
 * test runs a node of its own in a directory of its own, and watches it from outside. */
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/daemon.h"
#include "daemon/supervisor_fake.h"
#include "os/os.h"

#define PATIENCE (20 * NS_PER_S)

struct node {
    char directory[64], file[80], state[80], log[80];
    pid_t pid; /* 0: ended */
    uint16_t port;
};

struct answer { /* of the fake proxy */
    long pid;
    unsigned long long epoch, inode;
};

/* --- the world outside --- */

static void breathe(void)
{
    struct timespec t = {.tv_nsec = 2000000};
    nanosleep(&t, NULL);
}

static struct addr local(uint16_t port)
{
    return (struct addr){.kind = ADDR_IP4, .port = port, .ip = {127, 0, 0, 1}};
}

/* A port that is free now, or stays taken by the listening socket that it hands out. Below those
 * that the kernel gives to outgoing connections, and never the same twice. */
static uint16_t pick_port(int *taken)
{
    static uint16_t next;
    if (!next)
        next = (uint16_t)(20000 + getpid() * 31 % 10000);
    for (;;) {
        struct addr a = local(next++);
        int fd = net_listen(&a, 1, NULL);
        if (fd < 0)
            continue;
        if (taken)
            *taken = fd;
        else
            close(fd);
        return a.port;
    }
}

/* Connected and blocking, or -1. */
static int reach(const struct addr *a)
{
    int fd = net_connect(a, NULL);
    if (fd < 0)
        return -1;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, 20000) != 1 || net_connect_result(fd)) {
        close(fd);
        return -1;
    }
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static bool read_line(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t r = 0;
    while (n < size - 1 && (r = read(fd, out + n, size - 1 - n)) > 0)
        n += (size_t)r;
    out[n] = 0;
    close(fd);
    return n > 0 && out[n - 1] == '\n';
}

static bool ask_proxy(uint16_t port, struct answer *out)
{
    struct addr a = local(port);
    char line[128];
    int fd = reach(&a);
    return fd >= 0 && read_line(fd, line, sizeof line) &&
           sscanf(line, "%ld %llu %llu", &out->pid, &out->epoch, &out->inode) == 3;
}

static bool refused(uint16_t port)
{
    struct addr a = local(port);
    int fd = reach(&a);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

/* --- a node --- */

static void write_file(const struct node *n, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void write_file(const struct node *n, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int length = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_int_equal(file_replace(n->file, (struct str){text, (size_t)length}, 0644, NULL), 0);
}

static void make(struct node *n)
{
    *n = (struct node){.directory = "/tmp/holdfast-test-XXXXXX"};
    assert_non_null(mkdtemp(n->directory));
    assert_int_equal(chmod(n->directory, 0755), 0);
    snprintf(n->file, sizeof n->file, "%s/conf", n->directory);
    snprintf(n->state, sizeof n->state, "%s/state", n->directory);
    snprintf(n->log, sizeof n->log, "%s/log", n->directory);
    n->port = pick_port(NULL);
    write_file(n, "http 127.0.0.1:%u\n", n->port);
}

/* A program of its own, so that a leak of the supervisor is found at its end. */
static void launch(struct node *n)
{
    n->pid = fork();
    assert_true(n->pid >= 0);
    if (n->pid)
        return;
    int fd = open(n->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(fd, STDERR_FILENO);
    execl("/proc/self/exe", "holdfast", "@supervisor", n->file, n->state, (char *)NULL);
    _exit(126);
}

static bool logged(const struct node *n, const char *text)
{
    struct buf b = {0};
    assert_int_equal(file_read(n->log, 1 << 20, &b, NULL), 0);
    bool found = buf_add(&b, "", 1) && strstr(b.p, text);
    buf_free(&b);
    return found;
}

static struct answer await(uint16_t port)
{
    struct answer a = {0};
    uint64_t end = clock_now() + PATIENCE;
    while (!ask_proxy(port, &a) && clock_now() < end)
        breathe();
    assert_true(a.pid > 0);
    return a;
}

static struct answer start(struct node *n)
{
    launch(n);
    struct answer a = await(n->port);
    for (uint64_t end = clock_now() + PATIENCE; !logged(n, "ready") && clock_now() < end;)
        breathe();
    assert_true(logged(n, "ready"));
    return a;
}

static int wait_end(struct node *n)
{
    int status;
    assert_int_equal(waitpid(n->pid, &status, 0), n->pid);
    n->pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int stop(struct node *n)
{
    kill(n->pid, SIGTERM);
    return wait_end(n);
}

static void print_log(const struct node *n)
{
    struct buf b = {0};
    if (file_read(n->log, 1 << 20, &b, NULL) == 0)
        print_message(STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
}

static int set_up(void **state)
{
    struct node *n = mem_zero(1, sizeof *n);
    make(n);
    *state = n;
    return 0;
}

static int tear_down(void **state)
{
    struct node *n = *state;
    if (n->pid) { /* the test failed: its children end with it */
        print_log(n);
        kill(n->pid, SIGTERM);
        kill(n->pid, SIGTERM);
        waitpid(n->pid, NULL, 0);
    }
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", n->directory);
    int r = system(command);
    mem_free(n);
    return r;
}

/* One command to the fake control. */
static void tell(const struct node *n, const char *word, char *line, size_t size)
{
    struct addr a = {.kind = ADDR_UNIX};
    snprintf(a.path, sizeof a.path, "%s/admin.sock", n->state);
    for (uint64_t end = clock_now() + PATIENCE; clock_now() < end; breathe()) {
        int fd = reach(&a);
        if (fd < 0)
            continue;
        if (write(fd, word, strlen(word)) > 0 && read_line(fd, line, size))
            return;
    }
    fail_msg("control does not answer to %s", word);
}

static void expect(const struct node *n, const char *word, const char *answer)
{
    char line[512];
    tell(n, word, line, sizeof line);
    if (!strstr(line, answer))
        fail_msg("%s: %s instead of %s", word, line, answer);
}

/* The same, of what may be on its way yet. */
static void expect_soon(const struct node *n, const char *word, const char *answer)
{
    char line[512];
    uint64_t end = clock_now() + PATIENCE;
    for (tell(n, word, line, sizeof line); !strstr(line, answer); breathe()) {
        if (clock_now() > end)
            fail_msg("%s: %s instead of %s", word, line, answer);
        tell(n, word, line, sizeof line);
    }
}

static long control_pid(const struct node *n)
{
    char line[64];
    unsigned long long epoch;
    long pid;
    tell(n, "state", line, sizeof line);
    assert_int_equal(sscanf(line, "%llu %ld", &epoch, &pid), 2);
    return pid;
}

static void await_log(const struct node *n, const char *text)
{
    for (uint64_t end = clock_now() + PATIENCE; !logged(n, text) && clock_now() < end;)
        breathe();
    assert_true(logged(n, text));
}

/* --- the tests --- */

static void serves_and_stops(void **state)
{
    struct node *n = *state;
    struct answer a = start(n);
    assert_int_equal(a.epoch, 1);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/admin.sock", n->state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(stop(n), 0);
    assert_int_equal(stat(path, &st), -1);
    assert_true(refused(n->port));
    assert_true(logged(n, "stopped"));
}

/* Connections made while there is no proxy wait in the socket; none is refused. */
static void a_killed_proxy_is_replaced_at_once(void **state)
{
    struct node *n = *state;
    struct answer before = start(n), after;
    kill((pid_t)before.pid, SIGKILL);
    uint64_t began = clock_now();
    bool answered;
    do { /* the first may still be the dead one's */
        assert_false(refused(n->port));
        answered = ask_proxy(n->port, &after) && after.pid != before.pid;
    } while (!answered && clock_now() < began + PATIENCE);
    print_message("serves again after %.1f ms\n", (double)(clock_now() - began) / 1e6);
    assert_true(answered);
    assert_int_not_equal(after.pid, before.pid);
    assert_int_equal(after.inode, before.inode);
    assert_int_equal(after.epoch, before.epoch);
    assert_true(logged(n, "the proxy (process"));
    expect_soon(n, "children", "started;ended 9;started;");
    expect(n, "state", " 1\n"); /* the dead one's connection is not counted any more */
    assert_int_equal(stop(n), 0);
}

static void a_killed_control_comes_back_with_the_view(void **state)
{
    struct node *n = *state;
    struct answer before = start(n);
    expect(n, "load", "taken 2");
    long pid = control_pid(n);
    kill((pid_t)pid, SIGKILL);
    for (uint64_t end = clock_now() + PATIENCE; control_pid(n) == pid && clock_now() < end;)
        breathe();
    expect(n, "state", "2 ");
    assert_int_not_equal(control_pid(n), pid);
    struct answer after = await(n->port);
    assert_int_equal(after.pid, before.pid);
    expect(n, "load", "taken 3");
    assert_int_equal(stop(n), 0);
}

static void repeated_deaths_are_slowed_down(void **state)
{
    struct node *n = *state;
    struct answer a = start(n);
    kill((pid_t)a.pid, SIGKILL);
    for (int i = 0; i < 2; i++) {
        long old = a.pid;
        while ((a = await(n->port)).pid == old)
            breathe();
        kill((pid_t)a.pid, SIGKILL);
    }
    await_log(n, "the proxy starts again in 100 ms");
    await_log(n, "the proxy starts again in 200 ms");
    await(n->port);
    assert_int_equal(stop(n), 0);
}

static void a_refused_view_changes_nothing(void **state)
{
    struct node *n = *state;
    struct answer before = start(n);
    int fd;
    uint16_t fresh = pick_port(NULL), taken = pick_port(&fd);
    write_file(n, "http 127.0.0.1:%u\nhttp 127.0.0.1:%u\n", fresh, taken);
    expect(n, "load", "ddress already in use");
    assert_true(refused(fresh));
    struct answer after = await(n->port);
    assert_memory_equal(&after, &before, sizeof after);
    close(fd);
    expect(n, "load", "taken 2");
    assert_int_equal(await(fresh).epoch, 2);
    assert_int_equal(await(taken).epoch, 2);
    assert_true(refused(n->port));
    assert_int_equal(stop(n), 0);
}

static void a_kept_socket_is_the_same_socket(void **state)
{
    struct node *n = *state;
    struct answer before = start(n);
    uint16_t second = pick_port(NULL);
    write_file(n, "http 127.0.0.1:%u\nhttp 127.0.0.1:%u\n", second, n->port);
    expect(n, "load", "taken 2");
    struct answer after = await(n->port);
    assert_int_equal(after.inode, before.inode);
    assert_int_equal(after.epoch, 2);
    assert_int_equal(await(second).epoch, 2);
    assert_int_equal(stop(n), 0);
}

static void damaged_and_stale_views_are_refused(void **state)
{
    struct node *n = *state;
    start(n);
    expect(n, "damaged", "refused 2");
    expect(n, "stale", "refused 1 epoch 1 is in force");
    assert_int_equal(await(n->port).epoch, 1);
    expect(n, "epoch", "epoch 1\n");
    expect(n, "load", "taken 2");
    expect(n, "epoch", "epoch 2\n");
    assert_int_equal(stop(n), 0);
}

static void a_control_that_breaks_the_protocol_is_replaced(void **state)
{
    struct node *n = *state;
    start(n);
    long pid = control_pid(n);
    expect(n, "nonsense", "1 ");
    await_log(n, "is killed: it closed its connection");
    await_log(n, "killed by signal 9");
    assert_int_not_equal(control_pid(n), pid);
    assert_int_equal(stop(n), 0);
}

static void control_may_ask_for_a_new_proxy(void **state)
{
    struct node *n = *state;
    struct answer before = start(n), after;
    expect(n, "restart", "1 ");
    do
        after = await(n->port);
    while (after.pid == before.pid);
    expect_soon(n, "children", "started;ended 0;started;");
    assert_int_equal(after.inode, before.inode);
    assert_int_equal(stop(n), 0);
}

static void a_new_proxy_takes_over(void **state)
{
    struct node *n = *state;
    struct answer before = start(n), after;
    expect(n, "handover", "1 ");
    expect_soon(n, "change", "1 done proxy 2 ");
    do
        after = await(n->port);
    while (after.pid == before.pid);
    assert_int_equal(after.inode, before.inode);
    await_log(n, "ended with status 0");
    expect(n, "state", " 1\n"); /* the bank of the one that accepts */
    expect_soon(n, "children", "started;started;ended 0;");
    expect(n, "load", "taken 2"); /* by the new one */
    assert_int_equal(await(n->port).epoch, 2);
    kill((pid_t)after.pid, SIGKILL);
    while (await(n->port).pid == after.pid)
        breathe();
    assert_int_equal(stop(n), 0);
}

/* Banks are limited, and nobody is cut for want of one. */
static void old_proxies_are_not_cut_for_new_ones(void **state)
{
    struct node *n = *state;
    write_file(n, "http 127.0.0.1:%u\nstubborn\n", n->port);
    start(n);
    expect(n, "handover", "1 ");
    expect_soon(n, "change", "1 done");
    expect(n, "handover", "1 ");
    expect_soon(n, "change", "2 done");
    expect(n, "load", "taken 2"); /* those that drain take it too, and nobody waits for them */
    expect(n, "handover", "2 ");
    expect_soon(n, "change", "3 done");
    expect(n, "handover", "2 ");
    expect_soon(n, "change", "4 failed 3 proxies drain already");
    assert_int_equal(await(n->port).epoch, 2);
    kill(n->pid, SIGTERM);
    await_log(n, "stopping:");
    assert_int_equal(stop(n), 0);
}

static void a_new_proxy_that_fails_is_discarded(void **state)
{
    struct node *n = *state;
    write_file(n, "http 127.0.0.1:%u\ndies\n", n->port);
    struct answer before = start(n);
    expect(n, "handover", "1 ");
    expect_soon(n, "change", "1 failed the new proxy died: proxy 1 goes on accepting");
    assert_int_equal(await(n->port).pid, before.pid);
    write_file(n, "http 127.0.0.1:%u\nmute\n", n->port);
    expect(n, "load", "taken 2");
    expect(n, "handover", "2 ");
    expect(n, "handover", "2 "); /* while one runs another is no second one */
    expect_soon(n, "change", "2 runs");
    struct answer during = await(n->port);
    assert_int_equal(during.pid, before.pid);
    kill((pid_t)before.pid, SIGKILL); /* the one that starts takes its place, unasked */
    expect_soon(n, "change", "2 done");
    assert_int_equal(await(n->port).epoch, 2);
    assert_int_equal(stop(n), 0);
}

static void copy_program(const struct node *n)
{
    char command[256];
    snprintf(command, sizeof command,
             "cp /proc/%ld/exe %s/test_daemon_supervisor && chmod 755 %s/test_daemon_supervisor",
             (long)getpid(), n->directory, n->directory);
    assert_int_equal(system(command), 0);
}

static void runs_the_copy(const struct node *n, bool yes)
{
    char link[64], path[256] = "";
    snprintf(link, sizeof link, "/proc/%ld/exe", (long)n->pid);
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    assert_int_equal(str_starts(str_of(path), str_of(n->directory)), yes);
}

static void another_program_goes_on_in_the_same_process(void **state)
{
    struct node *n = *state;
    copy_program(n);
    struct answer before = start(n);
    expect(n, "load", "taken 2");
    expect(n, "upgrade", "2 ");
    expect_soon(n, "change", "1 done holdfast");
    runs_the_copy(n, true);
    struct answer after = await(n->port);
    assert_int_not_equal(after.pid, before.pid);
    assert_int_equal(after.inode, before.inode);
    assert_int_equal(after.epoch, 2);
    expect(n, "load", "taken 3");
    expect(n, "handover", "3 ");
    expect_soon(n, "change", "2 done proxy 3");
    expect(n, "upgrade", "3 "); /* once more, from the copy to the copy */
    expect_soon(n, "change", "3 done holdfast");
    kill((pid_t)await(n->port).pid, SIGKILL);
    assert_int_equal(await(n->port).epoch, 3);
    assert_int_equal(stop(n), 0);
    assert_true(refused(n->port));
}

static void a_program_that_fails_is_taken_back(void **state)
{
    struct node *n = *state;
    struct answer before = start(n);
    expect(n, "upgrade", "1 ");
    expect_soon(n, "change", "1 failed not upgraded, nothing has changed");
    copy_program(n);
    write_file(n, "http 127.0.0.1:%u\nbad\n", n->port);
    expect(n, "upgrade", "1 ");
    expect_soon(n, "change",
                "2 failed not upgraded, nothing has changed: the new program's self-check");
    write_file(n, "http 127.0.0.1:%u\ndies\n", n->port);
    expect(n, "load", "taken 2");
    expect(n, "upgrade", "2 ");
    expect_soon(n, "change", "3 failed taken back");
    assert_true(logged(n, "the new proxy died: going back"));
    runs_the_copy(n, false);
    struct answer after = await(n->port);
    assert_int_equal(after.pid, before.pid);
    expect(n, "state", "2 ");
    write_file(n, "http 127.0.0.1:%u\n", n->port);
    expect(n, "load", "taken 3");
    expect(n, "upgrade", "3 ");
    expect_soon(n, "change", "4 done holdfast");
    runs_the_copy(n, true);
    assert_int_equal(stop(n), 0);
}

static void a_signal_on_trial_ends_both(void **state)
{
    struct node *n = *state;
    copy_program(n);
    write_file(n, "http 127.0.0.1:%u\nmute\n", n->port);
    start(n);
    expect(n, "upgrade", "1 ");
    expect_soon(n, "change", "1 runs the new program starts");
    assert_int_equal(stop(n), 0);
    assert_true(refused(n->port));
}

static void hangup_means_reload(void **state)
{
    struct node *n = *state;
    start(n);
    kill(n->pid, SIGHUP);
    while (await(n->port).epoch != 2)
        breathe();
    assert_int_equal(stop(n), 0);
}

static void access_logs_are_opened_anew(void **state)
{
    struct node *n = *state;
    char log[128], moved[160];
    struct stat st;
    snprintf(log, sizeof log, "%s/access", n->directory);
    snprintf(moved, sizeof moved, "%s.1", log);
    write_file(n, "http 127.0.0.1:%u\nlog %s\n", n->port, log);
    start(n);
    assert_int_equal(rename(log, moved), 0);
    expect(n, "load", "taken 2");
    struct buf b = {0};
    assert_int_equal(file_read(log, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("2\n")));
    assert_int_equal(file_read(moved, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("1\n")));
    buf_free(&b);
    assert_int_equal(stat(log, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(stop(n), 0);
}

/* No view is refused because a log that is open cannot be opened again. */
static void an_access_log_that_is_in_the_way_goes_on(void **state)
{
    struct node *n = *state;
    char log[128], moved[160];
    snprintf(log, sizeof log, "%s/access", n->directory);
    snprintf(moved, sizeof moved, "%s.1", log);
    write_file(n, "http 127.0.0.1:%u\nlog %s\n", n->port, log);
    start(n);
    assert_int_equal(rename(log, moved), 0);
    assert_int_equal(mkdir(log, 0755), 0);
    expect(n, "load", "taken 2");
    assert_true(logged(n, "the file that is open is kept"));
    struct buf b = {0};
    assert_int_equal(file_read(moved, 100, &b, NULL), 0);
    assert_true(str_eq(buf_str(&b), STR("1\n2\n")));
    buf_free(&b);
    write_file(n, "http 127.0.0.1:%u\nlog %s/sub/new\n", n->port, log);
    expect(n, "load", "refused 3");
    assert_int_equal(stop(n), 0);
}

/* The fake children run as another user if we are root; what they could plant is a link. */
static void no_link_lends_roots_rights(void **state)
{
    struct node *n = *state;
    char log[128], target[128];
    snprintf(log, sizeof log, "%s/access", n->directory);
    snprintf(target, sizeof target, "%s/precious", n->directory);
    write_file(n, "http 127.0.0.1:%u\nlog %s\n", n->port, log);
    start(n);
    assert_int_equal(file_replace(target, STR("kept"), 0600, NULL), 0);
    assert_int_equal(unlink(log), 0);
    assert_int_equal(symlink(target, log), 0);
    expect(n, "load", "taken 2");
    struct buf b = {0};
    assert_int_equal(file_read(target, 100, &b, NULL), 0);
    /* Without root there are no two users: the link is ours, and so is the file. */
    assert_true(str_starts(buf_str(&b), STR("kept")));
    assert_int_equal(b.n, geteuid() == 0 ? 4 : 6);
    buf_free(&b);
    assert_int_equal(stop(n), 0);
}

static void a_hung_proxy_is_replaced(void **state)
{
    struct node *n = *state;
    struct answer before = start(n), after;
    kill((pid_t)before.pid, SIGSTOP);
    await_log(n, "loop stands still");
    after = await(n->port);
    assert_int_not_equal(after.pid, before.pid);
    assert_int_equal(stop(n), 0);
}

static void a_second_signal_means_now(void **state)
{
    struct node *n = *state;
    write_file(n, "http 127.0.0.1:%u\nstubborn\n", n->port);
    start(n);
    kill(n->pid, SIGTERM);
    await_log(n, "connections are given up to");
    for (uint64_t end = clock_now() + PATIENCE; !refused(n->port) && clock_now() < end;)
        breathe();
    assert_true(refused(n->port));
    assert_int_equal(stop(n), 0);
    assert_true(logged(n, "stopping now"));
}

static void refuses_to_start(struct node *n, const char *sentence)
{
    launch(n);
    assert_int_equal(wait_end(n), 1);
    if (!logged(n, sentence))
        print_log(n);
    assert_true(logged(n, sentence));
}

static void a_taken_port_is_told_at_once(void **state)
{
    struct node *n = *state;
    int fd;
    write_file(n, "http 127.0.0.1:%u\n", pick_port(&fd));
    refuses_to_start(n, "another program uses it");
    assert_false(logged(n, "runs as process"));
    close(fd);
}

static void a_bad_file_is_told_at_once(void **state)
{
    struct node *n = *state;
    write_file(n, "bad\nbad\nhttp 127.0.0.1:%u\n", n->port);
    refuses_to_start(n, "2 problems");
    assert_true(refused(n->port));
}

static void a_directory_has_one_holdfast(void **state)
{
    struct node *n = *state, second;
    start(n);
    second = *n;
    snprintf(second.log, sizeof second.log, "%s/log2", n->directory);
    char expected[64];
    snprintf(expected, sizeof expected, "another holdfast (process %ld)", (long)n->pid);
    refuses_to_start(&second, expected);
    assert_int_equal(await(n->port).epoch, 1);
    assert_int_equal(stop(n), 0);
}

/* The lock ends with its process: nothing has to be cleared after a crash. */
static void a_killed_supervisor_leaves_nothing_behind(void **state)
{
    struct node *n = *state;
    start(n);
    kill(n->pid, SIGKILL);
    assert_int_equal(waitpid(n->pid, NULL, 0), n->pid);
    for (uint64_t end = clock_now() + PATIENCE; !refused(n->port) && clock_now() < end;)
        breathe();
    assert_int_equal(start(n).epoch, 1);
    assert_int_equal(stop(n), 0);
}

/* --- the agent --- */

static long agent_pid(const struct node *n, const char *life)
{
    char line[64], said[32];
    long pid = 0;
    for (uint64_t end = clock_now() + PATIENCE; clock_now() < end; breathe()) {
        tell(n, "agent", line, sizeof line);
        if (sscanf(line, "%ld %31s", &pid, said) == 2 && pid && strcmp(said, life) == 0)
            return pid;
    }
    fail_msg("the agent is: %s", line);
    return 0;
}

static void start_with_agent(struct node *n, const char *more)
{
    write_file(n, "http 127.0.0.1:%u\nagent 127.0.0.1:%u\n%s", n->port, pick_port(NULL), more);
    start(n);
}

static bool is_gone(long pid)
{
    for (uint64_t end = clock_now() + PATIENCE; clock_now() < end; breathe()) {
        char path[64];
        struct buf b = {0};
        snprintf(path, sizeof path, "/proc/%ld/stat", pid);
        int r = file_read(path, 4096, &b, NULL);
        bool gone = r || memmem(b.p, b.n, ") Z ", 4);
        buf_free(&b);
        if (gone)
            return true;
    }
    return false;
}

static void the_agent_runs_where_a_view_wants_it(void **state)
{
    struct node *n = *state;
    start(n);
    expect(n, "agent", "0 -");
    assert_false(logged(n, "the agent"));
    write_file(n, "http 127.0.0.1:%u\nagent 127.0.0.1:%u\n", n->port, pick_port(NULL));
    expect(n, "load", "taken 2");
    long pid = agent_pid(n, "never");
    write_file(n, "http 127.0.0.1:%u\n", n->port);
    expect(n, "load", "taken 3");
    expect_soon(n, "agent", "0 -");
    assert_true(is_gone(pid));
    assert_int_equal(stop(n), 0);
}

static void a_killed_agent_is_replaced_and_a_new_control_finds_it(void **state)
{
    struct node *n = *state;
    start_with_agent(n, "");
    long pid = agent_pid(n, "never"), next, control = control_pid(n);
    kill((pid_t)pid, SIGKILL);
    for (uint64_t end = clock_now() + PATIENCE;
         (next = agent_pid(n, "never")) == pid && clock_now() < end;)
        breathe();
    assert_int_not_equal(next, pid);
    kill((pid_t)control, SIGKILL);
    for (uint64_t end = clock_now() + PATIENCE; control_pid(n) == control && clock_now() < end;)
        breathe();
    assert_int_equal(agent_pid(n, "never"), next);
    assert_int_equal(stop(n), 0);
    assert_true(is_gone(next));
    assert_true(logged(n, "stopped"));
}

static void a_hung_agent_is_replaced(void **state)
{
    struct node *n = *state;
    start_with_agent(n, "");
    long pid = agent_pid(n, "never");
    kill((pid_t)pid, SIGSTOP);
    await_log(n, "is killed: its main loop stands still");
    assert_int_not_equal(agent_pid(n, "never"), pid);
    assert_int_equal(stop(n), 0);
}

static void the_agent_dies_with_its_supervisor(void **state)
{
    struct node *n = *state;
    start_with_agent(n, "");
    long pid = agent_pid(n, "never");
    kill(n->pid, SIGKILL);
    assert_int_equal(waitpid(n->pid, NULL, 0), n->pid);
    n->pid = 0;
    assert_true(is_gone(pid));
}

static bool agent_is_copy(const struct node *n, long pid)
{
    char link[64], path[256] = "";
    snprintf(link, sizeof link, "/proc/%ld/exe", pid);
    return readlink(link, path, sizeof path - 1) > 0 &&
           str_starts(str_of(path), str_of(n->directory));
}

static void an_upgrade_replaces_the_agent_when_it_is_sure(void **state)
{
    struct node *n = *state;
    copy_program(n);
    start_with_agent(n, "dies\n");
    long pid = agent_pid(n, "never");
    expect(n, "upgrade", "1 ");
    expect_soon(n, "change", "1 failed taken back");
    assert_int_equal(agent_pid(n, "never"), pid);
    assert_false(agent_is_copy(n, pid));
    write_file(n, "http 127.0.0.1:%u\nagent 127.0.0.1:%u\n", n->port, pick_port(NULL));
    expect(n, "load", "taken 2");
    expect(n, "upgrade", "2 ");
    expect_soon(n, "change", "2 done holdfast");
    for (uint64_t end = clock_now() + PATIENCE;
         !agent_is_copy(n, agent_pid(n, "never")) && clock_now() < end;)
        breathe();
    assert_true(agent_is_copy(n, agent_pid(n, "never")));
    assert_true(is_gone(pid));
    assert_int_equal(stop(n), 0);
}

static int run_supervisor(const char *file, const char *state)
{
    struct run_options o = {.file = file, .state_dir = state, .log = "debug"};
    struct err e;
    if (supervisor_run(&o, &e) == 0)
        return 0;
    fprintf(stderr, "%s\n", e.text);
    return 1;
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Ports that are found free stay free where nobody else is. Without the right to a network of its
 * own the test shares that of the machine. */
static void own_network(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (unshare(CLONE_NEWNET))
        return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &loopback), 0);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "@control") == 0)
        return fake_control_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "@proxy") == 0)
        return fake_proxy_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "@agent") == 0)
        return fake_agent_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "@resume") == 0)
        return resume_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "@self-check") == 0)
        return self_check_main(argc - 1, argv + 1);
    if (argc == 4 && strcmp(argv[1], "@supervisor") == 0)
        return run_supervisor(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        NODE_TEST(serves_and_stops),
        NODE_TEST(a_killed_proxy_is_replaced_at_once),
        NODE_TEST(a_killed_control_comes_back_with_the_view),
        NODE_TEST(repeated_deaths_are_slowed_down),
        NODE_TEST(a_refused_view_changes_nothing),
        NODE_TEST(a_kept_socket_is_the_same_socket),
        NODE_TEST(damaged_and_stale_views_are_refused),
        NODE_TEST(a_control_that_breaks_the_protocol_is_replaced),
        NODE_TEST(control_may_ask_for_a_new_proxy),
        NODE_TEST(a_new_proxy_takes_over),
        NODE_TEST(old_proxies_are_not_cut_for_new_ones),
        NODE_TEST(a_new_proxy_that_fails_is_discarded),
        NODE_TEST(another_program_goes_on_in_the_same_process),
        NODE_TEST(a_program_that_fails_is_taken_back),
        NODE_TEST(a_signal_on_trial_ends_both),
        NODE_TEST(hangup_means_reload),
        NODE_TEST(access_logs_are_opened_anew),
        NODE_TEST(an_access_log_that_is_in_the_way_goes_on),
        NODE_TEST(no_link_lends_roots_rights),
        NODE_TEST(a_hung_proxy_is_replaced),
        NODE_TEST(a_second_signal_means_now),
        NODE_TEST(a_taken_port_is_told_at_once),
        NODE_TEST(a_bad_file_is_told_at_once),
        NODE_TEST(a_directory_has_one_holdfast),
        NODE_TEST(a_killed_supervisor_leaves_nothing_behind),
        NODE_TEST(the_agent_runs_where_a_view_wants_it),
        NODE_TEST(a_killed_agent_is_replaced_and_a_new_control_finds_it),
        NODE_TEST(a_hung_agent_is_replaced),
        NODE_TEST(the_agent_dies_with_its_supervisor),
        NODE_TEST(an_upgrade_replaces_the_agent_when_it_is_sure),
    };
    signal(SIGPIPE, SIG_IGN);
    own_network();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
