/* floor_l7: the least that a single-threaded HTTP/1.1 reverse proxy has to do: read the heads, drop
 * Connection, keep connections to the upstream for the next request.
 *
 * usage: floor_l7 LISTEN_PORT UPSTREAM_PORT     (both on loopback)
 *
 * A floor to compare proxies with, not a proxy: GET only, and responses with a Content-Length whose
 * head comes in one read. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <unistd.h>

enum { BUFFER = 32768, MOST = 65536, EVENTS = 256 };

struct conn {
    int fd, to_upstream, dead, close_after;
    struct conn *peer;
    char *in; /* a head that is not complete yet */
    int in_len;
    char *out; /* what the socket did not take yet */
    int out_len, out_off;
    long body; /* of the response: bytes to come */
    int in_head;
};

static int ep, one = 1;
static struct sockaddr_in upstream;
static struct conn *pool[MOST], *ended[MOST];
static int n_pool, n_ended;
static char head[BUFFER + 4096], got[BUFFER];

static void end(struct conn *c)
{
    if (c->dead)
        return;
    c->dead = 1;
    close(c->fd);
    ended[n_ended++] = c;
}

static void end_both(struct conn *c)
{
    struct conn *p = c->peer;
    if (p) {
        p->peer = c->peer = NULL;
        end(p);
    } else if (c->to_upstream) {
        for (int i = 0; i < n_pool; i++) {
            if (pool[i] == c) {
                pool[i] = pool[--n_pool];
                break;
            }
        }
    }
    end(c);
}

static int put(struct conn *c, const char *bytes, int n)
{
    if (c->out_len) {
        char *more = realloc(c->out, (size_t)(c->out_off + c->out_len + n));
        if (!more)
            return -1;
        c->out = more;
        memcpy(c->out + c->out_off + c->out_len, bytes, (size_t)n);
        c->out_len += n;
        return 0;
    }
    int w = (int)send(c->fd, bytes, (size_t)n, MSG_NOSIGNAL);
    if (w < 0) {
        if (errno != EAGAIN && errno != ENOTCONN)
            return -1;
        w = 0;
    }
    if (w < n) {
        free(c->out);
        if (!(c->out = malloc((size_t)(n - w))))
            return -1;
        memcpy(c->out, bytes + w, (size_t)(n - w));
        c->out_off = 0;
        c->out_len = n - w;
    }
    return 0;
}

static struct conn *conn_new(int fd, int to_upstream)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->fd = fd;
    c->to_upstream = to_upstream;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    return c;
}

static struct conn *take_upstream(void)
{
    if (n_pool)
        return pool[--n_pool];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(fd, (struct sockaddr *)&upstream, sizeof upstream);
    return conn_new(fd, 1);
}

/* Forwards the request head at the start of b. Bytes used, 0 when it is not complete, -1. */
static int forward_request(struct conn *c, const char *b, int n)
{
    const char *e = memmem(b, (size_t)n, "\r\n\r\n", 4);
    if (!e)
        return n >= BUFFER ? -1 : 0;
    char *o = head;
    c->close_after = 0;
    for (const char *p = b, *l; p < e + 2; p = l + 1) {
        l = memchr(p, '\n', (size_t)(e + 2 - p));
        const char *colon = memchr(p, ':', (size_t)(l - p));
        if (colon && colon - p == 10 && !strncasecmp(p, "connection", 10)) {
            if (memmem(colon, (size_t)(l - colon), "lose", 4))
                c->close_after = 1;
            continue;
        }
        if (!colon && p != b)
            return -1;
        memcpy(o, p, (size_t)(l + 1 - p));
        o += l + 1 - p;
    }
    *o++ = '\r';
    *o++ = '\n';
    struct conn *s = take_upstream();
    c->peer = s;
    s->peer = c;
    s->in_head = 1;
    return put(s, head, (int)(o - head)) < 0 ? -1 : (int)(e + 4 - b);
}

