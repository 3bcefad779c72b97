#include "member/net_test.h"

#include <stdio.h>

/* Ids in no order. */
uint64_t net_id(uint32_t i)
{
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static uint32_t index_of(const struct net *net, uint64_t id)
{
    for (uint32_t i = 0; i < net->n; i++)
        if (net_id(i) == id)
            return i;
    fail_msg("nobody has this id");
    return 0;
}

static bool before(const struct datagram *a, const struct datagram *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(struct net *net, struct datagram *d)
{
    if (net->queued == net->room) {
        net->room = net->room ? net->room * 2 : 256;
        net->queue = realloc(net->queue, net->room * sizeof(struct datagram *));
    }
    uint32_t i = net->queued++;
    for (; i && before(d, net->queue[(i - 1) / 2]); i = (i - 1) / 2)
        net->queue[i] = net->queue[(i - 1) / 2];
    net->queue[i] = d;
}

static struct datagram *pop(struct net *net)
{
    struct datagram *top = net->queue[0], *last = net->queue[--net->queued];
    uint32_t i = 0, child;
    while ((child = 2 * i + 1) < net->queued) {
        if (child + 1 < net->queued && before(net->queue[child + 1], net->queue[child]))
            child++;
        if (!before(net->queue[child], last))
            break;
        net->queue[i] = net->queue[child];
        i = child;
    }
    net->queue[i] = last;
    return top;
}

static void enqueue(struct net *net, uint32_t from, uint32_t to, const void *p, size_t n)
{
    struct datagram *d = malloc(sizeof *d);
    uint64_t more = net->jitter ? prng_below(&net->prng, net->jitter) : 0;
    *d = (struct datagram){.at = net->now + net->delay + more, .order = net->order++};
    d->from = from;
    d->to = to;
    d->n = (uint32_t)n;
    memcpy(d->p, p, n);
    push(net, d);
}

static void on_send(void *context, uint64_t to, const void *p, size_t n)
{
    struct node *node = context;
    struct net *net = node->net;
    uint32_t i = index_of(net, to);
    assert_in_range(n, 1, MEMBER_DATAGRAM_MAX);
    assert_int_not_equal(i, node->index);
    node->sent++;
    node->bytes += n;
    if (net->cut[node->index][i] || prng_below(&net->prng, 1000) < net->loss)
        return;
    enqueue(net, node->index, i, p, n);
    if (prng_below(&net->prng, 1000) < net->twice)
        enqueue(net, node->index, i, p, n);
}

static void on_changed(void *context, const struct member_change *c)
{
    struct node *node = context;
    struct net *net = node->net;
    if (net->n_seen == CHANGES)
        net->n_seen = 0; /* long runs look at the latest only */
    net->seen[net->n_seen++] = (struct seen){net->now, node->index, index_of(net, c->info.id), *c};
    assert_true(c->info.since <= net->now);
}

static void on_incarnation(void *context, uint64_t incarnation)
{
    struct node *node = context;
    assert_true(incarnation > node->incarnation);
    node->incarnation = incarnation;
}

void net_start(struct net *net, uint32_t i)
{
    struct node *node = &net->nodes[i];
    struct member_host h = {node, on_send, on_changed, on_incarnation};
    struct member_node self = {net_id(i), 1 + i % 3, false};
    struct err e;
    assert_null(node->m);
    node->incarnation++;
    assert_int_equal(member_new(&node->m, &net->params, &h, &self, node->incarnation,
                                prng_next(&net->prng), net->now, &e),
                     0);
    for (uint32_t k = 0; k < net->n; k++) {
        struct member_node other = {net_id(k), 1 + k % 3, false};
        assert_int_equal(member_add(node->m, &other, net->now, &e), 0);
    }
}

struct net *net_with(uint32_t n, uint64_t seed, const struct member_params *p)
{
    struct net *net = calloc(1, sizeof *net);
    *net = (struct net){.n = n, .now = START, .params = *p, .delay = MS / 2, .jitter = MS};
    net->seen = calloc(CHANGES, sizeof *net->seen);
    prng_seed(&net->prng, seed);
    for (uint32_t i = 0; i < n; i++)
        net->nodes[i] = (struct node){.net = net, .index = i};
    for (uint32_t i = 0; i < n; i++) {
        net_start(net, i);
        net_run(net, prng_below(&net->prng, 60 * MS)); /* not all in one beat */
    }
    return net;
}

struct net *net_new(uint32_t n, uint64_t seed)
{
    struct member_params p = member_defaults();
    return net_with(n, seed, &p);
}

void net_free(struct net *net)
{
    for (uint32_t i = 0; i < net->n; i++)
        member_free(net->nodes[i].m);
    for (uint32_t i = 0; i < net->queued; i++)
        free(net->queue[i]);
    free(net->queue);
    free(net->seen);
    free(net);
}

/* What came while it was paused waits for it; silence is judged after all of that. */
static void deliver(struct net *net)
{
    struct datagram *d = pop(net);
    struct node *to = &net->nodes[d->to];
    if (to->m && to->paused_until > net->now) {
        d->at = to->paused_until;
        push(net, d);
        return;
    }
    if (to->m)
        member_receive(to->m, net_id(d->from), d->p, d->n, net->now);
    free(d);
}

static struct node *next_node(struct net *net, uint64_t *at)
{
    struct node *first = NULL;
    for (uint32_t i = 0; i < net->n; i++) {
        struct node *node = &net->nodes[i];
        if (!node->m || member_deadline(node->m) == UINT64_MAX)
            continue;
        uint64_t due = MAX(member_deadline(node->m), node->paused_until);
        if (!first || due < *at) {
            first = node;
            *at = due;
        }
    }
    return first;
}

void net_run(struct net *net, uint64_t ns)
{
    uint64_t end = net->now + ns, at = 0;
    for (;;) {
        struct node *node = next_node(net, &at);
        bool message = net->queued && (!node || net->queue[0]->at <= at);
        uint64_t next = message ? net->queue[0]->at : node ? at : UINT64_MAX;
        if (next > end)
            break;
        net->now = MAX(net->now, next);
        if (message) {
            deliver(net);
            continue;
        }
        member_tick(node->m, net->now);
        assert_true(member_deadline(node->m) >= net->now);
    }
    net->now = end;
}

void net_crash(struct net *net, uint32_t i)
{
    member_free(net->nodes[i].m);
    net->nodes[i].m = NULL;
}

void net_pause(struct net *net, uint32_t i, uint64_t ns)
{
    net->nodes[i].paused_until = net->now + ns;
}

void net_cut(struct net *net, uint32_t a, uint32_t b, bool cut)
{
    net->cut[a][b] = net->cut[b][a] = cut;
}

void net_cut_off(struct net *net, uint32_t i, bool cut)
{
    for (uint32_t k = 0; k < net->n; k++)
        net_cut(net, i, k, cut);
}

void net_partition(struct net *net, uint32_t split, bool cut)
{
    for (uint32_t i = 0; i < split; i++)
        for (uint32_t k = split; k < net->n; k++)
            net_cut(net, i, k, cut);
}

struct member_info net_see(const struct net *net, uint32_t observer, uint32_t subject)
{
    struct member_info info;
    assert_true(member_find(net->nodes[observer].m, net_id(subject), &info));
    return info;
}

void net_expect(const struct net *net, uint32_t observer, uint32_t subject, enum member_reason r)
{
    struct member_info info = net_see(net, observer, subject);
    if (info.reason != r)
        fail_msg("%u sees %u as %s (%s), not as %s", observer, subject,
                 member_reason_name((enum member_reason)info.reason),
                 member_state_name((enum member_state)info.state), member_reason_name(r));
}

void net_expect_whole(const struct net *net)
{
    for (uint32_t i = 0; i < net->n; i++)
        for (uint32_t k = 0; net->nodes[i].m && k < net->n; k++) {
            if (!net->nodes[k].m)
                continue;
            net_expect(net, i, k, i == k ? MEMBER_SELF : MEMBER_HEARD);
            assert_int_equal(net_see(net, i, k).incarnation, net_see(net, k, k).incarnation);
        }
}

uint64_t net_when(const struct net *net, uint32_t observer, uint32_t subject, enum member_state s)
{
    for (uint32_t i = net->n_seen; i-- > 0;) {
        const struct seen *e = &net->seen[i];
        if (e->observer == observer && e->subject == subject && e->change.info.state == s &&
            e->change.was != s)
            return e->at;
    }
    return 0;
}

uint32_t net_count(const struct net *net, enum member_state s, uint64_t since)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < net->n_seen; i++) {
        const struct seen *e = &net->seen[i];
        n += e->at >= since && e->change.info.state == s && e->change.was != s;
    }
    return n;
}
