/* A traceparent from anybody: what is accepted is written as it came, but for a later version and
 * its flags; and a child of it is accepted too. */
#include <stddef.h>
#include <stdint.h>

#include "wire/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { IDS = 3, FLAGS = 52 }; /* where ids begin, and end */
    struct trace_context t, again;
    char to[TRACEPARENT_BYTES];
    if (!trace_context_parse((struct str){(const char *)data, size}, &t))
        return 0;
    CHECK(size >= TRACEPARENT_BYTES &&
          (size == TRACEPARENT_BYTES || data[0] != '0' || data[1] != '0'));
    trace_context_write(&t, to);
    CHECK(memcmp(to + IDS, data + IDS, FLAGS - IDS) == 0);
    CHECK(trace_context_parse((struct str){to, sizeof to}, &again));
    CHECK(again.flags == t.flags && memcmp(again.span, t.span, sizeof t.span) == 0);
    trace_context_span(&t, data);
    trace_context_write(&t, to);
    CHECK(trace_context_parse((struct str){to, sizeof to}, &again));
    CHECK(memcmp(again.trace, t.trace, sizeof t.trace) == 0);
    return 0;
}
