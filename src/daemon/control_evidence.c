/* What is known when a verdict changes, beside the judge's own signals: the rule with its
 * thresholds, what other nodes see, how it compares with its pool, that time passed, a maintenance;
 * and of a member of the cluster, who says what. */
#include <stdio.h>

#include "daemon/control.h"

enum { OBSERVERS_TOLD = 24 };

static void add_observers(struct control *c, uint32_t slot)
{
    struct admin_observer seen[OBSERVERS_TOLD];
    const struct fused *f = &c->subjects[slot].shown;
    uint32_t n = health_observers(c, slot, seen, OBSERVERS_TOLD);
    bool decide = f->others || f->kept || f->reason == REASON_OWN_PATH;
    char name[80];
    if (n && !decide) {
        audit_evidence(c, "observers", STR("all"), 0, f->observers, 1,
                       "%u healthy, %u degraded, %u suspect, %u failed, this node included",
                       f->seen[VERDICT_HEALTHY], f->seen[VERDICT_DEGRADED],
                       f->seen[VERDICT_SUSPECT], f->seen[VERDICT_FAILED]);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "node %.70s", seen[i].node);
        audit_evidence(c, "observer", str_of(name), seen[i].at, 0, 1, "%s (%s)%s",
                       verdict_name((enum verdict)seen[i].verdict),
                       reason_name((enum reason)seen[i].reason),
                       seen[i].counts ? "" : "; does not count");
    }
}

static void add_pace(struct control *c, uint32_t slot)
{
    const struct judge *j = &c->subjects[slot].judge;
    bool compared = j->reason == REASON_SLOW || j->pace != PACE_NORMAL;
    if (!compared || j->slow.others == 0)
        return;
    const struct view_eject *eject = &c->subjects[slot].service->eject;
    audit_evidence(c, "latency", STR("control"), j->now, j->slow.latency / NS_PER_US,
                   j->slow.answers,
                   "%llu us in the median of %u answers; the median of %u others is %llu us; slow "
                   "is over %u%% of that and %llu us more",
                   (unsigned long long)(j->slow.latency / NS_PER_US), j->slow.answers,
                   j->slow.others, (unsigned long long)(j->slow.median / NS_PER_US),
                   eject->slow_permille / 10, (unsigned long long)(eject->slow_least / NS_PER_US));
}

/* No signal tipped it: a hold or a window ended, or others did. */
static void add_time(struct control *c, uint32_t slot)
{
    const struct judge *j = &c->subjects[slot].judge;
    const struct signal *last =
        j->evidence_n ? &j->evidence[(j->evidence_n - 1) % JUDGE_EVIDENCE] : NULL;
    bool own = j->reason_since == j->now && !c->subjects[slot].shown.others;
    if (last && (!own || last->at == j->now))
        return;
    if (own && (j->reason == REASON_RECOVERING || j->verdict == VERDICT_HEALTHY))
        audit_evidence(c, "time", STR("control"), j->now, 0, 1,
                       "time passed: what failed it has ended, or its trial");
    else if (!last)
        audit_evidence(c, "restored", STR("control"), j->since, 0, 1,
                       "known from before a restart of control: no signal has come since");
}

static void add_findings(struct control *c, const struct finding_subject *found)
{
    for (uint32_t i = 0; found && i < found->findings.n; i++) {
        const struct finding *f = &found->findings.list[i];
        if (f->raised)
            audit_evidence(c, finding_name(f->kind),
                           f->observer == FINDER_SENSE ? STR("sense") : STR("control"), f->at,
                           f->key, (uint32_t)MIN(f->count, (uint64_t)UINT32_MAX), "%s", f->says);
    }
}

void evidence_verdict(struct control *c, uint32_t slot)
{
    const struct subject *s = &c->subjects[slot];
    char rule[AUDIT_TEXT_MAX];
    judge_rule(s->shown.reason, &s->judge.params, rule, sizeof rule);
    audit_rule(c, "%s", rule);
    add_time(c, slot);
    add_pace(c, slot);
    add_findings(c, s->found);
    add_observers(c, slot);
    if (s->shown.kept)
        audit_evidence(c, "maintenance", STR("control"), 0, 0, 1,
                       "its node is in maintenance: it stays as it was; its own evidence says %s",
                       verdict_name(s->judge.verdict));
}

/* ---- members of the cluster ---- */

static const char *rule_of(enum member_reason r)
{
    switch (r) {
    case MEMBER_HEARD: return "alive: a heartbeat of it came";
    case MEMBER_VOUCHED: return "alive: not heard here, but others say that they hear it";
    case MEMBER_UNHEARD: return "suspect: never heard since this node started";
    case MEMBER_SILENT:
        return "suspect: silent for longer than its heartbeats make likely (phi accrual), and it "
               "is not agreed yet";
    case MEMBER_UNCONFIRMED: return "suspect: silent, and too few observers are left to agree";
    case MEMBER_DEAF: return "suspect: it says that it hears nobody";
    case MEMBER_AGREED: return "failed: a majority of its observers say that they do not hear it";
    case MEMBER_ALONE: return "failed: silent for long, and nobody else observes it";
    case MEMBER_SAID_GOODBYE: return "left: it said goodbye";
    case MEMBER_SELF:
    case MEMBER_REASONS: break;
    }
    return "";
}

/* Who is heard, and says whether it hears the member. */
static void add_observer(struct control *c, const struct membership *m,
                         const struct member_info *who, const struct member_info *about)
{
    bool speaks = who->self || (who->state == MEMBER_ALIVE && who->reason == MEMBER_HEARD);
    int says = member_says(m, who->id, about->id);
    char name[80];
    if (!speaks || says < 0 || who->id == about->id)
        return;
    snprintf(name, sizeof name, "node %.70s", mesh_name(c->meshing.mesh, who->id).p);
    audit_evidence(c, says ? "hears" : "does-not-hear", str_of(name),
                   who->self ? loop_now(c->loop) : who->heard_at, 0, 1, "%s", "");
}

void evidence_member(struct control *c, const struct member_info *about, enum member_state was)
{
    const struct membership *m = mesh_borrow(c->meshing.mesh);
    uint64_t now = loop_now(c->loop);
    audit_states(c, member_state_name(was), member_state_name((enum member_state)about->state),
                 member_reason_name((enum member_reason)about->reason));
    audit_rule(c, "%s", rule_of((enum member_reason)about->reason));
    uint64_t silent = about->heard_at && now > about->heard_at ? now - about->heard_at : 0;
    if (about->heard_at)
        audit_evidence(c, "heard", STR("this node"), about->heard_at, silent / NS_PER_US, 1,
                       "last heard here %llu ms before", (unsigned long long)(silent / NS_PER_MS));
    else
        audit_evidence(c, "heard", STR("this node"), 0, 0, 1, "never heard here");
    audit_evidence(c, "tally", STR("this node"), now, about->silent, about->observers,
                   "%u observe it: %u hear it, %u do not", about->observers, about->hearing,
                   about->silent);
    for (uint32_t i = 0; member_count(m) <= MEMBER_DENSE_MAX && i < member_count(m); i++) {
        struct member_info who = member_at(m, i);
        add_observer(c, m, &who, about);
    }
    mesh_return(c->meshing.mesh);
}
