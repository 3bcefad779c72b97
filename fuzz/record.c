/* The record of a role, as the coordinator has it: what is understood reads the same when it is
 * written again. */
#include <stddef.h>
#include <stdint.h>

#include "recover/failover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str names[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    struct failover_record r, again;
    struct buf text = {0};
    struct err e = {0};
    if (failover_record_read((struct str){(const char *)data, size}, names, 3, &r, &e))
        return 0;
    CHECK(r.r.primary < 3 || r.r.primary == ROLE_NOBODY);
    CHECK(r.r.insync < 8);
    if (failover_record_write(&r, names, 3, &text)) {
        CHECK(failover_record_read(buf_str(&text), names, 3, &again, &e) == 0);
        CHECK(r.r.epoch == again.r.epoch && r.r.primary == again.r.primary);
        CHECK(r.r.insync == again.r.insync && r.r.strangers == again.r.strangers);
        CHECK(r.r.wanted == again.r.wanted && r.r.sync == again.r.sync && r.from == again.from);
    }
    buf_free(&text);
    return 0;
}
