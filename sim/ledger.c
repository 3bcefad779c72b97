#include "ledger.h"

enum { SETTLE_MS = 4000 }; /* after the last fault and the last change, until all run it */

static unsigned long long ull(uint64_t v)
{
    return v;
}

/* ---- the history */

static struct ledger_row *row_of(struct ledger *l, uint64_t number)
{
    if (number >= l->n_rows) {
        uint64_t n = MAX(number + 1, 2 * l->n_rows);
        l->rows = sim_resize(l->rows, n * sizeof *l->rows);
        memset(l->rows + l->n_rows, 0, (n - l->n_rows) * sizeof *l->rows);
        l->n_rows = n;
    }
    return &l->rows[number];
}

static void record(struct ledger *l, const struct coord_op *op, uint64_t revision)
{
    if (l->n_changes == l->cap_changes) {
        l->cap_changes = MAX(2 * l->cap_changes, 64);
        l->changes = sim_resize(l->changes, l->cap_changes * sizeof *l->changes);
    }
    struct ledger_change *c = &l->changes[l->n_changes++];
    *c = (struct ledger_change){.revision = revision, .gone = op->act == COORD_REMOVE};
    c->hash = c->gone ? 0 : str_hash(op->value);
    str_copy(c->key, sizeof c->key, op->key);
}

static bool was_refused(const struct ledger *l, const char *id)
{
    for (size_t i = 0; i < l->n_refused; i++)
        if (strcmp(l->refused[i], id) == 0)
            return true;
    return false;
}

static void on_version(struct ledger *l, const struct coord_op *op)
{
    struct version v;
    struct buf bundle = {0};
    struct err e = {0};
    if (version_read(op->value, &v, &bundle, &e)) {
        violated(l->v, I40_ORDER, "what is written as a version cannot be read: %s", e.text);
    } else {
        struct ledger_row *row = row_of(l, v.number);
        if (row->version.number && !version_same(&row->version, &v))
            violated(l->v, I40_ORDER, "version %llu of %s is written over that of %s",
                     ull(v.number), v.node, row->version.node);
        if (was_refused(l, v.id))
            violated(l->v, I41_APPLIED, "version %llu of %s is written, which it was told is not",
                     ull(v.number), v.node);
        row->version = v;
    }
    buf_free(&bundle);
}

static void on_head(struct ledger *l, const struct coord_op *op)
{
    struct version v;
    struct err e = {0};
    if (op->act == COORD_REMOVE || version_read(op->value, &v, NULL, &e)) {
        violated(l->v, I40_ORDER, "head is no version: %s", e.text);
        return;
    }
    struct ledger_row *row = row_of(l, v.number);
    if (!version_same(&row->version, &v))
        violated(l->v, I40_ORDER, "head is version %llu, which is not in the history",
                 ull(v.number));
    if (v.number != l->head && v.number != l->head + 1)
        violated(l->v, I40_ORDER, "head goes from version %llu to %llu", ull(l->head),
                 ull(v.number));
    if (v.number != l->head)
        l->head_at = l->world->now;
    row->headed = true;
    l->head = v.number;
}

static void on_removed(struct ledger *l, const struct coord_op *op)
{
    uint64_t number;
    size_t n = sizeof VERSIONS_EACH - 1;
    struct str digits = {op->key.p + n, op->key.n - n};
    if (!str_u64(digits, VERSION_MOST, &number) || number + VERSIONS_KEPT > l->head)
        violated(l->v, I41_APPLIED, "version " STR_FMT " is removed while head is %llu",
                 STR_ARG(digits), ull(l->head));
}

static void on_decided(struct ledger *l, const struct happening *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        bool each = str_starts(h->ops[i].key, STR(VERSIONS_EACH));
        if (each && h->ops[i].act == COORD_PUT)
            on_version(l, &h->ops[i]);
    }
    for (uint32_t i = 0; i < h->n; i++) {
        const struct coord_op *op = &h->ops[i];
        struct coord_item item;
        if (str_eq(op->key, STR(VERSIONS_HEAD)))
            on_head(l, op);
        if (str_eq(op->key, STR(VOTING_KEY)))
            ledger_voters(l, op);
        if (op->act == COORD_REMOVE && str_starts(op->key, STR(VERSIONS_EACH)))
            on_removed(l, op);
        bool there = store_get(&l->world->coordinator->store, op->key, &item);
        if (op->act == COORD_PUT ? there && item.revision == h->revision : !there)
            record(l, op, h->revision);
    }
}

/* ---- applications */

