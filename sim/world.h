/* world: a cluster in one process under virtual time.
 *
 * Each node is the daemon's own engine (mesh/engine.h) with a clock that runs at a rate of its own,
 * a disk that keeps its incarnation, a receive buffer and a process that can be late, stopped, or
 * dead. Datagrams travel over links that lose, delay, double, reorder and damage them. Faults
 * change all that while they last. One seed decides everything: the same options make the same run,
 * to the last datagram.
 *
 * Whoever wants to know what happens gives a watch; it is told after each event and may look at
 * everything, and change nothing.
 *
 * world.c holds time and the faults, node.c a node's process, clock and disk, net.c the links,
 * attack.c what strangers send, coordinator.h what the nodes agree on. */
#ifndef HF_SIM_WORLD_H
#define HF_SIM_WORLD_H

#include "jitter.h"
#include "mesh/engine.h"
#include "nemesis.h"
#include "queue.h"
#include "sim.h"

enum {
    WORLD_NODES = 8192,
    DATAGRAM_MOST = SEAL_DATAGRAM_MAX,
    RECEIVE_BUFFER = 256, /* datagrams; what a socket of 208 KiB holds of small ones */
    DISK_WRITES = 16,     /* under way */
    TAPE = 256,           /* datagrams that an attacker has kept */
    TWINS = 64,           /* datagrams that came twice, remembered by a receiver */
};

enum packet_kind {
    PACKET_GENUINE,
    PACKET_COPY,     /* the second of one that came twice */
    PACKET_DAMAGED,  /* bits flipped on the way */
    PACKET_REPLAYED, /* by an attacker */
    PACKET_FORGED,
    PACKET_KINDS
};

struct packet {
    struct packet *next;
    uint32_t from, to;
    uint64_t sent, twin; /* twin: the number of one that is sent twice; 0: once */
    enum packet_kind kind;
    uint32_t n;
    uint8_t data[DATAGRAM_MOST];
};

enum happening_kind {
    HAPPENED_STARTED,    /* node: its process begins, with `incarnation` */
    HAPPENED_STOPPED,    /* node */
    HAPPENED_RAISED,     /* node has a new `incarnation` */
    HAPPENED_CHANGED,    /* node's view: `change` */
    HAPPENED_ARRIVED,    /* in node's receive buffer: `packet` */
    HAPPENED_READING,    /* node is about to read `packet` */
    HAPPENED_READ,       /* it has; `refused` tells whether it said no */
    HAPPENED_RAN,        /* node has run: what follows from all that was there is done */
    HAPPENED_CONDITIONS, /* a fault has begun or ended, or a process has begun: all is as it will be
                          */
    /* With a coordinator: */
    HAPPENED_DECIDED,  /* it has done node's cas: the n `ops` are in at `revision`; n is 0: it
                          changed nothing */
    HAPPENED_TOLD,     /* node's watch `which` has told n `items` up to `revision`; `whole` */
    HAPPENED_PLANNED,  /* node begins an application of `version` */
    HAPPENED_APPLIED,  /* that has come to its `end` */
    HAPPENED_FORCE,    /* node runs `version` from now on, or again after a start */
    HAPPENED_VOTING,   /* node has kept the voters of version `revision` */
    HAPPENED_WIPED,    /* node's disk has lost all versions, and the voters */
    HAPPENED_FOLLOWED, /* what has come to node is done */
    HAPPENED_NEWS,     /* node says `text` of its service, epoch `revision` */
    HAPPENED_REKEYED   /* node has done a step of a rotation: `end` is enum rekey_step */
};
struct coord_op;
struct coord_item;
struct version;
struct happening {
    enum happening_kind kind;
    uint32_t node;
    uint64_t incarnation;
    const struct member_change *change;
    const struct packet *packet;
    bool refused;
    enum seal_result why; /* it was */
    const struct coord_op *ops;
    const struct coord_item *items;
    const struct version *version;
    uint32_t n, which;
    uint64_t revision;
    bool whole;
    int end; /* enum application_end, enum rekey_step */
    const char *text;
};
struct world;
struct watch {
    void *context;
    void (*tell)(void *context, struct world *w, const struct happening *h);
};

struct link {
    bool cut;
    float loss, dup, reorder, corrupt; /* chances */
    uint64_t delay;                    /* ns on average, on top */
};

struct disk_write {
    uint64_t lands, incarnation;
};

struct node {
    struct world *world;
    uint32_t index;
    uint64_t id;
    char name[12];

    struct engine *engine; /* NULL: it does not run */
    struct sim_heap heap;
    uint64_t life;                 /* counts starts */
    uint64_t incarnation, highest; /* now; of all its lives */
    bool leaving, left;            /* it ends when it has left */
    bool goodbye;                  /* it has begun to say so in this life */
    uint64_t leave_by;

    bool down, paused, maintenance, disk_full; /* what faults want */
    uint64_t slow, disk_slow;
    int64_t ppm;

