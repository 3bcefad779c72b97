/* sandbox: what a child process gives up before it touches anything from outside.
 *
 * Called by control_main, proxy_main and agent_main at their start, before any thread. In this
 * order:
 *   - its name for ps, no core dumps' worth of secrets to others (not dumpable), no new privileges;
 *   - when started as root: the user `holdfast`, or `nobody` where there is none; all capabilities
 *     go, except that control keeps CAP_SYS_NICE, for its heartbeats (mesh/pulse.c), and
 *     CAP_DAC_READ_SEARCH if it was told to (see below);
 *   - control: a death signal, so that it ends with its supervisor. The proxy has none: when its
 *     supervisor dies it drains and leaves by itself (docs/processes.md);
 *   - the proxy: Landlock (no file system at all) and a seccomp filter (no exec, no ptrace, no
 *     mount, no new processes, only the socket families it needs).
 * What a kernel or a sanitizer build cannot do is skipped and named in `notes`. A step that should
 * work and does not is an error: the process must not go on with more rights than it shows.
 *
 * A configuration below a directory that the service user cannot read (say, /root) would make
 * reloads impossible. The supervisor finds that out before it starts anything, says so, and starts
 * control with HOLDFAST_READ_ALL=1 in its environment: control then keeps the one capability that
 * lets it read. */
#ifndef HF_SANDBOX_H
#define HF_SANDBOX_H

#include <sys/types.h>

#include "base/base.h"

enum sandbox_role { SANDBOX_CONTROL, SANDBOX_PROXY };

#define SANDBOX_READ_ALL "HOLDFAST_READ_ALL"

/* One sentence of what was skipped; empty when all is in force. */
struct sandbox_notes {
    char text[256];
};

/* notes may be NULL. */
int sandbox_enter(enum sandbox_role role, struct sandbox_notes *notes, struct err *e);
enum {
    AGENT_MAY_PROGRAMS = 1, /* the configuration names commands, which lie and work anywhere: the
                             * file system is not bounded */
    AGENT_MAY_ADDRESSES =
        2, /* it names virtual addresses: CAP_NET_ADMIN and CAP_NET_RAW are kept */
};
/* The agent stays root where it was, with what it needs to start programs as the children's user
 * (CAP_SETUID, CAP_SETGID), to end them (CAP_KILL) and to favour them (CAP_SYS_NICE); nothing in it
 * or below it can gain more. It dies with its supervisor. In the file system it and what it starts
 * execute what the system installed, read /etc, /proc and /sys, and write below `state` (absolute);
 * their filter of system calls is the proxy's, without what starting programs needs.
 * *drops: in, whether programs become the children's user; false after it where a container cannot.
 */
int sandbox_enter_agent(const char *state, unsigned may, bool *drops, struct sandbox_notes *notes,
                        struct err *e);

/* Sense reads what its user may read, with the groups that the user database gives it and those
 * that logs mostly belong to (adm, systemd-journal), where they exist; it writes below
 * STATE/logs (made if it is not there, and opened as *folder) only, starts nothing, and opens no
 * socket but Unix ones. */
int sandbox_enter_sense(const char *state, int *folder, struct sandbox_notes *notes, struct err *e);

/* The user that children become when the supervisor is root: `holdfast`, else `nobody`. */
struct sandbox_user {
    char name[32];
    uid_t uid;
    gid_t gid;
};
/* False when this process is not root, or there is no such user: then nothing is dropped. */
bool sandbox_target(struct sandbox_user *u);

/* Inside, files are opened with the rights of u; for a supervisor that is root. Thread-wide. */
void sandbox_act_as(const struct sandbox_user *u);
void sandbox_act_as_self(void);

#endif
