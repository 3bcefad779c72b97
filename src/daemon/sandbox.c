#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/sandbox_steps.h"

void sandbox_note(struct sandbox_notes *n, const char *what)
{
    if (!n)
        return;
    size_t used = strlen(n->text);
    snprintf(n->text + used, sizeof n->text - used, "%s%s", used ? "; " : "", what);
}

int sandbox_common(bool dies, struct err *e)
{
    /* Changing the user clears the death signal and sets dumpable anew: these come after it. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_errno(e, "cannot renounce new privileges");
    if (prctl(PR_SET_DUMPABLE, SANDBOX_SANITIZER, 0, 0, 0))
        return err_errno(e, "cannot close this process to debuggers");
    if (dies && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        return err_errno(e, "cannot tie this process to its supervisor");
    return 0;
}

/* Its heartbeats must not wait for a processor. */
static uint32_t rights_of_control(void)
{
    const char *read_all = getenv(SANDBOX_READ_ALL);
    bool reads_all = read_all && strcmp(read_all, "1") == 0;
    return 1u << CAP_SYS_NICE | (reads_all ? 1u << CAP_DAC_READ_SEARCH : 0);
}

int sandbox_enter(enum sandbox_role role, struct sandbox_notes *notes, struct err *e)
{
    if (notes)
        notes->text[0] = 0;
    bool control = role == SANDBOX_CONTROL;
    prctl(PR_SET_NAME, control ? "holdfast-ctrl" : "holdfast-proxy", 0, 0, 0);
    int r = sandbox_drop_user(control ? rights_of_control() : 0, notes, e);
    if (r == 0)
        r = sandbox_common(control, e);
    if (r == 0 && !control)
        r = sandbox_landlock(notes, e);
    if (r == 0 && !control)
        r = sandbox_seccomp(SANDBOX_FILTER_PROXY, notes, e);
    return r;
}

/* The state directory's parents may be closed to who we become. */
static int folder_in(const char *state, int *fd, struct err *e)
{
    *fd = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? err_errno(e, "cannot open %s", state) : 0;
}

static int folder_below(int *fd, struct err *e)
{
    int below = -1;
    if (mkdirat(*fd, "logs", 0700) == 0 || errno == EEXIST)
        below = openat(*fd, "logs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = below < 0 ? err_errno(e, "cannot open the directory logs of the state directory") : 0;
    close(*fd);
    *fd = below;
    return r;
}

int sandbox_enter_sense(const char *state, int *folder, struct sandbox_notes *notes, struct err *e)
{
    static const char *const readers[] = {"adm", "systemd-journal", NULL};
    notes->text[0] = 0;
    prctl(PR_SET_NAME, "holdfast-sense", 0, 0, 0);
    int r = folder_in(state, folder, e);
    if (r == 0)
        r = sandbox_drop_user_to(0, readers, notes, e);
    if (r == 0)
        r = sandbox_common(true, e);
    if (r == 0)
        r = folder_below(folder, e);
    if (r == 0)
        r = sandbox_landlock_sense(*folder, notes, e);
    return r ? r : sandbox_seccomp(SANDBOX_FILTER_SENSE, notes, e);
}
