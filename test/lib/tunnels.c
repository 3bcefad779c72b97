/* tunnels: keeps many upgraded connections open and notices when one is cut or stalls.
 *
 *   tunnels --to ADDR [--count 100] [--every-ms 50] [--stall-ms 2000]
 *
 * Each tunnel is a GET with "Upgrade: echo"; after the 101 it sends its number and a rising
 * sequence number every --every-ms and expects the very bytes back. Lines on stdin as load.c:
 * "snapshot" and "stop" (or end of file) answer with one line of figures:
 *   open (now), opened (ever), refused (no 101), cut (ended by the other side),
 *   garbled (other bytes came back), stalled (no echo for --stall-ms, now or once), echoes,
 * max_gap_us
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE = 16 };
enum state { OPENING, ASKING, OPEN, OVER };

struct tunnel {
    int fd;
    enum state state;
    bool stalled;
    uint32_t number, sent, echoed;
    uint64_t next_at, last_echo;
    char in[4096];
    size_t in_n;
};

struct run {
    int epoll;
    uint64_t count, every, stall;
    uint64_t opened, refused, cut, garbled, stalled, echoes, max_gap;
    bool stopping;
    struct tunnel *tunnels;
    struct tool_lines lines;
};

static void message(const struct tunnel *t, uint32_t sequence, char *to)
{
    char text[MESSAGE + 1];
    snprintf(text, sizeof text, "%07u %07u\n", t->number % 10000000, sequence % 10000000);
    memcpy(to, text, MESSAGE);
}

static void over(struct tunnel *t, uint64_t *why)
{
    close(t->fd);
    t->fd = -1;
    t->state = OVER;
    ++*why;
}

static void ended(struct run *r, struct tunnel *t)
{
    over(t, t->state == OPEN ? &r->cut : &r->refused);
}

static void ask(struct run *r, struct tunnel *t)
{
    static const char request[] = "GET /tunnel HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\n"
                                  "Upgrade: echo\r\n\r\n";
    if (tool_connect_result(t->fd) ||
        send(t->fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1) {
        ended(r, t);
        return;
    }
    t->state = ASKING;
    tool_watch(r->epoll, t->fd, EPOLLIN, t, false);
}

static void read_answer(struct run *r, struct tunnel *t)
{
    size_t head = tool_head_end(t->in, t->in_n);
    if (!head)
        return;
    if (memcmp(t->in, "HTTP/1.1 101", 12) != 0) {
        ended(r, t);
        return;
    }
    memmove(t->in, t->in + head, t->in_n -= head);
    t->state = OPEN;
    t->last_echo = t->next_at = tool_now();
    r->opened++;
}

static void read_echoes(struct run *r, struct tunnel *t)
{
    char want[MESSAGE];
    size_t at = 0;
    uint64_t now = tool_now();
    for (; t->in_n - at >= MESSAGE; at += MESSAGE) {
        message(t, t->echoed, want);
        if (t->echoed == t->sent || memcmp(t->in + at, want, MESSAGE) != 0) {
            over(t, &r->garbled);
            return;
        }
        t->echoed++;
        r->echoes++;
        r->max_gap = now - t->last_echo > r->max_gap ? now - t->last_echo : r->max_gap;
        t->last_echo = now;
    }
    memmove(t->in, t->in + at, t->in_n -= at);
}

static void on_event(struct run *r, struct tunnel *t)
{
    if (t->state == OPENING) {
        ask(r, t);
        return;
    }
    ssize_t n = recv(t->fd, t->in + t->in_n, sizeof t->in - t->in_n, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        ended(r, t);
        return;
    }
    t->in_n += (size_t)n;
    if (t->state == ASKING)
        read_answer(r, t);
    if (t->state == OPEN)
        read_echoes(r, t);
}

static void send_due(struct run *r, struct tunnel *t, uint64_t now)
{
    char bytes[MESSAGE];
    if (t->state != OPEN)
        return;
    if (now - t->last_echo > r->stall && !t->stalled) {
        t->stalled = true;
        r->stalled++;
    }
    if (t->next_at > now)
        return;
    message(t, t->sent, bytes);
    ssize_t n = send(t->fd, bytes, MESSAGE, MSG_NOSIGNAL);
    if (n == MESSAGE)
        t->sent++;
    else if (n >= 0 || errno != EAGAIN)
        ended(r, t);
    t->next_at = now + r->every;
}

static void print_figures(struct run *r)
{
    uint64_t open = 0;
    for (uint64_t i = 0; i < r->count; i++)
        open += r->tunnels[i].state == OPEN;
    printf(
        "{\"open\": %llu, \"opened\": %llu, \"refused\": %llu, \"cut\": %llu, \"garbled\": %llu, "
        "\"stalled\": %llu, \"echoes\": %llu, \"max_gap_us\": %llu}\n",
        (unsigned long long)open, (unsigned long long)r->opened, (unsigned long long)r->refused,
        (unsigned long long)r->cut, (unsigned long long)r->garbled, (unsigned long long)r->stalled,
        (unsigned long long)r->echoes, (unsigned long long)r->max_gap / 1000);
    fflush(stdout);
}

static void on_line(void *arg, char *text)
{
    struct run *r = arg;
    if (strcmp(text, "snapshot") == 0)
        print_figures(r);
    else if (strcmp(text, "stop") == 0)
        r->stopping = true;
}

static void open_all(struct run *r, const char *to)
{
    for (uint64_t i = 0; i < r->count; i++) {
        struct tunnel *t = &r->tunnels[i];
        t->number = (uint32_t)i;
        t->fd = tool_connect(to);
        if (t->fd < 0) {
            t->state = OVER;
            r->refused++;
        } else {
            tool_watch(r->epoll, t->fd, EPOLLOUT, t, true);
        }
    }
}

static void run(struct run *r)
{
    while (!r->stopping) {
        struct epoll_event e[256];
        int n = epoll_wait(r->epoll, e, 256, 5);
        for (int i = 0; i < n; i++) {
            struct tunnel *t = e[i].data.ptr;
            if (!t)
                r->stopping |= !tool_lines_read(&r->lines, on_line, r);
            else if (t->fd >= 0)
                on_event(r, t);
        }
        uint64_t now = tool_now();
        for (uint64_t i = 0; i < r->count; i++)
            send_due(r, &r->tunnels[i], now);
    }
}

int main(int argc, char **argv)
{
    const char *to = tool_option(argc, argv, "to");
    struct run r = {.count = tool_number(argc, argv, "count", 100),
                    .every = tool_number(argc, argv, "every-ms", 50) * MS_NS,
                    .stall = tool_number(argc, argv, "stall-ms", 2000) * MS_NS};
    if (!to || !r.count) {
        fprintf(stderr, "usage: tunnels --to ADDR [--count N] [--every-ms N] [--stall-ms N]\n");
        return 2;
    }
    r.epoll = epoll_create1(EPOLL_CLOEXEC);
    r.tunnels = calloc(r.count, sizeof *r.tunnels);
    if (!r.tunnels)
        tool_die("memory");
    signal(SIGPIPE, SIG_IGN);
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    tool_watch(r.epoll, STDIN_FILENO, EPOLLIN, NULL, true);
    open_all(&r, to);
    run(&r);
    print_figures(&r);
    free(r.tunnels);
    return 0;
}
