/* A tiny network of memberships under virtual time, the same in every run: messages take a
 * millisecond, more or less, unless a test says otherwise. */
#ifndef HF_MEMBER_NET_TEST_H
#define HF_MEMBER_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "member/member.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)
#define START  (1000 * SECOND)

enum { NODES = 128, CHANGES = 65536 };

struct net;
struct node {
    struct net *net;
    uint32_t index;
    uint64_t incarnation;  /* as it keeps it */
    struct membership *m;  /* NULL: crashed */
    uint64_t paused_until; /* does not run before */
    uint64_t sent, bytes;
};
struct datagram {
    uint64_t at, order;
    uint32_t from, to;
    uint32_t n;
    uint8_t p[MEMBER_DATAGRAM_MAX];
};
struct seen {
    uint64_t at;
    uint32_t observer, subject;
    struct member_change change;
};
struct net {
    uint32_t n;
    uint64_t now, order;
    struct prng prng;
    struct member_params params;
    struct node nodes[NODES];
    bool cut[NODES][NODES];  /* from, to */
    uint64_t delay, jitter;  /* ns; each message up to jitter more */
    uint32_t loss;           /* of 1,000 */
    uint32_t twice;          /* of 1,000: duplicated */
    struct datagram **queue; /* a heap */
    uint32_t queued, room;
    struct seen *seen;
    uint32_t n_seen;
};

/* n nodes that know each other and have just started. */
struct net *net_new(uint32_t n, uint64_t seed);
struct net *net_with(uint32_t n, uint64_t seed, const struct member_params *p);
void net_free(struct net *net);
void net_run(struct net *net, uint64_t ns);
void net_crash(struct net *net, uint32_t i);
/* Again, with the incarnation that it kept and one more. */
void net_start(struct net *net, uint32_t i);
void net_pause(struct net *net, uint32_t i, uint64_t ns);
void net_cut(struct net *net, uint32_t a, uint32_t b, bool cut); /* both ways */
void net_cut_off(struct net *net, uint32_t i, bool cut);
/* The first `split` nodes and the others do not reach each other. */
void net_partition(struct net *net, uint32_t split, bool cut);
uint64_t net_id(uint32_t i);
struct member_info net_see(const struct net *net, uint32_t observer, uint32_t subject);
void net_expect(const struct net *net, uint32_t observer, uint32_t subject, enum member_reason r);
/* Everybody who runs sees everybody who runs as heard. */
void net_expect_whole(const struct net *net);
/* When the observer came to see the subject in this state last; 0: never. */
uint64_t net_when(const struct net *net, uint32_t observer, uint32_t subject, enum member_state s);
/* How often anybody's view came into this state from another, since the time. */
uint32_t net_count(const struct net *net, enum member_state s, uint64_t since);

#endif
