/* engine: what each engine of the coordinator fills in, and what all of them have in common.
 *
 * Inside this room only. coord.c does for every engine: the checks, copies of keys and values,
 * tickets, the limit of requests under way, deadlines, the order of callbacks, health and its
 * counters. An engine does the rest through five functions, and answers through coord_answer,
 * coord_tell, coord_reached and coord_lost.
 *
 * Rules for an engine. All is on the loop's thread. It calls coord_answer and coord_tell only from
 * the loop (an event, a timer, a task), never from within one of its five functions: a callback of
 * a user may come back into any of them, so it finishes its own books before it answers. It answers
 * a request at most once, and not after `drop`. While it is not reachable it asks by itself again,
 * at least each second, and says so with coord_reached.
 *
 * Ownership: an engine's struct begins with struct coord and is made by the engine; coord_free
 * drops every request, ends every watch and then calls `free`, which frees the struct. Requests and
 * watches belong to coord.c; `own` in them is the engine's, to be freed when it answers the request
 * or is told to drop it, and in `unwatch`. */
#ifndef HF_COORD_ENGINE_H
#define HF_COORD_ENGINE_H

#include "coord/coord.h"

struct coord_request {
    struct list link; /* coord.c's */
    struct coord *coord;
    uint64_t ticket, deadline;
    uint64_t begun; /* 0: it came after its deadline, and no engine knows of it */
    coord_done *done;
    void *context;
    bool is_range;
    struct str prefix;    /* of a range */
    struct coord_op *ops; /* of a cas: one block with its keys and values. An engine may take it
                             over (sets this to NULL, and ends it with mem_free) */
    uint32_t n;
    void *own;
};

struct coord_watch {
    struct list link; /* coord.c's; in coord->watches */
    struct coord *coord;
    struct coord_watcher watcher;
    struct str prefix;
    uint64_t revision; /* up to which it was told */
    bool whole;        /* it was told all that there is */
    bool gone;         /* its user ended it; it lies here until the loop's turn is over */
    void *own;
};

struct coord_engine {
    const char *name;
    /* Takes the request up. An error: nothing happened and nothing is owed. */
    int (*begin)(struct coord *c, struct coord_request *r, struct err *e);
    /* Its deadline has passed, or it is taken back: forget it. True: a cas may have had an effect,
     * or may have one yet. */
    bool (*drop)(struct coord *c, struct coord_request *r);
    int (*watch)(struct coord *c, struct coord_watch *w, struct err *e);
    void (*unwatch)(struct coord *c, struct coord_watch *w);
    void (*free)(struct coord *c); /* the struct too */
};

/* The first member of every engine's struct. */
struct coord {
    const struct coord_engine *engine;
    struct loop *loop;
    struct list requests, watches; /* in the order in which they were made */
    uint32_t pending, watching;
    uint64_t tickets; /* given out */
    uint64_t asked;   /* when the oldest question since the last answer was put; 0: none */
    struct timer due; /* the next deadline or silence */
    struct task sweep, tell_health;
    struct coord_health health;
    bool told_reachable;
    void (*changed)(void *context);
    void *changed_context;
    uint32_t inside; /* in one of the engine's functions: no callback may come */
};

#define COORD_SILENCE (3 * NS_PER_S) /* a question unanswered for so long: not reachable */

/* Not reachable until the engine says so. */
void coord_init(struct coord *c, const struct coord_engine *engine, struct loop *l);
/* Ends what coord_init began, for an engine whose making fails; coord_free does it by itself. */
void coord_end(struct coord *c);

/* The answer: counts, forgets the request, calls the user (what `a` points to outlives r). DONE and
 * CONFLICT are an answer of the coordinator; UNKNOWN and FAILED are not, and say nothing of whether
 * it can be reached. */
void coord_answer(struct coord_request *r, const struct coord_answer *a);
/* UNKNOWN or FAILED. */
void coord_answer_why(struct coord_request *r, enum coord_outcome outcome, const struct err *why);
/* Tells a watch, unless it has ended. False, and nothing is told: this is not after what it knows
 * (or, not whole, it does not know the whole yet). Items begin with the watch's prefix. */
bool coord_tell(struct coord_watch *w, const struct coord_item *items, uint32_t n,
                uint64_t revision, bool whole);

/* There was an answer, to whatever question. */
void coord_reached(struct coord *c);
/* There was none, and why: for people. */
void coord_lost(struct coord *c, const struct err *why);
/* The file, or the endpoint in use. */
void coord_at(struct coord *c, const char *at);
void coord_seen(struct coord *c, uint64_t revision);

#endif
