/* A virtual address on one end of a pair of interfaces, in a network of the test's own; the other
 * end is the neighbour that asks, listens, and claims. As root; who is not has no networks to test
 * with. */
#include "recover/agents/vip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE  (20 * NS_PER_S)
#define TICK      (12 * NS_PER_MS) /* of the kernel's clock, and of ours that reads it */
#define LISTEN_MS 5
#define MISSED    10 /* questions in a row: 50 ms */

static const uint8_t stranger[6] = {2, 0, 0, 0, 0, 9}, ours[6] = {2, 0, 0, 0, 0, 1};

struct test {
    struct loop *loop;
    struct vip *vip;
    struct addr address;
    int neighbour; /* packet socket at the other end */
    unsigned index, changes;
    struct timer stop;
};

static void shell(const char *command)
{
    if (system(command) != 0) /* NOLINT(cert-env33-c): fixed words */
        fail_msg("%s", command);
}

static struct addr address_of(const char *text)
{
    struct addr a;
    assert_true(addr_parse(str_of(text), &a));
    return a;
}

static void on_stop(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct test, stop)->loop);
}

static void turn(struct test *t, uint64_t ns)
{
    loop_timer_set(t->loop, &t->stop, clock_now() + ns);
    assert_int_equal(loop_run(t->loop, NULL), 0);
    loop_timer_stop(t->loop, &t->stop);
}

static void changed(void *context)
{
    ((struct test *)context)->changes++;
}

static struct vip_look look(const struct test *t)
{
    struct vip_look l;
    vip_look(t->vip, &l);
    return l;
}

static void await(struct test *t, enum vip_state s)
{
    for (uint64_t end = clock_now() + PATIENCE; look(t).state != s;) {
        if (clock_now() > end)
            fail_msg("not %s: %s", vip_state_name(s), look(t).sentence);
        turn(t, 2 * NS_PER_MS);
    }
}

static void begin(struct test *t, struct vip_options o)
{
    o.loop = t->loop;
    o.context = t;
    o.changed = changed;
    t->address = o.address;
    assert_int_equal(vip_new(&t->vip, &o, NULL), 0);
}

static void begin_open(struct test *t, const char *address, uint8_t prefix)
{
    begin(t, (struct vip_options){.address = address_of(address), .prefix = prefix});
    await(t, VIP_AWAY);
}

static int set_up(void **state)
{
    struct test *t = mem_zero(1, sizeof *t);
    assert_non_null(t);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    shell("PATH=$PATH:/sbin:/usr/sbin; exec >/dev/null && ip link set lo up &&"
          "ip link add va address 02:00:00:00:00:01 type veth peer name vb address "
          "02:00:00:00:00:02 &&"
          "ip addr add 10.9.0.1/24 dev va && ip addr add fd00:9::1/64 dev va nodad &&"
          "ip link set va up && ip link set vb up");
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    where.sll_ifindex = (int)if_nametoindex("vb");
    t->index = (unsigned)where.sll_ifindex;
    t->neighbour = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
    assert_true(t->neighbour >= 0);
    assert_int_equal(bind(t->neighbour, (const void *)&where, sizeof where), 0);
    assert_int_equal(loop_new(&t->loop, NULL), 0);
    timer_init(&t->stop, on_stop);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct test *t = *state;
    vip_free(t->vip);
    loop_free(t->loop);
    close(t->neighbour);
    mem_free(t);
    return 0;
}

/* --- the neighbour --- */

static void speak(struct test *t, const uint8_t *packet, size_t n, uint16_t protocol)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(protocol),
                             .sll_ifindex = (int)t->index,
                             .sll_halen = ETH_ALEN};
    memset(to.sll_addr, 0xff, ETH_ALEN);
    assert_int_equal(sendto(t->neighbour, packet, n, 0, (const void *)&to, sizeof to), n);
}

