/* backend: a small, real HTTP/1.1 server that fails on command, for the scenario tests.
 *
 *   backend --listen ADDR --control ADDR --log FILE --name NAME [--service-us N]
 *           [--send-buffer N]
 *
 * --send-buffer N bounds what the kernel keeps of answers that are not read (0: as it likes).
 * Each request's method and X-Request-Id are appended to FILE with one write() as soon as its head
 * is complete and before a byte of an answer: what was delivered can be counted even after kill -9.
 * Any method is answered after the service time with one line "NAME METHOD ID BYTES SUM", the last
 * two about the request's body, so that a client notices an answer that is not its own. Targets:
 *
 *   /health      "ok"                     /chunked...     the line, chunked, with a trailer
 *   /bytes/N     N bytes, all zero        Upgrade: echo   101, then every byte comes back
 *   /noise/N     N bytes, by place
 *
 * The control address takes GET /mode/MODE and GET /stats and is never in a bad mode itself. Modes:
 * normal, error (500 to all, checks included), sick (500, but checks pass), slow (ten times the
 * service time), hang (takes requests, answers when the mode changes), reset, close (both after the
 * head).
 *
 * One thread, level-triggered epoll. A connection lives from accept to conn_close, which defers the
 * free to the end of the turn so that no event of that turn can point to it. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum mode { NORMAL, ERROR, SICK, SLOW, HANG, RESET, CLOSE, MODES };
static const char *const mode_names[MODES] = {"normal", "error", "sick", "slow",
                                              "hang",   "reset", "close"};

enum state { HEAD, BODY, CHUNK_LINE, CHUNK_DATA, CHUNK_END, TRAILER, WAIT, TUNNEL, GONE };

enum { IN_MAX = 64 * 1024, OUT_HIGH = 256 * 1024, NOISE = 16381 };

struct conn {
    int fd;
    bool control, eof, watched_out, ends; /* ends: close once all is written */
    enum state state;
    char *in, *out;
    size_t in_n, out_n, out_at, out_cap;
    /* the request at hand */
    char method[16], target[256], id[80];
    bool close_after, upgrade;
    uint64_t left;  /* of its body or chunk */
    uint64_t bytes; /* of its body so far */
    uint32_t sum;
    uint64_t produce; /* bytes of the answer still to make */
    size_t produced;  /* modulo NOISE */
    bool noise;
    /* waiting for the service time */
    uint64_t due;
    struct conn *prev, *next;
};

struct server {
    int epoll, log;
    const char *name;
    uint64_t service_us;
    int send_buffer;
    enum mode mode;
    struct conn *first, *last; /* waiting, soonest first */
    struct conn *dead;
    struct conn listen, listen_control;
    uint64_t requests, answers, connections, open;
};

static void waiting_remove(struct server *s, struct conn *c)
{
    *(c->prev ? &c->prev->next : &s->first) = c->next;
    *(c->next ? &c->next->prev : &s->last) = c->prev;
    c->prev = c->next = NULL;
}

static void waiting_add(struct server *s, struct conn *c)
{
    struct conn *after = s->last;
    while (after && after->due > c->due)
        after = after->prev;
    c->prev = after;
    c->next = after ? after->next : s->first;
    *(after ? &after->next : &s->first) = c;
    *(c->next ? &c->next->prev : &s->last) = c;
}

static void conn_close(struct server *s, struct conn *c)
{
    if (c->state == GONE)
        return;
    if (c->state == WAIT)
        waiting_remove(s, c);
    close(c->fd);
    c->state = GONE;
    c->next = s->dead;
    s->dead = c;
    s->open--;
}

static void conn_reset(struct server *s, struct conn *c)
{
    struct linger l = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    conn_close(s, c);
}

static void out_add(struct conn *c, const void *p, size_t n)
{
    if (c->out_n + n > c->out_cap) {
        c->out_cap = (c->out_n + n) * 2;
        c->out = realloc(c->out, c->out_cap);
        if (!c->out)
            tool_die("memory");
    }
    memcpy(c->out + c->out_n, p, n);
    c->out_n += n;
}

