/* Units of a node's links: three nodes over loopback on one loop, and strangers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/links.h"

enum { SITES = 3 };

struct site {
    struct rig *rig;
    struct links *s; /* NULL while it is down */
    uint64_t id;
    struct addr at;
    struct keyring keys;
    unsigned ups, downs, messages, complaints, guests;
    uint64_t from;
    uint16_t kind;
    char last[64], told[512];
};

struct rig {
    struct loop *loop;
    struct site sites[SITES]; /* in the order of their ids */
    struct timer tick;
    uint64_t until;
    bool timed_out;
    uint64_t token; /* of a guest; 0: none */
};

static const uint8_t guest_secret[SEAL_SECRET] = "what is in the token";

/* --- what they are told --- */

static struct str on_name(void *context, uint64_t id)
{
    static const char *const names[SITES] = {"a", "b", "c"};
    struct site *x = context;
    for (unsigned i = 0; i < SITES; i++)
        if (x->rig->sites[i].id == id)
            return str_of(names[i]);
    return STR("");
}

static void on_message(void *context, uint64_t from, uint16_t kind, struct str bytes)
{
    struct site *x = context;
    x->messages++;
    x->from = from;
    x->kind = kind;
    str_copy(x->last, sizeof x->last, bytes);
}

static void on_changed(void *context, uint64_t peer, bool up)
{
    struct site *x = context;
    assert_true(!up || links_is_up(x->s, peer));
    x->ups += up;
    x->downs += !up;
}

static void on_complain(void *context, const char *text)
{
    struct site *x = context;
    x->complaints++;
    str_copy(x->told, sizeof x->told, str_of(text));
}

static bool on_guest_key(void *context, uint64_t token, uint8_t secret[SEAL_SECRET])
{
    struct site *x = context;
    memcpy(secret, guest_secret, SEAL_SECRET);
    return x->rig->token && token == x->rig->token;
}

static void on_guest(void *context, uint64_t token, const struct addr *from, struct str bytes,
                     struct buf *answer)
{
    struct site *x = context;
    assert_int_equal(token, x->rig->token);
    assert_int_equal(from->kind, ADDR_IP4);
    x->guests++;
    buf_printf(answer, "welcome, " STR_FMT, STR_ARG(bytes));
}

/* --- the rig --- */

static void on_tick(struct timer *t)
{
    struct rig *r = CONTAINER_OF(t, struct rig, tick);
    r->timed_out = loop_now(r->loop) > r->until;
    loop_stop(r->loop);
}

static void turn(struct rig *r)
{
    loop_timer_set(r->loop, &r->tick, loop_now(r->loop) + 8 * NS_PER_MS);
    assert_int_equal(loop_run(r->loop, NULL), 0);
    loop_timer_stop(r->loop, &r->tick);
}

#define UNTIL(r, condition)                                                                        \
    do {                                                                                           \
        (r)->timed_out = false;                                                                    \
        (r)->until = loop_refresh((r)->loop) + 30 * NS_PER_S;                                      \
        while (!(condition) && !(r)->timed_out)                                                    \
            turn(r);                                                                               \
        assert_true(condition);                                                                    \
    } while (0)

/* As long as something could still happen that must not. */
static void linger(struct rig *r)
{
    uint64_t end = clock_now() + 700 * NS_PER_MS;
    UNTIL(r, clock_now() > end);
}

static int listen_somewhere(struct addr *a)
{
    static unsigned next;
    for (unsigned i = 0; i < 2000; i++) {
        char text[ADDR_TEXT_MAX];
        snprintf(text, sizeof text, "127.0.0.1:%u",
                 21000 + (next++ * 7 + (unsigned)getpid()) % 30000);
        assert_true(addr_parse(str_of(text), a));
        int fd = net_listen(a, 256, NULL);
        if (fd >= 0)
            return fd;
    }
    fail_msg("no free port");
    return -1;
}

static struct seal_key key(uint32_t id, bool use)
{
    struct seal_key k = {.id = id, .use = use};
    memset(k.secret, (int)id, sizeof k.secret);
    return k;
}

