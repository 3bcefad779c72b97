/* The picture of a membership: names in order, addresses from the view, and whole or an error at
 * every allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "admin/cluster.h"
#include "os/os.h"

static void no_send(void *context, uint64_t to, const void *p, size_t n)
{
}

static void no_change(void *context, const struct member_change *c)
{
}

static void no_incarnation(void *context, uint64_t incarnation)
{
}

/* Ids are not in the order of names, and nobody knows what 7 is called. */
static const char *name_of(void *context, uint64_t id)
{
    static const char *const names[] = {"", "c", "a", "b"};
    return id < ARRAY_LEN(names) ? names[id] : "";
}

static struct membership *make(void)
{
    const struct member_host host = {
        .send = no_send, .changed = no_change, .incarnation = no_incarnation};
    const struct member_params params = member_defaults();
    struct membership *m;
    struct err e = {0};
    assert_int_equal(
        member_new(&m, &params, &host, &(struct member_node){.id = 2}, 5, 1, NS_PER_S, &e), 0);
    for (uint64_t id = 1; id <= 7; id += id == 3 ? 4 : 2)
        assert_int_equal(member_add(m, &(struct member_node){.id = id}, NS_PER_S, &e), 0);
    return m;
}

static struct view_cluster nodes(struct view_node list[3])
{
    static const char *const names[] = {"a", "b", "c"};
    for (uint32_t i = 0; i < 3; i++) {
        list[i] = (struct view_node){.name = str_of(names[i]), .zone = STR("east")};
        assert_true(addr_parse(STR("10.0.0.1:7300"), &list[i].address));
        list[i].address.port = (uint16_t)(7300 + i);
    }
    return (struct view_cluster){.name = STR("prod"), .nodes = list, .n_nodes = 3};
}

static void members_stand_in_the_order_of_their_names(void **state)
{
    static const char *const names[] = {"#0000000000000007", "a", "b", "c"};
    struct membership *m = make();
    struct view_node list[3];
    struct view_cluster v = nodes(list);
    struct admin_cluster k = {.n = 0};
    assert_int_equal(admin_cluster_fill(&k, m, &v, name_of, NULL, NULL), 0);
    assert_true(str_eq(k.name, STR("prod")));
    assert_int_equal(k.n, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(str_eq(k.members[i].name, str_of(names[i])));
        assert_int_equal(k.members[i].address.port, i ? 7299 + i : 0);
        assert_int_equal(k.members[i].zone.n, i ? 4 : 0);
    }
    assert_int_equal(k.self, 1);
    assert_true(k.members[1].info.self);
    assert_int_equal(k.health, member_health(m));
    assert_false(k.left);
    admin_cluster_free(&k);
    assert_int_equal(k.n, 0);
    member_free(m);
}

static void whole_or_an_error_at_every_allocation(void **state)
{
    struct membership *m = make();
    struct view_node list[3];
    struct view_cluster v = nodes(list);
    for (unsigned long n = 1;; n++) {
        struct admin_cluster k = {.n = 0};
        struct err e = {0};
        mem_fail_at(n);
        int rc = admin_cluster_fill(&k, m, &v, name_of, NULL, &e);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(rc, failed ? -ERR_NOMEM : 0);
        admin_cluster_free(&k);
        if (!failed)
            break;
        assert_true(n < 100);
    }
    member_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_stand_in_the_order_of_their_names),
        cmocka_unit_test(whole_or_an_error_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
