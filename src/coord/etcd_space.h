/* etcd_space: what to do about the room in the files of etcd that holdfast runs itself. Pure: facts
 * in, at most one step out.
 *
 * etcd keeps each change of the last hour, and a file that grew never gets smaller by itself: what
 * was freed in it is used again. When a file reaches its quota etcd raises an alarm (NOSPACE), and
 * takes nothing but removals until somebody made room and says that the alarm is over. So the one
 * whose member leads
 *
 *   compacts        away the history, when what is used exceeds half of the quota, or there is an
 *                   alarm
 *   defragments     a member of whose file more than half is free, and much; or any part that is
 *                   worth it when there is an alarm. It answers nothing meanwhile: so one at a
 *                   time, when enough of the others are healthy, and without an alarm only when
 *                   all are. Never the one that leads: another leads first, if there is another
 *   disarms         when there is nothing left to be gained and there is room
 *
 * What has been tried is not tried again for a while (`tried`): the caller keeps time. */
#ifndef HF_COORD_ETCD_SPACE_H
#define HF_COORD_ETCD_SPACE_H

#include "base/base.h"

enum { SPACE_MEMBERS = 16 };
#define SPACE_MIB   UINT64_C(1048576)
#define SPACE_QUOTA (2048 * SPACE_MIB) /* of each member's file */

struct space_member {
    uint64_t id;
    bool learner, healthy;
    bool known; /* the next two */
    uint64_t bytes, used;
    bool tried; /* it was defragmented not long ago */
    bool full;  /* the alarm is its */
};

struct space_facts {
    const struct space_member *members;
    uint32_t n;
    uint64_t own; /* which leads */
    uint64_t quota;
    bool no_space;  /* there is an alarm */
    bool whose;     /* ... and it is known whose: `full` of members */
    bool compacted; /* not long ago, and, if there is an alarm, since it is there */
};

enum space_do {
    SPACE_REST,
    SPACE_COMPACT,
    SPACE_DEFRAGMENT, /* `member` */
    SPACE_HAND_OVER,  /* to `member`, so that the own one can be defragmented */
    SPACE_ASK_ALARMS, /* whose they are */
    SPACE_DISARM,     /* the alarm of `member` */
    SPACE_FULL,       /* there is nothing left to be gained, and no room */
    SPACE_DOS
};
struct space_step {
    enum space_do act;
    uint64_t member;
};
struct space_step space_next(const struct space_facts *f);

#endif
