/* A line's life: who comes in, up, messages, gone, and trying again. What is complained of is told
 * once for its source and reason. */
#include <stdarg.h>
#include <stdio.h>

#include "mesh/links_inside.h"
#include "mesh/mesh.h"

#define STEADY_NS (10 * NS_PER_S) /* a link that lived so long is no failure */

/* --- what is told --- */

static void complain(struct links *s, const struct addr *from, enum link_why why,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

static void complain(struct links *s, const struct addr *from, enum link_why why,
                     const char *format, ...)
{
    char text[512];
    va_list args;
    if (!strangers_tell(&s->told, from, why, loop_now(s->loop)))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->counts.told++;
    s->host.complain(s->host.context, text);
}

void line_refused(const struct line *l, enum link_why why, const char *text)
{
    char from[ADDR_TEXT_MAX];
    addr_format(&l->from, from);
    complain(l->set, &l->from, why,
             "a connection of %s was refused a link (%s): %s; more of them are only counted", from,
             link_why_name(why), l->claim ? l->claim : text);
}

/* What the other node will not mend by being tried again. */
static bool is_worth_telling(enum link_why why)
{
    switch (why) {
    case LINK_PLAIN:
    case LINK_KEY:
    case LINK_FLOOD:
    case LINK_MALFORMED:
    case LINK_VERSION:
    case LINK_NOMEM: return true;
    case LINK_GOODBYE:
    case LINK_UNREACHABLE:
    case LINK_LATE:
    case LINK_SILENT:
    case LINK_BROKEN:
    case LINK_DROPPED:
    case LINK_WHYS: break;
    }
    return false;
}

static void tell_failed(const struct line *l, enum link_why why, const char *text)
{
    struct links *s = l->set;
    struct str name = s->host.name(s->host.context, l->node->id);
    char at[ADDR_TEXT_MAX];
    addr_format(&l->from, at);
    if (why == LINK_KEY)
        complain(s, &l->from, why,
                 "no link to " STR_FMT " (%s): it does not know this node, or not its key %08x; "
                 "compare the key files and the nodes of the configuration",
                 STR_ARG(name), at, l->key);
    else if (is_worth_telling(why))
        complain(s, &l->from, why, "no link to " STR_FMT " (%s): %s: %s", STR_ARG(name), at,
                 link_why_name(why), text);
}

/* --- lines --- */

void line_free(struct line *l)
{
    if (!l)
        return;
    if (!list_empty(&l->link)) {
        list_remove(&l->link);
        l->set->n_incoming--;
    }
    mem_free(l);
}

/* Ends one of ours. */
void line_drop(struct line *l)
{
    if (!l)
        return;
    l->set->counts.ended[LINK_DROPPED]++;
    link_end(l->k);
    line_free(l);
}

struct line *line_new(struct links *s, const struct addr *from)
{
    struct line *l = mem_zero(1, sizeof *l);
    if (!l)
        return NULL;
    l->set = s;
    l->from = *from;
    list_init(&l->link);
    return l;
}

/* --- connecting --- */

void node_plan(struct node *n, uint64_t at)
{
    if (n->set->self < n->id)
        loop_timer_set(n->set->loop, &n->again, at);
}

/* 100 ms, 200 ms, ... 5 s, half of each at random. */
static uint64_t pause_of(struct node *n)
{
    uint64_t ns = LINKS_TRY_FIRST_NS << MIN(n->tries, 6u);
    ns = MIN(ns, LINKS_TRY_LAST_NS);
    return ns / 2 + prng_below(&n->set->dice, ns / 2 + 1);
}

void node_plan_again(struct node *n)
{
    uint64_t pause = pause_of(n);
    n->tries += n->tries < UINT32_MAX;
    node_plan(n, loop_now(n->set->loop) + pause);
}

/* The key in use; where that has failed, the others in turn, but not to replace a link. */
static const struct seal_key *next_key(const struct node *n)
{
    const struct keyring *k = &n->set->keys;
    const struct seal_key *used = keyring_in_use(k);
    uint32_t turn = k->n ? n->tries % k->n : 0;
    if (turn == 0 || n->up || !used)
        return used;
    for (uint32_t i = 0; i < k->n; i++)
        if (&k->keys[i] != used && --turn == 0)
            return &k->keys[i];
    return used;
}

bool node_wants_link(const struct node *n)
{
    const struct seal_key *used = keyring_in_use(&n->set->keys);
    return !n->trial && used && (!n->up || n->up->key != used->id);
}

void node_try(struct node *n)
{
    struct links *s = n->set;
    loop_timer_stop(s->loop, &n->again);
    const struct seal_key *key = node_wants_link(n) ? next_key(n) : NULL;
    if (!key)
        return;
    struct identity who = {.key = key->id, .cluster = s->cluster, .from = s->self, .to = n->id};
    char text[IDENTITY_MAX + 1];
    struct str identity = {text, identity_write(&who, text)};
    struct line *l = line_new(s, &n->at);
    n->tried_at = loop_now(s->loop);
    if (l && link_connect(&l->k, s->tls, s->loop, &n->at, identity, key->secret, &line_host, l,
                          NULL) == 0) {
        l->node = n;
        l->key = key->id;
        n->trial = l;
        return;
    }
    line_free(l);
    s->counts.ended[LINK_UNREACHABLE]++;
    node_plan_again(n);
}

/* --- who comes in --- */

static bool guest_secret(struct line *l, uint64_t token, uint8_t out[LINK_SECRET])
{
    const struct links_host *h = &l->set->host;
    l->guest = true;
    l->token = token;
    if (h->guest_key && h->guest_key(h->context, token, out))
        return true;
    l->claim = "its token is not known here, has been used, or has expired";
    return false;
}

/* What is wrong with a node that says this of itself; NULL: nothing. */
static const char *wrong_with(const struct links *s, const struct identity *who)
{
    if (who->cluster != s->cluster)
        return "it belongs to another cluster";
    if (who->to != s->self)
        return "it takes this node for another one: are two addresses mixed up?";
    if (who->from >= s->self)
        return "it is for this node to connect to it";
    if (!links_node(s, who->from))
        return "it is a node that this node's configuration does not have";
    if (!keyring_find(&s->keys, who->key))
        return "its key is not in this node's key file";
    return NULL;
}

static bool line_secret(struct link *k, struct str identity, uint8_t out[LINK_SECRET])
{
    struct line *l = link_owner(k);
    struct identity who;
    if (!identity_read(identity, &who)) {
        l->claim = "it is no holdfast";
        return false;
    }
    if (who.guest)
        return guest_secret(l, who.token, out);
    l->claim = wrong_with(l->set, &who);
    if (l->claim)
        return false;
    l->node = links_node(l->set, who.from);
    l->key = who.key;
    memcpy(out, keyring_find(&l->set->keys, who.key)->secret, LINK_SECRET);
    return true;
}

/* --- up, messages, gone --- */

static void tell_changed(struct links *s, uint64_t id, bool up)
{
    s->host.changed(s->host.context, id, up);
}

static void node_up(struct node *n, struct line *l)
{
    struct links *s = n->set;
    struct line *before = n->up;
    uint64_t id = n->id;
    if (n->trial == l)
        n->trial = NULL;
    if (!list_empty(&l->link)) {
        list_remove(&l->link);
        s->n_incoming--;
    }
    n->up = l;
    l->up_at = loop_now(s->loop);
    if (!before)
        s->counts.up++;
    line_drop(before);
    /* From here on the host may have ended anything. */
    if (before)
        tell_changed(s, id, false);
    if (links_is_up(s, id))
        tell_changed(s, id, true);
}

static uint32_t count_guests(const struct links *s, struct line **oldest)
{
    uint32_t n = 0;
    list_for_each (it, &s->incoming) {
        struct line *l = LIST_ENTRY(it, struct line, link);
        if (!l->guest || !link_is_up(l->k))
            continue;
        *oldest = n++ ? *oldest : l;
    }
    return n;
}

static void line_up(struct link *k)
{
    struct line *l = link_owner(k), *oldest = NULL;
    if (l->node)
        node_up(l->node, l);
    else if (count_guests(l->set, &oldest) > LINKS_GUESTS)
        line_drop(oldest);
}

static void hear_guest(struct line *l, uint16_t kind, struct str bytes)
{
    struct links *s = l->set;
    struct link *k = l->k;
    struct buf answer = {0};
    if (kind != MESH_JOIN)
        return;
    s->host.guest(s->host.context, l->token, &l->from, bytes, &answer);
    if (!answer.failed)
        link_send(k, MESH_JOIN, buf_str(&answer), NULL);
    link_finish(k);
    wipe(answer.p, answer.cap);
    buf_free(&answer);
}

static void line_message(struct link *k, uint16_t kind, struct str bytes)
{
    struct line *l = link_owner(k);
    struct links *s = l->set;
    if (l->guest) {
        hear_guest(l, kind, bytes);
        return;
    }
    s->counts.received++;
    s->counts.received_bytes += bytes.n;
    s->host.message(s->host.context, l->node->id, kind, bytes);
}

static void trial_gone(struct line *l, enum link_why why, const char *text)
{
    struct node *n = l->node;
    n->trial = NULL;
    tell_failed(l, why, text);
    line_free(l);
    node_plan_again(n);
}

static void up_gone(struct line *l, enum link_why why, const char *text)
{
    struct node *n = l->node;
    struct links *s = n->set;
    uint64_t now = loop_now(s->loop);
    n->up = NULL;
    s->counts.up--;
    if (now - l->up_at >= STEADY_NS)
        n->tries = 0;
    tell_failed(l, why, text);
    line_free(l);
    if (!n->trial)
        node_plan_again(n);
    tell_changed(s, n->id, false);
}

static void line_gone(struct link *k, enum link_why why, const char *text)
{
    struct line *l = link_owner(k);
    struct links *s = l->set;
    s->counts.ended[why]++;
    if (l->node && l->node->up == l) {
        up_gone(l, why, text);
    } else if (l->node && l->node->trial == l) {
        trial_gone(l, why, text);
    } else {
        if (!link_is_proven(k) || is_worth_telling(why)) {
            s->counts.refused++;
            line_refused(l, why, text);
        }
        line_free(l);
    }
}

const struct link_host line_host = {line_secret, line_up, line_message, line_gone};
