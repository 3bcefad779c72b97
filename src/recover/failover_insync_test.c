/* While the in-sync set changes: whatever the row lets a reply be sent for is met by each fence
 * that would be enough, under the set before and under the one after. All sets of five places. */
#include "recover/failover_inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PLACES = 5, SETS = 1 << PLACES, SELF = 0, SYNC_MOST = 3 };

static uint32_t count(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

/* Its primary is dead. Could all who are asked be among those who do not have a write? */
static bool is_missed(uint16_t set, uint32_t acks, uint32_t have)
{
    uint32_t others = set & ~(1u << SELF);
    return acks && count(others & ~have) >= count(set) - acks;
}

static void check(struct failover *f, uint16_t from, uint16_t to, uint8_t sync)
{
    struct failover_row row = {0};
    f->record.r.insync = from;
    f->record.r.sync = sync;
    f->insync.to = to;
    insync_row(f, &row);
    uint32_t before = failover_needs(f, from, 0, sync);
    uint32_t after = failover_needs(f, to, 0, (uint8_t)f->params.sync);
    for (uint32_t have = 0; have < SETS; have += 2) {
        if (count(have & (uint32_t)row.insync) < row.sync)
            continue;
        assert_false(is_missed(from, before, have));
        assert_false(is_missed(to, after, have));
    }
    if (!f->params.strict && (from & to) == from && f->params.sync == sync)
        /* no write waits for more than there are */
        assert_true(row.sync <= count((uint32_t)row.insync & ~(1u << SELF)));
}

static void a_reply_meets_both_fences(void **state)
{
    struct failover *f = calloc(1, sizeof *f);
    (void)state;
    assert_non_null(f);
    f->params.n = PLACES;
    f->params.self = SELF;
    f->insync.stage = INSYNC_SETTLES;
    for (uint16_t from = 1; from < SETS; from += 2)
        for (uint16_t to = 1; to < SETS; to += 2)
            for (uint32_t k = 0; k < (SYNC_MOST + 1) * (SYNC_MOST + 1) * 2; k++) {
                bool nested = (from & to) == from || (from & to) == to;
                f->params.sync = k / 2 % (SYNC_MOST + 1);
                f->params.strict = k % 2;
                if (nested)
                    check(f, from, to, (uint8_t)(k / 2 / (SYNC_MOST + 1)));
            }
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_reply_meets_both_fences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
