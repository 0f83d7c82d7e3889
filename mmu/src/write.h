/* SPDX-License-Identifier: MIT */
/*
 * What happens when the guest writes a frame that is one of its page tables: the decision, and the
 * three answers. Lock: MMU lock held.
 */
#ifndef MMU_WRITE_H
#define MMU_WRITE_H

#include "vm.h"
#include "walk.h"

enum write_answer {
	WRITE_FREE,    /* the frame may be mapped writable now */
	WRITE_EMULATE, /* the host has to perform the store (umbra_guest_write) */
};

/* A write fault by @walk on the protected frame walk->gfn. */
enum write_answer write_decide(struct umbra_vcpu *vcpu, const struct walk *walk);

/*
 * Forget all shadows of @gfn. A page that a vCPU runs on cannot go: then the frame becomes unsync
 * instead. Either way it may be written afterwards.
 */
void write_unshadow(struct umbra_vm *vm, uint64_t gfn);

#endif
