/* Random histories of a few nodes that follow managed_next: links that come and go, crashes, disks
 * that are lost, voters that are to be others, steps that fail. etcd is what its promises make it:
 * a row of members on some disks, which changes while a majority of the voting ones run and
 * reach each other.
 *
 * Always: no two coordinators that can both decide; no founding while a disk has data of another;
 * no change of members, and no start again, by which a majority is lost; no disk that acknowledges
 * under an id which another disk had. When all faults have ended and a majority of the disks is
 * left: the members are those that are wanted, and run with the timers that the slowest disk asks
 * for. When it is not: an operator restores, and then so. */
#include "coord/managed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    NODES = 6,
    LINES = 64,
    ROUNDS = 1000,
    STEPS = 3000,
    SETTLE = 6000,
    BEGINNINGS = 20000,
    BEGINNING = 600
};

/* The members of one line, as those who decide have agreed on them. */
struct row {
    bool used;
    struct managed_line line;
    uint32_t n;
    uint64_t id[MANAGED_MEMBERS];
    uint32_t node[MANAGED_MEMBERS];
    bool learner[MANAGED_MEMBERS];
    bool started[MANAGED_MEMBERS]; /* some disk had data under this id */
    uint64_t next_id;
    uint32_t leader; /* node; NODES: none */
    uint64_t term;
    struct voters voters, was;
};

struct disk {
    struct managed_said said; /* record, line, founder, place, member */
    bool data, founding;
    uint64_t serial; /* of the disk with this data */
};

struct place {
    uint64_t place, member;
};

struct node {
    char name[2];
    struct disk disk;
    bool up, etcd;
    unsigned paused; /* until this step; then it goes on with what it had heard */
    bool heard[NODES];
    struct managed_said told[NODES]; /* the latest that it has of each */
    /* The list that it has, and of which term. */
    struct managed_line listed;
    struct managed_member list[MANAGED_MEMBERS];
    uint32_t n_list;
    uint64_t list_term;
    struct place places[NODES]; /* that it gave as a leader, since it started */
    struct voters wanted;       /* of its file, which is not that of all at once */
    uint32_t founder;
    uint8_t slow, timers, pace; /* levels: its disk asks for, its member has, all should have */
    uint64_t turn;
};

struct world {
    unsigned seed, step;
    uint32_t n;
    struct node nodes[NODES];
    bool cut[NODES][NODES];
    struct row rows[LINES];
    uint32_t n_rows;
    struct voters wanted;
    uint32_t founder;
    uint64_t draws, foundings, restores, replaced, restarts;
    bool exact; /* reports are never late */
    bool trace;
    bool young; /* voters are often others */
};

static uint32_t below(struct world *w, uint32_t n)
{
    w->seed = w->seed * 1103515245u + 12345u;
    return (w->seed >> 16) % n;
}

static void fail_at(struct world *w, unsigned first, const char *what)
{
    fail_msg("seed %u, %s: step %u: %s", first, w->exact ? "exact" : "late", w->step, what);
}

static bool together(const struct world *w, uint32_t a, uint32_t b)
{
    return w->nodes[a].up && w->nodes[b].up && (a == b || !w->cut[a][b]);
}

static struct row *row_of(struct world *w, const struct managed_line *l)
{
    for (uint32_t i = 0; i < w->n_rows; i++)
        if (managed_same_id(&w->rows[i].line, l) && managed_order(&w->rows[i].line, l) == 0)
            return &w->rows[i];
    return NULL;
}

/* --- etcd --- */

static bool takes_part(const struct world *w, const struct row *r, uint32_t i)
{
    const struct node *n = &w->nodes[r->node[i]];
    return n->up && n->etcd && n->disk.said.record == MANAGED_DATA &&
           n->disk.said.member == r->id[i] && managed_same_id(&n->disk.said.line, &r->line) &&
           managed_order(&n->disk.said.line, &r->line) == 0;
}

/* Voting members that this node's member reaches, itself included. */
static uint32_t reached(const struct world *w, const struct row *r, uint32_t node)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n; i++)
        n += !r->learner[i] && takes_part(w, r, i) && together(w, node, r->node[i]);
    return n;
}

static uint32_t voting(const struct row *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n; i++)
        n += !r->learner[i];
    return n;
}

