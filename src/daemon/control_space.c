/* The room in the files of the managed coordinator: etcd_space.h's facts from what members and
 * nodes say, and its steps done by the node whose member leads. Its questions have a connection of
 * their own, as a member may take long to answer them. Alarms are told by every node. */
#include "daemon/control.h"

#define LOOK_NS    (1 * NS_PER_S)
#define LIMIT_NS   (120 * NS_PER_S) /* to defragment a file of the quota's size on a slow disk */
#define CHANGE_NS  (10 * NS_PER_S)
#define AGAIN_NS   (3600 * NS_PER_S) /* until what was defragmented is looked at again */
#define ALARM_NS   (60 * NS_PER_S)   /* ... while there is an alarm */
#define COMPACT_NS (300 * NS_PER_S)
#define FAILED_NS  (10 * NS_PER_S) /* after a step that failed, or was not seen to help */

static struct coord_space *space_of(struct control *c)
{
    return &c->coordinating.space;
}

/* --- alarms --- */

void space_alarms(struct control *c)
{
    const struct etcd_told *s = &c->coordinating.status;
    struct coord_space *p = space_of(c);
    if (s->member == 0)
        return;
    if (s->no_space && p->alarm_at == 0) {
        p->alarm_at = loop_now(c->loop);
        coordinating_tell(c, EVENT_ERROR, "",
                          "the files of etcd are full (%llu MiB): nothing is written until there "
                          "is room, which is made",
                          (unsigned long long)(s->bytes / SPACE_MIB));
    } else if (!s->no_space && p->alarm_at) {
        coordinating_tell(c, EVENT_INFO, "", "there is room in the files of etcd again (%llu MiB)",
                          (unsigned long long)(s->bytes / SPACE_MIB));
        p->alarm_at = 0;
        p->whose = p->told_full = false;
    }
    if (s->corrupt && !p->told_corrupt)
        coordinating_tell(c, EVENT_ERROR, "",
                          "members of etcd hold different data (its alarm CORRUPT): make a backup "
                          "with 'holdfast coordinator backup' and restore it with 'holdfast "
                          "coordinator restore --from FILE --force'");
    p->told_corrupt = s->corrupt;
    c->coordinating.full = s->no_space;
}

/* --- facts --- */

static bool is_tried(const struct coord_space *p, uint64_t member, uint64_t now)
{
    uint64_t again = p->alarm_at ? ALARM_NS : AGAIN_NS;
    for (uint32_t i = 0; i < ARRAY_LEN(p->tried); i++)
        if (p->tried[i].member == member && now - p->tried[i].at < again)
            return true;
    return false;
}

static bool is_full(const struct coord_space *p, uint64_t member)
{
    for (uint32_t i = 0; i < p->n_full; i++)
        if (p->full[i] == member)
            return true;
    return false;
}

static void gather_member(struct control *c, const struct managed_facts *f,
                          const struct managed_member *m, struct space_member *to)
{
    const struct coordinating *g = &c->coordinating;
    const struct standing *s = NULL;
    *to = (struct space_member){.id = m->id,
                                .learner = m->learner,
                                .healthy = managed_healthy(f, m),
                                .tried = is_tried(&g->space, m->id, loop_now(c->loop)),
                                .full = is_full(&g->space, m->id)};
    if (m->node == f->self) {
        to->bytes = g->status.bytes;
        to->used = g->status.used;
    } else if (m->node < f->n && managed_hears(c, m->node, &s)) {
        to->bytes = s->bytes;
        to->used = s->used;
    }
    to->known = to->bytes != 0;
}

static struct space_step choose(struct control *c, const struct managed_facts *f)
{
    struct coordinating *g = &c->coordinating;
    struct coord_space *p = &g->space;
    struct space_member members[MANAGED_MEMBERS];
    uint64_t now = loop_now(c->loop);
    struct space_facts s = {.members = members,
                            .n = f->n_members,
                            .own = g->record.said.member,
                            .quota = SPACE_QUOTA,
                            .no_space = p->alarm_at != 0,
                            .whose = p->whose,
                            .compacted = p->compacted_at && now - p->compacted_at < COMPACT_NS &&
                                         p->compacted_at >= p->alarm_at};
    for (uint32_t i = 0; i < f->n_members; i++)
        gather_member(c, f, &f->members[i], &members[i]);
    return space_next(&s);
}

/* --- steps --- */

static const struct managed_member *member_called(const struct managed_facts *f, uint64_t id)
{
    for (uint32_t i = 0; i < f->n_members; i++)
        if (f->members[i].id == id)
            return &f->members[i];
    return NULL;
}

static void tried(struct coord_space *p, uint64_t member, uint64_t now)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(p->tried); i++)
        if (p->tried[i].at < p->tried[oldest].at || p->tried[i].member == member)
            oldest = i;
    p->tried[oldest].member = member;
    p->tried[oldest].at = now;
}

