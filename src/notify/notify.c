#include "notify/notify.h"

/* What was told of late. */
struct row {
    uint64_t key;            /* 0: free */
    uint64_t until;          /* ns: the same is held until then */
    bool holds;              /* item is to be told then */
    struct notify_item item; /* the latest */
};

struct notify {
    struct notify_policy policy;
    struct prng prng;
    struct notify_counts counts;
    struct notify_item slots[NOTIFY_QUEUE];
    uint16_t order[NOTIFY_QUEUE]; /* the first n: slots in use, oldest first; then the free ones */
    uint32_t n;
    bool under_way; /* order[0] is */
    uint32_t failures;
    uint64_t wait; /* ns: nothing is sent before */
    bool fails_told, fails, works;
    bool drops, drops_told;
    uint64_t dropped; /* since the queue was empty */
    struct row rows[NOTIFY_ROWS];
    uint64_t open[NOTIFY_ROWS]; /* troubles that were told: keys; 0: free */
    uint32_t next_open;         /* forgotten next, when all are in use */
};

/* ---- start and end ---- */

int notify_new(struct notify **out, const struct notify_policy *p, uint64_t seed, struct err *e)
{
    struct notify *n = mem_zero(1, sizeof *n);
    if (!n)
        return err_set(e, ERR_NOMEM, "no memory for notifications");
    n->policy = *p;
    prng_seed(&n->prng, seed);
    for (uint16_t i = 0; i < NOTIFY_QUEUE; i++)
        n->order[i] = i;
    *out = n;
    return 0;
}

void notify_free(struct notify *n)
{
    mem_free(n);
}

void notify_set_policy(struct notify *n, const struct notify_policy *p)
{
    n->policy = *p;
}

/* ---- the queue ---- */

/* Out of the queue; its slot becomes the last of the free ones. */
static void take_out(struct notify *n, uint32_t i)
{
    uint16_t slot = n->order[i];
    memmove(&n->order[i], &n->order[i + 1], (n->n - i - 1) * sizeof n->order[0]);
    n->order[--n->n] = slot;
}

static void count_drop(struct notify *n, uint64_t *which)
{
    (*which)++;
    n->dropped++;
    n->drops |= !n->drops_told;
}

/* False: the one that comes is worth less than all that wait. */
static bool shed_one(struct notify *n, uint8_t level)
{
    uint32_t first = n->under_way ? 1 : 0, i = first;
    while (i < n->n && n->slots[n->order[i]].ev.level >= n->policy.critical)
        i++;
    count_drop(n, &n->counts.shed);
    if (i == n->n && level < n->policy.critical)
        return false;
    take_out(n, i == n->n ? first : i);
    return true;
}

void notify_push(struct notify *n, const struct notify_item *item)
{
    if (n->n == NOTIFY_QUEUE && !shed_one(n, item->ev.level))
        return;
    n->slots[n->order[n->n++]] = *item;
}

/* ---- what is told ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    return (a ^ b) * UINT64_C(0x100000001b3);
}

/* Never 0. */
static uint64_t key_of(const struct notify_event *ev)
{
    uint64_t k = mix(str_hash(str_of(ev->subject)), ev->code);
    k = mix(mix(k, ev->level), ev->judged ? 1u + ev->to : 0u);
    return k ? k : 1;
}

static uint64_t trouble_key(const struct notify_event *ev)
{
    uint64_t k = mix(mix(str_hash(str_of(ev->subject)), ev->trouble), 0x7472);
    return k ? k : 1;
}

static uint32_t find_open(const struct notify *n, uint64_t key)
{
    uint32_t i = 0;
    while (i < NOTIFY_ROWS && n->open[i] != key)
        i++;
    return i;
}

static void open_trouble(struct notify *n, const struct notify_event *ev)
{
    uint64_t key = trouble_key(ev);
    if (find_open(n, key) < NOTIFY_ROWS)
        return;
    uint32_t i = find_open(n, 0);
    if (i == NOTIFY_ROWS) {
        i = n->next_open;
        n->next_open = (i + 1) % NOTIFY_ROWS;
    }
    n->open[i] = key;
}

static bool close_trouble(struct notify *n, const struct notify_event *ev)
{
    uint32_t i = ev->trouble && ev->over ? find_open(n, trouble_key(ev)) : NOTIFY_ROWS;
    if (i == NOTIFY_ROWS)
        return false;
    n->open[i] = 0;
    return true;
}

static bool selected(const struct notify_policy *p, const struct notify_event *ev)
{
    return (p->levels >> ev->level & 1) || (p->codes[ev->code / 8] >> ev->code % 8 & 1);
}

/* What it holds goes to the queue, and its time begins anew. */
static void release(struct notify *n, struct row *r, uint64_t now)
{
    r->holds = false;
    r->item.since = now;
    r->until = now + n->policy.repeat;
    notify_push(n, &r->item);
}