static uint32_t member_on(const struct world *w, const struct row *r, uint32_t node)
{
    for (uint32_t i = 0; i < r->n; i++)
        if (r->node[i] == node && takes_part(w, r, i))
            return i;
    return MANAGED_MEMBERS;
}

static bool can_lead(const struct world *w, const struct row *r, uint32_t node)
{
    uint32_t i = member_on(w, r, node);
    return i < r->n && !r->learner[i] && reached(w, r, node) >= voting(r) / 2 + 1;
}

static void elect(struct world *w, struct row *r)
{
    if (r->leader < w->n && can_lead(w, r, r->leader))
        return;
    r->leader = NODES;
    uint32_t from = below(w, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        if (!can_lead(w, r, (from + i) % w->n))
            continue;
        r->leader = (from + i) % w->n;
        r->term++;
        return;
    }
}

/* What its member would say now. */
static struct managed_said say(struct world *w, uint32_t node)
{
    struct node *n = &w->nodes[node];
    struct managed_said s = n->disk.said;
    str_copy(s.expects, sizeof s.expects, str_of(w->nodes[n->founder].name));
    s.leader = s.term = s.applied = 0;
    s.disk = n->slow;
    s.timers = n->etcd ? n->timers : 0;
    s.pace = n->pace;
    s.turn = n->turn;
    struct row *r = s.record == MANAGED_DATA && n->etcd ? row_of(w, &s.line) : NULL;
    if (!r || r->leader == NODES || !together(w, node, r->leader) ||
        member_on(w, r, node) == MANAGED_MEMBERS)
        return s;
    s.leader = r->id[member_on(w, r, r->leader)];
    s.term = r->term;
    s.applied = 1000;
    return s;
}

/* --- facts --- */

static void take_list(struct world *w, uint32_t node, uint32_t from)
{
    struct node *n = &w->nodes[node], *f = &w->nodes[from];
    struct row *r = row_of(w, &f->disk.said.line);
    if (!r || r->leader != from || !f->etcd || f->disk.said.record != MANAGED_DATA)
        return;
    if (managed_same_id(&n->listed, &r->line) && managed_order(&n->listed, &r->line) == 0 &&
        n->list_term > r->term)
        return;
    n->listed = r->line;
    n->list_term = r->term;
    n->n_list = r->n;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct place *p = &f->places[r->node[i]];
        n->list[i] = (struct managed_member){r->id[i], r->node[i], r->learner[i],
                                             p->member == r->id[i] ? p->place : 0};
    }
}

static void hear(struct world *w, uint32_t node, uint32_t from)
{
    if (!together(w, node, from))
        return;
    w->nodes[node].heard[from] = true;
    w->nodes[node].told[from] = say(w, from);
    take_list(w, node, from);
}

static struct managed_facts facts(struct world *w, uint32_t self, struct managed_node nodes[NODES])
{
    struct node *n = &w->nodes[self];
    hear(w, self, self);
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->exact)
            hear(w, self, i);
        n->heard[i] &= together(w, self, i);
        nodes[i] = (struct managed_node){str_of(w->nodes[i].name), n->heard[i], n->told[i]};
    }
    struct row *r = row_of(w, &n->disk.said.line);
    return (struct managed_facts){
        .nodes = nodes,
        .n = w->n,
        .self = self,
        .voters = r ? r->voters : n->wanted,
        .wanted = n->wanted,
        .founder = w->nodes[n->founder].name,
        .etcd = n->etcd ? MANAGED_RUNS : MANAGED_OFF,
        .bare = n->disk.said.record == MANAGED_DATA && !n->disk.data && !n->disk.founding,
        .listed = n->listed,
        .members = n->list,
        .n_members = n->n_list,
        .may_change_voters = true,
        .disk_steady = true,
        .leaderless = n->etcd && !n->told[self].leader && below(w, 20) == 0};
}

/* --- steps --- */

static void know(struct world *w, struct disk *d, const struct managed_line *l, const char *founder)
{
    struct managed_line line = *l; /* which may be of d */
    d->said = (struct managed_said){.record = MANAGED_KNOWS, .line = line};
    str_copy(d->said.founder, sizeof d->said.founder, str_of(founder));
    d->said.place = *founder ? 0 : ++w->draws;
    d->data = d->founding = false;
}

