/* Engines over a membership that says what the test tells it to say, and remembers what it heard.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "mesh/engine.h"
#include "mesh/hello.h"
#include "wire/lease.h"

#define MS UINT64_C(1000000)

/* ---- the membership ---- */

enum { HEARD_MAX = 64 };

struct membership {
    struct member_host host;
    bool others; /* every id is a member */
    uint64_t refused, ticked, incarnation;
    uint32_t heard;
    struct {
        uint64_t from;
        char text[64];
    } list[HEARD_MAX];
};

int member_new(struct membership **out, const struct member_params *p, const struct member_host *h,
               const struct member_node *self, uint64_t incarnation, uint64_t seed, uint64_t now,
               struct err *e)
{
    struct membership *m = mem_zero(1, sizeof *m);
    *out = m;
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory");
    *m = (struct membership){.host = *h, .others = true, .incarnation = incarnation};
    return 0;
}

void member_free(struct membership *m)
{
    mem_free(m);
}

/* What begins with '!' is malformed. */
void member_receive(struct membership *m, uint64_t from, const void *p, size_t n, uint64_t now)
{
    if (n && *(const char *)p == '!') {
        m->refused++;
        return;
    }
    assert_true(m->heard < HEARD_MAX);
    m->list[m->heard].from = from;
    str_copy(m->list[m->heard++].text, sizeof m->list[0].text, (struct str){p, n});
}

void member_tick(struct membership *m, uint64_t now)
{
    m->ticked = now;
}

uint64_t member_deadline(const struct membership *m)
{
    return m->ticked + 7;
}

bool member_find(const struct membership *m, uint64_t id, struct member_info *out)
{
    *out = (struct member_info){.id = id};
    return m->others;
}

uint64_t member_refused(const struct membership *m)
{
    return m->refused;
}

/* ---- two nodes and the datagrams between them ---- */

enum { AIR = 256 };

struct net;
struct node {
    struct net *net;
    uint64_t id;
    struct engine *engine;
    struct membership *members;
    uint32_t refused[SEAL_RESULTS], payloads, changes, leases;
    uint64_t incarnation;
};

struct net {
    struct node a, b;
    uint64_t now, entropy;
    uint32_t flying;
    struct {
        uint64_t to;
        size_t n;
        uint8_t p[SEAL_DATAGRAM_MAX];
    } air[AIR];
};

static void on_send(void *context, uint64_t to, const void *p, size_t n)
{
    struct node *x = context;
    struct net *t = x->net;
    assert_true(t->flying < AIR && n <= SEAL_DATAGRAM_MAX);
    t->air[t->flying].to = to;
    t->air[t->flying].n = n;
    memcpy(t->air[t->flying++].p, p, n);
}

static void on_changed(void *context, const struct member_change *c)
{
    struct node *x = context;
    x->changes++;
}

static void on_incarnation(void *context, uint64_t incarnation)
{
    struct node *x = context;
    x->incarnation = incarnation;
}

static void on_entropy(void *context, void *out, size_t n)
{
    struct node *x = context;
    memset(out, 0, n);
    memcpy(out, &x->net->entropy, MIN(n, sizeof x->net->entropy));
    x->net->entropy++;
}

static void on_refused(void *context, enum seal_result why, bool payload)
{
    struct node *x = context;
    assert_int_equal(payload, why == SEAL_OK);
    x->refused[why]++;
    x->payloads += payload;
}

/* Those of one byte are malformed. */
static bool on_lease(void *context, uint64_t from, const void *payload, size_t n)
{
    struct node *x = context;
    assert_true(from != x->id && *(const uint8_t *)payload == LEASE_VERSION);
    x->leases++;
    return n > 1;
}

static struct keyring keys_of(uint8_t seed)
{
    struct keyring k = {0};
    assert_int_equal(keyring_add(&k, (const uint8_t[SEAL_SECRET]){seed}, NULL), 0);
    return k;
}

static struct engine_host host_of(struct node *x)
{
    return (struct engine_host){.context = x,
                                .send = on_send,
                                .changed = on_changed,
                                .incarnation = on_incarnation,
                                .entropy = on_entropy,
                                .refused = on_refused,
                                .lease = on_lease};
}

