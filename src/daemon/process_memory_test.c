/* Memory that is taken shows, memory that is shared does not. */
#include "daemon/process_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>

enum { MUCH = 64 * 1024 * 1024 };

/* The kernel fills it: what a sanitizer keeps of each byte that we write is our own memory too. */
static void *take(int how)
{
    void *p = mmap(NULL, MUCH, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

static void own_memory_counts_and_shared_does_not(void **state)
{
    (void)state;
    int fd = process_memory_open();
    assert_true(fd >= 0);
    uint64_t before = process_memory_read(fd);
    assert_true(before > 0);
    void *shared = take(MAP_SHARED);
    assert_true(process_memory_read(fd) < before + MUCH / 2);
    void *own = take(MAP_PRIVATE);
    assert_true(process_memory_read(fd) >= before + MUCH);
    munmap(shared, MUCH);
    munmap(own, MUCH);
}

static void what_is_not_known_is_zero(void **state)
{
    (void)state;
    assert_int_equal(process_memory_read(-1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_memory_counts_and_shared_does_not),
        cmocka_unit_test(what_is_not_known_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
