/* Units of /etc/resolv.conf, /etc/hosts and the search list; and of sets of records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "discover/records.h"
#include "discover/system.h"

static void assert_server(const struct system_resolver *r, uint32_t i, const char *want)
{
    char text[ADDR_TEXT_MAX];
    addr_format(&r->servers.list[i], text);
    assert_string_equal(text, want);
}

static void resolv_conf(void **state)
{
    (void)state;
    struct system_resolver r;
    system_resolver_parse(STR("# made by somebody\n"
                              "nameserver 10.0.0.53 ; the first\n"
                              " nameserver\tfd00::53\r\n"
                              "nameserver dns.internal\nnameserver fe80::1%eth0\nnameserver\n"
                              "domain old.internal\n"
                              "search a.internal b.internal. bad..name\n"
                              "options timeout:3 ndots:2 rotate\n"
                              "sortlist 10.0.0.0\nnonsense"),
                          &r);
    assert_int_equal(r.servers.n, 2);
    assert_server(&r, 0, "10.0.0.53:53");
    assert_server(&r, 1, "[fd00::53]:53");
    assert_int_equal(r.ndots, 2);
    assert_int_equal(r.n_search, 2);
    assert_string_equal(r.search[0], "a.internal");
    assert_string_equal(r.search[1], "b.internal.");
    system_resolver_parse(STR(""), &r);
    assert_int_equal(r.servers.n, 1);
    assert_server(&r, 0, "127.0.0.1:53");
    assert_int_equal(r.ndots, 1);
    struct buf many = {0};
    for (int i = 1; i < 30; i++)
        buf_printf(&many, "nameserver 10.0.0.%d\n", i);
    system_resolver_parse(buf_str(&many), &r);
    assert_int_equal(r.servers.n, ASK_MAX_SERVERS);
    buf_free(&many);
}

static void add(void *arg, const struct addr *a)
{
    struct records *r = arg;
    struct record one = {.addr = *a};
    assert_true(records_add(r, &one));
}

static void hosts(void **state)
{
    (void)state;
    static const char text[] = "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # both\n"
                               "10.0.0.1 a.internal A api # b\n10.0.0.2 other\n\n10.0.0.300 api\n"
                               "10.0.0.3   Api.\n";
    struct records found = {0};
    assert_int_equal(system_hosts_find(STR(text), STR("localhost"), add, &found), 2);
    assert_int_equal(found.n, 2);
    assert_int_equal(system_hosts_find(STR(text), STR("API"), add, &found), 2);
    assert_int_equal(found.n, 4);
    assert_int_equal(system_hosts_find(STR(text), STR("b"), add, &found), 0);
    assert_int_equal(system_hosts_find(STR(text), STR("ap"), add, &found), 0);
    records_free(&found);
}

static void assert_candidates(const char *name, uint32_t ndots, const char *want)
{
    struct system_resolver r = {.n_search = 2, .ndots = ndots};
    struct dns_name full;
    struct buf all = {0};
    char text[DNS_NAME_TEXT_MAX];
    str_copy(r.search[0], sizeof r.search[0], STR("x.test"));
    str_copy(r.search[1], sizeof r.search[1], STR("y.test"));
    for (uint32_t i = 0; system_candidate(&r, str_of(name), i, &full); i++) {
        dns_name_text(&full, text);
        buf_printf(&all, "%s ", text);
        assert_true(i < 8);
    }
    buf_add(&all, "", 1);
    assert_string_equal(all.p, want);
    buf_free(&all);
}

static void search_lists(void **state)
{
    (void)state;
    assert_candidates("api", 1, "api.x.test api.y.test api ");
    assert_candidates("api.", 1, "api ");
    assert_candidates("api.web", 1, "api.web api.web.x.test api.web.y.test ");
    assert_candidates("api.web", 2, "api.web.x.test api.web.y.test api.web ");
}

/* ---- records ---- */

static struct record target(const char *name, uint16_t priority, uint16_t weight)
{
    struct record r = {.priority = priority, .weight = weight, .addr = {.port = 80}};
    str_copy(r.target, sizeof r.target, str_of(name));
    return r;
}

static void sets_have_no_order_and_no_doubles(void **state)
{
    (void)state;
    struct records a = {0}, b = {0};
    struct prng r;
    prng_seed(&r, 1);
    for (int i = 0; i < 300; i++) {
        struct record one = {.addr = {.kind = ADDR_IP4, .ip = {10, 0, 0, (uint8_t)i}}};
        assert_true(records_add(&a, &one));
        one.addr.ip[3] = (uint8_t)(255 - i);
        assert_true(records_add(&b, &one));
    }
    assert_int_equal(a.n, 256);
    assert_true(records_same(&a, &b));
    b.list[7].weight++;
    assert_false(records_same(&a, &b));
    struct records none = {0};
    assert_true(records_join(&none, &a));
    assert_true(records_same(&none, &a));
    struct record more = {.addr = {.kind = ADDR_IP6}};
    for (int i = 0; i < 2000; i++) {
        more.addr.ip[0] = (uint8_t)i;
        more.addr.ip[1] = (uint8_t)(i >> 8);
        records_add(&a, &more);
    }
    assert_int_equal(a.n, RECORDS_MAX);
    records_free(&a);
    records_free(&b);
    records_free(&none);
}

static void assert_place(const struct records *r, const char *name, uint32_t group, uint32_t weight)
{
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t g, w;
        if (strcmp(r->list[i].target, name) != 0)
            continue;
        records_place(r, i, &g, &w);
        assert_int_equal(g, group);
        assert_int_equal(w, weight);
        return;
    }
    fail_msg("%s is not there", name);
}

static void priorities_and_weights(void **state)
{
    (void)state;
    struct records r = {0};
    const struct record some[] = {target("a", 10, 60), target("b", 10, 0), target("c", 20, 5),
                                  target("d", 500, 1000)};
    for (size_t i = 0; i < ARRAY_LEN(some); i++)
        assert_true(records_add(&r, &some[i]));
    assert_place(&r, "a", 0, 60);
    assert_place(&r, "b", 0, 1);
    assert_place(&r, "c", 1, 5);
    assert_place(&r, "d", 2, 1000);
    struct record heavy = target("e", 0, 50000);
    assert_true(records_add(&r, &heavy));
    assert_place(&r, "e", 0, 1000);
    assert_place(&r, "a", 1, 1);
    for (uint16_t i = 1; i < 40; i++) {
        struct record one = {.priority = (uint16_t)(1000 + i), .addr = {.port = i}};
        snprintf(one.target, sizeof one.target, "p%u", i);
        assert_true(records_add(&r, &one));
    }
    assert_place(&r, "p39", POOL_GROUPS - 1, 1);
    records_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolv_conf),
        cmocka_unit_test(hosts),
        cmocka_unit_test(search_lists),
        cmocka_unit_test(sets_have_no_order_and_no_doubles),
        cmocka_unit_test(priorities_and_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
