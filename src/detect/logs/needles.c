#include "detect/logs/needles.h"

enum { STEP_MOST = 4, MAP_BITS = 14, CHAINS = 512 };

struct needle {
    uint32_t four; /* the bytes that were hashed */
    uint16_t next; /* in the chain, plus 1; 0: none */
    uint8_t at;    /* where they stand in the text */
    uint8_t owner;
    struct literal text;
};

struct text {
    uint8_t owner;
    struct literal literal;
};

struct needles {
    uint64_t map[(1 << MAP_BITS) / 64];
    uint16_t chains[CHAINS]; /* the first, plus 1 */
    struct owners always;
    bool any_always;
    struct text *texts;
    uint32_t n_texts;
    struct needle *all;
    uint32_t n, step;
};

struct needles *needles_new(void)
{
    return mem_zero(1, sizeof(struct needles));
}

void needles_free(struct needles *n)
{
    if (!n)
        return;
    mem_free(n->texts);
    mem_free(n->all);
    mem_free(n);
}

static void put(struct owners *o, uint32_t owner)
{
    o->bits[owner / 64] |= UINT64_C(1) << owner % 64;
}

bool needles_add(struct needles *n, uint32_t owner, const struct literals *l)
{
    CHECK(owner < NEEDLES_OWNERS);
    if (l->n == 0) {
        put(&n->always, owner);
        n->any_always = true;
        return true;
    }
    struct text *texts = mem_resize(n->texts, (n->n_texts + l->n) * sizeof *texts);
    if (!texts)
        return false;
    n->texts = texts;
    for (uint32_t i = 0; i < l->n; i++)
        texts[n->n_texts++] = (struct text){(uint8_t)owner, l->all[i]};
    return true;
}

static inline uint32_t four_at(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v | 0x20202020;
}

static inline uint32_t hash(uint32_t four)
{
    return four * UINT32_C(0x9e3779b1);
}

static inline uint32_t bit_of(uint32_t h)
{
    return h >> (32 - MAP_BITS);
}

static inline uint32_t chain_of(uint32_t h)
{
    return h % CHAINS;
}

/* How rare the byte is in logs, roughly. */
static uint32_t rarity(char c)
{
    if (c >= 'a' && c <= 'z')
        return strchr("etaoinsrl", c) ? 0 : strchr("dcumphgf", c) ? 1 : 3;
    return c == ' ' ? 0 : 2;
}

/* Where in the text the bytes that are hashed begin: the rarest. */
static uint32_t best_place(const struct literal *l, uint32_t step)
{
    uint32_t best = 0, most = 0, width = 3 + step;
    for (uint32_t at = 0; at + width <= l->n; at++) {
        uint32_t sum = 0;
        for (uint32_t i = 0; i < width; i++)
            sum += rarity(l->p[at + i]);
        if (sum > most) {
            best = at;
            most = sum;
        }
    }
    return best;
}

static void add_needle(struct needles *n, const struct text *t, uint32_t at)
{
    uint32_t four = four_at(t->literal.p + at), h = hash(four);
    uint16_t *chain = &n->chains[chain_of(h)];
    n->all[n->n] = (struct needle){four, *chain, (uint8_t)at, t->owner, t->literal};
    *chain = (uint16_t)++n->n;
    n->map[bit_of(h) / 64] |= UINT64_C(1) << bit_of(h) % 64;
}

bool needles_ready(struct needles *n)
{
    n->step = STEP_MOST;
    for (uint32_t i = 0; i < n->n_texts; i++)
        n->step = MIN(n->step, n->texts[i].literal.n - 3u);
    if (n->n_texts == 0)
        return true;
    n->all = mem_zero((size_t)n->n_texts * n->step, sizeof *n->all);
    if (!n->all)
        return false;
    for (uint32_t i = 0; i < n->n_texts; i++) {
        uint32_t at = best_place(&n->texts[i].literal, n->step);
        for (uint32_t k = 0; k < n->step; k++)
            add_needle(n, &n->texts[i], at + k);
    }
    mem_free(n->texts);
    n->texts = NULL;
    return true;
}

static bool stands(const struct needle *d, struct str line, size_t at)
{
    if (at < d->at || line.n - (at - d->at) < d->text.n)
        return false;
    const char *p = line.p + at - d->at;
    for (uint32_t i = 0; i < d->text.n; i++)
        if (literal_fold(p[i]) != d->text.p[i])
            return false;
    return true;
}

static bool look(const struct needles *n, struct str line, size_t at, struct owners *found)
{
    uint32_t four = four_at(line.p + at);
    bool any = false;
    for (uint32_t i = n->chains[chain_of(hash(four))]; i; i = n->all[i - 1].next) {
        const struct needle *d = &n->all[i - 1];
        if (d->four == four && stands(d, line, at)) {
            put(found, d->owner);
            any = true;
        }
    }
    return any;
}

bool needles_find(const struct needles *n, struct str line, struct owners *found)
{
    *found = n->always;
    bool any = n->any_always;
    if (n->n == 0 || line.n < LITERAL_LEAST)
        return any;
    for (size_t at = 0; at + 4 <= line.n; at += n->step) {
        uint32_t bit = bit_of(hash(four_at(line.p + at)));
        if (__builtin_expect(n->map[bit / 64] >> bit % 64 & 1, 0))
            any |= look(n, line, at, found);
    }
    return any;
}