static void site_start(struct site *x)
{
    struct links_host h = {.context = x,
                           .name = on_name,
                           .message = on_message,
                           .changed = on_changed,
                           .complain = on_complain,
                           .guest_key = on_guest_key,
                           .guest = on_guest};
    assert_int_equal(links_new(&x->s, x->rig->loop, STR("prod"), x->id, &x->keys, &h, NULL), 0);
    int fd = x->at.kind ? net_listen(&x->at, 256, NULL) : listen_somewhere(&x->at);
    assert_true(fd >= 0);
    assert_int_equal(links_set_listener(x->s, fd, NULL), 0);
}

static void site_stop(struct site *x)
{
    links_free(x->s);
    x->s = NULL;
}

static void meet(struct site *x, const struct site *y)
{
    assert_int_equal(links_set_peer(x->s, y->id, &y->at, NULL), 0);
}

static void rig_open(struct rig *r)
{
    *r = (struct rig){0};
    assert_int_equal(loop_new(&r->loop, NULL), 0);
    timer_init(&r->tick, on_tick);
    for (unsigned i = 0; i < SITES; i++) {
        struct site *x = &r->sites[i];
        *x = (struct site){.rig = r, .id = 100 + i, .keys = {.n = 1, .keys = {key(1, true)}}};
        site_start(x);
    }
}

static void rig_close(struct rig *r)
{
    for (unsigned i = 0; i < SITES; i++)
        site_stop(&r->sites[i]);
    loop_free(r->loop);
}

static void all_meet(struct rig *r)
{
    for (unsigned i = 0; i < SITES; i++)
        for (unsigned k = 0; k < SITES; k++)
            if (i != k)
                meet(&r->sites[i], &r->sites[k]);
}

static unsigned links_up(const struct rig *r)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SITES; i++)
        n += r->sites[i].s ? links_counts(r->sites[i].s).up : 0;
    return n;
}

static int say(struct site *x, const struct site *to, const char *text)
{
    return links_send(x->s, to->id, 5, str_of(text), NULL);
}

/* --- nodes among themselves --- */

static void all_nodes_meet_and_hear_each_other(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1], *c = &r.sites[2];
    assert_int_equal(say(a, b, "too early"), -ERR_ABSENT);
    all_meet(&r);
    UNTIL(&r, links_up(&r) == 6);
    assert_int_equal(say(a, b, "down"), 0);
    UNTIL(&r, b->messages == 1);
    assert_true(b->from == a->id && b->kind == 5);
    assert_string_equal(b->last, "down");
    assert_int_equal(say(b, a, "up"), 0);
    UNTIL(&r, a->messages == 1);
    assert_string_equal(a->last, "up");
    assert_int_equal(links_broadcast(c->s, 6, STR("to all")), 2);
    UNTIL(&r, a->messages == 2 && b->messages == 2);
    assert_int_equal(a->from, c->id);
    for (unsigned i = 0; i < SITES; i++) {
        assert_int_equal(r.sites[i].ups, 2);
        assert_int_equal(r.sites[i].downs, 0);
        assert_int_equal(r.sites[i].complaints, 0);
        assert_int_equal(links_counts(r.sites[i].s).pending, 0);
    }
    rig_close(&r);
}

static void a_node_that_comes_back_is_found_again(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *c = &r.sites[2];
    all_meet(&r);
    UNTIL(&r, links_up(&r) == 6);
    site_stop(c);
    UNTIL(&r, a->downs == 1);
    assert_int_equal(say(a, c, "lost"), -ERR_ABSENT);
    linger(&r);
    site_start(c);
    meet(c, a);
    links_retry(a->s, c->id); /* it was heard */
    UNTIL(&r, a->ups == 3);
    assert_int_equal(say(a, c, "found"), 0);
    UNTIL(&r, c->messages == 1);
    assert_string_equal(c->last, "found");
    rig_close(&r);
}

