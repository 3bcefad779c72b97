/* unboxed: a library to preload into holdfast, so that its proxy process runs under callgrind.
 *
 * The supervisor starts the proxy by executing itself; here that becomes valgrind with the same
 * program, if the environment names the output file (BENCH_CALLGRIND). And the proxy shuts itself
 * in, away from files, other users' rights and most system calls, which valgrind needs: here those
 * steps succeed without effect. For profiles only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <unistd.h>

enum { MOST = 32 };

int execv(const char *path, char *const argv[])
{
    int (*real)(const char *, char *const[]) =
        (int (*)(const char *, char *const[]))dlsym(RTLD_NEXT, "execv");
    const char *to = getenv("BENCH_CALLGRIND");
    if (!to || strcmp(path, "/proc/self/exe") != 0 || !argv[1] || strcmp(argv[1], "@proxy") != 0)
        return real(path, argv);
    char self[4096] = {0}, out[4096];
    if (readlink(path, self, sizeof self - 1) < 0)
        return -1;
    snprintf(out, sizeof out, "--callgrind-out-file=%s", to);
    char *words[MOST] = {"valgrind", "-q", "--tool=callgrind", out, self};
    for (int i = 1, n = 5; argv[i] && n < MOST - 1; i++, n++)
        words[n] = argv[i];
    return execvp(words[0], words);
}

int prctl(int option, ...)
{
    int (*real)(int, ...) = (int (*)(int, ...))dlsym(RTLD_NEXT, "prctl");
    va_list ap;
    va_start(ap, option);
    unsigned long a = va_arg(ap, unsigned long), b = va_arg(ap, unsigned long);
    va_end(ap);
    if (option == PR_SET_SECCOMP || option == PR_SET_DUMPABLE)
        return 0;
    return real(option, a, b, 0, 0);
}

/* As in a container that does not let root become anybody else. */
int setgroups(size_t n, const gid_t *groups)
{
    (void)n;
    (void)groups;
    errno = EPERM;
    return -1;
}