static void succeeded(struct control *c, enum etcd_question q, const struct etcd_told *t)
{
    struct coord_space *p = space_of(c);
    if (q == ETCD_COMPACT)
        p->compacted_at = loop_now(c->loop);
    if (q == ETCD_DISARM)
        p->whose = false;
    if (q == ETCD_ALARMS) {
        p->whose = true;
        p->n_full = t->n_full;
        memcpy(p->full, t->full, sizeof p->full);
    }
}

static void on_told(void *context, enum etcd_question q, const struct etcd_told *t)
{
    struct control *c = context;
    struct coord_space *p = space_of(c);
    uint64_t now = loop_now(c->loop);
    bool past = t->code && q == ETCD_COMPACT && strstr(t->why->text, "has been compacted");
    p->after = now + (t->code && !past ? FAILED_NS : LOOK_NS);
    if (t->code == 0)
        succeeded(c, q, t);
    else if (past) /* by who led before */
        p->compacted_at = now;
    else
        coordinating_tell(c, EVENT_WARNING, "", "room in the files of etcd: %s", t->why->text);
}

/* The question of a step, and how long its answer may take. */
static bool question_of(enum space_do act, struct etcd_ask *a)
{
    a->limit = CHANGE_NS;
    switch (act) {
    case SPACE_COMPACT:
        a->question = ETCD_COMPACT;
        a->limit = LIMIT_NS;
        return true;
    case SPACE_DEFRAGMENT:
        a->question = ETCD_DEFRAGMENT;
        a->limit = LIMIT_NS;
        return true;
    case SPACE_HAND_OVER: a->question = ETCD_LEAD; return true;
    case SPACE_ASK_ALARMS: a->question = ETCD_ALARMS; return true;
    case SPACE_DISARM: a->question = ETCD_DISARM; return true;
    case SPACE_REST:
    case SPACE_FULL:
    case SPACE_DOS: break;
    }
    return false;
}

static void tell_step(struct control *c, const struct space_step *s, const char *name)
{
    static const char *const texts[SPACE_DOS] = {
        [SPACE_COMPACT] = "the history of the coordinator's changes is removed to make room",
        [SPACE_DEFRAGMENT] = "its member gives free room of its file back",
        [SPACE_HAND_OVER] = "lets this node lead while its own member gives room back",
        [SPACE_DISARM] = "its member has room again, and is told so",
    };
    if (texts[s->act])
        coordinating_tell(c, EVENT_INFO, name, "%s", texts[s->act]);
}

static void perform(struct control *c, const struct managed_facts *f, const struct space_step *s)
{
    struct coordinating *g = &c->coordinating;
    struct coord_space *p = &g->space;
    const struct managed_member *m = member_called(f, s->member);
    uint32_t node = s->act == SPACE_DEFRAGMENT && m ? m->node : f->self;
    char at[ETCD_MEMBER_URL], name[MANAGED_NAME] = "";
    struct etcd_ask a = {.at = at, .id = s->member, .revision = g->status.revision};
    if (!question_of(s->act, &a) || node >= f->n)
        return;
    coord_url(&c->view->cluster.nodes[node], VIEW_COORD_CLIENT, at);
    if (etcd_members_ask(p->ask, &a, on_told, c, NULL))
        return;
    if (m && m->node < f->n)
        str_copy(name, sizeof name, f->nodes[m->node].name);
    if (s->act == SPACE_DEFRAGMENT)
        tried(p, s->member, loop_now(c->loop));
    tell_step(c, s, name);
}

static void tell_full(struct control *c)
{
    struct coord_space *p = space_of(c);
    if (p->told_full)
        return;
    p->told_full = true;
    coordinating_tell(c, EVENT_ERROR, "",
                      "the files of etcd are full and nothing can be freed: what is in them, %llu "
                      "MiB, is in use. 'holdfast coordinator backup' and 'restore --from' begin "
                      "with files that hold only what is holdfast's",
                      (unsigned long long)(c->coordinating.status.used / SPACE_MIB));
}

void space_tick(struct control *c)
{
    struct coordinating *g = &c->coordinating;
    struct coord_space *p = &g->space;
    struct coord_facts a;
    uint64_t now = loop_now(c->loop);
    bool may = managed_leads(c) && g->list_at && g->busy == COORD_IDLE && !g->restore_from[0];
    if (!p->ask || etcd_members_busy(p->ask) || now < p->after || !may)
        return;
    p->after = now + LOOK_NS;
    managed_gather(c, &a);
    struct space_step s = choose(c, &a.f);
    if (s.act == SPACE_FULL)
        tell_full(c);
    else
        perform(c, &a.f, &s);
}
