/* command: a program that is to do one thing and end, within a limit of time, and what it printed.
 *
 * Past the limit it is killed with its group; so is one that prints more than COMMAND_OUTPUT bytes:
 * it is not what was meant. */
#ifndef HF_RECOVER_COMMAND_H
#define HF_RECOVER_COMMAND_H

#include "base/base.h"
#include "os/os.h"
#include "recover/agents/program.h"

enum { COMMAND_OUTPUT = 16 * 1024 };

struct command_end {
    int status;        /* of wait(2) */
    bool late, chatty; /* it was killed for that */
    struct str output; /* until the call returns; may hold any bytes */
};

struct command;
typedef void command_done(void *context, const struct command_end *end);

/* Its end is told once, from the loop; then *out is gone. ERR_NOMEM, ERR_ABSENT. */
int command_start(struct command **out, struct loop *l, const struct program *what, uint64_t limit,
                  command_done *done, void *context, struct err *e);
/* Kills it and tells nobody. NULL is allowed. */
void command_abandon(struct command *c);
/* 0 when it ended with status 0; else ERR_TIMEOUT, ERR_LIMIT or ERR_IO with what it printed last.
 */
int command_result(const struct command_end *e, const char *name, struct err *why);

#endif
