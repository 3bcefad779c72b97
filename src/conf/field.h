/* field: header fields, and texts with placeholders, as rules have them. Inside this room only. */
#ifndef HF_CONF_FIELD_H
#define HF_CONF_FIELD_H

#include "conf/tree.h"

/* A name as HTTP has it: RFC 9110, 5.6.2. */
bool field_is_token(struct str s);
/* Nothing in it ends a line or drives a terminal. */
bool field_is_line(struct str s);
/* Labels of letters, digits, '-' and '_', or an IPv6 address in brackets; with a port perhaps. */
bool field_is_host(struct str s);
bool field_is_authority(struct str s);
/* "Name: value" at its first colon, without blanks around either; false when there is no colon. */
bool field_split(struct str s, struct str *name, struct str *value);
/* A name that rules may change, in a request or in a response. `set`: it gets a value in place
 * of the one that is there. False after a problem was reported. */
bool field_may_change(struct conf *c, const struct value *v, struct str name, bool request,
                      bool set);
/* Whether all placeholders in it are known; false after a problem was reported. */
bool field_template(struct conf *c, const struct value *v, struct str text);

#endif
