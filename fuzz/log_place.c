/* Where reading of a log stands, from a file that anything may have happened to: what is believed
 * keeps its bounds and is the same when it is written and read again. The hash at the end is made
 * right, so that what it guards is reached. */
#include <stddef.h>
#include <stdint.h>

#include "sense/follow_place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct place *p, uint32_t n, uint64_t floor)
{
    struct place again[PLACES_MOST];
    struct buf one = {0}, two = {0};
    uint32_t m;
    uint64_t same;
    places_put(&one, p, n, floor);
    CHECK(!one.failed && places_get(buf_str(&one), again, &m, &same) && m == n && same == floor);
    places_put(&two, again, m, same);
    CHECK(one.n == two.n && memcmp(one.p, two.p, one.n) == 0);
    buf_free(&one);
    buf_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct place p[PLACES_MOST];
    struct buf b = {0};
    uint32_t n;
    uint64_t floor;
    buf_add(&b, data, size);
    if (size % 8)
        put_u64(&b, str_hash(buf_str(&b)));
    if (places_get(buf_str(&b), p, &n, &floor)) {
        CHECK(n <= PLACES_MOST);
        for (uint32_t i = 0; i < n; i++) {
            CHECK(p[i].head_n <= PLACE_EDGE && p[i].tail_n <= PLACE_EDGE);
            CHECK(p[i].tail_n <= p[i].at && p[i].at <= INT64_MAX);
        }
        check_again(p, n, floor);
    }
    buf_free(&b);
    return 0;
}
