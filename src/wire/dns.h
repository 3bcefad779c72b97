/* dns: messages of the domain name system as bytes, in both directions. Pure.
 *
 * Reading: dns_open takes the header and the question, dns_next one record after the other; nothing
 * is allocated and nothing is read twice without a bound. A pointer of a compressed name may only
 * lead backwards, so that none leads in a circle. dns_answer follows a chain of aliases through the
 * answer to one question. Writing: dns_begin, questions, records in the order of their sections,
 * dns_end; names are compressed. Whoever asks and whoever will answer use the same structures.
 *
 * RFC 1035 (messages, names), 2181 (TTL, names), 2308 (negative answers), 2782 (SRV), 3596 (AAAA),
 * 6891 (OPT). */
#ifndef HF_DNS_H
#define HF_DNS_H

#include "base/base.h"

enum {
    DNS_HEADER = 12,
    DNS_NAME_MAX = 255,          /* bytes of a name on the wire, its end included */
    DNS_NAME_TEXT_MAX = 4 * 255, /* of its text, terminated: every byte may be \DDD */
    DNS_LABEL_MAX = 63,
    DNS_MESSAGE_MAX = 65535,
    DNS_UDP_PLAIN = 512, /* what a peer without OPT takes in one datagram */
    DNS_UDP_ASK = 1232,  /* what we take: no fragments (DNS flag day 2020) */
    DNS_ALIASES_MAX = 16,
};

enum {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_OPT = 41,
    DNS_ANY = 255,
};
enum { DNS_IN = 1 };

enum {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
};
/* "NXDOMAIN"; "an error" for what has no name here. */
const char *dns_rcode_name(unsigned rcode);
/* "A", "AAAA", "SRV", ...; "?" for others. */
const char *dns_type_name(unsigned type);

/* A name as on the wire, without compression: labels with their lengths, and the empty one. */
struct dns_name {
    uint8_t n; /* 1 (the root) to 255; 0: no name */
    uint8_t bytes[DNS_NAME_MAX];
};

/* "www.example.org", with or without its last dot. Letters, digits, '-' and '_' only, as names of
 * hosts and services are. */
bool dns_name_parse(struct str text, struct dns_name *out);
/* Without the last dot; "." is the root. Bytes that would be misread are \DDD. Returns the length;
 * the text is terminated. */
size_t dns_name_text(const struct dns_name *n, char out[DNS_NAME_TEXT_MAX]);
/* Letters count alike, large or small. */
bool dns_name_eq(const struct dns_name *a, const struct dns_name *b);

struct dns_head {
    uint16_t id;
    bool response, authoritative, truncated, recursion_desired, recursion_available;
    uint8_t opcode; /* 0: a query */
    uint8_t rcode;  /* without the bits of OPT */
};

struct dns_question {
    struct dns_name name;
    uint16_t type, class;
};

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

struct dns_record {
    struct dns_name name;
    uint16_t type, class;
    uint32_t ttl;    /* RFC 2181: a value with the highest bit set is 0. Of OPT: flags */
    uint8_t section; /* enum dns_section */
    uint8_t ip[16];  /* A: the first four; AAAA */
    uint16_t priority, weight, port; /* SRV */
    struct dns_name target;          /* CNAME, NS, PTR, SRV */
    uint32_t minimum;                /* SOA */
    struct str data; /* as on the wire, in the message; what is written for all other types */
};

/* A message that is being read. Points into its bytes. */
struct dns_message {
    struct str bytes;
    struct dns_head head;
    struct dns_question question; /* the first; name.n is 0 without any */
    uint16_t questions;
    uint16_t left[DNS_SECTIONS]; /* records to come */
    size_t at;
    const char *why; /* what is malformed, one sentence */
};

/* 0, or -1 and m->why. */
int dns_open(struct dns_message *m, struct str bytes);
/* 1: a record; 0: there are no more; -1 and m->why. */
int dns_next(struct dns_message *m, struct dns_record *out);

/* What the answer to one question says. */
struct dns_result {
    uint8_t rcode;
    bool truncated;
    uint32_t ttl; /* of all that was found, aliases included, the least; of nothing: how long that
                     may be believed (RFC 2308), 0 if it is not said */
    uint32_t found;
    struct dns_name name; /* the one that the aliases led to */
};
/* Calls found for every record of the type asked for, wherever aliases lead; NULL counts only. 0,
 * or -1 and *why when the message is malformed, no response, or not to this question. */
int dns_answer(struct str bytes, uint16_t id, const struct dns_question *asked,
               void (*found)(void *arg, const struct dns_record *r), void *arg,
               struct dns_result *out, const char **why);

enum { DNS_COMPRESS_MAX = 64 };

/* A message that is being written behind what `out` holds already. */
struct dns_writer {
    struct buf *out;
    size_t start;
    size_t limit; /* bytes that the message may have */
    uint16_t questions, records[DNS_SECTIONS];
    uint16_t names[DNS_COMPRESS_MAX]; /* where names were written, for compression */
    uint16_t n_names;
    bool full; /* a record did not fit: it was left out, and the message will say truncated */
};

void dns_begin(struct dns_writer *w, struct buf *out, const struct dns_head *head, size_t limit);
void dns_put_question(struct dns_writer *w, const struct dns_question *q);
/* In the order of sections. Once one did not fit, the others are left out too. */
void dns_put_record(struct dns_writer *w, const struct dns_record *r);
/* An OPT record: the datagrams that we take. */
void dns_put_opt(struct dns_writer *w, uint16_t udp_size);
/* Fills in the counts. False: memory is out. */
bool dns_end(struct dns_writer *w);

#endif
