/* main: the one binary. The first word names a command; two hidden ones are the daemon's own
 * processes, which the supervisor starts from this same file. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "daemon/daemon.h"

static const struct command commands[] = {
    {"run", "run one node in the foreground", command_run, false},
    {"check", "read a configuration file and say what is wrong with it", command_check, false},
    {"reload", "apply the changed configuration file, all of it or nothing", command_reload, false},
    {"plan", "what a configuration would change in the cluster", command_plan, false},
    {"apply", "make a configuration that of all nodes", command_apply, false},
    {"history", "the configurations that there were, and who applied them", command_history, false},
    {"rollback", "make an earlier configuration that of all nodes again", command_rollback, false},
    {"coordinator", "how the coordinator is; back it up, restore it", command_coordinator, false},
    {"status", "services, instances, and what is thought of them", command_status, false},
    {"top", "the same, live", command_top, false},
    {"events", "what happened, and why", command_events, false},
    {"why", "what a service, instance, node or beat is, and the evidence", command_why, false},
    {"roles", "the primary of each service that has one, and its replicas", command_roles, false},
    {"switchover", "make another node the primary, without loss", command_switchover, false},
    {"failover", "make another node the primary, whatever is lost", command_failover, false},
    {"drain", "give an instance no new requests", command_drain, false},
    {"resume", "give a drained instance requests again", command_resume, false},
    {"instance", "add, change, remove and list instances of a service", command_instance, false},
    {"beat", "say that a watched job lives, or failed", command_beat, false},
    {"beats", "watched jobs, and how they are", command_beats, false},
    {"members", "the nodes of the cluster, and who hears whom", command_members, false},
    {"leave", "let this node say goodbye to the cluster", command_leave, false},
    {"maintenance", "judge nothing on a node failed, for a while", command_maintenance, false},
    {"token", "let a new machine join the cluster, once", command_token, false},
    {"join", "get the cluster's keys on a new machine, with a token", command_join, false},
    {"key", "make, show and change the keys of a cluster", command_key, false},
    {"restart", "let a new proxy process take over", command_restart, false},
    {"upgrade", "let a new version of the program take over", command_upgrade, false},
    {"version", "print the version", command_version, false},
    {"help", "explain a command or a topic", command_help, false},
    {"@control", "the control process", control_main, true},
    {"@proxy", "the proxy process", proxy_main, true},
    {"@agent", "the agent process", agent_main, true},
    {"@sense", "the process that reads logs", sense_main, true},
    {"@agent-task", "what takes time, for the agent", agent_task_main, true},
    {"@resume", "the supervisor after an upgrade", resume_main, true},
    {"@self-check", "whether an upgrade would work", self_check_main, true},
    {NULL, NULL, NULL, false},
};

const struct command *cli_commands(void)
{
    return commands;
}

static const struct command *find(const char *name)
{
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* A descriptor that we open must never become somebody's standard output. */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            _exit(CLI_BAD);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    if (argc < 2) {
        char *help[] = {(char *)(uintptr_t) "help", NULL};
        command_help(1, help);
        return CLI_USAGE;
    }
    const struct command *c = find(argv[1]);
    int code = c ? c->run(argc - 1, argv + 1) : cli_unknown_command(argv[1]);
    if ((fflush(stdout) || ferror(stdout)) && code == CLI_OK)
        code = cli_fail(CLI_BAD, "cannot write to the standard output: is the disk full?");
    return code;
}
