/* Rehearsal: before the record names another, whether a switchover would be short.
 *
 *   stage   asks                                            within        else
 *   asks    the target's control, agent and instance, by a  REHEARSE_NS   failed
 *           fence under the epoch that it follows already
 *           (only the answer), and the coordinator, by a read
 *   holds   writers wait: are all commands under way        SETTLE_NS     they go on; failed
 *           answered?
 *
 * What failed is tried again until role.h's patience ends: then the old primary goes on. When it
 * is done writers are held still, so that none has a command under way while the record is
 * written. So a target that is stopped, a coordinator that is slow and replies that wait for
 * replicas cost a switchover and no command. */
#include "recover/failover_inside.h"

#define REHEARSE_NS    (50 * MS)
#define SETTLE_NS      (20 * MS)
#define SETTLE_LOOK_NS (MS / 2)

enum { STAGE_RESTS, STAGE_ASKS, STAGE_HOLDS };

static void end(struct failover *f, enum role_progress how, const char *failed)
{
    struct failover_rehearsal *x = &f->rehearsal;
    x->stage = STAGE_RESTS;
    x->ticket = 0;
    x->failed = failed;
    f->facts.rehearsal = how;
    if (how != PROGRESS_DONE)
        f->hold_until = f->held_at = 0;
}

void rehearse_begin(struct failover *f, uint64_t now)
{
    struct failover_rehearsal *x = &f->rehearsal;
    struct role_message m = say_message(f, ROLE_FENCE, f->promoted);
    *x = (struct failover_rehearsal){.stage = STAGE_ASKS,
                                     .with = f->role.hands_to,
                                     .heard = !f->params.rehearses,
                                     .since = now,
                                     .ticket = ++f->tickets};
    f->facts.rehearsal = PROGRESS_RUNS;
    if (f->params.rehearses)
        f->host.send(f->host.context, x->with, &m);
    if (!f->host.read(f->host.context, x->ticket))
        end(f, PROGRESS_FAILED, "the coordinator cannot be asked");
}

void rehearse_heard(struct failover *f, uint8_t from, const struct role_message *m)
{
    struct failover_rehearsal *x = &f->rehearsal;
    bool ours = x->stage == STAGE_ASKS && from == x->with && m->epoch == f->promoted;
    if (ours && m->kind == ROLE_FENCED && m->data == f->promoted)
        x->heard = true;
}

bool rehearse_read(struct failover *f, uint64_t ticket, bool ok)
{
    struct failover_rehearsal *x = &f->rehearsal;
    if (!x->ticket || ticket != x->ticket)
        return false;
    x->ticket = 0;
    x->read = ok;
    return true;
}

static void hold(struct failover *f, uint64_t now)
{
    f->rehearsal.stage = STAGE_HOLDS;
    f->hold_until = now + f->params.hold;
    f->held_at = now;
    f->settled_at = now + MIN(SETTLE_NS, f->params.hold);
    wake_at(f, now);
}

static void ask(struct failover *f, uint64_t now)
{
    struct failover_rehearsal *x = &f->rehearsal;
    if (x->heard && x->read)
        hold(f, now);
    else if (now >= x->since + REHEARSE_NS)
        end(f, PROGRESS_FAILED,
            x->heard ? "the coordinator is slow" : "the other one does not answer in time");
    else
        wake_at(f, x->since + REHEARSE_NS);
}

static void settle(struct failover *f, uint64_t now)
{
    bool must = f->params.rehearses && f->params.hold >= SETTLE_NS;
    if (f->row.hold == f->hold_until && f->host.quiet(f->host.context, f->hold_until))
        end(f, PROGRESS_DONE, NULL);
    else if (now < f->settled_at)
        wake_at(f, MIN(f->settled_at, now + SETTLE_LOOK_NS));
    else if (must)
        end(f, PROGRESS_FAILED, "commands under way do not end");
    else
        end(f, PROGRESS_DONE, NULL);
}

void rehearse_step(struct failover *f, uint64_t now)
{
    struct failover_rehearsal *x = &f->rehearsal;
    if (x->stage == STAGE_RESTS)
        return;
    if (f->role.state != ROLE_YIELDS)
        end(f, PROGRESS_NONE, NULL);
    else if (x->stage == STAGE_ASKS)
        ask(f, now);
    else
        settle(f, now);
}
