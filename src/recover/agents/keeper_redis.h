/* keeper_redis: a Redis that holdfast starts and keeps. Inside this room only.
 *
 *   keeper_redis.c       its process: directory, configuration, start, death, back-off
 *   keeper_redis_role.c  what it follows, whether it takes writes; orders
 *   keeper_redis_look.c  how it is: INFO, probes
 *   redis_conf.c         its configuration file
 *   redis_link.h         the connection;  redis_sink.h: what a fenced one follows
 *
 * It is always started as a replica of the sink, which refuses one without a history: it serves
 * reads and refuses writes until it is promoted. So a primary that was killed, or a node that comes
 * back, cannot take a write before it has been told under a lease.
 *
 *   what it follows   by REPLICAOF         writes   a place in the stream that
 *   sink              127.0.0.1 PORT       no       stays as it is; others may fetch up to there
 *   a primary         its address          no       moves with it
 *   nobody            NO ONE               yes      is its own
 *
 * Users: `default` is the gate's and the clients' (without what could change roles, replicate or
 * configure), `holdfast` is the agent's and the other instances'. */
#ifndef HF_RECOVER_KEEPER_REDIS_H
#define HF_RECOVER_KEEPER_REDIS_H

#include "recover/agents/keeper.h"
#include "recover/agents/patience.h"
#include "recover/agents/redis_link.h"
#include "recover/agents/redis_sink.h"
#include "recover/agents/starved.h"

enum { REDIS_PATH = 4096, REDIS_USER_DB = 16 /* the one behind users' 16: the probe's */ };

enum redis_life {
    REDIS_IDLE,     /* does not run; `again` may be set */
    REDIS_PREPARES, /* its directory is made */
    REDIS_RUNS,
};

enum redis_follows { FOLLOWS_SINK, FOLLOWS_PRIMARY, FOLLOWS_NOBODY };

/* Tags of requests. */
enum redis_tag {
    TAG_NONE,   /* nobody looks at the reply */
    TAG_SET,    /* REPLICAOF */
    TAG_INFO,   /* INFO replication */
    TAG_DISK,   /* INFO persistence */
    TAG_PROBE,  /* a write that changes nothing */
    TAG_EXPIRE, /* a write that changes the probe's own key */
    TAG_LAST,   /* the last of an order's requests: INFO replication */
};

struct redis_info { /* of INFO replication */
    bool primary;
    bool link_up, syncing;
    uint64_t position;
    char id[41];
    struct instance_follower followers[ROLE_NODES];
};

struct kept_redis {
    struct keeper *keeper;
    struct runner runner;
    struct output output;
    struct redis_link link;
    struct redis_sink sink;
    struct command *folder;
    enum redis_life life;
    struct timer again; /* start again, or connect again */
    struct timer look;  /* the next look */
    struct timer limit; /* an order, or a demotion, must be done by then */
    uint64_t started, wait;
    bool unreadable; /* it said so of its data since it was started */
    /* what it should follow, and what it was told last */
    enum redis_follows follows;
    uint8_t primary;        /* place; FOLLOWS_PRIMARY */
    uint64_t follows_epoch; /* of the order */
    bool demoting;          /* it must not take writes, and has not said so yet */
    bool fresh;             /* has been told nothing since it was started: as configured */
    uint32_t setting;       /* REPLICAOF under way */
    uint64_t set_at;        /* when it was told last: a link that is down is told again */
    uint64_t retry;
    /* how it is */
    struct redis_info info;
    bool known;           /* info is of this connection */
    uint32_t looks;       /* of the present look, under way */
    struct patience well; /* since the last good look */
    struct starved starved;
    uint64_t asked_at;    /* the present look began */
    uint64_t probed_at;   /* the last EXPIRE */
    uint64_t eager_until; /* somebody waits for what changes */
    char complaint[160];  /* of the last look: "": none */
};

/* keeper_redis_role.c */
void redis_told(struct kept_redis *r);      /* REPLICAOF, as it should be */
void redis_retell(struct kept_redis *r);    /* ... as if it were another one than before */
void redis_passwords(struct kept_redis *r); /* those of the spec count too */
void redis_connected(struct kept_redis *r); /* a new connection: what is under way begins again */
void redis_order(struct keeper *k);
void redis_lapse(struct keeper *k);
void redis_reply(void *context, uint8_t tag, const struct resp_value *v);
void redis_role_dead(struct kept_redis *r); /* the process has ended */
void redis_on_limit(struct timer *t);

/* keeper_redis_look.c */
void redis_on_look(struct timer *t);
void redis_look_soon(struct kept_redis *r);
void redis_look_forget(struct kept_redis *r); /* the connection is gone */
bool redis_looked(struct kept_redis *r, uint8_t tag, const struct resp_value *v);
/* INFO replication. False: it is none. Pure. */
bool redis_info_read(struct str text, const struct agent_instance *spec, struct redis_info *out);
void redis_learn(struct kept_redis *r, const struct redis_info *i);

/* keeper_redis.c */
void redis_kill(struct kept_redis *r, const char *why);

/* redis_conf.c: own: the service's settings, NULL at their end; may be NULL. False: memory is out.
 * Pure. */
bool redis_conf_write(struct buf *b, const struct agent_instance *spec, const char *folder,
                      uint16_t sink, const char *const *own);

#endif
