/* merge: what the file says and what every source gives now, as one view. Pure.
 *
 * The base is a view from the file, or one that was merged before: its instances of the file count,
 * all others are left out and come from the sources anew. So a merge depends on the file and on the
 * sources' present state alone, never on the order in which they came to it, and merging twice
 * changes nothing.
 *
 * Of two instances with one name in a service the first counts: the file's, then those of the
 * service's sources in the file's order, then the API's. Nothing that a source says can make the
 * result invalid: what does not fit (POOL_MAX in a service, VIEW_MAX_SLOTS in all), or would lead a
 * service to its own listener, is left out and counted. */
#ifndef HF_DISCOVER_MERGE_H
#define HF_DISCOVER_MERGE_H

#include "view/view.h"

struct merge_sink;
/* One instance that a source gives now: addr, weight, priority and what else an instance has;
 * without a name it is called by its address. What it points to is copied. */
void merge_give(struct merge_sink *sink, const struct view_instance *n);

/* The present state of all sources. Each is asked twice in a merge and must say the same. */
struct merge_sources {
    void *self;
    /* A name or a directory. */
    void (*source)(void *self, const struct view_source *source, struct merge_sink *sink);
    /* What the API was told of this service. */
    void (*told)(void *self, struct str service, struct merge_sink *sink);
    /* True: an operator gave the instance this weight. */
    bool (*weight)(void *self, struct str service, struct str instance, uint32_t *weight);
};

struct merge_report {
    uint32_t surplus;       /* did not fit */
    uint32_t itself;        /* the service's own listener */
    char first_surplus[64]; /* its service; empty: none */
    char first_itself[64];
};

/* *out is the caller's, of epoch 0 and without slots. */
int merge(const struct view *base, const struct merge_sources *from, struct view **out,
          struct merge_report *report, struct err *e);

/* Whether a merged view says the same as the one in force, epoch and slots apart; it gets the
 * other's for the comparison. Memory that is out counts as a difference. */
bool merge_same(struct view *next, const struct view *now);

#endif
