/* What happened, in the order in which this node knew it. A chain is drafted from the first sign
 * on; only one that ends with a promotion is kept. Then the other nodes are told, a message a step,
 * and once more when a link comes up, so that any node can answer why. Times are told as ages. A
 * chain of which a step was lost is forgotten: the node that made it has it. */
#include "recover/failover_inside.h"

#define TOLD_NS (3600 * SECOND) /* older ones are not told again */

const char *failover_step_name(enum failover_step_kind k)
{
    static const char *const names[FAILOVER_STEP_KINDS] = {
        [FAILOVER_STEP_LOST] = "lost",           [FAILOVER_STEP_AGREED] = "agreed",
        [FAILOVER_STEP_CHALLENGE] = "challenge", [FAILOVER_STEP_RECORDED] = "recorded",
        [FAILOVER_STEP_FENCE] = "fence",         [FAILOVER_STEP_FENCED] = "fenced",
        [FAILOVER_STEP_LEASED] = "leased",       [FAILOVER_STEP_CONFIRMED] = "confirmed",
        [FAILOVER_STEP_ENOUGH] = "enough",       [FAILOVER_STEP_CATCH_UP] = "catch-up",
        [FAILOVER_STEP_PROMOTE] = "promote",     [FAILOVER_STEP_PROMOTED] = "promoted",
    };
    CHECK(k < FAILOVER_STEP_KINDS);
    return names[k];
}

void chain_begin(struct failover *f, uint64_t at)
{
    bool ours = f->record.r.primary == f->params.self;
    f->drafting = (struct failover_chain){.before = ours ? f->record.from : f->record.r.primary,
                                          .primary = f->params.self};
    if (at)
        chain_step(f, FAILOVER_STEP_LOST, f->drafting.before, 0, at);
}

/* What is tried again replaces what came of it before: a chain has the attempt that led on. */
void chain_step(struct failover *f, enum failover_step_kind kind, uint8_t place, uint64_t position,
                uint64_t at)
{
    struct failover_chain *c = &f->drafting;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->steps[i].kind == kind && c->steps[i].place == place) {
            memmove(&c->steps[i], &c->steps[i + 1], (c->n - i - 1) * sizeof *c->steps);
            c->n--;
            break;
        }
    if (c->n < FAILOVER_STEPS)
        c->steps[c->n++] =
            (struct failover_step){.kind = kind, .place = place, .at = at, .position = position};
}

void chain_end(struct failover *f)
{
    f->drafting.epoch = f->promoted;
    f->drafting.primary = f->params.self; /* also of one that nothing began */
    f->drafting.wall = f->host.wall(f->host.context);
    str_copy(f->drafting.why, sizeof f->drafting.why, str_of(f->record.why));
    f->chain = f->drafting;
    f->tells = true;
    f->drafting = (struct failover_chain){.before = ROLE_NOBODY};
}

/* --- between nodes --- */

static void tell_others(struct failover *f, uint64_t now)
{
    const struct failover_chain *c = &f->chain;
    for (uint32_t i = 0; i < c->n; i++) {
        struct role_message m = say_message(f, ROLE_STEP, c->epoch);
        m.flags = c->steps[i].kind;
        m.instance = c->steps[i].place;
        m.state = (uint8_t)i;
        m.data = now - MIN(now, c->steps[i].at);
        m.position = c->steps[i].position;
        m.load = c->n | (uint32_t)c->before << 8;
        f->host.send(f->host.context, ROLE_NOBODY, &m);
    }
}

static bool is_step(const struct failover *f, const struct role_message *m)
{
    uint8_t n = (uint8_t)m->load, before = (uint8_t)(m->load >> 8);
    bool placed = m->instance < f->params.n || m->instance == ROLE_NOBODY;
    return placed && m->flags < FAILOVER_STEP_KINDS && n <= FAILOVER_STEPS && m->state < n &&
           (before < f->params.n || before == ROLE_NOBODY);
}

void chain_heard(struct failover *f, uint8_t from, const struct role_message *m, uint64_t now)
{
    struct failover_chain *c = &f->hearing;
    if (m->epoch <= f->chain.epoch || m->epoch < f->record.r.epoch || !is_step(f, m))
        return;
    if (m->state == 0) {
        f->heard_all = false;
        *c = (struct failover_chain){
            .epoch = m->epoch, .primary = from, .before = (uint8_t)(m->load >> 8)};
    }
    if (m->epoch != c->epoch || from != c->primary || m->state != c->n)
        return;
    c->steps[c->n++] = (struct failover_step){.kind = m->flags,
                                              .place = m->instance,
                                              .at = now - MIN(now, m->data),
                                              .position = m->position};
    f->heard_all = c->n == (uint8_t)m->load;
}

void chain_tell(struct failover *f, uint64_t now)
{
    const struct failover_chain *c = &f->chain;
    if (f->tells && f->promoted && c->epoch == f->promoted && c->n &&
        now - c->steps[c->n - 1].at < TOLD_NS)
        tell_others(f, now);
    f->tells = false;
    if (!f->heard_all || f->hearing.epoch > f->record.r.epoch)
        return;
    f->heard_all = false;
    if (f->hearing.epoch != f->record.r.epoch)
        return; /* it has been replaced meanwhile */
    f->hearing.wall = f->host.wall(f->host.context);
    str_copy(f->hearing.why, sizeof f->hearing.why, str_of(f->record.why));
    f->chain = f->hearing;
    failover_tell(f, FAILOVER_NEWS_TOLD, f->chain.primary, "%s", f->record.why);
}
