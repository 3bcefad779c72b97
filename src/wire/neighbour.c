#include "wire/neighbour.h"

#include <string.h>

enum {
    ARP_ETHERNET = 1,
    ARP_IPV4 = 0x0800,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
    ICMP6_ADVERTISEMENT = 136,
    ADVERTISEMENT_OVERRIDE = 0x20, /* in the first byte of the flags */
    OPTION_TARGET_ADDRESS = 2,
    OPTION_UNIT = 8, /* bytes */
    ADVERTISEMENT_LEAST = 24,
};

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

void arp_announce(uint8_t out[ARP_BYTES], bool as_reply, const uint8_t mac[NEIGHBOUR_MAC],
                  const uint8_t ip[4])
{
    put16(out, ARP_ETHERNET);
    put16(out + 2, ARP_IPV4);
    out[4] = NEIGHBOUR_MAC;
    out[5] = 4;
    put16(out + 6, as_reply ? ARP_REPLY : ARP_REQUEST);
    memcpy(out + 8, mac, NEIGHBOUR_MAC);
    memcpy(out + 14, ip, 4);
    memset(out + 18, as_reply ? 0xff : 0, NEIGHBOUR_MAC);
    memcpy(out + 24, ip, 4);
}

void advertise(uint8_t out[ADVERTISEMENT_BYTES], const uint8_t mac[NEIGHBOUR_MAC],
               const uint8_t ip[16])
{
    memset(out, 0, ADVERTISEMENT_BYTES);
    out[0] = ICMP6_ADVERTISEMENT;
    out[4] = ADVERTISEMENT_OVERRIDE;
    memcpy(out + 8, ip, 16);
    out[24] = OPTION_TARGET_ADDRESS;
    out[25] = 1;
    memcpy(out + 26, mac, NEIGHBOUR_MAC);
}

bool arp_read(const void *bytes, size_t n, struct neighbour_claim *out)
{
    static const uint8_t nobody[4];
    const uint8_t *p = bytes;
    *out = (struct neighbour_claim){0};
    if (n < ARP_BYTES || get16(p) != ARP_ETHERNET || get16(p + 2) != ARP_IPV4 ||
        p[4] != NEIGHBOUR_MAC || p[5] != 4)
        return false;
    if (get16(p + 6) != ARP_REQUEST && get16(p + 6) != ARP_REPLY)
        return false;
    memcpy(out->mac, p + 8, NEIGHBOUR_MAC);
    memcpy(out->ip, p + 14, 4);
    out->claims = memcmp(out->ip, nobody, sizeof nobody) != 0;
    return true;
}

bool advertisement_read(const void *bytes, size_t n, struct neighbour_claim *out)
{
    const uint8_t *p = bytes;
    *out = (struct neighbour_claim){0};
    if (n < ADVERTISEMENT_LEAST || p[0] != ICMP6_ADVERTISEMENT || p[1] != 0)
        return false;
    memcpy(out->ip, p + 8, 16);
    out->claims = true;
    for (size_t at = ADVERTISEMENT_LEAST; at < n;) {
        if (n - at < OPTION_UNIT)
            return false;
        size_t length = (size_t)p[at + 1] * OPTION_UNIT;
        if (length == 0 || length > n - at)
            return false;
        if (p[at] == OPTION_TARGET_ADDRESS)
            memcpy(out->mac, p + at + 2, NEIGHBOUR_MAC);
        at += length;
    }
    return true;
}
