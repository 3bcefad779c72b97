/* model: an engine over store.h, with faults to order. For tests.
 *
 * One model is the coordinator of a test; each coord_model_new is one node's connection to it. All
 * run on one loop. Without faults a request takes a turn of the loop; with a delay it takes one to
 * get there and one to come back, so that requests overtake each other as they do on a network.
 *
 * Faults are those that a real engine has: a request that is lost on its way, an answer that is
 * lost, a change that happens after its caller gave up, a coordinator that is away (for all, or for
 * one node), a history that is compacted, memory that is out. */
#ifndef HF_COORD_MODEL_H
#define HF_COORD_MODEL_H

#include "coord/store.h"

struct model;

enum model_fault {
    MODEL_SOUND,
    MODEL_LOST,       /* it never gets there: unknown, and did not happen */
    MODEL_UNANSWERED, /* it happens, and nobody is told: unknown */
    MODEL_LATE,       /* it gets there only after its deadline: unknown, then it happens */
    MODEL_REFUSED,    /* the engine knows that it did not happen: failed */
    MODEL_FAULTS
};

int model_new(struct model **out, struct loop *l, struct err *e);
/* After the last connection is freed. */
void model_free(struct model *m);
int coord_model_new(struct coord **out, struct model *m, struct err *e);

/* Each way, drawn evenly from these bounds with this seed, for all that begins from now on. */
void model_delay(struct model *m, uint64_t low, uint64_t high, uint64_t seed);
/* The next `times` changes that begin have this fault. */
void model_order(struct model *m, enum model_fault fault, uint32_t times);
/* Each change that begins has it with so many chances in a thousand. */
void model_chance(struct model *m, enum model_fault fault, uint32_t thousandth);
/* Away for everybody, or for one connection. What is on its way is lost; what begins is refused
 * (a cas) or waits (a range). */
void model_away(struct model *m, bool away);
void coord_model_away(struct coord *c, bool away);
/* Forgets the history. */
void model_compact(struct model *m);
/* The map itself: to look at it, to raise its revision. */
struct store *model_store(struct model *m);

#endif
