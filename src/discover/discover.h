/* discover: backends that come and go. The front door of this room.
 *
 * Three sources give a service instances besides those of the file: names that are looked up
 * (names.h), directories of drop-in files (dropins.h), and the admin API (told.h). What they say
 * now, and the file's view, make the view that is served (merge.h). docs/discovery.md is the
 * manual.
 *
 * Lives in control, on its loop, and never waits. What the API was told and the last good answers
 * are kept in STATE/discovered.json, written atomically: at once for the API, within a second for
 * names. A damaged file is set aside and told, never fatal. The owner is told when a merge may give
 * another view, and decides when to make it. */
#ifndef HF_DISCOVER_H
#define HF_DISCOVER_H

#include "base/base.h"
#include "discover/merge.h"
#include "os/os.h"

struct discover;

enum discover_note {
    DISCOVER_FAILED,  /* a name or file cannot be read; what it gave before stays */
    DISCOVER_BACK,    /* it can again */
    DISCOVER_DAMAGED, /* the kept file was set aside */
};

struct discover_owner {
    void *context;
    void (*changed)(void *context); /* often, from inside anything but this room's functions */
    void (*tell)(void *context, enum discover_note note, const char *subject, const char *text);
    void (*unsaved)(void *context, const struct err *e); /* NULL: saved again */
};

struct discover_options {
    const char *state_dir;
    const char *resolv_conf, *hosts; /* NULL: the system's */
};

int discover_new(struct discover **out, struct loop *l, const struct discover_options *o,
                 const struct discover_owner *owner, struct err *e);
void discover_free(struct discover *d); /* NULL is allowed */

/* The sources of a view, and of another one (or NULL), are followed from now on, others forgotten.
 * Directories that are new are read at once. before: the view in force, or NULL. */
int discover_follow(struct discover *d, const struct view *v, const struct view *also,
                    const struct view *before, struct err *e);
/* False: a merge of this view from the file would be that view. */
bool discover_adds(const struct discover *d, const struct view *base);
/* base: from the file, or merged before. *out as merge's. */
int discover_merge(struct discover *d, const struct view *base, struct view **out,
                   struct merge_report *report, struct err *e);

/* ---- what the API tells ---- */

enum told_mode {
    TOLD_SET,    /* these are all instances of the API in the service */
    TOLD_UPDATE, /* adds those that are not there; of those that are, changes what is given */
    TOLD_REMOVE, /* takes these away, by name; those that are not there do not matter */
};

enum told_drain { TOLD_AS_IT_IS, TOLD_DRAIN, TOLD_RESUME };

struct told_item {
    struct str name;                           /* empty: its address */
    struct addr addr;                          /* kind ADDR_NONE: not given */
    bool has_weight, own_weight, has_priority; /* own_weight: an operator's weight ends */
    uint32_t weight, priority;
    uint8_t drain; /* enum told_drain; for the owner: drains are his */
};

struct told_change {
    uint8_t mode; /* enum told_mode */
    struct str service;
    const struct told_item *items;
    uint32_t n;
};

struct told_counts {
    uint32_t added, removed, updated;
};

/* All of it or nothing; now: the view in force. Not for good before discover_keep, which writes it;
 * discover_undo takes it back. ERR_INVAL, ERR_ABSENT (an instance that neither exists nor has an
 * address), ERR_DENIED (one of another source cannot be removed), ERR_LIMIT, ERR_NOMEM. */
int discover_tell(struct discover *d, const struct told_change *c, const struct view *now,
                  struct told_counts *counts, struct err *e);
int discover_keep(struct discover *d, struct err *e);
void discover_undo(struct discover *d);
/* How many instances the API gives a service, with what is not kept yet. */
uint32_t discover_told_count(const struct discover *d, struct str service);
/* Whether the API named this instance: it may be drained before it is in any view. */
bool discover_told(const struct discover *d, struct str service, struct str instance);

#endif
