/* etcd_fake: a gateway of etcd in the test's own process and loop: the model's map (store.h) behind
 * the JSON that etcd 3.4 speaks, with faults to order. It has a parser of its own for requests only
 * in so far as it reads JSON with etcd_scan; what it says is written by hand after real answers. */
#ifndef HF_COORD_ETCD_FAKE_TEST_H
#define HF_COORD_ETCD_FAKE_TEST_H

#include "coord/coord.h"
#include "coord/store.h"

enum { FAKE_ENDS = 6, FAKE_CONNS = 320 };

enum fake_fault {
    FAKE_GOOD,
    FAKE_REFUSES,   /* nobody listens, and what was open is reset */
    FAKE_SILENT,    /* takes everything and says nothing: a stopped process */
    FAKE_RESETS,    /* after each request */
    FAKE_503,       /* with etcd's words: no leader */
    FAKE_PROXY_503, /* with somebody else's */
    FAKE_GARBAGE,   /* 200, and no JSON */
    FAKE_HUGE,      /* an answer without end */
    FAKE_TRICKLES,  /* 7 bytes a turn */
};

enum fake_txn { /* what happens to the next transaction, once */
                FAKE_TXN_GOOD,
                FAKE_TXN_DONE_AND_RESET,
                FAKE_TXN_LOST_AND_RESET,
                FAKE_TXN_DONE_AND_SILENT,
                FAKE_TXN_TIMED_OUT, /* etcd's words for an outcome that it does not know; it happens
                                     */
                FAKE_TXN_NO_SPACE,
                FAKE_TXN_TOO_MANY,
                FAKE_TXN_GARBAGE, /* it happens */
};

struct fake;

struct fake_conn {
    struct io io;
    struct fake *fake;
    uint32_t end;
    struct buf in, out;
    struct task more;
    bool watches;
    struct buf prefix;
    uint64_t next; /* the first revision that was not sent */
};

struct fake_end {
    struct io io;
    struct fake *fake;
    char url[64];
    struct addr at;
    enum fake_fault fault;
    uint32_t requests, txns, connections;
};

struct fake {
    struct loop *loop;
    struct store map, page; /* page: the state as of which pages are read */
    struct fake_end ends[FAKE_ENDS];
    struct fake_conn conns[FAKE_CONNS];
    enum fake_txn txn;
    _Atomic uint32_t txns_done;
    bool fragments;       /* a line for each change */
    bool twice;           /* sends the last revision again, as etcd 3.4.23 may */
    bool loses;           /* the next changes are not sent to watches */
    bool stalls;          /* nor are they told that anything is there */
    const char *password; /* wanted; NULL: none */
    uint32_t logins;
    uint32_t token;    /* the one that is valid */
    uint32_t page_max; /* bytes; larger pages are refused as gRPC does. 0: none */
};

void fake_init(struct fake *f, struct loop *l);
void fake_free(struct fake *f);
void fake_fault(struct fake *f, uint32_t end, enum fake_fault fault);
/* Ends all connections of an endpoint. */
void fake_cut(struct fake *f, uint32_t end);
/* As somebody else's change. */
void fake_put(struct fake *f, const char *key, const char *value);
void fake_remove(struct fake *f, const char *key);
void fake_compact(struct fake *f);

#endif