/* The node that connects has started anew, and the one that accepts has not noticed that the old
 * one is gone: its packets do not arrive any more. */
static void a_second_link_of_a_node_replaces_the_first(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1], twin = *a;
    meet(a, b);
    meet(b, a);
    UNTIL(&r, a->ups == 1 && b->ups == 1);
    twin.at = (struct addr){0};
    site_start(&twin);
    meet(&twin, b);
    UNTIL(&r, twin.ups == 1 && b->ups == 2);
    assert_int_equal(b->downs, 1);
    assert_int_equal(links_counts(b->s).up, 1);
    links_drop_peer(a->s, b->id); /* or the two would replace each other for ever */
    UNTIL(&r, links_is_up(twin.s, b->id) && links_is_up(b->s, a->id));
    unsigned heard = twin.messages + a->messages;
    assert_int_equal(say(b, a, "to the living"), 0);
    UNTIL(&r, twin.messages + a->messages > heard);
    site_stop(&twin);
    rig_close(&r);
}

static void a_node_that_is_dropped_is_a_stranger(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    meet(a, b);
    meet(b, a);
    UNTIL(&r, a->ups == 1 && b->ups == 1);
    links_drop_peer(b->s, a->id);
    assert_int_equal(b->downs, 0); /* its own will */
    UNTIL(&r, a->downs == 1 && b->complaints == 1);
    assert_non_null(strstr(b->told, "does not have"));
    linger(&r);
    assert_int_equal(links_counts(b->s).up, 0);
    meet(b, a);
    UNTIL(&r, links_is_up(a->s, b->id) && links_is_up(b->s, a->id));
    links_close(b->s, a->id);
    UNTIL(&r, a->downs == 2);
    UNTIL(&r, links_is_up(a->s, b->id) && links_is_up(b->s, a->id));
    rig_close(&r);
}

static void a_full_queue_says_so(void **state)
{
    struct rig r;
    static char bytes[LINK_MESSAGE_MAX];
    struct str message = {bytes, sizeof bytes};
    struct err e = {0};
    unsigned took = 0;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    meet(a, b);
    meet(b, a);
    UNTIL(&r, a->ups == 1 && b->ups == 1);
    while (links_send(a->s, b->id, 1, message, &e) == 0)
        took++;
    assert_int_equal(e.code, -ERR_BUSY);
    assert_int_equal(links_broadcast(a->s, 1, message), 0);
    UNTIL(&r, b->messages == took);
    assert_int_equal(links_send(a->s, b->id, 1, message, &e), 0);
    rig_close(&r);
}

/* --- strangers --- */

static void refused_for(struct rig *r, struct site *by, struct site *who, const char *words)
{
    meet(who, by);
    UNTIL(r, by->complaints == 1 && links_counts(by->s).ended[LINK_KEY] >= 2);
    assert_non_null(strstr(by->told, words));
    linger(r);
    assert_int_equal(by->complaints, 1); /* told once, counted on */
    assert_true(links_counts(by->s).refused >= 2);
    assert_int_equal(by->ups + by->downs + by->messages, 0);
    assert_int_equal(who->ups + who->messages, 0);
}

static void a_node_with_another_key_stays_out(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    a->keys.keys[0].secret[0] ^= 1;
    links_set_keys(a->s, &a->keys);
    meet(b, a);
    refused_for(&r, b, a, "binder");
    assert_int_equal(a->complaints, 1);
    assert_non_null(strstr(a->told, "no link to b"));
    rig_close(&r);
}

static void a_key_that_is_not_known_is_named(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    a->keys.keys[0] = key(9, true);
    links_set_keys(a->s, &a->keys);
    meet(b, a);
    refused_for(&r, b, a, "key is not in this node's key file");
    rig_close(&r);
}

static void a_node_that_is_not_of_the_configuration_stays_out(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    refused_for(&r, &r.sites[1], &r.sites[0], "configuration does not have");
    rig_close(&r);
}

