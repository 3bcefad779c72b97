/* floor_epoll: the least that a single-threaded TCP forwarder has to do, with edge-triggered epoll.
 *
 * usage: floor_epoll LISTEN_PORT UPSTREAM_PORT     (both on loopback)
 *
 * A floor to compare proxies with, not a proxy: no time-outs, no limits, no half-close; either end
 * that closes ends both. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <unistd.h>

enum { BUFFER = 32768, MOST = 65536, EVENTS = 256 };

struct side {
    int fd;
    struct side *peer;
    char *buf; /* what the peer sent and this end's socket did not take yet */
    int off, len;
    int dead;
};

static int ep, one = 1;
static char shared[BUFFER];
static struct side *ended[MOST];
static int n_ended;
static struct sockaddr_in upstream;

static void end_pair(struct side *s)
{
    if (s->dead)
        return;
    s->dead = s->peer->dead = 1;
    close(s->fd);
    close(s->peer->fd);
    ended[n_ended++] = s < s->peer ? s : s->peer;
}

/* 1 all is sent, 0 the socket is full, -1 the connection is gone. */
static int flush(struct side *s)
{
    while (s->len) {
        ssize_t n = send(s->fd, s->buf + s->off, (size_t)s->len, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        s->off += (int)n;
        s->len -= (int)n;
    }
    return 1;
}

/* Moves what s has to read to its peer. -1 ends the pair. */
static int pump(struct side *s)
{
    struct side *d = s->peer;
    int r = d->len ? flush(d) : 1;
    if (r <= 0)
        return r;
    for (;;) {
        ssize_t n = recv(s->fd, shared, BUFFER, 0);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        if (n == 0)
            return -1;
        ssize_t w = send(d->fd, shared, (size_t)n, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno != EAGAIN)
                return -1;
            w = 0;
        }
        if (w < n) {
            if (!d->buf && !(d->buf = malloc(BUFFER)))
                return -1;
            memcpy(d->buf, shared + w, (size_t)(n - w));
            d->off = 0;
            d->len = (int)(n - w);
            return 0;
        }
        if (n < BUFFER)
            return 0; /* a short read has drained the socket; EPOLLRDHUP tells of its end */
    }
}

static void watch(struct side *s)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &e);
}

static void take_clients(int listener)
{
    for (int k = 0; k < 64; k++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct side *p = calloc(2, sizeof *p);
        if (!p)
            abort();
        p[0].fd = fd;
        p[1].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        p[0].peer = &p[1];
        p[1].peer = &p[0];
        connect(p[1].fd, (struct sockaddr *)&upstream, sizeof upstream);
        watch(&p[0]);
        watch(&p[1]);
    }
}

static void serve(struct side *s, uint32_t events)
{
    int r = 0;
    if (events & EPOLLOUT && s->len && (r = flush(s)) > 0)
        r = pump(s->peer);
    if (r >= 0 && events & EPOLLIN)
        r = pump(s);
    if (r < 0 || events & (EPOLLERR | EPOLLHUP))
        end_pair(s);
    else if (events & EPOLLRDHUP && (pump(s) < 0 || !s->peer->len))
        end_pair(s);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s LISTEN_PORT UPSTREAM_PORT\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){MOST, MOST});
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    upstream = here;
    upstream.sin_port = htons((in_port_t)atoi(argv[2]));
    ep = epoll_create1(0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) {
        perror("bind");
        return 1;
    }
    epoll_ctl(ep, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
    for (;;) {
        struct epoll_event ev[EVENTS];
        int n = epoll_wait(ep, ev, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct side *s = ev[i].data.ptr;
            if (!s)
                take_clients(listener);
            else if (!s->dead)
                serve(s, ev[i].events);
        }
        while (n_ended) {
            struct side *pair = ended[--n_ended];
            free(pair[0].buf);
            free(pair[1].buf);
            free(pair);
        }
    }
}
