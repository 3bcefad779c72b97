#include "daemon/process_restart.h"

uint64_t restart_delay(struct restart *r, uint64_t lived)
{
    if (lived >= RESTART_STEADY)
        r->streak = 0;
    uint64_t delay = r->streak ? RESTART_FIRST : 0;
    for (uint32_t i = 1; i < r->streak && delay < RESTART_LONGEST; i++)
        delay *= 2;
    if (r->streak < UINT32_MAX)
        r->streak++;
    return delay < RESTART_LONGEST ? delay : RESTART_LONGEST;
}
