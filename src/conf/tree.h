/* tree: what the stages of this room hand to each other. Inside this room only.
 *
 * All of it lives in the arena of one struct conf, which one conf_load owns. Memory that is out
 * sets `nomem` and is reported once, at the end: the stages just stop making progress. */
#ifndef HF_CONF_TREE_H
#define HF_CONF_TREE_H

#include "conf/conf.h"

struct source {
    struct str path; /* terminated */
    struct str text;
    const struct conf_env *env; /* that it was read through, and what it names is */
    int32_t from;               /* the source that includes this one, or -1 */
    uint32_t depth;             /* includes between the first source and this one */
    bool unreadable;            /* not text: reported, not parsed */
};

/* Bytes of a source; line and column are only counted when a problem needs them. */
struct place {
    uint32_t file; /* index into conf.sources */
    uint32_t at, length;
};

enum value_kind { VALUE_WORD, VALUE_STRING, VALUE_LIST };

struct value {
    uint8_t kind;    /* enum value_kind */
    bool secret;     /* came from a variable or another file: never shown */
    bool bad;        /* a problem was reported already: say nothing more about it */
    bool refers;     /* text is the path of a file that is named, not read */
    bool later;      /* what it refers to is asked for when it is known to count */
    bool named;      /* then: as conf_resolve's */
    struct str text; /* escapes and references resolved; terminated */
    struct str raw;  /* as written in the file; what people are shown */
    struct place place;
    struct value *items; /* VALUE_LIST; linked by next */
    struct value *next;
};

/* One statement: name arguments... [= value | { block }] */
struct node {
    struct str name;
    struct place place;  /* of the name */
    struct value *args;  /* linked by next */
    struct value *value; /* NULL without '=' */
    bool block;          /* has braces */
    bool damaged;        /* something inside could not be read: do not miss what is not there */
    struct node *children;
    struct node *next;
};

struct conf {
    const struct conf_env *env;
    struct arena arena;
    struct view *view; /* what is being built; its arena outlives this struct */
    struct conf_problems *problems;
    struct source *sources; /* grown by doubling */
    uint32_t n_sources, cap_sources;
    size_t total;        /* bytes of all sources */
    uint32_t statements; /* and list items, so far */
    bool picks; /* some statements will not count: their references are nobody's business */
    struct backend_logs *logs; /* logs.c: of the service that is being built */
    bool nomem;
    bool too_large; /* a bound was reached and reported */
};

/* problem.c */
void conf_complain(struct conf *c, const struct place *at, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void conf_warn(struct conf *c, const struct place *at, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* "web.conf:7:3" of a place, for a problem that names two. */
const char *conf_where(struct conf *c, const struct place *at);
void conf_problems_sort(struct conf_problems *p);
/* A formatted, terminated text in the arena; "" when memory is out. */
const char *conf_text(struct conf *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* source.c: the source's index, or -1 after a problem was reported at `from`, or, without `from`,
 * with the reason in e. */
int conf_source_read(struct conf *c, struct str path, const struct place *from, struct err *e);
/* The world of the source that the place lies in. */
const struct conf_env *conf_env_at(const struct conf *c, const struct place *at);
/* The path as seen from the file that names it; .p is NULL when memory is out. */
struct str conf_path_beside(struct conf *c, uint32_t file, struct str path);
/* The first byte that a text must not hold, s.n if there is none: texts are UTF-8 without control
 * characters but tab and line end. */
size_t conf_text_valid(struct str s);

/* cluster.c: settings of this name take a file's place, not its contents. */
bool conf_names_file(struct str key);

/* resolve.c: fills text and secret from raw, or reports a problem and sets bad. named: of file:PATH
 * the path is taken and the file is not read. */
void conf_resolve(struct conf *c, struct value *v, bool named);
/* The same, but of one that refers to something outside it is put off where `c->picks`. */
void conf_resolve_or_wait(struct conf *c, struct value *v, bool named);
/* Of a value that waits. */
void conf_resolve_now(struct conf *c, struct value *v);
/* As much of it as a message shows; of a value: what is written, never what it refers to. */
struct str conf_clip(struct str s);
struct str conf_shown(const struct value *v);

/* parse.c: the statements of a source and of what it includes. *damaged is set when some could not
 * be read. depth is the number of blocks that the source is included in. */
struct node *conf_parse(struct conf *c, uint32_t file, uint32_t depth, bool *damaged);

/* local.c: the statements of `shared`, with what is local to a node from `own` instead. */
struct node *conf_local_merge(struct conf *c, struct node *shared, struct node *own);

/* build.c: fills c->view and reports every problem. */
void conf_build(struct conf *c, const struct node *top, bool damaged);
/* Of a drop-in file: one service without a listener. */
void conf_build_backends(struct conf *c, const struct node *top);

#endif
