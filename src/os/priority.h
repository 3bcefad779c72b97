/* priority: a thread that must not wait for its turn. */
#ifndef HF_PRIORITY_H
#define HF_PRIORITY_H

#include "base/base.h"

/* How a thread comes to its turn when processors are short. */
enum priority {
    PRIORITY_REAL_TIME, /* before all ordinary threads (SCHED_RR, its lowest level) */
    PRIORITY_RAISED,    /* more often than others (nice -11) */
    PRIORITY_ORDINARY,
};

/* The calling thread becomes as urgent as it may (CAP_SYS_NICE, RLIMIT_RTPRIO, RLIMIT_NICE). The
 * kernel keeps 5% of each second for others (sched(7), sched_rt_runtime_us), so that a real-time
 * thread that never ended its turn would not take the machine away. */
enum priority priority_raise(void);
/* A process of one thread that judges others by the clock: as PRIORITY_RAISED, if it may, never
 * real-time, because it does more than look. What it starts is ordinary. */
enum priority priority_favour(void);
/* A process that others wait for while it starts: real-time from here on, over exec, until
 * priority_calm; if it may. Threads and processes that it starts are ordinary. */
void priority_hurry(void);
void priority_calm(void);
const char *priority_name(enum priority p); /* "real-time", "raised", "ordinary" */

#endif
