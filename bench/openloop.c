/* openloop: HTTP/1.1 requests at a constant rate, whatever the answers take.
 *
 * usage: openloop PORT PATH RATE SECONDS CONNECTIONS [WARM_UP_SECONDS]     (on loopback)
 *
 * Request number k is due at begin + k / RATE. It is sent then, on the connection that has been
 * idle for longest; when all are busy it waits for one. Its latency counts from when it was due,
 * not from when it was sent: a server that stalls is charged with all the requests that it kept
 * waiting (corrected for coordinated omission). One thread; it sleeps between requests (the timer
 * slack is one nanosecond), because it shares its processor with the backend.
 *
 * Prints one JSON object: microseconds at percentiles, the rate achieved, requests that failed or
 * came too late to be sent at all, and `behind`: at the 99th percentile, how late the generator
 * itself was with requests for which it had a free connection. */
#define _GNU_SOURCE
#include "histogram.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <unistd.h>

enum { MOST = 4096, HEAD = 4096, EVENTS = 256, GRACE_SECONDS = 20 };

struct conn {
    int fd, in_head, head_len;
    uint64_t due; /* of the request under way */
    long body;    /* bytes to come */
    char head[HEAD];
};

struct load {
    int ep, n_conns, request_len;
    char request[512];
    struct sockaddr_in there;
    struct conn *conns[MOST], *idle[MOST];
    unsigned idle_first, idle_count;
    uint64_t begin, measured_from, end, sent, done, failed;
    double interval;
};

static struct histogram latencies, behind;
static char buffer[1 << 17];

static void open_conn(struct load *l, struct conn *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&l->there, sizeof l->there)) {
        perror("connect");
        exit(1);
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = c};
    epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd, &e);
}

static void put_idle(struct load *l, struct conn *c)
{
    l->idle[(l->idle_first + l->idle_count++) % MOST] = c;
}

static struct conn *take_idle(struct load *l)
{
    struct conn *c = l->idle[l->idle_first];
    l->idle_first = (l->idle_first + 1) % MOST;
    l->idle_count--;
    return c;
}

static void fail(struct load *l, struct conn *c)
{
    l->failed++;
    close(c->fd);
    open_conn(l, c);
    put_idle(l, c);
}

static uint64_t due_at(const struct load *l, uint64_t k)
{
    return l->begin + (uint64_t)((double)k * l->interval);
}

/* Sends what is due. `waited` says that the last turn left requests behind for want of a
 * connection: they are the server's to answer for. */
static void send_due(struct load *l, int *waited)
{
    uint64_t now = now_ns(), due;
    while ((due = due_at(l, l->sent)) <= now && due < l->end && l->idle_count) {
        struct conn *c = take_idle(l);
        if (!*waited && due >= l->measured_from)
            histogram_add(&behind, now - due);
        c->due = due;
        c->in_head = 1;
        c->head_len = 0;
        l->sent++;
        if (send(c->fd, l->request, (size_t)l->request_len, MSG_NOSIGNAL) != l->request_len)
            fail(l, c);
    }
    *waited = due <= now && !l->idle_count;
}

/* Bytes of buffer[0..n) that belong to the head, whose length and body are then known; -1. */
static int take_head(struct conn *c, int n)
{
    int before = c->head_len, some = n < HEAD - 1 - before ? n : HEAD - 1 - before;
    memcpy(c->head + before, buffer, (size_t)some);
    c->head_len += some;
    c->head[c->head_len] = 0;
    char *e = strstr(c->head, "\r\n\r\n"), *field = strcasestr(c->head, "\r\ncontent-length:");
    if (!e)
        return c->head_len == HEAD - 1 ? -1 : n;
    if (!field || field > e || strncmp(c->head, "HTTP/1.1 200", 12) != 0)
        return -1;
    c->in_head = 0;
    c->body = atol(field + 17);
    return (int)(e + 4 - c->head) - before;
}

static void readable(struct load *l, struct conn *c)
{
    for (;;) {
        int n = (int)recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        int used = n > 0 && c->in_head ? take_head(c, n) : 0;
        if (n <= 0 || used < 0) {
            fail(l, c);
            return;
        }
        if (c->in_head)
            continue;
        c->body -= n - used;
        if (c->body <= 0) {
            uint64_t now = now_ns();
            if (c->due >= l->measured_from) {
                histogram_add(&latencies, now - c->due);
                l->done++;
            }
            put_idle(l, c);
            return;
        }
    }
}

static void turn(struct load *l)
{
    uint64_t due = due_at(l, l->sent), now = now_ns(), until = due < l->end ? due : l->end;
    struct timespec wait = {.tv_nsec = 10000000};
    if (l->idle_count && until < now)
        wait.tv_nsec = 0;
    else if (l->idle_count && until - now < 10000000)
        wait.tv_nsec = (long)(until - now);
    struct epoll_event ev[EVENTS];
    int n = epoll_pwait2(l->ep, ev, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++)
        readable(l, ev[i].data.ptr);
}

int main(int argc, char **argv)
{
    if (argc < 6 || atoi(argv[5]) < 1 || atoi(argv[5]) > MOST || atof(argv[3]) <= 0) {
        fprintf(stderr, "usage: %s PORT PATH RATE SECONDS CONNECTIONS [WARM_UP_SECONDS]\n",
                argv[0]);
        return 2;
    }
    static struct load l;
    prctl(PR_SET_TIMERSLACK, 1);
    l.there =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[1]))};
    l.there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    l.request_len =
        snprintf(l.request, sizeof l.request, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", argv[2]);
    l.interval = 1e9 / atof(argv[3]);
    l.n_conns = atoi(argv[5]);
    l.ep = epoll_create1(0);
    for (int i = 0; i < l.n_conns; i++) {
        l.conns[i] = calloc(1, sizeof *l.conns[i]);
        if (!l.conns[i])
            abort();
        open_conn(&l, l.conns[i]);
        put_idle(&l, l.conns[i]);
    }
    l.begin = now_ns();
    l.measured_from = l.begin + (uint64_t)((argc > 6 ? atof(argv[6]) : 0) * 1e9);
    l.end = l.measured_from + (uint64_t)(atof(argv[4]) * 1e9);
    int waited = 0;
    uint64_t all = (uint64_t)((double)(l.end - l.begin) / l.interval), now;
    while ((now = now_ns()) < l.end || l.idle_count < (unsigned)l.n_conns ||
           due_at(&l, l.sent) < l.end) {
        if (now > l.end + GRACE_SECONDS * 1000000000ull)
            break;
        send_due(&l, &waited);
        turn(&l);
    }
    uint64_t unanswered = (uint64_t)l.n_conns - l.idle_count,
             unsent = all > l.sent ? all - l.sent : 0;
    double seconds = (double)(now - l.measured_from) / 1e9;
    printf("{\"requests\": %lu, \"rate\": %.1f, \"failed\": %lu, \"missed\": %lu, \"behind\": %.1f",
           l.done, (double)l.done / seconds, l.failed, unanswered + unsent,
           histogram_us(&behind, 0.99));
    histogram_print(&latencies);
    puts("}");
    return 0;
}
