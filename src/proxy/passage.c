/* passage: a client's bytes to its leg, and back.
 *
 * Bytes to the instance go only while the gate is open, by the clock itself: it is asked before
 * each time that some are handed to the kernel. Where commands are known (framed), none is begun
 * that is not whole, as long as there is room for the rest of it.
 *
 * With sync, what comes from the instance stays in the leg's block until a round covers it: the
 * block is the bound. When it is full the instance is not read, and it in turn reads no more of
 * this connection. */
#include <sys/socket.h>

#include "proxy/front.h"

bool passage_movable(const struct passage *p)
{
    return p->framed && talk_movable(&p->talk) && p->go == 0 && stream_bytes(&p->leg).n == 0;
}

bool passage_quiet(const struct passage *p)
{
    if (!p->here || p->state != PASSAGE_PASSES || !p->framed)
        return true;
    bool withheld = !list_empty(&p->round); /* read from the instance, not given yet */
    return p->talk.wild || (talk_quiet(&p->talk) && p->go == 0 && !withheld);
}

/* --- what a hop keeps --- */

void passage_trim(struct passage *p)
{
    size_t at = 0;
    if (p->kept_first >= p->talk.answered)
        return;
    while (p->kept_first < p->talk.answered && at < p->kept.n) {
        struct resp_frame f = {0};
        size_t used;
        if (resp_frame_command(&f, p->kept.p + at, p->kept.n - at, &used) != RESP_DONE)
            break; /* the last of it, whose rest is not kept */
        at += used;
        p->kept_first += !f.empty;
    }
    buf_drop_front(&p->kept, at);
}

/* False: no more until something is answered. */
static bool has_room_to_keep(struct passage *p)
{
    if (!passage_hops(p) || !p->framed || p->kept_lost)
        return true;
    if (talk_idle(&p->talk)) {
        buf_free(&p->kept);
        p->kept_first = p->talk.asked;
        p->kept_lost = false;
    }
    if (p->kept.n < KEPT_MAX)
        return true;
    passage_trim(p);
    if (p->kept.n < KEPT_MAX)
        return true;
    if (resp_frame_between(&p->talk.ask) && p->talk.asked > p->kept_first + 1)
        return false;
    p->kept_lost = true; /* one command that is larger than all that is kept */
    buf_free(&p->kept);
    return true;
}

static void keep(struct passage *p, struct str bytes)
{
    if (!passage_hops(p) || !p->framed || p->kept_lost || buf_add_str(&p->kept, bytes))
        return;
    p->kept_lost = true;
    buf_free(&p->kept);
}

static void forget_lost(struct passage *p)
{
    if (!p->kept_lost || !talk_idle(&p->talk))
        return;
    p->kept_lost = false;
    p->kept_first = p->talk.asked;
}

/* --- to the leg --- */

/* More of the client's bytes may go. False: they are no commands. */
static bool let_go(struct passage *p)
{
    struct stream *from = &p->client->s;
    bool room = stream_compact(from);
    struct str bytes = stream_bytes(from);
    room = room && bytes.n < BLOCK_SIZE;
    if (!p->framed) {
        p->go = p->talk.stop ? p->go : (uint32_t)bytes.n;
        return true;
    }
    if (p->talk.stop && p->talk.wild)
        return true;
    forget_lost(p);
    if (!has_room_to_keep(p))
        return true;
    ssize_t n = talk_ask(&p->talk, bytes.p + p->go, bytes.n - p->go, room && !from->eof);
    if (n < 0)
        return false;
    keep(p, (struct str){bytes.p + p->go, (size_t)n});
    p->go += (uint32_t)n;
    return true;
}

/* One step. Returns the bytes moved. */
static size_t step_in(struct passage *p)
{
    struct client *c = p->client;
    struct str bytes = stream_bytes(&c->s);
    if (p->go == 0 || bytes.n == p->go) { /* all there is may go, or what there is is not enough */
        bool room = stream_compact(&c->s);
        if (room)
            stream_fill(&c->s, c->worker);
    }
    if (p->here && stream_bytes(&c->s).n && !door_open(p->door)) {
        door_look(p->door); /* nothing has been begun that was not before */
        return 0;
    }
    if (!let_go(p)) {
        passage_cut(p);
        return 0;
    }
    bytes = stream_bytes(&c->s);
    if (p->go == 0)
        return 0;
    if (p->here && !door_open(p->door)) { /* that took its time */
        door_look(p->door);
        return 0;
    }
    size_t n = stream_send(&p->leg, (struct str){bytes.p, p->go}, (struct str){0});
    p->go -= (uint32_t)n;
    stream_consume(&c->s, c->worker, n);
    p->bytes_in += n;
    return n;
}

/* --- to the client --- */

