/* jitter: how late a process wakes up on a machine whose processors are busy with other work.
 *
 *   jitter [--seconds 10] [--period-us 10000] [--busy N] [--warm-ms 1000]
 *
 * Sleeps in epoll until a timer fires, as control does, and prints how late it woke up: one whole
 * number of microseconds a line, in the order of their coming (what is late comes in bursts, which
 * a sorted list would hide). A wake-up that is later than a whole period costs the periods that it
 * slept through: they have no line. Meanwhile --busy processes (two for each processor unless told
 * otherwise; 0 for none) compete for the processors, each with work of another kind: arithmetic,
 * memory, system calls, bursts.
 *
 * With --seconds 0 it measures nothing and keeps the machine busy until its standard input ends. */
#include "tool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_MAX = 256, MEMORY = 16 * 1024 * 1024, SPIN = 200000 };

static uint32_t spin(uint32_t x)
{
    for (int i = 0; i < SPIN; i++)
        x = x * 1664525u + 1013904223u;
    return x;
}

static _Noreturn void arithmetic(void)
{
    for (volatile uint32_t x = 1;;)
        x = spin(x);
}

static _Noreturn void memory(void)
{
    char *p = calloc(2, MEMORY);
    if (!p)
        tool_die("memory");
    for (size_t from = 0;; from = MEMORY - from)
        memcpy(p + MEMORY - from, p + from, MEMORY);
}

static _Noreturn void calls(void)
{
    char bytes[4096];
    int in = open("/dev/zero", O_RDONLY), out = open("/dev/null", O_WRONLY);
    while (read(in, bytes, sizeof bytes) > 0 && write(out, bytes, sizeof bytes) > 0)
        ;
    tool_die("/dev/zero");
}

static _Noreturn void bursts(void)
{
    volatile uint32_t x = 1;
    for (;;) {
        for (uint64_t end = tool_now() + 40 * MS_NS; tool_now() < end;)
            x = spin(x);
        usleep(10000);
    }
}

static void keep_busy(uint64_t n)
{
    void (*const kinds[])(void) = {arithmetic, memory, calls, bursts};
    pid_t parent = getpid();
    for (uint64_t i = 0; i < n; i++) {
        pid_t child = fork();
        if (child < 0)
            tool_die("fork");
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == parent)
                kinds[i % 4]();
            _exit(0);
        }
    }
}

static void wait_for_end_of_input(void)
{
    char bytes[64];
    while (read(STDIN_FILENO, bytes, sizeof bytes) > 0)
        ;
}

static struct timespec at(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};
}

static void measure(uint64_t seconds, uint64_t period, uint64_t warm)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (timer < 0 || epoll < 0)
        tool_die("timerfd");
    tool_watch(epoll, timer, EPOLLIN, NULL, true);
    uint64_t due = tool_now() + warm, end = due + seconds * SECOND_NS;
    while (due < end) {
        struct itimerspec when = {.it_value = at(due)};
        struct epoll_event event;
        if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL))
            tool_die("timerfd_settime");
        while (epoll_wait(epoll, &event, 1, -1) != 1)
            ;
        uint64_t now = tool_now();
        printf("%llu\n", (unsigned long long)((now - due) / 1000));
        while (due <= now)
            due += period;
    }
    close(epoll);
    close(timer);
}

int main(int argc, char **argv)
{
    uint64_t processors = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t busy = tool_number(argc, argv, "busy", 2 * processors);
    uint64_t seconds = tool_number(argc, argv, "seconds", 10);
    uint64_t period = tool_number(argc, argv, "period-us", 10000) * 1000;
    if (busy > BUSY_MAX || period == 0) {
        fprintf(stderr, "jitter: --busy is at most %d, --period-us at least 1\n", BUSY_MAX);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* what is killed has told what it saw */
    keep_busy(busy);
    if (seconds == 0)
        wait_for_end_of_input();
    else
        measure(seconds, period, tool_number(argc, argv, "warm-ms", 1000) * MS_NS);
    if (fflush(stdout) || ferror(stdout))
        tool_die("output");
    return 0; /* the busy ones die with their parent */
}
