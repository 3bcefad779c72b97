/* control_coord: which coordinator this node has, by its configuration. Inside this room only. */
#ifndef HF_CONTROL_COORD_H
#define HF_CONTROL_COORD_H

struct control;

void coordinating_init(struct control *c);
void coordinating_end(struct control *c);
/* c->view is in force. */
void coordinating_adopt(struct control *c);

#endif
