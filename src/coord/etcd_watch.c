/* etcd_watch: one watch of the seam over etcd's.
 *
 *   phase   | what runs                                    | then
 *   WAITS   | nothing: the engine is not sure of anybody,  | etcd_watches_go, or the timer
 *           | or a pause after a failure                   |
 *   READS   | a range of all keys as of some revision R    | it is told; STREAMS from R + 1
 *   STREAMS | etcd's watch                                 | its end: WAITS, then from the first
 *           |                                              | revision that was not told
 *
 * A watch follows the endpoint in use: when another one is, it begins there anew, from the first
 * revision that was not told. etcd is asked to end a stream whose member sees no leader.
 *
 * Once each, and in order. What has been told is a revision (`upto`). Older changes that come again
 * are passed over (etcd up to 3.4.23 may send some twice). A revision is told only when all of it
 * is there: the last revision of a fragment may go on in the next one, so it is held until a later
 * revision or the last fragment comes. Signs of life (progress notifications) do not move `upto`.
 *
 * When etcd's history does not reach back to `upto` (compaction), or a line is too long, the keys
 * are read again, and what is told is the difference to the keys as they were told: `known` has the
 * revision of each. A key that was there and is not any more is told as gone at the revision of the
 * reading, since nobody knows better.
 *
 * Trust, and a check. From time to time the keys are read while the stream runs, and compared with
 * what was told. What should have been told and was not (etcd up to 3.4.30 may lose a change when a
 * watch that lags meets a compaction, and up to 3.4.35 a removal), or a stream that stands still
 * though there are changes, is made up for as after a compaction.
 *
 * Memory that runs out: everything that is needed is allocated before `known` and `upto` change, so
 * that a failure only means to do it again. */
#include "coord/etcd.h"
#include "coord/etcd_known.h"

enum { HELD_MAX = 64 * 1024 * 1024 }; /* bytes of changes whose revision is not complete */
#define AUDIT_NS   (3 * NS_PER_S)     /* between two checks; and a millisecond a key */
#define CREATED_NS (2 * NS_PER_S)     /* for etcd to say that a watch exists */

enum phase { WAITS, READS, STREAMS };

struct own {
    struct coord_watch *w;
    struct etcd *etcd;
    enum phase phase;
    struct buf prefix;
    struct etcd_scope scope;
    struct etcd_fetch read;
    struct etcd_call stream;
    uint64_t end;   /* whose stream it is */
    bool created;   /* etcd said so */
    size_t scanned; /* of the stream's unread bytes: there is no end of line in them */
    bool must_read;
    uint64_t upto; /* told */
    struct known known;
    struct etcd_items *held; /* changes that are not told yet */
    uint32_t n_held;
    size_t held_bytes;
    struct timer again, late, audit;
    uint64_t behind; /* as of the last check there were changes after this one; 0: none */
    uint32_t failures;
};

static void go(struct own *o);

static void forget_held(struct own *o)
{
    for (uint32_t i = 0; i < o->n_held; i++)
        etcd_items_free(&o->held[i]);
    mem_free(o->held);
    o->held = NULL;
    o->n_held = 0;
    o->held_bytes = 0;
}

/* --- pauses --- */

static void stop(struct own *o)
{
    etcd_call_stop(&o->stream);
    etcd_fetch_end(&o->read);
    loop_timer_stop(o->etcd->coord.loop, &o->late);
    loop_timer_stop(o->etcd->coord.loop, &o->audit);
    o->behind = 0;
    forget_held(o);
    o->scanned = 0;
    o->phase = WAITS;
}

static void again(struct own *o)
{
    stop(o);
    loop_timer_set(o->etcd->coord.loop, &o->again,
                   clock_now() + etcd_pause(o->etcd, o->failures++));
}

static void on_again(struct timer *t)
{
    go(CONTAINER_OF(t, struct own, again));
}

/* --- reading all --- */

