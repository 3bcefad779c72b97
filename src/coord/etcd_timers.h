/* etcd_timers: the timers of etcd that holdfast runs itself (docs/coordinator.md, "Timers", tells
 * where they come from and what was measured). For a LAN, and a disk that syncs within
 * ETCD_SYNC_GOOD_MS; who starts etcd doubles both for a slower one, up to ETCD_RELAX times. */
#ifndef HF_COORD_ETCD_TIMERS_H
#define HF_COORD_ETCD_TIMERS_H

enum {
    ETCD_HEARTBEAT_MS = 50,
    ETCD_ELECTION_MS = 300, /* at least; each member adds up to as much again, drawn each time */
    ETCD_SYNC_GOOD_MS = 20, /* the 99th percentile of a small append with fdatasync */
    ETCD_RELAX = 8,
    ETCD_NICE = -10, /* where it is permitted: late heartbeats are what elections come from */
};

#endif