static void answer(struct conn *c, const char *status, const char *body, bool chunked)
{
    char text[1024];
    const char *closing = c->close_after ? "Connection: close\r\n" : "";
    bool head = strcmp(c->method, "HEAD") == 0;
    size_t n = strlen(body);
    int k = chunked
                ? snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sTransfer-Encoding: chunked\r\n\r\n",
                           status, closing)
                : snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n",
                           status, closing, n);
    out_add(c, text, (size_t)k);
    if (head)
        return;
    if (chunked) {
        k = snprintf(text, sizeof text, "%zx\r\n%s\r\n0\r\nX-Sum: none\r\n\r\n", n, body);
        out_add(c, text, (size_t)k);
    } else {
        out_add(c, body, n);
    }
}

static void mode_set(struct server *s, enum mode m)
{
    bool release = s->mode == HANG && m != HANG;
    s->mode = m;
    for (struct conn *c = s->first; release && c; c = c->next)
        c->due = 0;
}

static void answer_control(struct server *s, struct conn *c)
{
    char text[512];
    if (strncmp(c->target, "/mode/", 6) == 0)
        for (int m = 0; m < MODES; m++)
            if (strcmp(c->target + 6, mode_names[m]) == 0) {
                mode_set(s, (enum mode)m);
                answer(c, "200 OK", mode_names[m], false);
                return;
            }
    if (strcmp(c->target, "/stats") != 0) {
        answer(c, "404 Not Found", "no such mode\n", false);
        return;
    }
    snprintf(text, sizeof text,
             "{\"name\": \"%s\", \"mode\": \"%s\", \"requests\": %llu, \"answers\": %llu, "
             "\"connections\": %llu, \"open\": %llu}\n",
             s->name, mode_names[s->mode], (unsigned long long)s->requests,
             (unsigned long long)s->answers, (unsigned long long)s->connections,
             (unsigned long long)s->open);
    answer(c, "200 OK", text, false);
}

/* The service time is over: writes the answer and makes the connection ready for another. */
static void answer_now(struct server *s, struct conn *c)
{
    char line[512];
    bool health = strcmp(c->target, "/health") == 0;
    c->state = HEAD;
    c->ends = c->close_after;
    s->answers += !c->control;
    if (c->control) {
        answer_control(s, c);
    } else if (s->mode == ERROR || (s->mode == SICK && !health)) {
        answer(c, "500 Internal Server Error", "told to fail\n", false);
    } else if (c->upgrade) {
        const char *h = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                        "Upgrade: echo\r\n\r\n";
        out_add(c, h, strlen(h));
        c->state = TUNNEL;
    } else if (health) {
        answer(c, "200 OK", "ok\n", false);
    } else if (strncmp(c->target, "/bytes/", 7) == 0 || strncmp(c->target, "/noise/", 7) == 0) {
        c->produce = strtoull(c->target + 7, NULL, 10);
        c->noise = c->target[1] == 'n';
        c->produced = 0;
        int k = snprintf(line, sizeof line, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                         (unsigned long long)c->produce);
        out_add(c, line, (size_t)k);
    } else {
        snprintf(line, sizeof line, "%s %s %s %llu %08x\n", s->name, c->method, c->id,
                 (unsigned long long)c->bytes, c->sum);
        answer(c, "200 OK", line, strncmp(c->target, "/chunked", 8) == 0);
    }
}

static void request_complete(struct server *s, struct conn *c)
{
    uint64_t us = s->mode == SLOW ? s->service_us * 10 : s->service_us;
    if (c->control || (us == 0 && s->mode != HANG)) {
        answer_now(s, c);
        return;
    }
    c->state = WAIT;
    c->due = s->mode == HANG ? UINT64_MAX : tool_now() + us * 1000;
    waiting_add(s, c);
}

static void log_delivery(struct server *s, struct conn *c)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%s %s\n", c->method, c->id);
    s->requests++;
    if (c->id[0] && write(s->log, line, (size_t)n) != n)
        tool_die("log");
}

