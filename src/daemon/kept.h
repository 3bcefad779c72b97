/* kept: the versions of the cluster's configuration that lie on this node's disk, and what a node
 * runs by them. Used by the supervisor at its start, by a program that checks itself before an
 * upgrade, and by control.
 *
 *   STATE/config/0000000042   a version and its bundle, as the coordinator has it
 *
 * Written whole or not at all, and read with care: what does not have its digest is not used. The
 * newest that the machine can take is what runs; until there is one, the node's own file alone. */
#ifndef HF_KEPT_H
#define HF_KEPT_H

#include "conf/conf.h"
#include "coord/bundle.h"
#include "coord/versions.h"

enum { KEPT_MAX = 64 /* files that are looked at */ };

/* Zero-initialise. A version that is shared by all nodes; number 0: none, the own file rules. */
struct shared_conf {
    struct version version;
    struct bundle bundle;
};
void shared_conf_free(struct shared_conf *s);
/* bundle: encoded. */
int shared_conf_read(struct shared_conf *s, const struct version *v, struct str bundle,
                     struct err *e);

/* What a node's configuration is made from. */
struct conf_place {
    const char *file;  /* the node's own */
    const char *state; /* its directory */
    const char *node;  /* which of its cluster it is; NULL: to be found out */
};

/* Durable when it returns 0. */
int kept_write(const char *state, const struct version *v, struct str bundle, struct err *e);
int kept_read(const char *state, uint64_t number, struct shared_conf *out, struct err *e);
/* The numbers of those that there are, newest first; returns how many. */
uint32_t kept_list(const char *state, uint64_t numbers[KEPT_MAX]);
/* `number` runs: older ones may go, but for one. */
void kept_forget(const char *state, uint64_t number);
/* It is damaged: out of the way, under another name. */
void kept_set_aside(const char *state, uint64_t number);

/* As conf_load, of the version with what is local to the node; number 0: of the own file. `whole`
 * as in struct conf_env. The view has the version's number. */
int shared_conf_load(const struct conf_place *p, const struct shared_conf *s, bool whole,
                     struct view **out, struct conf_problems *problems, struct err *e);
/* What the node is to run when it starts. *used is what it is by, the caller's also on failure.
 * notes: a line for each version that could not be used. */
int shared_conf_start(const struct conf_place *p, struct view **out, struct shared_conf *used,
                      struct conf_problems *problems, struct buf *notes, struct err *e);

#endif
