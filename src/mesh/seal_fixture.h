/* seal_fixture: two nodes with a seal each, and the datagrams between them in the test's hands. */
#ifndef HF_SEAL_FIXTURE_H
#define HF_SEAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "mesh/hello.h"
#include "mesh/seal.h"
#include "os/os.h"

#define MS UINT64_C(1000000)

struct datagram {
    uint8_t p[SEAL_DATAGRAM_MAX];
    size_t n;
};

struct node {
    uint64_t id;
    struct seal *seal;
    struct prng prng;
    struct seal_opened opened; /* of the last datagram */
    struct datagram held;      /* and its memory */
};

/* a.id < b.id */
struct pair {
    struct keyring keys;
    struct node a, b;
    uint64_t now;
};

static void fake_entropy(void *context, void *out, size_t n)
{
    struct node *x = context;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)prng_next(&x->prng);
}

static struct keyring ring_of(uint8_t seed)
{
    uint8_t secret[SEAL_SECRET];
    struct keyring k = {0};
    memset(secret, seed, sizeof secret);
    assert_int_equal(keyring_add(&k, secret, NULL), 0);
    return k;
}

static void node_start(struct node *x, const struct keyring *k, const char *cluster)
{
    struct err e;
    const struct seal_host h = {.context = x, .entropy = fake_entropy};
    assert_int_equal(seal_new(&x->seal, str_of(cluster), x->id, k, &h, &e), 0);
}

static inline void node_restart(struct pair *p, struct node *x)
{
    seal_free(x->seal);
    node_start(x, &p->keys, "prod");
    assert_int_equal(seal_know(x->seal, x == &p->a ? p->b.id : p->a.id, NULL), 0);
}

static inline void pair_start(struct pair *p)
{
    *p = (struct pair){.keys = ring_of(1), .now = 1000 * MS};
    p->a.id = 10, p->b.id = 20;
    prng_seed(&p->a.prng, 1);
    prng_seed(&p->b.prng, 2);
    node_start(&p->a, &p->keys, "prod");
    node_start(&p->b, &p->keys, "prod");
    assert_int_equal(seal_know(p->a.seal, p->b.id, NULL), 0);
    assert_int_equal(seal_know(p->b.seal, p->a.id, NULL), 0);
}

static inline void pair_end(struct pair *p)
{
    seal_free(p->a.seal);
    seal_free(p->b.seal);
}

static inline struct node *other_of(struct pair *p, struct node *x)
{
    return x == &p->a ? &p->b : &p->a;
}

/* What x writes to the other; .n is 0 when it is nothing. */
static inline struct datagram say(struct pair *p, struct node *x, const char *text, bool *sealed)
{
    struct datagram d;
    d.n = seal_write(x->seal, other_of(p, x)->id, text, strlen(text), p->now, d.p, sealed);
    return d;
}

static inline enum seal_result hear(struct pair *p, struct node *x, const struct datagram *d)
{
    x->held = *d;
    return seal_read(x->seal, x->held.p, x->held.n, p->now, &x->opened);
}

static inline struct datagram reply_of(const struct node *x)
{
    struct datagram d = {.n = x->opened.reply_n};
    memcpy(d.p, x->opened.reply, d.n);
    return d;
}

/* Until nobody replies any more. */
static inline enum seal_result carry(struct pair *p, struct node *to, struct datagram d)
{
    enum seal_result first = hear(p, to, &d);
    for (int i = 0; i < 4 && to->opened.reply_n; i++) {
        d = reply_of(to);
        to = other_of(p, to);
        hear(p, to, &d);
    }
    assert_int_equal(to->opened.reply_n, 0);
    return first;
}

/* x says, the other hears the same. */
static inline bool reaches(struct pair *p, struct node *x, const char *text)
{
    bool sealed;
    struct datagram d = say(p, x, text, &sealed);
    struct node *y = other_of(p, x);
    if (!sealed)
        return false;
    return hear(p, y, &d) == SEAL_OK && y->opened.from == x->id && y->opened.n == strlen(text) &&
           memcmp(y->opened.p, text, y->opened.n) == 0;
}

static inline void assert_both_ways(struct pair *p)
{
    assert_true(reaches(p, &p->a, "from a"));
    assert_true(reaches(p, &p->b, "from b"));
}

/* A session that a began. */
static inline void pair_meet(struct pair *p)
{
    bool sealed;
    assert_int_equal(carry(p, &p->b, say(p, &p->a, "x", &sealed)), SEAL_REPLY);
    assert_both_ways(p);
}

#endif
