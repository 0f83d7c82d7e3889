/* SPDX-License-Identifier: MIT */
/*
 * The faults that nearly all faults are, made short.
 */
#ifndef MMU_FAST_H
#define MMU_FAST_H

#include "vm.h"

/* The fault is the guest's own. */
static inline enum umbra_outcome fast_inject(
	struct umbra_vm *vm, umbra_gva gva, uint32_t code, struct umbra_exit *out)
{
	vm->stats.pf_guest++;
	*out = (struct umbra_exit){.vector = X86_PF, .error_code = code, .gva = gva};
	return UMBRA_INJECT;
}

/*
 * Answer a fault at @gva that needs no more than the last-level entry of a way that is known: put a
 * leaf for RAM there, or inject what the guest's entry says. Returns false, and has changed nothing
 * (but A and D of the guest's entry, for an access that is allowed), where more is to be thought
 * of: then the long way has to be gone. Lock: MMU lock held, here and below.
 */
bool fast_fault(struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, umbra_gva gva,
	struct umbra_exit *out, enum umbra_outcome *outcome);

/* The same for a store that the host has to make (UMBRA_EMULATE): returns true if it is one. */
bool fast_store(struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, umbra_gva gva,
	struct umbra_exit *out);

#endif
