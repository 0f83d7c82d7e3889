/* SPDX-License-Identifier: MIT */
/*
 * Stores that were left to the guest and come again at once: they may make no progress, as they
 * need the very table they write to be shadowed, or go where no entry may allow them.
 */
#ifndef HV_EMUL_STUCK_H
#define HV_EMUL_STUCK_H

#include "x86/decode.h"

struct vcpu;

/* The last store that was left to the guest. */
struct stuck_store {
	uint64_t rip;
	uint64_t gpr[X86_GPRS];
	uint64_t n_exits;
	unsigned n_times; /* that the same came again without a break */
};

/* So often again, and it is certain. */
#define STUCK_TIMES 256u

/* The store at RIP is left to the guest. Returns how many times in a row the same one was before.
 * Its address does not count: in two pages it may be refused by turns. */
unsigned stuck_note(struct vcpu *vcpu);

#endif