static struct row *new_row(struct world *w, const struct managed_line *l, uint32_t node)
{
    assert_true(w->n_rows < LINES);
    struct row *r = &w->rows[w->n_rows++];
    *r = (struct row){.used = true, .line = *l, .n = 1, .node = {node}, .leader = NODES};
    r->next_id = 1000 * w->n_rows;
    r->id[0] = r->next_id++;
    r->voters = w->nodes[node].wanted;
    r->voters.version = 1;
    return r;
}

static void found(struct world *w, unsigned first, uint32_t node)
{
    struct disk *d = &w->nodes[node].disk;
    for (uint32_t i = 0; i < w->n; i++) {
        const struct disk *o = &w->nodes[i].disk;
        if (o->data && !managed_same_id(&o->said.line, &d->said.line))
            fail_at(w, first, "founded beside data of another");
    }
    d->said.record = MANAGED_DATA;
    d->said.founder[0] = 0;
    d->founding = true;
    w->foundings++;
}

static void start(struct world *w, unsigned first, uint32_t node)
{
    struct node *n = &w->nodes[node];
    struct row *r = row_of(w, &n->disk.said.line);
    if (n->disk.founding && !r)
        r = new_row(w, &n->disk.said.line, node);
    if (!r)
        return;
    if (n->disk.founding)
        n->disk.said.member = r->id[0];
    for (uint32_t i = 0; i < r->n; i++)
        if (r->id[i] == n->disk.said.member) {
            if (!n->disk.data && r->started[i])
                fail_at(w, first, "an id whose disk forgot");
            n->etcd = n->disk.data = r->started[i] = true;
            n->disk.founding = false;
        }
}

static bool decides(const struct world *w, const struct row *r)
{
    return r->leader < w->n && can_lead(w, r, r->leader);
}

static void change(struct world *w, unsigned first, uint32_t node, const struct managed_step *s)
{
    struct node *n = &w->nodes[node];
    struct row *r = row_of(w, &n->disk.said.line);
    if (!r || r->leader != node || !decides(w, r))
        return;
    uint32_t at = 0;
    while (at < r->n && r->id[at] != s->member)
        at++;
    if (s->act == MANAGED_ADD) {
        for (uint32_t i = 0; i < r->n; i++)
            if (r->node[i] == s->node || r->learner[i])
                return; /* as etcd: one address, one learner */
        at = r->n++;
        r->id[at] = r->next_id++;
        r->node[at] = s->node;
        r->learner[at] = true;
        r->started[at] = false;
        n->places[s->node] = (struct place){s->place, r->id[at]};
    } else if (s->act == MANAGED_SET_VOTERS) {
        assert_int_equal(s->voters.version, r->voters.version + 1);
        r->was = r->voters;
        r->voters = s->voters;
    } else if (at == r->n) {
        return;
    } else if (s->act == MANAGED_PROMOTE) {
        r->learner[at] = false;
    } else if (s->act == MANAGED_HAND_OVER) {
        if (can_lead(w, r, r->node[at]) && !r->learner[at]) {
            r->leader = r->node[at];
            r->term++;
        }
    } else {
        r->n--;
        w->replaced++;
        for (; at < r->n; at++) {
            r->id[at] = r->id[at + 1];
            r->node[at] = r->node[at + 1];
            r->learner[at] = r->learner[at + 1];
            r->started[at] = r->started[at + 1];
        }
        if (r->n == 0)
            fail_at(w, first, "the last member was removed");
    }
    if (w->exact && s->act != MANAGED_SET_VOTERS && reached(w, r, node) < voting(r) / 2 + 1)
        fail_at(w, first, "a majority was given away");
}

/* One at a time: a majority of the others runs. (Of two members none can be spared.) */
static void restart(struct world *w, unsigned first, uint32_t node, const struct managed_step *s)
{
    struct node *n = &w->nodes[node];
    struct row *r = row_of(w, &n->disk.said.line);
    bool decided = r && decides(w, r);
    uint32_t left = 0;
    n->etcd = false;
    w->restarts++;
    for (uint32_t i = 0; r && i < r->n; i++)
        left += !r->learner[i] && takes_part(w, r, i);
    if (s->level == n->timers)
        fail_at(w, first, "restarts for nothing");
    if (w->exact && decided && voting(r) > 2 && left < voting(r) / 2 + 1)
        fail_at(w, first, "a majority was started again at once");
}