/* Everything of its own first: in the call the watch may be ended, and o with it. */
static void tell_reading(struct own *o, const struct coord_item *items, uint32_t n, bool whole)
{
    struct coord_watch *w = o->w;
    struct etcd_fetch read = o->read; /* its pages, until they are told */
    uint64_t revision = read.revision, before = o->upto;
    o->read.pages = NULL;
    o->read.n_pages = 0;
    o->upto = revision;
    o->must_read = false;
    o->failures = 0;
    go(o);
    if (whole || revision > before)
        (void)coord_tell(w, items, n, revision, whole);
    for (uint32_t i = 0; i < read.n_pages; i++)
        etcd_items_free(&read.pages[i]);
    mem_free(read.pages);
}

static void audit_later(struct own *o)
{
    uint64_t pause = AUDIT_NS + o->known.keys.n * NS_PER_MS;
    loop_timer_set(o->etcd->coord.loop, &o->audit, clock_now() + pause);
}

static void on_audit(struct timer *t)
{
    struct own *o = CONTAINER_OF(t, struct own, audit);
    o->read.keys_only = true;
    etcd_fetch_start(&o->read);
}

/* Standing still is what is found twice. */
static bool is_astray(struct own *o, enum known_audit found)
{
    uint64_t before = o->behind;
    o->behind = found == KNOWN_BEHIND ? o->upto : 0;
    return found == KNOWN_MISSED || (found == KNOWN_BEHIND && before == o->upto);
}

static void on_audited(struct own *o, struct etcd_fetch *f, int code)
{
    struct coord_item *all = code ? NULL : etcd_fetch_items(f);
    bool astray = all && is_astray(o, known_audit(&o->known, all, f->n, f->revision, o->upto));
    mem_free(all);
    etcd_fetch_end(f);
    if (astray) {
        o->etcd->astray++;
        o->must_read = true;
        stop(o);
        go(o);
    } else {
        audit_later(o);
    }
}

static void on_read(struct etcd_fetch *f, int code, const struct err *why)
{
    struct own *o = CONTAINER_OF(f, struct own, read);
    struct difference d;
    if (o->phase == STREAMS) {
        on_audited(o, f, code);
        return;
    }
    o->phase = WAITS;
    /* Before what was told: it answers for an older state than it must. Perhaps it was restored. */
    bool ok = !code && f->revision >= o->upto;
    struct coord_item *all = ok ? etcd_fetch_items(f) : NULL;
    if (!all || !known_compare(&o->known, all, f->n, f->revision, !o->upto, &d)) {
        mem_free(all);
        etcd_fetch_end(f);
        again(o);
        return;
    }
    /* What is found missing when nothing has happened since has no revision to be told at. */
    if (!o->upto || (d.n && f->revision == o->upto))
        tell_reading(o, all, f->n, true);
    else
        tell_reading(o, d.items, d.n, false);
    mem_free(all);
    difference_free(&d);
}

/* --- following --- */

static bool hold(struct own *o, struct etcd_items *items)
{
    struct etcd_items *more = mem_resize(o->held, (o->n_held + 1) * sizeof *more);
    if (!more)
        return false;
    o->held = more;
    o->held[o->n_held++] = *items;
    o->held_bytes += items->bytes.cap;
    *items = (struct etcd_items){0};
    return true;
}

/* Changes that are held, up to a revision, in one row. NULL: no memory. */
static struct coord_item *complete(struct own *o, uint64_t upto, uint32_t *n)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < o->n_held; i++)
        all += o->held[i].n;
    struct coord_item *out = mem_zero(all + 1, sizeof *out);
    if (!out)
        return NULL;
    for (uint32_t i = 0; i < o->n_held; i++)
        for (uint32_t k = 0; k < o->held[i].n; k++)
            if (o->held[i].p[k].revision > o->upto && o->held[i].p[k].revision <= upto)
                out[(*n)++] = o->held[i].p[k];
    if (known_ready(&o->known, out, *n))
        return out;
    mem_free(out);
    return NULL;
}