static int client_readable(struct conn *c)
{
    if (c->peer)
        return 0; /* one request at a time */
    int r = (int)recv(c->fd, got, BUFFER, 0);
    if (r <= 0)
        return r < 0 && errno == EAGAIN ? 0 : -1;
    char *b = got;
    int n = r;
    if (c->in_len) {
        char *more = realloc(c->in, (size_t)(c->in_len + r));
        if (!more)
            return -1;
        c->in = more;
        memcpy(c->in + c->in_len, got, (size_t)r);
        b = c->in;
        n = c->in_len + r;
    }
    int used = forward_request(c, b, n);
    if (used < 0)
        return -1;
    if (used < n) {
        char *rest = malloc((size_t)(n - used));
        if (!rest)
            return -1;
        memcpy(rest, b + used, (size_t)(n - used));
        free(c->in);
        c->in = rest;
    }
    c->in_len = n - used;
    return 0;
}

/* The Content-Length of the response head in got[0..n), and where its body starts; -1. */
static long response_length(int n, int *head_len)
{
    const char *e = memmem(got, (size_t)n, "\r\n\r\n", 4);
    if (!e)
        return -1;
    *head_len = (int)(e + 4 - got);
    for (const char *p = got, *l; p < e + 2; p = l + 1) {
        l = memchr(p, '\n', (size_t)(e + 2 - p));
        const char *colon = memchr(p, ':', (size_t)(l - p));
        if (colon && colon - p == 14 && !strncasecmp(p, "content-length", 14))
            return atol(colon + 1);
    }
    return -1;
}

/* Sends got[0..n) on; the head of a last response says that it is one. */
static int put_response(struct conn *c, int first, int n)
{
    static const char close_field[] = "Connection: close\r\n";
    if (!first || !c->close_after)
        return put(c, got, n);
    int line = (int)((char *)memchr(got, '\n', (size_t)n) + 1 - got);
    memcpy(head, got, (size_t)line);
    memcpy(head + line, close_field, sizeof close_field - 1);
    memcpy(head + line + sizeof close_field - 1, got + line, (size_t)(n - line));
    return put(c, head, n + (int)sizeof close_field - 1);
}

static int upstream_readable(struct conn *s)
{
    struct conn *c = s->peer;
    if (!c)
        return -1;
    for (;;) {
        if (c->out_len)
            return 0;
        int r = (int)recv(s->fd, got, BUFFER, 0);
        if (r <= 0)
            return r < 0 && errno == EAGAIN ? 0 : -1;
        int first = s->in_head;
        if (first) {
            int head_len = 0;
            long length = response_length(r, &head_len);
            if (length < 0)
                return -1;
            s->in_head = 0;
            s->body = length - (r - head_len);
        } else {
            s->body -= r;
        }
        if (put_response(c, first, r) < 0)
            return -1;
        if (s->body <= 0) {
            c->peer = s->peer = NULL;
            pool[n_pool++] = s;
            if (c->close_after && !c->out_len)
                end(c);
            return 0;
        }
        if (r < BUFFER)
            return 0;
    }
}

/* The socket takes more. -1 ends both, 1 when c is done for. */
static int writable(struct conn *c)
{
    while (c->out_len) {
        ssize_t w = send(c->fd, c->out + c->out_off, (size_t)c->out_len, MSG_NOSIGNAL);
        if (w < 0)
            return errno == EAGAIN ? 0 : -1;
        c->out_off += (int)w;
        c->out_len -= (int)w;
    }
    if (!c->to_upstream && c->peer)
        return upstream_readable(c->peer);
    if (!c->to_upstream && c->close_after) {
        end(c);
        return 1;
    }
    return 0;
}

static void serve(struct conn *c, uint32_t events)
{
    int r = events & EPOLLOUT && c->out_len ? writable(c) : 0;
    if (r == 0 && events & EPOLLIN)
        r = c->to_upstream ? upstream_readable(c) : client_readable(c);
    if (!c->dead && (r < 0 || events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)))
        end_both(c);
}

static void take_clients(int listener)
{
    for (int k = 0; k < 64; k++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        conn_new(fd, 0);
    }
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
            struct conn *c = ev[i].data.ptr;
            if (!c)
                take_clients(listener);
            else if (!c->dead)
                serve(c, ev[i].events);
        }
        while (n_ended) {
            struct conn *c = ended[--n_ended];
            free(c->in);
            free(c->out);
            free(c);
        }
    }
}
