/* conf: the configuration file. Reads it, says all that is wrong with it, and compiles it into a
 * view; tells what a new view changes. The front door of this room.
 *
 *   characters -> tokens (lex) -> statements (parse, resolve) -> settings by table (schema, build)
 *     -> struct view
 *
 * The syntax knows nothing of services, the table of settings nothing of characters. Every stage
 * goes on after a mistake, so that one run names them all, each with its place and, where we can
 * guess it, with what was meant. docs/configuration.md describes the language; its table of
 * settings is written by conf_reference from the table that reads them.
 *
 * The world is asked through struct conf_env only: parsing and checking are pure. conf_env_real is
 * the real world. Nothing is kept between two calls; any thread may call. */
#ifndef HF_CONF_H
#define HF_CONF_H

#include "base/base.h"
#include "view/view.h"

enum {
    CONF_MAX_FILE = 4 * 1024 * 1024,   /* bytes of one file */
    CONF_MAX_TOTAL = 16 * 1024 * 1024, /* of all included files together */
    CONF_MAX_VALUE = 4096, /* bytes of one value; of a referenced file or variable too */
    CONF_MAX_FILES = 1024, /* files in all */
    CONF_MAX_INCLUDES = 8, /* includes within includes */
    CONF_MAX_NESTING = 8,  /* blocks within blocks */
    CONF_MAX_STATEMENTS = 250000,
    CONF_MAX_PROBLEMS = 100, /* more are counted, not kept */
    CONF_MAX_HOST = 255,     /* bytes of a machine's name */
};

/* What is asked of a file whose contents are not read here. */
struct conf_file {
    bool regular;
    unsigned mode; /* permission bits */
};

/* What a configuration asks of its machine. Paths are as written, relative ones with the directory
 * of the file that names them in front. */
struct conf_env {
    void *self;
    /* A whole file of at most max bytes into out. */
    int (*read)(void *self, const char *path, size_t max, struct buf *out, struct err *e);
    /* The same of what `file:` refers to, which may be secret; NULL: read. */
    int (*reference)(void *self, const char *path, size_t max, struct buf *out, struct err *e);
    /* Calls found for every file that the pattern matches, in any order; none is no error. */
    int (*glob)(void *self, const char *pattern, void (*found)(void *arg, const char *path),
                void *arg, struct err *e);
    /* An environment variable, or NULL. */
    const char *(*variable)(void *self, const char *name);
    /* A file that is named, but not part of the configuration. */
    int (*inspect)(void *self, const char *path, struct conf_file *out, struct err *e);
    /* The absolute path (terminated) of one that may be relative to where this process is. */
    int (*absolute)(void *self, const char *path, struct buf *out, struct err *e);
    /* Whether this machine has the address, whatever its port. */
    bool (*has_address)(void *self, const struct addr *a);
    /* What is wrong with the contents of a cluster's key file; NULL: they are not looked at. */
    int (*check_key)(void *self, const char *path, struct err *e);
    /* Whether a log may be read by who reads logs; if not, why, and what to do. NULL: not asked. */
    bool (*readable)(void *self, const char *path, struct err *why, struct err *remedy);
    /* The names of events, from 0, NULL behind the last. NULL: they are not looked at. */
    const char *(*event)(void *self, unsigned i);
    uint32_t cpus; /* the default number of workers */
    bool whole;    /* services too that this node, a witness, does not host */
    bool partial; /* what a configuration cannot do without may lie elsewhere: only what is there is
                     checked, and the view is good for nothing */
    const char *node;             /* which of the cluster this one is; NULL: to be found out */
    char host[CONF_MAX_HOST + 1]; /* this machine's name; may be empty */
};
struct conf_env conf_env_real(void);

enum conf_severity { CONF_ERROR, CONF_WARNING };

struct conf_problem {
    const char *file;
    uint32_t order;        /* of the file: 0 the first that was read */
    uint32_t line, column; /* from 1; a column counts characters, not bytes */
    uint32_t width;        /* characters that the problem is about, at least 1 */
    uint8_t severity;      /* enum conf_severity */
    const char *text;      /* a sentence without a full stop */
    const char *hint;      /* what to write instead; may be empty */
    const char *source;    /* the line of the file, for people */
};

/* Zero-initialise; conf_load fills it, conf_problems_free ends it. Ordered by file and place.
 * A value from the environment or another file is never part of a problem: secrets come that way.
 */
struct conf_problems {
    struct arena arena;
    struct conf_problem *list;
    uint32_t n;
    uint32_t errors, warnings; /* all of them, those that did not fit the list included */
};

/* Reads the file and what it includes into *out (the caller's; view_free). Epoch and slots are 0.
 * Returns 0 (problems may hold warnings), -ERR_INVAL when the problems hold errors (e has a
 * summary: "web.conf has 2 errors"), or another code when the file cannot be read or memory is out
 * (e has the sentence, problems may be empty). */
int conf_load(const char *path, const struct conf_env *env, struct view **out,
              struct conf_problems *problems, struct err *e);
/* As conf_load, of a file that holds nothing but backend statements with addresses: a view that is
 * no more than the instances of its one service. */
int conf_load_backends(const char *path, const struct conf_env *env, struct view **out,
                       struct conf_problems *problems, struct err *e);
/* As conf_load, of a configuration that all nodes share: from the node's own file comes only what
 * is local to a node (the table of settings marks it), all else from `shared`, which is read
 * through shared_env. The view's file is the own one. Problems name files of both. */
int conf_load_shared(const char *own, const struct conf_env *env, const char *shared,
                     const struct conf_env *shared_env, struct view **out,
                     struct conf_problems *problems, struct err *e);
void conf_problems_free(struct conf_problems *p);

/* "web.conf:7:3: error: unknown setting 'blance' in service; did you mean 'balance'?", then the
 * line and a mark under the place. With colours for a terminal. */
void conf_problem_print(const struct conf_problem *p, bool colour, struct buf *out);
/* All of them, and a last line with how many more there are, if any. */
void conf_problems_print(const struct conf_problems *p, bool colour, struct buf *out);

/* What changes from now (may be NULL: everything is new) to next, in words, one change a line, each
 * ended by '\n': "service web: timeout first-byte 2s -> 1s". Returns how many, or -ERR_NOMEM. */
int conf_diff(const struct view *now, const struct view *next, struct buf *out);

/* What of that takes something away from users, a line each as above: "service web stops: it is
 * removed". Both views are `whole`; voters: the nodes that vote now. Returns how many, or
 * -ERR_NOMEM. */
int conf_risks(const struct view *now, const struct view *next, const struct str *voters,
               uint32_t n_voters, struct buf *out);

/* The table of all settings as Markdown, for docs/configuration.md. */
void conf_reference(struct buf *out);

#endif
