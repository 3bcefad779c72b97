/* What candidates tell each other: each change at once, a position that moves each SAY_NS, and all
 * of it again each AGAIN_NS, so that what a full queue dropped is made good. */
#include "recover/failover_inside.h"

#define SAY_NS   (100 * MS)
#define AGAIN_NS (1 * SECOND)

struct role_message say_message(const struct failover *f, enum role_kind kind, uint64_t epoch)
{
    return (struct role_message){
        .kind = (uint8_t)kind,
        .flags = f->reported && f->report.well ? ROLE_WELL : 0,
        .instance = f->reported ? f->report.instance : INSTANCE_UNKNOWN,
        .state = (uint8_t)f->role.state,
        .role = f->params.role,
        .epoch = epoch,
        .data = f->reported ? f->report.data : 0,
        .position = f->reported ? f->report.position : 0,
        .incarnation = f->params.incarnation,
        .load = f->load,
    };
}

static bool is_same(const struct role_message *a, const struct role_message *b)
{
    return a->flags == b->flags && a->instance == b->instance && a->state == b->state &&
           a->epoch == b->epoch && a->data == b->data;
}

void say_step(struct failover *f, uint64_t now)
{
    struct role_message m = say_message(f, ROLE_SAYS, f->promoted);
    bool moved = m.position != f->said.position || m.load != f->said.load;
    bool changed = f->say || !is_same(&m, &f->said);
    if (!changed && (!moved || now < f->said_at + SAY_NS) && now < f->said_at + AGAIN_NS) {
        wake_at(f, f->said_at + (moved ? SAY_NS : AGAIN_NS));
        return;
    }
    f->say = false;
    f->said = m;
    f->said_at = now;
    wake_at(f, now + AGAIN_NS);
    f->host.send(f->host.context, ROLE_NOBODY, &m);
}

void failover_hear(struct failover *f, uint8_t from, const struct role_message *m, uint64_t now)
{
    CHECK(from < f->params.n);
    if (m->role != f->params.role || from == f->params.self)
        return;
    switch ((enum role_kind)m->kind) {
    case ROLE_SAYS:
        f->peers[from].said = *m;
        f->peers[from].heard = true;
        f->peers[from].heard_at = now;
        f->say |= (m->flags & ROLE_ANSWER_ME) != 0;
        return;
    case ROLE_FENCE:
        if (is_candidate_here(f))
            fenced_asked(f, from, m);
        return;
    case ROLE_FENCED:
    case ROLE_UNFENCED:
        rehearse_heard(f, from, m);
        fence_heard(f, from, m, now);
        return;
    case ROLE_STEP: chain_heard(f, from, m, now); return;
    case ROLE_KINDS: return;
    }
}

void failover_link(struct failover *f)
{
    f->say = f->tells = true;
}
