/* instance: what drain and resume have in common: naming an instance and asking for a change. */
#ifndef HF_CLI_INSTANCE_H
#define HF_CLI_INSTANCE_H

#include "cli/node.h"

/* Splits "SERVICE/INSTANCE" at its first slash and posts the change ("drain", "resume"). CLI_OK
 * when the node did it; the answer is the caller's to free in any case. Complaints have been
 * printed. */
int instance_change(const struct node_place *place, const char *name, const char *change,
                    struct reply *out);

#endif
