/* names: what the names of backends stand for now. Inside this room only.
 *
 * A name is asked for when its last answer's TTL is over (bounded, and a little earlier by chance,
 * so that many names do not come due at once), or, after a failure, with growing pauses. A host has
 * two questions, A and AAAA; a service (SRV) has one, and its targets are hosts of their own.
 *
 * What was found stays until something else is found: an error, an empty answer and NXDOMAIN keep
 * the last good answer and are told once. An answer with fewer addresses counts at once. A new set
 * of SRV targets counts once each of them has been looked up.
 *
 * Runs on control's loop and never waits. Bounds: NAMES_MAX names, NAMES_IN_FLIGHT questions at a
 * time, POOL_MAX records of a name. */
#ifndef HF_DISCOVER_NAMES_H
#define HF_DISCOVER_NAMES_H

#include <jansson.h>

#include "discover/merge.h"
#include "discover/system.h"

enum { NAMES_MAX = 4096, NAMES_IN_FLIGHT = 64, NAME_TEXT_MAX = 256 };

struct names;

struct names_owner {
    void *context;
    /* What a name gives is another now. */
    void (*changed)(void *context);
    /* failed: a name cannot be looked up any more, or (not failed) it can again. Said once each. */
    void (*tell)(void *context, bool failed, const char *name, const char *text);
};

struct names_options {
    const char *resolv_conf, *hosts; /* paths */
};

int names_new(struct names **out, struct loop *l, const struct names_options *o,
              const struct names_owner *owner, struct err *e);
void names_free(struct names *n); /* NULL is allowed */

/* The names of a view are followed from now on, and those of another one (or NULL): others are
 * forgotten. */
int names_follow(struct names *n, const struct view *v, const struct view *also, struct err *e);
/* What a source gives now. */
void names_give(struct names *n, const struct view_source *source, struct merge_sink *sink);
/* The last good answers as JSON, NULL when memory is out; and back: what is not understood is
 * passed over. Loaded ones wait until their names are followed. */
json_t *names_json(const struct names *n);
void names_load(struct names *n, const json_t *root);

#endif