/* How many of the leg's bytes may go to the client now. */
static size_t released(struct passage *p)
{
    struct door *d = p->door;
    if (!p->here || d->seen.sync == 0) {
        p->covered = p->in_round = 0;
        if (!list_empty(&p->round)) {
            list_remove(&p->round);
            committer_note(d);
        }
        return p->seen;
    }
    if (p->seen > MAX(p->covered, p->in_round) && list_empty(&p->round)) {
        list_push_back(&d->withheld, &p->round);
        committer_wake(d);
    }
    return p->covered;
}

static void follow(struct passage *p, struct str bytes)
{
    if (!p->framed) {
        p->seen = (uint32_t)bytes.n;
        return;
    }
    ssize_t n = talk_answer(&p->talk, bytes.p + p->seen, bytes.n - p->seen);
    if (n < 0) {
        p->leg.broken = true;
        return;
    }
    p->seen += (uint32_t)n;
}

/* The mark stands alone, behind all replies. */
static void look_for_mark(struct passage *p)
{
    struct str bytes = stream_bytes(&p->leg);
    if (!passage_hops(p) || !p->framed || p->seen || bytes.n == 0 || bytes.p[0] != 0)
        return;
    if (bytes.n >= GATE_MARK && memcmp(bytes.p, gate_mark, GATE_MARK) == 0)
        p->marked = true;
    else if (bytes.n >= GATE_MARK || p->leg.eof)
        p->leg.broken = true;
}

static size_t step_out(struct passage *p)
{
    struct client *c = p->client;
    if (stream_compact(&p->leg))
        stream_fill(&p->leg, c->worker);
    struct str bytes = stream_bytes(&p->leg);
    if (bytes.n > p->seen)
        follow(p, bytes);
    size_t may = released(p);
    size_t n = may ? stream_send(&c->s, (struct str){bytes.p, may}, (struct str){0}) : 0;
    p->seen -= (uint32_t)n;
    p->covered -= (uint32_t)MIN(n, (size_t)p->covered);
    p->in_round -= (uint32_t)MIN(n, (size_t)p->in_round);
    stream_consume(&p->leg, c->worker, n);
    p->bytes_out += n;
    return n;
}

/* --- both --- */

static void pass_ends_on(struct passage *p)
{
    struct client *c = p->client;
    bool in_empty = stream_bytes(&c->s).n == 0;
    if (c->s.eof && in_empty && !p->leg.fin_sent) {
        p->leg.fin_sent = true;
        shutdown(p->leg.io.fd, SHUT_WR); /* fails only when it is gone, which its event tells */
    }
    bool out_empty = stream_bytes(&p->leg).n == 0;
    if (p->leg.eof && out_empty && !c->s.fin_sent && !p->marked) {
        c->s.fin_sent = true;
        shutdown(c->s.io.fd, SHUT_WR);
    }
}

/* The instance has ended it: what the client has not read yet must not be lost to a reset. */
static void passage_over(struct passage *p)
{
    struct client *c = p->client;
    bool both = p->leg.fin_sent;
    passage_abort(p);
    if (both)
        client_close(c);
    else
        client_linger(c);
}

/* Who is demoted ends its connections, and that may be seen here before it is heard that the gate
 * has shut: then it is no end but a way that leads elsewhere, and is found to be that at once. */
static bool is_demoted(struct passage *p)
{
    if (!p->here || !(p->leg.eof || p->leg.broken) || door_open(p->door))
        return false;
    door_look(p->door);
    return true;
}

static bool more_in(const struct passage *p)
{
    const struct stream *s = &p->client->s;
    bool stopped = p->talk.stop && resp_frame_between(&p->talk.ask);
    return (s->readable || p->go) && p->leg.writable && !stopped && !s->eof;
}

static bool more_out(const struct passage *p)
{
    return p->leg.readable && p->client->s.writable && !p->leg.eof;
}

void passage_pump(struct passage *p)
{
    struct client *c = p->client;
    size_t in = 1, out = 1;
    for (int i = 0; i < READ_BATCH && (in || out); i++) {
        out = step_out(p);
        in = p->leg.broken ? 0 : step_in(p);
        if (p->closed || p->state != PASSAGE_PASSES)
            return;
        if (in + out)
            p->active_at = loop_now(c->worker->loop);
    }
    look_for_mark(p);
    if (!c->s.broken && is_demoted(p))
        return;
    pass_ends_on(p);
    if (c->s.broken || p->leg.broken)
        passage_cut(p);
    else if (c->s.fin_sent && (p->framed || p->leg.fin_sent))
        passage_over(p);
    else if ((in && more_in(p)) || (out && more_out(p)))
        loop_defer(c->worker->loop, &c->resume);
}
