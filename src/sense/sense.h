/* sense: what a machine tells from inside: logs, and later pressure, disks, clocks. The front door
 * of this room, which does the reading; what is made of it is pure (detect/logs and others).
 *
 * It runs in a process of its own (daemon/process_sense.c), without rights and without network:
 * what it reads was written by programs that are failing, or by strangers through them. It tells
 * control what it finds, and decides nothing. It may die or hang at any time: findings fade by
 * themselves (detect/findings.h), and a successor begins where this one stood.
 *
 * A sense is a module in this room with its own timers. It says what it finds by sense_say, with a
 * signal at each look while a condition stays (every SENSE_REPEAT at the latest, or control takes
 * it for forgotten when another sense process has come), and once with `gone` when it is over.
 * Names of subjects are as findings.h has them: "web/10.0.0.11:3000", "web", the node's name,
 * "node:/path". One thread, one loop; bounded. */
#ifndef HF_SENSE_H
#define HF_SENSE_H

#include "base/base.h"
#include "detect/findings.h"
#include "os/os.h"
#include "view/view.h"

#define SENSE_REPEAT (5 * NS_PER_S)
enum {
    SENSE_NAME_MAX = 255,   /* bytes of a subject's name */
    SENSE_SAMPLE_MAX = 400, /* of a line that is told; longer ones are cut */
};

struct sense_finding {
    bool gone; /* it is no more: of the signal only time, kind and key count */
    enum subject_kind subject;
    struct str name;
    struct finding_signal signal; /* observer does not count: control knows us */
};

struct process_row;

struct sense_host {
    void *context;
    void (*say)(void *context, const struct sense_finding *f);
    /* Something that an operator should know or do; one line. */
    void (*log)(void *context, bool warning, const char *text);
    int folder;       /* an open directory, where what was learnt is kept; outlives the sense */
    const char *node; /* this node's name; outlives the sense */
    struct process_row *row; /* where it counts */
};

struct sense;

int sense_new(struct sense **out, struct loop *l, const struct sense_host *host, struct err *e);
void sense_free(struct sense *s); /* NULL is allowed; keeps what was learnt */
/* This view is in force; it stays the caller's until the next call. */
void sense_adopt(struct sense *s, const struct view *v);
/* There is another control: all that is raised is said again. */
void sense_repeat(struct sense *s);

/* For the modules of this room. */
void sense_say(struct sense *s, const struct sense_finding *f);
void sense_log(struct sense *s, bool warning, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct loop *sense_loop(const struct sense *s);
const struct view *sense_view(const struct sense *s); /* NULL before the first */
const struct sense_host *sense_host(const struct sense *s);

#endif
