/* kept: the versions of the cluster's configuration that lie on this node's disk, and what a node
 * runs by them. Used by the supervisor at its start, by a program that checks itself before an
 * upgrade, and by control.
 *
 *   STATE/config/0000000042   a version and its bundle, as the coordinator has it
 *   STATE/config/own          the node's own file and what it includes, as a bundle: as it was when
 *                             it could be used last
 *
 * Written whole or not at all, and read with care: what does not have its digest is not used. The
 * newest that the machine can take is what runs; until there is one, the node's own file alone.
 *
 * An older one than the newest is a stopgap: whoever starts with it says so, and nothing is written
 * because of it. What keeps the own file from being read is no reason not to serve either: where a
 * version runs, what is local to the node is taken from the copy then. */
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

/* Of the own file: `bundle` as daemon_bundle collects it. Writes only what is new. */
int kept_own_write(const char *state, struct str bundle, struct err *e);

/* As shared_conf_load. Where the own file is what keeps it from that, and the copy does not, the
 * copy is used, and own says so in a sentence; it is empty otherwise. */
enum { KEPT_OWN_TEXT = 400 };
int shared_conf_load_anyway(const struct conf_place *p, const struct shared_conf *s, bool whole,
                            struct view **out, struct conf_problems *problems,
                            char own[KEPT_OWN_TEXT], struct err *e);

/* What the node is to run when it starts. Zero-initialise but for `below`; the caller's to free
 * also after a failure. */
struct shared_start {
    uint64_t below;          /* only versions below this one: it and those above were refused by
                                whoever was to use them; 0: all */
    struct view *view;       /* the caller may take it */
    struct shared_conf used; /* what it is by; so may it */
    struct conf_problems problems;
    struct buf notes;        /* a line for each newer version that could not be used */
    char own[KEPT_OWN_TEXT]; /* why the own file was not used; empty: it was */
};
int shared_conf_start(const struct conf_place *p, struct shared_start *out, struct err *e);
void shared_start_free(struct shared_start *s);
/* Whether there is an older version to start with than this one. */
bool kept_has_below(const char *state, uint64_t number);

#endif
