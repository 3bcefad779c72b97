/* storm: very many short connections: connect, one request, the answer, the server's close.
 *
 * usage: storm PORT PATH TOTAL CONCURRENCY     (on loopback)
 *
 * After each tenth of them one line of JSON: the latencies of that tenth in microseconds, from
 * connect to the close, its seconds, and how many failed. Then it waits for a line on standard
 * input: whoever watches the server measures it meanwhile, at rest. The source addresses rotate,
 * for there are more connections than ports. */
#define _GNU_SOURCE
#include "histogram.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <unistd.h>

enum { MOST = 1024, EVENTS = 256, SOURCES = 16, TENTHS = 10 };

struct conn {
    int fd, asked, answered;
    uint64_t begun;
};

struct storm {
    int ep, request_len;
    char request[512];
    struct sockaddr_in there;
    struct conn conns[MOST];
    uint64_t begun, done, failed;
    struct histogram latencies;
};

static int start(struct storm *s, struct conn *c)
{
    int one = 1;
    struct sockaddr_in here = {.sin_family = AF_INET};
    here.sin_addr.s_addr = htonl((in_addr_t)(0x7f000100u + s->begun++ % SOURCES + 1));
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->asked = c->answered = 0;
    c->begun = now_ns();
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&here, sizeof here) ||
        (connect(c->fd, (struct sockaddr *)&s->there, sizeof s->there) && errno != EINPROGRESS))
        return -1;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    return epoll_ctl(s->ep, EPOLL_CTL_ADD, c->fd, &e);
}

static void finish(struct storm *s, struct conn *c, int well)
{
    if (well)
        histogram_add(&s->latencies, now_ns() - c->begun);
    else
        s->failed++;
    s->done++;
    close(c->fd);
    c->fd = -1;
}

static void serve(struct storm *s, struct conn *c, uint32_t events)
{
    static char buffer[1 << 16];
    if (events & EPOLLOUT && !c->asked) {
        c->asked = 1;
        if (send(c->fd, s->request, (size_t)s->request_len, MSG_NOSIGNAL) != s->request_len) {
            finish(s, c, 0);
            return;
        }
    }
    ssize_t n;
    while ((n = recv(c->fd, buffer, sizeof buffer, 0)) > 0) {
        if (!c->answered)
            c->answered = n > 12 && !memcmp(buffer, "HTTP/1.1 200", 12);
    }
    if (n == 0 || errno != EAGAIN)
        finish(s, c, n == 0 && c->answered);
}

/* As many at a time as there are slots, until so many are done in all. */
static void run(struct storm *s, uint64_t until, int concurrency)
{
    while (s->done < until) {
        for (int i = 0; i < concurrency && s->begun < until; i++) {
            if (s->conns[i].fd < 0 && start(s, &s->conns[i])) {
                perror("connect");
                finish(s, &s->conns[i], 0);
            }
        }
        struct epoll_event ev[EVENTS];
        int n = epoll_wait(s->ep, ev, EVENTS, 1000);
        for (int i = 0; i < n; i++)
            serve(s, ev[i].data.ptr, ev[i].events);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5 || atoi(argv[4]) < 1 || atoi(argv[4]) > MOST) {
        fprintf(stderr, "usage: %s PORT PATH TOTAL CONCURRENCY\n", argv[0]);
        return 2;
    }
    static struct storm s;
    s.there =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[1]))};
    s.there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s.request_len =
        snprintf(s.request, sizeof s.request,
                 "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", argv[2]);
    s.ep = epoll_create1(0);
    for (int i = 0; i < MOST; i++)
        s.conns[i].fd = -1;
    uint64_t total = strtoull(argv[3], NULL, 10);
    for (int tenth = 1; tenth <= TENTHS; tenth++) {
        uint64_t begun = now_ns();
        s.failed = 0;
        memset(&s.latencies, 0, sizeof s.latencies);
        run(&s, total * (unsigned)tenth / TENTHS, atoi(argv[4]));
        printf("{\"connections\": %lu, \"seconds\": %.3f, \"failed\": %lu", s.latencies.total,
               (double)(now_ns() - begun) / 1e9, s.failed);
        histogram_print(&s.latencies);
        puts("}");
        fflush(stdout);
        if (getchar() == EOF)
            return 1;
    }
    return 0;
}
