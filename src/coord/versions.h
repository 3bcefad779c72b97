/* versions: the configuration of a cluster as a row of versions, in the coordinator. Pure: answers,
 * changes and time in; keys, values and requests out. The daemon and the simulator run these.
 *
 * Two records, both JSON: VERSIONS_HEAD tells which version is in force, VERSIONS_EACH with ten
 * digits has that version and its bundle (the configuration's files as bytes, see bundle.h). What
 * is read may come from anybody who can write to the coordinator: it is bounded and checked, and a
 * bundle is only given out when it has the digest that its record says.
 *
 * An application (struct application) makes the next version. It writes against the head that it
 * was planned with, so that of two at once one conflicts. When no answer comes, it finds out: it
 * reads whether its id is in; if head still is as it was, it writes the same head once more, after
 * which its first request cannot happen any more, whoever still has it under way.
 *
 * An adopter (struct adopter) is how a node follows: a newer head is fetched, kept (on disk), used
 * (as by a reload), in this order, one version at a time, and never downwards. What fails is tried
 * again, and dropped when there is something newer. A start uses the newest version that was kept
 * and that the machine can take, whether or not the coordinator is there. */
#ifndef HF_COORD_VERSIONS_H
#define HF_COORD_VERSIONS_H

#include "coord/coord.h"

#define VERSIONS_HEAD "config/head"
#define VERSIONS_EACH "config/version/"
enum {
    VERSIONS_KEPT = 100,             /* older ones are removed */
    VERSION_BUNDLE_MAX = 560 * 1024, /* bytes; both records fit in COORD_VALUE_MAX */
    VERSION_KEY = 32,
    VERSION_DIGEST = 65, /* sizes, with the terminator */
    VERSION_ID = 33,
    VERSION_NAME = 128,
    VERSION_NOTE = 512,
    VERSION_CHANGES = 2048, /* what it changes, in words: lines; cut where they do not fit */
    VERSION_PROBLEM = 256,
};
#define VERSION_MOST UINT64_C(9999999999)

/* --- records --- */

struct version {
    uint64_t number; /* 1 and up; 0: nobody has applied anything yet */
    uint64_t when;   /* Unix ms */
    uint64_t from;   /* the version that it repeats, of a rollback or after a restore; 0 */
    char digest[VERSION_DIGEST]; /* SHA-256 of the bundle, hexadecimal */
    char id[VERSION_ID];         /* random, hexadecimal: of the application that made it */
    char who[VERSION_NAME], node[VERSION_NAME], note[VERSION_NOTE]; /* UTF-8 of one line; note may
                                                                       be empty */
    char changes[VERSION_CHANGES];                                  /* UTF-8, lines; may be empty */
};
bool version_same(const struct version *a, const struct version *b); /* number, digest and id */
void version_key(uint64_t number, char out[VERSION_KEY]);
/* bundle: NULL for a head. Its digest is that of the version. */
int version_write(const struct version *v, const struct str *bundle, struct buf *out,
                  struct err *e);
/* bundle: appended to; NULL: whether there is one does not matter. */
int version_read(struct str text, struct version *out, struct buf *bundle, struct err *e);

/* What a node says of itself, under VERSIONS_NODE and its name. */
#define VERSIONS_NODE "config/node/"
struct version_adopted {
    uint64_t number;               /* of the version that it runs; 0: its own file */
    char problem[VERSION_PROBLEM]; /* why that is not the one in force; empty: it is, or will be */
};
int version_adopted_write(const struct version_adopted *v, struct buf *out, struct err *e);
int version_adopted_read(struct str text, struct version_adopted *out, struct err *e);

/* What a node knows of head. */
struct versions_head {
    uint64_t revision; /* 0: it is not there */
    struct version version;
};
/* From what a watch or a range of VERSIONS_HEAD says; NULL: it is not there. On an error nothing
 * can be planned with *out. */
int versions_head(const struct coord_item *item, struct versions_head *out, struct err *e);

/* --- an application --- */

