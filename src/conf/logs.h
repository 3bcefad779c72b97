/* logs: the log statements. Inside this room only. */
#ifndef HF_CONF_LOGS_H
#define HF_CONF_LOGS_H

#include "conf/tree.h"

struct builder;

/* The instances of the service that is being built whose backends have logs. */
struct backend_logs {
    const struct node *node;
    uint32_t instance;
    struct backend_logs *next;
};

/* What a log block fills. */
struct log_block {
    struct str match, except;
    uint8_t verdict; /* of the table of choices */
    uint64_t learn;
};

/* Room for all of them; before the others. */
void logs_expect(struct builder *b, const struct node *top);
uint32_t logs_count(const struct node *children);
void logs_of_node(struct builder *b, const struct node *top);
/* Its own, and those of its backends; a service without a name has none. */
void logs_of_service(struct builder *b, const struct node *n, const struct view_service *s);
/* Notes that the instance has logs, if it has. */
void logs_of_backend(struct conf *c, const struct node *n, uint32_t instance);
/* Where none may stand. */
void logs_no_place(struct conf *c, const struct node *n, const char *why);

#endif
