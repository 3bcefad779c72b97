/* agent: what control and the agent process say to each other. docs/processes.md, "The agent".
 *
 * The agent starts and watches programs of others: etcd, which keeps the coordinator's data. It
 * outlives control, so that what it runs goes on when control is replaced. It decides nothing:
 * whether something should run, and again after it ended, is control's business.
 *
 * Neither believes the other. Control is the process that strangers talk to, and the agent may be
 * root: so nothing that control says becomes the path of a program, a raw argument or a path at
 * all. It names a kind, and gives typed fields; the agent checks each of them again and builds
 * arguments and environment itself. Everything that a program keeps lies where its kind says:
 *
 *   STATE/etcd/data        etcd's own
 *   STATE/etcd/aside-N     data that was put aside; the latest AGENT_ASIDE_KEPT stay
 *   STATE/etcd/tls         ca.pem, node.pem, node.key (os/cert.h); control writes them
 *
 * One line (ipc.h) joins the two; a new control is given a new one:
 *
 *   supervisor -> both     AGENT         fd: the line; the one before is dropped
 *   agent   -> control     AGENT_STATE   of every kind, as the first messages of a line, and on
 * each change: started, stops, ended control -> agent       AGENT_START   ticket, kind, its fields
 *                          AGENT_STOP    ticket, kind, how long it has to end by itself
 *                          AGENT_TASK    ticket, what to do
 *   agent   -> control     AGENT_DONE    ticket, code, sentence, result: each of the three is
 *                                        answered once. START: it was executed (an AGENT_STATE came
 *                                        before) or could not be. STOP: it is dead. TASK: done.
 *
 *   control -> agent       AGENT_INSTANCE  this service's instance should be here; no answer
 *                          AGENT_ROLE      ticket, what it is to do: one AGENT_DONE
 *   agent   -> control     AGENT_REPORT    how it is, and as the first messages of a line
 *
 * The last three are of services of kind primary (docs/agents.md, recover/agents/instance.h). A new
 * control names all instances again, and stops those that it hears of and does not want.
 *
 * A line that ends takes its tickets along: what they began goes on, and a new control sees its
 * outcome in AGENT_STATE. The codec is pure. */
#ifndef HF_AGENT_H
#define HF_AGENT_H

#include "base/base.h"
#include "daemon/ipc.h"
#include "recover/agents/instance.h"

enum {
    AGENT_NAME_MAX =
        64, /* with its NUL: letters, digits, '.', '_', '-'; begins with none of "-." */
    AGENT_MEMBERS = 16,
    AGENT_LINES = 20, /* the last that a program printed */
    AGENT_LINE_MAX = 240,
    AGENT_SENTENCE_MAX = 256,
    AGENT_ASIDE_KEPT = 2,
    AGENT_TASKS_AT_ONCE = 4, /* more are refused with ERR_BUSY */
};
#define AGENT_STOP_MOST (60 * NS_PER_S)

enum agent_kind { AGENT_ETCD, AGENT_KINDS };
/* "etcd" */
const char *agent_kind_name(enum agent_kind k);

/* A member of etcd: one of the voters. */
struct agent_member {
    char name[AGENT_NAME_MAX];
    struct addr peer; /* IP address and port */
};

/* How etcd is started. Listens and is reached at the same addresses; TLS on both, certificates
 * required of both sides; everything that is not here is the agent's to know (process_agent_etcd.c
 * has the arguments). */
struct agent_etcd {
    char name[AGENT_NAME_MAX];
    char token[AGENT_NAME_MAX]; /* of the cluster: never the same for two */
    struct addr client, peer;
    bool existing;  /* joins; else it founds */
    bool force_new; /* goes on alone with the data that it has: --force-new-cluster */
    uint32_t heartbeat_ms, election_ms; /* 10..5000; 5 times the heartbeat..50000 */
    uint32_t n_members;                 /* with itself, as etcd's list has them */
    struct agent_member members[AGENT_MEMBERS];
};
/* ERR_INVAL with a sentence that names the field. */
int agent_etcd_check(const struct agent_etcd *a, struct err *e);

enum agent_life {
    AGENT_NEVER,    /* not since the agent started */
    AGENT_RUNNING,  /* as process `pid` since `since` */
    AGENT_STOPPING, /* was told to end */
    AGENT_ENDED,    /* at `since`, with `status` */
    AGENT_LIVES
};
/* "never", "running", "stopping", "ended" */
const char *agent_life_name(enum agent_life l);

struct agent_state {
    enum agent_kind kind;
    enum agent_life life;
    bool wanted;            /* ENDED: because it was told to */
    bool has_data;          /* its data directory holds something */
    uint32_t pid;           /* 0: does not run */
    uint32_t starts;        /* since the agent started */
    uint32_t status;        /* ENDED: as of wait(2) */
    uint64_t since;         /* clock_now of the latest change of `life` */
    uint64_t lines_lost;    /* printed too fast to be kept or logged */
    struct agent_etcd etcd; /* what it was started with; unless NEVER */
    uint32_t n_lines;       /* the last that it printed, oldest first */
    char lines[AGENT_LINES][AGENT_LINE_MAX];
};

