/* pressure: what a worker does when it runs short.
 *
 * Clients that are in no request (they said nothing yet, are slow with a head, keep an idle
 * connection, or linger after a refusal) stand in a line, who waits longest first. When there are
 * as many clients as there may be, or no descriptor is left, the first in the line is closed for
 * whoever comes: a flood of idle connections costs those who sent it their place. Nobody is closed
 * in its first second; when that leaves no room for longer, the second becomes less.
 *
 * Descriptors are given up in this order: pipes that are kept for relays, pooled connections to
 * instances (unused longest first), waiting clients. Only then accepting rests.
 *
 * A client that holds up a body, by sending or reading less than `min-rate` while nothing but it is
 * waited for, is cut; while there is nobody else to close, so is any that takes less than a little.
 * What it has read is what its kernel acknowledged (SIOCOUTQ), not what ours took from us.
 *
 * Each shortage is told when it begins, once a minute while it lasts, and when it is over. */
#ifndef HF_PROXY_PRESSURE_H
#define HF_PROXY_PRESSURE_H

#include "base/base.h"

struct worker;
struct client;

enum shortage {
    SHORT_CLIENTS,
    SHORT_DESCRIPTORS,
    SHORT_OF_SERVICE,
    SHORT_OF_ADDRESS,
    SHORT_RATE,
    SHORTAGES
};

struct alarm {
    uint64_t since, last, told; /* since 0: all is well */
    uint64_t count;
};

struct pressure {
    struct list waiting; /* client.waiting, longest first */
    struct list idle;    /* upstream.age, unused longest first */
    uint32_t n_idle;     /* pooled connections */
    uint32_t n_pipes;    /* that relays have */
    uint64_t grace;      /* what a new client is given before it may be closed */
    bool pressed;        /* since the last tick there was nobody to close */
    uint32_t ticks;
    struct alarm alarms[SHORTAGES];
};

/* How fast a client takes its part. */
struct slowness {
    uint8_t way;    /* of the measurement: enum rate_way */
    uint64_t since; /* it began; 0: none */
    int64_t mark;   /* bytes then */
};

void pressure_init(struct pressure *p);
/* The client is in no request from now on. A lingering one is the first to go. */
void pressure_wait(struct client *c);
void pressure_busy(struct client *c);
/* There are as many clients as there may be: closes one. False: nobody may be closed yet. */
bool pressure_make_room(struct worker *w);
/* Somebody could be closed now. */
bool pressure_has_room(const struct worker *w);
/* No descriptor is left: gives one up. False: there is none to give. */
bool pressure_give_up(struct worker *w);
/* May this client be served? False: it is one too many; the caller resets it. */
bool pressure_admit(struct client *c);
void pressure_leave(struct client *c);
void pressure_tick(struct worker *w);

#endif
