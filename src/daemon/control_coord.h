/* control_coord: which coordinator this node has, by its configuration. Inside this room only. */
#ifndef HF_CONTROL_COORD_H
#define HF_CONTROL_COORD_H

struct control;
struct view;

void coordinating_init(struct control *c);
void coordinating_end(struct control *c);
/* c->view is in force; was: the one before, or NULL. */
void coordinating_adopt(struct control *c, const struct view *was);

#endif