/* Who has the address? */
static void ask(struct test *t)
{
    uint8_t packet[ARP_BYTES];
    const uint8_t asker[4] = {10, 9, 0, 2};
    arp_announce(packet, false, stranger, asker);
    memcpy(packet + 24, t->address.ip, 4);
    speak(t, packet, sizeof packet, ETH_P_ARP);
}

/* Claims from the far end that came by now: answers to ask() and announcements. */
static unsigned claims(struct test *t)
{
    uint8_t packet[1600];
    struct sockaddr_ll from;
    socklen_t length = sizeof from;
    unsigned n = 0;
    for (ssize_t got;
         (got = recvfrom(t->neighbour, packet, sizeof packet, 0, (void *)&from, &length)) >= 0;
         length = sizeof from) {
        struct neighbour_claim c;
        bool four = from.sll_protocol == htons(ETH_P_ARP);
        if (from.sll_pkttype == PACKET_OUTGOING)
            continue;
        if (four ? !arp_read(packet, (size_t)got, &c)
                 : got < 40 || !advertisement_read(packet + 40, (size_t)got - 40, &c))
            continue;
        n += c.claims && memcmp(c.ip, t->address.ip, four ? 4 : 16) == 0 &&
             memcmp(c.mac, ours, 6) == 0;
    }
    return n;
}

/* Does anybody answer for the address just now? The veth and the kernel's answer are synchronous.
 */
static bool answers(struct test *t)
{
    struct pollfd p = {.fd = t->neighbour, .events = POLLIN};
    claims(t);
    ask(t);
    poll(&p, 1, LISTEN_MS);
    return claims(t) > 0;
}

/* It answers until then, and not later: whoever is asked for long enough before and after. What is
 * counted is questions without an answer, not time: a busy machine delays us, not the kernel. */
static void ends_at(struct test *t, bool (*asked)(struct test *t), uint64_t until)
{
    unsigned answered = 0, missed = 0;
    for (uint64_t at; (at = clock_now()) < until + 300 * NS_PER_MS;) {
        bool yes = asked(t);
        assert_true(!yes || at < until + TICK);
        answered += yes;
        missed = yes ? 0 : missed + (clock_now() < until);
    }
    assert_true(answered > 0);
    assert_true(missed <= MISSED);
}

static bool on_interface(const char *address)
{
    char command[200];
    snprintf(command, sizeof command, "/sbin/ip addr show dev va | grep -q 'inet.* %s/'", address);
    return system(command) == 0; /* NOLINT(cert-env33-c) */
}

/* --- tests --- */

static void it_is_there_while_it_is_held(void **state)
{
    struct test *t = *state;
    begin_open(t, "10.9.0.100:1", 24);
    assert_string_equal(look(t).interface, "va");
    assert_false(on_interface("10.9.0.100"));
    assert_false(answers(t));
    assert_int_equal(vip_hold(t->vip, clock_now() + NS_PER_S, NULL), 0);
    assert_int_equal(look(t).state, VIP_HELD);
    assert_true(on_interface("10.9.0.100"));
    assert_true(answers(t));
    vip_release(t->vip);
    assert_int_equal(look(t).state, VIP_AWAY);
    assert_false(on_interface("10.9.0.100"));
    assert_false(answers(t));
}

/* The one thing that matters: whoever renews nothing stops answering, without doing anything. */
static void it_ends_by_itself(void **state)
{
    struct test *t = *state;
    begin_open(t, "10.9.0.100:1", 24);
    uint64_t until = clock_now() + 200 * NS_PER_MS;
    assert_int_equal(vip_hold(t->vip, until, NULL), 0);
    ends_at(t, answers, until);              /* the loop does not turn: as if killed or stopped */
    assert_true(on_interface("10.9.0.100")); /* and still nobody answers */
    for (uint64_t end = clock_now() + PATIENCE; on_interface("10.9.0.100");)
        assert_true(clock_now() < end); /* the kernel takes it away: its life is over */
}

