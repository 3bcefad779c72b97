/* backends: the backend statements of a service, and of a drop-in file. Inside this room only. */
#ifndef HF_CONF_BACKENDS_H
#define HF_CONF_BACKENDS_H

#include "conf/settings.h"

/* The one argument of a backend or service; NULL after a problem. */
const struct value *backends_argument(struct conf *c, const struct node *n, enum block_id id);
/* Fills instances, sources and dynamic. complete: nothing of the service was misread, so that what
 * is not there is missing. who: "service web". */
void backends_build(struct conf *c, const struct node *service, bool complete,
                    struct view_service *s, const char *who);
/* resolver.c: fills c->view->resolver. */
void resolver_build(struct conf *c, const struct node *top);
/* The same of the audit block. */
void audit_build(struct conf *c, const struct node *top);
/* Of a file that holds nothing else: instances with addresses only. */
void backends_build_dropin(struct conf *c, const struct node *top, struct view_service *s);

#endif
