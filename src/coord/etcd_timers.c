#include "coord/etcd_timers.h"

#define MS UINT64_C(1000000) /* ns */
enum { AGAIN_DOUBT = 10, AGAIN_SLOW = 15, AGAIN_GOOD = 60 };

uint32_t etcd_heartbeat_ms(uint32_t level)
{
    CHECK(level < ETCD_LEVELS);
    return (uint32_t)ETCD_HEARTBEAT_MS << level;
}

uint32_t etcd_election_ms(uint32_t level)
{
    CHECK(level < ETCD_LEVELS);
    return (uint32_t)ETCD_ELECTION_MS << level;
}

uint32_t etcd_level_of(uint32_t heartbeat_ms)
{
    uint32_t level = 0;
    while (level + 1 < ETCD_LEVELS && etcd_heartbeat_ms(level) < heartbeat_ms)
        level++;
    return level;
}

uint32_t etcd_level_for(uint64_t median, uint64_t p99)
{
    uint32_t level = 0;
    while (level + 1 < ETCD_LEVELS && (median > (ETCD_SYNC_MS * MS) << level ||
                                       p99 > (ETCD_STALL_MS * MS) << level))
        level++;
    return level;
}

static uint64_t with_spare(uint64_t ns)
{
    return ns > UINT64_MAX / 4 ? UINT64_MAX : ns * 4 / 3;
}

static bool settle(struct disk_judge *j, uint32_t level)
{
    *j = (struct disk_judge){.known = true, .level = (uint8_t)level};
    return true;
}

/* Another measurement on one side of the level: `level` is what it asks for. */
static bool count(struct disk_judge *j, uint32_t level, bool up, uint32_t enough)
{
    bool same_side = j->times && (j->towards > j->level) == up;
    bool milder = up ? level < j->towards : level > j->towards;
    if (!same_side || milder)
        j->towards = (uint8_t)level;
    j->times = same_side ? (uint8_t)(j->times + 1) : 1;
    return j->times >= enough && settle(j, j->towards);
}

bool disk_judge(struct disk_judge *j, uint64_t median, uint64_t p99)
{
    uint32_t asks = etcd_level_for(median, p99);
    uint32_t bears = etcd_level_for(with_spare(median), with_spare(p99));
    if (!j->known && asks == 0)
        return settle(j, 0);
    if (asks > j->level)
        return count(j, asks, true, ETCD_UP_AFTER);
    if (bears < j->level)
        return count(j, bears, false, ETCD_DOWN_AFTER);
    j->times = 0;
    return false;
}

uint32_t disk_judge_again(const struct disk_judge *j)
{
    if (!j->known)
        return 0;
    if (j->times && j->towards > j->level)
        return AGAIN_DOUBT;
    return j->level ? AGAIN_SLOW : AGAIN_GOOD;
}