static void read_fields(struct conn *c, size_t head, char *length, size_t size, bool *chunked)
{
    char v[64];
    if (!tool_field(c->in, head, "X-Request-Id", c->id, sizeof c->id))
        c->id[0] = 0;
    bool has_connection = tool_field(c->in, head, "Connection", v, sizeof v);
    c->close_after = has_connection && strcasecmp(v, "close") == 0;
    c->upgrade = has_connection && strcasestr(v, "upgrade") != NULL;
    *chunked = tool_field(c->in, head, "Transfer-Encoding", v, sizeof v);
    if (!tool_field(c->in, head, "Content-Length", length, size))
        memcpy(length, "0", 2);
    if (tool_field(c->in, head, "Expect", v, sizeof v))
        out_add(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* False when the head is not complete. */
static bool head_step(struct server *s, struct conn *c)
{
    char length[32];
    bool chunked;
    size_t head = tool_head_end(c->in, c->in_n);
    if (!head)
        return false;
    if (sscanf(c->in, "%15[^ ] %255[^ ]", c->method, c->target) != 2) {
        conn_reset(s, c);
        return false;
    }
    read_fields(c, head, length, sizeof length, &chunked);
    memmove(c->in, c->in + head, c->in_n -= head);
    c->bytes = 0;
    c->sum = TOOL_FNV;
    c->left = chunked ? 0 : strtoull(length, NULL, 10);
    if (!c->control) {
        log_delivery(s, c);
        if (s->mode == RESET || s->mode == CLOSE) {
            (s->mode == RESET ? conn_reset : conn_close)(s, c);
            return false;
        }
    }
    c->state = chunked ? CHUNK_LINE : BODY;
    if (!chunked && !c->left)
        request_complete(s, c);
    return true;
}

static bool body_step(struct server *s, struct conn *c)
{
    size_t n = c->in_n < c->left ? c->in_n : (size_t)c->left;
    if (!n && c->left)
        return false;
    c->sum = tool_fnv(c->sum, c->in, n);
    c->bytes += n;
    c->left -= n;
    memmove(c->in, c->in + n, c->in_n -= n);
    if (c->left)
        return true;
    if (c->state == CHUNK_DATA)
        c->state = CHUNK_END;
    else
        request_complete(s, c);
    return true;
}

/* The lines of the chunked coding: a size, the end of a chunk, a trailer. */
static bool line_step(struct server *s, struct conn *c)
{
    char *eol = c->in_n ? memchr(c->in, '\n', c->in_n) : NULL;
    if (!eol)
        return false;
    size_t n = (size_t)(eol - c->in) + 1;
    bool empty = n <= 2;
    if (c->state == CHUNK_LINE) {
        c->left = strtoull(c->in, NULL, 16);
        c->state = c->left ? CHUNK_DATA : TRAILER;
    } else if (c->state == CHUNK_END) {
        c->state = CHUNK_LINE;
    }
    bool done = c->state == TRAILER && empty;
    memmove(c->in, c->in + n, c->in_n -= n);
    if (done)
        request_complete(s, c);
    return true;
}

static bool tunnel_step(struct conn *c)
{
    if (!c->in_n || c->out_n - c->out_at > OUT_HIGH)
        return false;
    out_add(c, c->in, c->in_n);
    c->in_n = 0;
    return true;
}

static bool step(struct server *s, struct conn *c)
{
    if (c->produce || c->ends)
        return false;
    switch (c->state) {
    case HEAD: return head_step(s, c);
    case BODY:
    case CHUNK_DATA: return body_step(s, c);
    case CHUNK_LINE:
    case CHUNK_END:
    case TRAILER: return line_step(s, c);
    case TUNNEL: return tunnel_step(c);
    case WAIT:
    case GONE: return false;
    }
    return false;
}

/* Bytes that tell where in the body they are: their period is a prime, no power of two. */
static void make_noise(struct conn *c)
{
    char piece[4096];
    size_t n = c->produce < sizeof piece ? (size_t)c->produce : sizeof piece;
    for (size_t i = 0; i < n; i++) {
        size_t at = c->produced;
        piece[i] = (char)(at * at * 31 + at * 7 + (at >> 7));
        c->produced = at + 1 == NOISE ? 0 : at + 1;
    }
    out_add(c, piece, n);
    c->produce -= n;
}

static void produce(struct conn *c)
{
    static const char filler[16384] = {0};
    while (c->noise && c->produce && c->out_n - c->out_at < OUT_HIGH)
        make_noise(c);
    while (c->produce && c->out_n - c->out_at < OUT_HIGH) {
        size_t n = c->produce < sizeof filler ? (size_t)c->produce : sizeof filler;
        out_add(c, filler, n);
        c->produce -= n;
    }
}

static void flush(struct server *s, struct conn *c)
{
    while (c->state != GONE) {
        produce(c);
        if (c->out_at == c->out_n) {
            c->out_at = c->out_n = 0;
            break;
        }
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            conn_close(s, c);
        else
            c->out_at += (size_t)n;
    }
}

static void go_on(struct server *s, struct conn *c)
{
    while (step(s, c))
        ;
    flush(s, c);
    if (c->state == GONE)
        return;
    bool pending = c->out_n > 0;
    bool over = c->ends || (c->eof && (c->state != TUNNEL || !c->in_n));
    if (over && (!pending || c->state == WAIT)) {
        conn_close(s, c);
        return;
    }
    uint32_t events = (c->in_n < IN_MAX && !c->eof ? EPOLLIN : 0) | (pending ? EPOLLOUT : 0);
    tool_watch(s->epoll, c->fd, events, c, false);
}

static void readable(struct server *s, struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_n, IN_MAX - c->in_n, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        conn_close(s, c);
    else if (n == 0 && c->in_n < IN_MAX)
        c->eof = true;
    else
        c->in[c->in_n += (size_t)n] = 0; /* so that scanf stops */
}

static void accept_all(struct server *s, struct conn *listener)
{
    int fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (s->send_buffer)
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &s->send_buffer, sizeof s->send_buffer);
        struct conn *c = calloc(1, sizeof *c);
        char *in = calloc(1, IN_MAX + 1);
        if (!c || !in)
            tool_die("memory");
        c->fd = fd;
        c->in = in;
        c->control = listener->control;
        s->connections += !c->control;
        s->open++;
        tool_watch(s->epoll, fd, EPOLLIN, c, true);
    }
}

