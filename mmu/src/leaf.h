/* SPDX-License-Identifier: MIT */
/*
 * Last-level entries of pages made from a guest table, which come and go by the thousand: the part
 * of set.c, and of what is decided about them, that has to be short. The same rules hold as there
 * (I1, I2, I3, I5, I6); who calls sees to the flush. Lock: MMU lock held, everywhere here.
 */
#ifndef MMU_LEAF_H
#define MMU_LEAF_H

#include "flush.h"
#include "rmap.h"
#include "slot.h"
#include "spte.h"

/* Entries of a page at level 1, from one of them on, with all that they need at hand. */
struct leaves {
	struct umbra_vm *vm;
	struct shadow_page *sp;
	uint64_t *entries;
	uint64_t *snapshot;
	uint64_t reserved; /* bits of the guest's entries */
	uint32_t page;
	uint32_t role;
	uint32_t ref; /* of the first */
};

/* Each of these is too short to be a call. */
#define LEAF_INLINE static inline __attribute__((always_inline))

LEAF_INLINE struct leaves leaves_from(struct umbra_vm *vm, uint32_t page, unsigned first)
{
	struct shadow_page *sp = &vm->pages[page];

	return (struct leaves){
		.vm = vm,
		.sp = sp,
		.entries = &vm->tables[page][first],
		.snapshot = &vm->snapshots[page][first],
		.reserved = vm->formats[role_format(sp->role)].reserved[1][0],
		.page = page,
		.role = sp->role,
		.ref = ref_make(page, first),
	};
}

LEAF_INLINE struct leaves leaves_of(struct umbra_vm *vm, uint32_t page)
{
	return leaves_from(vm, page, 0);
}

LEAF_INLINE uint64_t leaf_read(const struct leaves *l, unsigned index)
{
	return atomic_load_explicit((_Atomic uint64_t *)&l->entries[index], memory_order_relaxed);
}

/* Whoever stores counts vm->changes, once for all that he did before he lets go of the lock. */
LEAF_INLINE void leaf_store(const struct leaves *l, unsigned index, uint64_t spte)
{
	atomic_store_explicit((_Atomic uint64_t *)&l->entries[index], spte, memory_order_release);
}

/*
 * Empty the entry, which holds @spte for @gfn. The caller says leaf_cleared() for this, or for
 * many: before it lets go of the lock.
 */
LEAF_INLINE void leaf_clear(const struct leaves *l, unsigned index, uint64_t spte, uint64_t gfn)
{
	struct frame *frame;

	leaf_store(l, index, 0);
	if (UNLIKELY(!(spte & SPTE_RMAP)))
		return;
	frame = frame_of_ram(l->vm, gfn);
	if (UNLIKELY(frame->state & FRAME_UNSYNC) && (spte & X86_PTE_D))
		frame->state |= FRAME_WRITTEN;
	rmap_remove(l->vm, &frame->rmap, l->ref + index);
}

/* The frame that the leaf there maps. */
static inline uint64_t leaf_gfn(const struct leaves *l, unsigned index)
{
	return l->role & ROLE_DIRECT ? l->sp->gfn + ref_index(l->ref + index)
				     : gpte_gfn(l->snapshot[index], 1);
}

LEAF_INLINE void leaf_cleared(const struct leaves *l, unsigned n)
{
	l->vm->changes += n;
	l->sp->n_present = (uint16_t)(l->sp->n_present - n);
	flush_note_lost(l->vm, l->page);
}

/* What a leaf for RAM in @slot has to be for the usable @gpte. A is not set: it tells of use. */
LEAF_INLINE uint64_t leaf_spte(
	const struct leaves *l, const struct slot *slot, const struct frame *frame, uint64_t gpte)
{
	uint64_t hfn = gpte_gfn(gpte, 1) + (slot->hfn - slot->first);
	uint64_t spte = hfn << X86_PAGE_SHIFT | X86_PTE_P | SPTE_RMAP |
			spte_rights(l->role, gpte, true) | spte_leaf_bits(gpte, 1);

	return slot_may_write(slot, frame) ? spte : spte & ~X86_PTE_W;
}

/* Fill the empty entry with @spte for @frame. Its snapshot says which frame that is. */
LEAF_INLINE void leaf_fill(
	const struct leaves *l, unsigned index, uint64_t spte, struct frame *frame)
{
	l->vm->changes++;
	l->sp->n_present++;
	rmap_add(l->vm, &frame->rmap, l->ref + index);
	leaf_store(l, index, spte);
}

#endif
