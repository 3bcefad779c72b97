/* Which sockets a view keeps, against a plain statement of the rule for every pair of small lists;
 * and what makes a service another. */
#include "view/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { KINDS = 4, LONGEST = 4, LISTS = 1 + KINDS + KINDS * KINDS + 64 + 256 };

/* Two ports, the second use of one, and a log. */
static struct view_socket socket_of(unsigned kind)
{
    struct view_socket s = {.use = SOCKET_HTTP, .addr = {.kind = ADDR_IP4, .port = 80}};
    if (kind == 1)
        s.addr.port = 81;
    if (kind == 2)
        s.use = SOCKET_METRICS;
    if (kind == 3) {
        s.use = SOCKET_ACCESS_LOG;
        s.addr = (struct addr){.kind = ADDR_UNIX, .path = "/log"};
    }
    return s;
}

/* The list number n of all lists up to LONGEST. */
static size_t list_of(unsigned n, struct view_socket out[LONGEST])
{
    size_t length = 0;
    for (unsigned count = 1; n >= count; count *= KINDS, length++)
        n -= count;
    for (size_t i = 0; i < length; i++, n /= KINDS)
        out[i] = socket_of(n % KINDS);
    return length;
}

static bool equal(const struct view_socket *a, const struct view_socket *b)
{
    bool logs = a->use == SOCKET_ACCESS_LOG;
    return logs == (b->use == SOCKET_ACCESS_LOG) && addr_eq(&a->addr, &b->addr);
}

static size_t count(const struct view_socket *list, size_t n, const struct view_socket *what)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += equal(&list[i], what);
    return found;
}

static void check_pair(const struct view_socket *now, size_t n_now, const struct view_socket *next,
                       size_t n_next)
{
    int32_t from[LONGEST];
    bool used[LONGEST] = {false};
    size_t kept = 0;
    assert_true(view_keep_sockets(now, n_now, next, n_next, from));
    for (size_t i = 0; i < n_next; i++) {
        if (from[i] == VIEW_SOCKET_NEW)
            continue;
        assert_in_range(from[i], 0, n_now - 1);
        assert_true(equal(&now[from[i]], &next[i]));
        assert_int_not_equal(next[i].use, SOCKET_ACCESS_LOG);
        assert_false(used[from[i]]);
        used[from[i]] = true;
        kept++;
    }
    size_t possible = 0;
    for (unsigned k = 0; k < 2; k++) { /* the third is the first, used otherwise */
        struct view_socket s = socket_of(k);
        possible += MIN(count(now, n_now, &s), count(next, n_next, &s));
    }
    assert_int_equal(kept, possible);
}

static void every_pair_of_small_lists(void **state)
{
    for (unsigned a = 0; a < LISTS; a++) {
        for (unsigned b = 0; b < LISTS; b++) {
            struct view_socket now[LONGEST], next[LONGEST];
            size_t n_now = list_of(a, now), n_next = list_of(b, next);
            check_pair(now, n_now, next, n_next);
        }
    }
}

/* A large list, turned round: each socket is found, and none twice. */
static void many_sockets_in_another_order(void **state)
{
    enum { MANY = VIEW_MAX_SOCKETS };
    static struct view_socket now[MANY], next[MANY];
    static int32_t from[MANY];
    (void)state;
    for (uint16_t i = 0; i < MANY; i++) {
        now[i] = (struct view_socket){.use = SOCKET_TCP,
                                      .addr = {.kind = ADDR_IP4, .port = (uint16_t)(i + 1)}};
        next[MANY - 1 - i] = now[i];
        next[MANY - 1 - i].use = SOCKET_HTTP;
    }
    assert_true(view_keep_sockets(now, MANY, next, MANY, from));
    for (int32_t i = 0; i < MANY; i++)
        assert_int_equal(from[i], MANY - 1 - i);
    assert_true(view_keep_sockets(NULL, 0, next, MANY, from));
    assert_int_equal(from[7], VIEW_SOCKET_NEW);
}

/* --- services --- */

static struct view *view_of_two(void)
{
    struct view *v = view_new();
    assert_non_null(v);
    v->epoch = 1;
    v->n_sockets = v->n_services = 2;
    v->sockets = arena_array(&v->arena, 2, sizeof *v->sockets);
    v->services = arena_array(&v->arena, 2, sizeof *v->services);
    for (uint32_t i = 0; i < 2; i++) {
        struct view_service *s = &v->services[i];
        v->sockets[i] = socket_of(i);
        s->name = i ? STR("two") : STR("one");
        s->slot = i;
        s->n_sockets = 1;
        s->sockets = arena_array(&v->arena, 1, sizeof *s->sockets);
        s->sockets[0] = i;
        s->access_log = -1;
        s->n_instances = 1;
        s->instances = arena_array(&v->arena, 1, sizeof *s->instances);
        s->instances[0] = (struct view_instance){
            .name = STR("a"), .addr = {.kind = ADDR_IP4, .port = 80}, .weight = 1, .slot = i};
    }
    return v;
}

