/* etcd_members: etcd's members and their health, over the same JSON gateway as the rest. What is
 * to be done about them is managed.h's to decide.
 *
 * One question at a time, to the member that is named by its URL: no other is asked instead, since
 * what a member says of itself is what counts here. A change whose answer did not come may have
 * happened; whoever asked looks at the list again, and the next decision is made from that.
 *
 * One loop; `done` comes from it, once, and never from inside a function of this header. */
#ifndef HF_COORD_ETCD_MEMBERS_H
#define HF_COORD_ETCD_MEMBERS_H

#include "base/base.h"
#include "os/os.h"

enum { ETCD_MEMBERS_MAX = 16, ETCD_MEMBER_NAME = 64, ETCD_MEMBER_URL = 160 };

enum etcd_question {
    ETCD_STATUS,     /* of the member itself; answered without a majority too */
    ETCD_LIST,       /* as this member has applied it */
    ETCD_ADD,        /* a learner, by `url` */
    ETCD_PROMOTE,    /* `id` */
    ETCD_REMOVE,     /* `id` */
    ETCD_LEAD,       /* `id` is to lead; only the leader can do it */
    ETCD_ALARMS,     /* goes through the members' log, so only when the status tells of one */
    ETCD_DISARM,     /* the alarm for space of `id` */
    ETCD_COMPACT,    /* the history up to `revision` */
    ETCD_DEFRAGMENT, /* gives free space of its file back; it answers nothing else meanwhile */
    ETCD_QUESTIONS
};

struct etcd_member {
    uint64_t id;
    bool learner;
    char name[ETCD_MEMBER_NAME]; /* empty: it has not started yet */
    char peer[ETCD_MEMBER_URL];  /* the first of its URLs */
};

struct etcd_told {
    int code;              /* 0; else why */
    const struct err *why; /* NULL without */
    uint64_t cluster, member, revision, term;
    /* ETCD_STATUS */
    uint64_t leader, applied, bytes, used;
    bool learner;
    char version[24];
    /* ETCD_LIST, and after a change */
    uint32_t n;
    struct etcd_member members[ETCD_MEMBERS_MAX];
    uint64_t added; /* ETCD_ADD: its id */
    /* ETCD_STATUS, of any member; and ETCD_ALARMS, by which it is known of whom the first is */
    bool no_space, corrupt;
    uint32_t n_full;
    uint64_t full[ETCD_MEMBERS_MAX];
};
/* Of an answer's body: 0, ERR_PROTO. Pure. */
int etcd_read_told(enum etcd_question q, struct str body, struct etcd_told *out, struct err *e);

struct etcd_members;
/* Files of TLS; NULL: none. */
int etcd_members_new(struct etcd_members **out, struct loop *l, const char *ca, const char *cert,
                     const char *key, struct err *e);
void etcd_members_free(struct etcd_members *m); /* NULL is allowed; nothing is answered */
/* The files may have changed. */
int etcd_members_refresh(struct etcd_members *m, struct err *e);

struct etcd_ask {
    enum etcd_question question;
    const char *at;    /* "https://10.0.0.1:7301" */
    const char *url;   /* ETCD_ADD: the peer's */
    uint64_t id;       /* of a member */
    uint64_t revision; /* ETCD_COMPACT */
    uint64_t limit;    /* ns */
};
/* ERR_BUSY: another one is under way. */
int etcd_members_ask(struct etcd_members *m, const struct etcd_ask *a,
                     void (*done)(void *context, enum etcd_question q, const struct etcd_told *t),
                     void *context, struct err *e);
bool etcd_members_busy(const struct etcd_members *m);

#endif
