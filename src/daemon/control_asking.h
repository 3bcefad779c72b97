/* control_asking: one question of an operator about the shared configuration. Inside this room.
 *
 *   control_apply.c    the steps from the question to its answer, and an application
 *   control_compare.c  what a configuration changes and what of that takes something away
 *   control_tell.c     the answer: each of these functions ends the question
 */
#ifndef HF_CONTROL_ASKING_H
#define HF_CONTROL_ASKING_H

#include "daemon/control.h"

enum step { STEP_WAITS, STEP_FILES, STEP_BASE, STEP_WRITES, STEP_READS };

struct asking {
    struct list link;
    struct control *c;
    struct list waiter; /* of one struct admin_config_wait, or empty */
    uint8_t what;       /* enum admin_config_what */
    uint8_t step;       /* enum step */
    bool yes, has_base, pending;
    bool renumbers; /* nobody asked: head gets another number */
    uint64_t base, ticket, until;
    struct coord *at; /* that `ticket` is of */
    struct timer timer;
    struct buf bundle; /* what is to be applied, encoded */
    struct version wanted;
    struct shared_conf old; /* of the version in force, when it had to be read */
    struct versions_head head;
    struct application application;
    bool applying;
    struct buf changes, risks, left;
    struct version *list; /* of a history; owned */
    uint32_t n, count;
    uint64_t number; /* the next that is read */
};

/* control_apply.c */
void asking_free(struct asking *a);

/* control_compare.c. The version in force, if it is at hand. */
const struct shared_conf *asking_at_hand(const struct asking *a);
/* Into a->changes, risks and left. False: it is over. */
bool asking_compare(struct asking *a);
/* The files are those of the version in force. */
bool asking_same_files(const struct asking *a);

/* control_tell.c */
void asking_fail(struct asking *a, const struct err *e);
void asking_fail_with_problems(struct asking *a, const struct conf_problems *p,
                               const struct err *e);
void asking_conflicts(struct asking *a, uint64_t number);
void asking_tell_plan(struct asking *a);
void asking_tell_risks(struct asking *a);
void asking_tell_version(struct asking *a, const struct version *v, bool same);
/* By an event; this one ends nothing. */
void asking_tell_applied(struct asking *a);
void asking_tell_files(struct asking *a, const struct shared_conf *s);
void asking_tell_history(struct asking *a);

#endif
