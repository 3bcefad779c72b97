/* primary: services of kind primary, in two steps. Inside this room only. */
#ifndef HF_CONF_PRIMARY_H
#define HF_CONF_PRIMARY_H

#include "conf/builder.h"

/* A service whose nodes are looked at when the cluster is known. */
struct primary_later {
    struct primary_later *next;
    const struct node *from; /* its statement */
    struct seen seen;
    uint32_t service; /* index in view.services */
};

/* primary.c: what the service says for itself. True: it has an agent, and no backends. */
bool primary_build(struct builder *b, const struct node *n, const struct seen *seen, bool complete,
                   struct view_service *s);
/* primary_nodes.c: where they may run, and whether there is room for them. */
void primary_resolve(struct builder *b, const struct node *top);

/* The statement that the service's listener with this index is of; NULL. */
const struct node *primary_listener(const struct seen *seen, const struct view_service *s,
                                    uint32_t index);
/* Does any part of it come from a variable or another file? */
bool primary_refers(const struct value *v);

#endif