static void act(struct world *w, unsigned first, uint32_t node)
{
    struct managed_node nodes[NODES];
    struct managed_facts f = facts(w, node, nodes);
    struct managed_step s = managed_next(&f);
    struct node *n = &w->nodes[node];
    struct disk *d = &n->disk;
    n->pace = (uint8_t)managed_pace(&f);
    if (nodes[node].said.leader != nodes[node].said.member)
        n->turn = 0;
    if (!n->etcd)
        n->timers = n->pace;
    if (w->trace && s.act != MANAGED_REST) {
        char text[200];
        managed_explain(&f, &s, text, sizeof text);
        printf("%u %s: %s: %s\n", w->step, n->name, managed_do_name(s.act), text);
    }
    switch (s.act) {
    case MANAGED_INTEND: {
        struct managed_line l = {.generation = 1};
        uint64_t id = ++w->draws;
        memcpy(l.id, &id, sizeof id);
        know(w, d, &l, n->name);
        return;
    }
    case MANAGED_PROMISE: know(w, d, &s.line, w->nodes[s.node].name); return;
    case MANAGED_LEARN: know(w, d, &s.line, ""); return;
    case MANAGED_FORGET: d->said = (struct managed_said){0}; return;
    case MANAGED_FOUND: found(w, first, node); return;
    case MANAGED_JOIN:
        d->said.record = MANAGED_DATA;
        d->said.place = 0;
        d->said.member = s.member;
        start(w, first, node);
        return;
    case MANAGED_START: start(w, first, node); return;
    case MANAGED_LEAVE:
        n->etcd = false;
        know(w, d, &s.line, "");
        return;
    case MANAGED_ADD:
    case MANAGED_PROMOTE:
    case MANAGED_REMOVE:
    case MANAGED_HAND_OVER:
    case MANAGED_SET_VOTERS: change(w, first, node, &s); return;
    case MANAGED_TURN: n->turn = s.member; return;
    case MANAGED_RESTART: restart(w, first, node, &s); return;
    case MANAGED_REST:
    case MANAGED_DOS: return;
    }
}

/* --- what must always hold --- */

static void check(struct world *w, unsigned first)
{
    uint32_t deciding = 0;
    for (uint32_t i = 0; i < w->n_rows; i++) {
        elect(w, &w->rows[i]);
        deciding += decides(w, &w->rows[i]);
    }
    if (deciding > 1)
        fail_at(w, first, "two coordinators");
    for (uint32_t a = 0; a < w->n; a++)
        for (uint32_t b = 0; b < a; b++) {
            const struct disk *x = &w->nodes[a].disk, *y = &w->nodes[b].disk;
            if (x->data && y->data && x->said.member == y->said.member &&
                managed_same_id(&x->said.line, &y->said.line))
                fail_at(w, first, "one id on two disks");
        }
}

/* --- faults --- */

static void wipe_disk(struct world *w, uint32_t node)
{
    w->nodes[node].disk = (struct disk){0};
    w->nodes[node].etcd = false;
}

static void crash(struct world *w, uint32_t node)
{
    struct node *n = &w->nodes[node];
    n->up = n->etcd = false;
    memset(n->heard, 0, sizeof n->heard);
    memset(&n->listed, 0, sizeof n->listed);
    memset(n->places, 0, sizeof n->places);
    n->n_list = 0;
    n->list_term = 0;
    n->turn = n->pace = 0;
    if (n->disk.said.record == MANAGED_KNOWS && n->disk.said.place)
        n->disk.said.place = ++w->draws;
}

/* How many disks of the row's voting members are intact. */
static bool is_whole(const struct world *w, const struct row *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct disk *d = &w->nodes[r->node[i]].disk;
        n += !r->learner[i] && d->data && d->said.member == r->id[i] &&
             managed_same_id(&d->said.line, &r->line) &&
             managed_order(&d->said.line, &r->line) == 0;
    }
    return n >= voting(r) / 2 + 1;
}

static struct row *newest(struct world *w)
{
    struct row *best = NULL;
    for (uint32_t i = 0; i < w->n_rows; i++)
        best = &w->rows[i];
    return best;
}

/* Disks are lost only while a majority of them stays, unless all may be. */
static void lose(struct world *w, uint32_t node, bool all)
{
    struct disk kept = w->nodes[node].disk;
    struct row *r = newest(w);
    bool was = r && is_whole(w, r);
    wipe_disk(w, node);
    if (was && !is_whole(w, r) && !all)
        w->nodes[node].disk = kept;
    else
        crash(w, node);
}

