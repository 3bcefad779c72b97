/* The coordinator as a node sees it: what control fills, and routes tell. */
#ifndef HF_ADMIN_COORDINATOR_H
#define HF_ADMIN_COORDINATOR_H

#include "base/base.h"

enum { ADMIN_MEMBERS = 16, ADMIN_VOTERS = 5 };

struct admin_coordinator_member {
    char id[24], name[64]; /* name: of its node; empty: it is of none */
    bool self, leader, learner, healthy;
    uint32_t heartbeat_ms;      /* its timers; 0: it does not run, or is not heard */
    uint32_t disk_heartbeat_ms; /* that its disk asks for; 0: not known */
};

struct admin_coordinator {
    const char *kind; /* "local", "none", "managed", "external" */
    char engine[16], at[128], problem[256];
    bool open; /* there is an engine: it has these */
    bool reachable;
    uint64_t since; /* ns, clock_now's: of that */
    uint64_t revision, done, conflicts, unknown, failed, watched, last_ns;
    char cluster[40]; /* its id, hexadecimal; empty: none is known */
    uint64_t generation;
    const char *record; /* "never", "knows", "data" */
    char waits[256];    /* what is done or waited for; empty: nothing */
    uint64_t voters;    /* the version of their set; 0: none */
    uint32_t n_voters;
    char voter[ADMIN_VOTERS][64];
    uint32_t n_members; /* 0: no list is known */
    struct admin_coordinator_member members[ADMIN_MEMBERS];
    const char *etcd; /* "never", "running", ...; NULL: this node runs none */
    uint32_t pid, starts;
    char version[24];
    uint64_t bytes, used, quota; /* of its file */
    uint32_t heartbeat_ms, election_ms;
    uint64_t measured;                          /* ns, clock_now's: when its disk was; 0: never */
    uint64_t sync_median, sync_p99, sync_worst; /* ns */
    uint32_t wanted_heartbeat_ms, wanted_election_ms; /* that all should have */
    bool full, restoring;
    uint64_t backup_at; /* ns since 1970; 0: none by this process */
    char backup[512];
};

#endif
