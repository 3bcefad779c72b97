/* Which sockets a view keeps: against a plain statement of the rule, for every pair of small lists.
 */
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_pair_of_small_lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
