/* engine: a node's half of the mesh without its sockets: seal and membership together. Datagrams
 * and time in; datagrams and changes out. Payloads of leases (leases.h) pass through it, sealed as
 * the others. What control runs (mesh.h) and what the simulator runs is
 * this. One thread. */
#ifndef HF_ENGINE_H
#define HF_ENGINE_H

#include "base/base.h"
#include "member/member.h"
#include "mesh/seal.h"

struct engine_host {
    void *context;
    void (*send)(void *context, uint64_t to, const void *datagram, size_t n);
    void (*changed)(void *context, const struct member_change *c);
    void (*incarnation)(void *context, uint64_t incarnation);
    void (*entropy)(void *context, void *out, size_t n);
    /* A datagram was refused: why; or SEAL_OK and `payload` when it opened and its contents were
     * malformed. */
    void (*refused)(void *context, enum seal_result why, bool payload);
    /* A payload of wire/lease.h came from a member. False: it is malformed. NULL: nobody takes part
     * in leases. */
    bool (*lease)(void *context, uint64_t from, const void *payload, size_t n);
};
struct engine_options {
    struct str cluster;
    struct member_node self;
    struct member_params params;
    struct keyring keys;
    uint64_t incarnation, seed;
    bool plain; /* simulations of thousands of nodes: no sealing, the sender's id in the clear;
                 * keys are not looked at */
};
struct engine;
int engine_new(struct engine **out, const struct engine_options *o, const struct engine_host *h,
               uint64_t now, struct err *e);
void engine_free(struct engine *g); /* NULL is allowed */
/* datagram is opened in place. */
void engine_receive(struct engine *g, uint8_t *datagram, size_t n, uint64_t now);
/* A payload of wire/lease.h to a member; now: not after it was written. */
void engine_send_lease(struct engine *g, uint64_t to, const void *payload, size_t n, uint64_t now);
void engine_tick(struct engine *g, uint64_t now);
uint64_t engine_deadline(const struct engine *g);
/* For all that concerns members: add, remove, leave, read. Members may have sessions; when one was
 * removed, engine_forget ends its own. */
struct membership *engine_members(struct engine *g);
/* For its keys and counts; NULL when it is plain. */
struct seal *engine_seal(struct engine *g);
void engine_forget(struct engine *g, uint64_t id, uint64_t now);

#endif
