/* attack: what a server must survive, for the scenario tests.
 *
 *   attack --to ADDR --how HOW [--count 100] [--at-once COUNT] [--rate 2000] [--every-ms 1000]
 *          [--again 0] [--bytes 1000000]
 *
 *   idle     connects and says nothing
 *   loris    sends a request's head one byte every --every-ms, and never ends it
 *   drip     a whole head, then one byte of a body of --bytes every --every-ms
 *   read     asks for /bytes/BYTES and reads one byte every --every-ms, with a small window
 *   abort    sends a head and the beginning of a body of --bytes, then resets; --count times
 *   fields   sends header fields without end
 *   body     sends a body of --bytes as fast as it can
 *
 * --at-once connections are open at a time, --rate are opened a second at most; --again 1 opens
 * another for each that ends. Lines on stdin as load.c: "snapshot" and "stop" (or end of file)
 * answer with one line of figures: open (now), opened (ever), refused (not connected), ended (by
 * the other side), answered (of those: with a status first), done (over as planned), sent (bytes)
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum how { IDLE, LORIS, DRIP, READ, ABORT, FIELDS, BODY, HOWS };
static const char *const names[HOWS] = {"idle", "loris", "drip", "read", "abort", "fields", "body"};

enum { CHUNK = 16 * 1024, WINDOW = 4096 };

struct conn {
    int fd; /* -1: none */
    bool open, spoken;
    uint64_t next_at, sent;
};

struct run {
    const char *to;
    int epoll;
    enum how how;
    uint64_t count, at_once, rate, every, again, bytes;
    uint64_t started, begun, open, opened, refused, ended, answered, done, sent;
    bool stopping;
    struct conn *conns;
    char chunk[CHUNK];
    struct tool_lines lines;
};

static void leave(struct run *r, struct conn *c, bool reset)
{
    struct linger now = {1, 0};
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c->fd);
    r->open -= c->open;
    c->fd = -1;
    c->open = false;
}

static void ended(struct run *r, struct conn *c, bool answered)
{
    if (c->open) {
        r->ended++;
        r->answered += answered;
    } else {
        r->refused++;
    }
    leave(r, c, false);
}

static void start(struct run *r, struct conn *c)
{
    *c = (struct conn){.fd = tool_connect(r->to)};
    r->begun++;
    if (c->fd < 0) {
        r->refused++;
        return;
    }
    int small = WINDOW;
    if (r->how == READ)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    tool_watch(r->epoll, c->fd, EPOLLOUT, c, true);
}

/* False: it ended. */
static bool say(struct run *r, struct conn *c, const char *p, size_t n)
{
    ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN)
        return true;
    if (sent < 0) {
        ended(r, c, false);
        return false;
    }
    c->sent += (uint64_t)sent;
    r->sent += (uint64_t)sent;
    return true;
}

static size_t opening(const struct run *r, char *to, size_t size)
{
    const char *method = r->how == READ || r->how == LORIS || r->how == FIELDS ? "GET" : "POST";
    int n = snprintf(to, size, "%s /", method);
    if (r->how == READ)
        n += snprintf(to + n, size - (size_t)n, "bytes/%llu", (unsigned long long)r->bytes);
    n += snprintf(to + n, size - (size_t)n, " HTTP/1.1\r\nHost: test\r\n");
    if (r->how == LORIS || r->how == FIELDS)
        return (size_t)n;
    if (r->how != READ)
        n += snprintf(to + n, size - (size_t)n, "Content-Length: %llu\r\n",
                      (unsigned long long)r->bytes);
    return (size_t)(n + snprintf(to + n, size - (size_t)n, "\r\n"));
}

static void connected(struct run *r, struct conn *c, uint64_t now)
{
    char head[256];
    if (tool_connect_result(c->fd)) {
        ended(r, c, false);
        return;
    }
    c->open = true;
    r->open++;
    r->opened++;
    /* spread over the interval */
    c->next_at = now + r->every * ((uint64_t)(c - r->conns) % 100) / 100;
    bool flood = r->how == FIELDS || r->how == BODY;
    tool_watch(r->epoll, c->fd,
               flood            ? EPOLLIN | EPOLLOUT
               : r->how == READ ? EPOLLRDHUP
                                : EPOLLIN,
               c, false);
    if (r->how == IDLE || !say(r, c, head, opening(r, head, sizeof head)) || r->how != ABORT)
        return;
    if (!say(r, c, r->chunk, sizeof r->chunk))
        return;
    r->done++;
    leave(r, c, true);
}

