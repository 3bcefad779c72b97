/* Landlock (Linux 5.13): a process gives up rights on the file system by itself. A rule set that
 * handles every right and allows none leaves descriptors that are open, and nothing else. */
#include <errno.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/sandbox_steps.h"

/* Which rights a kernel knows, by the version of its interface: it refuses unknown ones. */
static uint64_t all_rights(long version)
{
    /* 1: the first 13 (up to MAKE_SYM). 2 adds REFER, 3 TRUNCATE, 5 IOCTL_DEV. */
    unsigned bits = version < 2 ? 13 : version < 3 ? 14 : version < 5 ? 15 : 16;
    return (UINT64_C(1) << bits) - 1;
}

int sandbox_landlock(struct sandbox_notes *n, struct err *e)
{
    if (SANDBOX_SANITIZER) {
        sandbox_note(n, "a sanitizer build goes without Landlock");
        return 0;
    }
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        sandbox_note(n, "this kernel has no Landlock");
        return 0;
    }
    struct landlock_ruleset_attr rules = {.handled_access_fs = all_rights(version)};
    long fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    if (fd < 0)
        return err_errno(e, "cannot make a Landlock rule set");
    int r = 0;
    if (syscall(SYS_landlock_restrict_self, (int)fd, 0))
        r = err_errno(e, "cannot enter the Landlock rule set");
    close((int)fd);
    return r;
}
