/* committer: rounds that let withheld replies go.
 *
 *   NONE --wake--> REACHES --connected--> READY --somebody withholds--> ROUND --confirmed--> READY
 * ... ^               |                     |                             |
 *     +--- failed, or the gate has shut ----+-----------------------------+
 *
 * A round is INFO replication, WAIT, INFO replication on a connection of the worker's own: a
 * picture of where the instance's stream is, a question to its replicas where they are, and their
 * answers. It covers the replies that were there when it began: what they answer was done before.
 * One round covers all connections of the worker, so that the busier it is the less a reply costs.
 *
 * WAIT returns when *some* replicas have answered, or after ROUND_MS; only the second picture says
 * whether they are the ones that count. If they are not, WAIT and INFO are repeated for the same
 * offset: new writes never move the goal. How long that has gone on stands in commit_since, for
 * control to see and to shrink the in-sync set. What is needed is looked up when it is judged.
 *
 * A connection that fails is made anew at the next look; what was to be covered is covered by the
 * next round. */
#include <errno.h>
#include <unistd.h>

#include "proxy/front.h"

static struct door *door_of(struct committer *m)
{
    return CONTAINER_OF(m, struct door, committer);
}

static void put_back(struct door *d)
{
    while (!list_empty(&d->asked)) {
        struct passage *p = LIST_ENTRY(d->asked.next, struct passage, round);
        p->in_round = 0;
        list_remove(&p->round);
        list_push_back(&d->withheld, &p->round);
    }
}

void committer_note(struct door *d)
{
    struct committer *m = &d->committer;
    bool any = !list_empty(&d->withheld) || !list_empty(&d->asked);
    if (!any)
        m->first_at = 0;
    else if (!m->first_at)
        m->first_at = loop_now(d->worker->loop);
    cell_set(&d->counts->commit_since, m->first_at);
}

static void disconnect(struct door *d)
{
    struct committer *m = &d->committer;
    if (m->s.io.fd >= 0)
        stream_close(&m->s, d->worker);
    m->s.io.fd = -1;
    m->state = COMMITTER_NONE;
    m->pictured = false;
    m->expected = m->sent = 0;
    buf_clear(&m->out);
    buf_clear(&m->in);
    loop_timer_stop(d->worker->loop, &m->timer);
    task_cancel(&m->start);
    put_back(d);
}

/* One that failed has no connection, but a timer to make one, and its buffers. */
void committer_end(struct door *d)
{
    struct committer *m = &d->committer;
    disconnect(d);
    buf_free(&m->out);
    buf_free(&m->in);
    committer_note(d);
}

static void failed(struct door *d)
{
    disconnect(d);
    committer_note(d);
    loop_timer_set(d->worker->loop, &d->committer.timer, loop_now(d->worker->loop) + LOOK_NS);
}

/* --- asking --- */

static void send_out(struct door *d)
{
    struct committer *m = &d->committer;
    struct str rest = {m->out.p + m->sent, m->out.n - m->sent};
    if (m->state == COMMITTER_REACHES || rest.n == 0)
        return;
    m->sent += (uint32_t)stream_send(&m->s, rest, (struct str){0});
    if (m->sent == m->out.n) {
        buf_clear(&m->out);
        m->sent = 0;
    }
}

static void say(struct door *d, bool first)
{
    static const char info[] = "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";
    struct committer *m = &d->committer;
    uint32_t need = MAX(d->seen.sync, 1u);
    if (!first) /* those that answered first were not the ones that count */
        need = MAX(need, m->last.n);
    if (first)
        buf_add(&m->out, info, sizeof info - 1);
    buf_printf(&m->out, "WAIT %u %d\r\n", need, ROUND_MS);
    buf_add(&m->out, info, sizeof info - 1);
    m->expected += first ? 3 : 2;
    if (m->out.failed)
        failed(d);
    else
        send_out(d);
}

static void begin_round(struct door *d)
{
    struct committer *m = &d->committer;
    if (m->state != COMMITTER_READY || list_empty(&d->withheld))
        return;
    while (!list_empty(&d->withheld)) {
        struct passage *p = LIST_ENTRY(d->withheld.next, struct passage, round);
        p->in_round = p->seen;
        list_remove(&p->round);
        list_push_back(&d->asked, &p->round);
    }
    m->state = COMMITTER_ROUND;
    m->pictured = false;
    m->began_at = loop_now(d->worker->loop);
    loop_timer_set(d->worker->loop, &m->timer, m->began_at + ROUND_LOST);
    committer_note(d);
    say(d, true);
}

/* Replies that come in one turn of the loop go into one round. */
static void on_start(struct task *t)
{
    struct committer *m = CONTAINER_OF(t, struct committer, start);
    begin_round(door_of(m));
}

/* --- being answered --- */

static void confirmed(struct door *d)
{
    struct committer *m = &d->committer;
    struct list done;
    cell_add(&d->counts->commits, 1);
    cell_add(&d->counts->commit_us_sum, (loop_now(d->worker->loop) - m->began_at) / NS_PER_US);
    m->state = COMMITTER_READY;
    loop_timer_stop(d->worker->loop, &m->timer);
    list_init(&done);
    while (!list_empty(&d->asked)) {
        struct list *it = d->asked.next;
        list_remove(it);
        list_push_back(&done, it);
    }
    m->first_at = 0;
    while (!list_empty(&done)) {
        struct passage *p = LIST_ENTRY(done.next, struct passage, round);
        list_remove(&p->round);
        p->covered = MAX(p->covered, p->in_round);
        p->in_round = 0;
        client_run(p->client);
    }
    committer_note(d);
    if (m->state == COMMITTER_READY && !list_empty(&d->withheld))
        loop_defer(d->worker->loop, &m->start);
}