static void renewing_goes_on_without_a_gap(void **state)
{
    struct test *t = *state;
    begin_open(t, "10.9.0.100:1", 24);
    uint64_t end = clock_now() + 600 * NS_PER_MS, held = 0;
    unsigned asked = 0;
    while (clock_now() < end) {
        if (clock_now() > held + 20 * NS_PER_MS) {
            held = clock_now();
            assert_int_equal(vip_hold(t->vip, held + 150 * NS_PER_MS, NULL), 0);
        }
        assert_true(answers(t) ||
                    clock_now() > held + 150 * NS_PER_MS); /* we were late ourselves */
        asked++;
    }
    assert_true(asked > 50);
    assert_int_equal(vip_hold(t->vip, clock_now() + NS_PER_MS, NULL), 0); /* never shorter */
    turn(t, 30 * NS_PER_MS);
    assert_int_equal(look(t).state, VIP_HELD);
    await(t, VIP_AWAY);
    assert_false(on_interface("10.9.0.100"));
    assert_true(t->changes > 0);
}

/* What the kernel tells of its rules: how often they were changed since the last look, and how many
 * elements came to which table. */
struct changes {
    unsigned commits, inet, arp;
};

static struct changes read_changes(struct mnl_socket *s)
{
    struct changes c = {0};
    char room[8192];
    for (ssize_t size; (size = mnl_socket_recvfrom(s, room, sizeof room)) > 0;) {
        int left = (int)size;
        for (const struct nlmsghdr *h = (const void *)room; mnl_nlmsg_ok(h, left);
             h = mnl_nlmsg_next(h, &left)) {
            const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
            unsigned type = NFNL_MSG_TYPE(h->nlmsg_type);
            c.commits += type == NFT_MSG_NEWGEN;
            c.inet += type == NFT_MSG_NEWSETELEM && g->nfgen_family == NFPROTO_INET;
            c.arp += type == NFT_MSG_NEWSETELEM && g->nfgen_family == NFPROTO_ARP;
        }
    }
    return c;
}

/* A commit takes milliseconds. Who is stopped between two of them and goes on when somebody else
 * has the address would admit the second half for a time that is over. */
static void a_renewal_is_one_commit(void **state)
{
    struct test *t = *state;
    struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int group = NFNLGRP_NFTABLES;
    assert_non_null(s);
    assert_int_equal(mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID), 0);
    begin_open(t, "10.9.0.100:1", 24);
    assert_int_equal(mnl_socket_setsockopt(s, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), 0);
    for (uint64_t round = 1; round <= 3; round++) {
        assert_int_equal(vip_hold(t->vip, clock_now() + round * NS_PER_S, NULL), 0);
        struct changes c = read_changes(s);
        assert_int_equal(c.commits, 1);
        assert_true(c.inet > 0 && c.arp > 0);
    }
    vip_release(t->vip);
    assert_int_equal(read_changes(s).commits, 1);
    mnl_socket_close(s);
}

static void time_that_is_over_holds_nothing(void **state)
{
    struct test *t = *state;
    begin_open(t, "10.9.0.100:1", 24);
    assert_int_equal(vip_hold(t->vip, clock_now(), NULL), -ERR_TIMEOUT);
    assert_int_equal(look(t).state, VIP_AWAY);
    assert_false(on_interface("10.9.0.100"));
    assert_false(answers(t));
}

static void neighbours_are_told_until_they_must_know(void **state)
{
    struct test *t = *state;
    begin_open(t, "10.9.0.100:1", 24);
    claims(t);
    assert_int_equal(vip_hold(t->vip, clock_now() + 20 * NS_PER_S, NULL), 0);
    assert_int_equal(claims(t), 2); /* both forms, at once */
    turn(t, 700 * NS_PER_MS);
    assert_true(claims(t) >= 2 * 4);
    turn(t, 1200 * NS_PER_MS);
    assert_true(claims(t) >= 2);
    vip_announce(t->vip);
    assert_int_equal(claims(t), 2);
    vip_release(t->vip);
    turn(t, 1200 * NS_PER_MS);
    assert_int_equal(claims(t), 0);
}