    uint64_t clock_world, clock_local; /* local time clock_local was at world time clock_world */
    int64_t clock_ppb;

    uint64_t wake_at, wake_tag; /* the timer */
    bool late;                  /* it should run, and will a little later */
    struct packet *first, *last;
    uint32_t waiting;
    struct jitter_at jitter_at;
    uint64_t refusals; /* in the call that is under way */
    enum seal_result refused;
    uint32_t spins; /* runs in a row that left the timer where it was */

    struct keyring keys;
    uint64_t kept; /* on its disk */
    struct disk_write writes[DISK_WRITES];
    uint32_t write_count;

    uint64_t twins[TWINS];
    uint32_t twin_next;
    uint64_t sent, sent_bytes, received;
};

struct tape_entry {
    uint32_t from, to, n;
    uint8_t data[DATAGRAM_MOST];
};

struct world_options {
    uint64_t seed;
    uint32_t nodes;
    bool plain, wan;
    struct member_params params;
    const struct jitter *jitter; /* NULL: processes run at once */
    const struct faults *faults; /* NULL: none; at most FAULT_NODES nodes where there are some */
    uint64_t spread;             /* nodes start within this time */
    bool primary;                /* there will be a service (primary.h) */
};

/* A rotation of the cluster's key. */
enum rekey_step { REKEY_NONE, REKEY_ACCEPT, REKEY_USE, REKEY_DROP };
struct rekey {
    enum rekey_step step;
    uint32_t driver;
    uint32_t old, id; /* keys */
    uint64_t done;    /* by whom, the step */
    uint64_t since;   /* of the step */
    uint8_t secret[SEAL_SECRET];
};

struct coordinator;
struct service;
struct world {
    struct world_options o;
    struct coordinator *coordinator; /* NULL: no fault has to do with one */
    struct service *service;         /* NULL: there is none */
    uint64_t now;
    struct queue queue;
    struct rekey rekey;
    struct prng net, chance, entropy, rekeys; /* apart, so that one does not move the other */
    struct node *nodes;
    struct link *links; /* [from * nodes + to]; NULL: all alike */
    bool active[FAULTS_MOST];
    uint64_t events, packets, lost, twin_count;
    struct packet *spare;
    uint32_t *index; /* open addressing by id: node + 1 */
    uint32_t index_mask;
    struct tape_entry *tape;
    uint32_t tape_n;
    struct keyring keys;
    struct seal *stranger; /* of the same cluster's name, with another key */
    uint64_t digest;       /* of all that happened: equal runs have equal ones */
    const struct watch *watches[4];
    uint32_t watch_count;
    bool stop; /* a watch wants no more */
};

struct world *world_new(const struct world_options *o);
void world_watch(struct world *w, const struct watch *watch); /* before the first run */
void world_run(struct world *w, uint64_t until);
void world_free(struct world *w);
uint64_t world_base_delay(const struct world *w, uint32_t from, uint32_t to);
uint32_t world_node(const struct world *w, uint64_t id); /* UINT32_MAX: nobody */
const char *world_name(void *world, uint64_t id);
bool world_faulty(const struct world *w); /* some fault is under way */

/* By hand: what measurements do. */
void world_crash(struct world *w, uint32_t node);

/* Within the simulator. */
enum event_kind {
    EVENT_ARRIVE,
    EVENT_WAKE,
    EVENT_RUN,
    EVENT_FAULT,
    EVENT_HEAL,
    EVENT_ATTACK,
    EVENT_START,
    EVENT_ERRAND, /* the coordinator's */
    EVENT_FOLLOW,
    EVENT_REKEY,
    EVENT_SERVICE,
    EVENT_LETTER
};
void world_conditions(struct world *w); /* all of them, after one has changed */
void world_tell(struct world *w, const struct happening *h);
void world_mix(struct world *w, uint64_t value); /* into the digest */

void node_start(struct node *n);
void node_stop(struct node *n);  /* now, as by SIGKILL */
void node_leave(struct node *n); /* says goodbye, then stops */
void node_conditions(struct node *n);
void node_arrive(struct node *n, struct packet *p); /* takes p */
void node_wake(struct node *n, uint64_t tag);
void node_run(struct node *n);
void node_rekeyed(struct node *n);
void node_schedule(struct node *n);        /* something of it is due earlier than it was */
uint64_t node_clock(const struct node *n); /* its local time now */
void rekey_begin(struct world *w, uint64_t drivers);
void rekey_tick(struct world *w);

void net_send(void *node, uint64_t to, const void *datagram, size_t n);
void net_conditions(struct world *w);
struct packet *net_packet(struct world *w);
void net_release(struct world *w, struct packet *p);
void net_keep(struct world *w, const struct packet *p); /* an attacker listens */
void attack(struct world *w, uint32_t fault);
void attack_free(struct world *w);

#endif