/* Of this key; else one that is free; else the one whose time is over first. */
static struct row *row_of(struct notify *n, uint64_t key)
{
    struct row *best = &n->rows[0];
    for (uint32_t i = 0; i < NOTIFY_ROWS; i++) {
        struct row *r = &n->rows[i];
        if (r->key == key)
            return r;
        if (best->key && (!r->key || r->until < best->until))
            best = r;
    }
    return best;
}

static void hold(struct notify *n, struct row *r, const struct notify_item *item)
{
    uint32_t repeats = r->holds ? r->item.repeats + 1 : 1;
    n->counts.held += r->holds;
    r->item = *item;
    r->item.repeats = repeats;
    r->holds = true;
}

bool notify_offer(struct notify *n, const struct notify_event *ev, uint64_t now)
{
    CHECK(ev->level < 8);
    struct notify_item item = {.ev = *ev, .since = now, .resolved = close_trouble(n, ev)};
    if (!item.resolved && !selected(&n->policy, ev))
        return false;
    if (ev->trouble && !ev->over)
        open_trouble(n, ev);
    uint64_t key = key_of(ev);
    struct row *r = row_of(n, key);
    if (r->key == key && now < r->until) {
        hold(n, r, &item);
        return true;
    }
    if (r->holds) /* of another key, or late */
        release(n, r, now);
    r->key = key;
    r->until = now + n->policy.repeat;
    notify_push(n, &item);
    return true;
}

/* ---- what is sent ---- */

/* The earliest first: they stay in the order in which they came. */
static void release_due(struct notify *n, uint64_t now)
{
    for (;;) {
        struct row *due = NULL;
        for (uint32_t i = 0; i < NOTIFY_ROWS; i++) {
            struct row *r = &n->rows[i];
            if (r->holds && r->until <= now && (!due || r->until < due->until))
                due = r;
        }
        if (!due)
            return;
        release(n, due, now);
    }
}

static void give_up_old(struct notify *n, uint64_t now)
{
    while (n->n && now - n->slots[n->order[0]].since >= NOTIFY_GIVE_UP) {
        count_drop(n, &n->counts.given_up);
        take_out(n, 0);
    }
}

const struct notify_item *notify_next(struct notify *n, uint64_t now)
{
    release_due(n, now);
    if (n->under_way)
        return NULL;
    give_up_old(n, now);
    if (n->n == 0 || now < n->wait)
        return NULL;
    n->under_way = true;
    return &n->slots[n->order[0]];
}

static void wait_longer(struct notify *n, uint64_t now)
{
    uint32_t doublings = MIN(n->failures - 1, 20u);
    uint64_t most = MIN(NOTIFY_SECOND << doublings, NOTIFY_WAIT_MOST);
    n->wait = now + most / 2 + prng_below(&n->prng, most / 2 + 1);
}

static void on_failure(struct notify *n, uint64_t now)
{
    n->failures++;
    n->counts.failed++;
    if (n->failures == NOTIFY_FAILING_AFTER && !n->fails_told)
        n->fails = true;
    wait_longer(n, now);
}

void notify_done(struct notify *n, enum notify_outcome what, uint64_t now)
{
    CHECK(n->under_way && n->n);
    n->under_way = false;
    if (what == NOTIFY_FAILED) {
        on_failure(n, now);
        return;
    }
    take_out(n, 0);
    n->failures = 0;
    n->wait = 0;
    n->works |= n->fails_told;
    n->fails = false;
    if (what == NOTIFY_SENT)
        n->counts.sent++;
    else
        count_drop(n, &n->counts.given_up);
}

uint64_t notify_deadline(const struct notify *n)
{
    uint64_t at = n->n && !n->under_way ? n->wait : UINT64_MAX;
    for (uint32_t i = 0; i < NOTIFY_ROWS; i++)
        if (n->rows[i].holds)
            at = MIN(at, n->rows[i].until);
    return at;
}

/* ---- what people see ---- */

enum notify_news notify_news(struct notify *n, uint64_t *dropped)
{
    *dropped = n->dropped;
    if (n->fails) {
        n->fails = false;
        n->fails_told = true;
        return NOTIFY_FAILS;
    }
    if (n->works) {
        n->works = n->fails_told = false;
        return NOTIFY_WORKS;
    }
    if (n->drops) {
        n->drops = false;
        n->drops_told = true;
        return NOTIFY_DROPS;
    }
    if (n->n == 0 && n->dropped) {
        n->drops_told = false;
        n->dropped = 0;
        return NOTIFY_DROPPED;
    }
    return NOTIFY_NO_NEWS;
}

struct notify_counts notify_counts(const struct notify *n)
{
    return n->counts;
}

uint32_t notify_waiting(const struct notify *n)
{
    return n->n;
}

const struct notify_item *notify_at(const struct notify *n, uint32_t i)
{
    CHECK(i < n->n);
    return &n->slots[n->order[i]];
}

const struct notify_item *notify_held(const struct notify *n, uint32_t i)
{
    CHECK(i < NOTIFY_ROWS);
    return n->rows[i].holds ? &n->rows[i].item : NULL;
}
