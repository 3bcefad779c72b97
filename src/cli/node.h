/* node: one question to a node's admin API, over its Unix socket (docs/admin-api.md).
 *
 * The connection is kept between questions. Every question ends in time: the control process may be
 * stopped while its socket still accepts. Nothing of the environment (proxies) is used. */
#ifndef HF_CLI_NODE_H
#define HF_CLI_NODE_H

#include <jansson.h>

#include "base/base.h"
#include "cli/exchange.h"

enum { NODE_TIMEOUT = 5 }; /* seconds that an answer may take */

struct node {
    struct exchange line;   /* its `interrupted` is the caller's to set */
    char at[ADDR_TEXT_MAX]; /* for people */
};

struct reply {
    long status;      /* of HTTP */
    json_t *json;     /* an object; owned by the reply */
    struct buf bytes; /* as they came */
};

/* Where a node is asked: what the options of a command say. */
struct node_place {
    const char *state;      /* its directory; NULL: the default one */
    const char *node;       /* its name, where several run on one machine; NULL: the only one */
    const char *admin;      /* over TCP instead: http://ADDRESS:PORT; NULL: over the socket there */
    const char *token_file; /* with admin: holds the token */
};

/* ERR_INVAL when the place makes no sense; what else goes wrong says so itself. */
int node_open(struct node *c, const struct node_place *place, struct err *e);
void node_close(struct node *c);

/* 0 when an answer came, whatever its status. ERR_ABSENT: nobody is there; ERR_TIMEOUT: somebody
 * does not answer; ERR_DENIED: the socket may not be opened; ERR_BUSY: interrupted. The sentence
 * says what to do. wait: seconds that the answer may take besides NODE_TIMEOUT. */
int node_ask(struct node *c, const char *method, const char *path, unsigned wait, struct reply *out,
             struct err *e);
void reply_free(struct reply *r);

/* Appends s percent-encoded for one segment of a path. */
void node_segment(struct buf *out, struct str s);

/* What the node complains about in an answer that is not 2xx, on standard error, with suggestions.
 * Returns CLI_BAD. */
int node_refused(const struct reply *r);

/* Opens, asks once, closes. CLI_OK when an answer came, whatever its status; else the complaint has
 * been printed. */
int node_fetch(const struct node_place *place, const char *method, const char *path,
               struct reply *out);
/* node_once with a body, if it is not empty. */
int node_send(const struct node_place *place, const char *method, const char *path, struct str body,
              struct reply *out);
/* node_fetch, and node_refused unless the answer is 2xx. */
int node_once(const struct node_place *place, const char *method, const char *path,
              struct reply *out);

/* The answer as it came, on a line of its own, on standard output; nothing if there is none. */
void reply_print(const struct reply *r);

#endif
