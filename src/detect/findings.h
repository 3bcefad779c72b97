/* findings: what the senses hold against one subject, beside the verdict of its judge.
 *
 * A sense (the log, pressure, disks, latency) concludes: a named condition is there. It says so
 * with a signal, again at each look while the condition stays, and says when it is gone. Here the
 * signals of each condition add up, and what is raised becomes a verdict:
 *
 *   strength   s <- s * 2^(-(t - t0) / half_life) + weight, at most FINDING_MOST
 *   raised     s >= 1
 *   cleared    the sense says that it is gone, or s <= 1/2 by silence; either way not before `hold`
 *              has passed since it was raised, so that nothing flaps faster than that;
 *              what was never raised is forgotten at s <= 1/16
 *   certain    counts as 1 at once and does not fade: it goes when its sense says so
 *
 * So a sense whose process died fades away by itself, and weak signals (weight 0.2: one of five
 * observations) raise together what none of them raises alone.
 *
 *   verdict    of the subject: the worst of its judge's and of what each raised finding asks for,
 *              at most what its kind allows (`most`). Uncertain findings only degrade, but where
 *              the user's own rule says `verdict = failed`.
 *
 * Findings are seen from inside (a program's own words, its machine), not over a path: what several
 * nodes see of an instance from outside is fuse.h's.
 *
 * Pure: time comes in, nothing is allocated. One owner, who embeds it. Bounded: when a subject has
 * FINDINGS_MOST, the mildest and oldest gives way, and that is counted.
 *
 * Sources: exponential decay of evidence as in N. Hayashibara et al., "The phi accrual failure
 * detector", SRDS 2004 (suspicion as a level, not a bit); hysteresis as in any Schmitt trigger. */
#ifndef HF_DETECT_FINDINGS_H
#define HF_DETECT_FINDINGS_H

#include "base/base.h"
#include "detect/detect.h"

/* Numbers are stored and sent: new ones at the end. */
enum subject_kind {
    SUBJECT_NODE,     /* "b" */
    SUBJECT_LINK,     /* "a>b" */
    SUBJECT_INSTANCE, /* "web/10.0.0.11:3000" */
    SUBJECT_SERVICE,  /* "web" */
    SUBJECT_DISK,     /* "b:/var/lib/holdfast": a file system or a device of a node */
    SUBJECT_KINDS
};
/* "node", "link" ... */
const char *subject_kind_name(enum subject_kind k);

enum finding_kind {
    FINDING_LOG_RULE,      /* lines matched: the user's rule, or a pack's */
    FINDING_LOG_NEW_ERROR, /* an error of a kind that was never seen while learning */
    FINDING_LOG_RATE,      /* lines of one kind come far more, or far less, often than before */
    FINDING_LOG_FLOOD,     /* lines were skipped */
    FINDING_SLOWER_THAN_POOL,
    FINDING_SLOWER_THAN_BEFORE,
    FINDING_MORE_ERRORS, /* than before, or than the pool */
    FINDING_CPU_PRESSURE,
    FINDING_MEMORY_PRESSURE,
    FINDING_IO_PRESSURE,
    FINDING_RUN_QUEUE,
    FINDING_OOM_KILL,
    FINDING_MEMORY_LEAK,
    FINDING_DESCRIPTORS,
    FINDING_CONNTRACK,
    FINDING_PROCESSES, /* process ids or tasks run out */
    FINDING_DISK_SLOW,
    FINDING_DISK_ERROR,
    FINDING_DISK_NEARLY_FULL,
    FINDING_DISK_FULL,
    FINDING_DISK_READ_ONLY,
    FINDING_DISK_AILING, /* SMART */
    FINDING_CLOCK_STEP,
    FINDING_NIC_ERRORS,
    FINDING_NIC_DOWN,
    FINDING_LOSSY_LINK,   /* a link between nodes loses a part of what is sent */
    FINDING_ONE_WAY_LINK, /* one direction works, the other does not */
    FINDING_FLAPPING,     /* the verdict changes to and fro */
    FINDING_HANG,         /* a process lives and does nothing: blocked or deadlocked */
    FINDING_KINDS
};
/* "log-rule": stable, in events, JSON and metrics. */
const char *finding_name(enum finding_kind k);
/* FINDING_KINDS: it is no name of one. */
enum finding_kind finding_of(struct str name);
/* It needs no time and no second signal to be believed. */
bool finding_is_certain(enum finding_kind k);
/* The worst verdict that one may ask for. */
enum verdict finding_most(enum finding_kind k);
/* What a subject's reason is while a finding decides, and back (of reason_is_found ones;
 * FINDING_KINDS where a newer program has more kinds). */
enum reason finding_reason(enum finding_kind k, enum verdict v);
enum finding_kind finding_of_reason(enum reason r);
/* One sentence on what the kind means, for `holdfast why` and the documentation. */
const char *finding_meaning(enum finding_kind k);
/* How one is raised and cleared, with its numbers. Terminated, cut to fit; returns the length. */
size_t finding_rule(enum finding_kind k, char *out, size_t size);
/* It is seen from inside, over no path: one node that says so is to be believed by all. */
bool finding_is_inside(enum finding_kind k);

enum {
    FINDINGS_MOST = 12, /* of one subject */
    FINDING_MOST = 4,   /* strength: so a condition of hours fades like one of seconds */
    FINDING_SAYS = 192  /* bytes of a sentence, the terminator included */
};

/* What a sense says. */
struct finding_signal {
    uint64_t at; /* ns, CLOCK_BOOTTIME */
    enum finding_kind kind;
    enum verdict verdict; /* degraded or failed; cut to the kind's most */
    uint64_t key;         /* tells conditions of one kind apart: a rule, a template; 0: only one */
    double weight;        /* 0..1; taken as 1 of a certain kind */
    uint16_t observer;    /* who says so: the owner's number, for the explanation */
    struct str says;      /* in words with the numbers and the threshold; copied, cut */
    struct str sample;    /* the line or value itself, where there is one; for who asks why */
};

struct finding {
    enum finding_kind kind;
    enum verdict verdict; /* that it asks for */
    bool raised, gone;    /* gone: its sense said so, and `hold` keeps it */
    uint16_t observer;
    uint64_t key;
    uint64_t first, at; /* ns, of the first signal of this rise and the latest */
    uint64_t since;     /* ns, when it was raised */
    uint64_t count;     /* signals since `first` */
    double strength;    /* at `at` */
    char says[FINDING_SAYS];
};

struct findings {
    struct finding list[FINDINGS_MOST];
    uint32_t n;
    uint64_t displaced; /* gave way to worse ones, ever */
};

/* Each returns true if what is raised, or its verdict, changed. A zeroed struct has none. */
bool findings_signal(struct findings *f, const struct finding_signal *s);
/* The sense says: no more. Nothing happens if there is none. */
bool findings_clear(struct findings *f, enum finding_kind kind, uint64_t key, uint64_t now);
bool findings_tick(struct findings *f, uint64_t now);
/* When findings_tick has something to do; UINT64_MAX: never. */
uint64_t findings_deadline(const struct findings *f);

/* The raised finding that decides: the worst, of equals the one raised first. NULL: none. Until the
 * next change. */
const struct finding *findings_worst(const struct findings *f);
/* "log-rule (failed): 5 lines matched FATAL|PANIC in 10 s, 0.3 s ago; memory-pressure (degraded):
 * ..." of all that are raised, the worst first. Terminated, cut to fit; returns the length. */
size_t findings_explain(const struct findings *f, uint64_t now, char *out, size_t size);

#endif
