/* ask: one question to name servers, until one answers or all were tried twice.
 *
 * Each attempt has a socket of its own, connected to the one server and bound to a port that the
 * kernel chose, and a random number: what comes from elsewhere, or answers another question, is not
 * heard (RFC 5452). An answer that does not fit a datagram is asked for again over TCP. The first
 * round tells how large datagrams may be (OPT); a server that minds gets the plain question.
 *
 * The owner embeds it, one question at a time. Runs on the owner's loop; never calls done from
 * inside ask_start. */
#ifndef HF_DISCOVER_ASK_H
#define HF_DISCOVER_ASK_H

#include "os/os.h"
#include "wire/dns.h"

enum { ASK_MAX_SERVERS = 8, ASK_DATAGRAM_MAX = 4096 };

struct ask_servers {
    struct addr list[ASK_MAX_SERVERS];
    uint32_t n;
    uint64_t timeout; /* of one attempt */
};

struct ask {
    /* message: a response to this question, NOERROR or NXDOMAIN; only valid inside. With rc < 0:
     * nobody gave one, and why in a sentence. */
    void (*done)(struct ask *a, int rc, struct str message, const char *why);
    /* private */
    struct loop *loop;
    struct io io;
    struct timer timer;
    int fd; /* owned; -1: none */
    struct ask_servers servers;
    struct dns_question question;
    struct dns_head head;
    uint32_t attempt;
    bool tcp, plain, connected;
    struct buf out, in;
    size_t sent;
    struct err last;
};

void ask_init(struct ask *a, struct loop *l,
              void (*done)(struct ask *a, int rc, struct str message, const char *why));
/* Ends one that runs. */
void ask_start(struct ask *a, const struct ask_servers *servers, const struct dns_question *q);
void ask_stop(struct ask *a);
bool ask_runs(const struct ask *a);

#endif
