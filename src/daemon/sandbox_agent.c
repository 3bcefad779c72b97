/* What the agent gives up: less than its siblings, as it starts programs as another user, and all
 * that this does not need. What it starts inherits the file system's and the filter's bounds, and
 * loses everything else besides (recover/agents/program.c). */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/sandbox_steps.h"

/* To become the children's user, to end what runs as that, to favour it. */
enum { HIGHEST_CAPABILITY = 63 };
static const uint32_t always =
    1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL | 1u << CAP_SYS_NICE;
/* To have virtual addresses, and to say so on the link. */
static const uint32_t for_addresses = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW;

/* Nothing that is executed as root can have more either: the bounding set goes first. Numbers that
 * a kernel does not know are EINVAL, rights that a container lacks EPERM. */
static void bound_capabilities(uint32_t kept, struct sandbox_notes *n)
{
    bool denied = false;
    for (int c = 0; c <= HIGHEST_CAPABILITY; c++)
        if ((c > 31 || !(kept >> c & 1)) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0))
            denied = denied || errno == EPERM;
    if (denied)
        sandbox_note(n, "the agent may not narrow its bounding set: no new privileges must do");
}

static int drop_capabilities(uint32_t kept, struct err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[2], sets[2] = {{0}};
    if (syscall(SYS_capget, &head, has))
        return err_errno(e, "cannot read capabilities");
    sets[0].effective = sets[0].permitted = has[0].permitted & kept;
    return syscall(SYS_capset, &head, sets) ? err_errno(e, "cannot set capabilities") : 0;
}

/* A container may keep root from becoming others, by its capabilities or by users that it does not
 * have: then what we start stays what we are. Tried by one who has nothing to lose. */
static bool may_become(void)
{
    struct sandbox_user u;
    int status = 1;
    if (!sandbox_target(&u))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        _exit(setgroups(0, NULL) || setresgid(u.gid, u.gid, u.gid) ||
              setresuid(u.uid, u.uid, u.uid));
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && status == 0;
}

int sandbox_enter_agent(const char *state, unsigned may, bool *drops, struct sandbox_notes *notes,
                        struct err *e)
{
    uint32_t kept = always | (may & AGENT_MAY_ADDRESSES ? for_addresses : 0);
    prctl(PR_SET_NAME, "holdfast-agent", 0, 0, 0);
    if (*drops && !may_become()) {
        sandbox_note(notes, "this container does not let root become another user");
        *drops = false;
    }
    if (geteuid() == 0)
        bound_capabilities(kept, notes);
    int r = geteuid() == 0 ? drop_capabilities(kept, e) : 0;
    if (r == 0)
        r = sandbox_common(true, e);
    /* Commands of the operator's lie and work anywhere: their user's rights are their bounds. */
    if (r == 0 && !(may & AGENT_MAY_PROGRAMS))
        r = sandbox_landlock_agent(state, notes, e);
    return r ? r : sandbox_seccomp(SANDBOX_FILTER_AGENT, notes, e);
}
