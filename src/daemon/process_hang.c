#include "daemon/process_hang.h"

void hang_start(struct hang *h, uint64_t beat)
{
    *h = (struct hang){.beat = beat};
}

bool hang_tick(struct hang *h, uint64_t beat, uint32_t most, uint32_t first)
{
    if (beat != h->beat) {
        *h = (struct hang){.beat = beat, .alive = true};
        return false;
    }
    if (h->still < UINT32_MAX)
        h->still++;
    if (h->alive)
        return h->still >= most;
    return first && h->still >= first;
}
