/* pulse: the thread that keeps the heartbeats: the datagram socket and the timers around an engine.
 * Inside this room.
 *
 * One lock guards the engine and all that its callbacks touch. The thread holds it while it turns;
 * whoever else holds it for a moment (pulse_lock) may use the engine and calls pulse_stir when that
 * changed what is due. The leases that this node takes part in are guarded and driven alike. News
 * for the other side goes into a bounded queue that it is woken for: callbacks run there, never
 * here. */
#ifndef HF_MESH_PULSE_H
#define HF_MESH_PULSE_H

#include "mesh/contacts.h"
#include "mesh/engine.h"
#include "mesh/leases.h"
#include "mesh/strangers.h"
#include "os/os.h"

enum { PULSE_NEWS = 256, PULSE_TEXT = 256 };

/* Something for the owner's loop. */
struct pulse_news {
    enum { NEWS_CHANGE, NEWS_INCARNATION, NEWS_COMPLAINT } kind;
    struct member_change change;
    uint64_t incarnation;
    char text[PULSE_TEXT];
};
struct pulse_counts {
    uint64_t sent, received, sent_bytes, received_bytes;
    uint64_t refused[SEAL_RESULTS], refused_payload, told;
    uint64_t other_terms;   /* nodes whose leases have other terms, each counted once */
    uint64_t lost_news;     /* the owner did not come for them */
    enum priority priority; /* of the thread */
};
struct pulse;
struct pulse_options {
    struct loop *loop; /* the owner's */
    void *context;
    void (*news)(void *context,
                 const struct pulse_news *n); /* on the owner's loop, without the lock */
    /* What happened to the lease of a role; the same way. */
    void (*lease)(void *context, uint64_t role, unsigned effects);
    struct engine_options engine;
    struct lease_params lease_params;
    uint64_t lease_quiet; /* leases_new */
};

/* The thread runs from here on. contacts: the owner's, who changes it only with the lock. */
int pulse_new(struct pulse **out, const struct pulse_options *o, struct contacts *contacts,
              struct err *e);
/* Ends the thread; news that are left are not told. NULL is allowed. */
void pulse_free(struct pulse *p);

struct engine *pulse_lock(struct pulse *p);
void pulse_unlock(struct pulse *p);
/* With the lock; now is the time for the calls to it. */
struct leases *pulse_leases(struct pulse *p, uint64_t *now);
/* Engine or leases have something new to do. */
void pulse_stir(struct pulse *p);
/* Takes a bound datagram socket; the one before is closed. */
void pulse_socket(struct pulse *p, int fd);
/* The owner turns. */
void pulse_beat(struct pulse *p);
struct pulse_counts pulse_counts(struct pulse *p);

#endif
