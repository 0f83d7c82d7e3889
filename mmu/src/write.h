/* SPDX-License-Identifier: MIT */
/*
 * What happens when the guest writes a frame that is one of its page tables: the one place that
 * decides. Lock: MMU lock held, everywhere here.
 */
#ifndef MMU_WRITE_H
#define MMU_WRITE_H

#include "vm.h"

enum write_answer {
	WRITE_FREE,    /* the frame may be mapped writable now */
	WRITE_EMULATE, /* the host has to perform the store (umbra_guest_write) */
};

/* A write fault by @access on the protected @frame, with the number @gfn; NULL: of a device. */
enum write_answer write_decide(
	struct umbra_vcpu *vcpu, uint64_t gfn, const struct frame *frame, access_bits access);

/* The host made a store of @n_bytes at @gpa, in @frame, which has shadows: bring them up to date,
 * and judge whether they are worth it. */
void write_made(struct umbra_vm *vm, const struct frame *frame, umbra_gpa gpa, size_t n_bytes);

#endif
