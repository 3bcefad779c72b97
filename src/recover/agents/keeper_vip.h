/* keeper_vip: the virtual address of a service whose instance is kept here (vip.h): taken and left
 * by control's orders, held for as long as the lease is, given up before an instance becomes
 * anything but primary. Inside this room. */
#ifndef HF_RECOVER_KEEPER_VIP_H
#define HF_RECOVER_KEEPER_VIP_H

#include "recover/agents/keeper.h"

void keeper_vip_init(struct keeper *k);
/* k->spec is there, or another: opens it, or ends it. What fails is logged and tried again. */
void keeper_vip_configure(struct keeper *k);
/* 0: this node answers for the address. ERR_BUSY: it will when the address can be taken. */
int keeper_vip_take(struct keeper *k, uint64_t epoch, struct err *e);
void keeper_vip_leave(struct keeper *k); /* harmless when it is not held */
void keeper_vip_end(struct keeper *k);

#endif
