/* faulty: a holdfast that fails in the middle of an upgrade. It is the real program; what it does
 * wrong stands in a file "fault" beside it, so that neither arguments nor environment have to carry
 * it through the supervisor:
 *
 *   refuses       the self-check says no            check-hangs    it never ends
 *   check-dies    it is killed by a signal          file-gone      the configuration vanishes
 *   control-dies  the new control ends at once      proxy-dies     the new proxy does
 *   proxy-mute    the new proxy never takes a view
 *   crashes       the new supervisor is hit by SIGSEGV
 *   foreign       it believes that what it is left has other formats
 */
#undef main
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/upgrade_state.h"
#include "os/os.h"

int holdfast_main(int argc, char **argv);

static void read_fault(char out[32])
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 8);
    struct buf text = {0};
    out[0] = 0;
    if (n <= 0)
        return;
    path[n] = 0;
    strcpy(strrchr(path, '/') + 1, "fault");
    if (file_read(path, 31, &text, NULL) == 0)
        str_copy(out, 32, buf_str(&text));
    buf_free(&text);
}

static int stay(void)
{
    while (pause())
        continue;
    return 0;
}

static int self_check(const char *fault, int argc, char **argv)
{
    static const char no[] = "this program is not in the mood\n";
    if (strcmp(fault, "refuses") == 0)
        return write(5, no, sizeof no - 1) > 0;
    if (strcmp(fault, "check-hangs") == 0)
        return stay();
    if (strcmp(fault, "check-dies") == 0)
        raise(SIGKILL);
    return holdfast_main(argc, argv);
}

static bool catches_crashes(pid_t pid)
{
    char path[64], *line;
    struct buf text = {0};
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    if (file_read(path, 8192, &text, NULL) == 0 && buf_add(&text, "", 1) &&
        (line = strstr(text.p, "SigCgt:")))
        caught = strtoull(line + 7, NULL, 16);
    buf_free(&text);
    return caught >> (SIGALRM - 1) & 1; /* a sanitizer catches the others itself */
}

/* From a process beside it, once it has its nets out. */
static void crash_soon(void)
{
    pid_t victim = getpid();
    if (fork())
        return;
    while (getppid() == victim && !catches_crashes(victim))
        usleep(100);
    kill(victim, SIGSEGV);
    _exit(0);
}

static void speak_another_language(void)
{
    struct buf bytes = {0};
    struct upgrade_state st;
    CHECK(memfd_read(3, UPGRADE_MAX_BYTES, &bytes, NULL) == 0);
    CHECK(upgrade_state_decode(buf_str(&bytes), &st, NULL) == 0);
    st.cells_version += 1000;
    buf_clear(&bytes);
    upgrade_state_encode(&st, &bytes);
    int fd = memfd_sealed("other", buf_str(&bytes), NULL);
    CHECK(fd > 3 && dup2(fd, 3) == 3);
    close(fd);
    upgrade_state_free(&st);
    buf_free(&bytes);
}

static void take_file_away(void)
{
    struct buf bytes = {0};
    struct upgrade_state st;
    char away[PATHS_MAX + 8];
    CHECK(memfd_read(3, UPGRADE_MAX_BYTES, &bytes, NULL) == 0);
    CHECK(upgrade_state_decode(buf_str(&bytes), &st, NULL) == 0);
    snprintf(away, sizeof away, "%s.away", st.file);
    CHECK(rename(st.file, away) == 0);
    upgrade_state_free(&st);
    buf_free(&bytes);
}

static int resume(const char *fault, int argc, char **argv)
{
    if (strcmp(fault, "file-gone") == 0)
        take_file_away();
    if (strcmp(fault, "crashes") == 0)
        crash_soon();
    if (strcmp(fault, "foreign") == 0)
        speak_another_language();
    return holdfast_main(argc, argv);
}

int main(int argc, char **argv)
{
    char fault[32];
    const char *command = argc > 1 ? argv[1] : "";
    read_fault(fault);
    if (strcmp(command, "@self-check") == 0)
        return self_check(fault, argc, argv);
    if (strcmp(command, "@resume") == 0 && argc == 2)
        return resume(fault, argc, argv);
    if (strcmp(command, "@control") == 0 && strcmp(fault, "control-dies") == 0)
        return 1;
    if (strcmp(command, "@proxy") == 0 && strcmp(fault, "proxy-dies") == 0)
        return 1;
    if (strcmp(command, "@proxy") == 0 && strcmp(fault, "proxy-mute") == 0)
        return stay();
    return holdfast_main(argc, argv);
}
