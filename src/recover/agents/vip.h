/* vip: one virtual address at this node: answers for it while its node may, and never longer.
 *
 *   state     event                          what happens                            state then
 *   opening   the rules are in the kernel                                            away
 *   away      vip_hold(until)                address added, admitted, announced      held
 *   held      vip_hold(later)                admitted for longer                     held
 *   held      until is over, vip_release     not admitted, address removed           away
 *   held      the rules or the interface are  not admitted, address removed; both    opening
 *             gone (`nft flush ruleset`)     looked for anew
 *   held      the address was taken from the  address added, announced               held
 *             interface, or that went down or
 *             up
 *   any       an interface, nft or a right   told in `sentence`; tried again         broken
 *             is missing                     every RETRY
 *
 * **What stops a node that cannot act any more.** In each node that might own the address the
 * kernel drops whatever is for it or from it (packets, ARP, neighbour solicitations), unless an
 * element of a set says otherwise; the element has a time-out that ends with the lease, kept by the
 * kernel's clock. A holdfast that was killed, stopped or hangs renews nothing, and the kernel shuts
 * the address by itself to a tick (4 ms). The address on the interface has a life of its own (a few
 * seconds), so that nothing is left of it. What remains: the element's time is counted from the
 * moment in which the kernel hears of it. Whoever is held up just between reading the clock and
 * that moment would admit the address for too long: so both tables are told in one commit, and the
 * clock is read again right after: what took longer than SLACK is taken back.
 *
 * **Who must learn.** Announcements (neighbour.h) go out at once, four times more within 0.6 s, and
 * every second for as long as the address is held: a neighbour that was cut off, or missed them,
 * knows within a second of its return. Somebody else who claims the address is told of, counted,
 * and answered at once (RFC 5227, section 2.4 (c)), at most ten times a second.
 *
 * Ownership: one loop, one thread; needs CAP_NET_ADMIN and CAP_NET_RAW, and nft(8) for the rules.
 * Nothing waits: netlink answers at once, nft is a command with a limit of time. Failure modes:
 * whatever fails while the address is held leaves it to run out. */
#ifndef HF_RECOVER_VIP_H
#define HF_RECOVER_VIP_H

#include "base/base.h"
#include "os/os.h"
#include "recover/agents/vip_kernel.h"

enum vip_state { VIP_OPENING, VIP_AWAY, VIP_HELD, VIP_BROKEN, VIP_STATES };
/* "opening", "away", "held", "broken" */
const char *vip_state_name(enum vip_state s);

struct vip_options {
    struct loop *loop;
    struct addr address;   /* IP; the port is not looked at */
    uint8_t prefix;        /* of its network: finds the interface */
    const char *interface; /* empty: found by the network */
    const char *nft;       /* path of the program; NULL: where Debian has it */
    void *context;
    /* Something of vip_look is another now. From the loop; may free the vip. NULL: nobody asks. */
    void (*changed)(void *context);
};
struct vip_look {
    enum vip_state state;
    char interface[IF_NAMESIZE];  /* empty: not found */
    uint64_t until;               /* ns; HELD */
    uint64_t taken_at;            /* ns, of the latest time; 0: never */
    uint64_t announced;           /* times */
    uint64_t conflicts;           /* claims of others while it was held */
    uint8_t rival[NEIGHBOUR_MAC]; /* who claimed it last */
    char sentence[256];           /* BROKEN: what is missing, and what to do */
};

struct vip;
/* Takes an address away that an earlier process left, and puts the rules in. */
int vip_new(struct vip **out, const struct vip_options *o, struct err *e);
/* Releases it, and takes the rules away. NULL is allowed. */
void vip_free(struct vip *v);
/* This node may answer for the address until `until` (CLOCK_BOOTTIME, ns): takes it, or keeps it
 * for longer. ERR_TIMEOUT: that is over; ERR_BUSY: not open yet, or broken; else what the kernel
 * said. */
int vip_hold(struct vip *v, uint64_t until, struct err *e);
/* Not any more, at once. Harmless when it is not held. */
void vip_release(struct vip *v);
/* Says once more who has it, if it is held: a link or a node has come back. */
void vip_announce(struct vip *v);
void vip_look(const struct vip *v, struct vip_look *out);

#endif
