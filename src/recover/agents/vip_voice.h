/* vip_voice: speaks and hears on the link of a virtual address: announcements out, claims of others
 * in. Inside this room; vip.h has the story. */
#ifndef HF_RECOVER_VIP_VOICE_H
#define HF_RECOVER_VIP_VOICE_H

#include "base/base.h"
#include "os/os.h"
#include "recover/agents/vip_kernel.h"

struct vip_voice {
    struct loop *loop;
    struct addr address;
    struct vip_link link;
    struct io io; /* its descriptor is owned */
    struct task more;
    void *context;
    /* Somebody else says that the address is his. From the loop. */
    void (*on_claim)(struct vip_voice *v, const uint8_t mac[NEIGHBOUR_MAC]);
};
/* ERR_DENIED: it takes CAP_NET_RAW. */
int vip_voice_open(struct vip_voice *v, struct loop *l, const struct addr *a,
                   const struct vip_link *link, struct err *e);
void vip_voice_close(struct vip_voice *v); /* harmless on a closed one (io.fd is -1) */
/* Once, in each form that there is. What the link does not take now is lost: there is a next time.
 */
void vip_voice_announce(struct vip_voice *v);

#endif