static void the_higher_id_waits(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    meet(b, a);
    linger(&r);
    assert_int_equal(links_counts(a->s).ended[LINK_KEY] + links_counts(a->s).refused, 0);
    assert_int_equal(links_counts(b->s).ended[LINK_KEY] + links_counts(b->s).up, 0);
    rig_close(&r);
}

static int stranger(const struct site *x)
{
    int fd = net_connect(&x->at, NULL);
    assert_true(fd >= 0);
    return fd;
}

static void strangers_are_counted_and_told_of_once(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *b = &r.sites[1];
    for (unsigned i = 0; i < 5; i++) {
        int fd = stranger(b);
        UNTIL(&r, send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
        UNTIL(&r, links_counts(b->s).ended[LINK_PLAIN] == i + 1);
        close(fd);
    }
    assert_int_equal(links_counts(b->s).refused, 5);
    assert_int_equal(b->complaints, 1);
    assert_non_null(strstr(b->told, "127.0.0.1"));
    rig_close(&r);
}

static void a_flood_of_the_silent_keeps_no_node_out(void **state)
{
    struct rig r;
    int fds[400];
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = stranger(b);
    UNTIL(&r, links_counts(b->s).refused >= ARRAY_LEN(fds) - LINKS_PENDING_EACH);
    assert_true(links_counts(b->s).pending <= LINKS_PENDING);
    meet(a, b);
    meet(b, a);
    UNTIL(&r, links_is_up(a->s, b->id) && links_is_up(b->s, a->id));
    assert_true(links_counts(b->s).pending <= LINKS_PENDING_EACH);
    assert_int_equal(b->complaints, 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    rig_close(&r);
}

/* Many addresses, each within its share: those that are nobody's go first. */
static void a_flood_from_everywhere_keeps_no_node_out(void **state)
{
    struct rig r;
    enum { ADDRESSES = 40, EACH = 4 };
    int fds[ADDRESSES * EACH];
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    meet(b, a);
    for (int i = 0; i < ADDRESSES * EACH; i++) {
        struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr = {htonl(0x7f000100u + (uint32_t)i / EACH)}};
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(b->at.port)};
        memcpy(&to.sin_addr, b->at.ip, 4);
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fds[i], (struct sockaddr *)&from, sizeof from), 0);
        connect(fds[i], (struct sockaddr *)&to, sizeof to);
        turn(&r);
    }
    assert_true(links_counts(b->s).pending <= LINKS_PENDING);
    meet(a, b);
    UNTIL(&r, links_is_up(a->s, b->id) && links_is_up(b->s, a->id));
    for (int i = 0; i < ADDRESSES * EACH; i++)
        close(fds[i]);
    rig_close(&r);
}

/* --- keys --- */

static void set_keys(struct site *x, struct keyring k)
{
    x->keys = k;
    links_set_keys(x->s, &x->keys);
}

static void a_rotation_loses_no_link(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    all_meet(&r);
    UNTIL(&r, links_up(&r) == 6);
    struct keyring accept = {.n = 2, .keys = {key(2, false), key(1, true)}};
    struct keyring use = {.n = 2, .keys = {key(2, true), key(1, false)}};
    struct keyring last = {.n = 1, .keys = {key(2, true)}};
    for (unsigned i = 0; i < SITES; i++)
        set_keys(&r.sites[i], accept);
    linger(&r);
    for (unsigned i = 0; i < SITES; i++)
        assert_int_equal(r.sites[i].ups, 2); /* nothing has changed yet */
    for (unsigned i = 0; i < SITES; i++) {
        set_keys(&r.sites[i], use);
        turn(&r);
        assert_int_equal(links_up(&r), 6);
    }
    for (unsigned i = 0; i < SITES; i++)
        for (unsigned k = 0; k < SITES; k++)
            if (i != k)
                UNTIL(&r, links_key(r.sites[i].s, r.sites[k].id) == 2);
    for (unsigned i = 0; i < SITES; i++) {
        set_keys(&r.sites[i], last);
        turn(&r);
        assert_int_equal(links_up(&r), 6);
        assert_int_equal(r.sites[i].complaints, 0);
    }
    assert_int_equal(say(&r.sites[0], &r.sites[2], "still here"), 0);
    UNTIL(&r, r.sites[2].messages == 1);
    rig_close(&r);
}

