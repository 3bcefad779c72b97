/* All keys with a prefix, in pages of one revision, asked again until somebody stops it. */
#include "coord/etcd.h"

static void on_page(struct etcd_call *c);
static void send_page(struct etcd_fetch *f);

static void on_again(struct timer *t)
{
    etcd_fetch_go(CONTAINER_OF(t, struct etcd_fetch, again));
}

void etcd_fetch_init(struct etcd_fetch *f, struct etcd *t, struct etcd_scope scope,
                     void (*done)(struct etcd_fetch *, int, const struct err *))
{
    *f = (struct etcd_fetch){.etcd = t, .scope = scope, .done = done, .idle = true};
    etcd_call_init(&f->call, on_page);
    timer_init(&f->again, on_again);
}

static void forget_pages(struct etcd_fetch *f)
{
    for (uint32_t i = 0; i < f->n_pages; i++)
        etcd_items_free(&f->pages[i]);
    mem_free(f->pages);
    f->pages = NULL;
    f->n_pages = f->n = 0;
    f->bytes = 0;
    f->revision = 0;
    buf_clear(&f->after);
}

void etcd_fetch_start(struct etcd_fetch *f)
{
    etcd_call_stop(&f->call);
    loop_timer_stop(f->etcd->coord.loop, &f->again);
    forget_pages(f);
    f->limit = ETCD_PAGE;
    f->failures = 0;
    f->asked_at = 0;
    f->idle = false;
    etcd_fetch_go(f);
}

void etcd_fetch_end(struct etcd_fetch *f)
{
    etcd_call_end(&f->call);
    loop_timer_stop(f->etcd->coord.loop, &f->again);
    forget_pages(f);
    buf_free(&f->after);
    f->idle = true;
}

/* Asks, if it is its turn: also when what it asks now is not the endpoint in use any more. */
void etcd_fetch_go(struct etcd_fetch *f)
{
    if (f->idle || !f->etcd->sure || timer_is_set(&f->again))
        return;
    if (etcd_call_runs(&f->call)) {
        if (f->end == f->etcd->in_use->id)
            return;
        etcd_call_stop(&f->call);
    }
    send_page(f);
}

/* The same page again, a little later. */
static void again(struct etcd_fetch *f)
{
    f->asked_at = 0;
    loop_timer_set(f->etcd->coord.loop, &f->again,
                   clock_now() + etcd_pause(f->etcd, f->failures++));
}

static void send_page(struct etcd_fetch *f)
{
    struct etcd_range r = {
        .prefix = f->scope.prefix,
        .after = buf_str(&f->after),
        .revision = f->revision,
        .limit = f->limit,
        .keys_only = f->keys_only,
    };
    buf_clear(&f->call.request);
    etcd_aim(f->etcd, &f->call, "/v3/kv/range");
    f->end = f->etcd->in_use->id;
    f->asked_at = clock_now();
    f->late = false;
    if (!etcd_ask_range(&r, &f->call.request) || etcd_call_start(f->etcd->http, &f->call, NULL))
        again(f);
}

static void end(struct etcd_fetch *f, int code, const struct err *why)
{
    f->idle = true;
    f->asked_at = 0;
    f->done(f, code, why);
}

/* Takes the page's items over. */
static int keep(struct etcd_fetch *f, struct etcd_page *p, struct err *e)
{
    struct etcd_items *more = NULL;
    buf_clear(&f->after);
    if (buf_add_str(&f->after, p->last))
        more = mem_resize(f->pages, (f->n_pages + 1) * sizeof *more);
    if (!more)
        return err_set(e, ERR_NOMEM, "no memory for a range of keys");
    f->pages = more;
    f->pages[f->n_pages++] = p->items;
    f->n += p->items.n;
    f->bytes += p->items.bytes.cap;
    f->revision = p->header.revision;
    if (f->bytes <= ETCD_RANGE_MAX)
        return 0;
    return err_set(e, ERR_LIMIT, "there are more than %d MiB below this prefix",
                   ETCD_RANGE_MAX >> 20);
}

/* Larger pages while they are small. */
static void next(struct etcd_fetch *f)
{
    if (f->call.answer.n < ETCD_ANSWER_MAX / 8)
        f->limit = MIN(2 * f->limit, (uint32_t)ETCD_PAGE_MAX);
    f->failures = 0;
    f->asked_at = 0;
    if (f->etcd->sure)
        send_page(f); /* else etcd_requests_go or etcd_watches_go continues it */
}

/* Of one revision only: later pages say what the revision is now. */
static void take(struct etcd_fetch *f)
{
    struct etcd_page p;
    struct err e = {0};
    uint64_t as_of = f->revision;
    int bad = etcd_read_range(buf_str(&f->call.answer), &f->scope, &p, &e);
    if (bad) {
        f->etcd->broken += bad == -ERR_PROTO;
        etcd_doubt_end(f->etcd, f->end, true);
        again(f);
        return;
    }
    coord_seen(&f->etcd->coord, p.header.revision);
    bool more = p.more;
    if (as_of)
        p.header.revision = as_of;
    uint32_t pages = f->n_pages;
    bad = keep(f, &p, &e);
    if (bad) {
        if (f->n_pages == pages)
            etcd_items_free(&p.items);
        end(f, bad, &e);
    } else if (!more) {
        end(f, 0, NULL);
    } else {
        next(f);
    }
}

static void ask_for_less(struct etcd_fetch *f)
{
    struct err e;
    if (f->limit > 1) {
        f->limit = MAX(f->limit / 4, 1u);
        f->failures = 0;
        again(f);
        return;
    }
    err_set(&e, ERR_LIMIT, "a single value is too large to be read (%d MiB are the most)",
            ETCD_ANSWER_MAX >> 20);
    end(f, e.code, &e);
}

static void refused(struct etcd_fetch *f)
{
    struct etcd_refusal r;
    struct err e;
    etcd_read_refusal(f->call.status, buf_str(&f->call.answer), &r);
    switch (etcd_meaning_of(&r)) {
    case ETCD_REFUSED:
        err_set(&e, ERR_DENIED, "etcd refuses: %s", r.text);
        end(f, e.code, &e);
        return;
    case ETCD_TOO_MUCH: ask_for_less(f); return;
    case ETCD_COMPACTED: /* while the pages came: from the beginning, as of now */
        forget_pages(f);
        again(f);
        return;
    case ETCD_TOKEN: etcd_token_refused(f->etcd); break;
    case ETCD_ELSEWHERE:
    case ETCD_UNSURE: break;
    }
    etcd_doubt_end(f->etcd, f->end, true);
    again(f);
}

static void on_page(struct etcd_call *c)
{
    struct etcd_fetch *f = CONTAINER_OF(c, struct etcd_fetch, call);
    if (c->status == 200) {
        take(f);
    } else if (c->status) {
        refused(f);
    } else if (c->why.code == -ERR_LIMIT) {
        ask_for_less(f);
    } else {
        etcd_doubt_end(f->etcd, f->end, true);
        again(f);
    }
}

struct coord_item *etcd_fetch_items(const struct etcd_fetch *f)
{
    struct coord_item *all = mem_zero(f->n + 1, sizeof *all);
    uint32_t n = 0;
    for (uint32_t i = 0; all && i < f->n_pages; i++) {
        if (f->pages[i].n)
            memcpy(all + n, f->pages[i].p, f->pages[i].n * sizeof *all);
        n += f->pages[i].n;
    }
    return all;
}