static void a_rival_is_told_of_and_answered(void **state)
{
    struct test *t = *state;
    uint8_t packet[ARP_BYTES];
    begin_open(t, "10.9.0.100:1", 24);
    arp_announce(packet, true, stranger, t->address.ip);
    speak(t, packet, sizeof packet, ETH_P_ARP);
    turn(t, 20 * NS_PER_MS);
    assert_int_equal(look(t).conflicts, 0); /* it is somebody else's at the time */
    assert_int_equal(vip_hold(t->vip, clock_now() + 20 * NS_PER_S, NULL), 0);
    turn(t, 700 * NS_PER_MS); /* past the burst */
    claims(t);
    for (int i = 0; i < 1000; i++)
        speak(t, packet, sizeof packet, ETH_P_ARP);
    turn(t, 50 * NS_PER_MS);
    assert_true(look(t).conflicts > 0);
    assert_memory_equal(look(t).rival, stranger, 6);
    unsigned defended = claims(t);
    assert_true(defended >= 2 && defended <= 4); /* not once for each */
    arp_announce(packet, true, ours, t->address.ip);
    uint64_t before = look(t).conflicts;
    speak(t, packet, sizeof packet, ETH_P_ARP);
    turn(t, 20 * NS_PER_MS);
    assert_int_equal(look(t).conflicts, before); /* our own, come back to us */
}

static void an_address_that_was_left_behind_goes(void **state)
{
    struct test *t = *state;
    shell("/sbin/ip addr add 10.9.0.100/32 dev va");
    assert_true(answers(*state) || (t->address = address_of("10.9.0.100:1"), answers(t)));
    begin_open(t, "10.9.0.100:1", 24);
    assert_false(on_interface("10.9.0.100"));
    shell("/sbin/ip addr add 10.9.0.100/32 dev va"); /* and who adds it by hand is not heard */
    assert_false(answers(t));
}

static void solicit(struct test *t)
{
    uint8_t packet[40 + 24] = {0x60, [5] = 24, [6] = IPPROTO_ICMPV6, [7] = 255};
    uint8_t *icmp = packet + 40;
    uint32_t sum = 0;
    inet_pton(AF_INET6, "fd00:9::2", packet + 8);
    inet_pton(AF_INET6, "ff02::1:ff00:100", packet + 24);
    icmp[0] = ND_NEIGHBOR_SOLICIT;
    memcpy(icmp + 8, t->address.ip, 16);
    for (size_t i = 8; i < sizeof packet; i += 2)
        sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
    sum += 24 + IPPROTO_ICMPV6;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    icmp[2] = (uint8_t)(~sum >> 8);
    icmp[3] = (uint8_t)~sum;
    speak(t, packet, sizeof packet, ETH_P_IPV6);
}

/* The kernel looks for the asker before it answers him: it knows where he is. */
static bool answers_6(struct test *t)
{
    struct pollfd p = {.fd = t->neighbour, .events = POLLIN};
    claims(t);
    solicit(t);
    poll(&p, 1, LISTEN_MS);
    return claims(t) > 0;
}

static void ipv6_does_the_same(void **state)
{
    struct test *t = *state;
    shell("/sbin/ip neigh add fd00:9::2 lladdr 02:00:00:00:00:09 dev va nud permanent");
    begin_open(t, "[fd00:9::100]:1", 64);
    assert_string_equal(look(t).interface, "va");
    assert_false(answers_6(t));
    claims(t);
    uint64_t until = clock_now() + 600 * NS_PER_MS; /* so long that a shell comes to its turn */
    assert_int_equal(vip_hold(t->vip, until, NULL), 0);
    assert_int_equal(claims(t), 1); /* the unsolicited advertisement */
    assert_true(on_interface("fd00:9::100"));
    ends_at(t, answers_6, until);
    assert_int_equal(vip_hold(t->vip, clock_now() + NS_PER_S, NULL), 0);
    assert_true(answers_6(t));
    vip_release(t->vip);
    assert_false(answers_6(t));
    assert_false(on_interface("fd00:9::100"));
}