/* Either end may be the one that slept. */
static void who_slept_through_a_rotation_comes_in_by_the_old_key(void **state)
{
    (void)state;
    for (unsigned sleeper = 0; sleeper < 2; sleeper++) {
        struct rig r;
        rig_open(&r);
        struct site *a = &r.sites[0], *b = &r.sites[1];
        set_keys(&r.sites[1 - sleeper],
                 (struct keyring){.n = 3, .keys = {key(3, true), key(2, false), key(1, false)}});
        meet(a, b);
        meet(b, a);
        UNTIL(&r, links_is_up(a->s, b->id) && links_is_up(b->s, a->id));
        assert_int_equal(links_key(a->s, b->id), 1);
        assert_int_equal(links_key(b->s, a->id), 1);
        rig_close(&r);
    }
}

static void a_key_that_is_gone_ends_its_links(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    meet(a, b);
    meet(b, a);
    UNTIL(&r, a->ups == 1 && b->ups == 1);
    set_keys(b, (struct keyring){.n = 1, .keys = {key(2, true)}});
    assert_int_equal(links_counts(b->s).up, 0);
    UNTIL(&r, a->downs == 1);
    linger(&r);
    assert_int_equal(links_up(&r), 0);
    set_keys(a, (struct keyring){.n = 1, .keys = {key(2, true)}});
    UNTIL(&r, links_is_up(a->s, b->id) && links_is_up(b->s, a->id));
    rig_close(&r);
}

/* --- guests --- */

struct guest {
    struct rig *rig;
    struct link_tls *tls;
    struct link *k;
    bool gone;
    enum link_why why;
    char answer[64];
};

static void guest_up(struct link *k)
{
    struct guest *g = link_owner(k);
    assert_int_equal(link_send(g->k, 3, STR("newcomer"), NULL), 0);
}

static void guest_message(struct link *k, uint16_t kind, struct str bytes)
{
    struct guest *g = link_owner(k);
    assert_int_equal(kind, 3);
    str_copy(g->answer, sizeof g->answer, bytes);
}

static void guest_gone(struct link *k, enum link_why why, const char *text)
{
    struct guest *g = link_owner(k);
    (void)text;
    g->gone = true;
    g->why = why;
}

static void guest_come(struct rig *r, struct guest *g, const struct site *to, uint64_t token)
{
    static const struct link_host host = {NULL, guest_up, guest_message, guest_gone};
    struct identity who = {.guest = true, .token = token};
    char text[IDENTITY_MAX + 1];
    struct str identity = {text, identity_write(&who, text)};
    *g = (struct guest){.rig = r};
    assert_int_equal(link_tls_new(&g->tls, NULL), 0);
    assert_int_equal(
        link_connect(&g->k, g->tls, r->loop, &to->at, identity, guest_secret, &host, g, NULL), 0);
    UNTIL(r, g->gone);
    link_tls_free(g->tls);
}

static void a_guest_asks_once_and_is_answered(void **state)
{
    struct rig r;
    struct guest g;
    (void)state;
    rig_open(&r);
    r.token = 77;
    guest_come(&r, &g, &r.sites[1], 77);
    assert_int_equal(g.why, LINK_GOODBYE);
    assert_string_equal(g.answer, "welcome, newcomer");
    assert_int_equal(r.sites[1].guests, 1);
    assert_int_equal(r.sites[1].messages + r.sites[1].ups, 0); /* it is no node */
    UNTIL(&r, links_counts(r.sites[1].s).pending == 0);
    guest_come(&r, &g, &r.sites[1], 78);
    assert_int_equal(g.why, LINK_KEY);
    assert_int_equal(r.sites[1].guests, 1);
    assert_non_null(strstr(r.sites[1].told, "token is not known"));
    rig_close(&r);
}

