/* detect: SENSE and JUDGE. Signals about a subject go in, one verdict comes out, with the evidence
 * that led to it.
 *
 * This is the only health logic in holdfast. Two processes link it: control judges every instance
 * from its active checks and from what the proxies report; each proxy worker judges its own path to
 * an instance from its own requests, so that a dead instance is left alone within a few requests
 * even while control is stopped. The worker acts on the worse of the two (see docs/detection.md).
 *
 * Pure: time comes in as nanoseconds, nothing is read from a clock, no allocation. A judge is a
 * plain struct that its owner embeds. */
#ifndef HF_DETECT_H
#define HF_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict { VERDICT_HEALTHY, VERDICT_DEGRADED, VERDICT_SUSPECT, VERDICT_FAILED, VERDICTS };

/* "healthy", "degraded", "suspect", "failed". */
const char *verdict_name(enum verdict v);

enum signal_kind {
    SIGNAL_CHECK_OK,      /* an active probe succeeded */
    SIGNAL_CHECK_REFUSED, /* certain: nobody listens */
    SIGNAL_CHECK_TIMEOUT, /* no answer in time */
    SIGNAL_CHECK_RESET,   /* connected, then cut before an answer */
    SIGNAL_CHECK_BAD, /* an answer with the wrong status, body or syntax; detail is the HTTP status
                         or 0 */
    SIGNAL_REQ_OK,    /* a real request was answered (1xx to 4xx) */
    SIGNAL_REQ_REFUSED, /* certain: connection refused or unreachable */
    SIGNAL_REQ_TIMEOUT, /* connect or first-byte time-out */
    SIGNAL_REQ_RESET,   /* cut, or nonsense, before a whole answer */
    SIGNAL_REQ_5XX,     /* answered with a 5xx; detail is the status */
    /* of watched jobs (beat.h); an instance's judge takes none of these */
    SIGNAL_BEAT_OK,      /* the job says that it is well */
    SIGNAL_BEAT_FAILED,  /* certain: it says itself that it failed */
    SIGNAL_BEAT_MISSING, /* nothing came in time */
    SIGNAL_KINDS,
    SIGNALS_OF_INSTANCES = SIGNAL_BEAT_OK /* the kinds below are */
};

/* A stable name for events and JSON: "check-refused", "request-timeout". */
const char *signal_name(enum signal_kind k);
bool signal_is_failure(enum signal_kind k);
/* Certain evidence needs no time-out to be believed; the share of ejected instances does not limit
 * it. */
bool signal_is_certain(enum signal_kind k);

struct signal {
    uint64_t at;       /* ns, the observer's CLOCK_BOOTTIME */
    uint32_t slot;     /* the subject: an instance's slot (view.h) */
    uint32_t count;    /* requests alike and in a row, at least 1; a check is always one */
    uint16_t kind;     /* enum signal_kind */
    uint16_t observer; /* 0 control's checks, 1.. proxy worker + 1 */
    uint32_t detail;   /* see the kind; for SIGNAL_*_OK the latency in us */
};
/* Whoever coalesces signals keeps their order: runs of SIGNAL_REQ_OK may become one signal with a
 * count, but what was gathered is sent before a failure. Else "in a row" would lie. */

/* Why a verdict is what it is: the rule that tipped it, and the state of the judge. Each reason
 * belongs to one verdict. The text is the stable `reason` of status and events. */
enum reason {
    REASON_UNCHECKED,     /* suspect: nothing decisive is known yet; may be picked */
    REASON_CHECKS_PASS,   /* healthy: the first check passed, or after failures `rise` of them */
    REASON_CHECK_FAILING, /* suspect: failed checks, fewer than `fall` */
    REASON_CHECKS_FAIL,   /* failed: `fall` checks in a row */
    REASON_REQUESTS_FAIL, /* failed: `eject_after` real requests in a row, or one on trial */
    REASON_ERROR_RATE,    /* degraded: a large share of the last requests failed */
    REASON_RECOVERING,    /* suspect: was failed, takes requests on trial */
    REASON_SERVING,       /* healthy: real requests are answered */
    REASON_SLOW,          /* failed: slower than the pool, as who compares its instances says */
    /* of what several nodes see (fuse.h) */
    REASON_OWN_PATH, /* failed: here, while the other observers reach it */
    REASON_AGREED,   /* failed: most observers agree, and nothing newer is known here */
    /* of watched jobs (beat.h) */
    REASON_BEAT_AWAITED, /* suspect: none has come yet */
    REASON_BEATS,        /* healthy */
    REASON_BEAT_LATE,    /* suspect: overdue, within its grace */
    REASON_BEAT_MISSING, /* failed: nothing came within `every` and its grace */
    REASON_BEAT_FAILED,  /* failed: the job says so */
    REASONS,
    REASONS_OF_JUDGES = REASON_OWN_PATH /* a judge has those below */
};
/* What the senses found (findings.h) has a reason for each kind of finding: this + the kind. A
 * judge never has those; the verdict in force of a subject may. */
enum { REASON_FOUND = 64, REASON_FOUND_FAILED = 128, REASON_FOUND_END = 192 };
static inline bool reason_is_found(enum reason r)
{
    return (unsigned)r >= REASON_FOUND && (unsigned)r < REASON_FOUND_END;
}

const char *reason_name(enum reason r);
enum verdict reason_verdict(enum reason r);

