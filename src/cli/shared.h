/* shared: what the commands have in common that change the configuration of all nodes: reading it,
 * asking the node, showing what changes, and waiting until everybody has it. */
#ifndef HF_CLI_SHARED_H
#define HF_CLI_SHARED_H

#include "cli/cli.h"
#include "cli/node.h"

enum { SHARED_WAIT = 10 /* seconds until all nodes should have it */ };

/* Of `apply` and `rollback`. */
struct shared_options {
    struct node_place node;
    bool json, yes;
    const char *note;
    uint64_t wait;
};
#define SHARED_OPTIONS                                                                             \
    {"yes",       'y',                                                                             \
     NULL,        "do not ask, whatever the change takes away",                                    \
     OPTION_FLAG, offsetof(struct shared_options, yes)},                                           \
        {"note",      0,                                                                           \
         "TEXT",      "why, for the history",                                                      \
         OPTION_TEXT, offsetof(struct shared_options, note)},                                      \
        {"wait",        'w',                                                                       \
         "SECONDS",     "for the nodes to run it (default 10)",                                    \
         OPTION_NUMBER, offsetof(struct shared_options, wait)},                                    \
        CLI_OPTION_JSON(struct shared_options), CLI_OPTIONS_NODE(struct shared_options)

/* The file and what belongs to it in base64; the complaint has been printed when it is not CLI_OK.
 */
int shared_read(const char *file, struct buf *base64);
/* POSTs the body, which it takes; NULL: memory is out. CLI_OK when an answer came. */
int shared_post(const struct node_place *place, const char *path, json_t *body, struct reply *r);
/* The same of a change: body says what is to be, and gets on top of what (base), whether risks are
 * taken, and the note. */
int shared_change(const struct shared_options *o, const char *path, json_t *body,
                  const json_t *base, bool yes, struct reply *r);
/* Why the node refuses, mistakes in the files of `file` (may be NULL) with their lines. CLI_BAD. */
int shared_refused(const struct reply *r, const char *file);
/* {"bundle": ...} to /v1/config/plan; refusals are printed. */
int shared_plan(const struct node_place *place, const char *file, const struct buf *base64,
                struct reply *r);
/* Texts of a list, each on a line. */
void shared_lines(const json_t *list, struct buf *out);
/* What a plan says, for people. */
void shared_show(const json_t *plan, struct buf *out);
/* Whether to go on although these are risks. CLI_OK: yes. */
int shared_confirm(const json_t *risks, bool yes, bool json);
/* After the answer of an apply or rollback: waits for the nodes, and prints how it went. */
int shared_follow(const struct node_place *place, const struct reply *applied, uint64_t wait,
                  bool json);

#endif
