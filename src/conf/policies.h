/* policies: the blocks of a service that it has once, from check to sticky. Inside this room only.
 */
#ifndef HF_CONF_POLICIES_H
#define HF_CONF_POLICIES_H

#include "conf/tree.h"

void policies_build(struct conf *c, const struct node *service, struct view_service *s);

#endif
