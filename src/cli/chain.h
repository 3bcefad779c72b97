/* chain: how a service came to its primary, step by step, out of an answer of GET /v1/why
 * (docs/failover.md#why). Pure: JSON goes in, lines come out. */
#ifndef HF_CLI_CHAIN_H
#define HF_CLI_CHAIN_H

#include <jansson.h>

#include "cli/term.h"

/* The latest chain among the records, or where to look for it. Nothing of what has no role. now: ns
 * since 1970. */
void chain_print(const struct term *t, uint64_t now, const json_t *why, struct buf *out);
/* Whether a record is one of a promotion, with its steps as evidence. */
bool chain_is(const json_t *record);
/* Milliseconds from its first step to its last. */
double chain_ms(const json_t *record);

#endif
