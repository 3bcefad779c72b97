/* meaning: what a configuration says, in short. */
#ifndef HF_CLI_MEANING_H
#define HF_CLI_MEANING_H

#include <jansson.h>

#include "view/view.h"

/* Appends ": 1 service, 3 instances", then a line for each service. */
void meaning_print(const struct view *v, struct buf *out);
/* The services as an array; empty for NULL. NULL when memory is out. */
json_t *meaning_json(const struct view *v);
/* The cluster, or null. */
json_t *meaning_cluster_json(const struct view *v);

#endif
