/* The region's tables must not overlap, must fit, and a region that lies about its sizes must not
 * be attached. */
#include "view/cells.h"
#include "view/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void *region(size_t size)
{
    void *p = aligned_alloc(64, (size + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, size);
    return p;
}

/* Every row gets a mark of its own; afterwards every mark is still there. */
static void rows_do_not_overlap(void **state)
{
    enum { WORKERS = 3, SERVICES = 4, SLOTS = 5 };
    size_t size = cells_size(WORKERS, SERVICES, SLOTS);
    void *p = region(size);
    struct cells c;
    cells_format(p, WORKERS, SERVICES, SLOTS, 42);
    assert_int_equal(cells_attach(&c, p, size, NULL), 0);
    assert_int_equal(c.size, size);
    assert_int_equal(c.header->boot, 42);
    for (int pass = 0; pass < 2; pass++) {
        uint64_t mark = 1;
#define ROW_IS(row, first, last)                                                                   \
    do {                                                                                           \
        if (pass == 0) {                                                                           \
            cell_set(&(row)->first, mark);                                                         \
            cell_set(&(row)->last, mark + 1000);                                                   \
        }                                                                                          \
        assert_int_equal(cell_get(&(row)->first), mark);                                           \
        assert_int_equal(cell_get(&(row)->last), mark + 1000);                                     \
        assert_true((char *)((row) + 1) <= (char *)p + size);                                      \
        mark++;                                                                                    \
    } while (0)
        for (uint32_t i = 0; i < cells_process_rows(WORKERS); i++)
            ROW_IS(&c.processes[i], beat, until);
        for (uint32_t i = 0; i < SLOTS; i++)
            ROW_IS(cells_verdict(&c, i), verdict, changes);
        for (uint32_t i = 0; i < SERVICES; i++)
            ROW_IS(cells_role(&c, i), lease_until, state);
        ROW_IS(c.votes_head, kept, quiet_until);
        for (uint32_t i = 0; i < CELLS_VOTES; i++)
            ROW_IS(&c.votes[i], role, released);
        for (uint32_t w = 0; w < cells_lanes(&c); w++) {
            for (uint32_t i = 0; i < SERVICES; i++)
                ROW_IS(cells_service(&c, w, i), requests, latency[LATENCY_BUCKETS - 1]);
            for (uint32_t i = 0; i < CELLS_LISTENERS; i += CELLS_LISTENERS - 1)
                ROW_IS(cells_listener(&c, w, i), open, bytes_out);
            for (uint32_t i = 0; i < SLOTS; i++)
                ROW_IS(cells_instance(&c, w, i), inflight, latency[LATENCY_BUCKETS - 1]);
        }
#undef ROW_IS
    }
    assert_int_equal(c.header->magic, CELLS_MAGIC);
    assert_int_equal(c.header->workers, WORKERS);
    free(p);
}

static void lies_are_refused(void **state)
{
    size_t size = cells_size(2, 3, 4);
    char *p = region(size);
    struct cells c;
    struct err e = {0};
    assert_int_equal(cells_attach(&c, p, size, &e), -ERR_PROTO); /* not formatted */
    cells_format(p, 2, 3, 4, 0);
    struct cells_header *h = (void *)p;
    for (size_t n = 0; n < size; n++)
        assert_int_equal(cells_attach(&c, p, n, &e), -ERR_PROTO);
#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        uint32_t was = h->field;                                                                   \
        h->field = (value);                                                                        \
        assert_int_equal(cells_attach(&c, p, size, &e), -ERR_PROTO);                               \
        h->field = was;                                                                            \
        assert_int_equal(cells_attach(&c, p, size, &e), 0);                                        \
    } while (0)
    REFUSED(magic, 1);
    REFUSED(version, 77);
    REFUSED(workers, 0);
    REFUSED(workers, 3);
    REFUSED(workers, UINT32_MAX);
    REFUSED(services, 4);
    REFUSED(services, UINT32_MAX);
    REFUSED(slots, 5);
    REFUSED(slots, UINT32_MAX);
#undef REFUSED
    free(p);
}

static void the_largest_region(void **state)
{
    size_t size = cells_size(CELLS_MAX_WORKERS, VIEW_MAX_SERVICES, VIEW_MAX_SLOTS);
    assert_true(size > 100u << 20 && size < 8ull << 30); /* address space, not memory: sparse */
    assert_int_equal(size % 64, 0);
}

static void the_youngest_that_serves_is_the_one(void **state)
{
    size_t size = cells_size(2, 1, 1);
    void *p = region(size);
    struct cells c;
    cells_format(p, 2, 1, 1, 0);
    assert_int_equal(cells_attach(&c, p, size, NULL), 0);
    assert_int_equal(cells_serving(&c), 0);
    assert_true(cells_lane_used(&c, 0) && cells_lane_used(&c, 1));
    assert_false(cells_lane_used(&c, 2) || cells_lane_used(&c, cells_lanes(&c) - 1));
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++) {
        struct process_row *r = &c.processes[cells_proxy_row(2, bank)];
        cell_set(&r->generation, 9 - bank);
        cell_set(&r->role, bank == 0 ? PROXY_DRAINS : PROXY_SERVES);
        assert_true(cells_lane_used(&c, cells_lane(&c, bank, 1)));
    }
    assert_int_equal(cells_serving(&c), 1);
    free(p);
}

/* Of the proxies that have clients: those that start or never were do not count. */
static void all_workers_are_asked_for_quiet(void **state)
{
    size_t size = cells_size(2, 2, 1);
    void *p = region(size);
    struct cells c;
    cells_format(p, 2, 2, 1, 0);
    assert_int_equal(cells_attach(&c, p, size, NULL), 0);
    cell_set(&c.processes[cells_proxy_row(2, 1)].role, PROXY_SERVES);
    cell_set(&c.processes[cells_proxy_row(2, 3)].role, PROXY_DRAINS);
    static const uint32_t banks[] = {1, 3};
    for (uint32_t i = 0; i < 4; i++) {
        struct service_row *r = cells_service(&c, cells_lane(&c, banks[i / 2], i % 2), 1);
        assert_false(cells_quiet(&c, 1, 77));
        cell_set(&r->quiet, 77);
    }
    assert_true(cells_quiet(&c, 1, 77));
    assert_false(cells_quiet(&c, 1, 78) || cells_quiet(&c, 0, 77));
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_do_not_overlap),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(the_largest_region),
        cmocka_unit_test(the_youngest_that_serves_is_the_one),
        cmocka_unit_test(all_workers_are_asked_for_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
