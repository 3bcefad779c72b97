/* What any machine of a link may say of who has an address: nothing is read beyond its end, and
 * what is understood of our own forms is what was written. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/neighbour.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct neighbour_claim c, again;
    uint8_t arp[ARP_BYTES], na[ADVERTISEMENT_BYTES];
    if (arp_read(data, size, &c) && c.claims) {
        arp_announce(arp, true, c.mac, c.ip);
        CHECK(arp_read(arp, sizeof arp, &again) && memcmp(&c, &again, sizeof c) == 0);
    }
    if (advertisement_read(data, size, &c)) {
        CHECK(c.claims);
        advertise(na, c.mac, c.ip);
        CHECK(advertisement_read(na, sizeof na, &again) && memcmp(&c, &again, sizeof c) == 0);
    }
    return 0;
}
