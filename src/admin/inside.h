/* inside: what the files of this room share. A connection carries one request at a time: the server
 * reads it whole, a route answers it now or later, the server writes the answer and goes on. */
#ifndef HF_ADMIN_INSIDE_H
#define HF_ADMIN_INSIDE_H

#include "admin/access.h"
#include "admin/admin.h"
#include "admin/exposition.h"
#include "admin/json.h"
#include "admin/totals.h"
#include "wire/http1.h"

enum conn_state {
    CONN_READING, /* a request is awaited or arrives */
    CONN_WAITING, /* a route answers later */
    CONN_WRITING,
};

struct request {
    uint8_t method;
    struct str path, query; /* as sent, still percent-encoded */
    struct str method_text;
    struct str body;
    struct str accept, authorization; /* the fields' values; empty: none */
};

enum { SEGMENT_MAX = 512, CONN_HEAD_MAX = 8 * 1024 };

/* What a route is told of its request. */
struct captures {
    char name[2][SEGMENT_MAX];
    struct str query, accept;
    struct str body; /* of the request */
};

struct conn {
    struct list link; /* in admin.conns: the one that changed its state longest ago first */
    struct admin *admin;
    int fd; /* owned */
    struct io io;
    struct task pump;
    struct buf chunks;  /* a body that comes in chunks, put together */
    struct timer timer; /* the end of the current state */
    uint8_t state;      /* enum conn_state */
    uint8_t door;       /* enum admin_door */
    struct addr peer;
    bool eof; /* the peer sends no more */
    bool keep_alive, head_only, continued;
    struct buf in;
    size_t in_seen; /* bytes of `in` that the parser has looked at */
    char allow[64];
    const char *extra; /* one more header line of the answer, or NULL */
    char head[512];    /* of the answer */
    size_t head_n;
    struct buf body; /* of the answer */
    size_t sent;     /* of head and body */
    /* while waiting */
    struct list poll;    /* in admin.polls: a long poll */
    uint64_t poll_after; /* its sequence number */
    uint32_t poll_limit;
    struct admin_reload reload;
    struct admin_telling telling;
    struct admin_config_wait config;
    uint8_t config_asked; /* enum admin_config_what */
    char who[128];        /* who asks: a Unix user, or a token's name */
    struct audit_ask ask; /* of the audit */
    struct audit_question question;
    char service[64]; /* that it is about */
};

struct listener {
    struct list link;
    struct admin *admin;
    struct io io;
    struct timer pause;
    int fd;       /* owned */
    uint8_t door; /* enum admin_door */
};

struct beat {
    uint64_t value, changed_at;
};

struct admin {
    struct loop *loop;
    struct admin_host host;
    struct list listeners, conns, polls;
    uint32_t n_conns, n_strangers; /* the latter not by the local door */
    struct access access;
    struct timer sample;
    struct task wake; /* answers the long polls after new events */
    struct history history;
    struct beat *beats; /* by process row; owned */
    uint32_t n_beats;
};

/* server.c */
/* Takes fd. */
void conn_open(struct admin *a, int fd, enum admin_door door, const struct addr *peer);
/* Each ends the request: the answer is on its way when it returns. */
void conn_answer(struct conn *c, unsigned status, const char *type);  /* with c->body */
void conn_answer_json(struct conn *c, unsigned status, json_t *root); /* takes root; NULL is 500 */
void conn_wait(struct conn *c, uint64_t until); /* a route will answer later; the timer calls
                                                   route_timeout */

/* routes.c */
void route_request(struct conn *c, const struct request *r);
/* Over TCP: the token that was sent, before anything else of the request is looked at; NULL after
 * an answer that refuses it. */
const struct view_token *route_token(struct conn *c, struct str authorization);
/* The table, from 0; false behind its end. */
bool route_at(size_t i, const char **path, const char **method, uint32_t *right);
void route_timeout(struct conn *c); /* the wait of conn_wait is over */
void route_wake_polls(struct admin *a);
/* The service; NULL when there is none, and that was answered. */
const struct view_service *route_service(struct conn *c, const char *name);
void route_error_of(struct conn *c, const struct err *e);
/* An error in the API's form. suggestions and problems are taken; NULL leaves them out. */
void route_error(struct conn *c, unsigned status, const char *code, const char *text,
                 json_t *suggestions, json_t *problems);

/* A number of the query; absent leaves *out as it is. False: out of range or no number. */
bool query_u64(struct str query, const char *key, uint64_t min, uint64_t max, uint64_t *out,
               bool *given);
/* A text of the query, decoded. False: too long, a bad escape, or a NUL. */
bool query_text(struct str query, const char *key, char out[SEGMENT_MAX], bool *given);
/* Mistakes in a configuration; NULL when memory is out. */
json_t *problems_json(const struct admin_problem *list, size_t n);