static bool same(struct view *a, uint32_t x, struct view *b, uint32_t y)
{
    struct buf scratch[2] = {{0}, {0}};
    bool is = view_same_service(a, &a->services[x], b, &b->services[y], scratch);
    buf_free(&scratch[0]);
    buf_free(&scratch[1]);
    return is;
}

/* Every kind of change is one; another place in the lists is none. */
static void a_service_is_the_same_while_nothing_of_it_changes(void **state)
{
    (void)state;
    struct view *a = view_of_two(), *b = view_of_two();
    struct view_service *s = &b->services[0];
    assert_true(same(a, 0, b, 0));
    assert_false(same(a, 0, b, 1));
#define CHANGES(FIELD, VALUE)                                                                      \
    do {                                                                                           \
        __typeof__(FIELD) was = FIELD;                                                             \
        FIELD = VALUE;                                                                             \
        assert_false(same(a, 0, b, 0));                                                            \
        FIELD = was;                                                                               \
        assert_true(same(a, 0, b, 0));                                                             \
    } while (0)
    CHANGES(s->slot, 3);
    CHANGES(s->mode, VIEW_TCP);
    CHANGES(s->balance, ALGORITHM_MAGLEV);
    CHANGES(s->timeouts.drain, 1);
    CHANGES(s->limits.min_rate, 1);
    CHANGES(s->instances[0].weight, 2);
    CHANGES(s->instances[0].addr.port, 81);
    CHANGES(s->instances[0].name, STR("b"));
    CHANGES(s->instances[0].slot, 5);
    CHANGES(s->n_instances, 0);
    CHANGES(s->n_sockets, 0);
    CHANGES(b->sockets[0].addr.port, 82);
#undef CHANGES
    struct view_socket first = b->sockets[0];
    b->sockets[0] = b->sockets[1];
    b->sockets[1] = first;
    s->sockets[0] = 1;
    assert_true(same(a, 0, b, 0));
    view_free(a);
    view_free(b);
}

/* Of kind primary: candidates are who they are, wherever the cluster's table has them. */
static void candidates_are_known_by_name_and_address(void **state)
{
    (void)state;
    struct view *a = view_of_two(), *b = view_of_two();
    struct view_node of_a[3] = {{.name = STR("a")}, {.name = STR("b")}, {.name = STR("c")}};
    struct view_node of_b[3] = {{.name = STR("b")}, {.name = STR("a")}, {.name = STR("c")}};
    a->cluster.nodes = of_a;
    b->cluster.nodes = of_b;
    a->cluster.n_nodes = b->cluster.n_nodes = 3;
    struct view_primary *p = &a->services[0].primary, *q = &b->services[0].primary;
    *p = *q = (struct view_primary){.agent = AGENT_PROCESS, .n_on = 2, .on = {0, 1}};
    assert_false(same(a, 0, b, 0)); /* a and b, b and a */
    q->on[0] = 1;
    q->on[1] = 0;
    assert_true(same(a, 0, b, 0));
    of_b[0].address.port = 1;
    assert_false(same(a, 0, b, 0));
    of_b[0].address.port = 0;
    q->hold = 1;
    assert_false(same(a, 0, b, 0));
    q->hold = 0;
    q->n_on = 1;
    assert_false(same(a, 0, b, 0));
    view_free(a);
    view_free(b);
}

static void a_service_is_found_wherever_it_is(void **state)
{
    (void)state;
    struct view *v = view_of_two();
    struct view_index x = {.v = v}, nothing = {.v = NULL};
    for (uint32_t at = 0; at < 3; at++) {
        assert_ptr_equal(view_index_find(&x, at, STR("one")), &v->services[0]);
        assert_ptr_equal(view_index_find(&x, at, STR("two")), &v->services[1]);
        assert_null(view_index_find(&x, at, STR("three")));
    }
    assert_null(view_index_find(&nothing, 0, STR("one")));
    view_index_free(&x);
    view_index_free(&nothing);
    view_free(v);
}

/* What is spoken on a listening socket does not matter; whether it carries datagrams does. */
static void datagrams_and_streams_are_apart(void **state)
{
    struct addr a = {.kind = ADDR_IP4, .port = 7300, .ip = {10, 0, 0, 1}};
    const struct view_socket now[] = {{SOCKET_LINK, a, 0}, {SOCKET_GOSSIP, a, 1}};
    const struct view_socket next[] = {{SOCKET_UDP, a, 0}, {SOCKET_TCP, a, 1}};
    int32_t from[2];
    assert_true(view_keep_sockets(now, 2, next, 2, from));
    assert_int_equal(from[0], 1);
    assert_int_equal(from[1], 0);
    assert_true(view_keep_sockets(now, 1, next, 2, from));
    assert_int_equal(from[0], VIEW_SOCKET_NEW);
    assert_int_equal(from[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_and_streams_are_apart),
        cmocka_unit_test(every_pair_of_small_lists),
        cmocka_unit_test(many_sockets_in_another_order),
        cmocka_unit_test(a_service_is_the_same_while_nothing_of_it_changes),
        cmocka_unit_test(candidates_are_known_by_name_and_address),
        cmocka_unit_test(a_service_is_found_wherever_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
