/* supervisor_fixture: nodes of real processes, watched from outside. The program that includes it
 * is also their children (supervisor_fake.h). Tests only. */
#ifndef HF_SUPERVISOR_FIXTURE_H
#define HF_SUPERVISOR_FIXTURE_H

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

static inline void breathe(void)
{
    struct timespec t = {.tv_nsec = 2000000};
    nanosleep(&t, NULL);
}

static inline struct addr local(uint16_t port)
{
    return (struct addr){.kind = ADDR_IP4, .port = port, .ip = {127, 0, 0, 1}};
}

/* A port that is free now, or stays taken by the listening socket that it hands out. Below those
 * that the kernel gives to outgoing connections, and never the same twice. */
static inline uint16_t pick_port(int *taken)
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
static inline int reach(const struct addr *a)
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

static inline bool read_line(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t r = 0;
    while (n < size - 1 && (r = read(fd, out + n, size - 1 - n)) > 0)
        n += (size_t)r;
    out[n] = 0;
    close(fd);
    return n > 0 && out[n - 1] == '\n';
}

static inline bool ask_proxy(uint16_t port, struct answer *out)
{
    struct addr a = local(port);
    char line[128];
    int fd = reach(&a);
    return fd >= 0 && read_line(fd, line, sizeof line) &&
           sscanf(line, "%ld %llu %llu", &out->pid, &out->epoch, &out->inode) == 3;
}

static inline bool refused(uint16_t port)
{
    struct addr a = local(port);
    int fd = reach(&a);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

/* --- a node --- */

static inline void write_file(const struct node *n, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static inline void write_file(const struct node *n, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int length = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_int_equal(file_replace(n->file, (struct str){text, (size_t)length}, 0644, NULL), 0);
}

static inline void make(struct node *n)
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
static inline void launch(struct node *n)
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

static inline bool logged(const struct node *n, const char *text)
{
    struct buf b = {0};
    assert_int_equal(file_read(n->log, 1 << 20, &b, NULL), 0);
    bool found = buf_add(&b, "", 1) && strstr(b.p, text);
    buf_free(&b);
    return found;
}

static inline struct answer await(uint16_t port)
{
    struct answer a = {0};
    uint64_t end = clock_now() + PATIENCE;
    while (!ask_proxy(port, &a) && clock_now() < end)
        breathe();
    assert_true(a.pid > 0);
    return a;
}

static inline struct answer start(struct node *n)
{
    launch(n);
    struct answer a = await(n->port);
    for (uint64_t end = clock_now() + PATIENCE; !logged(n, "ready") && clock_now() < end;)
        breathe();
    assert_true(logged(n, "ready"));
    return a;
}

static inline int wait_end(struct node *n)
{
    int status;
    assert_int_equal(waitpid(n->pid, &status, 0), n->pid);
    n->pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static inline int stop(struct node *n)
{
    kill(n->pid, SIGTERM);
    return wait_end(n);
}

static inline void print_log(const struct node *n)
{
    struct buf b = {0};
    if (file_read(n->log, 1 << 20, &b, NULL) == 0)
        print_message(STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
}

static inline int set_up(void **state)
{
    struct node *n = mem_zero(1, sizeof *n);
    make(n);
    *state = n;
    return 0;
}

static inline int tear_down(void **state)
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
static inline void tell(const struct node *n, const char *word, char *line, size_t size)
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

static inline void expect(const struct node *n, const char *word, const char *answer)
{
    char line[512];
    tell(n, word, line, sizeof line);
    if (!strstr(line, answer))
        fail_msg("%s: %s instead of %s", word, line, answer);
}

/* The same, of what may be on its way yet. */
static inline void expect_soon(const struct node *n, const char *word, const char *answer)
{
    char line[512];
    uint64_t end = clock_now() + PATIENCE;
    for (tell(n, word, line, sizeof line); !strstr(line, answer); breathe()) {
        if (clock_now() > end)
            fail_msg("%s: %s instead of %s", word, line, answer);
        tell(n, word, line, sizeof line);
    }
}

static inline long control_pid(const struct node *n)
{
    char line[64];
    unsigned long long epoch;
    long pid;
    tell(n, "state", line, sizeof line);
    assert_int_equal(sscanf(line, "%llu %ld", &epoch, &pid), 2);
    return pid;
}

static inline void await_log(const struct node *n, const char *text)
{
    for (uint64_t end = clock_now() + PATIENCE; !logged(n, text) && clock_now() < end;)
        breathe();
    assert_true(logged(n, text));
}

static inline void copy_program(const struct node *n)
{
    char path[256], to[384], command[1024];
    snprintf(to, sizeof to, "%s/%s", n->directory, fake_program(path));
    snprintf(command, sizeof command, "cp /proc/%ld/exe %s && chmod 755 %s", (long)getpid(), to,
             to);
    assert_int_equal(system(command), 0);
}

static inline void runs_the_copy(const struct node *n, bool yes)
{
    char link[64], path[256] = "";
    snprintf(link, sizeof link, "/proc/%ld/exe", (long)n->pid);
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    assert_int_equal(str_starts(str_of(path), str_of(n->directory)), yes);
}

static inline int run_supervisor(const char *file, const char *state)
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
static inline void own_network(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (unshare(CLONE_NEWNET))
        return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &loopback), 0);
    close(fd);
}

/* This program as one of the processes of a node; -1: as the test. */
static inline int become(int argc, char **argv)
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
    return -1;
}

#endif
