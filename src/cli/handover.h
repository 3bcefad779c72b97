/* handover: following a hand-over or an upgrade from outside, while the process that answers is
 * itself replaced. */
#ifndef HF_CLI_HANDOVER_H
#define HF_CLI_HANDOVER_H

#include "cli/node.h"

struct handover_options {
    struct node_place node;
    uint64_t wait; /* seconds for the old proxies to end; 0: not waited for */
    bool json;
};

/* Asks for the change by POST to path, and prints how it went. The exit code. */
int handover_run(const struct handover_options *o, const char *path);

#endif
