/* mesh_join: how a new machine gets the keys of its cluster: one question and one answer on a link
 * that grew from a one-time token (mesh_token.h).
 *
 *     question   u16 1, 32 bytes of proof, str cluster, str node, str program
 *     answer     u16 1, u8 0, str key file, u32 n, n * (str name, str address, u8 role, str zone)
 *                u16 1, u8 1, str why it is refused
 *
 * What follows is for later releases and not read. The node that answers has used the token up
 * before; if its answer is lost, another token is needed. */
#ifndef HF_MESH_JOIN_H
#define HF_MESH_JOIN_H

#include "base/base.h"
#include "mesh/mesh_token.h"
#include "view/view.h"

/* --- the node that answers --- */

struct join_host {
    void *context;
    /* The node's key file, read now. */
    int (*keys)(void *context, struct keyring *out, struct err *e);
};
/* Appends the answer to a question that came with token `id`. True: the token is used up and node
 * (TOKEN_NAME_MAX + 1 bytes) has the keys; else `why` says what was refused. */
bool join_answer(struct tokens *t, uint64_t id, struct str question,
                 const struct view_cluster *cluster, const struct join_host *h, uint64_t now,
                 struct buf *answer, char *node, struct err *why);

/* --- the machine that asks --- */

struct join_node {
    char name[TOKEN_NAME_MAX + 1], zone[TOKEN_NAME_MAX + 1];
    struct addr at;
    bool witness;
};
struct join_result {
    struct keyring keys;
    struct join_node *nodes; /* owned */
    uint32_t n_nodes;
};
/* Asks the node of the token as `node`, on a loop of its own; at most some seconds. ERR_DENIED: it
 * says no, with its reason; else what is wrong and what to do. */
int join_ask(const struct token *t, struct str node, struct join_result *out, struct err *e);
void join_result_end(struct join_result *r); /* wiped */

/* Pure: the two messages. */
struct join_question {
    uint8_t proof[TOKEN_PROOF];
    struct str cluster, node;
};
bool join_read_question(struct str bytes, struct join_question *out);
int join_read_answer(struct str bytes, struct join_result *out, struct err *e);

#endif
