/* cells: the shared memory between our processes. One writer per cell, readers read without locks.
 *
 * The supervisor makes one region at start (a memfd) and every process maps it. It outlives them
 * all, so that counters and verdicts survive the restart of any process. All fields are relaxed
 * atomics: each is true on its own; no two are promised to agree. Nobody trusts what another
 * process wrote to be in range: readers clamp.
 *
 *   cells_header | process rows | service rows, one per lane | instance verdicts | instance rows,
 * one per lane | listener rows, one per lane | role rows | votes
 *
 * While one proxy takes over from another, both count. Each has a *bank* of rows of its own: a
 * process row, and a *lane* of service and instance rows for each of its workers. A bank is given
 * to one proxy process after the other; its counters go on where the last one left them, so that
 * the sum over all lanes never falls. Between two processes a bank is the supervisor's to write.
 *
 * Every row is a multiple of 64 bytes, so that no two writers share a cache line. The region is
 * sparse: untouched rows cost no memory. */
#ifndef HF_CELLS_H
#define HF_CELLS_H

#include <stdatomic.h>

#include "base/base.h"
#include "detect/detect.h"
#include "view/latency.h"

enum {
    CELLS_MAGIC = 0x48464331,
    CELLS_VERSION = 10,
    CELLS_MAX_WORKERS = 64,
    CELLS_BANKS = 4,
    CELLS_LISTENERS = 4096,
    CELLS_VOTES = 256,
    CELLS_PLACES = 16
};

struct cells_header {
    uint32_t magic, version;
    uint32_t workers, services, slots; /* table sizes */
    uint64_t boot;                     /* ns, when the supervisor made it */
};

#define CELLS_MS UINT64_C(1000000) /* ns */

typedef _Atomic uint64_t cell;

/* Rows: 0 supervisor, 1 control, 2 agent, 3 sense, 4 proxy's main thread, 5 + w: proxy worker w.
 * Those of bank 0; behind them main thread and workers of bank 1, and so on. */
enum {
    PROCESS_SUPERVISOR,
    PROCESS_CONTROL,
    PROCESS_AGENT,
    PROCESS_SENSE,
    PROCESS_PROXY,
    PROCESS_WORKER0
};
struct process_row {
    _Alignas(64) cell beat; /* rises while the owner's loop turns; writer: the owner */
    cell pid;               /* writer: supervisor */
    cell starts;            /* times started; writer: supervisor */
    cell started_at;        /* ns; writer: supervisor */
    cell epoch;             /* of the view in use; writer: the owner */
    cell memory;            /* gauge: bytes of its own; writer: the owner */
    cell connections;       /* gauge: client connections open (workers) */
    cell accepted;          /* total */
    cell signals_dropped;   /* evidence that control could not take in time */
    cell log_dropped;       /* access log lines that the disk could not take in time */
    cell shed;              /* clients without a request, closed to make room */
    cell cut_slow;          /* clients cut for less than min-rate */
    cell buffers;           /* gauge: bytes of the buffers that it has */
    cell drain_cut;         /* connections that were cut at the end of a drain (workers) */
    /* sense only, all totals */
    cell log_lines, log_bytes;           /* read of logs */
    cell log_shed_lines, log_shed_bytes; /* skipped: they came faster than they can be read */
    /* a proxy's main thread only; writer: supervisor */
    cell generation; /* which proxy has the bank, counted from 1; 0: nobody ever had it */
    cell role;       /* enum proxy_role */
    cell until;      /* ns: PROXY_DRAINS: what is left is cut then */
};

enum proxy_role { PROXY_ABSENT, PROXY_STARTS, PROXY_SERVES, PROXY_DRAINS, PROXY_ROLES };

