/* keeper: keeps one service's instance at this node. What all kinds of instances share; a kind is
 * one small file and a row of `keeper_kinds`.
 *
 *   control --orders--> keeper.c --ops--> keeper_redis.c, keeper_process.c, keeper_hook.c
 *                          |                          |
 *                        host                  process.h, redis_link.h ...
 *
 * keeper.c takes orders one at a time and refuses old epochs, looks at the lease, tells what
 * changed, and runs the service's hook. A kind starts its instance when it is opened, in the state
 * in which it can do no harm (it takes no writes), starts it again when it ends, and carries out
 * what it is told.
 *
 * The lease (docs/protocol/lease.md, rule 4): from the order to promote on the keeper *acts*. It
 * looks at the deadline when it comes, by a timer of its loop: whoever is asked for nothing any
 * more, because control hangs or is gone, is demoted all the same. `lapse` has until the deadline +
 * D; what does not obey within half of D is killed.
 *
 * One loop, one thread, nothing waits. Failure modes: an instance that hangs is killed; one that
 * cannot be killed (a dead disk) takes no writes either. */
#ifndef HF_RECOVER_KEEPER_H
#define HF_RECOVER_KEEPER_H

#include "base/base.h"
#include "os/os.h"
#include "recover/agents/instance.h"
#include "recover/agents/process.h"

enum keeper_words { WORDS_COMMAND, WORDS_HOOK, WORDS_REDIS /* settings; NULL: none */ };

struct keeper;
struct keeper_host {
    void *context;
    const char *state; /* the state directory, absolute */
    /* As whom and how programs run. */
    void (*fill)(void *context, struct program *what);
    /* When the lease of the slot's role ends (ns; 0: it is not held here), and its epoch. */
    uint64_t (*lease)(void *context, uint32_t slot, uint64_t *epoch);
    /* The words of the service's `command` or `hook` in the configuration: NULL: it has none. They
     * stay until the next turn of the loop. */
    const char *const *(*words)(void *context, const char *service, enum keeper_words which);
    void (*report)(void *context, const struct agent_report *r);
    void (*answer)(void *context, uint64_t ticket, int code, const char *sentence, uint64_t history,
                   uint64_t position);
    void (*log)(void *context, bool warning, const char *text);
    /* It was stopped and has ended: the owner may close it, not from inside. */
    void (*ended)(void *context, struct keeper *k);
};

struct keeper_ops {
    /* Begins; what fails later is tried again and reported. ERR_NOMEM. k->kept is the kind's own.
     */
    int (*open)(struct keeper *k, struct err *e);
    /* k->spec is another one than *was. */
    void (*configure)(struct keeper *k, const struct agent_instance *was);
    /* k->order is to be carried out: FOLLOW, FENCE, PROMOTE, DEMOTE. keeper_done, now or later. */
    void (*order)(struct keeper *k);
    /* The deadline has passed: no writes from now on. keeper_rests when that is so. */
    void (*lapse)(struct keeper *k);
    /* Look at it now. */
    void (*look)(struct keeper *k);
    /* It is to end within `grace`, and not to be started again; 0: now. keeper_over. */
    void (*stop)(struct keeper *k, uint64_t grace);
    /* Kills it, waits for its end, frees k->kept. Calls nothing. */
    void (*close)(struct keeper *k);
};
/* By enum instance_kind; NULL: KIND_NONE. */
extern const struct keeper_ops keeper_redis, keeper_process, keeper_hook;
extern const struct keeper_ops *const keeper_kinds[INSTANCE_KINDS];

struct keeper {
    struct list link; /* the owner's */
    const struct keeper_ops *ops;
    const struct keeper_host *host;
    struct loop *loop;
    void *kept; /* the kind's own */
    struct agent_instance spec;
    struct agent_report report; /* as it is; the kind's file writes it and calls keeper_tell */
    struct agent_role order;
    bool ordered; /* `order` is under way */
    uint64_t ticket;
    bool acts; /* was told to be primary, and may take writes */
    uint64_t acts_epoch;
    bool ending, over;
    /* private */
    struct agent_report told;
    uint64_t told_at;
    struct timer lease_timer, tell_timer;
    struct command *hook;
    struct vip *vip; /* keeper_vip.c's; NULL: the service has no address */
    struct addr vip_address;
    uint8_t vip_prefix;
    char vip_interface[16], vip_said[256];
    bool vip_wanted;
    uint64_t vip_epoch, vip_conflicts, vip_warned;
    struct timer vip_timer;
    uint64_t hooked; /* what the hook was told last */
};

/* spec passes instance_check. ERR_NOMEM. *out is the caller's, to be ended by keeper_close. */
int keeper_open(struct keeper **out, struct loop *l, const struct keeper_host *host,
                const struct agent_instance *spec, struct err *e);
/* The same kind as before. Also: look now. */
void keeper_configure(struct keeper *k, const struct agent_instance *spec);
void keeper_order(struct keeper *k, const struct agent_role *o, uint64_t ticket);
/* The line to control is gone: nobody waits for an answer. */
void keeper_forget(struct keeper *k);
/* Tells all there is. */
void keeper_tell_again(struct keeper *k);
/* The agent ends: as ORDER_STOP, without an answer. */
void keeper_stop(struct keeper *k, uint64_t grace);
void keeper_close(struct keeper *k);

/* --- for the kinds --- */

/* The order is carried out (r 0; history and position are k->report's), or is not. */
void keeper_done(struct keeper *k, int r, const struct err *e);
/* It takes no writes: not told to, demoted or dead. */
void keeper_rests(struct keeper *k);
/* After a stop: it has ended for good. */
void keeper_over(struct keeper *k);
/* k->report may have changed. Another state is told at once, a moved position soon. */
void keeper_tell(struct keeper *k);
void keeper_state(struct keeper *k, enum role_instance state);
/* Well, or why not: printable and one line, or made so. */
void keeper_well(struct keeper *k, const char *why_not, ...) __attribute__((format(printf, 2, 3)));
void keeper_log(struct keeper *k, bool warning, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A program of the system with the service's environment: HOLDFAST_SERVICE, _ROLE, _EPOCH, _NODE,
 * _PRIMARY, _PRIMARY_ADDRESS, PATH. In *memory. False: memory is out. */
bool keeper_environment(struct keeper *k, const char *role, uint8_t primary, struct arena *memory,
                        struct program *what);
static inline bool keeper_lease_holds(const struct keeper *k, uint64_t now)
{
    uint64_t epoch, until = k->host->lease(k->host->context, k->spec.slot, &epoch);
    return now < until && epoch >= k->acts_epoch;
}
/* FENCE under the epoch that it acts in: only an answer is asked for. */
static inline bool keeper_only_asked(const struct keeper *k)
{
    return k->order.what == ORDER_FENCE && k->acts && k->acts_epoch == k->order.epoch;
}
#define KEEPER_GOOD NULL

#endif
