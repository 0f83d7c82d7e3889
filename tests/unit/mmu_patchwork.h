/* SPDX-License-Identifier: MIT */
/*
 * Frames of all kinds side by side, for stores that cross from one to the next. Host memory of
 * neighbours does not lie side by side.
 */
#ifndef TESTS_UNIT_MMU_PATCHWORK_H
#define TESTS_UNIT_MMU_PATCHWORK_H

#include "tests/unit/mmu_host.h"

/* In this order from here on; before the first and behind the last is nothing. */
#define PATCH_GFN 0x50000ull
enum patch {
	PATCH_RAM,
	PATCH_ROM,
	PATCH_RAM_BESIDE_ROM,
	PATCH_DEVICE,
	PATCH_RAM_BESIDE_DEVICE,
	PATCH_MORE_RAM,
	PATCHES,
};

struct patchwork {
	uint8_t memory[PATCHES][X86_PAGE_SIZE] __attribute__((aligned(X86_PAGE_SIZE)));
	uint64_t meta[PATCHES][8];
};

/* Add a slot of one frame for each to the machine, which has not run yet. Keeps @p. */
static inline void patchwork_add(struct host *h, struct patchwork *p)
{
	*p = (struct patchwork){0};
	/* Backwards, so that no lookup is right by chance. */
	for (unsigned i = PATCHES; i-- > 0;) {
		struct umbra_slot slot = {
			.kind = i == PATCH_DEVICE ? UMBRA_SLOT_DEVICE : UMBRA_SLOT_RAM,
			.gfn = {PATCH_GFN + i},
			.hfn = {0xb0000 + 2 * i},
			.n_frames = 1,
			.read_only = i == PATCH_ROM,
			.host_va = p->memory[PATCHES - 1 - i],
			.meta = p->meta[i],
		};

		assert_true(umbra_slot_meta_bytes(slot.gfn, 1) <= sizeof(p->meta[i]));
		assert_int_equal(umbra_add_slot(h->vm, &slot), UMBRA_OK);
	}
}

static inline uint8_t *patch_bytes(struct patchwork *p, enum patch patch)
{
	return p->memory[PATCHES - 1 - patch];
}

#endif
