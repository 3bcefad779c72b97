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
    SIGNAL_KINDS
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
    uint32_t count;    /* how many alike, at least 1 */
    uint16_t kind;     /* enum signal_kind */
    uint16_t observer; /* 0 control's checks, 1.. proxy worker + 1 */
    uint32_t detail;   /* see the kind; for SIGNAL_*_OK the latency in us */
};

/* Why a verdict is what it is: the rule that tipped it. The text is the stable `reason` of status
 * and events. */
enum reason {
    REASON_UNCHECKED,     /* no evidence so far (verdict suspect) */
    REASON_CHECKS_PASS,   /* rise reached */
    REASON_CHECK_FAILING, /* failed probes, fewer than fall (suspect) */
    REASON_CHECKS_FAIL,   /* fall reached (failed) */
    REASON_REQUESTS_FAIL, /* several real requests in a row failed (failed) */
    REASON_ERROR_RATE,    /* a large share of the last window's requests failed (degraded) */
    REASON_RECOVERING, /* was failed, first good evidence or the hold has passed, on trial (suspect)
                        */
    REASON_SERVING,    /* real requests are answered (healthy without checks) */
    REASONS
};
const char *reason_name(enum reason r);

struct judge_params {
    bool checked;         /* active checks exist for this subject */
    uint32_t rise;        /* 1..100 passed checks until healthy */
    uint32_t fall;        /* 1..100 failed checks until failed */
    uint32_t eject_after; /* 0 never, else 1..1000 failed requests in a row until failed */
    uint64_t hold; /* ns that a subject ejected by requests stays failed before a trial; doubles up
                      to hold_max while trials fail */
    uint64_t hold_max;
    uint64_t interval;      /* ns between checks when all is certain */
    uint64_t fast_interval; /* ns between checks while uncertain */
};

enum { JUDGE_EVIDENCE = 8 };

struct judge {
    struct judge_params params;
    enum verdict verdict;
    enum reason reason;
    bool certain;        /* failed, on certain evidence */
    uint64_t since;      /* ns, when the verdict became this */
    uint64_t hold_until; /* failed by requests: ns when a trial is due; else 0 */
    uint64_t hold_now;
    uint32_t good_checks, bad_checks;       /* in a row */
    uint32_t bad_requests;                  /* in a row */
    struct signal evidence[JUDGE_EVIDENCE]; /* the latest, a ring: evidence_n counts all ever */
    uint64_t evidence_n;
    /* the current and the last window of requests, for rates */
    uint64_t window_start;
    uint32_t window_ok, window_bad, last_ok, last_bad;
};

void judge_init(struct judge *j, const struct judge_params *p, uint64_t now);
/* Takes over a verdict from before a restart instead of starting at unchecked. */
void judge_restore(struct judge *j, enum verdict v, enum reason r, uint64_t since);
/* New parameters (a reload); evidence and verdict stay. */
void judge_set_params(struct judge *j, const struct judge_params *p);
/* Feeds one signal. True when the verdict or its reason changed. */
bool judge_signal(struct judge *j, const struct signal *s);
/* Lets time pass: a hold ends, a window closes. True when the verdict or its reason changed. */
bool judge_tick(struct judge *j, uint64_t now);
/* The next time judge_tick has something to do; UINT64_MAX when never. */
uint64_t judge_deadline(const struct judge *j);
/* ns until the next active check: fast while uncertain, else the interval. */
uint64_t judge_check_delay(const struct judge *j);
/* One sentence of evidence, for `reason` texts: "3 checks failed in a row, last: connection
 * refused". Terminated, returns length. */
size_t judge_explain(const struct judge *j, uint64_t now, char *out, size_t size);

static inline enum verdict verdict_worse(enum verdict a, enum verdict b)
{
    return a > b ? a : b;
}

#endif
