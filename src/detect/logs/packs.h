/* packs: rules for programs that many run, so that their worst lines need no learning.
 *
 * Each rule is tested on lines that the program wrote (test/logs/sample), and on lines that look
 * alike and must not match. Nothing fails a subject here; what a person knows to be fatal is for a
 * rule of their own. Pure. */
#ifndef HF_DETECT_LOGS_PACKS_H
#define HF_DETECT_LOGS_PACKS_H

#include "detect/logs/rules.h"

enum logs_pack { PACK_POSTGRESQL, PACK_REDIS, PACK_NGINX, PACK_KERNEL, PACK_SYSTEMD, LOGS_PACKS };

const char *logs_pack_name(enum logs_pack p);
/* By name; LOGS_PACKS: there is none. */
enum logs_pack logs_pack_of(struct str name);
const struct logs_rule *logs_pack_rules(enum logs_pack p, uint32_t *n);

#endif
