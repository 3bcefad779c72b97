#include "wire/neighbour.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7}, ip4[4] = {10, 0, 0, 100};
static const uint8_t ip6[16] = {0xfd, [15] = 9};

/* RFC 5227, section 2.3: sender and target address are the one announced. */
static void arp_announcements_have_the_form_of_the_rfc(void **state)
{
    (void)state;
    static const uint8_t request[ARP_BYTES] = {0,  1, 8, 0,   6, 4, 0, 1, 2, 0, 0,  0, 0, 7,
                                               10, 0, 0, 100, 0, 0, 0, 0, 0, 0, 10, 0, 0, 100};
    uint8_t out[ARP_BYTES];
    arp_announce(out, false, mac, ip4);
    assert_memory_equal(out, request, ARP_BYTES);
    arp_announce(out, true, mac, ip4);
    assert_int_equal(out[7], 2);
    assert_memory_equal(out + 18, "\xff\xff\xff\xff\xff\xff", 6);
}

static void what_is_announced_reads_as_a_claim(void **state)
{
    (void)state;
    uint8_t arp[ARP_BYTES], na[ADVERTISEMENT_BYTES];
    struct neighbour_claim c;
    for (int reply = 0; reply < 2; reply++) {
        arp_announce(arp, reply, mac, ip4);
        assert_true(arp_read(arp, sizeof arp, &c) && c.claims);
        assert_memory_equal(c.mac, mac, 6);
        assert_memory_equal(c.ip, ip4, 4);
    }
    advertise(na, mac, ip6);
    assert_int_equal(na[0], 136);
    assert_int_equal(na[4], 0x20); /* override; neither router nor solicited */
    assert_true(advertisement_read(na, sizeof na, &c) && c.claims);
    assert_memory_equal(c.mac, mac, 6);
    assert_memory_equal(c.ip, ip6, 16);
    assert_true(advertisement_read(na, 24, &c) && c.claims && c.mac[5] == 0);
}

static void a_probe_claims_nothing(void **state)
{
    (void)state;
    uint8_t arp[ARP_BYTES];
    struct neighbour_claim c;
    arp_announce(arp, false, mac, ip4);
    memset(arp + 14, 0, 4);
    assert_true(arp_read(arp, sizeof arp, &c));
    assert_false(c.claims);
}

static void whatever_is_not_ethernet_and_ip_is_refused(void **state)
{
    (void)state;
    uint8_t good[ARP_BYTES], bad[ARP_BYTES];
    struct neighbour_claim c;
    arp_announce(good, false, mac, ip4);
    for (size_t n = 0; n < ARP_BYTES; n++)
        assert_false(arp_read(good, n, &c));
    for (size_t i = 0; i < 8; i++) {
        memcpy(bad, good, sizeof bad);
        bad[i] ^= 0x40;
        assert_false(arp_read(bad, sizeof bad, &c));
    }
}

static void damaged_advertisements_are_refused(void **state)
{
    (void)state;
    uint8_t na[ADVERTISEMENT_BYTES];
    struct neighbour_claim c;
    advertise(na, mac, ip6);
    for (size_t n = 0; n < ADVERTISEMENT_BYTES; n++)
        assert_int_equal(advertisement_read(na, n, &c), n == 24);
    na[25] = 0; /* an option without length would never end */
    assert_false(advertisement_read(na, sizeof na, &c));
    na[25] = 2;
    assert_false(advertisement_read(na, sizeof na, &c));
    na[25] = 1;
    na[0] = 135;
    assert_false(advertisement_read(na, sizeof na, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arp_announcements_have_the_form_of_the_rfc),
        cmocka_unit_test(what_is_announced_reads_as_a_claim),
        cmocka_unit_test(a_probe_claims_nothing),
        cmocka_unit_test(whatever_is_not_ethernet_and_ip_is_refused),
        cmocka_unit_test(damaged_advertisements_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
