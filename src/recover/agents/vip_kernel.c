/* Addresses go by rtnetlink(7), the admission by nfnetlink's batches: what a batch says happens
 * whole or not at all. An element of a set cannot be made to last longer: it is deleted and added
 * anew, in one batch. */
#include "recover/agents/vip_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 2048, TURNS = 64, NEWS = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };

static size_t address_bytes(const struct addr *a)
{
    return a->kind == ADDR_IP4 ? 4 : 16;
}

/* --- the interface --- */

static bool same_network(const struct sockaddr *sa, const struct addr *a, uint8_t prefix)
{
    const void *bytes;
    if (sa->sa_family == AF_INET && a->kind == ADDR_IP4)
        bytes = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    else if (sa->sa_family == AF_INET6 && a->kind == ADDR_IP6)
        bytes = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    else
        return false;
    const uint8_t *p = bytes;
    unsigned whole = prefix / 8u, rest = prefix % 8u;
    if (memcmp(p, a->ip, whole) != 0)
        return false;
    uint8_t mask = (uint8_t)(0xff00u >> rest);
    return rest == 0 || (p[whole] & mask) == (a->ip[whole] & mask);
}

static bool is_the_address(const struct sockaddr *sa, const struct addr *a)
{
    return same_network(sa, a, (uint8_t)(8 * address_bytes(a)));
}

static const char *name_of(const struct ifaddrs *all, const struct addr *a, uint8_t prefix)
{
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if (i->ifa_addr && !(i->ifa_flags & IFF_LOOPBACK) && !is_the_address(i->ifa_addr, a) &&
            same_network(i->ifa_addr, a, prefix))
            return i->ifa_name;
    return NULL;
}

static bool hardware(const struct ifaddrs *all, const char *name, struct vip_link *out)
{
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_PACKET || strcmp(i->ifa_name, name) != 0)
            continue;
        const struct sockaddr_ll *ll = (const void *)i->ifa_addr;
        if (ll->sll_halen != NEIGHBOUR_MAC || (i->ifa_flags & IFF_LOOPBACK))
            return false;
        *out = (struct vip_link){.index = (unsigned)ll->sll_ifindex};
        memcpy(out->mac, ll->sll_addr, NEIGHBOUR_MAC);
        snprintf(out->name, sizeof out->name, "%s", name);
        return true;
    }
    return false;
}

int vip_link_find(const struct addr *a, uint8_t prefix, const char *name, struct vip_link *out,
                  struct err *e)
{
    struct ifaddrs *all = NULL;
    char text[ADDR_TEXT_MAX];
    addr_format_ip(a, text);
    if (getifaddrs(&all))
        return err_errno(e, "cannot list the interfaces");
    const char *found = name[0] ? name : name_of(all, a, prefix);
    int r = 0;
    if (!found)
        r = err_set(e, ERR_ABSENT,
                    "no interface has an address of the network of %s/%u: give one, or name the "
                    "interface",
                    text, prefix);
    else if (!hardware(all, found, out))
        r = err_set(e, ERR_ABSENT, "%s is no interface with an Ethernet address", found);
    freeifaddrs(all);
    return r;
}

/* --- messages --- */

static struct mnl_socket *open_one(int bus, unsigned groups, struct err *e)
{
    struct mnl_socket *s = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (s && mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) == 0)
        return s;
    err_errno(e, "cannot speak to the kernel's network");
    if (s)
        mnl_socket_close(s);
    return NULL;
}

int vip_kernel_open(struct vip_kernel *k, struct err *e)
{
    struct err why = {0};
    *k = (struct vip_kernel){.sequence = 1};
    k->route = open_one(NETLINK_ROUTE, 0, &why);
    k->filter = k->route ? open_one(NETLINK_NETFILTER, 0, &why) : NULL;
    k->news = k->filter ? open_one(NETLINK_ROUTE, NEWS, &why) : NULL;
    if (k->news)
        return 0;
    vip_kernel_close(k);
    if (e)
        *e = why;
    return why.code;
}

void vip_kernel_close(struct vip_kernel *k)
{
    if (k->route)
        mnl_socket_close(k->route);
    if (k->filter)
        mnl_socket_close(k->filter);
    if (k->news)
        mnl_socket_close(k->news);
    *k = (struct vip_kernel){0};
}

