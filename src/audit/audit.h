/* audit: what was decided on this node and on which evidence, in a bounded store on disk. The front
 * door of this room; docs/audit.md tells the whole.
 *
 * A record is a verdict that changed, a decision, an action or another event, with the signals that
 * tipped it. The owner (control) hands records over and goes on: a thread of this room's own writes
 * them to SQLite, several a transaction, and answers questions. Neither a slow nor a full disk ever
 * makes the owner wait: what does not fit into the queue is counted, and told when there is room
 * again.
 *
 * One loop, one owner. Callbacks come from the loop and never from inside a function of this
 * header. */
#ifndef HF_AUDIT_H
#define HF_AUDIT_H

#include "base/base.h"
#include "os/os.h"

enum audit_kind {
    AUDIT_VERDICT,  /* what is believed of a subject has changed */
    AUDIT_DECISION, /* what is wanted has changed */
    AUDIT_ACTION,   /* what was done to have it so */
    AUDIT_EVENT,    /* anything else that happened */
    AUDIT_KINDS
};
/* "verdict", "decision", "action", "event". */
const char *audit_kind_name(enum audit_kind k);

enum {
    AUDIT_EVIDENCE = 40,     /* signals in one record; more are counted in the last */
    AUDIT_NAME_MAX = 200,    /* bytes of a subject */
    AUDIT_TEXT_MAX = 320,    /* of a sentence; longer ones are cut */
    AUDIT_ASKS = 16,         /* questions under way */
    AUDIT_ANSWER_ROWS = 1000 /* at most in one answer */
};

/* One piece of evidence. All texts are copied when the record is added. */
struct audit_signal {
    struct str signal;   /* its stable name: "check-refused" */
    struct str observer; /* "control", "worker-0", "node b" */
    struct str says;     /* in words, where numbers do not tell: a formula, a threshold */
    uint64_t at;         /* ns, boot clock; 0: not known */
    uint64_t detail;     /* of the signal: microseconds, a status */
    uint32_t count;      /* alike and in a row */
};

struct audit_record {
    uint64_t seq;  /* of the event */
    uint64_t boot; /* ns, boot clock */
    uint64_t wall; /* ns since 1970 */
    uint64_t epoch;
    enum audit_kind kind;
    struct str code, level;
    struct str subject_kind, subject;
    struct str before, after, reason; /* of a state; empty: has none */
    struct str by;                    /* who asked for it; empty: nobody did */
    struct str text;
    struct str rule; /* what tipped it, with its thresholds, in words */
    const struct audit_signal *evidence;
    uint32_t n_evidence;
};

struct audit_limits {
    uint64_t keep; /* ns: verdicts and events are gone after it, decisions and actions after four */
    uint64_t rows; /* records */
    uint64_t bytes; /* of the file */
};

/* What the owner is told. */
enum audit_news {
    AUDIT_FAILS,   /* nothing can be written; text: why. Said once until AUDIT_WORKS */
    AUDIT_WORKS,   /* it can again */
    AUDIT_LOST,    /* n records had no place in the queue */
    AUDIT_DAMAGED, /* the file was set aside; text: what it is called now, and why */
};

struct audit_options {
    struct loop *loop;
    const char *path;
    const char *node; /* whose records they are */
    const char *vfs;  /* SQLite's way to the disk; NULL: its own. For tests */
    struct audit_limits limits;
    size_t queue; /* bytes that may wait */
    void *context;
    void (*news)(void *context, enum audit_news what, uint64_t n, const char *text);
};

struct audit;

/* Returns before the file is open: that is the thread's. Its texts are copied. */
int audit_new(struct audit **out, const struct audit_options *o, struct err *e);
/* Writes what waits, unless the disk takes longer than two seconds over it. NULL is allowed. */
void audit_free(struct audit *a);
/* Takes a copy. False: there was no place, and it is counted. Never waits for the disk. */
bool audit_add(struct audit *a, const struct audit_record *r);
void audit_set_limits(struct audit *a, const struct audit_limits *l);

struct audit_counts {
    uint64_t written, lost;
    uint64_t rows, bytes; /* that the store holds */
    uint64_t waiting;     /* bytes in the queue */
};
struct audit_counts audit_counts(struct audit *a);

enum audit_question_kind {
    AUDIT_SPAN, /* all records of a span of time, oldest first */
    AUDIT_WHY,  /* those about a subject, newest first */
};

struct audit_question {
    enum audit_question_kind kind;
    uint64_t since, until; /* wall ns, both included; until 0: no end */
    uint64_t from;         /* only records behind this cursor; 0: from the first, or newest */
    char subject[AUDIT_NAME_MAX + 1]; /* this one, and all below it ("web": "web/a"); empty: all */
    char code[40];                    /* empty: all */
    uint32_t limit;                   /* 1 to AUDIT_ANSWER_ROWS */
};

/* Its texts are JSON, the objects that docs/admin-api.md tells of, with commas between. */
struct audit_answer {
    int code; /* 0, or a negative enum err_code: text tells */
    const char *text;
    struct buf *rows;
    uint32_t n;
    bool more;        /* there are others behind `next` */
    uint64_t next;    /* cursor */
    uint64_t written; /* sequence number of the latest that was written since this boot */
    /* AUDIT_WHY */
    const char *subject; /* that the rows are about: the one asked for, or the only one like it */
    struct buf *then;    /* the latest verdict of each subject at that time, at most 64 */
    struct buf *names;   /* nothing is known of the one asked for: the subjects that it could mean,
                            as JSON texts */
    uint32_t n_names;
    bool near; /* those are only near it */
};

/* Somebody who waits for an answer; the owner embeds it. Everything that was added before the
 * question is in the answer, unless the disk fails. */
struct audit_ask {
    void (*done)(struct audit_ask *ask, const struct audit_answer *answer);
    struct audit_job *job; /* private; NULL: nothing is under way */
};
/* ERR_BUSY: too many are under way. */
int audit_ask(struct audit *a, struct audit_ask *ask, const struct audit_question *q,
              struct err *e);
/* done is not called any more. */
void audit_forget(struct audit_ask *ask);

#endif
