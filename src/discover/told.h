/* told: what the admin API said of instances: which to add, and which weight others have. Inside
 * this room only. The changes are discover.h's; this holds them. */
#ifndef HF_DISCOVER_TOLD_H
#define HF_DISCOVER_TOLD_H

#include <jansson.h>

#include "discover/discover.h"

enum { TOLD_NAME_MAX = 127 };

struct told_weight {
    struct str instance;
    uint32_t weight;
};

/* Of one service; never changed, only replaced. */
struct told_service {
    struct arena arena;
    struct str name;
    struct view_instance *list;
    struct told_weight *weights; /* of instances that others name */
    uint32_t n, n_weights;
};

struct told {
    struct map services;         /* name -> struct told_service, owned */
    struct told_service *before; /* owned: what the change that is not kept yet replaced */
    struct str changed;          /* the service that it is about; in its own memory */
    bool open;                   /* there is such a change */
};

int told_apply(struct told *t, const struct told_change *c, const struct view *now,
               struct told_counts *counts, struct err *e);
void told_keep(struct told *t);
void told_undo(struct told *t);
void told_give(const struct told *t, struct str service, struct merge_sink *sink);
bool told_weight(const struct told *t, struct str service, struct str instance, uint32_t *weight);
uint32_t told_count(const struct told *t, struct str service);
bool told_has(const struct told *t, struct str service, struct str instance);
void told_free(struct told *t);

/* NULL when memory is out. What is not understood is passed over. */
json_t *told_json(const struct told *t);
void told_load(struct told *t, const json_t *root);

#endif
