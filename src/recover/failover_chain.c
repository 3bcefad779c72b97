/* What happened, in the order in which this node knew it. A chain is drafted from the first sign
 * on; only one that ends with a promotion is kept. */
#include "recover/failover_inside.h"

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
    f->drafting.wall = f->host.wall(f->host.context);
    str_copy(f->drafting.why, sizeof f->drafting.why, str_of(f->record.why));
    f->chain = f->drafting;
    f->drafting = (struct failover_chain){.before = ROLE_NOBODY};
}