/* The first error among `n` answers, each with a number from `first` on; 0: all went well. */
static int answers(struct mnl_socket *s, uint32_t first, uint32_t n)
{
    char room[8192];
    int worst = 0;
    for (uint32_t got = 0; got < n;) {
        ssize_t size = mnl_socket_recvfrom(s, room, sizeof room);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return errno ? errno : EPROTO;
        int left = (int)size;
        for (const struct nlmsghdr *h = (const void *)room; mnl_nlmsg_ok(h, left);
             h = mnl_nlmsg_next(h, &left)) {
            if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq - first >= n)
                continue; /* of an earlier one, whose answers were not all read */
            const struct nlmsgerr *said = mnl_nlmsg_get_payload(h);
            got++;
            if (said->error && !worst)
                worst = -said->error;
        }
    }
    return worst;
}

/* errno's value, or 0. */
static int ask(struct mnl_socket *s, const void *message, size_t size, uint32_t first, uint32_t n)
{
    if (mnl_socket_sendto(s, message, size) < 0)
        return errno;
    return answers(s, first, n);
}

static int refused(struct err *e, int error, const char *what, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    addr_format_ip(a, text);
    if (error == EPERM || error == EACCES)
        return err_set(e, ERR_DENIED,
                       "%s %s: not permitted; holdfast must be started as root, or with the "
                       "capability CAP_NET_ADMIN",
                       what, text);
    errno = error;
    err_errno(e, "%s %s", what, text);
    if (e && error == ENOENT)
        e->code = -ERR_ABSENT;
    return error == ENOENT ? -ERR_ABSENT : -ERR_IO;
}

/* --- the address --- */

int vip_kernel_address(struct vip_kernel *k, const struct addr *a, unsigned index, uint32_t seconds,
                       struct err *e)
{
    char room[512];
    struct nlmsghdr *h = mnl_nlmsg_put_header(room);
    h->nlmsg_type = seconds ? RTM_NEWADDR : RTM_DELADDR;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (seconds ? NLM_F_CREATE | NLM_F_REPLACE : 0);
    h->nlmsg_seq = ++k->sequence;
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    m->ifa_family = a->kind == ADDR_IP4 ? AF_INET : AF_INET6;
    m->ifa_prefixlen = (uint8_t)(8 * address_bytes(a)); /* no route comes or goes with it */
    m->ifa_scope = RT_SCOPE_UNIVERSE;
    m->ifa_index = index;
    mnl_attr_put(h, IFA_LOCAL, address_bytes(a), a->ip);
    mnl_attr_put(h, IFA_ADDRESS, address_bytes(a), a->ip);
    if (seconds) {
        struct ifa_cacheinfo lasts = {.ifa_prefered = seconds, .ifa_valid = seconds};
        mnl_attr_put(h, IFA_CACHEINFO, sizeof lasts, &lasts);
        mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
    }
    int error = ask(k->route, h, h->nlmsg_len, h->nlmsg_seq, 1);
    if (error == 0 || (!seconds && (error == EADDRNOTAVAIL || error == ENODEV)))
        return 0;
    return refused(e, error, seconds ? "cannot add the address" : "cannot remove the address", a);
}

/* --- what others do to it --- */

static bool is_removal(const struct nlmsghdr *h, const struct addr *a, unsigned index)
{
    const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *attr;
    if (h->nlmsg_type != RTM_DELADDR || h->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof *m ||
        m->ifa_index != index)
        return false;
    mnl_attr_for_each(attr, h, sizeof *m)
    {
        size_t n = mnl_attr_get_payload_len(attr);
        if (mnl_attr_get_type(attr) == IFA_ADDRESS && n == address_bytes(a) &&
            memcmp(mnl_attr_get_payload(attr), a->ip, n) == 0)
            return true;
    }
    return false;
}

static bool is_link(const struct nlmsghdr *h, unsigned index)
{
    const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
    return h->nlmsg_type == RTM_NEWLINK && h->nlmsg_len >= MNL_NLMSG_HDRLEN + sizeof *m &&
           (unsigned)m->ifi_index == index;
}

int vip_kernel_news(const struct vip_kernel *k)
{
    return mnl_socket_get_fd(k->news);
}