/* Taken with bounds (docs/detection.md): a value outside is moved to the nearest one inside. */
struct judge_params {
    bool checked;         /* active checks exist for this subject */
    uint32_t rise;        /* 1..100 passed checks in a row that end a failure */
    uint32_t fall;        /* 1..100 failed checks in a row until failed; 1 acts as 2: one failed
                             probe never ejects */
    uint32_t eject_after; /* 0 never, else 1..1000 failed requests in a row until failed */
    uint64_t hold; /* ns that a subject ejected by requests stays failed before a trial; doubles up
                      to hold_max while trials fail */
    uint64_t hold_max;
    uint64_t interval;      /* ns between checks when all is certain */
    uint64_t fast_interval; /* ns between checks while uncertain; at most interval */
};

enum {
    JUDGE_EVIDENCE = 8,
    JUDGE_TRIAL_REQUESTS = 5, /* answered in a row on trial: recovered, the hold is short again */
    JUDGE_CERTAIN_AFTER = 2,  /* refused in a row before a failure counts as certain */
    JUDGE_RATE_REQUESTS = 20, /* fewer say nothing about a rate */
    JUDGE_RATE_HIGH = 200,    /* permille of failed requests: degraded from here */
    JUDGE_RATE_LOW = 100,     /* ... and no longer from here down */
    JUDGE_WINDOW_SECONDS = 5, /* a rate looks at the current and the last window */
};

/* How a subject compares with its pool. Whoever sees all of the pool's answers says so
 * (balance/outlier.h); a judge sees one subject alone. */
enum pace { PACE_NORMAL, PACE_SLOW, PACE_TRIAL /* was slow, takes requests on trial */ };
struct pace_report {
    uint64_t latency, median; /* ns: its own, the others' */
    uint32_t answers, others; /* measured over how many, of how many others */
    uint64_t until;           /* ns, when its trial begins */
};

struct judge {
    struct judge_params params;
    enum verdict verdict; /* reason_verdict(reason) */
    enum reason reason;
    bool certain;                     /* failed, on certain evidence */
    uint64_t since;                   /* ns, when the verdict became this */
    uint64_t hold_until;              /* ejected by requests: ns when a trial is due; else 0 */
    uint64_t hold_now;                /* of the last ejection; params.hold before the first */
    uint32_t good_checks, bad_checks; /* in a row */
    uint32_t bad_requests;            /* in a row */
    struct signal evidence[JUDGE_EVIDENCE]; /* the latest, a ring: evidence_n counts all ever. Alike
                                               ones in a row share an entry (count, last time) */
    uint64_t evidence_n;
    /* the current and the last window of requests, for rates */
    uint64_t window_start;
    uint32_t window_ok, window_bad, last_ok, last_bad;

    uint64_t now;           /* the latest time seen: time never goes back here */
    uint64_t reason_since;  /* ns, when the reason became this */
    uint32_t good_requests; /* in a row, since the last ejection */
    uint32_t ejections;     /* since the subject last recovered: more than one grow the hold */
    uint32_t refused_checks, refused_requests; /* in a row */
    bool crashed;         /* the ejection looks like a crash: passing checks may end its hold */
    bool yielded;         /* they did so since the subject last recovered: not again */
    bool restored;        /* the verdict is from before a restart */
    enum verdict heard;   /* the other judge's verdict (judge_hear) */
    struct signal tipped; /* the last signal that changed the reason; count is 0 if none */
    enum pace pace;
    struct pace_report slow; /* when it was slow last; others is 0: never */
};

void judge_init(struct judge *j, const struct judge_params *p, uint64_t now);
/* Takes over a verdict from before a restart instead of starting at unchecked. Values that are not
 * a verdict with a reason of its own are ignored. Call right after judge_init. */
void judge_restore(struct judge *j, enum verdict v, enum reason r, uint64_t since);
/* New parameters (a reload); evidence and verdict stay. Where checks that failed a subject are
 * gone, it gets a trial after the hold. */
void judge_set_params(struct judge *j, const struct judge_params *p);
/* Feeds one signal. True when the verdict, its reason, or `certain` changed. */
bool judge_signal(struct judge *j, const struct signal *s);
/* Lets time pass: a hold ends, a window closes. True when the verdict or its reason changed. */
bool judge_tick(struct judge *j, uint64_t now);
/* What another judge of the same subject says that sees more (control's, to a proxy worker): call
 * it whenever that verdict is read. When it leaves failed, a hold here ends in a trial at once, so
 * that a restarted instance is back without waiting. True when the verdict changed. */
bool judge_hear(struct judge *j, enum verdict other, uint64_t now);
/* How it compares with its pool, whenever that is looked at; say it anew while it stays, since
 * other failures come and go meanwhile. The report counts with PACE_SLOW. While on trial, answers
 * alone do not end the trial: the comparison does. True when the verdict or its reason changed. */
bool judge_pace(struct judge *j, enum pace pace, const struct pace_report *r, uint64_t now);
/* The next time judge_tick has something to do; UINT64_MAX when never. May be in the past. */
uint64_t judge_deadline(const struct judge *j);
/* ns until the next active check: fast while uncertain, else the interval. It can shrink with any
 * signal: the next check is due at the last one + this. */
uint64_t judge_check_delay(const struct judge *j);
/* The evidence in one or two English sentences: "3 checks in a row failed, last: connection refused
 * 0.2 s ago. Latest signals: check-refused x3." Terminated, cut to fit; returns the length. */
size_t judge_explain(const struct judge *j, uint64_t now, char *out, size_t size);

/* The rule behind a reason, with its thresholds, in one English sentence; of a watched job, p may
 * be NULL. Terminated, cut to fit; returns the length. */
size_t judge_rule(enum reason r, const struct judge_params *p, char *out, size_t size);

static inline enum verdict verdict_worse(enum verdict a, enum verdict b)
{
    return a > b ? a : b;
}

#endif
