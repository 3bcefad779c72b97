#include "mesh/strangers.h"

static bool over(const struct stranger *x, uint64_t now)
{
    return x->told == 0 || now - x->told >= STRANGERS_AGAIN_NS;
}

bool strangers_tell(struct strangers *s, const struct addr *from, unsigned why, uint64_t now)
{
    struct stranger *place = NULL;
    for (uint32_t i = 0; i < ARRAY_LEN(s->list); i++) {
        struct stranger *x = &s->list[i];
        if (over(x, now))
            place = place ? place : x;
        else if (x->why == why && x->kind == from->kind &&
                 memcmp(x->ip, from->ip, sizeof x->ip) == 0)
            return false;
    }
    if (!place)
        return false;
    *place =
        (struct stranger){.kind = (uint8_t)from->kind, .why = (uint8_t)why, .told = MAX(now, 1)};
    memcpy(place->ip, from->ip, sizeof place->ip);
    return true;
}
