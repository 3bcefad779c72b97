/* contract: what every engine of the coordinator must do, sentence by sentence of coord.h.
 *
 * A rig is one engine under test: how it is opened, and which faults can be ordered of it. What an
 * engine cannot do is not registered for it. The cases (contract_cases_test.c, and with faults
 * contract_faults_test.c) run on one loop and wait for conditions, never for a time. */
#ifndef HF_COORD_CONTRACT_TEST_H
#define HF_COORD_CONTRACT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "coord/coord.h"
#include "coord/store.h"

struct rig {
    const char *name;
    bool several; /* may be opened more than once at a time, for the same map */
    bool lasting; /* what is closed and opened again holds what it held */
    /* An empty map, and its end. */
    void (*begin)(struct loop *l);
    void (*end)(void);
    struct coord *(*open)(struct loop *l);
    /* Faults; NULL: this engine has none of that kind. */
    void (*away)(bool away);                 /* the coordinator cannot be asked */
    void (*cut)(struct coord *c, bool away); /* this connection cannot ask, others can */
    void (*compact)(void);                   /* the history up to now is forgotten */
    void (*unknown)(bool happens);           /* the next cas has no known outcome */
    bool restless;                           /* an outcome may be unknown by itself */
};

/* The test that runs. */
struct contract {
    const struct rig *rig;
    struct loop *loop;
    struct coord *c; /* the first connection */
    struct timer tick;
};
extern struct contract k;

/* The answer to one request, as it came. */
struct got {
    uint32_t times;
    enum coord_outcome outcome;
    uint64_t revision;
    int why;
    uint32_t n;
    struct buf text; /* of a range: "a=1 b=2" */
    uint64_t first;  /* revision of its first item */
    uint64_t ticket;
};

/* What a watch was told. */
struct seen {
    struct coord_watch *w;
    struct store map; /* all of it applied */
    uint64_t last;    /* revision of the last call */
    uint64_t latest;  /* of the last item */
    uint32_t calls, wholes, changes;
    struct buf log; /* one word a call: "*" when whole, then "a=1" and "-b", with commas */
    void (*within)(struct seen *s);
};

void turn_until(bool (*until)(void *context), void *context);
void turn_for(uint64_t ms);

uint64_t soon(void); /* a deadline that nothing sound misses */
struct coord_op put(const char *key, uint64_t expected, const char *value);
struct coord_op take(const char *key, uint64_t expected);
struct coord_op leave(const char *key, uint64_t expected);

coord_done on_done; /* its context is a struct got */
void begin_cas(struct coord *c, const struct coord_op *ops, uint32_t n, struct got *g);
void begin_range(struct coord *c, const char *prefix, struct got *g);
void await(struct got *g);
/* Asks and waits: the revision when done, 0 for a conflict; anything else fails the test. */
uint64_t cas(struct coord *c, const struct coord_op *ops, uint32_t n);
uint64_t put_now(struct coord *c, const char *key, uint64_t expected, const char *value);
uint64_t take_now(struct coord *c, const char *key, uint64_t expected);
uint64_t expect_range(struct coord *c, const char *prefix, const char *want);
uint64_t revision_of(struct coord *c, const char *key); /* 0: not there */

void see(struct coord *c, const char *prefix, struct seen *s);
void await_revision(struct seen *s, uint64_t revision);
void await_calls(struct seen *s, uint32_t calls);
/* All that it was told adds up to this: "a=1 b=2". */
void expect_map(struct seen *s, const char *want);
void expect_log(struct seen *s, const char *want);
void seen_free(struct seen *s);
void text_is(const struct buf *b, const char *want);

int contract_setup(void **state);
int contract_teardown(void **state);
#define CASE(test) cmocka_unit_test_setup_teardown(test, contract_setup, contract_teardown)

/* Run all that fits k.rig. How many cases failed. */
int contract_cases(void);
int contract_faults(void);

#endif