void committer_judge(struct door *d)
{
    struct committer *m = &d->committer;
    if (m->state != COMMITTER_ROUND || !m->pictured)
        return;
    uint16_t have = round_acknowledged(&m->last, &d->places, d->seen.insync, m->offset);
    if (m->last.primary && round_confirms(have, d->seen.sync))
        confirmed(d);
}

/* A picture: the round's first says how far, the others who is there. */
static bool take_picture(struct door *d, struct str info)
{
    struct committer *m = &d->committer;
    struct round_picture p;
    if (!round_read(info, &p) || !p.primary)
        return false;
    if (m->expected > 0) {
        m->offset = p.offset;
        return true;
    }
    m->last = p;
    m->pictured = true;
    committer_judge(d);
    if (m->state == COMMITTER_ROUND)
        say(d, false);
    return true;
}

/* The value at the front of `in`, whole. False: nothing can be made of it. */
static bool take_reply(struct door *d, struct str reply)
{
    struct committer *m = &d->committer;
    m->expected--;
    if (m->authenticates) {
        m->authenticates = false;
        bool refused = memmem(reply.p, reply.n, "WRONGPASS", 9) != NULL;
        if (refused)
            door_refused(d, d->self);
        return !refused;
    }
    if (reply.p[0] == ':')
        return true;
    const char *text = reply.p[0] == '$' ? memchr(reply.p, '\n', reply.n) : NULL;
    if (!text)
        return false;
    return take_picture(d, (struct str){text + 1, (size_t)(reply.p + reply.n - text - 1)});
}

/* False: the connection is of no use any more. */
static bool take_replies(struct door *d)
{
    struct committer *m = &d->committer;
    while (m->expected) {
        struct resp_frame f = {0};
        size_t used;
        int r = resp_frame_reply(&f, m->in.p, m->in.n, &used);
        if (r == RESP_MORE)
            return true;
        /* taken out first: what follows may begin the next round */
        struct str reply = {m->in.p, used};
        if (r == RESP_BAD || !take_reply(d, reply))
            return false;
        if (m->state == COMMITTER_NONE)
            return true;
        buf_drop_front(&m->in, used);
    }
    return m->in.n == 0;
}

static bool receive(struct door *d)
{
    struct committer *m = &d->committer;
    m->in.limit = INFO_MAX;
    while (stream_fill(&m->s, d->worker)) {
        struct str bytes = stream_bytes(&m->s);
        if (!buf_add_str(&m->in, bytes))
            return false;
        stream_consume(&m->s, d->worker, bytes.n);
    }
    return take_replies(d) && !m->s.eof && !m->s.broken;
}

static void on_ready(struct io *io, unsigned ready)
{
    struct committer *m = CONTAINER_OF(io, struct committer, s.io);
    struct door *d = door_of(m);
    stream_ready(&m->s, ready);
    if (m->state == COMMITTER_REACHES) {
        if (m->s.hangup && net_connect_result(io->fd)) {
            failed(d);
            return;
        }
        if (!m->s.writable)
            return;
        m->state = COMMITTER_READY;
        loop_timer_stop(d->worker->loop, &m->timer);
        begin_round(d);
    }
    send_out(d);
    if (m->state != COMMITTER_NONE && !receive(d) && m->state != COMMITTER_NONE)
        failed(d);
}

/* --- connecting --- */

static void authenticate(struct door *d)
{
    struct committer *m = &d->committer;
    char secret[SECRET_MAX];
    size_t n = proxy_gate_secret(d->worker->proxy, d->service->conf->name, secret);
    m->authenticates = n > 0;
    m->expected = n > 0;
    if (n)
        buf_printf(&m->out, "*2\r\n$4\r\nAUTH\r\n$%zu\r\n%.*s\r\n", n, (int)n, secret);
}

static void connect_anew(struct door *d)
{
    struct committer *m = &d->committer;
    struct addr to;
    if (!d->service || !d->seen.until || !door_node(d, d->self, door_conf(d)->port, &to))
        return;
    int fd = net_connect(&to, NULL);
    if (fd < 0) {
        failed(d);
        return;
    }
    stream_init(&m->s, on_ready);
    m->s.writable = false;
    net_set_nodelay(fd);
    if (loop_io_start(d->worker->loop, &m->s.io, fd, NULL)) {
        close(fd);
        m->s.io.fd = -1;
        failed(d);
        return;
    }
    m->state = COMMITTER_REACHES;
    loop_timer_set(d->worker->loop, &m->timer, loop_now(d->worker->loop) + ROUND_LOST);
    authenticate(d);
}

static void on_timer(struct timer *t)
{
    struct committer *m = CONTAINER_OF(t, struct committer, timer);
    struct door *d = door_of(m);
    if (m->state != COMMITTER_NONE)
        failed(d);
    else if (!list_empty(&d->withheld))
        connect_anew(d);
}

void committer_init(struct committer *m)
{
    m->s.io.fd = -1;
    timer_init(&m->timer, on_timer);
    task_init(&m->start, on_start);
}

void committer_wake(struct door *d)
{
    struct committer *m = &d->committer;
    committer_note(d);
    switch ((enum committer_state)m->state) {
    case COMMITTER_NONE:
        if (!timer_is_set(&m->timer))
            connect_anew(d);
        return;
    case COMMITTER_READY: loop_defer(d->worker->loop, &m->start); return;
    case COMMITTER_REACHES:
    case COMMITTER_ROUND: return;
    }
    UNREACHABLE();
}
