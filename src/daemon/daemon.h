/* daemon: the processes of one node, and what they share. The front door of this room.
 *
 * `holdfast run` becomes the supervisor (supervisor_run). It starts the other processes by
 * executing its own binary again with a hidden first argument, so that no process carries memory,
 * descriptors or secrets of another: the command line's dispatcher calls control_main for
 * "@control", proxy_main for "@proxy", agent_main for "@agent". See docs/processes.md. */
#ifndef HF_DAEMON_H
#define HF_DAEMON_H

#include "base/base.h"
#include "conf/conf.h"

struct run_options {
    const char *file;      /* the configuration */
    const char *state_dir; /* NULL: the usual place (paths.h) */
    const char *node;      /* which of the cluster's nodes this is; NULL: to be found out */
    const char *log;       /* least level that is logged: a name of log.h; NULL: "info" */
};

/* How a node reads its configuration. node: which of the cluster's it is, NULL: to be found out; it
 * must outlive the result. */
struct conf_env daemon_conf_env(const char *node);
/* Of a struct conf_env: whether the process that reads logs may read the file. */
bool sense_may_read(void *self, const char *path, struct err *why, struct err *remedy);

/* The configuration at `file` and every file that is part of it, secrets not, as an encoded bundle
 * (coord/bundle.h). Mistakes in it do not matter here. */
int daemon_bundle(const char *file, struct buf *out, struct err *e);

/* Runs one node in the foreground until it is told to stop. 0 after an orderly end; else what kept
 * it from starting. The problems of a bad configuration are printed to standard error, and e then
 * holds their summary; anything else is in e for the caller to print. */
int supervisor_run(const struct run_options *o, struct err *e);

/* A supervisor that is upgraded becomes the new program as @resume, in the same process; one that
 * is taken back becomes the old as @resume back REASON. Returns the exit code. */
int resume_main(int argc, char **argv);
/* @self-check --file FILE: could this program take over? */
int self_check_main(int argc, char **argv);

/* The control process: @control --file FILE --state DIR [--node NAME] --log LEVEL. argv[0] is
 * "@control". Descriptors as ipc.h has them. Returns the exit code. */
int control_main(int argc, char **argv);

/* The proxy process: @proxy --log LEVEL --bank N [--wait]. Carries messages between the supervisor,
 * control and proxy/proxy.h. With --wait it accepts nothing until it is told to. */
int proxy_main(int argc, char **argv);

/* The agent process: @agent --state DIR --log LEVEL. Runs programs of others for control. */
int agent_main(int argc, char **argv);
/* The sense process: @sense --state DIR --log LEVEL [--node NAME]. Reads logs and what else the view
 * names, and tells control what it finds. */
int sense_main(int argc, char **argv);
/* One thing that takes time, for the agent: @agent-task WORD STATE. */
int agent_task_main(int argc, char **argv);

#endif
