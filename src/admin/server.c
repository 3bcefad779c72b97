/* The server: listening sockets, connections, requests in and answers out. What a request means is
 * the routes' matter.
 *
 * One function, pump, moves a connection on and is the only one that may end it; everybody else
 * (routes that answer later, timers, events) changes its state and defers the pump. Everything is
 * bounded: connections, the head, the body, the time for a request to arrive, for an answer to be
 * taken, and for silence. Strangers
 * never take the last places: those are for the node's own operator. The bytes are bytes from
 * outside in any case. */
#include "admin/inside.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define ARRIVE_NS (10 * NS_PER_S)
#define IDLE_NS   (60 * NS_PER_S)
#define WRITE_NS  (30 * NS_PER_S)
#define PAUSE_NS  (NS_PER_S / 4)

/* Only the operator's own socket takes bodies that matter. */
static size_t body_max(const struct conn *c)
{
    return c->door == ADMIN_METRICS ? CONN_HEAD_MAX : ADMIN_MAX_BODY;
}

static size_t read_max(const struct conn *c)
{
    return CONN_HEAD_MAX + body_max(c);
}

static const char too_large[] = "the body is too large: 1 MiB at most, 8 KiB for metrics";

static void conn_close(struct conn *c)
{
    struct admin *a = c->admin;
    loop_io_stop(a->loop, &c->io);
    loop_timer_stop(a->loop, &c->timer);
    task_cancel(&c->pump);
    list_remove(&c->link);
    list_remove(&c->poll);
    list_remove(&c->reload.link);
    list_remove(&c->telling.link);
    list_remove(&c->config.link);
    audit_forget(&c->ask);
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->chunks);
    buf_free(&c->body);
    a->n_strangers -= c->door != ADMIN_LOCAL;
    a->n_conns--;
    mem_free(c);
}

/* In every state a timer runs; a connection that does nothing does not stay. */
static void conn_enter(struct conn *c, enum conn_state state, uint64_t until)
{
    c->state = (uint8_t)state;
    list_remove(&c->link);
    list_push_back(&c->admin->conns, &c->link);
    loop_timer_set(c->admin->loop, &c->timer, until);
}

void conn_wait(struct conn *c, uint64_t until)
{
    conn_enter(c, CONN_WAITING, until);
}

void conn_answer(struct conn *c, unsigned status, const char *type)
{
    if (c->body.failed) {
        buf_clear(&c->body);
        status = 500;
    }
    list_remove(&c->poll);
    int n = snprintf(c->head, sizeof c->head,
                     "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                     "Cache-Control: no-store\r\n%s%s\r\n",
                     status, http_status_text((uint16_t)status), type, c->body.n,
                     c->extra ? c->extra : "", c->keep_alive ? "" : "Connection: close\r\n");
    CHECK(n > 0 && (size_t)n < sizeof c->head);
    c->head_n = (size_t)n;
    c->extra = NULL;
    c->sent = 0;
    if (c->head_only)
        buf_clear(&c->body);
    conn_enter(c, CONN_WRITING, loop_now(c->admin->loop) + WRITE_NS);
    loop_defer(c->admin->loop, &c->pump);
}

void conn_answer_json(struct conn *c, unsigned status, json_t *root)
{
    buf_clear(&c->body);
    if (root)
        json_write(root, &c->body);
    buf_add(&c->body, "\n", 1);
    if (!root || c->body.failed) {
        buf_clear(&c->body);
        status = 500;
        buf_printf(
            &c->body,
            "{\"schema\":\"holdfast.error.v1\",\"error\":{\"code\":\"nomem\",\"text\":\"out of "
            "memory\"},\"suggestions\":[]}\n");
    }
    json_decref(root);
    conn_answer(c, status, "application/json");
}

enum step { STEP_MORE, STEP_ON, STEP_END };

static enum step read_some(struct conn *c)
{
    while (c->in.n < read_max(c)) {
        if (!buf_reserve(&c->in, 4096))
            return STEP_END;
        size_t room = MIN(c->in.cap - c->in.n, read_max(c) - c->in.n);
        ssize_t n = recv(c->fd, c->in.p + c->in.n, room, MSG_DONTWAIT);
        if (n > 0) {
            c->in.n += (size_t)n;
            continue;
        }
        if (n == 0)
            c->eof = true;
        else if (errno == EINTR)
            continue;
        else if (errno != EAGAIN)
            return STEP_END;
        return STEP_ON;
    }
    return STEP_ON;
}

static enum step refuse(struct conn *c, unsigned status, const char *code, const char *text)
{
    c->keep_alive = false;
    buf_clear(&c->in);
    c->in_seen = 0;
    route_error(c, status, code, text, NULL, NULL);
    return STEP_ON;
}

