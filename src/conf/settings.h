/* settings: the statements of one block into the struct that its table describes. Inside this room
 * only. */
#ifndef HF_CONF_SETTINGS_H
#define HF_CONF_SETTINGS_H

#include "conf/schema.h"
#include "conf/tree.h"

struct seen {
    const struct node
        *node[MAX_SETTINGS]; /* by place in the table; NULL: the default is in force */
};

/* Sets defaults, then what the statements say. A value with a problem leaves the default. Blocks
 * among the statements, and settings without a field, are the caller's. */
void settings_apply(struct conf *c, enum block_id id, const struct node *children, void *target,
                    struct seen *seen);
/* The statement, or its value if it is good; NULL when there is none. */
const struct node *settings_seen(const struct seen *seen, enum block_id id, const char *key);
const struct value *settings_value(const struct seen *seen, enum block_id id, const char *key);
/* Says so when a statement is not a block without arguments. */
void settings_form(struct conf *c, const struct node *n, const struct block *b);
/* The one block of this name among the children of parent, checked for being a block; NULL when
 * there is none. (A check may also be a value: `check = none`.) */
const struct node *settings_block(struct conf *c, const struct node *parent, enum block_id id);
/* The value of a flag that may stand alone; false without a node. */
bool settings_flag(struct conf *c, const struct node *n);
/* Letters, digits, '.', '_' and '-', 1 to 63 of them. */
bool settings_name_valid(struct str name);
/* For messages: "rise takes 1 to 100"; "'x' is not a number" with that as its hint; and "did you
 * mean 'y'?" of the nearest. */
const char *settings_takes(struct conf *c, const struct setting *s);
void settings_wrong(struct conf *c, const struct setting *s, const struct value *v,
                    const char *why);
const char *settings_did_you_mean(struct conf *c, const struct suggest *g);

#endif