enum agent_task {
    AGENT_DATA_ASIDE,  /* etcd's data directory is kept as aside-N; it must not run (ERR_BUSY) */
    AGENT_DATA_REMOVE, /* ... is removed for good */
    AGENT_DISK,        /* how long does the disk of STATE/etcd take to sync? some 3 s at most */
    AGENT_TASKS
};

/* fsync after each of `writes` small blocks that were appended to a file. */
struct agent_disk {
    uint32_t writes;
    uint64_t median, p99, worst; /* ns */
};

struct agent_answer {
    uint64_t ticket;
    int code;                          /* 0, or as of struct err */
    char sentence[AGENT_SENTENCE_MAX]; /* why not; else empty */
    struct agent_disk disk;            /* of AGENT_DISK */
    uint64_t history,
        position; /* of ORDER_FENCE and ORDER_DEMOTE, as of struct agent_report: exact */
};

/* --- codec: bodies of the messages; puts: check b->failed; gets: false, malformed ---
 * Decoded strings are terminated and decoded lines printable; fields of START pass
 * agent_etcd_check. */
struct agent_start {
    uint64_t ticket;
    enum agent_kind kind;
    struct agent_etcd etcd;
};
struct agent_stop {
    uint64_t ticket;
    enum agent_kind kind;
    uint64_t grace; /* ns between SIGTERM and SIGKILL; at most AGENT_STOP_MOST */
};
struct agent_order {
    uint64_t ticket;
    enum agent_task task;
};
/* What is decoded passes instance_check, agent_role_check. */
void agent_put_instance(struct buf *b, const struct agent_instance *i);
void agent_put_role(struct buf *b, const struct agent_role *r, uint64_t ticket);
void agent_put_report(struct buf *b, const struct agent_report *r);
int agent_get_instance(struct reader *r, struct agent_instance *i, struct err *e);
bool agent_get_role(struct reader *r, struct agent_role *o, uint64_t *ticket);
bool agent_get_report(struct reader *r, struct agent_report *o);
void agent_put_start(struct buf *b, const struct agent_start *s);
void agent_put_stop(struct buf *b, const struct agent_stop *s);
void agent_put_order(struct buf *b, const struct agent_order *o);
void agent_put_state(struct buf *b, const struct agent_state *s);
void agent_put_answer(struct buf *b, const struct agent_answer *a);
int agent_get_start(struct reader *r, struct agent_start *s, struct err *e);
bool agent_get_stop(struct reader *r, struct agent_stop *s);
bool agent_get_order(struct reader *r, struct agent_order *o);
bool agent_get_state(struct reader *r, struct agent_state *s);
bool agent_get_answer(struct reader *r, struct agent_answer *a);

/* --- control's end of the line (agent_line.c) --- */
struct agent_line {
    struct ipc ipc; /* private */
    struct loop *loop;
    uint64_t tickets;
    void *context;
    /* All of them come from the loop, never from inside a function of this header. */
    void (*on_state)(void *context, const struct agent_state *s);
    void (*on_answer)(void *context, const struct agent_answer *a);
    /* NULL: nobody wants to know. */
    void (*on_report)(void *context, const struct agent_report *r);
    /* The agent died or was replaced: nothing that was asked will be answered. A new line comes
     * when it is there again. */
    void (*on_gone)(void *context, const char *why);
};
/* Closed; the handlers are set by the caller. */
void agent_line_init(struct agent_line *a, struct loop *l);
/* Takes fd (of an IPC_AGENT message), also when it fails; the line before is dropped without a
 * call. */
int agent_line_open(struct agent_line *a, int fd, struct err *e);
void agent_line_close(struct agent_line *a);
static inline bool agent_line_is_open(const struct agent_line *a)
{
    return ipc_is_open(&a->ipc);
}
/* *ticket may be NULL. ERR_ABSENT: there is no agent now; ERR_INVAL; ERR_NOMEM. */
int agent_line_start(struct agent_line *a, const struct agent_etcd *etcd, uint64_t *ticket,
                     struct err *e);
int agent_line_stop(struct agent_line *a, enum agent_kind kind, uint64_t grace, uint64_t *ticket,
                    struct err *e);
int agent_line_task(struct agent_line *a, enum agent_task task, uint64_t *ticket, struct err *e);
/* No ticket: what becomes of it is reported. */
int agent_line_instance(struct agent_line *a, const struct agent_instance *i, struct err *e);
int agent_line_role(struct agent_line *a, const struct agent_role *role, uint64_t *ticket,
                    struct err *e);

#endif
