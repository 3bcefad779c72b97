/* cli: what the commands share: exit codes, the list of commands, and how a command ends.
 *
 * One file per command. A command gets argv with its own name first, prints its answer to standard
 * output and its complaints to standard error, and returns an exit code. The list in main.c is the
 * only place that knows all of them. */
#ifndef HF_CLI_H
#define HF_CLI_H

#include <stdio.h>

#include "base/base.h"
#include "cli/options.h"

/* Exit codes, for scripts; `holdfast help exit-codes` prints them. */
enum {
    CLI_OK = 0,
    CLI_BAD = 1,        /* the answer is bad: refused, problems found, or it did not work */
    CLI_USAGE = 2,      /* the command line itself is wrong */
    CLI_UNREACHABLE = 3 /* the daemon cannot be reached */
};

struct command {
    const char *name;
    const char *help; /* one line */
    int (*run)(int argc, char **argv);
    bool hidden; /* not for people: the daemon's own processes */
};

/* Ends with an entry without a name. */
const struct command *cli_commands(void);

int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_plan(int argc, char **argv);
int command_apply(int argc, char **argv);
int command_history(int argc, char **argv);
int command_coordinator(int argc, char **argv);
int command_rollback(int argc, char **argv);
int command_status(int argc, char **argv);
int command_top(int argc, char **argv);
int command_events(int argc, char **argv);
int command_why(int argc, char **argv);
int command_roles(int argc, char **argv);
int command_switchover(int argc, char **argv);
int command_failover(int argc, char **argv);
int command_drain(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_instance(int argc, char **argv);
int command_beat(int argc, char **argv);
int command_beats(int argc, char **argv);
int command_members(int argc, char **argv);
int command_leave(int argc, char **argv);
int command_maintenance(int argc, char **argv);
int command_key(int argc, char **argv);
int command_token(int argc, char **argv);
int command_join(int argc, char **argv);
int command_restart(int argc, char **argv);
int command_upgrade(int argc, char **argv);
int command_version(int argc, char **argv);
int command_help(int argc, char **argv);

/* Parses a command's options. True: go on. False: the command ends with *code; help or the
 * complaint has been printed. */
bool cli_options(const struct usage *u, int argc, char **argv, void *into,
                 const char *operands[OPERANDS_MAX], int *code);

/* Prints "holdfast: sentence" to standard error and returns code. */
int cli_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* False when not all of it could be written. An empty buffer is fine. */
bool cli_write(FILE *to, const struct buf *text);

/* The complaint about an unknown name, with what was probably meant. Returns CLI_USAGE. */
int cli_unknown_command(const char *name);

#define CLI_OPTION_STATE(T)                                                                        \
    {                                                                                              \
        "state", 0, "DIR", "the node's directory (see 'holdfast help files')", OPTION_TEXT,        \
            offsetof(T, state)                                                                     \
    }
/* Which node this is, or is asked; F is the field for its name. */
#define CLI_OPTION_NODE(T, F, HELP)                                                                \
    {                                                                                              \
        "node", 0, "NAME", HELP, OPTION_TEXT, offsetof(T, F)                                       \
    }
/* Which node is asked, and how; T has a struct node_place as its field `node`. */
#define CLI_OPTIONS_NODE(T)                                                                        \
    {"state",     0,                                                                               \
     "DIR",       "the node's directory (see 'holdfast help files')",                              \
     OPTION_TEXT, offsetof(T, node.state)},                                                        \
        CLI_OPTION_NODE(T, node.node, "the node, where several of a cluster run on one machine"),  \
        {"admin",     0,                                                                           \
         "URL",       "ask over TCP instead, as in http://127.0.0.1:9901",                         \
         OPTION_TEXT, offsetof(T, node.admin)},                                                    \
    {                                                                                              \
        "token-file", 0, "FILE", "with --admin: holds the token", OPTION_TEXT,                     \
            offsetof(T, node.token_file)                                                           \
    }
#define CLI_OPTION_JSON(T)                                                                         \
    {                                                                                              \
        "json", 0, NULL, "print JSON for programs", OPTION_FLAG, offsetof(T, json)                 \
    }

#endif