enum application_next {
    APPLICATION_CAS,   /* coord_cas of ops[0 .. n_ops), then application_answered */
    APPLICATION_RANGE, /* coord_range of `key`, then application_answered */
    APPLICATION_OVER,
};
enum application_end {
    APPLICATION_OPEN,     /* not known: what it stays when nobody asks any longer */
    APPLICATION_DONE,     /* `version` is in the history */
    APPLICATION_CONFLICT, /* somebody else's is, and this one never will be: plan again */
    APPLICATION_FAILED,   /* it is not and never will be; e tells */
};
struct application { /* stays where it is: ops point into it */
    enum application_next next;
    enum application_end end;
    uint64_t wait; /* ns to let pass before `next` */
    struct coord_op ops[3];
    uint32_t n_ops;
    struct str key;
    struct version version;
    struct err e;

    /* Its own. */
    struct versions_head base;
    struct buf head, record;
    char text[2][VERSION_KEY];
    uint64_t newest; /* of head, when it was read */
    bool fencing;
    uint32_t attempts; /* that were fenced off */
};
/* What is wanted has when, who, node, note, from and id; number and digest are found here. highest:
 * the newest version that this node has used, which head may be behind after a restore. */
int application_begin(struct application *a, const struct versions_head *base, uint64_t highest,
                      const struct version *wanted, struct str bundle, struct err *e);
void application_answered(struct application *a, const struct coord_answer *answer);
void application_free(struct application *a);

/* --- an adopter --- */

struct adopter_host {
    void *context;
    /* Reads version_key(number) with coord_range, then adopter_fetched. */
    void (*fetch)(void *context, uint64_t number);
    /* Puts it on disk beside the version that is in use, durably, then adopter_kept. */
    void (*keep)(void *context, const struct version *v, struct str bundle);
    /* Makes it what the node runs, then adopter_used. Older ones may leave the disk then. */
    void (*use)(void *context, const struct version *v, struct str bundle);
};
struct adopter_params {
    uint64_t again; /* ns: until what got no answer is asked again */
    uint64_t retry; /* ns: until what this machine could not take is tried again */
};
struct adopter_params adopter_defaults(void);

enum adopter_phase {
    ADOPTER_RESTING,  /* nothing newer is known */
    ADOPTER_FETCHING, /* one of the three is under way */
    ADOPTER_KEEPING,
    ADOPTER_USING,
    ADOPTER_UNFETCHED, /* it waits to do it again */
    ADOPTER_UNKEPT,
    ADOPTER_UNUSED,
};
struct adopter {
    struct adopter_params params;
    struct adopter_host host;
    enum adopter_phase phase;
    struct version used; /* number 0: the node's own file */
    struct versions_head head;
    bool head_known;       /* somebody has said */
    struct version target; /* of what is under way or waits */
    struct buf bundle;     /* of the target */
    uint64_t due;          /* ns; UINT64_MAX: nothing waits */
    struct err problem;    /* why this node does not run head's version; code 0: it does, or will */
};
/* used: the newest that was kept and is in use now, older ones may leave the disk; NULL: the node's
 * own file. */
void adopter_begin(struct adopter *a, const struct adopter_params *p, const struct adopter_host *h,
                   const struct version *used);
void adopter_free(struct adopter *a);
/* From the watch of VERSIONS_HEAD; NULL: it is not there. */
void adopter_head(struct adopter *a, const struct coord_item *item, uint64_t now);
/* Answers may come inside the host's functions. Late ones and those to others are dropped. */
void adopter_fetched(struct adopter *a, uint64_t number, const struct coord_answer *answer,
                     uint64_t now);
void adopter_kept(struct adopter *a, uint64_t number, const struct err *failed, uint64_t now);
void adopter_used(struct adopter *a, uint64_t number, const struct err *failed, uint64_t now);
/* Head is behind what runs here, or another one of its number, as after a restore: it is to be
 * written anew, above every number that somebody has used (struct application, from). */
bool adopter_overtaken(const struct adopter *a);
uint64_t adopter_deadline(const struct adopter *a);
void adopter_tick(struct adopter *a, uint64_t now);

#endif
