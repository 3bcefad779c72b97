/* starved: for how long a process of ours was ready to run and got no processor. On a machine that
 * has too much to do the agent, which is favoured, runs on time and what it watches does not: that
 * says nothing about what it watches.
 *
 *   /proc/PID/schedstat   ns it ran, ns it was ready and did not run (waits that are over)
 *   /proc/PID/stat        its state: one that is ready (R) and has not run since the look before
 *                         waits at this moment
 *
 * Of the first thread, which is the one that answers. One that is stopped (T), sleeps (S), waits
 * for a disk (D) or computes is not starved. Where there is no such file nothing is known, and no
 * time is spared. The descriptors mean the process for as long as they are open, whatever becomes
 * of its number. */
#ifndef HF_RECOVER_STARVED_H
#define HF_RECOVER_STARVED_H

#include <sys/types.h>

#include "base/base.h"

struct starved {
    int schedstat, stat; /* -1: not open */
    char state;          /* of stat; 0: not known */
    uint64_t ran;        /* ns */
    uint64_t over;       /* ns in waits that are over */
    uint64_t since;      /* ready, and has not run since then; 0: not so */
    uint64_t most;       /* ns waited, as it was told last */
};

/* What the two files say. False: they say nothing. Pure. */
bool starved_read(struct str schedstat, struct str stat, uint64_t *ran, uint64_t *over,
                  char *state);
/* Another look found this. Returns how many ns more it has waited since the look before. Pure. */
uint64_t starved_seen(struct starved *s, uint64_t now, uint64_t ran, uint64_t over, char state);

void starved_init(struct starved *s);
void starved_open(struct starved *s, pid_t pid);
void starved_close(struct starved *s); /* harmless when it is not open */
uint64_t starved_look(struct starved *s, uint64_t now);
/* "it is stopped", "it waits for a disk". */
const char *starved_state(const struct starved *s);

#endif
