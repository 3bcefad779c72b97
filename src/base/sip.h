/* sip: SipHash-2-4, a keyed hash of 64 bits (Aumasson and Bernstein, "SipHash: a fast short-input
 * PRF", 2012). For tables whose keys strangers choose: without the key nobody can make entries
 * collide, and nobody can guess what was hashed. */
#ifndef HF_SIP_H
#define HF_SIP_H

#include <stdint.h>

#include "base/str.h"

struct sip_key {
    uint64_t k[2];
};

uint64_t sip_hash(const struct sip_key *key, struct str s);
/* The same of two strings, one behind the other, with a length between them: ("ab", "c") is not
 * ("a", "bc"). */
uint64_t sip_pair(const struct sip_key *key, struct str a, struct str b);

#endif
