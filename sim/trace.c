#include "trace.h"

static const char *const packet_names[PACKET_KINDS] = {
    [PACKET_GENUINE] = "",           [PACKET_COPY] = " (second copy)",
    [PACKET_DAMAGED] = " (damaged)", [PACKET_REPLAYED] = " (replayed)",
    [PACKET_FORGED] = " (forged)",
};

static void put_change(struct trace *t, struct world *w, const struct member_change *c)
{
    const struct member_info *m = &c->info;
    uint32_t j = world_node(w, m->id);
    fprintf(t->out, "takes n%u for %s (%s), it was %s (%s); incarnation %llu", j,
            member_state_name((enum member_state)m->state),
            member_reason_name((enum member_reason)m->reason),
            member_state_name((enum member_state)c->was),
            member_reason_name((enum member_reason)c->was_reason),
            (unsigned long long)m->incarnation);
    if (!m->self)
        fprintf(t->out, ", of %u observers %u hear it, %u do not", m->observers, m->hearing,
                m->silent);
    fprintf(t->out, "%s\n", m->maintenance ? ", in maintenance" : "");
}

/* Which faults have begun and ended since the last time. */
static void put_faults(struct trace *t, struct world *w)
{
    struct buf b = {0};
    for (uint32_t k = 0; w->o.faults && k < w->o.faults->n; k++) {
        if (t->active[k] == w->active[k])
            continue;
        t->active[k] = w->active[k];
        buf_clear(&b);
        fault_print(&w->o.faults->v[k], w->o.nodes, &b);
        fprintf(t->out, "%12.6f -- %s " STR_FMT "\n", (double)w->now / 1e9,
                w->active[k] ? "begins" : "ends", STR_ARG(sim_text(&b)));
    }
    buf_free(&b);
}

static void put_read(struct trace *t, const struct packet *p, bool refused)
{
    if (t->datagrams || (p->kind != PACKET_GENUINE && p->kind != PACKET_COPY))
        fprintf(t->out, "%s %u bytes of n%u, sent %.6f%s\n", refused ? "refuses" : "reads", p->n,
                p->from, (double)p->sent / 1e9, packet_names[p->kind]);
}

static void tell(void *context, struct world *w, const struct happening *h)
{
    struct trace *t = context;
    bool quiet = h->kind == HAPPENED_READ && !t->datagrams &&
                 (h->packet->kind == PACKET_GENUINE || h->packet->kind == PACKET_COPY);
    if (h->kind == HAPPENED_CONDITIONS) {
        put_faults(t, w);
        return;
    }
    if (quiet || h->kind == HAPPENED_ARRIVED || h->kind == HAPPENED_READING ||
        h->kind == HAPPENED_RAN)
        return;
    fprintf(t->out, "%12.6f n%u ", (double)w->now / 1e9, h->node);
    if (h->kind == HAPPENED_STARTED)
        fprintf(t->out, "starts with incarnation %llu\n", (unsigned long long)h->incarnation);
    else if (h->kind == HAPPENED_STOPPED)
        fprintf(t->out, "ends%s\n", w->nodes[h->node].left ? ", having left" : "");
    else if (h->kind == HAPPENED_RAISED)
        fprintf(t->out, "raises its incarnation to %llu\n", (unsigned long long)h->incarnation);
    else if (h->kind == HAPPENED_CHANGED)
        put_change(t, w, h->change);
    else
        put_read(t, h->packet, h->refused);
}

void trace_watch(struct trace *t, struct world *w, FILE *out, bool datagrams)
{
    *t = (struct trace){.out = out, .datagrams = datagrams};
    t->watch = (struct watch){t, tell};
    world_watch(w, &t->watch);
}
