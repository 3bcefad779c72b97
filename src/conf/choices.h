/* choices: values that are one of a few words, or several of them, into the field of their setting.
 * Inside this room only. What is none of them is reported, and leaves the field as it was. */
#ifndef HF_CONF_CHOICES_H
#define HF_CONF_CHOICES_H

#include "conf/settings.h"

void choices_balance(struct conf *c, const struct setting *s, const struct value *v, void *target);
/* KIND_HASH and KIND_PER. */
void choices_hash(struct conf *c, const struct setting *s, const struct value *v, void *target);
void choices_choice(struct conf *c, const struct setting *s, const struct value *v, void *target);
void choices_retry_on(struct conf *c, const struct setting *s, const struct value *v, void *target);

#endif