bool vip_kernel_lost(struct vip_kernel *k, const struct addr *a, unsigned index)
{
    char room[8192];
    bool lost = false;
    for (int turn = 0; turn < TURNS; turn++) {
        ssize_t size = mnl_socket_recvfrom(k->news, room, sizeof room);
        if (size < 0 && errno == ENOBUFS)
            return true; /* nobody knows what was missed */
        if (size <= 0)
            break;
        int left = (int)size;
        for (const struct nlmsghdr *h = (const void *)room; mnl_nlmsg_ok(h, left);
             h = mnl_nlmsg_next(h, &left))
            lost = lost || is_removal(h, a, index) || is_link(h, index);
    }
    return lost;
}

/* --- the admission --- */

static struct nlmsghdr *put_header(struct mnl_nlmsg_batch *b, uint16_t type, uint16_t flags,
                                   uint8_t family, uint16_t resource, uint32_t sequence)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(mnl_nlmsg_batch_current(b));
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | flags;
    h->nlmsg_seq = sequence;
    struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);
    g->nfgen_family = family;
    g->version = NFNETLINK_V0;
    g->res_id = htons(resource);
    return h;
}

static void put_edge(struct mnl_nlmsg_batch *b, uint16_t type, uint32_t sequence)
{
    put_header(b, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, sequence);
    mnl_nlmsg_batch_next(b);
}

/* The element's key is what the rules look up: the address in ARP's table, the protocol in the
 * other. */
static void put_element(struct mnl_nlmsg_batch *b, const struct addr *a, uint8_t family,
                        uint64_t ms, uint32_t sequence)
{
    char table[VIP_TABLE];
    uint8_t protocol = a->kind == ADDR_IP4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    vip_table(a, table);
    uint16_t type = ms ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM;
    struct nlmsghdr *h = put_header(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
                                    NLM_F_ACK | (ms ? NLM_F_CREATE : 0), family, 0, sequence);
    mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, table);
    mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, "live");
    struct nlattr *list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
    struct nlattr *one = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
    struct nlattr *key = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);
    if (family == NFPROTO_ARP)
        mnl_attr_put(h, NFTA_DATA_VALUE, 4, a->ip);
    else
        mnl_attr_put_u8(h, NFTA_DATA_VALUE, protocol);
    mnl_attr_nest_end(h, key);
    if (ms)
        mnl_attr_put_u64(h, NFTA_SET_ELEM_TIMEOUT, htobe64(ms));
    mnl_attr_nest_end(h, one);
    mnl_attr_nest_end(h, list);
    mnl_nlmsg_batch_next(b);
}

/* What is there goes, and a new one comes. It is added first, so that there always is one to
 * delete: of an element that has run out the kernel says that there is none. */
static uint32_t put_renewal(struct mnl_nlmsg_batch *b, const struct addr *a, uint8_t family,
                            uint64_t ms, uint32_t sequence)
{
    uint32_t messages = 0;
    put_element(b, a, family, MAX(ms, 1u), sequence + messages++);
    put_element(b, a, family, 0, sequence + messages++);
    if (ms)
        put_element(b, a, family, ms, sequence + messages++);
    return messages;
}

/* One batch for both tables: a commit takes milliseconds, and whoever was stopped between two would
 * write the second one when it goes on, for a time that is over. */
int vip_kernel_admit(struct vip_kernel *k, const struct addr *a, uint64_t ms, struct err *e)
{
    char room[2 * BATCH];
    uint32_t first = k->sequence + 2, messages = 0;
    struct mnl_nlmsg_batch *b = mnl_nlmsg_batch_start(room, BATCH);
    if (!b)
        return err_set(e, ERR_NOMEM, "no memory to admit the address");
    put_edge(b, NFNL_MSG_BATCH_BEGIN, first - 1);
    messages += put_renewal(b, a, NFPROTO_INET, ms, first);
    if (a->kind == ADDR_IP4) /* IPv6 has no ARP */
        messages += put_renewal(b, a, NFPROTO_ARP, ms, first + messages);
    put_edge(b, NFNL_MSG_BATCH_END, first + messages);
    k->sequence = first + messages;
    int error = ask(k->filter, mnl_nlmsg_batch_head(b), mnl_nlmsg_batch_size(b), first, messages);
    mnl_nlmsg_batch_stop(b);
    return error ? refused(e, error, "cannot admit the address", a) : 0;
}

