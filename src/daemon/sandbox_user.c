/* From root to the service user, and which rights survive that. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/sandbox_steps.h"

bool sandbox_target(struct sandbox_user *u)
{
    if (geteuid() != 0)
        return false;
    const struct passwd *p = getpwnam("holdfast");
    if (!p)
        p = getpwnam("nobody");
    if (!p || p->pw_uid == 0)
        return false;
    str_copy(u->name, sizeof u->name, str_of(p->pw_name));
    u->uid = p->pw_uid;
    u->gid = p->pw_gid;
    return true;
}

/* A container may have had less than all to begin with. */
static int keep_capabilities(uint32_t wanted, struct err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {0};
    if (syscall(SYS_capget, &head, sets))
        return err_errno(e, "cannot ask for capabilities");
    uint32_t low = wanted & sets[0].permitted;
    sets[0] = (struct __user_cap_data_struct){.effective = low, .permitted = low};
    sets[1] = (struct __user_cap_data_struct){0};
    if (syscall(SYS_capset, &head, sets))
        return err_errno(e, "cannot set capabilities");
    return 0;
}

enum { GROUPS = 64 };

/* The groups of u in the user database and those of `more`; false as setgroups. */
static bool set_groups(const struct sandbox_user *u, const char *const *more)
{
    gid_t groups[GROUPS];
    int n = GROUPS;
    if (!more)
        return setgroups(0, NULL) == 0;
    if (getgrouplist(u->name, u->gid, groups, &n) < 0)
        n = 0;
    for (size_t i = 0; more[i] && n < GROUPS; i++) {
        const struct group *g = getgrnam(more[i]);
        if (g)
            groups[n++] = g->gr_gid;
    }
    return setgroups((size_t)n, groups) == 0;
}

static int become(const struct sandbox_user *u, const char *const *more, struct sandbox_notes *n,
                  struct err *e)
{
    /* A container may lack the right (EPERM) or the user (EINVAL): then there is nobody to become,
     * and the container is the boundary. */
    if (!set_groups(u, more) || setresgid(u->gid, u->gid, u->gid)) {
        if (errno != EPERM && errno != EINVAL)
            return err_errno(e, "cannot become the group of %s", u->name);
        sandbox_note(n, "this container does not let root become another user");
        return 0;
    }
    if (setresuid(u->uid, u->uid, u->uid))
        return err_errno(e, "cannot become the user %s", u->name);
    if (setuid(0) == 0)
        return err_set(e, ERR_DENIED, "the user %s can become root again", u->name);
    return 0;
}

int sandbox_drop_user(uint32_t keep, struct sandbox_notes *n, struct err *e)
{
    return sandbox_drop_user_to(keep, NULL, n, e);
}

int sandbox_drop_user_to(uint32_t keep, const char *const *more, struct sandbox_notes *n,
                         struct err *e)
{
    struct sandbox_user u;
    if (geteuid() != 0)
        return 0;
    if (!sandbox_target(&u)) {
        sandbox_note(n, "there is neither a user holdfast nor nobody: staying root");
        return 0;
    }
    if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
        return err_errno(e, "cannot keep a capability");
    int r = become(&u, more, n, e);
    if (r || geteuid() == 0)
        return r;
    r = keep_capabilities(keep, e);
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    return r;
}

void sandbox_act_as(const struct sandbox_user *u)
{
    setfsgid(u->gid);
    setfsuid(u->uid);
}

void sandbox_act_as_self(void)
{
    setfsuid(geteuid());
    setfsgid(getegid());
}
