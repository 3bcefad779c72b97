/* client: a client's connection and its requests, one after the other (pipelined ones wait in the
 * block).
 *
 *   state      waits for                 time limit            ends in
 *   HELLO      a PROXY header            request-head          as if just accepted, or closed
 *   IDLE       the first byte            client-idle           HEAD, or closed
 *   HEAD       the rest of a head        request-head          EXCHANGE, or refused (408, 4xx)
 *   EXCHANGE   an exchange.c             its phases'           IDLE, LINGER, TUNNEL or closed
 *   TUNNEL     a relay.c                 tunnel                closed
 *   LINGER     the client to read        LINGER_NS             closed
 *
 * LINGER: after an answer that the client may not expect yet (it is still sending), a close would
 * make the kernel send RST, and the client could lose the answer. So we shut our side and read on
 * for a moment (RFC 9112, 9.6). */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/internal.h"

static const struct view_timeouts *timeouts(const struct client *c)
{
    return &c->listener->service->conf->timeouts;
}

void client_deadline(struct client *c, uint64_t ns_from_now)
{
    struct loop *l = c->worker->loop;
    loop_timer_set(l, &c->timer, loop_now(l) + ns_from_now);
}

void client_end(struct worker *w, struct list *link)
{
    struct client *c = LIST_ENTRY(link, struct client, link);
    buf_free(&c->pending);
    mem_free(c);
}

void client_close(struct client *c)
{
    if (c->closed)
        return;
    struct worker *w = c->worker;
    c->closed = true;
    if (c->x)
        exchange_abort(c->x);
    if (c->passage)
        passage_abort(c->passage);
    CHECK(!c->x);
    loop_timer_stop(w->loop, &c->timer);
    task_cancel(&c->resume);
    stream_close(&c->s, w);
    list_remove(&c->link);
    pressure_leave(c);
    cell_add(&c->listener->row->open, UINT64_MAX); /* minus one */
    listener_unref(c->listener);
    worker_bury(w, GRAVE_CLIENT, &c->link);
    worker_client_gone(w);
}

/* --- sending --- */

bool client_flush(struct client *c)
{
    if (c->pending.n == 0)
        return true;
    if (!c->s.writable)
        return false;
    size_t sent = stream_send(&c->s, buf_str(&c->pending), (struct str){0});
    buf_drop_front(&c->pending, sent);
    if (c->pending.n)
        return false;
    buf_free(&c->pending);
    return true;
}

size_t client_send(struct client *c, struct str a, struct str b)
{
    if (!client_flush(c)) {
        if (!buf_add_str(&c->pending, a))
            c->s.broken = true;
        return 0;
    }
    size_t sent = stream_send(&c->s, a, b);
    if (sent >= a.n)
        return sent - a.n;
    if (!buf_add(&c->pending, a.p + sent, a.n - sent))
        c->s.broken = true; /* memory is out: half a head is worth nothing */
    return 0;
}

/* --- ending --- */

static void linger(struct client *c)
{
    if (!client_flush(c))
        return;
    if (!c->s.fin_sent) {
        c->s.fin_sent = true;
        shutdown(c->s.io.fd,
                 SHUT_WR); /* fails only when the client is gone, which the read below tells */
    }
    for (int i = 0; i < READ_BATCH && stream_fill(&c->s, c->worker); i++)
        stream_consume(&c->s, c->worker, stream_bytes(&c->s).n);
    if (c->s.eof || c->s.broken)
        client_close(c);
    else if (c->s.readable)
        loop_defer(c->worker->loop, &c->resume);
}

static void start_linger(struct client *c)
{
    c->state = CLIENT_LINGER;
    pressure_wait(c);
    stream_consume(&c->s, c->worker, stream_bytes(&c->s).n);
    client_deadline(c, LINGER_NS);
}

void client_linger(struct client *c)
{
    start_linger(c);
}

void client_turn_away(struct client *c, uint16_t status, const char *text)
{
    cell_add(&c->listener->service->row->status[status / 100], 1);
    c->keep = false;
    answer_refusal(c, status, text);
    client_log_refusal(c, status);
    start_linger(c);
}

void client_refuse(struct client *c, uint16_t status, const char *text)
{
    cell_add(&c->listener->service->row->refused_heads, 1);
    cell_add(&c->listener->row->bad_heads, 1);
    client_turn_away(c, status, text);
}

void client_exchange_done(struct client *c, bool body_read)
{
    struct worker *w = c->worker;
    c->x = NULL;
    if (c->closed)
        return;
    if (c->s.broken) {
        client_close(c);
        return;
    }
    bool unread = stream_bytes(&c->s).n || !body_read;
    if (c->keep && body_read && !(c->s.eof && !unread) && !w->draining && !c->listener->retired) {
        c->state = CLIENT_IDLE;
        pressure_wait(c);
        c->seen = 0;
        client_deadline(c, timeouts(c)->client_idle);
        return;
    }
    if (c->pending.n == 0 && !unread)
        client_close(c);
    else
        start_linger(c);
}

