/* retry: may a failed attempt be followed by another? Pure; the whole rule is one table
 * (docs/proxy.md has it in words).
 *
 * I4: a request of which no byte was written to an instance may always be sent to another; a
 * request that is not idempotent and of which any byte was written is never sent again. Idempotent
 * as in RFC 9110, 9.2.2. */
#ifndef HF_RETRY_H
#define HF_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum failure {
    FAILURE_REFUSED, /* connection refused, unreachable */
    FAILURE_CONNECT_TIMEOUT,
    FAILURE_STALE, /* a pooled connection was closed by its instance before a byte of an answer: no
                      evidence of anything */
    FAILURE_RESET, /* cut before a whole answer, or nonsense instead of one */
    FAILURE_TIMEOUT, /* no first byte, or silence within an answer */
    FAILURE_5XX,
    FAILURE_OURS, /* no descriptor, no memory: not the instance's fault */
    FAILURES
};

struct retry_facts {
    enum failure failure;
    uint32_t on;       /* RETRY_* bits of view.h */
    uint32_t attempts; /* made so far, this one included */
    uint32_t attempts_max;
    bool written; /* any byte of the request was written in this attempt */
    bool idempotent;
    bool replayable; /* all that was written can be written again */
    bool answered;   /* a byte of a final response went to the client */
    bool stale_retried;
};

enum retry_verdict {
    RETRY_NO,
    RETRY_FREE,   /* yes, without asking the budget */
    RETRY_BUDGET, /* yes, if the budget has one left */
};

enum retry_verdict retry_decide(const struct retry_facts *f);

#endif
