/* link_inside: what link.c (the states of a link) and link_tls.c (OpenSSL) share. Inside this
 * room. */
#ifndef HF_MESH_LINK_INSIDE_H
#define HF_MESH_LINK_INSIDE_H

#include <openssl/ssl.h>

#include "mesh/link.h"

enum link_state {
    LINK_CONNECTING, /* the connection is under way */
    LINK_PROVING,    /* the handshake is */
    LINK_GREETING,   /* both have proved the secret; the other's hello is awaited */
    LINK_UP,
    LINK_FINISHING, /* what is queued is sent, then the other end's goodbye awaited */
};

struct link_tls {
    SSL_CTX *client, *server;
    BIO_METHOD *method;
    uint16_t low, high;
    uint64_t handshake, ping, silence; /* ns */
};

struct link {
    struct link_tls *tls;
    struct loop *loop;
    const struct link_host *host;
    void *owner;
    SSL *ssl; /* owned */
    int fd;   /* owned */
    struct io io;
    struct timer timer;
    struct task task; /* work that was put off: sending, or the rest of what came */
    struct addr peer;
    uint8_t state; /* enum link_state */
    bool accepted; /* the other end connected */
    bool busy;     /* its work is on the stack: it is released there */
    bool failed;   /* with `why`: `gone` follows when the stack is left */
    bool ended;    /* no callback any more */
    bool offered;  /* the other end named a secret */
    bool ended_in; /* the connection's other direction has ended */
    bool drained;  /* finishing: all is sent */
    uint8_t why;   /* enum link_why */
    char text[128];
    size_t identity_n;
    char identity[LINK_IDENTITY_MAX];
    uint8_t secret[LINK_SECRET]; /* of a connecting end, until it is proven */
    size_t unproven;             /* bytes that came before the proof */
    struct buf in, out;
    size_t out_at; /* bytes of out that are sent */
    uint16_t version;
    uint64_t heard_at, said_at;
    uint64_t finish_by;
};

/* The first reason counts. */
void link_fail(struct link *k, enum link_why why, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An SSL object on k's connection. */
int link_tls_begin(struct link *k, struct err *e);
/* 0: no more for now (or k has failed); 1: it is done. */
int link_tls_prove(struct link *k);
/* Bytes that were read or written; 0: none for now, or k has failed. */
size_t link_tls_read(struct link *k, void *p, size_t n);
size_t link_tls_write(struct link *k, const void *p, size_t n);
/* Says that nothing follows. */
void link_tls_close(struct link *k);

#endif
