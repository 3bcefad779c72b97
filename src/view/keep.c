/* What stays from one view to the next: sockets, and services.
 *
 * A socket is known by its address, and by whether it carries datagrams; what is spoken on a
 * listening one does not matter. Access logs are never kept: each view opens them anew, so that a
 * reload follows a rotated file.
 *
 * Both views may be as large as a view can be, so the sockets of the older one go into a table
 * first: open addressing, as in base/map, but by value. */
#include "view/format.h"
#include "view/view.h"

enum { SLOT_FREE = -1, SLOT_SPENT = -2 };

static bool listens(const struct view_socket *s)
{
    return s->use != SOCKET_ACCESS_LOG;
}

static bool same_socket(const struct view_socket *a, const struct view_socket *b)
{
    return socket_is_datagram(a->use) == socket_is_datagram(b->use) && addr_eq(&a->addr, &b->addr);
}

static uint64_t hash_of(const struct view_socket *s)
{
    char key[ADDR_TEXT_MAX + 1];
    key[0] = socket_is_datagram(s->use) ? 'U' : 'L';
    if (s->addr.kind == ADDR_UNIX) {
        size_t n = str_copy(key + 1, sizeof key - 1, str_of(s->addr.path));
        return str_hash((struct str){key, n + 1});
    }
    key[1] = (char)s->addr.kind;
    memcpy(key + 2, &s->addr.port, sizeof s->addr.port);
    memcpy(key + 4, s->addr.ip, sizeof s->addr.ip);
    return str_hash((struct str){key, 4 + sizeof s->addr.ip});
}

struct table {
    int32_t *slots;
    size_t mask;
};

static bool table_fill(struct table *t, const struct view_socket *now, size_t n)
{
    size_t cap = 16;
    while (cap < 2 * n)
        cap *= 2;
    t->mask = cap - 1;
    t->slots = mem_alloc(cap * sizeof *t->slots);
    if (!t->slots)
        return false;
    for (size_t i = 0; i < cap; i++)
        t->slots[i] = SLOT_FREE;
    for (size_t i = 0; i < n; i++) {
        if (!listens(&now[i]))
            continue;
        size_t at = hash_of(&now[i]) & t->mask;
        while (t->slots[at] != SLOT_FREE)
            at = (at + 1) & t->mask;
        t->slots[at] = (int32_t)i;
    }
    return true;
}

/* Takes the socket out of the table, so that no two keep the same. */
static int32_t table_take(struct table *t, const struct view_socket *now,
                          const struct view_socket *s)
{
    for (size_t at = hash_of(s) & t->mask; t->slots[at] != SLOT_FREE; at = (at + 1) & t->mask) {
        int32_t i = t->slots[at];
        if (i == SLOT_SPENT || !same_socket(&now[i], s))
            continue;
        t->slots[at] = SLOT_SPENT;
        return i;
    }
    return VIEW_SOCKET_NEW;
}

bool view_keep_sockets(const struct view_socket *now, size_t n_now, const struct view_socket *next,
                       size_t n_next, int32_t *from)
{
    struct table t;
    if (!table_fill(&t, now, n_now))
        return false;
    for (size_t i = 0; i < n_next; i++)
        from[i] = listens(&next[i]) ? table_take(&t, now, &next[i]) : VIEW_SOCKET_NEW;
    mem_free(t.slots);
    return true;
}

/* --- services --- */

static bool same_links(const struct view *a, const struct view_service *x, const struct view *b,
                       const struct view_service *y)
{
    if (x->n_sockets != y->n_sockets || (x->access_log < 0) != (y->access_log < 0))
        return false;
    if (x->access_log >= 0 &&
        !addr_eq(&a->sockets[x->access_log].addr, &b->sockets[y->access_log].addr))
        return false;
    for (uint32_t i = 0; i < x->n_sockets; i++)
        if (!same_socket(&a->sockets[x->sockets[i]], &b->sockets[y->sockets[i]]))
            return false;
    return true;
}

/* Candidates are indices into tables that differ: who they are, and where, is what counts. */
static bool same_candidates(const struct view *a, const struct view_primary *x,
                            const struct view *b, const struct view_primary *y)
{
    bool same = x->n_on == y->n_on;
    for (uint32_t i = 0; same && i < x->n_on; i++) {
        const struct view_node *n = &a->cluster.nodes[x->on[i]], *m = &b->cluster.nodes[y->on[i]];
        same = str_eq(n->name, m->name) && addr_eq(&n->address, &m->address);
    }
    return same;
}

static void encode_without_links(const struct view_service *s, struct buf *out)
{
    struct view_service copy = *s;
    copy.n_sockets = 0;
    copy.primary.n_on = 0;
    copy.access_log = -1;
    buf_clear(out);
    put_service(out, &copy);
}

bool view_same_service(const struct view *a, const struct view_service *x, const struct view *b,
                       const struct view_service *y, struct buf scratch[2])
{
    if (!str_eq(a->zone, b->zone) || !str_eq(x->name, y->name) || x->slot != y->slot ||
        x->n_instances != y->n_instances || !same_links(a, x, b, y) ||
        !same_candidates(a, &x->primary, b, &y->primary))
        return false;
    encode_without_links(x, &scratch[0]);
    encode_without_links(y, &scratch[1]);
    return !scratch[0].failed && !scratch[1].failed &&
           str_eq(buf_str(&scratch[0]), buf_str(&scratch[1]));
}