static void bury(struct server *s)
{
    while (s->dead) {
        struct conn *c = s->dead;
        s->dead = c->next;
        free(c->in);
        free(c->out);
        free(c);
    }
}

static int serve_due(struct server *s)
{
    uint64_t now = tool_now();
    while (s->first && s->first->due <= now) {
        struct conn *c = s->first;
        waiting_remove(s, c);
        answer_now(s, c);
        go_on(s, c);
    }
    if (!s->first || s->first->due == UINT64_MAX)
        return -1;
    return (int)((s->first->due - now) / MS_NS) + 1;
}

static void open_listeners(struct server *s, int argc, char **argv)
{
    const char *at = tool_option(argc, argv, "listen"), *ctl = tool_option(argc, argv, "control");
    const char *log = tool_option(argc, argv, "log");
    if (!at || !ctl || !log || !s->name) {
        fprintf(stderr, "usage: backend --listen ADDR --control ADDR --log FILE --name NAME "
                        "[--service-us N]\n");
        exit(2);
    }
    s->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (s->log < 0)
        tool_die(log);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->listen.fd = tool_listen(at);
    s->listen_control.fd = tool_listen(ctl);
    s->listen_control.control = true;
    tool_watch(s->epoll, s->listen.fd, EPOLLIN, &s->listen, true);
    tool_watch(s->epoll, s->listen_control.fd, EPOLLIN, &s->listen_control, true);
}

int main(int argc, char **argv)
{
    struct server s = {.name = tool_option(argc, argv, "name"),
                       .service_us = tool_number(argc, argv, "service-us", 0),
                       .send_buffer = (int)tool_number(argc, argv, "send-buffer", 0)};
    signal(SIGPIPE, SIG_IGN);
    open_listeners(&s, argc, argv);
    for (;;) {
        struct epoll_event e[256];
        int n = epoll_wait(s.epoll, e, 256, serve_due(&s));
        for (int i = 0; i < n; i++) {
            struct conn *c = e[i].data.ptr;
            if (c == &s.listen || c == &s.listen_control) {
                accept_all(&s, c);
                continue;
            }
            if (c->state == GONE)
                continue;
            if (e[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP) && c->in_n < IN_MAX)
                readable(&s, c);
            if (c->state != GONE)
                go_on(&s, c);
        }
        bury(&s);
    }
}
