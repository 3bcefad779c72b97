#include "coord/store.h"

/* A build with -Dplant=N has fault N, for the simulator to find: */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum { PLANT_COMPARE = 5 /* a cas does not compare */ };

struct store_version {
    uint32_t refs;
    uint32_t key_n;
    size_t value_n;
    uint64_t revision;
    bool gone;
    char bytes[]; /* the key, then the value */
};

static struct str key_of(const struct store_version *v)
{
    return (struct str){v->bytes, v->key_n};
}

static struct coord_item item_of(const struct store_version *v)
{
    return (struct coord_item){
        .key = key_of(v),
        .value = {v->bytes + v->key_n, v->value_n},
        .revision = v->revision,
        .gone = v->gone,
    };
}

static struct store_version *version_new(const struct coord_op *op, uint64_t revision)
{
    bool gone = op->act == COORD_REMOVE;
    size_t value_n = gone ? 0 : op->value.n;
    struct store_version *v = mem_alloc(sizeof *v + op->key.n + value_n);
    if (!v)
        return NULL;
    *v = (struct store_version){1, (uint32_t)op->key.n, value_n, revision, gone};
    memcpy(v->bytes, op->key.p, op->key.n);
    if (value_n)
        memcpy(v->bytes + op->key.n, op->value.p, value_n);
    return v;
}

static void let_go(struct store_version *v)
{
    if (v && --v->refs == 0)
        mem_free(v);
}

static struct store_version *hold(struct store_version *v)
{
    v->refs++;
    return v;
}

static bool row_reserve(struct store_row *r, size_t more)
{
    if (r->cap - r->n >= more)
        return true;
    size_t cap = MAX(r->n + more, 2 * r->cap);
    struct store_version **v = mem_resize(r->v, cap * sizeof *v);
    if (!v)
        return false;
    r->v = v;
    r->cap = cap;
    return true;
}

static void row_drop_front(struct store_row *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        let_go(r->v[i]);
    if (n)
        memmove(r->v, r->v + n, (r->n - n) * sizeof *r->v);
    r->n -= n;
}

static void row_free(struct store_row *r)
{
    row_drop_front(r, r->n);
    mem_free(r->v);
    *r = (struct store_row){0};
}

