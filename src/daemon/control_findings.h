/* control_findings: what the senses hold against the subjects that control judges
 * (docs/detection.md).
 *
 * Any part of control that finds something says so by control_found, again at each look while it
 * stays, and by control_cleared when it is over; sense (another process) says it over its line.
 * What is raised or cleared is an event (finding-raised, finding-cleared) with its evidence, and
 * for an instance part of the verdict that is in force, at once.
 *
 * A subject is known while anything is held against it: FINDING_SUBJECTS of them at most, more are
 * refused and counted. Those of instances and services go with the view that no longer names them.
 * Findings of a sense process that is gone fade by themselves; what its successor has not repeated
 * within FINDING_FORGOTTEN is over. */
#ifndef HF_CONTROL_FINDINGS_H
#define HF_CONTROL_FINDINGS_H

#include "admin/admin.h"
#include "base/base.h"
#include "daemon/ipc.h"
#include "detect/findings.h"
#include "os/os.h"

enum { FINDING_SUBJECTS = 16384, FINDING_NAME_MAX = 255 };
#define FINDING_FORGOTTEN (15 * NS_PER_S)

/* struct finding.observer */
enum finder { FINDER_CONTROL, FINDER_SENSE, FINDER_BEFORE /* the control before this one */ };

struct finding_subject {
    enum subject_kind kind;
    int32_t slot; /* of an instance of the view in force; else -1 */
    struct findings findings;
    char name[FINDING_NAME_MAX + 1];
};

struct finding_out {
    struct map subjects; /* kind and name -> struct finding_subject, owned */
    struct timer tick;
    struct ipc sense;               /* to it */
    uint64_t line_since;            /* ns, when that line came; 0: there is none */
    uint64_t began;                 /* ns */
    uint64_t refused;               /* for want of a place or memory */
    uint64_t malformed;             /* messages of sense */
    uint64_t raised[FINDING_KINDS]; /* ever */
};

struct control;
struct view_service;
struct view_instance;

/* name: as findings.h has them. s->observer: who finds it, enum finder. True: what is raised, or
 * its verdict, changed. */
bool control_found(struct control *c, enum subject_kind kind, struct str name,
                   const struct finding_signal *s);
bool control_cleared(struct control *c, enum subject_kind kind, struct str name,
                     enum finding_kind what, uint64_t key);
/* NULL: nothing is held against it. */
const struct finding_subject *control_held(const struct control *c, enum subject_kind kind,
                                           struct str name);
/* "web/10.0.0.11:3000" of an instance, cut. */
struct str finding_instance_name(const struct view_service *s, const struct view_instance *i,
                                 char out[FINDING_NAME_MAX + 1]);

/* For admin. */
const struct findings *finding_host_at(void *context, uint32_t slot);
const struct findings *finding_host_held(void *context, enum subject_kind kind, struct str name);
bool finding_host_next(void *context, size_t *at, struct admin_held *out);
struct admin_found finding_host_found(void *context);

/* For control's own start, view and end. */
void finding_init(struct control *c);
void finding_end(struct control *c);
/* A line to a sense process; takes fd. */
void finding_line(struct control *c, int fd);
/* c->view is another: what is held goes to the slots of it. Before the judges look. */
void finding_adopt(struct control *c);
/* The verdict of before a restart of control was a finding's. */
void finding_restore(struct control *c, uint32_t slot, enum reason reason);

#endif