static int try_start(struct node *x, const char *cluster, uint8_t key, bool plain)
{
    struct err e = {0};
    const struct engine_host h = host_of(x);
    const struct engine_options o = {.cluster = str_of(cluster),
                                     .self = {.id = x->id},
                                     .keys = plain ? (struct keyring){0} : keys_of(key),
                                     .incarnation = 4,
                                     .plain = plain};
    int rc = engine_new(&x->engine, &o, &h, x->net->now, &e);
    assert_true(rc == 0 || e.text[0]);
    x->members = rc ? NULL : engine_members(x->engine);
    return rc;
}

static void start(struct node *x, const char *cluster, uint8_t key, bool plain)
{
    assert_int_equal(try_start(x, cluster, key, plain), 0);
    assert_int_equal(x->members->incarnation, 4);
}

static struct net *net_new(void)
{
    struct net *t = mem_zero(1, sizeof *t);
    assert_non_null(t);
    t->now = 1000 * MS;
    t->a = (struct node){.net = t, .id = 1};
    t->b = (struct node){.net = t, .id = 2};
    return t;
}

static struct net *two_nodes(bool plain)
{
    struct net *t = net_new();
    start(&t->a, "prod", 1, plain);
    start(&t->b, "prod", 1, plain);
    return t;
}

static void net_free(struct net *t)
{
    engine_free(t->a.engine);
    engine_free(t->b.engine);
    mem_free(t);
}

static void arrive(struct net *t, uint32_t i)
{
    struct node *x = t->air[i].to == t->a.id ? &t->a : &t->b;
    if (t->air[i].to == x->id)
        engine_receive(x->engine, t->air[i].p, t->air[i].n, t->now);
}

/* Everything arrives, in order, and what comes of it. */
static void calm(struct net *t)
{
    for (uint32_t i = 0; i < t->flying; i++)
        arrive(t, i);
    t->flying = 0;
}

static void say(struct node *x, uint64_t to, const char *text)
{
    engine_tick(x->engine, x->net->now); /* members speak when time passes */
    x->members->host.send(x->members->host.context, to, text, strlen(text));
}

static void assert_last(const struct node *x, uint64_t from, const char *text)
{
    assert_true(x->members->heard > 0);
    assert_int_equal(x->members->list[x->members->heard - 1].from, from);
    assert_string_equal(x->members->list[x->members->heard - 1].text, text);
}

/* ---- */

static void the_first_message_waits_for_its_session(void **state)
{
    struct net *t = two_nodes(false);
    say(&t->a, 2, "ping");
    assert_int_equal(t->flying, 1); /* HELLO */
    calm(t);
    assert_int_equal(t->b.members->heard, 1);
    assert_last(&t->b, 1, "ping");
    say(&t->b, 1, "pong");
    assert_int_equal(t->flying, 1);
    calm(t);
    assert_last(&t->a, 2, "pong");
    for (int i = 0; i < SEAL_RESULTS; i++)
        assert_int_equal(t->a.refused[i] + t->b.refused[i], 0);
    net_free(t);
}

static void both_may_speak_first(void **state)
{
    struct net *t = two_nodes(false);
    say(&t->a, 2, "from a");
    say(&t->b, 1, "from b");
    calm(t);
    assert_last(&t->b, 1, "from a");
    assert_last(&t->a, 2, "from b");
    net_free(t);
}

static void only_the_newest_waits_and_not_for_long(void **state)
{
    struct net *t = two_nodes(false);
    say(&t->a, 2, "old");
    say(&t->a, 2, "new");
    calm(t);
    assert_int_equal(t->b.members->heard, 1);
    assert_last(&t->b, 1, "new");
    engine_forget(t->a.engine, 2, t->now);
    engine_forget(t->b.engine, 1, t->now);
    say(&t->a, 2, "stale");
    t->now += 1001 * MS;
    calm(t);
    assert_int_equal(t->b.members->heard, 1);
    say(&t->a, 2, "fresh");
    calm(t);
    assert_last(&t->b, 1, "fresh");
    net_free(t);
}

/* Leases go beside what members say, and neither takes the other's place. */
static void leases_pass_beside_gossip(void **state)
{
    for (int plain = 0; plain < 2; plain++) {
        struct net *t = two_nodes(plain);
        uint8_t payload[] = {LEASE_VERSION, 0};
        say(&t->a, 2, "ping");
        engine_send_lease(t->a.engine, 2, payload, sizeof payload, t->now);
        calm(t);
        assert_last(&t->b, 1, "ping");
        assert_int_equal(t->b.leases, 1);
        assert_int_equal(t->b.members->heard, 1);
        engine_send_lease(t->a.engine, 2, payload, 1, t->now);
        calm(t);
        assert_true(t->b.leases == 2 && t->b.payloads == 1);
        t->b.members->others = false;
        engine_send_lease(t->a.engine, 2, payload, sizeof payload, t->now);
        calm(t);
        assert_int_equal(t->b.leases, 2);
        net_free(t);
    }
}

