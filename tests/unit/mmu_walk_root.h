/* SPDX-License-Identifier: MIT */
/*
 * The library's walk of guest memory alone, from the root, whatever the shadow tree knows.
 */
#ifndef TESTS_UNIT_MMU_WALK_ROOT_H
#define TESTS_UNIT_MMU_WALK_ROOT_H

#include "mmu/src/mode.h"
#include "mmu/src/slot.h"
#include "mmu/src/walk.h"
#include "tests/unit/mmu_host.h"

enum { ALLOWED = -1 };

/* As the vCPU would. Returns ALLOWED or the error code. */
static inline int walk_from_root(
	struct host *h, umbra_gva gva, access_bits access, struct walk *walk)
{
	const struct umbra_vcpu *vcpu = h->vcpu;
	uint64_t gfn = mode_root_gfn(vcpu);
	const struct slot *slot = slot_find(vcpu->vm, gfn);

	walk->top = vcpu->mode->levels;
	walk->table = mode_pdptes(vcpu) ? (const void *)vcpu->pdpte : slot_table(slot, gfn);
	walk->table_ro = slot_table_ro(slot);
	walk->all = ~0ull;
	walk->any = 0;
	return walk_guest(vcpu, gva, access, walk) ? ALLOWED : (int)walk->error_code;
}

#endif