/* Of what is held, the part that is not told yet stays. */
static void trim_held(struct own *o, struct etcd_items *told, uint32_t *n_told)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < o->n_held; i++) {
        struct etcd_items *h = &o->held[i];
        if (h->n && h->p[h->n - 1].revision > o->upto) {
            o->held[left++] = *h;
            continue;
        }
        o->held_bytes -= h->bytes.cap;
        told[(*n_told)++] = *h;
    }
    o->n_held = left;
}

/* Tells what is complete up to a revision. False: o is gone, or stopped. */
static bool tell_upto(struct own *o, uint64_t upto)
{
    struct coord_watch *w = o->w;
    uint32_t n = 0, n_told = 0, kept = 0;
    if (upto <= o->upto)
        return true;
    struct coord_item *items = complete(o, upto, &n);
    struct etcd_items *told = mem_zero(o->n_held + 1, sizeof *told);
    if (!items || !told) {
        mem_free(items);
        mem_free(told);
        again(o);
        return false;
    }
    for (uint32_t i = 0; i < n; i++)
        if (known_learn(&o->known, &items[i]))
            items[kept++] = items[i];
    known_tidy(&o->known, items, kept);
    o->upto = upto = kept ? items[kept - 1].revision : upto;
    trim_held(o, told, &n_told);
    (void)coord_tell(w, items, kept, upto, false);
    for (uint32_t i = 0; i < n_told; i++)
        etcd_items_free(&told[i]);
    mem_free(told);
    mem_free(items);
    return !w->gone;
}

static bool on_changes(struct own *o, struct etcd_line *l)
{
    bool ok = !l->changes.n || hold(o, &l->changes);
    etcd_items_free(&l->changes);
    if (!ok || o->held_bytes > HELD_MAX) {
        o->must_read = o->must_read || ok;
        again(o);
        return false;
    }
    if (!l->newest)
        return true;
    return tell_upto(o, l->fragment ? l->newest - 1 : l->newest);
}

static bool on_ended(struct own *o, const struct etcd_refusal *why)
{
    if (etcd_meaning_of(why) == ETCD_TOKEN)
        etcd_token_refused(o->etcd);
    etcd_doubt_end(o->etcd, o->end, true);
    again(o);
    return false;
}

/* False: the stream has ended, or o is gone. */
static bool on_line(struct own *o, struct str line)
{
    struct etcd_line l;
    struct err e;
    int bad = etcd_read_line(line, &o->scope, &l, &e);
    if (bad) {
        o->etcd->broken += bad == -ERR_PROTO;
        etcd_doubt_end(o->etcd, o->end, true);
        again(o);
        return false;
    }
    coord_seen(&o->etcd->coord, l.header.revision);
    switch (l.kind) {
    case ETCD_LINE_CREATED:
        o->created = true;
        o->failures = 0;
        loop_timer_stop(o->etcd->coord.loop, &o->late);
        audit_later(o);
        return on_changes(o, &l);
    case ETCD_LINE_CHANGES: return on_changes(o, &l);
    case ETCD_LINE_COMPACTED:
        stop(o);
        o->must_read = true;
        go(o);
        return false;
    case ETCD_LINE_ENDED: return on_ended(o, &l.why);
    }
    UNREACHABLE();
}

/* False: the stream has ended, or o is gone. */
static bool take_lines(struct own *o)
{
    struct buf *b = &o->stream.answer;
    size_t begin = 0;
    for (;;) {
        size_t left = b->n - begin - o->scanned; /* of none b->p may be NULL */
        const char *end = left ? memchr(b->p + begin + o->scanned, '\n', left) : NULL;
        if (!end)
            break;
        struct str line = {b->p + begin, (size_t)(end - b->p) - begin};
        begin += line.n + 1;
        o->scanned = 0;
        if (line.n && !on_line(o, line))
            return false;
    }
    buf_drop_front(b, begin);
    o->scanned = b->n;
    return true;
}