struct service_row { /* writer: one lane's worker */
    _Alignas(64) cell requests;
    cell status[6]; /* responses to clients by class; [0] cut without one */
    cell retries, retries_denied;
    cell refused_heads;          /* requests answered 4xx by the parser or a limit */
    cell no_instance;            /* answered 503: nothing to pick */
    cell tunnels;                /* gauge: upgraded connections, and TCP ones that are connected */
    cell relayed;                /* TCP connections that reached an instance */
    cell hedges, hedges_won;     /* second instances asked, and those that answered first */
    cell mirrored, mirrors_lost; /* copies sent, and those that could not be */
    cell rate_limited;           /* answered 429 */
    cell waiting;                /* gauge: requests in the queue for a place */
    cell waited;                 /* requests that were in it */
    cell queue_full;             /* answered 503: as many wait as may */
    cell queue_late;             /* answered 503: waited for as long as one may */
    cell stuck, unstuck;         /* sessions that went to their instance, and that could not */
    cell broken;                 /* answered 503: the breaker is open */
    cell breaker;                /* gauge: its state, enum breaker_state */
    cell breaker_opened;         /* times that this worker opened it */
    cell bytes_in, bytes_out;
    cell latency_us_sum;
    cell latency[LATENCY_BUCKETS];
    /* of a service of kind primary: docs/gate.md */
    cell held;         /* gauge: clients that wait for a primary */
    cell held_total;   /* clients that did */
    cell hold_refused; /* cut: one too many, or waited for too long */
    cell cut_deposed;  /* cut, with a command under way, because the gate shut */
    cell led_on;       /* went on elsewhere, between two commands */
    cell commits;      /* rounds that let replies go */
    cell commit_us_sum;
    cell commit_since; /* gauge, ns: replies have waited since; 0: none do */
    cell read_replica; /* readers led to a replica */
    cell read_primary; /* ... to the primary, since no replica was fit */
    cell read_left;    /* ... that had to leave one that is not fit any more */
    cell quiet;        /* the role's `hold` for which nothing is under way here any more */
};

struct instance_verdict {      /* writer: control */
    _Alignas(64) cell verdict; /* enum verdict */
    cell reason;               /* enum reason */
    cell certain;              /* 0 or 1 */
    cell draining;             /* 0 or 1: an operator's drain */
    cell since;                /* ns */
    cell changes;              /* rises with every change of this row; 0: never written */
};

struct instance_row {                               /* writer: one lane's worker */
    _Alignas(64) cell inflight;                     /* gauge */
    cell requests;                                  /* attempts sent here */
    cell ok, refused, timeouts, resets, errors_5xx; /* outcomes, as the signals of detect.h */
    cell connects;                                  /* new connections */
    cell idle;                                      /* gauge: pooled connections */
    cell verdict;                                   /* the worker's own verdict, enum verdict */
    cell latency_us_sum;                            /* of ok */
    cell latency[LATENCY_BUCKETS];
};

struct listener_row {       /* writer: one lane's worker */
    _Alignas(64) cell open; /* gauge: client connections; flows of a UDP listener */
    cell accepted;          /* connections, flows */
    cell refused;    /* closed at once: no memory or descriptors, or a limit of connections */
    cell bad_hellos; /* closed for the lack of a PROXY header */
    cell bad_heads;  /* answered 4xx by the parser or a limit */
    cell rests;      /* times that accepting rested: too many clients or descriptors */
    cell bytes_in, bytes_out;
};

/* One for each service slot: who acts as the primary of that service, and until when
 * (docs/failover.md). The gate is open here if and only if gate != 0, gate == lease_epoch and the
 * clock (CLOCK_BOOTTIME) is below lease_until: whoever carries a write or acts as the primary looks
 * at these three before each step, by the clock of its loop's turn. No line has two writers. */
struct role_row {
    /* writer: the thread of the heartbeats, in control */
    _Alignas(64) cell lease_until; /* ns; 0: the lease is not held here */
    cell lease_epoch;              /* of the lease */
    cell incarnation;              /* of the control whose lease it is; 0: nobody's */
    cell round;                    /* no round above this has left */
    cell role;                     /* whose row this is: its id */
    /* writer: control */
    _Alignas(64) cell gate; /* the epoch under which the instance here was promoted; 0: shut */
    cell hold;              /* ns: until then writers wait; 0: they do not */
    cell epoch;             /* the record, as it is known here */
    cell primary;           /* 1 + place; 0: nobody */
    cell sync;              /* acknowledgements that a reply needs now */
    cell insync;            /* places that are in sync, bits */
    cell state;             /* enum role_state */
    cell known_at;          /* ns: `replicas` is of then */
    /* by place: who may be read at, and how far behind it is (cells_replica); 0: nobody */
    _Alignas(64) cell replicas[CELLS_PLACES];
};

/* What this node has promised as a voter, so that it need not be forgotten with the process
 * (mesh/leases.h). Writer: the thread of the heartbeats. */
struct votes_head {
    _Alignas(64) cell kept; /* 1: what is here is all that was promised */
    cell writing;           /* 1: a row is half written, for ever if its writer has died */
    cell quiet_until;       /* ns: nothing is promised before */
};
struct vote_row {
    _Alignas(64) cell role; /* 0: none */
    cell holder, incarnation;
    cell seen; /* the highest epoch */
    cell until;
    cell round, released;
};