static enum step want_body(struct conn *c, const struct http_head *h)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (c->eof)
        return STEP_END;
    if (c->in.n >= read_max(c))
        return refuse(c, 413, "too-large", too_large);
    if (h->expect_continue && !c->continued) {
        c->continued = true;
        /* Small and first in an empty socket: if it does not fit, the peer waits in vain and the
         * timer ends it. */
        if (send(c->fd, go_on, sizeof go_on - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return STEP_END;
    }
    return STEP_MORE;
}

/* The body behind the head, if it is there whole, and where it ends. */
static enum step body_end(struct conn *c, const struct http_head *h, struct str *body, size_t *end)
{
    const char *p = c->in.p + h->bytes;
    size_t left = c->in.n - h->bytes;
    const struct http_refusal *why = NULL;
    struct http_chunked chunked = {0};
    switch ((enum http_framing)h->framing) {
    case HTTP_BODY_NONE: *end = h->bytes; return STEP_ON;
    case HTTP_BODY_LENGTH:
        if (h->length > body_max(c))
            return refuse(c, 413, "too-large", too_large);
        *body = (struct str){p, (size_t)h->length};
        *end = h->bytes + (size_t)h->length;
        return left >= h->length ? STEP_ON : want_body(c, h);
    case HTTP_BODY_CHUNKED:
        buf_clear(&c->chunks); /* what came before is read anew */
        for (;;) {
            size_t used = 0;
            struct str data = {"", 0};
            int r = http_chunked_step(&chunked, p, left, &used, &data, &why);
            p += used;
            left -= used;
            *end = (size_t)(p - c->in.p);
            buf_add_str(&c->chunks, data);
            *body = buf_str(&c->chunks);
            if (r == HTTP_DONE)
                return c->chunks.failed ? STEP_END : STEP_ON;
            if (r == HTTP_REFUSED)
                return refuse(c, 400, "malformed", why->text);
            if (used == 0)
                return want_body(c, h);
        }
    case HTTP_BODY_CLOSE:
    case HTTP_BODY_TUNNEL: break;
    }
    return refuse(c, 400, "malformed", "this request has no place here");
}

/* The first field of this name; empty when there is none. */
static struct str field(const struct http_head *h, struct str name)
{
    for (uint32_t i = 0; i < h->n_headers; i++)
        if (str_eq_nocase(h->headers[i].name, name))
            return h->headers[i].value;
    return STR("");
}

static void dispatch(struct conn *c, const struct http_head *h, struct str body)
{
    struct str path = h->target, query = {"", 0};
    const char *mark = path.n ? memchr(path.p, '?', path.n) : NULL;
    if (mark) {
        query = (struct str){mark + 1, path.n - (size_t)(mark + 1 - path.p)};
        path.n = (size_t)(mark - path.p);
    }
    c->keep_alive = h->keep_alive;
    c->head_only = h->method == HTTP_HEAD;
    c->continued = false;
    struct request r = {h->method,
                        path,
                        query,
                        h->method_text,
                        body,
                        field(h, STR("accept")),
                        field(h, STR("authorization"))};
    route_request(c, &r);
}

/* One request, if it is there whole. */
static enum step read_request(struct conn *c)
{
    static const struct http_limits limits = {CONN_HEAD_MAX, 64};
    if (read_some(c) == STEP_END)
        return STEP_END;
    if (c->in.n == 0)
        return c->eof ? STEP_END : STEP_MORE;
    uint64_t arrive = loop_now(c->admin->loop) + ARRIVE_NS;
    if (c->timer.at > arrive)
        loop_timer_set(c->admin->loop, &c->timer, arrive);
    struct http_head h;
    const struct http_refusal *why = NULL;
    int r = http_parse_request(c->in.p, c->in.n, c->in_seen, &limits, &h, &why);
    if (r == HTTP_REFUSED)
        return refuse(c, why->status, why->status == 431 ? "too-large" : "malformed", why->text);
    if (r == HTTP_MORE) {
        c->in_seen = c->in.n;
        return c->eof ? STEP_END : STEP_MORE;
    }
    c->in_seen = 0;
    if (c->door == ADMIN_TOKEN && !route_token(c, field(&h, STR("authorization")))) {
        buf_clear(&c->in); /* no body of a stranger is waited for */
        return STEP_ON;
    }
    size_t end = 0;
    struct str body = {"", 0};
    enum step s = body_end(c, &h, &body, &end);
    if (s != STEP_ON || c->state == CONN_WRITING)
        return s;
    dispatch(c, &h, body);
    buf_free(&c->chunks);
    buf_drop_front(&c->in, end);
    if (c->in.n == 0 && end > CONN_HEAD_MAX)
        buf_free(&c->in);
    return STEP_ON;
}

static enum step write_answer(struct conn *c)
{
    size_t total = c->head_n + c->body.n;
    while (c->sent < total) {
        struct iovec v[2];
        int n = 0;
        if (c->sent < c->head_n)
            v[n++] = (struct iovec){c->head + c->sent, c->head_n - c->sent};
        size_t at = c->sent > c->head_n ? c->sent - c->head_n : 0;
        if (at < c->body.n)
            v[n++] = (struct iovec){c->body.p + at, c->body.n - at};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)n};
        ssize_t w = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return errno == EAGAIN ? STEP_MORE : STEP_END;
        c->sent += (size_t)w;
        loop_timer_set(c->admin->loop, &c->timer, loop_now(c->admin->loop) + WRITE_NS);
    }
    buf_free(&c->body);
    if (!c->keep_alive)
        return STEP_END;
    conn_enter(c, CONN_READING, loop_now(c->admin->loop) + IDLE_NS);
    return STEP_ON;
}