void client_drain(struct client *c)
{
    c->keep = false;
    if (c->worker->handed_over) /* its next answer ends it, or its silence */
        return;
    if (c->state == CLIENT_IDLE || c->state == CLIENT_HELLO)
        client_deadline(c, MIN(DRAIN_IDLE_NS, timeouts(c)->client_idle));
}

/* --- who it is --- */

static void name_peer(struct client *c, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    c->peer = (struct peer){.kind = a->kind, .port = a->port};
    memcpy(c->peer.ip, a->ip, sizeof c->peer.ip);
    if (a->kind == ADDR_UNIX)
        str_copy(text, sizeof text, STR("unix"));
    else
        addr_format_ip(a, text);
    str_copy(c->ip, sizeof c->ip, str_of(text));
}

/* Known by now: the first request may come, or the way to an instance is sought. */
static void begin(struct client *c)
{
    struct service *s = c->listener->service;
    if (!pressure_admit(c)) {
        cell_add(&c->listener->row->refused, 1);
        net_set_reset_on_close(c->s.io.fd);
        client_close(c);
        return;
    }
    if (s->conf->mode == VIEW_TCP) {
        pressure_busy(c);
        if (s->door) {
            passage_begin(c, s);
            return;
        }
        exchange_begin_relay(c, s);
        return;
    }
    c->state = CLIENT_IDLE;
    client_deadline(c, timeouts(c)->client_idle);
}

/* It is the client's fault, unless memory was out. */
static void refuse_hello(struct client *c)
{
    if (stream_short(&c->s)) {
        cell_add(&c->listener->row->refused, 1);
    } else {
        cell_add(&c->listener->service->row->refused_heads, 1);
        cell_add(&c->listener->row->bad_hellos, 1);
    }
    net_set_reset_on_close(c->s.io.fd);
    client_close(c);
}

/* The PROXY header. True: the state has changed. */
static bool read_hello(struct client *c)
{
    struct proxy_header h;
    const char *why;
    stream_fill(&c->s, c->worker);
    struct str bytes = stream_bytes(&c->s);
    int r = bytes.n ? proxy_header_parse(bytes.p, bytes.n, &h, &why) : PROXY_MORE;
    if (r == PROXY_REFUSED && !c->listener->service->conf->proxy_in) {
        begin(c); /* a client at a node's address */
        return true;
    }
    if (r == PROXY_REFUSED || (r == PROXY_MORE && (c->s.eof || c->s.broken))) {
        refuse_hello(c);
        return true;
    }
    if (r == PROXY_MORE)
        return false;
    stream_consume(&c->s, c->worker, h.bytes);
    if (!h.local && h.from.kind != ADDR_NONE)
        name_peer(c, &h.from);
    c->hop = h.hop && c->from_node;
    c->hop_marked = c->hop && (h.hop_flags & PROXY_HOP_MARKED);
    begin(c);
    return true;
}

/* --- requests --- */

/* What a connection that ended, or said nothing, in the middle of a head is told. */
static void head_ended(struct client *c)
{
    if (c->s.broken || stream_bytes(&c->s).n == 0)
        client_close(c);
    else
        client_refuse(c, 400, "The connection ended within a request head.");
}

static void head_begins(struct client *c)
{
    if (c->state == CLIENT_HEAD)
        return;
    c->state = CLIENT_HEAD;
    client_deadline(c, timeouts(c)->request_head);
}

/* Parses what is there. True: the state has changed. */
static bool parse_head(struct client *c, struct str bytes)
{
    struct worker *w = c->worker;
    struct service *s = c->listener->service;
    struct http_limits limits = {MIN(s->conf->limits.head_bytes, BLOCK_SIZE),
                                 s->conf->limits.head_fields};
    const struct http_refusal *why = NULL;
    int r = http_parse_request(bytes.p, bytes.n, c->seen, &limits, &w->head, &why);
    if (r == HTTP_MORE) {
        c->seen = (uint32_t)bytes.n;
        return false;
    }
    if (r == HTTP_REFUSED) {
        client_refuse(c, why->status, why->text);
        return true;
    }
    c->seen = 0;
    c->state = CLIENT_EXCHANGE;
    pressure_busy(c);
    exchange_begin(c, s);
    return true;
}

