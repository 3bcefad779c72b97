/* scale: what membership costs each node, and how fast a cluster forms and notices a loss, by its
 * size. Unsealed; the bytes that sealing, UDP and IPv4 add are counted in. */
#include <stdio.h>

#include "measure.h"
#include "world.h"

#define SETTLE (120ull * 1000000000)

enum {
    FRAME = 28, /* IPv4 and UDP */
    STEADY_S = 20,
    FORMING_MOST_S = 600,
    NOTICE_MOST_S = 60,
    LOSSES = 5,
};

/* Counts instead of watching each pair: who takes whom for what. */
struct counts {
    uint32_t n;
    uint8_t *states;  /* [observer * n + subject], 0xff: not told yet */
    uint64_t alive;   /* pairs */
    uint32_t subject; /* who is lost; UINT32_MAX: nobody */
    bool formed;      /* before, who starts late is failed by those who began early */
    uint32_t noticed;
    uint64_t lost_at, first, median, last, false_failures;
};
struct figures {
    uint32_t nodes;
    double forming, bytes, datagrams, first, median, worst, memory;
    uint64_t false_failures;
    bool formed, noticed;
};

static void note_failure(struct counts *c, const struct world *w)
{
    uint64_t after = w->now - c->lost_at;
    c->noticed++;
    if (c->noticed == 1)
        c->first = after;
    if (c->noticed == (c->n + 1) / 2)
        c->median = after;
    c->last = after;
}

static void tell(void *context, struct world *w, const struct happening *h)
{
    struct counts *c = context;
    if (h->kind != HAPPENED_CHANGED)
        return;
    uint32_t j = world_node(w, h->change->info.id);
    uint8_t *state = &c->states[(size_t)h->node * c->n + j], now = h->change->info.state;
    if (j == h->node || *state == now)
        return;
    c->alive += now == MEMBER_ALIVE;
    c->alive -= *state == MEMBER_ALIVE;
    *state = now;
    if (now != MEMBER_FAILED)
        return;
    if (j == c->subject)
        note_failure(c, w);
    else if (w->nodes[j].engine && c->formed)
        c->false_failures++;
}

/* Runs until so many pairs are alive; false when that takes too long. */
static bool form(struct world *w, const struct counts *c, uint64_t pairs)
{
    uint64_t until = w->now + FORMING_MOST_S * SEC;
    while (c->alive < pairs && w->now < until)
        world_run(w, w->now + 20 * MS);
    return c->alive >= pairs;
}

static void steady(struct world *w, struct figures *f)
{
    uint64_t bytes = 0, datagrams = 0;
    for (uint32_t i = 0; i < w->o.nodes; i++) {
        bytes -= w->nodes[i].sent_bytes;
        datagrams -= w->nodes[i].sent;
    }
    world_run(w, w->now + STEADY_S * SEC);
    for (uint32_t i = 0; i < w->o.nodes; i++) {
        bytes += w->nodes[i].sent_bytes;
        datagrams += w->nodes[i].sent;
        f->memory += (double)w->nodes[i].heap.bytes / w->o.nodes;
    }
    f->datagrams = (double)datagrams / w->o.nodes / STEADY_S;
    f->bytes = (double)bytes / w->o.nodes / STEADY_S + f->datagrams * (FRAME + SEAL_OVERHEAD);
}

/* One node after the other is lost without a word. */
static void lose(struct world *w, struct counts *c, struct figures *f)
{
    uint32_t losses = MIN(LOSSES, w->o.nodes / 4);
    f->noticed = true;
    for (uint32_t k = 0; k < losses; k++) {
        c->subject = k * (w->o.nodes / losses);
        c->noticed = 0;
        c->lost_at = w->now;
        world_crash(w, c->subject);
        uint32_t left = w->o.nodes - k - 1;
        while (c->noticed < left && w->now < c->lost_at + NOTICE_MOST_S * SEC)
            world_run(w, w->now + 10 * MS);
        f->noticed = f->noticed && c->noticed == left;
        f->first += (double)c->first / 1e9 / losses;
        f->median += (double)c->median / 1e9 / losses;
        f->worst = MAX(f->worst, (double)c->last / 1e9);
    }
}

static struct figures measure(uint32_t nodes, uint64_t seed)
{
    struct world_options o = {
        .seed = seed, .nodes = nodes, .plain = true, .params = member_defaults(), .spread = SEC};
    struct figures f = {.nodes = nodes};
    struct counts c = {.n = nodes, .subject = UINT32_MAX};
    struct watch watch = {&c, tell};
    struct world *w = world_new(&o);
    c.states = sim_zero(nodes, nodes);
    memset(c.states, 0xff, (size_t)nodes * nodes);
    world_watch(w, &watch);
    world_run(w, o.spread);
    f.formed = form(w, &c, (uint64_t)nodes * (nodes - 1));
    c.formed = true;
    f.forming = (double)(w->now - o.spread) / 1e9;
    world_run(w, w->now + SETTLE); /* until what was news when it formed is none */
    steady(w, &f);
    lose(w, &c, &f);
    f.false_failures = c.false_failures;
    mem_free(c.states);
    world_free(w);
    return f;
}

static void put(const struct figures *f, bool json)
{
    if (json)
        printf("{\"nodes\": %u, \"forming_s\": %.2f, \"formed\": %s, \"bytes_per_s\": %.0f, "
               "\"datagrams_per_s\": %.1f, \"first_s\": %.3f, \"median_s\": %.3f, "
               "\"worst_s\": %.3f, \"noticed\": %s, \"false_failures\": %llu, \"bytes\": %.0f}\n",
               f->nodes, f->forming, f->formed ? "true" : "false", f->bytes, f->datagrams, f->first,
               f->median, f->worst, f->noticed ? "true" : "false",
               (unsigned long long)f->false_failures, f->memory);
    else
        printf("| %u | %.0f | %.0f | %.2f s | %.2f s | %.2f s%s | %.2f s%s | %llu | %.0f KiB |\n",
               f->nodes, f->bytes, f->datagrams, f->first, f->median, f->worst,
               f->noticed ? "" : " (not all)", f->forming, f->formed ? "" : " (not all)",
               (unsigned long long)f->false_failures, f->memory / 1024);
    fflush(stdout);
}

void measure_scale(const uint32_t *sizes, uint32_t count, uint64_t seed, bool json)
{
    if (!json)
        printf(
            "| nodes | bytes/s sent by a node | datagrams/s | lost: first knows | half know | all "
            "know (worst) | formed in | false failures | memory |\n"
            "|---|---|---|---|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < count; i++) {
        struct figures f = measure(sizes[i], seed);
        put(&f, json);
    }
}
