/* SPDX-License-Identifier: MIT */
/* The only writer of live shadow entries; see set.h. */
#include "set.h"

#include "flush.h"
#include "leaf.h"
#include "rmap.h"
#include "slot.h"
#include "spte.h"
#include "unsync.h"

static void store(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t spte)
{
	vm->changes++;
	atomic_store_explicit(
		(_Atomic uint64_t *)&vm->tables[page][index], spte, memory_order_release);
}

/* A link of @page changed or went: descents through it are worth nothing. Page directories under
 * PDPTEs own, but descents begin at the root. */
static void note_unlinked(struct umbra_vm *vm, uint32_t page)
{
	uint32_t owner = vm->pages[page].owner;

	vm->pages[page_level(&vm->pages[owner]) > 2 ? owner : 0].unlinked = ++vm->clock;
}

static void note_filled(struct umbra_vm *vm, uint32_t page, unsigned index)
{
	vm->pages[page].n_present++;
	page_touch(&vm->pages[page], index);
}

void set_leaf(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t spte, uint32_t *rmap)
{
	UMBRA_ASSERT(vm, !set_read(vm, page, index));
	note_filled(vm, page, index);
	if (rmap) {
		rmap_add(vm, rmap, ref_make(page, index)); /* I3 */
		spte |= SPTE_RMAP;
	}
	store(vm, page, index, spte);
}

void set_leaves(struct umbra_vm *vm, uint32_t page, unsigned index, unsigned n, uint64_t spte,
	struct frame *frames)
{
	for (unsigned i = 0; i < n; i++, index++, spte += X86_PAGE_SIZE) {
		uint64_t leaf = spte;

		if (frames && frame_protected(&frames[i]))
			leaf &= ~X86_PTE_W;
		set_leaf(vm, page, index, leaf, frames ? &frames[i].rmap : NULL);
	}
}

void set_link(struct umbra_vm *vm, uint32_t page, unsigned index, uint32_t child, uint64_t bits)
{
	UMBRA_ASSERT(vm, !set_read(vm, page, index));
	UMBRA_ASSERT(vm, vm->pages[child].in_use);
	note_filled(vm, page, index);
	rmap_add(vm, &vm->pages[child].parents, ref_make(page, index)); /* I4 */
	unsync_adopt(vm, child, unsync_heir(vm, page, child));
	/* PDPTEs have neither rights nor A. SDM 3A "PDPTE Registers". */
	if (vm->pages[page].role & ROLE_PAE_ROOT)
		bits = 0;
	else
		bits |= X86_PTE_A;
	store(vm, page, index, page_hpa(vm, child) | X86_PTE_P | bits);
}

void set_bits(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t spte)
{
	uint64_t old = set_read(vm, page, index);

	UMBRA_ASSERT(vm, !((old ^ spte) & (X86_PTE_P | SPTE_RMAP)));
	UMBRA_ASSERT(vm, !(vm->pages[page].role & ROLE_PAE_ROOT));
	if (!spte_is_leaf(spte, page_level(&vm->pages[page])))
		note_unlinked(vm, page);
	if (spte_needs_flush(old, spte))
		flush_note_lost(vm, page);
	store(vm, page, index, spte | (old & SPTE_HW_AD));
}

/* Take @bits from a present entry, without losing what the processor sets meanwhile. */
static bool take(struct umbra_vm *vm, uint32_t ref, uint64_t bits)
{
	_Atomic uint64_t *entry = (_Atomic uint64_t *)&vm->tables[ref_page(ref)][ref_index(ref)];

	vm->changes++;
	return atomic_fetch_and_explicit(entry, ~bits, memory_order_relaxed) & bits;
}

bool set_read_only(struct umbra_vm *vm, uint32_t ref)
{
	if (!take(vm, ref, X86_PTE_W))
		return false;
	flush_note_lost(vm, ref_page(ref));
	return true;
}

bool set_clear_dirty(struct umbra_vm *vm, uint32_t ref)
{
	flush_note_lost(vm, ref_page(ref));
	vm->dirty_cleared = true;
	return take(vm, ref, X86_PTE_D);
}

bool set_clear_accessed(struct umbra_vm *vm, uint32_t ref)
{
	return take(vm, ref, X86_PTE_A);
}

uint64_t set_leaf_gfn(const struct umbra_vm *vm, uint32_t page, unsigned index)
{
	const struct shadow_page *sp = &vm->pages[page];
	unsigned level = page_level(sp);

	if (page_direct(sp))
		return sp->gfn + index * level_frames(level);
	return gpte_gfn(vm->snapshots[page][index], level);
}

/* The rest of set_clear() above the last level. */
static uint32_t forget_upper(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t spte)
{
	uint32_t ref = ref_make(page, index);
	uint32_t child;

	if (spte & SPTE_RMAP) {
		uint64_t gfn = set_leaf_gfn(vm, page, index);

		rmap_remove(vm, &slot_region(slot_find(vm, gfn), gfn)->rmap, ref);
		return 0;
	}
	if (spte_is_leaf(spte, page_level(&vm->pages[page])))
		return 0;
	note_unlinked(vm, page);
	child = spte_child(vm, spte);
	rmap_remove(vm, &vm->pages[child].parents, ref);
	return child;
}

uint32_t set_clear(struct umbra_vm *vm, uint32_t page, unsigned index)
{
	uint64_t spte = set_read(vm, page, index);

	UMBRA_ASSERT(vm, spte_present(spte));
	if (page_level(&vm->pages[page]) == 1) {
		struct leaves l = leaves_of(vm, page);

		leaf_clear(&l, index, spte, leaf_gfn(&l, index));
		leaf_cleared(&l, 1);
		return 0;
	}
	store(vm, page, index, 0);
	vm->pages[page].n_present--;
	flush_note_lost(vm, page);
	return forget_upper(vm, page, index, spte);
}
