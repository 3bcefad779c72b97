/* cells: the shared memory between our processes. One writer per cell, readers read without locks.
 *
 * The supervisor makes one region at start (a memfd) and every process maps it. It outlives them
 * all, so that counters and verdicts survive the restart of any process. All fields are relaxed
 * atomics: each is true on its own; no two are promised to agree. Nobody trusts what another
 * process wrote to be in range: readers clamp.
 *
 *   cells_header | process rows | service rows, one per worker | instance verdicts | instance rows,
 * one per worker
 *
 * Every row is a multiple of 64 bytes, so that no two writers share a cache line. The region is
 * sparse: untouched rows cost no memory. */
#ifndef HF_CELLS_H
#define HF_CELLS_H

#include <stdatomic.h>

#include "base/base.h"
#include "detect/detect.h"

enum { CELLS_MAGIC = 0x48464331, CELLS_MAX_WORKERS = 64 };

struct cells_header {
    uint32_t magic, version;
    uint32_t workers, services, slots; /* table sizes */
    uint64_t boot;                     /* ns, when the supervisor made it */
};

typedef _Atomic uint64_t cell;

/* Rows: 0 supervisor, 1 control, 2 proxy's main thread, 3 + w: proxy worker w. */
enum { PROCESS_SUPERVISOR, PROCESS_CONTROL, PROCESS_PROXY, PROCESS_WORKER0 };
struct process_row {
    _Alignas(64) cell beat; /* rises while the owner's loop turns; writer: the owner */
    cell pid;               /* writer: supervisor */
    cell starts;            /* times started; writer: supervisor */
    cell started_at;        /* ns; writer: supervisor */
    cell epoch;             /* of the view in use; writer: the owner */
    cell connections;       /* gauge: client connections open (workers) */
    cell accepted;          /* total */
    cell signals_dropped;   /* evidence that control could not take in time */
    cell log_dropped;       /* access log lines that the disk could not take in time */
};

/* Latency in native exponential buckets: bucket i counts (2^(i-1), 2^i] us; the first is up to 1
 * us, the last everything above. */
enum { LATENCY_BUCKETS = 32 };

struct service_row { /* writer: one proxy worker */
    _Alignas(64) cell requests;
    cell status[6]; /* responses to clients by class; [0] cut without one */
    cell retries, retries_denied;
    cell refused_heads;          /* requests answered 4xx by the parser or a limit */
    cell no_instance;            /* answered 503: nothing to pick */
    cell tunnels;                /* gauge: upgraded connections, and TCP ones that are connected */
    cell relayed;                /* TCP connections that reached an instance */
    cell hedges, hedges_won;     /* second instances asked, and those that answered first */
    cell mirrored, mirrors_lost; /* copies sent, and those that could not be */
    cell bytes_in, bytes_out;
    cell latency_us_sum;
    cell latency[LATENCY_BUCKETS];
};

struct instance_verdict {      /* writer: control */
    _Alignas(64) cell verdict; /* enum verdict */
    cell reason;               /* enum reason */
    cell certain;              /* 0 or 1 */
    cell draining;             /* 0 or 1: an operator's drain */
    cell since;                /* ns */
    cell changes;              /* rises with every change of this row; 0: never written */
};

struct instance_row {                               /* writer: one proxy worker */
    _Alignas(64) cell inflight;                     /* gauge */
    cell requests;                                  /* attempts sent here */
    cell ok, refused, timeouts, resets, errors_5xx; /* outcomes, as the signals of detect.h */
    cell connects;                                  /* new connections */
    cell idle;                                      /* gauge: pooled connections */
    cell verdict;                                   /* the worker's own verdict, enum verdict */
    cell latency_us_sum;                            /* of ok */
    cell latency[LATENCY_BUCKETS];
};

struct cells {
    struct cells_header *header;
    struct process_row *processes;
    struct service_row *services;      /* [worker * header->services + slot] */
    struct instance_verdict *verdicts; /* [slot] */
    struct instance_row *instances;    /* [worker * header->slots + slot] */
    size_t size;                       /* bytes of the region */
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
/* Single writer: a plain add, no locked instruction. */
static inline void cell_add(cell *c, uint64_t v)
{
    cell_set(c, cell_get(c) + v);
}

static inline struct service_row *cells_service(const struct cells *c, uint32_t worker,
                                                uint32_t slot)
{
    CHECK(worker < c->header->workers && slot < c->header->services);
    return &c->services[(size_t)worker * c->header->services + slot];
}
static inline struct instance_row *cells_instance(const struct cells *c, uint32_t worker,
                                                  uint32_t slot)
{
    CHECK(worker < c->header->workers && slot < c->header->slots);
    return &c->instances[(size_t)worker * c->header->slots + slot];
}
static inline struct instance_verdict *cells_verdict(const struct cells *c, uint32_t slot)
{
    CHECK(slot < c->header->slots);
    return &c->verdicts[slot];
}
/* The bucket of LATENCY_BUCKETS that a latency falls into. */
static inline unsigned latency_bucket(uint64_t us)
{
    unsigned bits = us <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(us - 1);
    return bits < LATENCY_BUCKETS ? bits : LATENCY_BUCKETS - 1;
}

#endif
