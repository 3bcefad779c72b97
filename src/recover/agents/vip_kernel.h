/* vip_kernel: what the kernel is told of a virtual address, by netlink. Inside this room; vip.h has
 * the story.
 *
 * Calls do not wait: the kernel does what a message says before sending it returns, and its answer
 * is there to be read then. */
#ifndef HF_RECOVER_VIP_KERNEL_H
#define HF_RECOVER_VIP_KERNEL_H

#include <net/if.h>

#include "base/base.h"
#include "os/os.h"
#include "wire/neighbour.h"

enum { VIP_TABLE = 64, VIP_RULES = 2048 };

/* Where the address is to be. */
struct vip_link {
    unsigned index;
    char name[IF_NAMESIZE];
    uint8_t mac[NEIGHBOUR_MAC];
};
/* The interface of this name, or, when it is empty, the one that has an address of the same
 * network. ERR_ABSENT: there is none; a loopback has no neighbours and is none. */
int vip_link_find(const struct addr *a, uint8_t prefix, const char *name, struct vip_link *out,
                  struct err *e);

struct vip_kernel {
    struct mnl_socket *route, *filter, *news; /* owned */
    uint32_t sequence;
};
/* ERR_DENIED with the remedy: it takes CAP_NET_ADMIN. */
int vip_kernel_open(struct vip_kernel *k, struct err *e);
void vip_kernel_close(struct vip_kernel *k);
/* Readable when vip_kernel_lost has something to read. */
int vip_kernel_news(const struct vip_kernel *k);
/* Since it was asked last the address was taken from the interface, or that went up or down: both
 * may be somebody's work, and the kernel takes IPv6 addresses from an interface that goes down. */
bool vip_kernel_lost(struct vip_kernel *k, const struct addr *a, unsigned index);
/* The interface has the address for so many seconds more, without a route to its network: the
 * kernel takes it away by itself then. 0: takes it away now, which is no error when it is not
 * there. */
int vip_kernel_address(struct vip_kernel *k, const struct addr *a, unsigned index, uint32_t seconds,
                       struct err *e);
/* The rules (below) let the address through for so many ms from now on, to the tick of the kernel's
 * clock (4 ms at most); 0: no more. Atomic: while it is renewed it is never shut. ERR_ABSENT: there
 * are no rules. */
int vip_kernel_admit(struct vip_kernel *k, const struct addr *a, uint64_t ms, struct err *e);

/* The name of the address's tables. */
void vip_table(const struct addr *a, char out[VIP_TABLE]);
/* For nft(8): whatever is for the address or from it is dropped unless it was admitted: ARP,
 * neighbour solicitations, packets. Takes the place of what there is of that name. */
void vip_rules(const struct addr *a, char out[VIP_RULES]);
/* ... takes them away, by itself and at once: whoever ends could not wait for a program. Harmless
 * where there are none. */
int vip_kernel_forget(struct vip_kernel *k, const struct addr *a, struct err *e);

#endif