/* It has the key, and yet it is not its turn: else two links could replace each other for ever. */
static void who_connects_out_of_turn_is_refused(void **state)
{
    static const struct link_host host = {NULL, guest_up, guest_message, guest_gone};
    struct rig r;
    struct guest g = {.gone = false};
    char text[IDENTITY_MAX + 1];
    (void)state;
    rig_open(&r);
    struct site *a = &r.sites[0], *b = &r.sites[1];
    meet(a, b);
    site_stop(b);
    struct identity who = {
        .key = 1, .cluster = node_id(STR("prod"), STR("")), .from = b->id, .to = a->id};
    struct str identity = {text, identity_write(&who, text)};
    assert_int_equal(link_tls_new(&g.tls, NULL), 0);
    assert_int_equal(link_connect(&g.k, g.tls, r.loop, &a->at, identity, b->keys.keys[0].secret,
                                  &host, &g, NULL),
                     0);
    UNTIL(&r, g.gone);
    assert_int_equal(g.why, LINK_KEY);
    assert_non_null(strstr(a->told, "for this node to connect"));
    assert_int_equal(a->ups, 0);
    link_tls_free(g.tls);
    rig_close(&r);
}

/* --- memory --- */

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (unsigned long at = 1; at < 200; at++) {
        struct rig r;
        rig_open(&r);
        struct site *a = &r.sites[0], *b = &r.sites[1];
        mem_fail_at(at);
        links_set_peer(a->s, b->id, &b->at, NULL);
        links_set_peer(b->s, a->id, &a->at, NULL);
        UNTIL(&r, mem_failed() || (links_is_up(a->s, b->id) && links_is_up(b->s, a->id)));
        bool failed = mem_failed();
        mem_fail_at(0);
        meet(a, b);
        meet(b, a); /* it comes up all the same */
        UNTIL(&r, links_is_up(a->s, b->id) && links_is_up(b->s, a->id));
        rig_close(&r);
        if (!failed)
            return;
    }
    fail();
}

static void a_start_without_memory_leaves_nothing(void **state)
{
    struct rig r;
    struct links_host h = {0};
    struct links *s = NULL;
    (void)state;
    rig_open(&r);
    for (unsigned long at = 1;; at++) {
        mem_fail_at(at);
        int rc = links_new(&s, r.loop, STR("prod"), 1, &r.sites[0].keys, &h, NULL);
        bool failed = mem_failed();
        mem_fail_at(0);
        if (!failed) {
            assert_int_equal(rc, 0);
            break;
        }
        if (rc == 0) /* node_id does without */
            links_free(s);
        else
            assert_int_equal(rc, -ERR_NOMEM);
    }
    links_free(s);
    links_free(NULL);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_nodes_meet_and_hear_each_other),
        cmocka_unit_test(a_node_that_comes_back_is_found_again),
        cmocka_unit_test(a_second_link_of_a_node_replaces_the_first),
        cmocka_unit_test(a_node_that_is_dropped_is_a_stranger),
        cmocka_unit_test(a_full_queue_says_so),
        cmocka_unit_test(a_node_with_another_key_stays_out),
        cmocka_unit_test(a_key_that_is_not_known_is_named),
        cmocka_unit_test(a_node_that_is_not_of_the_configuration_stays_out),
        cmocka_unit_test(the_higher_id_waits),
        cmocka_unit_test(strangers_are_counted_and_told_of_once),
        cmocka_unit_test(a_flood_of_the_silent_keeps_no_node_out),
        cmocka_unit_test(a_flood_from_everywhere_keeps_no_node_out),
        cmocka_unit_test(a_rotation_loses_no_link),
        cmocka_unit_test(who_slept_through_a_rotation_comes_in_by_the_old_key),
        cmocka_unit_test(a_key_that_is_gone_ends_its_links),
        cmocka_unit_test(a_guest_asks_once_and_is_answered),
        cmocka_unit_test(who_connects_out_of_turn_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_start_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