static void on_readable(struct run *r, struct conn *c)
{
    char bytes[4096];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    ended(r, c, n > 8 && memcmp(bytes, "HTTP/1.1", 8) == 0);
}

static void pour(struct run *r, struct conn *c)
{
    if (r->how == BODY && c->sent >= r->bytes)
        return;
    say(r, c, r->chunk, sizeof r->chunk);
}

static void on_event(struct run *r, struct conn *c, uint32_t events, uint64_t now)
{
    if (!c->open)
        connected(r, c, now);
    else if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) && r->how == READ)
        ended(r, c, false);
    else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(r, c);
    else if (events & EPOLLOUT)
        pour(r, c);
}

static void step(struct run *r, struct conn *c, uint64_t now)
{
    char byte;
    if (!c->open || now < c->next_at)
        return;
    c->next_at = now + r->every;
    if (r->how == LORIS)
        say(r, c, c->spoken ? "a" : "X-Slow: a", c->spoken ? 1 : 9);
    else if (r->how == DRIP)
        say(r, c, "a", 1);
    else if (r->how == READ && recv(c->fd, &byte, 1, MSG_DONTWAIT) == 0)
        ended(r, c, false);
    c->spoken = true;
}

static void print_figures(const struct run *r)
{
    printf("{\"open\": %llu, \"opened\": %llu, \"refused\": %llu, \"ended\": %llu, "
           "\"answered\": %llu, \"done\": %llu, \"sent\": %llu}\n",
           (unsigned long long)r->open, (unsigned long long)r->opened,
           (unsigned long long)r->refused, (unsigned long long)r->ended,
           (unsigned long long)r->answered, (unsigned long long)r->done,
           (unsigned long long)r->sent);
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

static void start_more(struct run *r)
{
    uint64_t due = (tool_now() - r->started) * r->rate / SECOND_NS;
    for (uint64_t i = 0; i < r->at_once && r->begun < due; i++)
        if (r->conns[i].fd < 0 && (r->begun < r->count || r->again))
            start(r, &r->conns[i]);
}

static void run(struct run *r)
{
    while (!r->stopping) {
        struct epoll_event e[256];
        start_more(r);
        int n = epoll_wait(r->epoll, e, 256, 5);
        uint64_t now = tool_now();
        for (int i = 0; i < n; i++) {
            struct conn *c = e[i].data.ptr;
            if (!c)
                r->stopping |= !tool_lines_read(&r->lines, on_line, r);
            else if (c->fd >= 0)
                on_event(r, c, e[i].events, now);
        }
        for (uint64_t i = 0; i < r->at_once; i++)
            step(r, &r->conns[i], now);
    }
}

static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        tool_die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        tool_die("setrlimit");
}

/* Header fields of 16 bytes each; as a body it is as good as any. */
static void fill(char *chunk)
{
    for (int i = 0; i < CHUNK; i += 16)
        memcpy(chunk + i, "X-Flood: 123456\n", 16);
}

int main(int argc, char **argv)
{
    const char *how = tool_option(argc, argv, "how");
    struct run r = {.to = tool_option(argc, argv, "to"),
                    .count = tool_number(argc, argv, "count", 100),
                    .rate = tool_number(argc, argv, "rate", 2000),
                    .started = tool_now(),
                    .every = tool_number(argc, argv, "every-ms", 1000) * MS_NS,
                    .again = tool_number(argc, argv, "again", 0),
                    .bytes = tool_number(argc, argv, "bytes", 1000000)};
    r.at_once = tool_number(argc, argv, "at-once", r.count);
    while (how && r.how < HOWS && strcmp(how, names[r.how]) != 0)
        r.how++;
    if (!r.to || !how || r.how == HOWS || !r.at_once) {
        fprintf(stderr, "usage: attack --to ADDR --how HOW [--count N] [--at-once N] ...\n");
        return 2;
    }
    raise_limit();
    fill(r.chunk);
    r.epoll = epoll_create1(EPOLL_CLOEXEC);
    r.conns = calloc(r.at_once, sizeof *r.conns);
    if (!r.conns)
        tool_die("memory");
    for (uint64_t i = 0; i < r.at_once; i++)
        r.conns[i].fd = -1;
    signal(SIGPIPE, SIG_IGN);
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    tool_watch(r.epoll, STDIN_FILENO, EPOLLIN, NULL, true);
    run(&r);
    print_figures(&r);
    free(r.conns);
    return 0;
}
