/* Roles of services of kind primary, as a node sees them: what control fills, and routes tell.
 *
 * Places are those of view_primary.on. What is asked of a role is begun and answered at once; how
 * it goes is seen in `request`, as long as no other is asked for. */
#ifndef HF_ADMIN_ROLES_H
#define HF_ADMIN_ROLES_H

#include "base/base.h"
#include "view/view.h"

enum { ADMIN_NOBODY = -1, ADMIN_REASON_MAX = 200 };

/* A candidate, as this node knows it. */
struct admin_role_node {
    bool heard; /* it has said how it is; or it is this node. Else only the next two count */
    bool alive, maintenance;
    bool insync;
    bool well;            /* its instance answers as it should */
    const char *instance; /* "unknown", "down", "replica", "primary"; NULL: unknown */
    uint64_t position;    /* replication offset; 0: none is known */
    bool lag_known;       /* then: how far it is behind the primary */
    uint64_t lag_bytes;
    uint64_t lag;                   /* ns: the age of what it has; 0: not known, or nothing */
    char why_not[ADMIN_REASON_MAX]; /* why it would not be promoted now; empty: it could be */
};

/* What an operator asked for last, on this node. */
struct admin_role_request {
    uint64_t number;             /* rises; 0: nothing was asked for */
    const char *what;            /* "switchover", "failover", "pause", "resume" */
    const char *state;           /* "running", "done", "failed" */
    char text[ADMIN_REASON_MAX]; /* what is waited for, or why it failed */
};

/* How the role last came to another node, or to the same one again. */
struct admin_role_last {
    uint64_t epoch; /* 0: it is not known here */
    int from, to;   /* places, or ADMIN_NOBODY */
    bool planned;   /* a switchover */
    uint64_t wall;  /* ns since 1970 */
    uint64_t took;  /* ns, from the first sign, or from the moment writers were held, until writes
                       were  taken again; 0: not known here */
    char why[ADMIN_REASON_MAX];
};

struct admin_role {
    bool recorded; /* the coordinator has a record of it, which is known here */
    uint64_t epoch;
    int primary, wanted; /* places, or ADMIN_NOBODY */
    bool acts;           /* the primary of this epoch takes writes, as far as known here */
    bool paused;
    bool coordinator;  /* it can be reached from here */
    const char *state; /* of this node's role, role_state_name's; NULL: it is no candidate */
    uint64_t lease_until, hold_until;    /* ns; 0: this node holds no lease, holds no writers */
    uint32_t sync;                       /* acknowledgements that a reply needs now */
    uint64_t wall;                       /* ns since 1970: of the record; 0: not known */
    char who[64], why[ADMIN_REASON_MAX]; /* the same */
    char waits[ADMIN_REASON_MAX]; /* why a lost primary is not replaced; empty: nothing is to do */
    struct admin_role_node nodes[VIEW_MAX_ON]; /* by place */
    struct admin_role_request request;
    struct admin_role_last last;
};

enum admin_role_ask {
    ADMIN_ROLE_SWITCH, /* to a node, or to the best: nothing is lost, or it does not happen */
    ADMIN_ROLE_FORCE,  /* to a node, or to the best that there is, whatever is lost */
    ADMIN_ROLE_PAUSE,  /* nothing is decided about it any more */
    ADMIN_ROLE_GO_ON,
    ADMIN_ROLE_ASKS
};

#endif
