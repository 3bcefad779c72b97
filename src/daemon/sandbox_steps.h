/* sandbox_steps: the single steps of sandbox.h, each in its own file. Inside this room only. */
#ifndef HF_SANDBOX_STEPS_H
#define HF_SANDBOX_STEPS_H

#include "daemon/sandbox.h"

/* A sanitizer build must read /proc and trace itself at its end. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANDBOX_SANITIZER 1
#endif
#endif
#ifndef SANDBOX_SANITIZER
#define SANDBOX_SANITIZER 0
#endif

/* Appends to the notes; NULL is allowed. */
void sandbox_note(struct sandbox_notes *n, const char *what);

/* No new privileges, no debugger; dies: with its supervisor. */
int sandbox_common(bool dies, struct err *e);
/* 0 when dropped, when there is nothing to drop, or when this container cannot (noted). keep: bits
 * of capabilities below 32, of those that there are. */
int sandbox_drop_user(uint32_t keep, struct sandbox_notes *n, struct err *e);
/* The same, and the user's groups stay, with those of `more` that exist; NULL ends it. */
int sandbox_drop_user_to(uint32_t keep, const char *const *more, struct sandbox_notes *n,
                         struct err *e);
/* Denies every use of the file system from here on. Open descriptors stay usable. */
int sandbox_landlock(struct sandbox_notes *n, struct err *e);
/* Leaves what programs need to be executed, and the state directory. */
int sandbox_landlock_agent(const char *state, struct sandbox_notes *n, struct err *e);
/* Reading stays as it is; writing is left below the open directory `folder` only. */
int sandbox_landlock_sense(int folder, struct sandbox_notes *n, struct err *e);
/* A filter of system calls. Needs no_new_privs. */
enum sandbox_filter { SANDBOX_FILTER_PROXY, SANDBOX_FILTER_AGENT, SANDBOX_FILTER_SENSE };
int sandbox_seccomp(enum sandbox_filter f, struct sandbox_notes *n, struct err *e);

#endif
