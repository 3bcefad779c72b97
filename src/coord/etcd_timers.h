/* etcd_timers: how patient etcd is that holdfast runs itself: its heartbeat, and the election time
 * after which a leader that is not heard is replaced. Pure.
 *
 * They come in levels. Level 0 is for a LAN and a good disk (docs/coordinator.md, "Timers", tells
 * where its values come from and what was measured); each level above doubles both. A leader whose
 * disk is busy with a sync sends no heartbeats meanwhile, so it is the disk that asks for a level:
 * for the lowest at which half of its syncs take no longer than ETCD_SYNC_MS, and all but one of a
 * hundred no longer than ETCD_STALL_MS, both doubled with each level.
 *
 * A judge keeps what is asked for from flapping. The first measurement counts at once if it is
 * good, else the better one of the first two. Then a level goes up when two in a row ask for more,
 * to what both ask for; and down when four in a row would bear less with a quarter to spare, to
 * what all of them would bear. */
#ifndef HF_COORD_ETCD_TIMERS_H
#define HF_COORD_ETCD_TIMERS_H

#include "base/base.h"

enum {
    ETCD_HEARTBEAT_MS = 50,
    ETCD_ELECTION_MS = 300, /* at least; each member adds up to as much again, drawn each time */
    ETCD_SYNC_MS = 20,
    ETCD_STALL_MS = 150, /* half an election time */
    ETCD_LEVELS = 4,
    ETCD_UP_AFTER = 2, /* measurements in a row */
    ETCD_DOWN_AFTER = 4,
    ETCD_NICE = -10, /* where it is permitted: late heartbeats are what elections come from */
};

uint32_t etcd_heartbeat_ms(uint32_t level);
uint32_t etcd_election_ms(uint32_t level);
/* Of timers that run: the lowest level that is no faster. */
uint32_t etcd_level_of(uint32_t heartbeat_ms);
/* What a disk asks for whose syncs take so long, ns. */
uint32_t etcd_level_for(uint64_t median, uint64_t p99);

struct disk_judge {
    bool known;
    uint8_t level;   /* 0 until it is known */
    uint8_t towards; /* what the last `times` measurements agree on, if it is another */
    uint8_t times;
};
/* Takes a measurement. True: the level is known now, or is another. */
bool disk_judge(struct disk_judge *j, uint64_t median, uint64_t p99);
/* After how many seconds the next one is due: at once while nothing is known, soon when it is in
 * doubt, else once a minute, and four times while the disk is slow. */
uint32_t disk_judge_again(const struct disk_judge *j);

#endif
