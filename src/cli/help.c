/* help: the list of commands, a command's own help, and topics that belong to no command. */
#include <stdio.h>

#include "cli/cli.h"

static const struct usage usage = {
    .command = "help",
    .operands = "COMMAND|TOPIC",
    .max_operands = 1,
    .about = "Explains a command or a topic; without one, lists them all.",
    .examples = "  holdfast help status\n  holdfast help exit-codes",
};

struct topic {
    const char *name, *help, *text;
};

static const struct topic topics[] = {
    {"exit-codes", "what the exit codes mean",
     "Exit codes are the same for every command:\n\n"
     "  0  it worked, or the answer is good\n"
     "  1  the answer is bad: problems found, refused by the node, or it did not work\n"
     "  2  the command line is wrong: unknown command or option, missing operand\n"
     "  3  the daemon cannot be reached: not running, not answering, or not permitted\n\n"
     "'holdfast plan' ends with 2 when there is a difference, and with 1 when its command\n"
     "line is wrong. 'holdfast status' ends with 0 whatever the verdicts are; with\n"
     "--fail it ends with 1 when a service has no healthy instance.\n"},
    {"files", "where things are, and the environment",
     "The state directory holds everything that a node keeps, its socket admin.sock\n"
     "included. It is, in this order:\n\n"
     "  --state DIR\n"
     "  $STATE_DIRECTORY (systemd sets it)\n"
     "  for root: /var/lib/holdfast\n"
     "  for others: $XDG_STATE_HOME/holdfast, or ~/.local/state/holdfast\n\n"
     "With --node NAME and without --state it is node-NAME in that directory. Give each\n"
     "node its own to run several on one machine.\n\n"
     "Environment: NO_COLOR, when it is not empty, and TERM=dumb turn colours off.\n"
     "Colours appear on terminals only. See holdfast(1) and holdfast.conf(5).\n"},
};

static int list(void)
{
    fputs("holdfast keeps services reachable while machines, processes and networks fail.\n\n"
          "Usage: holdfast COMMAND [options]\n\nCommands:\n",
          stdout);
    for (const struct command *c = cli_commands(); c->name; c++)
        if (!c->hidden)
            printf("  %-11s  %s\n", c->name, c->help);
    fputs("\nTopics:\n", stdout);
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        printf("  %-11s  %s\n", topics[i].name, topics[i].help);
    fputs("\n'holdfast COMMAND --help' or 'holdfast help COMMAND' explains one.\n\n"
          "Example:\n  holdfast run web.conf\n",
          stdout);
    return CLI_OK;
}

static int explain_command(const struct command *c)
{
    char name[32], help[] = "--help";
    char *argv[] = {name, help, NULL};
    str_copy(name, sizeof name, str_of(c->name));
    return c->run(2, argv);
}

static int unknown(const char *name)
{
    struct suggest s = suggest_for(str_of(name));
    for (const struct command *c = cli_commands(); c->name; c++)
        if (!c->hidden)
            suggest_try(&s, str_of(c->name));
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        suggest_try(&s, str_of(topics[i].name));
    if (s.n)
        return cli_fail(CLI_USAGE, "there is no command or topic '%s': did you mean '" STR_FMT "'?",
                        name, STR_ARG(s.name[0]));
    return cli_fail(CLI_USAGE, "there is no command or topic '%s': 'holdfast help' lists them",
                    name);
}

int command_help(int argc, char **argv)
{
    const char *operands[OPERANDS_MAX];
    int code;
    if (!cli_options(&usage, argc, argv, NULL, operands, &code))
        return code;
    if (!operands[0])
        return list();
    for (const struct command *c = cli_commands(); c->name; c++)
        if (!c->hidden && strcmp(c->name, operands[0]) == 0)
            return explain_command(c);
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (strcmp(topics[i].name, operands[0]) == 0)
            return fputs(topics[i].text, stdout) < 0 ? CLI_BAD : CLI_OK;
    return unknown(operands[0]);
}