/* "absent", with the nearest names. */
void route_absent(struct conn *c, const struct suggest *s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* beats.c */
void answer_beats(struct conn *c, const struct captures *m);
void answer_beat(struct conn *c, const struct captures *m);
json_t *beats_json(struct admin *a); /* all of the view */

/* why_now.c */
enum { WHY_NOW_MAX = 64 /* subjects in one answer */ };
/* An array of all that is known now of a subject by its full name; NULL: no memory. */
json_t *why_now(struct admin *a, const char *subject);
/* The instance of "service/name", or NULL. */
const struct view_instance *why_instance(const struct view *v, struct str text,
                                         const struct view_service **service);

/* findings.c: what the senses hold */
json_t *findings_json(const struct findings *f, uint64_t now); /* NULL is allowed: none */
json_t *held_json(struct admin *a, const struct admin_held *h);
json_t *held_all_json(struct admin *a); /* all, the first thousand */
/* One after the other of those of whom something is raised; *at is 0 at first. */
bool held_next(struct admin *a, size_t *at, struct admin_held *out);
const struct findings *held_of(struct admin *a, enum subject_kind kind, struct str name);

/* instances.c */
void answer_instances(struct conn *c, const struct captures *m);
void answer_instances_set(struct conn *c, const struct captures *m);
void answer_instances_update(struct conn *c, const struct captures *m);
void answer_instances_remove(struct conn *c, const struct captures *m);
void answer_instance_remove(struct conn *c, const struct captures *m);

/* members.c */
void answer_members(struct conn *c, const struct captures *m);
void answer_leave(struct conn *c, const struct captures *m);
void answer_maintenance(struct conn *c, const struct captures *m);

/* config.c */
void answer_config(struct conn *c, const struct captures *m);
void answer_config_files(struct conn *c, const struct captures *m);
void answer_config_history(struct conn *c, const struct captures *m);
void answer_config_plan(struct conn *c, const struct captures *m);
void answer_config_apply(struct conn *c, const struct captures *m);
void answer_config_rollback(struct conn *c, const struct captures *m);
/* False: there is none, or none yet, or memory is out; *e says which. *out is to be freed in any
 * case. */
bool config_picture(const struct admin *a, struct admin_config *out, struct err *e);
void metrics_config(struct admin *a, struct exposition *x);
json_t *config_json(struct admin *a); /* in short; null when there is none to tell of */

/* roles.c */
void answer_roles(struct conn *c, const struct captures *m);
void answer_role(struct conn *c, const struct captures *m);
void answer_role_switchover(struct conn *c, const struct captures *m);
void answer_role_failover(struct conn *c, const struct captures *m);
void answer_role_maintenance(struct conn *c, const struct captures *m);
/* False: nothing is known of it, and *out says so. */
bool role_picture(const struct admin *a, const struct view_service *s, struct admin_role *out);
/* Empty: nobody is meant. */
struct str role_node_name(const struct view *v, const struct view_service *s, int place);
/* Healthy while its primary takes writes and all candidates are well; failed while nobody does. */
enum verdict role_verdict(const struct admin *a, const struct view_service *s);
/* As GET /v1/roles has it. */
json_t *role_json(const struct admin *a, const struct view *v, const struct view_service *s);
json_t *role_short_json(const struct admin *a, const struct view *v, const struct view_service *s);
void metrics_roles(struct admin *a, struct exposition *x);
/* metrics_notify.c */
void metrics_notify(struct admin *a, struct exposition *x);
void metrics_findings(struct admin *a, struct exposition *x);

/* coordinator.c */
void answer_coordinator(struct conn *c, const struct captures *m);
void answer_coordinator_backup(struct conn *c, const struct captures *m);
void answer_coordinator_restore(struct conn *c, const struct captures *m);
void metrics_coordinator(struct admin *a, struct exposition *x);
/* keys.c */
void answer_token(struct conn *c, const struct captures *m);
void answer_keys(struct conn *c, const struct captures *m);
void answer_rotate(struct conn *c, const struct captures *m);
/* False: this node is alone, or memory is out; *e says which. *out is to be freed in any case. */
bool cluster_picture(const struct admin *a, struct admin_cluster *out, struct err *e);
enum { STATUS_MEMBERS_MAX = 32 };
/* The `cluster` of a status; null when this node is alone. */
json_t *cluster_json(struct admin *a);

/* history.c */
bool history_wanted(struct str query); /* of GET /v1/events: it is about a span of time */
void answer_history(struct conn *c, const struct captures *m);
void answer_why(struct conn *c, const struct captures *m);
/* One member as GET /v1/members has it; NULL: there is none, or no memory. */
json_t *member_json_of(struct admin *a, struct str name);

/* status.c */
json_t *status_json(struct admin *a);
/* What is in force; suspect and unchecked where nobody judges the slot. */
struct admin_verdict admin_shown(struct admin *a, uint32_t slot);
json_t *instance_json(struct admin *a, const struct view_instance *in);
uint64_t admin_uptime(const struct admin *a); /* ns since the supervisor started */
/* "supervisor", "control", "agent", "proxy", "worker-0" */
void process_name(uint32_t row, char out[32]);
uint32_t process_rows(const struct admin *a);
/* Whether there is such a process here: many nodes have no agent. */
bool process_is_there(const struct cells *c, uint32_t row);
/* "http://0.0.0.0:8080" */
void listener_url(const struct view_service *s, const struct view_socket *k,
                  char out[ADDR_TEXT_MAX + 8]);
const char *proxy_role_name(uint64_t role); /* "accepting" */
/* Where a process of that row lies now: one of the banks, for the proxy and its workers. */
uint32_t process_place(const struct cells *c, uint32_t row);

/* events_json.c */
json_t *event_json(const struct event *ev);
json_t *events_json(const struct events *e, uint64_t after, uint32_t limit);

/* metrics.c: appends the exposition; check out->failed. */
void metrics_write(struct admin *a, enum exposition_form form, struct buf *out);
/* metrics_cluster.c */
void metrics_cluster(struct admin *a, struct exposition *x);

#endif
