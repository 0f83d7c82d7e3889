/* SPDX-License-Identifier: MIT */
/*
 * The only writer of live shadow entries. Keeps I3 and I4: an entry and its record in the reverse
 * map change together. Flushing what lost rights is the caller's (flush.h). Lock: MMU lock held,
 * everywhere here.
 */
#ifndef MMU_SET_H
#define MMU_SET_H

#include "vm.h"

static inline uint64_t set_read(const struct umbra_vm *vm, size_t page, size_t index)
{
	return atomic_load_explicit(
		(_Atomic uint64_t *)&vm->tables[page][index], memory_order_relaxed);
}

/* The first entry of @page from @index on that is not empty; ENTRIES if there is none. */
static inline unsigned set_next(const struct umbra_vm *vm, uint32_t page, unsigned index)
{
	while (index < ENTRIES) {
		uint64_t groups = vm->pages[page].touched >> (index >> GROUP_SHIFT);

		if (!groups)
			break;
		if (!(groups & 1))
			index = ((index >> GROUP_SHIFT) + (unsigned)__builtin_ctzll(groups))
				<< GROUP_SHIFT;
		if (set_read(vm, page, index))
			return index;
		index++;
	}
	return ENTRIES;
}

/* Fill the empty entry with leaf @spte. @rmap: list head of the frame (4K) or region (2M); NULL:
 * not RAM. */
void set_leaf(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t spte, uint32_t *rmap);

/*
 * Fill @n empty entries of a level-1 @page, from @index on, with leaves for consecutive frames,
 * beginning with leaf @spte.
 * @frames: their records, NULL if not RAM. W is left out where a frame is protected (I2).
 */
void set_leaves(struct umbra_vm *vm, uint32_t page, unsigned index, unsigned n, uint64_t spte,
	struct frame *frames);

/* Fill the empty entry with a link to @child, with @bits besides P, A and the address. The child is
 * reached by whoever reaches the page. */
void set_link(struct umbra_vm *vm, uint32_t page, unsigned index, uint32_t child, uint64_t bits);

/* Change the bits of a present entry; what it points to stays, and so do A and D. */
void set_bits(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t spte);

/* Take W from a present entry. Returns true if it had it. */
bool set_read_only(struct umbra_vm *vm, uint32_t ref);

/* Take A from a present link. Returns true if it had it. Nothing is flushed: it is a hint. */
bool set_clear_accessed(struct umbra_vm *vm, uint32_t ref);

/* Take D from a present leaf: the processor sets it anew after a flush. Returns true if it had
 * it. */
bool set_clear_dirty(struct umbra_vm *vm, uint32_t ref);

/* Empty a present entry. Returns the page it linked to, 0 if it was a leaf. */
uint32_t set_clear(struct umbra_vm *vm, uint32_t page, unsigned index);

/* First guest frame that the present leaf at @index maps. */
uint64_t set_leaf_gfn(const struct umbra_vm *vm, uint32_t page, unsigned index);

#endif
