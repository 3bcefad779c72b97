/* How a node stands to the coordinator: what is understood reads the same when it is written again.
 */
#include <stddef.h>
#include <stdint.h>

#include "coord/standing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct standing s, back;
    struct buf one = {0}, two = {0};
    if (!standing_get((struct str){(const char *)data, size}, &s))
        return 0;
    CHECK(s.n <= MANAGED_MEMBERS && s.said.record < MANAGED_RECORDS);
    standing_put(&s, &one);
    CHECK(!one.failed && standing_get(buf_str(&one), &back));
    standing_put(&back, &two);
    CHECK(str_eq(buf_str(&one), buf_str(&two)));
    buf_free(&one);
    buf_free(&two);
    return 0;
}
