#include "balance/sticky.h"

#include <stdatomic.h>

#include "base/base.h"

enum { WAYS = 4, ATTEMPTS = 8 };
enum { FREE = 0, BUSY = 1 };          /* nobody's value; being written */
#define USE_STEP UINT64_C(1000000000) /* a use is written down once a second */

/* --- tokens --- */

uint64_t sticky_token(const struct sip_key *secret, uint64_t member_key)
{
    uint64_t token = sip_hash(secret, (struct str){(const char *)&member_key, sizeof member_key});
    return token ? token : 1;
}

void sticky_write(uint64_t token, char *out)
{
    for (int i = STICKY_TOKEN_SIZE - 1; i >= 0; i--, token >>= 4)
        out[i] = "0123456789abcdef"[token & 15];
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t sticky_read(struct str value)
{
    uint64_t token = 0;
    if (value.n != STICKY_TOKEN_SIZE)
        return 0;
    for (size_t i = 0; i < value.n; i++) {
        int d = digit(value.p[i]);
        if (d < 0)
            return 0;
        token = token << 4 | (uint64_t)d;
    }
    return token;
}

/* --- members --- */

/* Binary insertion: of a pool's members, once a view. */
static void insert(struct sticky_members *s, struct sticky_name name)
{
    uint32_t at = s->n++;
    for (; at > 0 && s->names[at - 1].token > name.token; at--)
        s->names[at] = s->names[at - 1];
    s->names[at] = name;
}

int sticky_members_open(struct sticky_members *s, const struct sip_key *secret,
                        const struct pool *p, struct err *e)
{
    *s = (struct sticky_members){.names = mem_zero(MAX(p->n, 1), sizeof *s->names)};
    if (!s->names)
        return err_set(e, ERR_NOMEM, "no memory for %u sticky instances", p->n);
    for (uint32_t i = 0; i < p->n; i++)
        insert(s, (struct sticky_name){sticky_token(secret, p->members[i].key), i});
    return 0;
}

void sticky_members_close(struct sticky_members *s)
{
    mem_free(s->names);
    *s = (struct sticky_members){0};
}

int sticky_member(const struct sticky_members *s, uint64_t token)
{
    uint32_t from = 0, to = s->n;
    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (s->names[middle].token < token)
            from = middle + 1;
        else
            to = middle;
    }
    return from < s->n && s->names[from].token == token ? (int)s->names[from].member : -1;
}

/* --- the table --- */

/* `mixed` is the token and the value in one: where a reader catches it with another value than the
 * one that it looked for, what it gets is nobody's token. */
struct entry {
    _Atomic uint64_t value, mixed, used;
};

struct sticky_table {
    struct entry *entries; /* owned */
    uint64_t sets, idle;
    _Atomic uint64_t replaced;
};

int sticky_open(struct sticky_table **out, uint32_t slots, uint64_t idle, struct err *e)
{
    *out = NULL;
    if (slots == 0 || slots > STICKY_SLOTS_MAX || idle == 0)
        return err_set(e, ERR_INVAL, "a table of sessions has 1 to %d entries and a time",
                       STICKY_SLOTS_MAX);
    struct sticky_table *t = mem_zero(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for a table of sessions");
    for (t->sets = 1; t->sets * WAYS < slots;)
        t->sets *= 2;
    t->idle = idle;
    t->entries = mem_zero(t->sets * WAYS, sizeof *t->entries);
    if (!t->entries) {
        mem_free(t);
        return err_set(e, ERR_NOMEM, "no memory for a table of %u sessions", slots);
    }
    *out = t;
    return 0;
}

void sticky_close(struct sticky_table *t)
{
    if (t)
        mem_free(t->entries);
    mem_free(t);
}

uint64_t sticky_replaced(const struct sticky_table *t)
{
    return atomic_load_explicit(&t->replaced, memory_order_relaxed);
}

static struct entry *set_of(struct sticky_table *t, uint64_t *value)
{
    struct entry *set = &t->entries[(*value & (t->sets - 1)) * WAYS];
    *value = *value > BUSY ? *value : BUSY + 1;
    return set;
}

static bool over(const struct sticky_table *t, const struct entry *e, uint64_t now)
{
    uint64_t used = atomic_load_explicit(&e->used, memory_order_relaxed);
    return now > used && now - used >= t->idle;
}

static struct entry *look(struct entry *set, uint64_t value)
{
    for (int i = 0; i < WAYS; i++)
        if (atomic_load(&set[i].value) == value)
            return &set[i];
    return NULL;
}

static struct entry *oldest(struct entry *set, uint64_t *owner)
{
    struct entry *best = NULL;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < WAYS; i++) {
        uint64_t value = atomic_load(&set[i].value);
        uint64_t used =
            value == FREE ? 0 : atomic_load_explicit(&set[i].used, memory_order_relaxed);
        if (value == BUSY || (best && used >= least))
            continue;
        best = &set[i];
        least = used;
        *owner = value;
    }
    return best;
}

/* From owner to BUSY, so that nobody else writes; then whole again. */
static bool replace(struct sticky_table *t, struct entry *e, uint64_t owner, uint64_t value,
                    uint64_t token, uint64_t now)
{
    bool early = owner != FREE && owner != value && !over(t, e, now);
    if (!atomic_compare_exchange_strong(&e->value, &owner, BUSY))
        return false;
    atomic_store(&e->mixed, token ^ value);
    atomic_store_explicit(&e->used, now, memory_order_relaxed);
    atomic_store(&e->value, value);
    if (early)
        atomic_fetch_add_explicit(&t->replaced, 1, memory_order_relaxed);
    return true;
}

/* Where all entries of a set are being written, what is learnt is lost: the next answer says it
 * again, or the client is placed anew. */
void sticky_learn(struct sticky_table *t, uint64_t value, uint64_t token, uint64_t now)
{
    struct entry *set = set_of(t, &value);
    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t owner = value;
        struct entry *e = look(set, value);
        if (e && atomic_load(&e->mixed) == (token ^ value)) {
            atomic_store_explicit(&e->used, now, memory_order_relaxed);
            return;
        }
        if (!e)
            e = oldest(set, &owner);
        if (e && replace(t, e, owner, value, token, now))
            return;
    }
}

uint64_t sticky_find(struct sticky_table *t, uint64_t value, uint64_t now)
{
    struct entry *set = set_of(t, &value);
    struct entry *e = look(set, value);
    if (!e || over(t, e, now))
        return 0;
    uint64_t token = atomic_load(&e->mixed) ^ value;
    if (atomic_load(&e->value) != value)
        return 0;
    if (now > atomic_load_explicit(&e->used, memory_order_relaxed) + USE_STEP)
        atomic_store_explicit(&e->used, now, memory_order_relaxed);
    return token;
}
