/* SPDX-License-Identifier: MIT */
/* Adding slots; see slot.h. */
#include "slot.h"

#define ONES_8  ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull
#define ONES_64 ONES_8, ONES_8, ONES_8, ONES_8, ONES_8, ONES_8, ONES_8, ONES_8

const uint64_t slot_absent_table[ENTRIES] = {
	ONES_64,
	ONES_64,
	ONES_64,
	ONES_64,
	ONES_64,
	ONES_64,
	ONES_64,
	ONES_64,
};

#define MAX_GFN (1ull << 40) /* 52 address bits */

static uint64_t region_count(uint64_t first, uint64_t n_frames)
{
	return (first + n_frames - 1) / LARGE_FRAMES - first / LARGE_FRAMES + 1;
}

size_t umbra_slot_meta_bytes(umbra_gfn first, uint64_t n_frames)
{
	if (!n_frames || first.n >= MAX_GFN || n_frames > MAX_GFN - first.n)
		return 0;
	return (size_t)(n_frames * sizeof(struct frame) +
			region_count(first.n, n_frames) * sizeof(struct region));
}

static bool valid(const struct umbra_slot *pub)
{
	if (!pub->n_frames || pub->gfn.n >= MAX_GFN || pub->n_frames > MAX_GFN - pub->gfn.n)
		return false;
	if (pub->hfn.n >= MAX_GFN || pub->n_frames > MAX_GFN - pub->hfn.n)
		return false;
	if (pub->kind == UMBRA_SLOT_RAM)
		return pub->host_va && (uintptr_t)pub->host_va % X86_PAGE_SIZE == 0 && pub->meta &&
		       (uintptr_t)pub->meta % _Alignof(struct frame) == 0;
	return pub->kind == UMBRA_SLOT_DEVICE;
}

enum umbra_status slot_add(struct umbra_vm *vm, const struct umbra_slot *pub)
{
	bool ram = pub->kind == UMBRA_SLOT_RAM;
	unsigned at;

	if (!valid(pub))
		return UMBRA_BAD_ARG;
	for (unsigned i = 0; i < vm->n_slots; i++) {
		const struct slot *s = &vm->slots[i];

		if (pub->gfn.n < s->first + s->n_frames && s->first < pub->gfn.n + pub->n_frames)
			return UMBRA_OVERLAP;
	}
	if (vm->n_slots == MAX_SLOTS)
		return UMBRA_TOO_MANY;

	/* Largest RAM first: lookups mostly end at once. */
	for (at = vm->n_slots; at > 0; at--) {
		const struct slot *before = &vm->slots[at - 1];

		if (before->va && (!ram || before->n_frames >= pub->n_frames))
			break;
		if (!before->va && !ram && before->n_frames >= pub->n_frames)
			break;
		vm->slots[at] = *before;
	}
	vm->slots[at] = (struct slot){
		.first = pub->gfn.n,
		.n_frames = pub->n_frames,
		.hfn = pub->hfn.n,
		.va = ram ? pub->host_va : NULL,
		.frames = ram ? pub->meta : NULL,
		.regions =
			ram ? (struct region *)((struct frame *)pub->meta + pub->n_frames) : NULL,
		.writable = !pub->read_only,
	};
	vm->n_slots++;
	return UMBRA_OK;
}