static void on_applied(struct ledger *l, const struct happening *h)
{
    const struct version *v = h->version;
    const struct ledger_row *row = row_of(l, v->number);
    bool in = version_same(&row->version, v);
    switch ((enum application_end)h->end) {
    case APPLICATION_OPEN: break;
    case APPLICATION_DONE:
        if (!in)
            violated(l->v, I41_APPLIED, "n%u was told that its version %llu is applied; it is not",
                     h->node, ull(v->number));
        break;
    case APPLICATION_CONFLICT:
    case APPLICATION_FAILED:
        if (in)
            violated(l->v, I41_APPLIED, "n%u was told that its version %llu is not applied; it is",
                     h->node, ull(v->number));
        l->refused = sim_resize(l->refused, (l->n_refused + 1) * sizeof *l->refused);
        memcpy(l->refused[l->n_refused++], v->id, sizeof v->id);
        break;
    }
}

/* ---- what nodes run */

static void on_force(struct ledger *l, const struct happening *h)
{
    const struct version *v = h->version;
    struct ledger_node *n = &l->nodes[h->node];
    if (v->number < n->force.number)
        violated(l->v, I42_UPWARDS, "n%u runs version %llu, it has run %llu", h->node,
                 ull(v->number), ull(n->force.number));
    if (v->number && v->number == n->force.number && !version_same(v, &n->force))
        violated(l->v, I42_UPWARDS, "n%u runs another version %llu than before", h->node,
                 ull(v->number));
    const struct ledger_row *row = row_of(l, v->number);
    if (v->number && (!row->headed || !version_same(v, &row->version)))
        violated(l->v, I43_FORCE, "n%u runs version %llu of %s, which never was in force", h->node,
                 ull(v->number), v->node);
    n->force = *v;
}

static void check_force(struct ledger *l, uint32_t i)
{
    const struct version *v = &l->world->coordinator->followers[i].force;
    if (!version_same(v, &l->nodes[i].force))
        violated(l->v, I46_STATIC, "n%u runs version %llu, it was %llu, and nobody changed it", i,
                 ull(v->number), ull(l->nodes[i].force.number));
}

/* ---- watches */

static bool watched(uint32_t which, const struct ledger_change *c)
{
    return str_starts(str_of(c->key), str_of(coordinator_prefix(which)));
}

static bool fits(const struct ledger_change *c, const struct coord_item *item)
{
    return c->revision == item->revision && c->gone == item->gone &&
           str_eq(str_of(c->key), item->key) && (c->gone || c->hash == str_hash(item->value));
}

/* Every change since the last time, in order, each once. */
static void check_changes(struct ledger *l, const struct happening *h, uint64_t seen)
{
    uint32_t next = 0;
    for (size_t i = 0; i < l->n_changes; i++) {
        const struct ledger_change *c = &l->changes[i];
        if (!watched(h->which, c) || c->revision <= seen || c->revision > h->revision)
            continue;
        if (next == h->n || !fits(c, &h->items[next])) {
            violated(l->v, I44_WATCHES, "n%u's watch is not told of %s at revision %llu", h->node,
                     c->key, ull(c->revision));
            return;
        }
        next++;
    }
    if (next < h->n)
        violated(l->v, I44_WATCHES, "n%u's watch is told of " STR_FMT " at revision %llu, again",
                 h->node, STR_ARG(h->items[next].key), ull(h->items[next].revision));
}

static const struct ledger_change *last_of(const struct ledger *l, struct str key,
                                           uint64_t revision)
{
    const struct ledger_change *last = NULL;
    for (size_t i = 0; i < l->n_changes && l->changes[i].revision <= revision; i++)
        if (str_eq(str_of(l->changes[i].key), key))
            last = &l->changes[i];
    return last;
}

/* All that there was. */
static void check_whole(struct ledger *l, const struct happening *h)
{
    uint32_t there = 0;
    for (size_t i = 0; i < l->n_changes; i++) {
        const struct ledger_change *c = &l->changes[i];
        there += watched(h->which, c) && c->revision <= h->revision && !c->gone &&
                 c == last_of(l, str_of(c->key), h->revision);
    }
    bool all = there == h->n;
    for (uint32_t i = 0; i < h->n && all; i++) {
        const struct ledger_change *c = last_of(l, h->items[i].key, h->revision);
        all = c && fits(c, &h->items[i]);
    }
    if (!all)
        violated(l->v, I44_WATCHES,
                 "n%u's watch is told %u keys as all of revision %llu; it has "
                 "others",
                 h->node, h->n, ull(h->revision));
}

