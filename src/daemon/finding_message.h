/* finding_message: the body of IPC_FINDING, from sense to control. Pure.
 *
 *   u8 gone, u8 subject kind, u8 finding kind, u8 verdict, u64 at, u64 key, u16 weight
 * (thousandths), str name, str says, str sample
 *
 * What is out of range makes the message malformed; texts are bounded, and may hold any bytes: they
 * are what programs wrote. */
#ifndef HF_FINDING_MESSAGE_H
#define HF_FINDING_MESSAGE_H

#include "sense/sense.h"

/* Cuts what is too long; check b->failed. */
void finding_put(struct buf *b, const struct sense_finding *f);
/* False: malformed. Texts point into the message. */
bool finding_get(struct reader *r, struct sense_finding *f);

#endif
