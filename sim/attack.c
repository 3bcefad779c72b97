/* attack: what strangers send who have listened to the network, and have no key: recordings, sent
 * to whom they were meant for or to somebody else; damaged and shortened ones; other versions and
 * clusters; noise; handshakes under a key of their own. */
#include "world.h"

void net_keep(struct world *w, const struct packet *p)
{
    if (w->tape_n == TAPE && prng_below(&w->net, 8))
        return; /* long ago is as good as just now */
    struct tape_entry *t =
        &w->tape[w->tape_n < TAPE ? w->tape_n++ : (uint32_t)prng_below(&w->net, TAPE)];
    *t = (struct tape_entry){.from = p->from, .to = p->to, .n = p->n};
    memcpy(t->data, p->data, p->n);
}

static uint32_t one_of(struct world *w, uint64_t set)
{
    for (;;) {
        uint32_t i = (uint32_t)prng_below(&w->net, w->o.nodes);
        if (set >> i & 1)
            return i;
    }
}

/* A datagram that was read once, from one of a; NULL when the tape has none. */
static const struct tape_entry *recording(struct world *w, uint64_t a)
{
    for (int tries = 0; w->tape_n && tries < 8; tries++) {
        const struct tape_entry *t = &w->tape[prng_below(&w->net, w->tape_n)];
        if (a >> t->from & 1)
            return t;
    }
    return NULL;
}

static void throw_at(struct world *w, struct packet *p, uint32_t from, uint32_t to,
                     enum packet_kind kind)
{
    p->from = from;
    p->to = to;
    p->sent = w->now;
    p->twin = 0;
    p->kind = kind;
    queue_put(&w->queue, (struct event){w->now + 100 * US, 0, EVENT_ARRIVE, to, 0, p});
}

static void replay(struct world *w, const struct fault *f)
{
    const struct tape_entry *t = recording(w, f->a);
    if (!t)
        return;
    struct packet *p = net_packet(w);
    memcpy(p->data, t->data, t->n);
    p->n = t->n;
    throw_at(w, p, t->from, prng_below(&w->net, 4) ? t->to : one_of(w, f->b), PACKET_REPLAYED);
}

static void random_bytes(struct world *w, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)prng_next(&w->net);
}

/* A recording with something else in it: shorter, of another version, cluster or kind, or with
 * other contents. */
static void alter(struct world *w, struct packet *p, const struct tape_entry *t)
{
    memcpy(p->data, t->data, t->n);
    p->n = t->n;
    size_t at;
    switch (prng_below(&w->net, 4)) {
    case 0: p->n = (uint32_t)prng_below(&w->net, t->n); return;
    case 1: at = 2; break;                          /* version */
    case 2: at = 4 + prng_below(&w->net, 4); break; /* cluster */
    default: at = prng_below(&w->net, t->n); break;
    }
    p->data[MIN(at, t->n - 1)] ^= (uint8_t)(1 + prng_below(&w->net, 255));
}

static size_t knock(struct world *w, uint32_t to, uint8_t *out)
{
    bool sealed;
    return seal_write(w->stranger, w->nodes[to].id, "x", 1, w->now, out, &sealed);
}

static void forge(struct world *w, const struct fault *f)
{
    uint32_t from = one_of(w, f->a), to = (uint32_t)prng_below(&w->net, w->o.nodes);
    const struct tape_entry *t = recording(w, f->a);
    struct packet *p = net_packet(w);
    uint64_t way = prng_below(&w->net, 8);
    if (way < 2 && (p->n = (uint32_t)knock(w, to, p->data)) > 0) {
        throw_at(w, p, from, to, PACKET_FORGED);
        return;
    }
    if (way < 6 && t) {
        alter(w, p, t);
        to = prng_below(&w->net, 4) ? t->to : to;
    } else {
        uint32_t head = 8 + (uint32_t)prng_below(&w->net, 16);
        p->n = (uint32_t)prng_below(&w->net, 200);
        random_bytes(w, p->data, p->n);
        if (t) /* it looks like one of ours */
            memcpy(p->data, t->data, MIN(p->n, head));
    }
    throw_at(w, p, from, to, PACKET_FORGED);
}

static void stranger_entropy(void *context, void *out, size_t n)
{
    random_bytes(context, out, n);
}

static void invite_stranger(struct world *w)
{
    struct keyring other = {.n = 1, .keys = {{.id = 77, .use = true}}};
    struct seal_host h = {w, stranger_entropy};
    struct err e = {0};
    random_bytes(w, other.keys[0].secret, SEAL_SECRET);
    if (prng_below(&w->net, 2))
        other.keys[0].id = w->keys.keys[0].id; /* he has seen which one we use */
    if (seal_new(&w->stranger, STR("sim"), w->nodes[0].id, &other, &h, &e))
        sim_die("%s", e.text);
}

/* One datagram, and another one later while the fault lasts. */
void attack(struct world *w, uint32_t fault)
{
    const struct fault *f = &w->o.faults->v[fault];
    if (!w->active[fault] || w->o.plain)
        return;
    if (!w->stranger)
        invite_stranger(w);
    if (f->kind == FAULT_REPLAY)
        replay(w, f);
    else
        forge(w, f);
    uint64_t pause = SEC / (uint64_t)f->value;
    queue_put(&w->queue, (struct event){w->now + pause / 2 + prng_below(&w->net, pause + 1), 0,
                                        EVENT_ATTACK, 0, fault, NULL});
}

void attack_free(struct world *w)
{
    mem_free(w->tape);
    seal_free(w->stranger);
}
