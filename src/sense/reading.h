/* reading: the logs that are read. Inside this room only. */
#ifndef HF_SENSE_READING_H
#define HF_SENSE_READING_H

#include "sense/sense.h"

struct reading;

int reading_new(struct reading **out, struct sense *s, struct err *e);
void reading_free(struct reading *r); /* NULL is allowed; keeps what was learnt */
/* Reads those of the view that are this node's, and ends the others. */
void reading_adopt(struct reading *r, const struct view *v);
void reading_repeat(struct reading *r);
/* Whether a backend of this address may have its log here. */
bool reading_is_here(const struct view *v, const struct addr *a);

#endif
