/* policies: the check, timeout, retry, eject and limit blocks of a service. Inside this room only.
 */
#ifndef HF_CONF_POLICIES_H
#define HF_CONF_POLICIES_H

#include "conf/tree.h"

void policies_build(struct conf *c, const struct node *service, struct view_service *s);

#endif
