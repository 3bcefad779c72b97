/* Between the files of failover.h. */
#ifndef HF_RECOVER_FAILOVER_INSIDE_H
#define HF_RECOVER_FAILOVER_INSIDE_H

#include "recover/failover.h"

#define MS     UINT64_C(1000000) /* ns */
#define SECOND (1000 * MS)

static inline bool is_candidate_here(const struct failover *f)
{
    return f->params.self != ROLE_NOBODY;
}
static inline uint16_t bit_at(uint8_t place)
{
    return (uint16_t)(1u << place);
}
static inline void wake_at(struct failover *f, uint64_t at)
{
    f->wake = MIN(f->wake, at);
}
/* Acknowledgements that a reply needs while S is the in-sync set: its primary is one of S. */
uint32_t failover_needs(const struct failover *f, uint16_t insync, uint8_t strangers, uint8_t sync);
void failover_tell(struct failover *f, enum failover_what what, uint8_t place, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool failover_ask_agent(struct failover *f, enum failover_act act, uint64_t epoch, uint8_t place,
                        uint64_t *ticket);
/* A record to write that is the known one but for what the caller changes. */
void failover_draft(struct failover *f, struct failover_record *out, const char *why);
void failover_take(struct failover *f, const struct failover_record *r, uint64_t now);

void failover_shut(struct failover *f, uint64_t now); /* the gate */

/* failover_facts.c */
void facts_gather(struct failover *f, uint64_t now);
/* The process of this primary, as far as it is known; 0: it is not. */
uint64_t facts_holder(const struct failover *f, uint8_t primary);

/* failover_tell.c */
void tell_step(struct failover *f, uint64_t now);
/* The role's state has changed. */
void tell_state(struct failover *f, enum role_state before, uint64_t now);

/* failover_lag.c */
void lag_step(struct failover *f, uint64_t now);

/* failover_fence.c */
void fence_reset(struct failover *f);
void fence_begin(struct failover *f, uint64_t epoch, uint64_t now);
void fence_heard(struct failover *f, uint8_t from, const struct role_message *m, uint64_t now);
/* True: the ticket was one of these. */
bool fence_answered(struct failover *f, uint64_t ticket, bool ok, uint64_t position, uint64_t now);
void fence_gone(struct failover *f);
/* The order to promote is being carried out: the next of its steps. */
enum role_progress fence_step(struct failover *f, uint64_t now);
/* Others ask this node. */
void fenced_asked(struct failover *f, uint8_t by, const struct role_message *m);
void fenced_step(struct failover *f, uint64_t now);

/* failover_rehearse.c */
void rehearse_begin(struct failover *f, uint64_t now);
void rehearse_heard(struct failover *f, uint8_t from, const struct role_message *m);
/* True: the ticket was its. */
bool rehearse_read(struct failover *f, uint64_t ticket, bool ok);
void rehearse_step(struct failover *f, uint64_t now);

/* failover_insync.c */
void insync_reset(struct failover *f);
void insync_step(struct failover *f, uint64_t now);
bool insync_answered(struct failover *f, uint64_t ticket, enum failover_outcome outcome,
                     uint64_t revision, uint64_t now);
/* What the row asks of a reply. */
void insync_row(const struct failover *f, struct failover_row *row);

/* failover_say.c */
struct role_message say_message(const struct failover *f, enum role_kind kind, uint64_t epoch);
void say_step(struct failover *f, uint64_t now);

/* failover_chain.c */
void chain_begin(struct failover *f, uint64_t at);
void chain_step(struct failover *f, enum failover_step_kind kind, uint8_t place, uint64_t position,
                uint64_t at);
void chain_end(struct failover *f);
/* A step of another's; what is to be told, to the others and here. */
void chain_heard(struct failover *f, uint8_t from, const struct role_message *m, uint64_t now);
void chain_tell(struct failover *f, uint64_t now);

#endif