static void on_told(struct ledger *l, const struct happening *h)
{
    uint64_t *seen = &l->nodes[h->node].seen[h->which];
    if (h->revision < *seen)
        violated(l->v, I44_WATCHES, "n%u's watch goes back from revision %llu to %llu", h->node,
                 ull(*seen), ull(h->revision));
    if (!h->whole && !*seen)
        violated(l->v, I44_WATCHES, "n%u's watch does not begin with all there is", h->node);
    if (h->whole && *seen && *seen >= l->world->coordinator->store.compacted)
        violated(l->v, I44_WATCHES, "n%u's watch is told again what it knew at revision %llu",
                 h->node, ull(*seen));
    if (h->whole)
        check_whole(l, h);
    else
        check_changes(l, h, *seen);
    *seen = h->revision;
}

/* ---- in the end */

static void check_settled(struct ledger *l)
{
    struct coordinator *c = l->world->coordinator;
    uint64_t now = l->world->now, bound = SETTLE_MS * MS;
    const struct version *head = &row_of(l, l->head)->version;
    ledger_settled_voters(l, bound);
    if (now < MAX(l->healed, l->head_at) + bound)
        return;
    for (uint32_t i = 0; i < l->world->o.nodes; i++) {
        const struct follower *f = &c->followers[i];
        double after = (double)(now - MAX(l->healed, l->head_at)) / 1e9;
        if (!f->runs || now < MAX(l->nodes[i].started, f->lands) + bound)
            continue;
        if (!version_same(&f->force, head))
            violated(l->v, I45_SAME, "%.1f s after the last fault n%u runs version %llu, not %llu",
                     after, i, ull(f->force.number), ull(l->head));
        for (uint32_t k = 0; k < WATCHES; k++)
            if (!l->nodes[i].seen[k] && coordinator_watched(c, k))
                violated(l->v, I45_SAME, "%.1f s after the last fault n%u watches nothing", after,
                         i);
    }
}

/* ---- */

static void on_started(struct ledger *l, uint32_t i)
{
    l->nodes[i].started = l->world->now;
    for (uint32_t k = 0; k < WATCHES; k++)
        l->nodes[i].seen[k] = 0;
}

static void tell(void *context, struct world *w, const struct happening *h)
{
    struct ledger *l = context;
    switch (h->kind) {
    case HAPPENED_STARTED: on_started(l, h->node); break;
    case HAPPENED_DECIDED: on_decided(l, h); break;
    case HAPPENED_TOLD: on_told(l, h); break;
    case HAPPENED_APPLIED: on_applied(l, h); break;
    case HAPPENED_FORCE: on_force(l, h); break;
    case HAPPENED_VOTING: ledger_kept_voters(l, h->node, h->revision); break;
    case HAPPENED_WIPED:
        l->nodes[h->node].force = (struct version){0};
        l->nodes[h->node].voted = 0;
        break;
    case HAPPENED_FOLLOWED:
        check_force(l, h->node);
        check_settled(l);
        break;
    case HAPPENED_CONDITIONS:
        for (uint32_t i = 0; i < w->o.nodes; i++)
            if (w->coordinator->followers[i].runs)
                check_force(l, i);
        break;
    case HAPPENED_PLANNED:
    case HAPPENED_NEWS:
    case HAPPENED_REKEYED:
    case HAPPENED_STOPPED:
    case HAPPENED_RAISED:
    case HAPPENED_CHANGED:
    case HAPPENED_ARRIVED:
    case HAPPENED_READING:
    case HAPPENED_READ:
    case HAPPENED_RAN: break;
    }
}

void ledger_end(struct ledger *l)
{
    if (!l)
        return;
    for (uint64_t i = 1; i <= l->head; i++) {
        char key[VERSION_KEY];
        struct coord_item item;
        version_key(i, key);
        if (i + VERSIONS_KEPT > l->head &&
            !store_get(&l->world->coordinator->store, str_of(key), &item))
            violated(l->v, I41_APPLIED, "version %llu is not in the history any more", ull(i));
    }
    check_settled(l);
}

struct ledger *ledger_new(struct world *w, struct invariants *v, uint64_t healed)
{
    if (!w->coordinator)
        return NULL;
    struct ledger *l = sim_zero(1, sizeof *l);
    l->world = w;
    l->v = v;
    l->healed = healed;
    l->nodes = sim_zero(w->o.nodes, sizeof *l->nodes);
    l->watch = (struct watch){l, tell};
    world_watch(w, &l->watch);
    return l;
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    mem_free(l->rows);
    mem_free(l->changes);
    mem_free(l->refused);
    mem_free(l->nodes);
    mem_free(l);
}