/* A peer that is gone must not keep a place while its long poll waits. */
static enum step watch_waiting(struct conn *c)
{
    if (read_some(c) == STEP_END || (c->eof && list_empty(&c->reload.link) &&
                                     list_empty(&c->telling.link) && list_empty(&c->config.link)))
        return STEP_END;
    return STEP_MORE;
}

static void conn_pump(struct conn *c)
{
    for (;;) {
        enum step s = STEP_END;
        switch ((enum conn_state)c->state) {
        case CONN_READING: s = read_request(c); break;
        case CONN_WAITING: s = watch_waiting(c); break;
        case CONN_WRITING: s = write_answer(c); break;
        }
        if (s == STEP_END) {
            conn_close(c);
            return;
        }
        if (s == STEP_MORE)
            return;
    }
}

static void on_conn_pump(struct task *t)
{
    conn_pump(CONTAINER_OF(t, struct conn, pump));
}

static void on_conn_ready(struct io *io, unsigned ready)
{
    (void)ready;
    conn_pump(CONTAINER_OF(io, struct conn, io));
}

static void on_conn_timer(struct timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    if (c->state == CONN_WAITING)
        route_timeout(c);
    else
        conn_close(c);
}

/* The connection that has been idle longest makes room; if none is idle, the oldest long poll. */
static bool make_room(struct admin *a, bool stranger)
{
    struct conn *polling = NULL;
    list_for_each (l, &a->conns) {
        struct conn *c = LIST_ENTRY(l, struct conn, link);
        if (stranger && c->door == ADMIN_LOCAL)
            continue;
        if (c->state == CONN_READING && c->in.n == 0) {
            conn_close(c);
            return true;
        }
        if (!polling && !list_empty(&c->poll))
            polling = c;
    }
    if (polling)
        conn_close(polling);
    return polling != NULL;
}

/* Who has opened the Unix socket. The name is from /etc/passwd alone: a directory service may take
 * its time, and control has none. */
static void name_user(struct conn *c)
{
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &who, &size))
        str_copy(c->who, sizeof c->who, STR("somebody on this machine"));
    else if (!access_user_name(who.uid, c->who, sizeof c->who))
        snprintf(c->who, sizeof c->who, "uid %u", (unsigned)who.uid);
}

