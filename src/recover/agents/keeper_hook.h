/* keeper_hook: the command that is told of each change of the role. */
#ifndef HF_RECOVER_KEEPER_HOOK_H
#define HF_RECOVER_KEEPER_HOOK_H

#include "recover/agents/keeper.h"

/* Runs the service's hook as `role` ("primary", "replica", "down"). ERR_ABSENT: it has none. */
int keeper_hook_run(struct keeper *k, const char *role, uint8_t primary, command_done *done,
                    void *context, struct command **out, struct err *e);
/* The state has changed: beside another kind the hook is told. One at a time; what changed
 * meanwhile is told once, as it is then. */
void keeper_hook_follow(struct keeper *k);

#endif