struct cells {
    struct cells_header *header;
    struct process_row *processes;
    struct service_row *services;      /* [lane * header->services + slot] */
    struct instance_verdict *verdicts; /* [slot] */
    struct instance_row *instances;    /* [lane * header->slots + slot] */
    struct listener_row *listeners;    /* [lane * CELLS_LISTENERS + slot] */
    struct role_row *roles;            /* [slot of the service] */
    struct votes_head *votes_head;
    struct vote_row *votes; /* [CELLS_VOTES] */
    size_t size;            /* bytes of the region */
    uint32_t workers;       /* as the header said when it was checked */
    uint32_t bank;          /* that this process writes; set by a proxy */
};

/* Bytes that a region of these tables takes. */
size_t cells_size(uint32_t workers, uint32_t services, uint32_t slots);
/* Lays a zeroed region out. */
void cells_format(void *region, uint32_t workers, uint32_t services, uint32_t slots, uint64_t now);
/* Points into a region that somebody formatted; ERR_PROTO when it is not one of ours or is smaller
 * than it says. */
int cells_attach(struct cells *c, void *region, size_t size, struct err *e);

static inline uint64_t cell_get(const cell *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}
static inline void cell_set(cell *c, uint64_t v)
{
    atomic_store_explicit(c, v, memory_order_relaxed);
}
/* Stays behind all that this thread stored before: whoever reads what a dead process left finds it
 * in the order of its stores. */
static inline void cell_put(cell *c, uint64_t v)
{
    atomic_store_explicit(c, v, memory_order_release);
}
/* Single writer: a plain add, no locked instruction. */
static inline void cell_add(cell *c, uint64_t v)
{
    cell_set(c, cell_get(c) + v);
}

/* The process row of a bank's main thread; its workers' follow it. */
static inline uint32_t cells_proxy_row(uint32_t workers, uint32_t bank)
{
    return PROCESS_PROXY + bank * (1 + workers);
}
static inline uint32_t cells_process_rows(uint32_t workers)
{
    return cells_proxy_row(workers, CELLS_BANKS);
}
static inline uint32_t cells_lanes(const struct cells *c)
{
    return CELLS_BANKS * c->workers;
}
static inline uint32_t cells_lane(const struct cells *c, uint32_t bank, uint32_t worker)
{
    return bank * c->workers + worker;
}
/* Whether anybody ever counted there: rows that nobody wrote cost memory only when they are read.
 */
static inline bool cells_lane_used(const struct cells *c, uint32_t lane)
{
    uint32_t bank = lane / c->workers;
    return bank == 0 || cell_get(&c->processes[cells_proxy_row(c->workers, bank)].generation) != 0;
}
/* An instance that readers may go to, and how far behind it is, in one cell. */
static inline uint64_t cells_replica(uint64_t lag, uint64_t bytes)
{
    return UINT64_C(1) << 63 | MIN(lag / CELLS_MS, UINT64_C(0x7ffffff)) << 36 |
           MIN(bytes, UINT64_C(0xfffffffff));
}
static inline uint64_t cells_replica_lag(uint64_t v) /* ns */
{
    return (v >> 36 & 0x7ffffff) * CELLS_MS;
}
static inline uint64_t cells_replica_bytes(uint64_t v)
{
    return v & 0xfffffffff;
}
/* Writers of this service wait for what it holds until `hold` (role_row): is nothing under way any
 * more, at any proxy that lives? */
bool cells_quiet(const struct cells *c, uint32_t slot, uint64_t hold);
/* The bank of the proxy that accepts new connections. */
uint32_t cells_serving(const struct cells *c);

static inline struct service_row *cells_service(const struct cells *c, uint32_t lane, uint32_t slot)
{
    CHECK(lane < cells_lanes(c) && slot < c->header->services);
    return &c->services[(size_t)lane * c->header->services + slot];
}
static inline struct instance_row *cells_instance(const struct cells *c, uint32_t lane,
                                                  uint32_t slot)
{
    CHECK(lane < cells_lanes(c) && slot < c->header->slots);
    return &c->instances[(size_t)lane * c->header->slots + slot];
}
static inline struct listener_row *cells_listener(const struct cells *c, uint32_t lane,
                                                  uint32_t slot)
{
    CHECK(lane < cells_lanes(c) && slot < CELLS_LISTENERS);
    return &c->listeners[(size_t)lane * CELLS_LISTENERS + slot];
}
static inline struct instance_verdict *cells_verdict(const struct cells *c, uint32_t slot)
{
    CHECK(slot < c->header->slots);
    return &c->verdicts[slot];
}
static inline struct role_row *cells_role(const struct cells *c, uint32_t slot)
{
    CHECK(slot < c->header->services);
    return &c->roles[slot];
}

#endif
