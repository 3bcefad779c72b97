#include "discover/ask.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 2 };

#define SOON_NS NS_PER_MS /* until the next attempt: done is never called from ask_start */

static void close_socket(struct ask *a)
{
    loop_io_stop(a->loop, &a->io);
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    a->connected = false;
    a->sent = 0;
    buf_clear(&a->in);
}

bool ask_runs(const struct ask *a)
{
    return timer_is_set(&a->timer);
}

void ask_stop(struct ask *a)
{
    close_socket(a);
    loop_timer_stop(a->loop, &a->timer);
    buf_free(&a->in);
    buf_free(&a->out);
}

static const struct addr *server_of(const struct ask *a)
{
    return &a->servers.list[a->attempt % a->servers.n];
}

static void finish(struct ask *a, int rc, struct str message)
{
    struct buf in = a->in; /* it may hold the message */
    char why[sizeof a->last.text];
    str_copy(why, sizeof why, str_of(a->last.text));
    a->in = (struct buf){0};
    ask_stop(a);
    a->done(a, rc, message, why);
    buf_free(&in);
}

static void note(struct ask *a, const char *what)
{
    char text[ADDR_TEXT_MAX];
    addr_format(server_of(a), text);
    err_set(&a->last, ERR_IO, "%s %s", text, what);
}

/* Another server, or the same one once more; at the next turn of the loop. */
static void next_attempt(struct ask *a, const char *what)
{
    note(a, what);
    close_socket(a);
    a->attempt++;
    a->tcp = false;
    loop_timer_set(a->loop, &a->timer, loop_now(a->loop) + SOON_NS);
}

/* ---- what came ---- */

/* True: the question is over, or another attempt has begun. */
static bool take(struct ask *a, struct str message)
{
    struct dns_result r;
    const char *why = NULL;
    if (dns_answer(message, a->head.id, &a->question, NULL, NULL, &r, &why))
        return false; /* forged, or nonsense: the real answer may still come */
    if (r.truncated && !a->tcp) {
        close_socket(a);
        a->tcp = true;
        loop_timer_set(a->loop, &a->timer, loop_now(a->loop) + SOON_NS);
    } else if (r.rcode == DNS_NOERROR || r.rcode == DNS_NXDOMAIN) {
        finish(a, 0, message);
    } else {
        char what[64] = "answers ";
        strcat(what, dns_rcode_name(r.rcode));
        a->plain |= r.rcode == DNS_FORMERR || r.rcode == DNS_NOTIMP;
        next_attempt(a, what);
    }
    return true;
}

static void read_datagrams(struct ask *a)
{
    char bytes[ASK_DATAGRAM_MAX];
    for (;;) {
        int n = net_datagram_receive(a->fd, bytes, sizeof bytes, NULL);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            next_attempt(a, strerror(-n));
            return;
        }
        if (take(a, (struct str){bytes, (size_t)n}))
            return;
    }
}

/* ---- TCP: two bytes of length before each message (RFC 1035, section 4.2.2) ---- */

static bool connected(struct ask *a)
{
    if (a->connected)
        return true;
    int error = net_connect_result(a->fd);
    if (error == EINPROGRESS || error == EAGAIN)
        return false;
    if (error) {
        next_attempt(a, strerror(error));
        return false;
    }
    a->connected = true;
    return true;
}

static bool write_stream(struct ask *a)
{
    size_t n = a->out.n;
    uint8_t length[2] = {(uint8_t)(n >> 8), (uint8_t)n};
    while (a->sent < n + 2) {
        const char *p = a->sent < 2 ? (const char *)length + a->sent : a->out.p + a->sent - 2;
        size_t left = a->sent < 2 ? 2 - a->sent : n + 2 - a->sent;
        ssize_t w = send(a->fd, p, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno != EAGAIN) {
            next_attempt(a, strerror(errno));
            return false;
        }
        if (w < 0)
            return true;
        a->sent += (size_t)w;
    }
    return true;
}

static void read_stream(struct ask *a)
{
    for (;;) {
        if (!buf_reserve(&a->in, 4096)) {
            next_attempt(a, "answers more than memory can hold");
            return;
        }
        ssize_t n = recv(a->fd, a->in.p + a->in.n, a->in.cap - a->in.n, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            next_attempt(a, "closed the connection");
            return;
        }
        a->in.n += (size_t)n;
        if (a->in.n < 2)
            continue;
        size_t want = (size_t)((uint8_t)a->in.p[0] << 8 | (uint8_t)a->in.p[1]);
        if (a->in.n < want + 2)
            continue;
        if (!take(a, (struct str){a->in.p + 2, want}))
            next_attempt(a, "answers another question over TCP");
        return;
    }
}

static void on_ready(struct io *io, unsigned ready)
{
    struct ask *a = CONTAINER_OF(io, struct ask, io);
    if (!a->tcp)
        read_datagrams(a);
    else if (connected(a) && write_stream(a) && (ready & (IO_READ | IO_HANGUP)))
        read_stream(a);
}

/* ---- attempts ---- */

static bool write_question(struct ask *a)
{
    struct dns_writer w;
    entropy(&a->head.id, sizeof a->head.id);
    buf_clear(&a->out);
    dns_begin(&w, &a->out, &a->head, DNS_UDP_PLAIN);
    dns_put_question(&w, &a->question);
    if (!a->plain && !a->tcp)
        dns_put_opt(&w, DNS_UDP_ASK);
    return dns_end(&w);
}

static void attempt(struct ask *a)
{
    struct err e = {0};
    a->plain |= a->attempt >= a->servers.n;
    if (!write_question(a)) {
        err_set(&a->last, ERR_NOMEM, "no memory for a question");
        finish(a, -ERR_NOMEM, STR(""));
        return;
    }
    a->fd = a->tcp ? net_connect(server_of(a), &e) : net_datagram_connect(server_of(a), &e);
    if (a->fd < 0 || loop_io_start(a->loop, &a->io, a->fd, &e)) {
        next_attempt(a, "cannot be asked");
        a->last = e; /* says why */
        return;
    }
    loop_timer_set(a->loop, &a->timer, loop_now(a->loop) + a->servers.timeout);
    if (a->tcp)
        return;
    int r = net_datagram_send(a->fd, a->out.p, a->out.n, NULL);
    if (r < 0)
        next_attempt(a, strerror(-r));
}

static void on_timer(struct timer *t)
{
    struct ask *a = CONTAINER_OF(t, struct ask, timer);
    if (a->fd >= 0) {
        next_attempt(a, "does not answer");
        return;
    }
    if (a->attempt < a->servers.n * ROUNDS)
        attempt(a);
    else
        finish(a, -ERR_TIMEOUT, STR(""));
}

void ask_init(struct ask *a, struct loop *l,
              void (*done)(struct ask *a, int rc, struct str message, const char *why))
{
    *a = (struct ask){.done = done, .loop = l, .fd = -1};
    io_init(&a->io, on_ready);
    timer_init(&a->timer, on_timer);
}

void ask_start(struct ask *a, const struct ask_servers *servers, const struct dns_question *q)
{
    CHECK(servers->n > 0 && servers->n <= ASK_MAX_SERVERS);
    ask_stop(a);
    a->servers = *servers;
    a->question = *q;
    a->head = (struct dns_head){.recursion_desired = true};
    a->attempt = 0;
    a->tcp = a->plain = false;
    a->last = (struct err){0};
    loop_timer_set(a->loop, &a->timer, loop_now(a->loop) + SOON_NS);
}
