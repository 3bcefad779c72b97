/* neighbour: how machines on one link say who has an address: ARP (RFC 826; announcements: RFC
 * 5227, section 3) and the neighbour advertisements of IPv6 (RFC 4861, section 4.4). Pure.
 *
 * An ARP packet is what follows the Ethernet header. An advertisement is an ICMPv6 message; its
 * checksum, which covers the IPv6 header, is left to the kernel. */
#ifndef HF_WIRE_NEIGHBOUR_H
#define HF_WIRE_NEIGHBOUR_H

#include "base/base.h"

enum {
    NEIGHBOUR_MAC = 6,
    ARP_BYTES = 28,
    ADVERTISEMENT_BYTES = 32,
};

/* Whoever sees it sends what is for `ip` (4 bytes) to `mac` from then on. Machines differ in which
 * of the two forms they believe: send both. */
void arp_announce(uint8_t out[ARP_BYTES], bool as_reply, const uint8_t mac[NEIGHBOUR_MAC],
                  const uint8_t ip[4]);
/* The same of an IPv6 address, for all nodes of the link (ff02::1), overriding what they know. */
void advertise(uint8_t out[ADVERTISEMENT_BYTES], const uint8_t mac[NEIGHBOUR_MAC],
               const uint8_t ip[16]);

/* Somebody's claim to have an address. */
struct neighbour_claim {
    bool claims;                /* false: it only asks */
    uint8_t mac[NEIGHBOUR_MAC]; /* zeros: it did not say */
    uint8_t ip[16];             /* ARP: the first four */
};
/* False: malformed, or about something else than Ethernet and IP. A probe (RFC 5227: the sender has
 * no address yet) claims nothing. */
bool arp_read(const void *p, size_t n, struct neighbour_claim *out);
/* An ICMPv6 message; false: it is no well-formed advertisement. */
bool advertisement_read(const void *p, size_t n, struct neighbour_claim *out);

#endif
