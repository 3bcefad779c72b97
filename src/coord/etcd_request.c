/* Requests: a change is sent once, a range as often as it takes (etcd.h).
 *
 *   what came of sending a change                     | then
 *   no byte of it left                                | it waits, and goes to whoever answers next
 *   the connection broke, or it was no answer of etcd | UNKNOWN
 *   its machine fell silent, and another is in use    | UNKNOWN if it is out, else as above
 *   a refusal after which it may happen yet           | UNKNOWN
 *   a refusal before which nobody took it up          | it goes out again, AGAIN_MAX times; FAILED
 *   any other refusal                                 | FAILED
 *   its deadline (coord.c)                            | UNKNOWN if it is out, else FAILED
 */
#include "coord/etcd.h"

enum { AGAIN_MAX = 2 }; /* how often a change is sent again after refusals without effect */

/* Either a change, or a range. */
struct own {
    struct coord_request *r;
    struct etcd *etcd;
    bool is_range;
    /* a change */
    struct etcd_call call;
    uint64_t end, asked_at; /* 0: it waits */
    bool late;
    uint32_t again;
    /* a range */
    struct etcd_fetch fetch;
    struct buf prefix;
};

static void free_own(struct own *o)
{
    etcd_call_end(&o->call);
    if (o->is_range)
        etcd_fetch_end(&o->fetch);
    buf_free(&o->prefix);
    mem_free(o);
}

/* The request does not know its own any more: it may be answered. */
static struct coord_request *detach(struct own *o)
{
    o->r->own = NULL;
    return o->r;
}

/* --- changes --- */

static int send_change(struct own *o, struct err *e)
{
    etcd_aim(o->etcd, &o->call, "/v3/kv/txn");
    int bad = etcd_call_start(o->etcd->http, &o->call, e);
    if (bad)
        return bad;
    o->end = o->etcd->in_use->id;
    o->asked_at = clock_now();
    o->late = false;
    return 0;
}

static void answer_why(struct own *o, enum coord_outcome outcome, enum err_code code,
                       const char *before, const char *text)
{
    struct err why;
    err_set(&why, code, "%s%s", before, text);
    struct coord_request *r = detach(o);
    free_own(o);
    coord_answer_why(r, outcome, &why);
}

/* It waits until the engine is sure again. */
static void wait_on(struct own *o)
{
    o->asked_at = 0;
    etcd_doubt_end(o->etcd, o->end, true);
}

static void take(struct own *o)
{
    struct etcd_header h;
    struct err e = {0};
    bool succeeded;
    int bad = etcd_read_txn(buf_str(&o->call.answer), &h, &succeeded, &e);
    if (bad) {
        o->etcd->broken += bad == -ERR_PROTO;
        etcd_doubt_end(o->etcd, o->end, true);
        answer_why(o, COORD_UNKNOWN, (enum err_code) - e.code, "", e.text);
        return;
    }
    struct coord_request *r = detach(o);
    free_own(o);
    coord_answer(r, &(struct coord_answer){.outcome = succeeded ? COORD_DONE : COORD_CONFLICT,
                                           .revision = h.revision});
}

static void refused(struct own *o)
{
    struct etcd_refusal r;
    etcd_read_refusal(o->call.status, buf_str(&o->call.answer), &r);
    enum etcd_meaning meaning = etcd_meaning_of(&r);
    switch (meaning) {
    case ETCD_TOKEN:
    case ETCD_ELSEWHERE: /* nobody took it up: it may go out once more */
        if (meaning == ETCD_TOKEN)
            etcd_token_refused(o->etcd);
        wait_on(o);
        if (o->again++ >= AGAIN_MAX)
            answer_why(o, COORD_FAILED, ERR_BUSY, "etcd refuses: ", r.text);
        return;
    case ETCD_REFUSED:
    case ETCD_TOO_MUCH:
    case ETCD_COMPACTED: answer_why(o, COORD_FAILED, ERR_DENIED, "etcd refuses: ", r.text); return;
    case ETCD_UNSURE:
        etcd_doubt_end(o->etcd, o->end, true);
        answer_why(o, COORD_UNKNOWN, ERR_IO, "etcd says: ", r.text);
        return;
    }
}

static void on_done(struct etcd_call *c)
{
    struct own *o = CONTAINER_OF(c, struct own, call);
    if (c->status == 200) {
        take(o);
    } else if (c->status) {
        refused(o);
    } else if (!c->sent) {
        wait_on(o);
    } else {
        struct err why = c->why;
        etcd_doubt_end(o->etcd, o->end, true);
        answer_why(o, COORD_UNKNOWN, (enum err_code) - why.code, "no answer: ", why.text);
    }
}

