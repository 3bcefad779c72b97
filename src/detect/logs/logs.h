/* logs: what the log of a program tells about it. Bytes go in, findings come out.
 *
 * A source is the log of one subject: one file or several, a unit of the journal, the output of a
 * process. Each line goes through the rules (rules.h, packs.h) and, where the source learns, to the
 * miner (miner.h), whose templates are watched for new errors and for changes of their rates
 * (rates.h). docs/logs.md tells it from the user's side.
 *
 *   finding    raised                                          cleared
 *   rule       `over` lines matched within `window`            half as many or fewer in the last
 * window new-error  learnt, and a line of errors of a new kind      none of its kind for LOGS_QUIET
 * ticks rate       a template's rate changed                       it is as expected again, or that
 * is new flood      lines were shed                                 none for LOGS_QUIET ticks
 *
 * A finding is told when it is raised and when it is cleared, and never twice in a row. At most
 * LOGS_RAISED_MOST of each learnt kind are raised at a time: a program that invents errors of a new
 * kind with each line has said enough. An error that was raised and cleared LOGS_TIMES times is
 * known.
 *
 * Time is given, of a clock that does not go back (CLOCK_MONOTONIC). After a pause of more than
 * LOGS_PAUSE ticks, and in ticks in which lines were shed, rates are not judged. Memory: that of
 * the miner, 100 bytes a rule, and 8 KiB a file. Owned by one thread, which the callback runs in.
 * Pure. */
#ifndef HF_DETECT_LOGS_LOGS_H
#define HF_DETECT_LOGS_LOGS_H

#include "detect/logs/lines.h"
#include "detect/logs/miner.h"
#include "detect/logs/packs.h"
#include "detect/logs/rates.h"
#include "detect/logs/rules.h"

enum {
    LOGS_QUIET = 12, /* ticks of RATES_TICK: a minute */
    LOGS_PAUSE = 3,
    LOGS_LEARN_LEAST = 2,
    LOGS_TIMES = 3,
    LOGS_RAISED_MOST = 16,
    LOGS_BASELINE_MOST = 4 << 20
};

enum logs_kind { LOGS_RULE, LOGS_NEW_ERROR, LOGS_RATE, LOGS_FLOOD, LOGS_KINDS };
const char *logs_kind_name(enum logs_kind k); /* log-rule and so on */

struct logs_finding {
    enum logs_kind kind;
    bool raised;                  /* else cleared */
    const struct logs_rule *rule; /* LOGS_RULE */
    uint64_t template;            /* LOGS_NEW_ERROR, LOGS_RATE: its id; 0: the whole source */
    enum rate_change change;      /* LOGS_RATE */
    uint64_t lines;               /* in the window, or the tick; shed bytes of a flood */
    float was;                    /* LOGS_RATE: lines in a tick, before */
    struct str text;              /* the line, or the template; until the callback returns */
};

struct logs_params {
    struct rules *rules; /* NULL: none. Outlives the source */
    bool learn;
    /* ns until new errors are told, at least LOGS_LEARN_LEAST ticks; rates take RATES_LEAST at
     * least. 0: as many. */
    uint64_t learning;
    void (*found)(void *context, const struct logs_finding *f);
    void *context;
};

struct logs_counts {
    uint64_t lines, bytes;               /* read */
    uint64_t matched;                    /* by rules */
    uint64_t unmined;                    /* without words, or memory was out */
    uint64_t founded, forgotten, joined; /* templates */
    uint64_t shed;                       /* bytes, told by logs_shed */
    uint64_t raised[LOGS_KINDS];
};

struct logs;

/* NULL: no memory. */
struct logs *logs_new(const struct logs_params *p, uint64_t now);
void logs_free(struct logs *l);
/* The next bytes of one of its files, each with a struct lines of its own (lines.h). */
void logs_feed(struct logs *l, struct lines *file, struct str bytes, uint64_t now);
/* A file has ended: what is left of it is a line. */
void logs_end(struct logs *l, struct lines *file, uint64_t now);
/* A whole line, where the owner has lines (the journal). */
void logs_line(struct logs *l, struct str line, uint64_t now);
/* The owner skipped this many bytes: it could not keep up. */
void logs_shed(struct logs *l, uint64_t bytes, uint64_t now);
/* Time goes on: to be called when logs_due is reached, with lines or without. */
void logs_tick(struct logs *l, uint64_t now);
uint64_t logs_due(const struct logs *l);

/* It has learnt what is normal. */
bool logs_learnt(const struct logs *l);
const struct logs_counts *logs_counts(const struct logs *l);
const struct miner *logs_miner(const struct logs *l); /* NULL: it does not learn */
/* Tells all that is raised, again. */
void logs_tell(struct logs *l);

/* What was learnt, for a file; check out->failed. The end guards against torn files. */
void logs_baseline_put(const struct logs *l, struct buf *out);
/* Into a source that has read nothing. A negative code, and the source is as it was: the bytes are
 * of another version or damaged, and it learns anew. */
int logs_baseline_get(struct logs *l, struct str bytes, struct err *e);

#endif
