/* peer: what a seal keeps of another node, and the table of those it knows. The table is sorted by
 * id; ids are digests, and only peers that the owner named are in it, so that no stranger makes it
 * grow or slow. */
#ifndef HF_MESH_PEER_H
#define HF_MESH_PEER_H

#include "mesh/session.h"

struct peer {
    uint64_t id;
    struct session now;   /* sends and opens */
    struct session other; /* opens: the one before, or the one that is about to replace it */
    bool offered;         /* other: a WELCOME was said, nothing came under it yet */
    bool asked;           /* a HELLO waits for its WELCOME: */
    uint32_t ask_key;
    uint8_t ask_nonce[HELLO_NONCE];
    uint64_t asked_at; /* the last one, if asked_ever */
    bool asked_ever;
    uint64_t heard_at;   /* something opened last, if there is a session */
    uint64_t answers_at; /* when the answers that it may get were counted: */
    uint32_t answers;    /* thousandths */
};

struct peers {
    struct peer **list; /* owned, sorted by id */
    uint32_t n, cap;
};

struct peer *peers_find(const struct peers *t, uint64_t id); /* NULL: not known */
/* The one that is there, or a new one. NULL: memory is out, or the table is full (*full). */
struct peer *peers_add(struct peers *t, uint64_t id, bool *full);
void peers_remove(struct peers *t, uint64_t id);
void peers_free(struct peers *t);

#endif
