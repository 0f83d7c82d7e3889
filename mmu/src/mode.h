/* SPDX-License-Identifier: MIT */
/*
 * Paging modes of the guest as a table, and what the control registers add to them.
 * Owns the vCPU's view of its registers; knows nothing of shadow pages but the role bits that a
 * mode implies.
 */
#ifndef MMU_MODE_H
#define MMU_MODE_H

#include "vm.h"

struct mode {
	uint8_t levels;        /* of the guest's tables; 0: paging off */
	uint8_t shadow_levels; /* of ours */
	enum umbra_shadow_mode shadow;
};

/* Reserved-bit masks for guests of @maxphyaddr bits; part of creation. */
void mode_init_formats(struct umbra_vm *vm, unsigned maxphyaddr, bool no_1g);

/*
 * Can @regs be loaded? Returns RESUME, INJECT (#GP, in @out) or SHUTDOWN (a mode that is not
 * supported). Changes nothing.
 */
enum umbra_outcome mode_check(
	const struct umbra_vm *vm, const struct umbra_paging_regs *regs, struct umbra_exit *out);

/* Take @regs, which mode_check() passed, and derive the rest of @vcpu from them, root_role
 * included. Not the root. */
void mode_set(struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs);

/* Is @gva canonical in @vcpu's mode (always, where addresses have 32 bits)? */
bool mode_canonical(const struct umbra_vcpu *vcpu, umbra_gva gva);

#endif
