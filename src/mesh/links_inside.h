/* links_inside: what the files of links share. A `line` is one link of ours or an attempt at one; a
 * `node` is what we know of a peer: its line that is up, and the attempt under way. A line that
 * somebody else opened is a stranger, in `incoming`, until it has proved who it is and is up.
 *
 *   links.c        nodes, keys, messages, start and end
 *   links_line.c   a line's life: who comes in, up, messages, gone, and trying again
 *   links_accept.c the listening socket, and room for those who have proved nothing yet
 *
 * Inside this room. */
#ifndef HF_MESH_LINKS_INSIDE_H
#define HF_MESH_LINKS_INSIDE_H

#include "mesh/links.h"
#include "mesh/strangers.h"

#define LINKS_TRY_FIRST_NS (100 * NS_PER_MS)
#define LINKS_TRY_LAST_NS  (5 * NS_PER_S)

struct node;
struct line {
    struct list link; /* in links.incoming, in the order of arrival */
    struct links *set;
    struct link *k;
    struct node *node; /* whose it is, or claims to be; NULL: nobody's yet */
    bool guest;
    uint64_t token;
    uint32_t key; /* the id of the one that it grows from */
    uint64_t up_at;
    const char *claim; /* what is wrong with what it says of itself; NULL: nothing */
    struct addr from;
};

struct node {
    struct list link;
    struct links *set;
    uint64_t id;
    struct addr at;
    struct line *up;    /* owned */
    struct line *trial; /* owned: the attempt of this end */
    struct timer again;
    uint32_t tries; /* in a row without a steady link */
    uint64_t tried_at;
};

struct links {
    struct loop *loop;
    struct links_host host;
    struct link_tls *tls;
    struct keyring keys;
    uint64_t self, cluster;
    struct prng dice;
    struct map nodes; /* by the bytes of their ids */
    struct list order;
    struct list incoming; /* lines: strangers and guests */
    uint32_t n_incoming;
    int listen_fd; /* owned */
    struct io io;
    struct timer pause;
    struct strangers told;
    struct links_counts counts;
};

/* links.c */
struct node *links_node(const struct links *s, uint64_t id);

/* links_line.c */
extern const struct link_host line_host;
struct line *line_new(struct links *s, const struct addr *from);
void line_free(struct line *l);
/* Ends one of ours; NULL is allowed. */
void line_drop(struct line *l);
/* A stranger's end, counted and told of. */
void line_refused(const struct line *l, enum link_why why, const char *text);
/* When this node's turn to connect comes; nothing on the node that waits. */
void node_plan(struct node *n, uint64_t at);
void node_plan_again(struct node *n);
/* There is no link from the key in use, nor an attempt at one. */
bool node_wants_link(const struct node *n);
void node_try(struct node *n);

/* links_accept.c */
void accepting_init(struct links *s);

#endif
