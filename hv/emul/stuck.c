/* SPDX-License-Identifier: MIT */
/*
 * See stuck.h.
 */
#include "hv/vm/vcpu.h"

/* The same instruction with the same registers within so many exits is the same store. */
#define STUCK_EXITS 16u

unsigned stuck_note(struct vcpu *vcpu)
{
	struct stuck_store *last = &vcpu->stuck;
	bool again = last->rip == vcpu->exit.rip && vcpu->n_exits - last->n_exits <= STUCK_EXITS &&
		     memcmp(last->gpr, vcpu->gpr, sizeof(last->gpr)) == 0;

	last->n_times = again ? last->n_times + 1 : 0;
	last->n_exits = vcpu->n_exits;
	last->rip = vcpu->exit.rip;
	memcpy(last->gpr, vcpu->gpr, sizeof(last->gpr));
	return last->n_times;
}