/* --- ranges --- */

static void on_range(struct etcd_fetch *f, int code, const struct err *why)
{
    struct own *o = CONTAINER_OF(f, struct own, fetch);
    if (code) {
        answer_why(o, COORD_FAILED, (enum err_code) - code, "", why->text);
        return;
    }
    struct coord_item *items = etcd_fetch_items(f);
    if (!items) {
        answer_why(o, COORD_FAILED, ERR_NOMEM, "", "no memory for a range of keys");
        return;
    }
    struct coord_answer a = {COORD_DONE, f->revision, items, f->n, NULL};
    coord_answer(detach(o), &a);
    mem_free(items);
    free_own(o);
}

/* --- what coord.c asks for --- */

static bool fill(struct own *o)
{
    struct coord_request *r = o->r;
    struct str prefix = str_of(o->etcd->prefix);
    if (!o->is_range)
        return etcd_ask_txn(prefix, r->ops, r->n, &o->call.request);
    if (!buf_add_str(&o->prefix, prefix) || !buf_add_str(&o->prefix, r->prefix))
        return false;
    etcd_fetch_init(&o->fetch, o->etcd, (struct etcd_scope){buf_str(&o->prefix), prefix.n},
                    on_range);
    return true;
}

int etcd_begin(struct coord *c, struct coord_request *r, struct err *e)
{
    struct etcd *t = etcd_of(c);
    struct own *o = mem_zero(1, sizeof *o);
    int bad = 0;
    if (!o)
        return err_set(e, ERR_NOMEM, "no memory for a request to etcd");
    o->r = r;
    o->etcd = t;
    etcd_call_init(&o->call, on_done);
    etcd_fetch_init(&o->fetch, t, (struct etcd_scope){0}, on_range);
    o->call.once = true;
    o->is_range = r->is_range;
    if (!fill(o))
        bad = err_set(e, ERR_NOMEM, "no memory for a request to etcd");
    else if (r->is_range)
        etcd_fetch_start(&o->fetch);
    else if (t->sure)
        bad = send_change(o, e);
    if (bad) {
        free_own(o);
        return bad;
    }
    r->own = o;
    return 0;
}

bool etcd_drop(struct coord *c, struct coord_request *r)
{
    struct own *o = r->own;
    if (!o)
        return false;
    bool maybe = !o->is_range && etcd_call_runs(&o->call) && o->call.sent;
    free_own(o);
    r->own = NULL;
    return maybe;
}

/* One of those that were sent to somebody who is gone; NULL: there is none. */
static struct own *stranded(struct etcd *t)
{
    list_for_each (it, &t->coord.requests) {
        struct own *o = LIST_ENTRY(it, struct coord_request, link)->own;
        if (o && !o->is_range && o->asked_at && o->call.sent && etcd_end_gone(t, o->end))
            return o;
    }
    return NULL;
}

/* One a turn: whoever is answered may do anything. */
void etcd_requests_strand(struct task *task)
{
    struct etcd *t = CONTAINER_OF(task, struct etcd, strand);
    struct own *o = stranded(t);
    if (!o)
        return;
    loop_defer(t->coord.loop, &t->strand);
    answer_why(o, COORD_UNKNOWN, ERR_IO, "no answer: ", "its machine has fallen silent");
}

void etcd_requests_go(struct etcd *t)
{
    list_for_each (it, &t->coord.requests) {
        struct own *o = LIST_ENTRY(it, struct coord_request, link)->own;
        if (!o)
            continue;
        if (o->is_range) {
            etcd_fetch_go(&o->fetch);
            continue;
        }
        if (o->asked_at && !o->call.sent && etcd_end_gone(t, o->end)) {
            etcd_call_stop(&o->call);
            o->asked_at = 0;
        }
        if (!o->asked_at)
            (void)send_change(o, NULL); /* no memory: at the next occasion, or its deadline */
    }
    if (stranded(t))
        loop_defer(t->coord.loop, &t->strand);
}

bool etcd_requests_late(struct etcd *t, uint64_t since, bool *any)
{
    bool late = false;
    list_for_each (it, &t->coord.requests) {
        struct own *o = LIST_ENTRY(it, struct coord_request, link)->own;
        if (!o)
            continue;
        *any = true;
        uint64_t at = o->is_range ? o->fetch.asked_at : o->asked_at;
        bool *told = o->is_range ? &o->fetch.late : &o->late;
        if (!at || at > since || *told)
            continue;
        *told = true;
        late = late || (t->in_use && (o->is_range ? o->fetch.end : o->end) == t->in_use->id);
    }
    return late;
}