/* Of etcd, not the record. */
static void lose_data(struct world *w, uint32_t node, bool all)
{
    struct row *r = newest(w);
    bool was = r && is_whole(w, r);
    bool had = w->nodes[node].disk.data;
    w->nodes[node].disk.data = false;
    if (was && !is_whole(w, r) && !all)
        w->nodes[node].disk.data = had;
}

static void take_file(struct world *w, uint32_t node)
{
    w->nodes[node].wanted = w->wanted;
    w->nodes[node].founder = w->founder;
}

static void choose_voters(struct world *w)
{
    static const uint8_t sizes[] = {1, 3, 5};
    uint32_t n = sizes[below(w, 3)];
    memset(&w->wanted, 0, sizeof w->wanted);
    n = MIN(n, w->n % 2 ? w->n : w->n - 1);
    while (w->wanted.n < n)
        voters_add(&w->wanted, str_of(w->nodes[below(w, w->n)].name));
    for (uint32_t i = w->n; i-- > 0;)
        if (voters_has(&w->wanted, str_of(w->nodes[i].name)))
            w->founder = i;
}

static void fault(struct world *w, bool all)
{
    uint32_t a = below(w, w->n), b = below(w, w->n);
    switch (below(w, 10)) {
    case 9: w->nodes[a].slow = (uint8_t)below(w, 4); return;
    case 0:
    case 1: w->cut[a][b] = w->cut[b][a] = a != b; return;
    case 2:
    case 3: w->cut[a][b] = w->cut[b][a] = false; return;
    case 4: crash(w, a); return;
    case 5: w->nodes[a].up = true; return;
    case 6:
        w->nodes[a].etcd = false;
        if (below(w, 8) == 0)
            lose_data(w, a, all);
        return;
    case 8: w->nodes[a].paused = w->exact ? 0 : w->step + below(w, 200); return;
    case 7:
        if (below(w, w->young ? 3 : 6) == 0)
            choose_voters(w);
        else if (below(w, w->young ? 2 : 3) == 0)
            lose(w, a, all);
        return;
    }
}

static void init(struct world *w, unsigned seed, bool exact)
{
    memset(w, 0, sizeof *w);
    w->seed = seed * 2654435761u;
    w->exact = exact;
    w->trace = getenv("TRACE") != NULL;
    w->n = 3 + below(w, 3);
    for (uint32_t i = 0; i < w->n; i++) {
        w->nodes[i].name[0] = (char)('a' + i);
        w->nodes[i].up = true;
    }
    choose_voters(w);
    for (uint32_t i = 0; i < w->n; i++)
        take_file(w, i);
}

static void heal(struct world *w)
{
    memset(w->cut, 0, sizeof w->cut);
    for (uint32_t i = 0; i < w->n; i++) {
        w->nodes[i].up = true;
        w->nodes[i].paused = 0;
        take_file(w, i);
    }
}

static void turn(struct world *w, unsigned first)
{
    uint32_t node = below(w, w->n);
    w->step++;
    struct node *n = &w->nodes[node];
    if (!n->up || n->paused > w->step)
        return;
    if (n->paused) {
        n->paused = 0;
        act(w, first, node);
        check(w, first);
    }
    if (below(w, 20) == 0)
        take_file(w, node);
    if (below(w, 2))
        hear(w, node, below(w, w->n));
    else
        act(w, first, node);
    check(w, first);
}

/* Everybody has the latest of everybody, as after a quiet second. */
static void all_hear(struct world *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        for (uint32_t j = 0; j < w->n; j++)
            hear(w, i, j);
}

/* All members run with the timers that the slowest of their disks asks for, and a leader with a
 * much better one than another's leads. */
static bool is_at_pace(const struct world *w, const struct row *r)
{
    uint32_t asked = 0, best = 9;
    for (uint32_t i = 0; i < r->n; i++) {
        asked = MAX(asked, (uint32_t)w->nodes[r->node[i]].slow);
        best = MIN(best, (uint32_t)w->nodes[r->node[i]].slow);
    }
    for (uint32_t i = 0; i < r->n; i++)
        if (w->nodes[r->node[i]].timers != asked)
            return false;
    return w->nodes[r->leader].slow < best + 2u;
}

