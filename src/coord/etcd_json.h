/* etcd_json: etcd's v3 JSON gateway in words: requests out, answers in. Pure.
 *
 * The gateway (grpc-gateway in front of etcd's own gRPC) takes and gives JSON in the mapping of
 * protocol buffers: bytes in base64, 64-bit numbers as strings, fields that are zero left out (so a
 * transaction whose comparison failed has no "succeeded", and an empty range no "kvs"). A watch is
 * one HTTP answer without an end: one {"result": ...} or {"error": ...} a line.
 *
 * Keys that callers know are relative to a prefix; requests put it before them, and answers take it
 * off again. Keys below it that the seam cannot name (with NUL, empty or too long; somebody else
 * wrote them) are left out.
 *
 * Answers are any bytes: nothing here aborts on them, and what they allocate is bounded by a small
 * multiple of their length.
 *
 * Source: etcd 3.4, Documentation/dev-guide/api_grpc_gateway.md and rpc.proto. */
#ifndef HF_COORD_ETCD_JSON_H
#define HF_COORD_ETCD_JSON_H

#include "coord/coord.h"

/* --- what is asked; false: out has failed --- */

/* One transaction: everything if all is as expected, else nothing. */
bool etcd_ask_txn(struct str prefix, const struct coord_op *ops, uint32_t n, struct buf *out);

struct etcd_range {
    struct str prefix; /* absolute */
    struct str after;  /* absolute: begin behind this key; empty: at the prefix itself */
    uint64_t revision; /* as of it; 0: now */
    uint32_t limit;    /* keys; 0: all */
    bool keys_only;
    bool one; /* only the key that is the prefix: the cheapest question that a majority answers */
};
bool etcd_ask_range(const struct etcd_range *r, struct buf *out);
/* Every change of keys with this prefix from a revision on, in fragments, with signs of life. */
bool etcd_ask_watch(struct str prefix, uint64_t from, struct buf *out);
bool etcd_ask_token(const char *user, const char *password, struct buf *out);

/* --- what is answered --- */

struct etcd_header {
    uint64_t cluster, member, revision, term;
};

/* What was asked for: all keys with an absolute prefix, of which callers do not know the first
 * `strip` bytes. A key without it makes the whole answer broken. */
struct etcd_scope {
    struct str prefix;
    size_t strip;
};

/* Keys and values point into bytes. */
struct etcd_items {
    struct coord_item *p;
    uint32_t n;
    struct buf bytes;
};
void etcd_items_free(struct etcd_items *items);

/* All return 0, ERR_PROTO (it is not what etcd says) or ERR_NOMEM. */
int etcd_read_txn(struct str body, struct etcd_header *h, bool *succeeded, struct err *e);

struct etcd_page {
    struct etcd_header header;
    struct etcd_items items;
    struct str last;  /* the last key, absolute, also one that was left out; in items.bytes */
    uint32_t present; /* keys that came, left out ones included */
    bool more;
};
int etcd_read_range(struct str body, const struct etcd_scope *scope, struct etcd_page *out,
                    struct err *e);
int etcd_read_token(struct str body, struct buf *out, struct err *e);

/* Why a request was refused: the body of an answer that is not 200, or the error of a watch. */
struct etcd_refusal {
    unsigned http, grpc; /* 0: not said */
    char text[192];
};

enum etcd_line_kind {
    ETCD_LINE_CHANGES, /* also without any: a sign of life */
    ETCD_LINE_CREATED,
    ETCD_LINE_COMPACTED, /* the history does not reach back so far */
    ETCD_LINE_ENDED,     /* cancelled or failed: why tells */
};
struct etcd_line {
    enum etcd_line_kind kind;
    struct etcd_header header;
    struct etcd_items changes;
    bool fragment;   /* more of this answer follows, perhaps of the same revision */
    uint64_t newest; /* the highest revision of a change in it, of those left out too */
    struct etcd_refusal why;
};
int etcd_read_line(struct str line, const struct etcd_scope *scope, struct etcd_line *out,
                   struct err *e);

/* --- what a refusal means --- */

enum etcd_meaning {
    ETCD_REFUSED,   /* it did not happen, and would not anywhere else */
    ETCD_ELSEWHERE, /* it did not happen; another member, or this one later, may do it */
    ETCD_UNSURE,    /* it may have happened, or may yet */
    ETCD_TOKEN,     /* it did not happen: the token is not valid (any more) */
    ETCD_COMPACTED, /* the revision that was asked for is gone */
    ETCD_TOO_MUCH,  /* the answer does not fit; ask for less at once */
};
void etcd_read_refusal(unsigned http, struct str body, struct etcd_refusal *out);
enum etcd_meaning etcd_meaning_of(const struct etcd_refusal *r);

#endif
