/* exchange: questions and answers in HTTP/1.1 over a Unix socket or TCP, one at a time, over a
 * connection that is kept. Blocks its thread, never for longer than it is told.
 *
 * A kept connection may have been closed by the other side meanwhile: if nothing of an answer came,
 * a question that changes nothing is asked once more over a new one. */
#ifndef HF_CLI_EXCHANGE_H
#define HF_CLI_EXCHANGE_H

#include "cli/answer.h"

enum { EXCHANGE_PATH_MAX = 16 * 1024 };

struct exchange {
    int fd; /* owned; -1: no connection */
    struct addr to;
    char token[1024];        /* sent as a bearer's; empty: none */
    uint64_t connect_within; /* ns */
    /* Asked several times a second while a question waits; true ends it. May be NULL. */
    bool (*interrupted)(void *arg);
    void *arg;
    struct str body;   /* of a question that changes something: JSON; empty: none */
    uint64_t deadline; /* private */
};

/* `path` is sent as it is. The answer is whole when this returns 0; it is the caller's to free in
 * any case. ERR_ABSENT: nobody accepts the connection; ERR_TIMEOUT; ERR_BUSY: interrupted;
 * ERR_LIMIT: the answer is too long; ERR_INVAL: the path is; ERR_NOMEM; ERR_IO and ERR_PROTO with
 * the reason: the connection broke, or what came is no answer. */
int exchange_ask(struct exchange *x, const char *method, const char *path, uint64_t within,
                 struct answer *out, struct err *e);
void exchange_close(struct exchange *x);

#endif
