/* names_inside: what the files of names share. */
#ifndef HF_DISCOVER_NAMES_INSIDE_H
#define HF_DISCOVER_NAMES_INSIDE_H

#include "discover/names.h"
#include "discover/records.h"

enum result {
    RESULT_NONE, /* of this round: not known yet */
    RESULT_FOUND,
    RESULT_EMPTY, /* there is none, says somebody who should know */
    RESULT_ERROR,
};

struct name;

struct lookup {
    struct ask ask;
    struct name *name;
    struct list queue; /* in names.queue */
    uint16_t type;
    uint8_t result; /* enum result */
    uint8_t rcode;  /* of RESULT_EMPTY */
    bool in_flight;
    uint32_t ttl;          /* seconds */
    struct records found;  /* of this round */
    struct records latest; /* of the latest round that was answered */
};

struct name {
    struct names *names;
    struct list link;         /* in names.services, of a service */
    char text[NAME_TEXT_MAX]; /* as written */
    bool srv;
    bool used;     /* by a source, or as a target */
    bool answered; /* some round is over */
    bool failing;  /* told */
    bool awaiting; /* `next` waits for its targets */
    struct lookup lookups[2];
    uint32_t n_lookups;
    struct timer due;
    uint32_t candidate, failures;
    struct records good;
    struct records next;
};

struct names {
    struct loop *loop;
    struct names_owner owner;
    struct names_options o;
    struct map map; /* "host:api.internal" -> struct name, owned */
    struct list services;
    struct list queue;
    uint32_t in_flight;
    struct ask_servers servers; /* of the configuration; n is 0: the system's */
    uint64_t timeout, ttl_least, ttl_most;
    struct system_resolver system;
    struct buf hosts;
    uint64_t read_at; /* when the system's files were read; 0: never */
    struct prng prng;
};

/* The name, made if there is none; NULL when there is no room or memory. */
struct name *names_get(struct names *n, struct str text, bool srv);
struct name *names_find(const struct names *n, struct str text, bool srv);

/* names_round.c: asks for it now. */
void round_begin(struct name *m);
void round_init(struct name *m);
void round_end(struct name *m);

#endif
