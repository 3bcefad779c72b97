/* Landlock (Linux 5.13): a process gives up rights on the file system by itself. A rule set that
 * handles every right and allows none leaves descriptors that are open, and nothing else; the
 * agent's allows what programs need to be executed. */
#include <errno.h>
#include <fcntl.h>
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

/* 0: there is none, and the notes say so. */
static long interface(struct sandbox_notes *n)
{
    if (SANDBOX_SANITIZER) {
        sandbox_note(n, "a sanitizer build goes without Landlock");
        return 0;
    }
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        sandbox_note(n, "this kernel has no Landlock");
    return MAX(version, 0L);
}

static int make(long version, struct err *e)
{
    struct landlock_ruleset_attr rules = {.handled_access_fs = all_rights(version)};
    long fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    return fd < 0 ? err_errno(e, "cannot make a Landlock rule set") : (int)fd;
}

/* Takes fd. */
static int enter(int fd, struct err *e)
{
    int r = 0;
    if (syscall(SYS_landlock_restrict_self, fd, 0))
        r = err_errno(e, "cannot enter the Landlock rule set");
    close(fd);
    return r;
}

int sandbox_landlock(struct sandbox_notes *n, struct err *e)
{
    long version = interface(n);
    if (!version)
        return 0;
    int fd = make(version, e);
    return fd < 0 ? fd : enter(fd, e);
}

/* --- the agent --- */

#define READ    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define EXECUTE (READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define DEVICE  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

static const struct {
    const char *path;
    uint64_t rights;
} needed[] = {
    {"/usr", EXECUTE},
    {"/bin", EXECUTE},
    {"/lib", EXECUTE},
    {"/lib64", EXECUTE},
    {"/etc", READ},
    {"/proc", READ},
    {"/sys", READ},
    {"/dev/null", DEVICE},
    {"/dev/random", LANDLOCK_ACCESS_FS_READ_FILE},
    {"/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE},
    {"/proc/self/exe", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE},
};

/* No devices, sockets or pipes there, and nothing that is executed. */
static uint64_t state_rights(long version)
{
    return all_rights(version) &
           ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                       LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                       LANDLOCK_ACCESS_FS_MAKE_FIFO);
}

/* What is not there needs no rule. */
static int allow(int rules, const char *path, uint64_t rights, struct err *e)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights,
        .parent_fd = open(path, O_PATH | O_CLOEXEC),
    };
    if (rule.parent_fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, "cannot open %s", path);
    int r = 0;
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        r = err_errno(e, "cannot allow the use of %s", path);
    close(rule.parent_fd);
    return r;
}

int sandbox_landlock_agent(const char *state, struct sandbox_notes *n, struct err *e)
{
    long version = interface(n);
    if (!version)
        return 0;
    int fd = make(version, e);
    if (fd < 0)
        return fd;
    int r = allow(fd, state, state_rights(version), e);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(needed); i++)
        r = allow(fd, needed[i].path, needed[i].rights, e);
    if (r) {
        close(fd);
        return r;
    }
    return enter(fd, e);
}

/* --- sense --- */

int sandbox_landlock_sense(int folder, struct sandbox_notes *n, struct err *e)
{
    long version = interface(n);
    if (!version)
        return 0;
    uint64_t handled = all_rights(version) & ~(uint64_t)READ;
    struct landlock_ruleset_attr rules = {.handled_access_fs = handled};
    long fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    if (fd < 0)
        return err_errno(e, "cannot make a Landlock rule set");
    struct landlock_path_beneath_attr rule = {.allowed_access = state_rights(version) & handled,
                                              .parent_fd = folder};
    int r = 0;
    if (syscall(SYS_landlock_add_rule, (int)fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        r = err_errno(e, "cannot allow the directory logs");
    if (r) {
        close((int)fd);
        return r;
    }
    return enter((int)fd, e);
}
