/* Linux: SCHED_RR, or a nice value of the thread. */
#include "os/priority.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RAISED = -11, LEAST_REAL_TIME = 1 };

enum priority priority_raise(void)
{
    struct sched_param p = {.sched_priority = LEAST_REAL_TIME};
    if (pthread_setschedparam(pthread_self(), SCHED_RR, &p) == 0)
        return PRIORITY_REAL_TIME;
    /* On Linux a thread has a nice value of its own, and its id names it. */
    if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), RAISED) == 0)
        return PRIORITY_RAISED;
    return PRIORITY_ORDINARY;
}

enum priority priority_favour(void)
{
    struct sched_param p = {.sched_priority = 0};
    if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &p) == 0 &&
        setpriority(PRIO_PROCESS, 0, RAISED) == 0)
        return PRIORITY_RAISED;
    return PRIORITY_ORDINARY;
}

void priority_hurry(void)
{
    struct sched_param p = {.sched_priority = LEAST_REAL_TIME};
    sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p);
}

/* That flag stays: without a right to it nobody may take it away. */
void priority_calm(void)
{
    struct sched_param p = {.sched_priority = 0};
    int policy = sched_getscheduler(0);
    if (policy == (SCHED_RR | SCHED_RESET_ON_FORK))
        sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &p);
}

const char *priority_name(enum priority p)
{
    static const char *const names[] = {
        [PRIORITY_REAL_TIME] = "real-time",
        [PRIORITY_RAISED] = "raised",
        [PRIORITY_ORDINARY] = "ordinary",
    };
    CHECK(p < ARRAY_LEN(names));
    return names[p];
}
