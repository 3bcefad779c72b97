#include "trace.h"

#include "coordinator.h"

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

/* ---- the coordinator */

static const char *const ends[] = {
    [APPLICATION_OPEN] = "may be applied or not, and nobody can tell",
    [APPLICATION_DONE] = "is applied",
    [APPLICATION_CONFLICT] = "is not applied, for another was first",
    [APPLICATION_FAILED] = "is not applied, for that failed",
};

static void put_planned(struct trace *t, const struct version *v)
{
    fprintf(t->out, "applies version %llu, id %.8s", (unsigned long long)v->number, v->id);
    if (v->from)
        fprintf(t->out, ", as version %llu was", (unsigned long long)v->from);
    fprintf(t->out, "\n");
}

static void put_decided(struct trace *t, const struct happening *h)
{
    fprintf(t->out, "'s request%s", h->n ? " is done:" : " changes nothing");
    for (uint32_t i = 0; i < h->n; i++) {
        fprintf(t->out, " %s" STR_FMT, h->ops[i].act == COORD_REMOVE ? "no more " : "",
                STR_ARG(h->ops[i].key));
        if (str_eq(h->ops[i].key, STR(VOTING_KEY)))
            fprintf(t->out, " = " STR_FMT, STR_ARG(h->ops[i].value));
    }
    fprintf(t->out, ", revision %llu\n", (unsigned long long)h->revision);
}

static void put_told(struct trace *t, const struct happening *h)
{
    fprintf(t->out, "is told %s%u change%s of %s, revision %llu\n",
            h->whole ? "all there is: " : "", h->n, h->n == 1 ? "" : "s",
            h->which == WATCH_HEAD     ? "head"
            : h->which == WATCH_VOTERS ? "the voters"
                                       : "anything",
            (unsigned long long)h->revision);
}

/* ---- */

static const char *const steps[] = {
    [REKEY_ACCEPT] = "accepts a new key", [REKEY_USE] = "uses it", [REKEY_DROP] = "drops the old"};

static bool is_quiet(const struct trace *t, const struct happening *h)
{
    switch (h->kind) {
    case HAPPENED_READ:
        return !t->datagrams &&
               (h->packet->kind == PACKET_GENUINE || h->packet->kind == PACKET_COPY);
    case HAPPENED_TOLD: return !t->datagrams && h->which == WATCH_ALL;
    case HAPPENED_ARRIVED:
    case HAPPENED_READING:
    case HAPPENED_RAN:
    case HAPPENED_FOLLOWED:
    case HAPPENED_WIPED:
    case HAPPENED_CONDITIONS: return true;
    case HAPPENED_STARTED:
    case HAPPENED_STOPPED:
    case HAPPENED_RAISED:
    case HAPPENED_CHANGED:
    case HAPPENED_DECIDED:
    case HAPPENED_PLANNED:
    case HAPPENED_APPLIED:
    case HAPPENED_FORCE:
    case HAPPENED_NEWS:
    case HAPPENED_REKEYED:
    case HAPPENED_VOTING: return false;
    }
    UNREACHABLE();
}

static void put(struct trace *t, struct world *w, const struct happening *h)
{
    unsigned long long version = h->version ? h->version->number : 0;
    switch (h->kind) {
    case HAPPENED_STARTED:
        fprintf(t->out, "starts with incarnation %llu\n", (unsigned long long)h->incarnation);
        break;
    case HAPPENED_STOPPED:
        fprintf(t->out, "ends%s\n", w->nodes[h->node].left ? ", having left" : "");
        break;
    case HAPPENED_RAISED:
        fprintf(t->out, "raises its incarnation to %llu\n", (unsigned long long)h->incarnation);
        break;
    case HAPPENED_CHANGED: put_change(t, w, h->change); break;
    case HAPPENED_READ: put_read(t, h->packet, h->refused); break;
    case HAPPENED_DECIDED: put_decided(t, h); break;
    case HAPPENED_TOLD: put_told(t, h); break;
    case HAPPENED_PLANNED: put_planned(t, h->version); break;
    case HAPPENED_APPLIED:
        fprintf(t->out, "is told that its version %llu %s\n", version, ends[h->end]);
        break;
    case HAPPENED_FORCE: fprintf(t->out, "runs version %llu\n", version); break;
    case HAPPENED_REKEYED: fprintf(t->out, "%s\n", steps[h->end]); break;
    case HAPPENED_NEWS:
        fprintf(t->out, "epoch %llu: %s\n", (unsigned long long)h->revision, h->text);
        break;
    case HAPPENED_VOTING:
        fprintf(t->out, "has kept version %llu of the voters\n", (unsigned long long)h->revision);
        break;
    case HAPPENED_ARRIVED:
    case HAPPENED_READING:
    case HAPPENED_RAN:
    case HAPPENED_FOLLOWED:
    case HAPPENED_WIPED:
    case HAPPENED_CONDITIONS: UNREACHABLE();
    }
}

static void tell(void *context, struct world *w, const struct happening *h)
{
    struct trace *t = context;
    if (h->kind == HAPPENED_CONDITIONS)
        put_faults(t, w);
    if (is_quiet(t, h))
        return;
    fprintf(t->out, "%12.6f n%u%s", (double)w->now / 1e9, h->node,
            h->kind == HAPPENED_DECIDED ? "" : " ");
    put(t, w, h);
}

void trace_watch(struct trace *t, struct world *w, FILE *out, bool datagrams)
{
    *t = (struct trace){.out = out, .datagrams = datagrams};
    t->watch = (struct watch){t, tell};
    world_watch(w, &t->watch);
}