static void few_messages_wait(void **state)
{
    struct net *t = two_nodes(false);
    for (uint64_t id = 2; id < 2 + 32; id++, t->now += MS)
        say(&t->a, id, "one");
    say(&t->a, 100, "one too many"); /* takes the place of the oldest, which was to b */
    calm(t);
    assert_int_equal(t->b.members->heard, 0);
    assert_int_equal(seal_count(engine_seal(t->a.engine), SEAL_REPLY), 1);
    say(&t->a, 2, "but the session is there");
    calm(t);
    assert_last(&t->b, 1, "but the session is there");
    net_free(t);
}

static void what_waits_for_a_forgotten_node_is_dropped(void **state)
{
    struct net *t = two_nodes(false);
    say(&t->a, 2, "x");
    engine_forget(t->a.engine, 2, t->now);
    t->flying = 0;
    say(&t->b, 1, "y");
    calm(t);
    assert_last(&t->a, 2, "y");
    assert_int_equal(t->b.members->heard, 0);
    net_free(t);
}

static void only_members_have_sessions(void **state)
{
    struct net *t = two_nodes(false);
    t->b.members->others = false;
    say(&t->a, 2, "x");
    calm(t);
    assert_int_equal(t->b.refused[SEAL_STRANGER], 1);
    assert_int_equal(t->b.members->heard, 0);
    t->b.members->others = true; /* it has joined */
    t->now += 100 * MS;
    say(&t->a, 2, "y");
    calm(t);
    assert_last(&t->b, 1, "y");
    net_free(t);
}

static void refusals_are_told_with_their_reason(void **state)
{
    struct net *t = two_nodes(false);
    uint8_t junk[20] = {'H', 'F', 1, 3};
    say(&t->a, 2, "x");
    calm(t);
    engine_receive(t->b.engine, junk, sizeof junk, t->now);
    assert_int_equal(t->b.refused[SEAL_CLUSTER], 1);
    say(&t->a, 2, "x");
    t->air[t->flying] = t->air[0], t->flying++; /* twice */
    t->air[t->flying] = t->air[0];
    t->air[t->flying++].p[30] ^= 1;
    calm(t);
    assert_int_equal(t->b.refused[SEAL_REPLAYED], 2);
    say(&t->a, 2, "!malformed");
    calm(t);
    assert_int_equal(t->b.payloads, 1);
    assert_int_equal(t->b.refused[SEAL_OK], 1);
    net_free(t);
}

static void nodes_without_the_key_reach_nobody(void **state)
{
    struct net *t = net_new();
    start(&t->a, "prod", 1, false);
    start(&t->b, "prod", 2, false);
    say(&t->a, 2, "x");
    say(&t->b, 1, "x");
    calm(t);
    assert_int_equal(t->a.refused[SEAL_KEY], 1);
    assert_int_equal(t->b.refused[SEAL_KEY], 1);
    assert_int_equal(t->a.members->heard + t->b.members->heard, 0);
    net_free(t);
}

static void sessions_follow_the_keys(void **state)
{
    struct net *t = two_nodes(false);
    say(&t->a, 2, "x");
    calm(t);
    struct keyring k = keys_of(1);
    assert_int_equal(keyring_add(&k, (const uint8_t[SEAL_SECRET]){2}, NULL), 0);
    assert_int_equal(keyring_use(&k, k.keys[0].id, NULL), 0);
    seal_set_keys(engine_seal(t->a.engine), &k);
    seal_set_keys(engine_seal(t->b.engine), &k);
    t->now += 100 * MS;
    say(&t->a, 2, "under the old one");
    assert_int_equal(t->flying, 2); /* and a HELLO */
    calm(t);
    assert_last(&t->b, 1, "under the old one");
    assert_int_equal(keyring_drop(&k, k.keys[1].id, NULL), 0);
    seal_set_keys(engine_seal(t->a.engine), &k);
    seal_set_keys(engine_seal(t->b.engine), &k);
    say(&t->b, 1, "under the new one");
    assert_int_equal(t->flying, 1);
    calm(t);
    assert_last(&t->a, 2, "under the new one");
    net_free(t);
}

