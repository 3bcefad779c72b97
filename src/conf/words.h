/* words: the conditions of a route, and single texts of HTTP, into the field of their setting.
 * Inside this room only. What is wrong is reported and left out. */
#ifndef HF_CONF_WORDS_H
#define HF_CONF_WORDS_H

#include "conf/settings.h"

/* A value or list into struct view_words, each word in the form that view.h names. */
void words_list(struct conf *c, const struct setting *s, const struct value *v, void *target);
/* A value into a struct str. */
void words_one(struct conf *c, const struct setting *s, const struct value *v, void *target);

#endif
