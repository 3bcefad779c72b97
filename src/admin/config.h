/* config: what the admin API says of the configuration that all nodes share, and what it may ask.
 *
 * A picture of one moment, filled in by the host for one answer: what it points to is the host's
 * and stays until the answer is written. This room knows neither the coordinator nor bundles: a
 * configuration arrives as base64 and goes on as bytes. */
#ifndef HF_ADMIN_CONFIG_H
#define HF_ADMIN_CONFIG_H

#include "base/base.h"

struct admin_version {
    uint64_t number, from; /* from: of a rollback, else 0 */
    uint64_t when;         /* Unix ms */
    const char *digest, *who, *node, *note;
    const char *changes; /* lines; empty: not known, or none */
};

struct admin_file {
    struct str name, text;
};

/* What a node of the cluster says that it runs. */
struct admin_adoption {
    struct str node;
    bool self, alive;
    bool told;           /* it ever said */
    uint64_t number;     /* 0: its own file */
    const char *problem; /* why it does not run the version in force; empty: it does, or will */
};

/* Zero-initialised by who asks, admin_config_free by it. */
struct admin_config {
    struct arena arena;
    struct admin_version used; /* what runs here; number 0: the node's own file */
    struct admin_version head; /* what is in force; number 0: nobody has applied anything yet */
    uint64_t revision;         /* of head */
    bool head_known;           /* the coordinator has said */
    const char *coordinator;   /* "embedded"; empty: there is none */
    bool reachable;
    const char *problem; /* why `used` is not `head`; empty: it is, or will be */
    const char *own_problem; /* errors of the node's own file; empty: none, or it is what runs */
    struct admin_adoption *nodes;
    uint32_t n_nodes;
};
void admin_config_free(struct admin_config *c);

enum admin_config_what { CONFIG_PLAN, CONFIG_APPLY, CONFIG_ROLLBACK, CONFIG_HISTORY, CONFIG_FILES };

struct admin_config_ask {
    uint8_t what;      /* enum admin_config_what */
    struct str bundle; /* PLAN, APPLY */
    uint64_t number;   /* ROLLBACK, FILES: of the version; FILES 0: the one in force */
    uint32_t count;    /* HISTORY: the latest so many */
    bool yes;          /* APPLY, ROLLBACK: whatever it takes away */
    bool has_base;
    uint64_t base; /* the revision of head that it was planned with; else what is in force */
    struct str note, who;
};

struct admin_problem;
struct admin_config_result {
    int code;         /* 0, or a negative enum err_code */
    const char *text; /* code != 0: the sentence */
    bool asks;        /* ERR_DENIED: risks are to be confirmed with `yes` */
    bool conflict;    /* ERR_BUSY: somebody else's version came first: plan again */
    const struct admin_problem *problems;
    size_t n_problems;
    uint64_t revision;            /* PLAN: the base for an apply */
    struct admin_version version; /* PLAN: what it was compared with; APPLY, ROLLBACK: what was
                                     made; FILES */
    bool same;                    /* PLAN, APPLY: the files are those of the version in force */
    const struct str *changes, *risks, *left; /* left: differences that are local to a node */
    size_t n_changes, n_risks, n_left;
    const struct admin_version *versions; /* HISTORY, newest first */
    uint32_t n_versions;
    const struct admin_file *files; /* FILES */
    uint32_t n_files;
    struct str main;
    const char *warning; /* NULL: none */
};

/* Somebody who waits for it. list_remove(&w->link) takes him back; what was asked goes on. done may
 * be called from inside the host's function. */
struct admin_config_wait {
    struct list link;
    void (*done)(struct admin_config_wait *w, const struct admin_config_result *r);
};

#endif
