/* system: what this machine says of names, in /etc/resolv.conf and /etc/hosts. Pure: text in,
 * structure out; what is not understood is passed over, as resolvers do (resolv.conf(5), hosts(5)).
 */
#ifndef HF_DISCOVER_SYSTEM_H
#define HF_DISCOVER_SYSTEM_H

#include "discover/ask.h"

enum { SYSTEM_MAX_SEARCH = 6, SYSTEM_MAX_NDOTS = 15, SYSTEM_TEXT_MAX = 1024 * 1024 };

struct system_resolver {
    struct ask_servers servers;
    char search[SYSTEM_MAX_SEARCH][256];
    uint32_t n_search;
    uint32_t ndots; /* a name with fewer dots is first looked for in the search list */
};

/* Without a name server in the text: this machine's own port 53. */
void system_resolver_parse(struct str text, struct system_resolver *out);
/* Calls found for every address that the text of /etc/hosts gives this name; how many. */
uint32_t system_hosts_find(struct str text, struct str name,
                           void (*found)(void *arg, const struct addr *a), void *arg);

/* The i-th full name that is asked for instead of `name`; false: there are no more. A name with a
 * dot at its end is asked for as it is. */
bool system_candidate(const struct system_resolver *r, struct str name, uint32_t i,
                      struct dns_name *out);

#endif
