/* ARP goes over a packet socket, which no rule of the kernel's ARP tables sees; advertisements over
 * a raw ICMPv6 socket, whose checksum the kernel fills in. */
#include "recover/agents/vip_voice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEARD = 256, TURN = 64 /* packets before others get their turn */ };

static int denied(struct err *e)
{
    if (errno == EPERM || errno == EACCES)
        return err_set(
            e, ERR_DENIED,
            "cannot announce addresses: not permitted; holdfast must be started as root, or with "
            "the capability CAP_NET_RAW");
    return err_errno(e, "cannot announce addresses");
}

/* --- out --- */

static void announce_4(struct vip_voice *v)
{
    uint8_t packet[ARP_BYTES];
    struct sockaddr_ll everybody = {.sll_family = AF_PACKET,
                                    .sll_protocol = htons(ETH_P_ARP),
                                    .sll_ifindex = (int)v->link.index,
                                    .sll_halen = ETH_ALEN};
    memset(everybody.sll_addr, 0xff, ETH_ALEN);
    for (int reply = 0; reply < 2; reply++) {
        arp_announce(packet, reply, v->link.mac, v->address.ip);
        (void)!sendto(v->io.fd, packet, sizeof packet, MSG_DONTWAIT, (const void *)&everybody,
                      sizeof everybody);
    }
}

static void announce_6(struct vip_voice *v)
{
    uint8_t packet[ADVERTISEMENT_BYTES];
    struct sockaddr_in6 everybody = {.sin6_family = AF_INET6, .sin6_scope_id = v->link.index};
    inet_pton(AF_INET6, "ff02::1", &everybody.sin6_addr);
    advertise(packet, v->link.mac, v->address.ip);
    (void)!sendto(v->io.fd, packet, sizeof packet, MSG_DONTWAIT, (const void *)&everybody,
                  sizeof everybody);
}

void vip_voice_announce(struct vip_voice *v)
{
    if (v->address.kind == ADDR_IP4)
        announce_4(v);
    else
        announce_6(v);
}

/* --- in --- */

static void hear(struct vip_voice *v, const uint8_t *p, size_t n)
{
    struct neighbour_claim c;
    bool four = v->address.kind == ADDR_IP4;
    if (!(four ? arp_read(p, n, &c) : advertisement_read(p, n, &c)) || !c.claims)
        return;
    if (memcmp(c.ip, v->address.ip, four ? 4 : 16) == 0 &&
        memcmp(c.mac, v->link.mac, NEIGHBOUR_MAC) != 0)
        v->on_claim(v, c.mac);
}

static void on_ready(struct io *io, unsigned ready)
{
    struct vip_voice *v = CONTAINER_OF(io, struct vip_voice, io);
    uint8_t packet[HEARD];
    (void)ready;
    for (int i = 0; i < TURN && v->io.fd >= 0; i++) {
        ssize_t n = recv(v->io.fd, packet, sizeof packet, MSG_DONTWAIT);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0)
            hear(v, packet, (size_t)n);
    }
    if (v->io.fd >= 0)
        loop_defer(v->loop, &v->more);
}

static void on_more(struct task *t)
{
    on_ready(&CONTAINER_OF(t, struct vip_voice, more)->io, IO_READ);
}

/* --- the socket --- */

static int open_4(const struct vip_link *link)
{
    struct sockaddr_ll where = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = (int)link->index};
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const void *)&where, sizeof where) == 0)
        return fd;
    close(fd);
    return -1;
}

static int open_6(const struct vip_link *link)
{
    struct icmp6_filter filter;
    int hops = 255; /* who hears another number does not believe it (RFC 4861, section 7.1.2) */
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &filter);
    int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);
    if (fd >= 0 && setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) == 0 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link->name, (socklen_t)strlen(link->name)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int vip_voice_open(struct vip_voice *v, struct loop *l, const struct addr *a,
                   const struct vip_link *link, struct err *e)
{
    v->loop = l;
    v->address = *a;
    v->link = *link;
    io_init(&v->io, on_ready);
    task_init(&v->more, on_more);
    int fd = a->kind == ADDR_IP4 ? open_4(link) : open_6(link);
    if (fd < 0)
        return denied(e);
    int r = loop_io_start(l, &v->io, fd, e);
    if (r)
        close(fd);
    return r;
}

void vip_voice_close(struct vip_voice *v)
{
    if (v->io.fd < 0)
        return;
    task_cancel(&v->more);
    loop_io_close(v->loop, &v->io);
}
