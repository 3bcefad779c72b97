/* What was learnt of a log, from a file that anything may have happened to: what is believed keeps
 * its bounds, reads the same when it is written again, and can be worked with. The hash at the end
 * is made right, so that what it guards is reached. */
#include <stddef.h>
#include <stdint.h>

#include "detect/logs/logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct logs *source(void)
{
    struct logs_params p = {.learn = true};
    return logs_new(&p, 0);
}

static void check_again(struct logs *l)
{
    struct buf one = {0}, two = {0};
    struct logs *back = source();
    logs_baseline_put(l, &one);
    CHECK(!one.failed && logs_baseline_get(back, buf_str(&one), NULL) == 0);
    logs_baseline_put(back, &two);
    CHECK(one.n == two.n);
    logs_free(back);
    buf_free(&one);
    buf_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct logs *l = source();
    struct buf b = {0};
    buf_add(&b, data, size);
    if (size % 8)
        put_u64(&b, str_hash(buf_str(&b)));
    if (logs_baseline_get(l, buf_str(&b), NULL) == 0) {
        CHECK(miner_templates(logs_miner(l)) <= MINER_MOST);
        check_again(l);
        for (uint64_t t = 1; t < 20; t++)
            logs_line(l, STR("error: disk 7 is gone"), t * RATES_TICK);
    }
    logs_free(l);
    buf_free(&b);
    return 0;
}
