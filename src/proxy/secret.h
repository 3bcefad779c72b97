/* secret: what the gates say to their instances, by service. Any thread may read while the main one
 * writes. Nothing of it reaches a log, and what is not needed any more is wiped. */
#ifndef HF_PROXY_SECRET_H
#define HF_PROXY_SECRET_H

#include "base/base.h"

struct secrets;

struct secrets *secrets_new(void);    /* NULL: memory is out */
void secrets_free(struct secrets *s); /* NULL is allowed */
/* It is copied. Empty: there is none any more. */
int secrets_set(struct secrets *s, struct str service, struct str secret, struct err *e);
/* Its length; 0: none. */
size_t secrets_get(struct secrets *s, struct str service, char *out, size_t size);

#endif