static void plain_nodes_say_who_they_are(void **state)
{
    struct net *t = two_nodes(true);
    assert_null(engine_seal(t->a.engine));
    say(&t->a, 2, "ping");
    assert_int_equal(t->flying, 1);
    assert_int_equal(t->air[0].n, 16 + 4);
    calm(t);
    assert_last(&t->b, 1, "ping");
    say(&t->a, 2, "!malformed");
    calm(t);
    assert_int_equal(t->b.payloads, 1);
    engine_forget(t->b.engine, 1, t->now);
    for (size_t n = 0; n < 16; n++) {
        uint8_t p[16] = {'H', 'F', 1, FRAME_PLAIN};
        assert_true(frame_tag(STR("prod"), p + 4));
        engine_receive(t->b.engine, p, n, t->now);
    }
    assert_int_equal(t->b.refused[SEAL_SHORT], 16);
    net_free(t);
}

static void plain_and_sealed_do_not_mix(void **state)
{
    struct net *t = net_new();
    start(&t->a, "prod", 1, true);
    start(&t->b, "prod", 1, false);
    say(&t->a, 2, "x");
    say(&t->b, 1, "x");
    calm(t);
    assert_int_equal(t->a.refused[SEAL_VERSION], 1);
    assert_int_equal(t->b.refused[SEAL_VERSION], 1);
    net_free(t);
    t = net_new();
    start(&t->a, "prod", 1, true);
    start(&t->b, "test", 1, true);
    say(&t->a, 2, "x");
    calm(t);
    assert_int_equal(t->b.refused[SEAL_CLUSTER], 1);
    net_free(t);
}

static void what_members_tell_is_passed_on(void **state)
{
    struct net *t = two_nodes(false);
    struct member_host *h = &t->a.members->host;
    h->changed(h->context, &(struct member_change){0});
    h->incarnation(h->context, 9);
    assert_int_equal(t->a.changes, 1);
    assert_int_equal(t->a.incarnation, 9);
    engine_tick(t->a.engine, t->now);
    assert_int_equal(engine_deadline(t->a.engine), t->now + 7);
    net_free(t);
}

static void a_start_without_memory_or_keys_fails_whole(void **state)
{
    struct net *t = net_new();
    for (unsigned long n = 1; n <= 3; n++) {
        mem_fail_at(n);
        assert_int_equal(try_start(&t->a, "prod", 1, false), -ERR_NOMEM);
        assert_true(mem_failed());
        assert_null(t->a.engine);
    }
    mem_fail_at(0);
    struct err e = {0};
    const struct engine_host h = host_of(&t->a);
    assert_int_equal(engine_new(&t->a.engine, &(struct engine_options){0}, &h, 0, &e), -ERR_INVAL);
    assert_null(t->a.engine);
    net_free(t);
}

static void a_message_that_cannot_wait_is_lost_alone(void **state)
{
    struct net *t = two_nodes(false);
    say(&t->a, 3, "x"); /* the table of peers is there */
    t->flying = 0;
    mem_fail_at(2); /* the peer, then its message */
    say(&t->a, 2, "lost");
    assert_true(mem_failed());
    mem_fail_at(0);
    calm(t);
    assert_int_equal(t->b.members->heard, 0);
    say(&t->a, 2, "next");
    calm(t);
    assert_last(&t->b, 1, "next");
    net_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_message_waits_for_its_session),
        cmocka_unit_test(both_may_speak_first),
        cmocka_unit_test(only_the_newest_waits_and_not_for_long),
        cmocka_unit_test(few_messages_wait),
        cmocka_unit_test(leases_pass_beside_gossip),
        cmocka_unit_test(what_waits_for_a_forgotten_node_is_dropped),
        cmocka_unit_test(only_members_have_sessions),
        cmocka_unit_test(refusals_are_told_with_their_reason),
        cmocka_unit_test(nodes_without_the_key_reach_nobody),
        cmocka_unit_test(sessions_follow_the_keys),
        cmocka_unit_test(plain_nodes_say_who_they_are),
        cmocka_unit_test(plain_and_sealed_do_not_mix),
        cmocka_unit_test(what_members_tell_is_passed_on),
        cmocka_unit_test(a_start_without_memory_or_keys_fails_whole),
        cmocka_unit_test(a_message_that_cannot_wait_is_lost_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