/* The table with all that is in it. errno's value, or 0. */
static int drop_table(struct vip_kernel *k, const struct addr *a, uint8_t family)
{
    char room[2 * BATCH], table[VIP_TABLE];
    uint32_t first = k->sequence + 2;
    struct mnl_nlmsg_batch *b = mnl_nlmsg_batch_start(room, BATCH);
    if (!b)
        return ENOMEM;
    vip_table(a, table);
    put_edge(b, NFNL_MSG_BATCH_BEGIN, first - 1);
    struct nlmsghdr *h =
        put_header(b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_ACK, family, 0, first);
    mnl_attr_put_strz(h, NFTA_TABLE_NAME, table);
    mnl_nlmsg_batch_next(b);
    put_edge(b, NFNL_MSG_BATCH_END, first + 1);
    k->sequence = first + 1;
    int error = ask(k->filter, mnl_nlmsg_batch_head(b), mnl_nlmsg_batch_size(b), first, 1);
    mnl_nlmsg_batch_stop(b);
    return error == ENOENT ? 0 : error;
}

int vip_kernel_forget(struct vip_kernel *k, const struct addr *a, struct err *e)
{
    int error = drop_table(k, a, NFPROTO_INET);
    int other = a->kind == ADDR_IP4 ? drop_table(k, a, NFPROTO_ARP) : 0;
    error = error ? error : other;
    return error ? refused(e, error, "cannot take away the rules of the address", a) : 0;
}

/* --- the rules --- */

void vip_table(const struct addr *a, char out[VIP_TABLE])
{
    size_t n = (size_t)snprintf(out, VIP_TABLE, "holdfast_vip_");
    for (size_t i = 0; i < address_bytes(a); i++)
        n += (size_t)snprintf(out + n, VIP_TABLE - n, "%02x", a->ip[i]);
}

static void hexadecimal(const struct addr *a, char out[2 * 16 + 3])
{
    size_t n = (size_t)snprintf(out, 3, "0x");
    for (size_t i = 0; i < address_bytes(a); i++)
        n += (size_t)snprintf(out + n, 2 * 16 + 3 - n, "%02x", a->ip[i]);
}

static void rules_of_4(const char *table, const char *ip, char out[VIP_RULES])
{
    snprintf(out, VIP_RULES,
             "table arp %s\ndelete table arp %s\n"
             "table arp %s {\n"
             " set live { type ipv4_addr; flags timeout; }\n"
             " chain in { type filter hook input priority 0;\n"
             "  arp daddr ip %s arp daddr ip != @live drop; }\n"
             " chain out { type filter hook output priority 0;\n"
             "  arp saddr ip %s arp saddr ip != @live drop; }\n"
             "}\n"
             "table inet %s\ndelete table inet %s\n"
             "table inet %s {\n"
             " set live { type nf_proto; flags timeout; }\n"
             " chain in { type filter hook prerouting priority -300;\n"
             "  ip daddr %s meta nfproto != @live drop; }\n"
             " chain out { type filter hook output priority -300;\n"
             "  ip saddr %s meta nfproto != @live drop; }\n"
             "}\n",
             table, table, table, ip, ip, table, table, table, ip, ip);
}

static void rules_of_6(const char *table, const char *ip, const char *number, char out[VIP_RULES])
{
    snprintf(out, VIP_RULES,
             "table inet %s\ndelete table inet %s\n"
             "table inet %s {\n"
             " set live { type nf_proto; flags timeout; }\n"
             " chain in { type filter hook prerouting priority -300;\n"
             "  ip6 daddr %s meta nfproto != @live drop;\n"
             "  icmpv6 type nd-neighbor-solicit @th,64,128 %s meta nfproto != @live drop; }\n"
             " chain out { type filter hook output priority -300;\n"
             "  ip6 saddr %s meta nfproto != @live drop;\n"
             "  icmpv6 type nd-neighbor-advert @th,64,128 %s meta nfproto != @live drop; }\n"
             "}\n",
             table, table, table, ip, number, ip, number);
}

void vip_rules(const struct addr *a, char out[VIP_RULES])
{
    char table[VIP_TABLE], ip[ADDR_TEXT_MAX], number[2 * 16 + 3];
    vip_table(a, table);
    addr_format_ip(a, ip);
    hexadecimal(a, number);
    if (a->kind == ADDR_IP4)
        rules_of_4(table, ip, out);
    else
        rules_of_6(table, ip, number, out);
}
