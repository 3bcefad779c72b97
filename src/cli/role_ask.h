/* role_ask: asks for a change of a service's role, and waits until it is done. */
#ifndef HF_CLI_ROLE_ASK_H
#define HF_CLI_ROLE_ASK_H

#include "cli/node.h"

struct role_ask {
    const struct node_place *node;
    const char *service;
    const char *to;     /* a node; NULL: the best */
    const char *action; /* "switchover", "failover", "maintenance" */
    struct str body;
    uint64_t wait; /* seconds */
};

/* The role of the service, inside *r, which is to be freed in any case; NULL after a complaint,
 * with *code. */
const json_t *role_look(const struct role_ask *ask, struct reply *r, int *code);
/* CLI_OK: it is done, and *r is how things are then. Else the complaint has been printed; *r may
 * still have an answer. Tells on standard error what is waited for, where a person watches. */
int role_carry_out(const struct role_ask *ask, struct reply *r);

#endif
