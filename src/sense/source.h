/* source: one log of the view: read, put through its rules and its miner, and told of.
 *
 * What is raised is told at once, and again every SENSE_REPEAT; what is over is told once. Where
 * reading stands is kept in FOLDER/KEY.at every few seconds, what was learnt in FOLDER/KEY.learnt
 * every minute and at the end; KEY is a hash of subject and place. Both are written aside and
 * renamed, not synced: after a power failure the last seconds are read again, or learnt again.
 * Inside this room only. */
#ifndef HF_SENSE_SOURCE_H
#define HF_SENSE_SOURCE_H

#include "base/list.h"
#include "detect/logs/logs.h"
#include "sense/follow.h"
#include "sense/sense.h"

#define SOURCE_KEEP_PLACE  (3 * NS_PER_S)
#define SOURCE_KEEP_LEARNT (60 * NS_PER_S)

struct source {
    struct list link; /* the owner's */
    struct sense *sense;
    struct arena arena;       /* of `log` and the rules' names */
    struct view_read_log log; /* subject, learn, and patterns of the rules */
    uint64_t key;             /* of subject and place */
    uint64_t shape;           /* of that and the rules: what it does */
    struct rules *rules;      /* may be NULL */
    struct logs *core;
    struct follow *follow;
    char name[SENSE_NAME_MAX + 1]; /* the subject's */
    const char *place;             /* for people: the path, or "journal:UNIT" */
    bool ending;                   /* what is raised is taken back */
    bool moved;                    /* more was read since its place was kept */
    uint64_t placed, learnt;       /* ns, when those were kept */
    uint64_t repeated;             /* ns */
    bool met;                      /* the epoch that is adopted names it */
};

/* A log of a view, by which a source is known. */
uint64_t source_key(const struct view_read_log *l);
uint64_t source_shape(const struct view_read_log *l);

/* NULL, and *e says why. */
struct source *source_new(struct sense *s, struct follows *follows, const struct view_read_log *l,
                          struct err *e);
/* over: what is raised is taken back: nobody reads this log any more. */
void source_free(struct source *s, bool over);
/* Time goes on: at least once a second. */
void source_tick(struct source *s, uint64_t now);
void source_repeat(struct source *s);
/* When source_tick has something to do. */
uint64_t source_due(const struct source *s);

#endif
