/* pace: which instances have become slow, err more or hang, as the answers show; without a
 * threshold that anybody set. Degrading only: control raises findings of it (findings.h).
 *
 * Every look (half a second) the owner says of each instance of a pool what came of its answers:
 * a latency histogram, errors, what is unanswered. Each answer is then one Bernoulli trial: is it
 * over a bound, that a share p0 of all is over while all is well? A CUSUM (Page 1954) adds up the
 * log-likelihood against the share p1 that a fault would show,
 *
 *   S <- max(0, S + x log(p1 / p0) + (n - x) log((1 - p1) / (1 - p0)))     x of n over it
 *
 * and at S >= PACER_EVIDENCE there is a finding. If answers are independent and no more than p0
 * of them are over it, then it takes exp(PACER_EVIDENCE) = 7e10 answers on average until the first
 * false alarm (Lorden 1971): 800 days at 1,000 answers a second. Answers are not independent: one
 * stall delays many. So a look adds at most a part of the evidence, whatever it saw, and it takes
 * seconds. It needs no least number of answers, windows or classes of traffic: with few answers it
 * takes longer, that is all.
 *
 *   others   its answers against those of the pool's others: bounds at 1.5 and 3 times the median
 *            of their medians, beyond their spread (MAD), and at 3 times their 90th percentile (one
 *            answer of five is slow); p0: the share of the others' answers over the bound
 *   before   against its own past: the same bounds of its own, beyond what its medians of a look
 *            have been (99th percentile), times what the whole pool is slower now
 *   errors   bad answers, p0: the larger of its own past share and the others'; p1 0.01, 0.1, 0.4
 *   hang     PACER_SILENT requests or more were sent since its last answer, which is longer ago
 *            than 8 times the 99th percentile of its past (1 s at least) while others answered;
 *            twice that where there are no others
 *
 * A difference below `least` is none. The past is a sketch that halves in PACER_MEMORY of use: a
 * change that stays becomes normal after about that time, or after as long as the past is known,
 * if that is shorter. Learning takes PACER_LEARNT looks with enough answers.
 *
 * Raised ends when the evidence has fallen again, by answers as they should be; or after
 * PACER_IDLE without any answer. The owner adds a hold (findings.h).
 *
 * What all have in common is nobody's fault: a slow database makes all slower and is no finding of
 * an instance; the owner may keep a pacer for the service as a whole, which has no others.
 *
 * Pure: time and counts come in, nothing is allocated; 2.0 KiB for each instance.
 *
 * Sources: E. S. Page, "Continuous inspection schemes", Biometrika 1954; G. Lorden, "Procedures for
 * reacting to a change in distribution", Ann. Math. Statist. 1971; median and MAD: Hampel 1974;
 * "fail-slow at scale": Gunawi et al., FAST 2018. */
#ifndef HF_DETECT_PACE_H
#define HF_DETECT_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/sketch.h"

#define PACER_EVIDENCE 25.0
#define PACER_MEMORY   600.0                       /* s, the past's half-life */
#define PACER_IDLE     (60 * UINT64_C(1000000000)) /* ns */
enum { PACER_LEARNT = 40, PACER_SILENT = 4, PACER_MOST = 1024 };

enum pacer_sense { PACER_OTHERS, PACER_BEFORE, PACER_ERRORS, PACER_HANG, PACER_SENSES };

struct pacer_params {
    double factor;   /* the least that counts as slower, over 1; 1.5 */
    double least;    /* s, a smaller difference is none */
    double evidence; /* that raises; PACER_EVIDENCE for traffic */
    double enough;   /* answers in a look that make it a whole one, for learning */
};
/* Of requests; of active checks, of which there are few: each counts. */
struct pacer_params pacer_of_requests(void);
struct pacer_params pacer_of_checks(void);

/* What came since the last look. */
struct pacer_look {
    uint32_t answers[SKETCH_BUCKETS]; /* by latency, those that were good */
    uint32_t errors;                  /* answered with an error */
    uint32_t lost;                    /* refused, cut, or not in time */
    uint32_t sent;
    uint32_t waiting; /* requests in flight now; 0 where silence says nothing */
    bool apart;       /* it drains, failed or is new: it is neither judged nor compared with */
};

enum { PACER_BOUNDS = 3, PACER_PENDING = 24 };

struct pacer_alarm {
    bool raised;
    uint64_t since; /* ns, when it was */
    float score[PACER_BOUNDS];
    /* what the latest look that spoke for it showed */
    float now, normal;    /* s, or shares of errors */
    uint32_t answers, of; /* bad of all, lately; others that it was compared with */
};

/* One instance. A zeroed one knows nothing. */
struct pacer {
    struct sketch recent;         /* answers, halving in 5 s */
    struct sketch past;           /* a look with enough answers weighs 1 */
    struct sketch habits;         /* medians of looks, times that of the past */
    float pending[PACER_PENDING]; /* a ring of those that are no habit yet */
    uint32_t n_pending;
    struct pacer_alarm alarm[PACER_SENSES];
    struct pacer_look look;
    uint64_t at, answered_at; /* ns, the latest look, the latest with answers */
    double seconds;           /* that the latest look covers */
    float recent_bad, recent_all, past_bad, past_all;
    uint64_t silent_since; /* ns, since when nothing has been answered; 0: it is */
    uint32_t unanswered;   /* sent since then */
    bool others_answer;    /* since then */
    /* scratch of pacer_judge */
    double median; /* s, of `recent` */
    double surge;  /* the median of the look, times the recent one */
    double times;  /* the same, over that of the past */
    uint32_t n;    /* good answers in the look */
};

/* First each instance of a pool looks; then all are judged together. True when `raised` of some
 * alarm changed. `blind`: the owner itself stood still or was late: nothing is judged. n at most
 * PACER_MOST. */
void pacer_look(struct pacer *p, const struct pacer_look *l, uint64_t now);
bool pacer_judge(struct pacer **all, uint32_t n, const struct pacer_params *params, bool blind,
                 uint64_t now);
/* There is evidence, not yet enough: more would help (active checks may hurry). */
bool pacer_doubts(const struct pacer *p);
/* "412 ms against 38 ms, the median of 4 others". `whose`: "answers", "checks". Terminated, cut to
 * fit; returns the length. */
size_t pacer_say(const struct pacer *p, enum pacer_sense s, const char *whose, uint64_t now,
                 char *out, size_t size);

/* Whether a verdict goes to and fro: departures from healthy are counted, halving in
 * PACER_FLAP_NS. Three within half a minute are flapping; it ends when half a minute or so was
 * quiet. */
#define PACER_FLAP_NS (60 * UINT64_C(1000000000))
struct flaps {
    double count;
    uint64_t at, since; /* ns */
    bool raised;
};
void flaps_departure(struct flaps *f, uint64_t now);
/* True when `raised` changed. */
bool flaps_judge(struct flaps *f, uint64_t now);

#endif
