/* beat: the watch of one job that says itself that it lives: a cron job, a script, a service.
 *
 * Every beat is a signal (SIGNAL_BEAT_OK, or SIGNAL_BEAT_FAILED with what the job says about it);
 * that none came in time is one too (SIGNAL_BEAT_MISSING, which time itself gives). One table turns
 * them into a reason, as the judge of instances does it, and the reason has its verdict:
 *
 *   wait = every + grace, counted from the last beat, or from when the watch began
 *   late from every + grace / 2 on (suspect); missing from the end of the wait on (failed)
 *
 * What a watch knows can be taken out (beat_remember) and put into another one (beat_restore), in
 * ages and not in times: so it outlives its process, and the boot. While nobody listened a beat may
 * have been lost: after a restore nothing is missing before `grace` has passed.
 *
 * Pure, as detect.h: time comes in, nothing is allocated. docs/beats.md tells it to users. */
#ifndef HF_DETECT_BEAT_H
#define HF_DETECT_BEAT_H

#include "base/str.h"
#include "detect/detect.h"

enum { BEAT_TEXT_MAX = 160, BEAT_EVIDENCE = 8 };

struct beat_params {
    uint64_t every, grace; /* ns; at most a year each */
};

struct beat_watch {
    struct beat_params params;
    enum verdict verdict; /* reason_verdict(reason) */
    enum reason reason;   /* REASON_BEAT* */
    int64_t since;        /* ns, when the verdict became this; negative: before the boot */
    int64_t from;         /* ns, where the wait began: the last beat, or the watch */
    int64_t not_before;   /* ns: restored, and nothing is missing until then but for its grace */
    bool heard;           /* a beat came ever, the last one at `from` */
    uint64_t beats, failures, missed;      /* beats in all, failures among them; times that it went
                                              missing */
    char text[BEAT_TEXT_MAX];              /* of the last beat, if it was a failure; else empty */
    struct signal evidence[BEAT_EVIDENCE]; /* the latest, a ring: evidence_n counts all ever */
    uint64_t evidence_n;
    uint64_t now; /* the latest time seen */
};

/* All that must outlive a watch, in ages. */
struct beat_memory {
    uint64_t age, since_age; /* ns: of `from`, of `since` */
    bool heard;
    uint8_t reason; /* enum reason */
    uint64_t beats, failures, missed;
    char text[BEAT_TEXT_MAX];
};

void beat_init(struct beat_watch *w, const struct beat_params *p, uint64_t now);
void beat_remember(const struct beat_watch *w, uint64_t now, struct beat_memory *out);
/* Call right after beat_init. A memory with a reason that is none of ours changes nothing. */
void beat_restore(struct beat_watch *w, const struct beat_memory *m);
/* A reload: what is known stays, and is judged by these from the next tick on. */
void beat_set_params(struct beat_watch *w, const struct beat_params *p);
/* A beat came. text: what the job says of a failure; cut to fit, and its control characters
 * replaced. True when the verdict or its reason changed. */
bool beat_signal(struct beat_watch *w, const struct signal *s, struct str text);
/* Lets time pass. True when the verdict or its reason changed. */
bool beat_tick(struct beat_watch *w, uint64_t now);
/* The next time that beat_tick has something to do; UINT64_MAX: only a beat changes anything. */
uint64_t beat_deadline(const struct beat_watch *w);
/* ns since the last beat, or since the watch began. */
uint64_t beat_age(const struct beat_watch *w, uint64_t now);
/* ns since the verdict is what it is. */
uint64_t beat_since(const struct beat_watch *w, uint64_t now);
/* The evidence in a sentence or two. Terminated, cut to fit; returns the length. */
size_t beat_explain(const struct beat_watch *w, uint64_t now, char *out, size_t size);

#endif
