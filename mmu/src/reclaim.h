/* SPDX-License-Identifier: MIT */
/* Which shadow page goes when the pool is dry. Lock: MMU lock held. */
#ifndef MMU_RECLAIM_H
#define MMU_RECLAIM_H

#include "vm.h"

/*
 * A page that may be zapped: in use and no vCPU's root. There always is one (UMBRA_POOL_MIN).
 * CLOCK: a page that was used since the hand last passed is spared once; of the next few unused
 * ones the one that costs least to build again goes. FIFO: the next one.
 */
uint32_t reclaim_pick(struct umbra_vm *vm);

#endif