static bool read_request(struct client *c)
{
    for (;;) {
        struct str bytes = stream_bytes(&c->s);
        if (bytes.n > c->seen) {
            if (parse_head(c, bytes))
                return true;
            head_begins(c);
        }
        size_t before = bytes.n;
        bool room = stream_compact(&c->s);
        CHECK(room); /* a full block without a head is beyond limits.head_bytes, and was refused */
        stream_fill(&c->s, c->worker);
        if (stream_bytes(&c->s).n > before)
            continue;
        if (c->s.eof || c->s.broken) {
            head_ended(c);
            return true;
        }
        if (!c->s.readable)
            return false;
    }
}

void client_run(struct client *c)
{
    for (int turns = 0; !c->closed; turns++) {
        if (turns == READ_BATCH) {
            loop_defer(c->worker->loop, &c->resume); /* a long pipeline: the others first */
            return;
        }
        uint8_t state = c->state;
        switch ((enum client_state)c->state) {
        case CLIENT_HELLO:
            if (!read_hello(c)) {
                stream_park(&c->s, c->worker);
                return;
            }
            break;
        case CLIENT_IDLE:
        case CLIENT_HEAD:
            client_flush(c);
            if (!read_request(c)) {
                stream_park(&c->s, c->worker);
                return;
            }
            break;
        case CLIENT_EXCHANGE: exchange_run(c->x); break;
        case CLIENT_TUNNEL: relay_run(c->x); break;
        case CLIENT_PASSAGE: passage_run(c->passage); break;
        case CLIENT_LINGER: linger(c); break;
        }
        if (c->closed)
            return;
        if (c->s.broken) {
            client_close(c);
            return;
        }
        if (c->state == state && state >= CLIENT_EXCHANGE)
            return;
    }
}

/* --- events --- */

static void on_ready(struct io *io, unsigned ready)
{
    struct client *c = CONTAINER_OF(io, struct client, s.io);
    stream_ready(&c->s, ready);
    client_run(c);
}

static void on_resume(struct task *t)
{
    client_run(CONTAINER_OF(t, struct client, resume));
}

static void on_timer(struct timer *t)
{
    struct client *c = CONTAINER_OF(t, struct client, timer);
    switch ((enum client_state)c->state) {
    case CLIENT_HELLO:
        if (!c->listener->service->conf->proxy_in) { /* silent: no node, they speak at once */
            begin(c);
            break;
        }
        client_close(c);
        return;
    case CLIENT_IDLE:
    case CLIENT_LINGER: client_close(c); return;
    case CLIENT_PASSAGE: passage_timeout(c->passage); break;
    case CLIENT_HEAD: client_refuse(c, 408, "The request head did not arrive in time."); break;
    case CLIENT_EXCHANGE:
    case CLIENT_TUNNEL: exchange_timeout(c->x); break;
    }
    client_run(c);
}

/* --- accepting --- */

static bool out_of_descriptors(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void adopt(struct listener *l, int fd, const struct addr *from)
{
    struct worker *w = l->worker;
    struct client *c = mem_zero(1, sizeof *c);
    if (!c) {
        cell_add(&l->row->refused, 1);
        close(fd);
        return;
    }
    stream_init(&c->s, on_ready);
    c->s.readable = true; /* most clients speak first, and at once */
    c->worker = w;
    timer_init(&c->timer, on_timer);
    task_init(&c->resume, on_resume);
    list_init(&c->waiting);
    name_peer(c, from);
    if (loop_io_start(w->loop, &c->s.io, fd, NULL)) {
        cell_add(&l->row->refused, 1);
        close(fd);
        mem_free(c);
        return;
    }
    c->listener = l;
    l->refs++;
    list_push_back(&w->clients, &c->link);
    cell_set(&w->row->connections, ++w->n_clients);
    cell_add(&w->row->accepted, 1);
    cell_add(&l->row->accepted, 1);
    cell_add(&l->row->open, 1);
    pressure_wait(c);
    c->from_node = l->service->door && front_listens(l, from);
    if (l->service->conf->proxy_in)
        client_deadline(c, timeouts(c)->request_head); /* in CLIENT_HELLO */
    else if (c->from_node)
        client_deadline(c, HOP_SILENT_NS);
    else
        begin(c);
    client_run(c);
}

/* As many are accepted as there is room for, or can be made. */
static bool has_place(struct worker *w)
{
    return w->n_clients < w->max_clients || pressure_make_room(w);
}

void client_accept(struct listener *l)
{
    struct worker *w = l->worker;
    bool room = true;
    for (int i = 0; i < ACCEPT_BATCH && room; i++) {
        struct addr from;
        int fd = -EMFILE;
        room = has_place(w);
        while (room && out_of_descriptors(-(fd = net_accept(l->fd, &from))))
            room = pressure_give_up(w);
        if (room && fd == -EAGAIN)
            return;
        if (room && fd >= 0)
            adopt(l, fd, &from);
    }
    if (room)
        return;
    cell_add(&l->row->rests, 1);
    worker_pause_accept(w);
}
