/* SPDX-License-Identifier: MIT */
/*
 * The guest's breakpoints on data and ports, for accesses that are done for it: the processor sees
 * those of the guest only. SDM 3B "Debug Registers"; APM 2 "Software-Debug Resources".
 */
#ifndef HV_VM_DEBUG_H
#define HV_VM_DEBUG_H

#include "hv/vm/vcpu.h"

enum debug_kind {
	DEBUG_READ,
	DEBUG_WRITE,
	DEBUG_PORT,
};

/* Is any breakpoint enabled? */
static inline bool debug_armed(const struct vcpu *vcpu)
{
	return vendor_dr7(vcpu) & 0xff;
}

/* DR6's bits B0 to B3 for the enabled breakpoints that an access of @n_bytes at @address (linear,
 * or a port) hits. Pure. */
uint64_t debug_hits(
	uint64_t dr7, const uint64_t dr[4], enum debug_kind kind, uint64_t address, size_t n_bytes);

/* Such an access was done for the instruction at RIP: report what it hit, as a trap. No fault may
 * be injected after this; vendor_advance() may come before or after. */
void debug_access(struct vcpu *vcpu, enum debug_kind kind, uint64_t address, size_t n_bytes);

#endif
