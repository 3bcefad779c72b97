/* figures: what `top` shows, computed from two answers of GET /v1/status: rates from their
 * difference, and an order that puts first what needs a look. Pure.
 *
 * The order, of services and of a service's instances: the worse verdict, then more errors a
 * second, then more requests a second; equals stay as the node has them. */
#ifndef HF_CLI_FIGURES_H
#define HF_CLI_FIGURES_H

#include <jansson.h>

/* before may be NULL: then the node's own rates count. */
double figures_requests(const json_t *now, const json_t *before, double seconds);
double figures_service_errors(const json_t *now, const json_t *before, double seconds);
double figures_instance_errors(const json_t *now, const json_t *before, double seconds);
const json_t *figures_named(const json_t *array, const char *key, const char *name);

/* The status with its services and their instances in that order; the caller's. NULL: memory is
 * out. */
json_t *figures_sorted(const json_t *now, const json_t *before, double seconds);
/* The same as `top --json` prints it: holdfast.top.v1. */
json_t *figures_json(const json_t *now, const json_t *before, double seconds);

#endif
