/* print: a setting's value as one would write it. Inside this room only. */
#ifndef HF_CONF_PRINT_H
#define HF_CONF_PRINT_H

#include "conf/schema.h"

/* Appends the value of a setting that has a field, or of KIND_STATUS, in its block's struct. */
void print_setting(const struct setting *s, const void *target, struct buf *out);
/* As a string of the file, with its quotes. */
void print_text(struct str s, struct buf *out);
/* Whether two structs hold the same value there. */
bool same_setting(const struct setting *s, const void *a, const void *b);
/* Settings without a field are compared by their block's reader, not through the table. */
bool has_field(const struct setting *s);

#endif
