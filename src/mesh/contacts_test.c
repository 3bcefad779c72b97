#include "mesh/contacts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct heard {
    uint64_t ids[8];
    uint32_t n;
    const struct contacts *contacts;
};

static void on_gone(void *context, const struct contact *p)
{
    struct heard *h = context;
    for (uint32_t i = 0; i < h->contacts->n; i++) /* nobody is lost from sight meanwhile */
        assert_ptr_equal(contacts_find(h->contacts, h->contacts->list[i].id),
                         &h->contacts->list[i]);
    h->ids[h->n++] = p->id;
}

static struct addr address(uint16_t port)
{
    return (struct addr){.kind = ADDR_IP4, .port = port, .ip = {127, 0, 0, 1}};
}

static void put(struct contacts *p, uint64_t id, const char *name, uint16_t port)
{
    struct addr a = address(port);
    struct err e = {0};
    assert_int_equal(contacts_put(p, id, str_of(name), &a, &e), 0);
}

static void those_that_are_not_put_again_go(void **state)
{
    (void)state;
    static struct contacts p;
    struct heard h = {.contacts = &p};
    p = (struct contacts){0};
    contacts_begin(&p);
    put(&p, 30, "c", 3);
    put(&p, 10, "a", 1);
    put(&p, 20, "b", 2);
    contacts_end(&p, on_gone, &h);
    assert_int_equal(h.n, 0);
    assert_int_equal(p.n, 3);
    contacts_begin(&p);
    put(&p, 20, "b", 7);
    put(&p, 40, "d", 4);
    contacts_end(&p, on_gone, &h);
    assert_int_equal(h.n, 2);
    assert_int_equal(h.ids[0], 10);
    assert_int_equal(h.ids[1], 30);
    assert_null(contacts_find(&p, 10));
    assert_int_equal(contacts_find(&p, 20)->addr.port, 7);
    assert_true(str_eq(contacts_find(&p, 40)->name, STR("d")));
    contacts_free(&p);
}

static void one_id_has_one_name(void **state)
{
    (void)state;
    static struct contacts p;
    struct addr a = address(1);
    struct err e = {0};
    p = (struct contacts){0};
    put(&p, 5, "a", 1);
    assert_int_equal(contacts_put(&p, 5, STR("other"), &a, &e), -ERR_EXISTS);
    assert_non_null(strstr(e.text, "other and a have the same id"));
    contacts_free(&p);
}

static void there_is_an_end_to_them(void **state)
{
    (void)state;
    static struct contacts p;
    struct addr a = address(1);
    struct err e = {0};
    p = (struct contacts){0};
    for (uint32_t i = 0; i < VIEW_MAX_NODES; i++)
        put(&p, 1000 - i, "x", 1);
    assert_int_equal(contacts_put(&p, 1, STR("y"), &a, &e), -ERR_LIMIT);
    contacts_free(&p);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    static struct contacts p;
    struct addr a = address(1);
    struct err e = {0};
    p = (struct contacts){0};
    mem_fail_at(1);
    assert_int_equal(contacts_put(&p, 5, STR("a"), &a, &e), -ERR_NOMEM);
    mem_fail_at(0);
    assert_int_equal(p.n, 0);
    put(&p, 5, "a", 1);
    contacts_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_are_not_put_again_go),
        cmocka_unit_test(one_id_has_one_name),
        cmocka_unit_test(there_is_an_end_to_them),
        cmocka_unit_test(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
