/* A configuration as bytes, as it comes from the coordinator or from STATE: what is taken is what
 * the encoder writes, byte for byte. */
#include "coord/bundle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct bundle b = {0};
    struct buf again = {0};
    struct str bytes = {(const char *)p, n};
    if (bundle_decode(bytes, &b, NULL) == 0) {
        if (!bundle_find(&b, b.main) || bundle_encode(&b, &again, NULL) ||
            !str_eq(bytes, buf_str(&again)))
            abort();
    } else if (b.n || b.files) {
        abort();
    }
    buf_free(&again);
    bundle_free(&b);
    return 0;
}
