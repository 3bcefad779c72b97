/* links.h tells the whole, links_inside.h who does what. */
#include "mesh/links_inside.h"
#include "mesh/mesh.h"

_Static_assert((int)LINK_MESSAGE_MAX == (int)MESH_MESSAGE_MAX, "a message fits a frame");
_Static_assert((int)LINK_SECRET == (int)SEAL_SECRET, "links grow from cluster keys");

static struct str key_of(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

struct node *links_node(const struct links *s, uint64_t id)
{
    return map_get(&s->nodes, key_of(&id));
}

/* --- nodes --- */

static void on_again(struct timer *t)
{
    node_try(CONTAINER_OF(t, struct node, again));
}

int links_set_peer(struct links *s, uint64_t id, const struct addr *at, struct err *e)
{
    struct node *n = links_node(s, id);
    if (n) {
        bool moved = !addr_eq(&n->at, at);
        n->at = *at;
        if (moved && !n->up)
            links_retry(s, id);
        return 0;
    }
    n = mem_zero(1, sizeof *n);
    if (!n || !map_put(&s->nodes, key_of(&id), n)) {
        mem_free(n);
        return err_set(e, ERR_NOMEM, "no memory for a node's link");
    }
    *n = (struct node){.set = s, .id = id, .at = *at};
    list_push_back(&s->order, &n->link);
    timer_init(&n->again, on_again);
    node_plan(n, loop_now(s->loop) + prng_below(&s->dice, LINKS_TRY_FIRST_NS));
    return 0;
}

/* Strangers that say that they are this node. */
static void drop_claims(struct links *s, const struct node *n)
{
    list_for_each_safe (it, &s->incoming) {
        struct line *l = LIST_ENTRY(it, struct line, link);
        if (l->node == n)
            line_drop(l);
    }
}

static void node_free(struct node *n)
{
    struct links *s = n->set;
    loop_timer_stop(s->loop, &n->again);
    if (n->up)
        s->counts.up--;
    line_drop(n->up);
    line_drop(n->trial);
    drop_claims(s, n);
    list_remove(&n->link);
    mem_free(n);
}

void links_drop_peer(struct links *s, uint64_t id)
{
    struct node *n = map_remove(&s->nodes, key_of(&id));
    if (n)
        node_free(n);
}

void links_retry(struct links *s, uint64_t id)
{
    struct node *n = links_node(s, id);
    uint64_t now = loop_now(s->loop);
    if (!n || n->up || n->trial || s->self > id)
        return;
    node_plan(n, MAX(now, n->tried_at + LINKS_TRY_FIRST_NS));
}

/* The node's link ends by our own will. */
static void lose(struct node *n)
{
    struct links *s = n->set;
    struct line *l = n->up;
    n->up = NULL;
    s->counts.up--;
    line_drop(l);
    if (!n->trial)
        node_plan_again(n);
}

void links_close(struct links *s, uint64_t id)
{
    struct node *n = links_node(s, id);
    if (n && n->up)
        lose(n);
}

/* --- keys --- */

static void drop_retired(struct links *s)
{
    list_for_each_safe (it, &s->incoming) {
        struct line *l = LIST_ENTRY(it, struct line, link);
        if (l->node && !keyring_find(&s->keys, l->key))
            line_drop(l);
    }
    list_for_each (it, &s->order) {
        struct node *n = LIST_ENTRY(it, struct node, link);
        if (n->trial && !keyring_find(&s->keys, n->trial->key)) {
            line_drop(n->trial);
            n->trial = NULL;
        }
        if (n->up && !keyring_find(&s->keys, n->up->key))
            lose(n);
        n->tries = 0;
        if (node_wants_link(n))
            node_plan(n, loop_now(s->loop) + prng_below(&s->dice, LINKS_TRY_FIRST_NS));
    }
}

void links_set_keys(struct links *s, const struct keyring *keys)
{
    keyring_wipe(&s->keys);
    s->keys = *keys;
    drop_retired(s);
}

uint32_t links_key(const struct links *s, uint64_t id)
{
    const struct node *n = links_node(s, id);
    return n && n->up ? n->up->key : 0;
}

/* --- messages --- */

bool links_is_up(const struct links *s, uint64_t id)
{
    const struct node *n = links_node(s, id);
    return n && n->up && link_is_up(n->up->k);
}

static int send_to(struct node *n, uint16_t kind, struct str bytes, struct err *e)
{
    int r = link_send(n->up->k, kind, bytes, e);
    if (r)
        return r;
    n->set->counts.sent++;
    n->set->counts.sent_bytes += bytes.n;
    return 0;
}

int links_send(struct links *s, uint64_t to, uint16_t kind, struct str bytes, struct err *e)
{
    struct node *n = links_node(s, to);
    if (!n || !n->up)
        return err_set(e, ERR_ABSENT, "there is no link to the node");
    return send_to(n, kind, bytes, e);
}

uint32_t links_broadcast(struct links *s, uint16_t kind, struct str bytes)
{
    uint32_t took = 0;
    list_for_each (it, &s->order) {
        struct node *n = LIST_ENTRY(it, struct node, link);
        took += n->up && send_to(n, kind, bytes, NULL) == 0;
    }
    return took;
}

struct links_counts links_counts(const struct links *s)
{
    struct links_counts c = s->counts;
    c.pending = s->n_incoming;
    return c;
}

/* --- start and end --- */

int links_new(struct links **out, struct loop *l, struct str cluster, uint64_t self,
              const struct keyring *keys, const struct links_host *h, struct err *e)
{
    struct links *s = mem_zero(1, sizeof *s);
    uint64_t seed;
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory for the links to other nodes");
    int r = link_tls_new(&s->tls, e);
    if (r) {
        mem_free(s);
        return r;
    }
    s->loop = l;
    s->host = *h;
    s->keys = *keys;
    s->self = self;
    s->cluster = node_id(cluster, STR(""));
    entropy(&seed, sizeof seed);
    prng_seed(&s->dice, seed);
    list_init(&s->order);
    list_init(&s->incoming);
    accepting_init(s);
    *out = s;
    return 0;
}

void links_free(struct links *s)
{
    if (!s)
        return;
    links_set_listener(s, -1, NULL);
    list_for_each_safe (it, &s->incoming)
        line_drop(LIST_ENTRY(it, struct line, link));
    list_for_each_safe (it, &s->order)
        node_free(LIST_ENTRY(it, struct node, link));
    map_free(&s->nodes);
    link_tls_free(s->tls);
    keyring_wipe(&s->keys);
    mem_free(s);
}
