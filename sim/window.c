/* window: nemesis steps aimed at what the leases' argument leans on (docs/protocol/lease.md): the
 * time from an acknowledgement to the end of its promise, and that from the sending of a round to
 * the end of the lease. Faults at random times seldom hit them: they are a third of a second wide
 * and need several things at once.
 *
 * Whoever acts is chosen. First some of the others may be cut off from it, so that a bare majority
 * goes on to acknowledge, and the answers to it may be held back by more than a round. That lasts
 * until promises of those that are cut off have run out, or not quite. Then it is shut off, it does
 * not reach the coordinator, while an operator asks for another primary, and voters start again.
 * Whether each of that happens, when, and for how long is random; to the protocol it is nothing
 * that could not be.
 *
 * What it does to links and to the coordinator lies over the schedule's faults. The last has ended
 * when the schedule's have. Its draws are its own. */
#include "primary.h"

#define LATEST SEC /* half as much again is what truth.c takes for possible */
enum { ONE_IN = 1500 /* ticks, to the next */, STAGES_MOST = 6 /* promises: how long it takes */ };

static bool drawn(struct service *s)
{
    return prng_below(&s->window.draw, 2);
}

static uint64_t between(struct service *s, uint64_t least, uint64_t most)
{
    return least + prng_below(&s->window.draw, most - least);
}

static void tell(const struct service *s, const char *text)
{
    world_tell(s->world,
               &(struct happening){
                   .kind = HAPPENED_NEWS, .node = s->window.holder, .revision = 0, .text = text});
}

/* As many as a majority can do without. */
static uint32_t some_beyond(struct service *s)
{
    uint32_t set = 0;
    for (uint32_t left = (s->n - 1) / 2; left;) {
        uint32_t i = (uint32_t)prng_below(&s->window.draw, s->n);
        if (i == s->window.holder || set >> i & 1)
            continue;
        set |= 1u << i;
        left--;
    }
    return set;
}

static void narrow(struct service *s, uint8_t holder)
{
    struct window *x = &s->window;
    x->stage = WINDOW_NARROW;
    x->holder = holder;
    x->beyond = drawn(s) ? some_beyond(s) : 0;
    x->delay = drawn(s) ? between(s, s->terms.beat, MIN(2 * s->terms.lease, LATEST)) : 0;
    x->at = s->world->now + between(s, s->promise / 4, 2 * s->promise);
    tell(s, "is at the edge of its majority");
    world_conditions(s->world);
}

static void shut(struct service *s)
{
    struct window *x = &s->window;
    uint64_t now = s->world->now;
    uint64_t ways = prng_below(&x->draw, 4);
    x->stage = WINDOW_SHUT;
    x->out = ways < 3;
    x->in = ways == 1;
    x->away = ways != 3 || drawn(s);
    x->at = now + between(s, s->terms.lease, 3 * s->promise);
    x->asks = now + between(s, 0, s->terms.lease);
    for (uint32_t i = 0; i < s->n; i++)
        x->restarts[i] = i != x->holder && drawn(s) ? now + between(s, 0, s->terms.lease) : 0;
    tell(s, "is shut off and cannot know it");
    world_conditions(s->world);
}

static void end(struct service *s)
{
    s->window = (struct window){.draw = s->window.draw, .holder = s->window.holder};
    tell(s, "is back");
    world_conditions(s->world);
}

static void while_shut(struct service *s)
{
    struct window *x = &s->window;
    uint64_t now = s->world->now;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!x->restarts[i] || now < x->restarts[i])
            continue;
        x->restarts[i] = 0;
        primary_flicker(s->primaries[i].node);
    }
    uint8_t at = (uint8_t)prng_below(&x->draw, s->n), to = (uint8_t)prng_below(&x->draw, s->n);
    if (!x->asks || now < x->asks || at == x->holder || to == x->holder)
        return;
    x->asks = 0;
    primary_operator(&s->primaries[at], to, prng_below(&x->draw, 4) > 0);
}

static void look_for_holder(struct service *s)
{
    bool time = s->world->now + STAGES_MOST * s->promise < s->v->healed;
    if (s->n < 3 || !time || prng_below(&s->window.draw, ONE_IN))
        return;
    for (uint32_t i = 0; i < s->n; i++)
        if (primary_acts(&s->primaries[i])) {
            narrow(s, (uint8_t)i);
            return;
        }
}

void window_tick(struct service *s)
{
    bool due = s->world->now >= s->window.at;
    switch (s->window.stage) {
    case WINDOW_NONE: look_for_holder(s); break;
    case WINDOW_NARROW:
        if (due)
            shut(s);
        break;
    case WINDOW_SHUT:
        if (due)
            end(s);
        else
            while_shut(s);
        break;
    }
}

void window_links(const struct service *s)
{
    const struct window *x = &s->window;
    struct link *links = s->world->links;
    uint32_t n = s->world->o.nodes, h = x->holder;
    for (uint32_t i = 0; i < n && x->stage != WINDOW_NONE; i++) {
        bool beyond = i < s->n && x->beyond >> i & 1;
        if (i == h)
            continue;
        links[h * n + i].cut |= x->out || beyond;
        links[i * n + h].cut |= x->in || beyond;
        links[i * n + h].delay += x->delay;
    }
}

bool window_away(const struct service *s, uint32_t node)
{
    return s->window.stage == WINDOW_SHUT && s->window.away && node == s->window.holder;
}