static bool is_settled(struct world *w)
{
    struct row *r = NULL;
    for (uint32_t i = 0; i < w->n_rows; i++)
        if (decides(w, &w->rows[i]))
            r = &w->rows[i];
    if (!r || !voters_same(&r->voters, &w->wanted) || r->n != w->wanted.n)
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        if (r->learner[i] || !takes_part(w, r, i) ||
            !voters_has(&w->wanted, str_of(w->nodes[r->node[i]].name)))
            return false;
    for (uint32_t i = 0; i < w->n; i++)
        if (w->nodes[i].etcd != voters_has(&w->wanted, str_of(w->nodes[i].name)))
            return false;
    return is_at_pace(w, r);
}

static bool settle(struct world *w, unsigned first)
{
    heal(w);
    for (uint32_t i = 0; i < SETTLE && !is_settled(w); i++) {
        turn(w, first);
        if (i % 50 == 0)
            all_hear(w);
    }
    return is_settled(w);
}

/* What the operator's command does: on a node that has data, or, when nobody has, from a file. */
static void restore(struct world *w, unsigned first)
{
    struct managed_line l = {.generation = 0};
    uint32_t at = NODES;
    for (uint32_t i = 0; i < w->n; i++) {
        const struct disk *d = &w->nodes[i].disk;
        if (d->said.record != MANAGED_NEVER && managed_order(&d->said.line, &l) >= 0)
            l = d->said.line;
    }
    for (uint32_t i = 0; i < w->n; i++)
        if (w->nodes[i].disk.data && managed_order(&w->nodes[i].disk.said.line, &l) == 0)
            at = i;
    at = at == NODES ? w->founder : at;
    l.generation++;
    l.draw = ++w->draws;
    struct disk *d = &w->nodes[at].disk;
    d->said = (struct managed_said){.record = MANAGED_DATA, .line = l};
    d->founding = true;
    d->data = false;
    w->nodes[at].etcd = false;
    w->restores++;
    (void)first;
}

struct totals {
    uint64_t foundings, restores, replaced, restarts, steps;
};

static void history(unsigned seed, bool exact, bool all, struct totals *t)
{
    static struct world w;
    init(&w, seed, exact);
    for (uint32_t i = 0; i < STEPS; i++) {
        if (below(&w, i % 600 < 300 ? 10 : 150) == 0)
            fault(&w, all);
        turn(&w, seed);
    }
    if (!settle(&w, seed)) {
        struct row *r = newest(&w);
        if (!all && r && is_whole(&w, r))
            fail_at(&w, seed, "never settles");
        if (!r && w.foundings == 0)
            fail_at(&w, seed, "is never founded");
        restore(&w, seed);
        if (!settle(&w, seed))
            fail_at(&w, seed, "does not settle after a restore");
    }
    t->foundings += w.foundings;
    t->restores += w.restores;
    t->replaced += w.replaced;
    t->restarts += w.restarts;
    t->steps += w.step;
}

static void run(bool exact, bool all)
{
    struct totals t = {0};
    const char *one = getenv("SEED");
    for (unsigned seed = 1; seed <= ROUNDS; seed++)
        if (!one || (unsigned)atoi(one) == seed)
            history(seed, exact, all, &t);
    print_message("%d histories, %llu steps: %llu foundings, %llu restores, %llu members removed, "
                  "%llu started again for their timers\n",
                  ROUNDS, (unsigned long long)t.steps, (unsigned long long)t.foundings,
                  (unsigned long long)t.restores, (unsigned long long)t.replaced,
                  (unsigned long long)t.restarts);
    assert_true(one || t.restarts > ROUNDS / 2);
}

/* Only the beginning, which is when a second founding would be. */
static void foundings(void **state)
{
    static struct world w;
    struct totals t = {0};
    for (unsigned seed = 1; seed <= BEGINNINGS; seed++) {
        init(&w, seed, false);
        w.young = true;
        for (uint32_t i = 0; i < BEGINNING; i++) {
            if (below(&w, 15) == 0)
                fault(&w, true);
            turn(&w, seed);
        }
        t.foundings += w.foundings;
    }
    print_message("%llu foundings\n", (unsigned long long)t.foundings);
    assert_true(t.foundings > BEGINNINGS / 20);
}

static void histories(void **state)
{
    run(true, false);
}

static void histories_with_late_news(void **state)
{
    run(false, false);
}

static void histories_that_lose_everything(void **state)
{
    run(false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foundings),
        cmocka_unit_test(histories),
        cmocka_unit_test(histories_with_late_news),
        cmocka_unit_test(histories_that_lose_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