/* By bytes; the shorter of two that begin alike comes first. */
static int compare(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

/* The first place whose key is not before this one. */
static size_t lower(const struct store_row *items, struct str key)
{
    size_t low = 0, high = items->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(key_of(items->v[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct store_version *find(const struct store *s, struct str key)
{
    size_t at = lower(&s->items, key);
    return at < s->items.n && str_eq(key_of(s->items.v[at]), key) ? s->items.v[at] : NULL;
}

void store_init(struct store *s)
{
    *s = (struct store){.revision = STORE_FIRST, .compacted = STORE_FIRST};
}

void store_free(struct store *s)
{
    row_free(&s->items);
    row_free(&s->changes);
}

static bool row_copy(struct store_row *to, const struct store_row *from)
{
    if (!row_reserve(to, from->n))
        return false;
    for (size_t i = 0; i < from->n; i++)
        to->v[to->n++] = hold(from->v[i]);
    return true;
}

int store_copy(struct store *to, const struct store *from, struct err *e)
{
    *to = (struct store){.revision = from->revision, .compacted = from->compacted};
    if (row_copy(&to->items, &from->items) && row_copy(&to->changes, &from->changes))
        return 0;
    store_free(to);
    return err_set(e, ERR_NOMEM, "no memory for a copy of the coordinator's map");
}

void store_raise(struct store *s, uint64_t revision)
{
    if (revision <= s->revision)
        return;
    s->revision = revision;
    store_compact(s, revision);
}

static bool as_expected(const struct store *s, const struct coord_op *op)
{
    const struct store_version *v = find(s, op->key);
    return HF_PLANT == PLANT_COMPARE || op->expected == COORD_ANY ||
           op->expected == (v ? v->revision : 0);
}

static bool changes_something(const struct store *s, const struct coord_op *op)
{
    return op->act == COORD_PUT || (op->act == COORD_REMOVE && find(s, op->key));
}

/* Room for it was reserved. */
static void apply(struct store *s, struct store_version *v)
{
    struct store_row *items = &s->items;
    size_t at = lower(items, key_of(v));
    bool there = at < items->n && str_eq(key_of(items->v[at]), key_of(v));
    if (there)
        let_go(items->v[at]);
    if (v->gone) {
        memmove(items->v + at, items->v + at + 1, (items->n - at - 1) * sizeof *items->v);
        items->n--;
    } else {
        if (!there) {
            memmove(items->v + at + 1, items->v + at, (items->n - at) * sizeof *items->v);
            items->n++;
        }
        items->v[at] = hold(v);
    }
    s->changes.v[s->changes.n++] = v;
}

int store_cas(struct store *s, const struct coord_op *ops, uint32_t n, enum coord_outcome *outcome,
              struct err *e)
{
    struct store_version *new[COORD_OPS];
    uint32_t count = 0;
    bool held = true;
    CHECK(n <= COORD_OPS);
    *outcome = COORD_CONFLICT;
    for (uint32_t i = 0; i < n; i++)
        if (!as_expected(s, &ops[i]))
            return 0;
    for (uint32_t i = 0; i < n && held; i++)
        if (changes_something(s, &ops[i])) {
            new[count] = version_new(&ops[i], s->revision + 1);
            held = new[count] != NULL;
            count += held;
        }
    if (!held || !row_reserve(&s->items, count) || !row_reserve(&s->changes, count)) {
        while (count)
            let_go(new[--count]);
        return err_set(e, ERR_NOMEM, "no memory for a change of the coordinator's map");
    }
    for (uint32_t i = 0; i < count; i++)
        apply(s, new[i]);
    s->revision += count > 0;
    *outcome = COORD_DONE;
    return 0;
}

/* Those of the n that begin with the prefix. */
static int list_of(struct store_version *const *v, size_t n, struct str prefix,
                   struct store_list *out, struct err *e)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += str_starts(key_of(v[i]), prefix);
    if (!count)
        return 0;
    out->items = mem_zero(count, sizeof *out->items);
    out->held = mem_zero(count, sizeof(struct store_version *));
    if (!out->items || !out->held) {
        store_list_free(out);
        return err_set(e, ERR_NOMEM, "no memory for an answer of the coordinator");
    }
    for (size_t i = 0; i < n; i++)
        if (str_starts(key_of(v[i]), prefix)) {
            out->items[out->n] = item_of(v[i]);
            out->held[out->n++] = hold(v[i]);
        }
    return 0;
}

int store_range(const struct store *s, struct str prefix, struct store_list *out, struct err *e)
{
    size_t from = lower(&s->items, prefix), to = from;
    while (to < s->items.n && str_starts(key_of(s->items.v[to]), prefix))
        to++;
    *out = (struct store_list){.revision = s->revision};
    return to > from ? list_of(s->items.v + from, to - from, prefix, out, e) : 0;
}

int store_since(const struct store *s, struct str prefix, uint64_t after, struct store_list *out,
                struct err *e)
{
    *out = (struct store_list){.revision = s->revision};
    if (after < s->compacted)
        return err_set(e, ERR_ABSENT, "the history begins after revision %llu, not at %llu",
                       (unsigned long long)s->compacted, (unsigned long long)after);
    size_t from = s->changes.n;
    while (from && s->changes.v[from - 1]->revision > after)
        from--;
    return from < s->changes.n ? list_of(s->changes.v + from, s->changes.n - from, prefix, out, e)
                               : 0;
}

void store_compact(struct store *s, uint64_t revision)
{
    revision = MIN(revision, s->revision);
    if (revision <= s->compacted)
        return;
    size_t n = 0;
    while (n < s->changes.n && s->changes.v[n]->revision <= revision)
        n++;
    row_drop_front(&s->changes, n);
    s->compacted = revision;
}

void store_list_free(struct store_list *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        let_go(l->held[i]);
    mem_free(l->items);
    mem_free(l->held);
    l->items = NULL;
    l->held = NULL;
    l->n = 0;
}

bool store_get(const struct store *s, struct str key, struct coord_item *out)
{
    const struct store_version *v = find(s, key);
    if (v)
        *out = item_of(v);
    return v != NULL;
}

static int check_key(struct str key, struct err *e)
{
    if (key.n > COORD_KEY_MAX)
        return err_set(e, ERR_LIMIT, "a key of the coordinator has at most %d bytes, not %zu",
                       COORD_KEY_MAX, key.n);
    if (key.n && memchr(key.p, 0, key.n))
        return err_set(e, ERR_INVAL, "a key of the coordinator holds no NUL");
    return 0;
}

int coord_check_prefix(struct str prefix, struct err *e)
{
    return check_key(prefix, e);
}

static int check_op(const struct coord_op *ops, uint32_t i, struct err *e)
{
    int r = check_key(ops[i].key, e);
    if (r)
        return r;
    if (!ops[i].key.n)
        return err_set(e, ERR_INVAL, "a key of the coordinator has at least one byte");
    for (uint32_t j = 0; j < i; j++)
        if (str_eq(ops[j].key, ops[i].key))
            return err_set(e, ERR_INVAL, "the key '" STR_FMT "' stands twice in one change",
                           STR_ARG(ops[i].key));
    return 0;
}

int coord_check_ops(const struct coord_op *ops, uint32_t n, struct err *e)
{
    size_t values = 0;
    if (!n)
        return err_set(e, ERR_INVAL, "a change of the coordinator names at least one key");
    if (n > COORD_OPS)
        return err_set(e, ERR_LIMIT, "a change of the coordinator names at most %d keys, not %u",
                       COORD_OPS, n);
    for (uint32_t i = 0; i < n; i++) {
        int r = check_op(ops, i, e);
        if (r)
            return r;
        size_t value = ops[i].act == COORD_PUT ? ops[i].value.n : 0;
        if (value > COORD_VALUE_MAX - values)
            return err_set(e, ERR_LIMIT, "the values of one change have at most %d bytes together",
                           COORD_VALUE_MAX);
        values += value;
    }
    return 0;
}