void conn_open(struct admin *a, int fd, enum admin_door door, const struct addr *peer)
{
    bool stranger = door != ADMIN_LOCAL;
    bool full =
        a->n_conns >= ADMIN_MAX_CONNECTIONS || (stranger && a->n_strangers >= ADMIN_MAX_STRANGERS);
    if (full && !make_room(a, stranger)) {
        close(fd);
        return;
    }
    struct conn *c = mem_zero(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    c->admin = a;
    c->fd = fd;
    c->door = (uint8_t)door;
    c->peer = *peer;
    if (!stranger)
        name_user(c);
    list_init(&c->link);
    list_init(&c->poll);
    list_init(&c->reload.link);
    list_init(&c->telling.link);
    list_init(&c->config.link);
    io_init(&c->io, on_conn_ready);
    task_init(&c->pump, on_conn_pump);
    timer_init(&c->timer, on_conn_timer);
    a->n_conns++;
    a->n_strangers += stranger;
    conn_enter(c, CONN_READING, loop_now(a->loop) + IDLE_NS);
    if (loop_io_start(a->loop, &c->io, fd, NULL))
        conn_close(c);
}

/* Level-triggered: what is left over, or cannot be taken now, is offered again. Out of descriptors,
 * that would turn the loop without end, hence the pause. */
static void on_listener_ready(struct io *io, unsigned ready)
{
    (void)ready;
    struct listener *l = CONTAINER_OF(io, struct listener, io);
    for (int i = 0; i < 16; i++) {
        struct addr peer = {0};
        int fd = net_accept(l->fd, &peer);
        if (fd < 0 && fd != -EAGAIN) {
            loop_io_stop(l->admin->loop, io);
            loop_timer_set(l->admin->loop, &l->pause, loop_now(l->admin->loop) + PAUSE_NS);
        }
        if (fd < 0)
            return;
        conn_open(l->admin, fd, (enum admin_door)l->door, &peer);
    }
}

static void on_listener_pause(struct timer *t)
{
    struct listener *l = CONTAINER_OF(t, struct listener, pause);
    if (loop_io_start_shared(l->admin->loop, &l->io, l->fd, NULL))
        loop_timer_set(l->admin->loop, t, loop_now(l->admin->loop) + PAUSE_NS);
}

int admin_listen(struct admin *a, int fd, enum admin_door door, struct err *e)
{
    struct listener *l = mem_zero(1, sizeof *l);
    if (!l) {
        close(fd);
        return err_set(e, ERR_NOMEM, "no memory for a listening socket");
    }
    *l = (struct listener){.admin = a, .fd = fd, .door = (uint8_t)door};
    list_init(&l->link);
    io_init(&l->io, on_listener_ready);
    timer_init(&l->pause, on_listener_pause);
    int r = loop_io_start_shared(a->loop, &l->io, fd, e);
    if (r) {
        close(fd);
        mem_free(l);
        return r;
    }
    list_push_back(&a->listeners, &l->link);
    return 0;
}

static void listener_close(struct listener *l)
{
    loop_io_stop(l->admin->loop, &l->io);
    loop_timer_stop(l->admin->loop, &l->pause);
    close(l->fd);
    list_remove(&l->link);
    mem_free(l);
}

void admin_unlisten_metrics(struct admin *a)
{
    list_for_each_safe (it, &a->listeners) {
        struct listener *l = LIST_ENTRY(it, struct listener, link);
        if (l->door != ADMIN_LOCAL)
            listener_close(l);
    }
}

static void on_wake(struct task *t)
{
    route_wake_polls(CONTAINER_OF(t, struct admin, wake));
}

static void on_event(struct events *e, void *context)
{
    (void)e;
    struct admin *a = context;
    if (!list_empty(&a->polls))
        loop_defer(a->loop, &a->wake);
}

static void watch_beats(struct admin *a, uint64_t now)
{
    const struct cells *c = a->host.cells(a->host.context);
    for (uint32_t i = 0; i < a->n_beats; i++) {
        uint64_t beat = cell_get(&c->processes[i].beat);
        if (beat != a->beats[i].value)
            a->beats[i] = (struct beat){beat, now};
    }
}

static void on_sample(struct timer *t)
{
    struct admin *a = CONTAINER_OF(t, struct admin, sample);
    uint64_t now = loop_now(a->loop);
    watch_beats(a, now);
    history_sample(&a->history, a->host.view(a->host.context), a->host.cells(a->host.context), now);
    loop_timer_set(a->loop, t, now + NS_PER_S / 4);
}

static int admin_tables(struct admin *a, struct err *e)
{
    const struct cells *c = a->host.cells(a->host.context);
    a->n_beats = cells_process_rows(c->workers);
    a->beats = mem_zero(a->n_beats, sizeof *a->beats);
    if (!a->beats)
        return err_set(e, ERR_NOMEM, "no memory for the admin server");
    return history_init(&a->history, c, loop_now(a->loop), e);
}

int admin_new(struct admin **out, struct loop *l, const struct admin_host *host, struct err *e)
{
    json_use_mem();
    struct admin *a = mem_zero(1, sizeof *a);
    if (!a)
        return err_set(e, ERR_NOMEM, "no memory for the admin server");
    a->loop = l;
    a->host = *host;
    list_init(&a->listeners);
    list_init(&a->conns);
    list_init(&a->polls);
    timer_init(&a->sample, on_sample);
    task_init(&a->wake, on_wake);
    int r = admin_tables(a, e);
    if (r) {
        admin_free(a);
        return r;
    }
    host->events->on_add = on_event;
    host->events->context = a;
    on_sample(&a->sample);
    *out = a;
    return 0;
}

void admin_free(struct admin *a)
{
    if (!a)
        return;
    list_for_each_safe (it, &a->conns)
        conn_close(LIST_ENTRY(it, struct conn, link));
    list_for_each_safe (it, &a->listeners)
        listener_close(LIST_ENTRY(it, struct listener, link));
    loop_timer_stop(a->loop, &a->sample);
    task_cancel(&a->wake);
    if (a->host.events->context == a) {
        a->host.events->on_add = NULL;
        a->host.events->context = NULL;
    }
    history_free(&a->history);
    mem_free(a->beats);
    mem_free(a);
}
