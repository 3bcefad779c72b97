/* instance: what control tells the agent process of one service's instance at this node, and what
 * is reported of it. Types only; docs/agents.md has the story, daemon/agent.h the messages.
 *
 * Nothing in here is a path, a program or an argument: names, numbers and addresses, all of which
 * instance_check and its like have looked at. The words of `command` and `hook` are not here: the
 * agent takes them from the view that the supervisor hands it. */
#ifndef HF_RECOVER_INSTANCE_H
#define HF_RECOVER_INSTANCE_H

#include "base/base.h"
#include "recover/role.h" /* enum role_instance, ROLE_NODES */

enum {
    INSTANCE_NAME = 64,     /* with its NUL: letters, digits, '.', '_', '-' */
    INSTANCE_PASSWORD = 65, /* with its NUL: lower-case hexadecimal, 32 to 64 digits */
    INSTANCE_SENTENCE = 256,
};

#define HOOK_LIMIT (10 * NS_PER_S) /* a hook that takes longer is killed */

/* What keeps the instance. The numbers of the view's enum view_agent. */
enum instance_kind { KIND_NONE, KIND_REDIS, KIND_PROCESS, KIND_HOOK, INSTANCE_KINDS };
const char *instance_kind_name(enum instance_kind k);

/* A node that may run an instance; its index is its place in the service's `on`. */
struct instance_place {
    char name[INSTANCE_NAME]; /* of the node */
    struct addr address;      /* of the instance there: port 0 where it has none (process, hook) */
};

/* Level-triggered: an instance of this service should be here, as this says. The same again is
 * harmless. What differs is taken over: at once what can be, by a restart what cannot. */
struct agent_instance {
    char service[INSTANCE_NAME];
    uint8_t kind;  /* enum instance_kind */
    uint32_t slot; /* of the service: the row of its role in the cells */
    uint8_t place; /* of this node */
    uint8_t n_places;
    struct instance_place places[ROLE_NODES];
    uint32_t sync; /* replicas that a reply waits for */
    bool strict;
    struct addr vip; /* port 0; kind 0: none */
    uint8_t vip_prefix;
    char vip_interface[16]; /* empty: the one that has the network */
    uint64_t demotion;      /* D of the lease, ns: past the deadline it is demoted within this */
    uint64_t hang_after;    /* without a good answer for so long: not well */
    /* Redis: of those who may do everything (the agent, other instances), and of the gate. They
     * reach no log and no argument. */
    char password[INSTANCE_PASSWORD], gate_password[INSTANCE_PASSWORD];
};
/* ERR_INVAL with a sentence that names the field. */
int instance_check(const struct agent_instance *i, struct err *e);

enum instance_order {
    ORDER_FOLLOW, /* the primary at place `primary`, of `epoch`; that it is joined is for reports to
                     tell */
    ORDER_FENCE,  /* takes nothing more from whoever was primary before `epoch`; the answer has the
                   * exact position */
    ORDER_PROMOTE, /* under `epoch`, whose lease must be held here; done: it takes writes */
    ORDER_DEMOTE,  /* done: it refuses writes, its clients are cut. Harmless if it was no primary */
    ORDER_STOP,    /* ends the instance and forgets it: no instance should be here any more */
    ORDER_VIP_TAKE, /* the service's address */
    ORDER_VIP_LEAVE,
    INSTANCE_ORDERS
};
const char *instance_order_name(enum instance_order o);

/* What the instance is to do. Answered once (struct agent_answer): done, or why not. One at a time:
 * the next one ends the one before with ERR_BUSY. Orders of an epoch below the highest that was
 * heard are refused (ERR_DENIED), but for DEMOTE, STOP and VIP_LEAVE, which are always safe. */
struct agent_role {
    char service[INSTANCE_NAME];
    uint8_t what; /* enum instance_order */
    uint64_t epoch;
    uint8_t primary; /* place, of FOLLOW; else ROLE_NOBODY */
};
bool agent_role_check(const struct agent_role *r);

/* What the primary knows of another instance that follows it. */
struct instance_follower {
    bool connected;
    uint64_t position; /* that it acknowledged */
    uint64_t lag;      /* ns since it did */
};

/* On each change, as the first messages of a line, and up to ten times a second while the position
 * moves. */
struct agent_report {
    char service[INSTANCE_NAME];
    uint8_t kind;  /* enum instance_kind */
    uint8_t state; /* enum role_instance */
    bool well;     /* it does what it should in this state; else `sentence` says what is wrong */
    bool joined;   /* REPLICA: the link to whom it follows is up, and it has all that came before */
    bool vip;      /* this node answers for the service's address */
    uint8_t follows; /* place; ROLE_NOBODY */
    uint64_t epoch;  /* the highest of an order that was heard */
    /* The epoch whose history the data is of: it was promoted under it, or joined its primary; 0
     * after a start. Positions are comparable among equal ones only. */
    uint64_t history;
    uint64_t position; /* replication offset; 0: unknown */
    uint32_t pid;      /* 0: does not run */
    uint32_t starts;
    uint64_t since;                                 /* clock_now of the latest change of `state` */
    uint8_t n_followers;                            /* as many as places, of a primary; else 0 */
    struct instance_follower followers[ROLE_NODES]; /* by place */
    char sentence[INSTANCE_SENTENCE];               /* printable */
};

#endif