static void what_is_missing_is_told_and_tried_again(void **state)
{
    struct test *t = *state;
    begin(t, (struct vip_options){.address = address_of("10.8.0.100:1"), .prefix = 24});
    await(t, VIP_BROKEN);
    assert_non_null(
        strstr(look(t).sentence, "no interface has an address of the network of 10.8.0.100/24"));
    assert_int_equal(vip_hold(t->vip, clock_now() + NS_PER_S, NULL), -ERR_BUSY);
    shell("/sbin/ip addr add 10.8.0.1/24 dev va");
    await(t, VIP_AWAY);
    assert_string_equal(look(t).sentence, "");
    vip_free(t->vip);
    begin(t, (struct vip_options){
                 .address = address_of("10.9.0.100:1"), .prefix = 24, .interface = "lo"});
    await(t, VIP_BROKEN);
    assert_non_null(strstr(look(t).sentence, "lo is no interface with an Ethernet address"));
    vip_free(t->vip);
    begin(t, (struct vip_options){
                 .address = address_of("10.9.0.100:1"), .prefix = 24, .nft = "/nowhere/nft"});
    await(t, VIP_BROKEN);
    assert_non_null(strstr(look(t).sentence, "install the package nftables"));
    vip_free(t->vip);
    begin(t, (struct vip_options){
                 .address = address_of("10.9.0.100:1"), .prefix = 24, .nft = "/bin/false"});
    await(t, VIP_BROKEN);
    assert_non_null(strstr(look(t).sentence, "cannot make the rules that guard the address"));
}

/* Whoever ends the vip ends at once, and with him what he started. */
static void its_rules_end_with_it(void **state)
{
    static const char *const addresses[] = {"10.9.0.100:1", "[fd00:9::100]:1"};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        begin_open(t, addresses[i], i ? 64 : 24);
        shell("/usr/sbin/nft list tables | grep -q holdfast_vip");
        vip_free(t->vip);
        t->vip = NULL;
        shell("! /usr/sbin/nft list tables | grep holdfast_vip");
    }
}

static void whatever_fails_for_want_of_memory_fails_whole(void **state)
{
    struct test *t = *state;
    bool ended = false;
    for (unsigned long n = 1; !ended && n < 50; n++) {
        struct vip_options o = {
            .loop = t->loop, .address = address_of("10.9.0.100:1"), .prefix = 24};
        struct vip *v = NULL;
        mem_fail_at(n);
        int r = vip_new(&v, &o, NULL);
        if (r == 0) {
            loop_timer_set(t->loop, &t->stop, clock_now() + 3 * NS_PER_MS);
            assert_int_equal(loop_run(t->loop, NULL), 0);
        }
        ended = !mem_failed();
        mem_fail_at(0);
        assert_true(r == 0 || r == -ERR_NOMEM);
        vip_free(v);
    }
    assert_true(ended);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(it_is_there_while_it_is_held),
        T(it_ends_by_itself),
        T(renewing_goes_on_without_a_gap),
        T(a_renewal_is_one_commit),
        T(time_that_is_over_holds_nothing),
        T(neighbours_are_told_until_they_must_know),
        T(a_rival_is_told_of_and_answered),
        T(an_address_that_was_left_behind_goes),
        T(ipv6_does_the_same),
        T(what_is_missing_is_told_and_tried_again),
        T(its_rules_end_with_it),
        T(whatever_fails_for_want_of_memory_fails_whole),
    };
    if (geteuid() != 0) {
        puts("not root: there are no networks to test with");
        return 77; /* skipped, and said so */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