static void on_data(struct etcd_call *c)
{
    (void)take_lines(CONTAINER_OF(c, struct own, stream));
}

static void on_end(struct etcd_call *c)
{
    struct own *o = CONTAINER_OF(c, struct own, stream);
    struct etcd_refusal why;
    if (c->status && c->status != 200) {
        etcd_read_refusal(c->status, buf_str(&c->answer), &why);
        (void)on_ended(o, &why);
        return;
    }
    if (!take_lines(o))
        return;
    if (c->why.code == -ERR_LIMIT)
        o->must_read = true;
    else
        etcd_doubt_end(o->etcd, o->end, true);
    again(o);
}

/* It was not created in time. */
static void on_late(struct timer *t)
{
    struct own *o = CONTAINER_OF(t, struct own, late);
    etcd_doubt_end(o->etcd, o->end, false);
    again(o);
}

static void follow(struct own *o)
{
    struct etcd *t = o->etcd;
    buf_clear(&o->stream.request);
    etcd_aim(t, &o->stream, "/v3/watch");
    o->stream.answer_max = ETCD_STREAM_MAX;
    o->end = t->in_use->id;
    o->created = false;
    o->scanned = 0;
    o->phase = STREAMS;
    if (!etcd_ask_watch(o->scope.prefix, o->upto + 1, &o->stream.request) ||
        etcd_call_start(t->http, &o->stream, NULL)) {
        again(o);
        return;
    }
    loop_timer_set(t->coord.loop, &o->late, clock_now() + CREATED_NS);
}

static void go(struct own *o)
{
    if (!o->etcd->sure || timer_is_set(&o->again))
        return;
    switch (o->phase) {
    case WAITS: break;
    case READS: etcd_fetch_go(&o->read); return;
    case STREAMS:
        if (o->end == o->etcd->in_use->id) {
            etcd_fetch_go(&o->read);
            return;
        }
        stop(o);
        break;
    }
    if (!o->upto || o->must_read) {
        o->phase = READS;
        o->read.keys_only = false;
        etcd_fetch_start(&o->read);
    } else {
        follow(o);
    }
}

/* --- what coord.c asks for --- */

static void free_own(struct own *o)
{
    stop(o);
    loop_timer_stop(o->etcd->coord.loop, &o->again);
    etcd_fetch_end(&o->read);
    etcd_call_end(&o->stream);
    known_free(&o->known);
    buf_free(&o->prefix);
    mem_free(o);
}

int etcd_watch_begin(struct coord *c, struct coord_watch *w, struct err *e)
{
    struct etcd *t = etcd_of(c);
    struct own *o = mem_zero(1, sizeof *o);
    if (!o)
        return err_set(e, ERR_NOMEM, "no memory to watch etcd");
    *o = (struct own){.w = w, .etcd = t};
    timer_init(&o->again, on_again);
    timer_init(&o->late, on_late);
    timer_init(&o->audit, on_audit);
    etcd_call_init(&o->stream, on_end);
    o->stream.on_data = on_data;
    o->stream.require_leader = true;
    etcd_fetch_init(&o->read, t, (struct etcd_scope){0}, on_read);
    if (!buf_add_str(&o->prefix, str_of(t->prefix)) || !buf_add_str(&o->prefix, w->prefix)) {
        free_own(o);
        return err_set(e, ERR_NOMEM, "no memory to watch etcd");
    }
    o->scope = (struct etcd_scope){buf_str(&o->prefix), strlen(t->prefix)};
    o->read.scope = o->scope;
    w->own = o;
    go(o);
    return 0;
}

void etcd_watch_end(struct coord *c, struct coord_watch *w)
{
    struct own *o = w->own;
    if (o)
        free_own(o);
    w->own = NULL;
}

void etcd_watches_go(struct etcd *t)
{
    list_for_each (it, &t->coord.watches) {
        struct own *o = LIST_ENTRY(it, struct coord_watch, link)->own;
        if (o)
            go(o);
    }
}
