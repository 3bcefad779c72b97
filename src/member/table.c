/* Slots, and the order of ids. Memory grows by a sixteenth: the simulator holds 25 million
 * members. */
#include "member/inside.h"

static int grow(struct membership *m, struct err *e)
{
    uint32_t cap = m->cap + MAX(8u, m->cap / 16);
    struct peer *peers = mem_resize(m->peers, cap * sizeof *peers);
    if (peers)
        m->peers = peers;
    uint16_t *by_id = peers ? mem_resize(m->by_id, cap * sizeof *by_id) : NULL;
    if (by_id)
        m->by_id = by_id;
    uint16_t *order = by_id ? mem_resize(m->order, cap * sizeof *order) : NULL;
    if (!order)
        return err_set(e, ERR_NOMEM, "no memory for another member");
    m->order = order;
    m->cap = cap;
    return 0;
}

uint32_t table_from(const struct membership *m, uint64_t id)
{
    uint32_t low = 0, high = m->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (m->peers[m->by_id[middle]].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint16_t table_find(const struct membership *m, uint64_t id)
{
    uint32_t at = table_from(m, id);
    return at < m->n && m->peers[m->by_id[at]].id == id ? m->by_id[at] : NOBODY;
}

static void index_add(struct membership *m, uint16_t slot)
{
    uint32_t at = table_from(m, m->peers[slot].id);
    memmove(m->by_id + at + 1, m->by_id + at, (m->n - at) * sizeof *m->by_id);
    m->by_id[at] = slot;
    m->n++;
}

static void fill(struct membership *m, uint16_t slot, const struct member_node *n,
                 enum member_reason reason)
{
    m->peers[slot] = (struct peer){
        .id = n->id,
        .zone = n->zone,
        .since = m->now,
        .state = (uint8_t)reason_state(reason),
        .reason = (uint8_t)reason,
        .flags = n->witness ? PEER_WITNESS : 0,
        .next = NOBODY,
        .before = NOBODY,
    };
    m->in_state[m->peers[slot].state]++;
}

int table_init(struct membership *m, const struct member_node *self, uint64_t incarnation,
               struct err *e)
{
    int rc = grow(m, e);
    if (rc)
        return rc;
    fill(m, SELF, self, MEMBER_SELF);
    m->peers[SELF].incarnation = incarnation;
    index_add(m, SELF);
    return 0;
}

void table_free(struct membership *m)
{
    mem_free(m->peers);
    mem_free(m->by_id);
    mem_free(m->order);
}

int table_insert(struct membership *m, const struct member_node *n, struct err *e)
{
    int rc = m->n < m->cap ? 0 : grow(m, e);
    if (rc)
        return rc;
    uint16_t slot = (uint16_t)m->n;
    fill(m, slot, n, MEMBER_UNHEARD);
    m->unheard++;
    index_add(m, slot);
    m->order[slot - 1] = slot;
    return 0;
}

static void replace(uint16_t *in, uint32_t n, uint16_t what, uint16_t by)
{
    for (uint32_t i = 0; i < n; i++)
        if (in[i] == what)
            in[i] = by;
}

static void take_out(uint16_t *of, uint32_t n, uint16_t what)
{
    uint32_t i = 0;
    while (i < n && of[i] != what)
        i++;
    CHECK(i < n);
    memmove(of + i, of + i + 1, (n - i - 1) * sizeof *of);
}

/* Nobody speaks of `slot` any more, and whoever spoke of `last` speaks of `slot`. */
static void rename_accusers(struct membership *m, uint16_t slot, uint16_t last)
{
    for (uint32_t i = 0; i < m->n; i++) {
        struct peer *p = &m->peers[i];
        for (uint32_t k = 0; k < p->n_accusers; k++)
            if (p->accusers[k] == slot)
                p->accusers[k--] = p->accusers[--p->n_accusers];
        replace(p->accusers, p->n_accusers, last, slot);
    }
}

void table_remove(struct membership *m, uint16_t slot)
{
    CHECK(slot != SELF && slot < m->n);
    uint16_t last = (uint16_t)(m->n - 1);
    uint32_t times = m->peers[last].tells;
    rumour_forget(m, slot);
    rumour_forget(m, last);
    m->in_state[m->peers[slot].state]--;
    m->unheard -= m->peers[slot].reason == MEMBER_UNHEARD;
    take_out(m->by_id, m->n, slot);
    take_out(m->order, m->n - 1, slot);
    m->n--;
    replace(m->by_id, m->n, last, slot);
    replace(m->order, m->n - 1, last, slot);
    rename_accusers(m, slot, last);
    m->peers[slot] = m->peers[last];
    if (times && slot != last)
        rumour_tell(m, slot, times);
}
