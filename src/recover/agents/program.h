/* program: what is to be executed, as whom, and within which limits. */
#ifndef HF_RECOVER_PROGRAM_H
#define HF_RECOVER_PROGRAM_H

#include <sys/types.h>

#include "base/base.h"

enum { PROGRAM_WORDS = 96 }; /* of arguments and of environment, with the NULL at their end */

struct program {
    const char *path;        /* absolute; "/proc/self/exe" is ourselves */
    const char *const *argv; /* with its NULL; argv[0] is the name for ps */
    const char *const *envp; /* with its NULL; nothing is inherited */
    const char *directory;   /* to work in; NULL: "/" */
    int input;               /* descriptor of its standard input, the caller's; 0: /dev/null */
    bool drop;               /* becomes uid and gid for good; only root can */
    uid_t uid;
    gid_t gid;
    int nice;         /* where the kernel permits it; it is not worth failing for */
    uint64_t files;   /* RLIMIT_NOFILE, at most ours; 0: ours */
    uint64_t address; /* bytes, RLIMIT_AS; 0: no limit */
};

/* Starts it. *pid leads a session and a group; *out is the read end of what it prints, not
 * blocking. Returns when it has been executed, or has not. Use runner_start. */
int program_execute(const struct program *p, pid_t *pid, int *out, struct err *e);

#endif
