/* SPDX-License-Identifier: MIT */
/*
 * Slots: which guest frames exist and what backs them; reading and writing guest memory.
 * Knows nothing of shadow pages. Source of I1 and I11.
 */
#ifndef MMU_SLOT_H
#define MMU_SLOT_H

#include "vm.h"

extern const uint64_t slot_absent_table[ENTRIES];

/* The slot that grants @gfn, or NULL: absent. */
static inline struct slot *slot_find(struct umbra_vm *vm, uint64_t gfn)
{
	if (LIKELY(gfn - vm->slots[0].first < vm->slots[0].n_frames))
		return &vm->slots[0];
	for (struct slot *s = vm->slots + 1; s < vm->slots + vm->n_slots; s++) {
		if (gfn - s->first < s->n_frames)
			return s;
	}
	return NULL;
}

static inline struct frame *slot_frame(const struct slot *slot, uint64_t gfn)
{
	return slot && slot->frames ? &slot->frames[gfn - slot->first] : NULL;
}

static inline struct region *slot_region(const struct slot *slot, uint64_t gfn)
{
	return slot->regions ? &slot->regions[gfn / LARGE_FRAMES - slot->first / LARGE_FRAMES]
			     : NULL;
}

/* The frame record of @gfn; NULL where it is not RAM. */
static inline struct frame *frame_of(struct umbra_vm *vm, uint64_t gfn)
{
	return slot_frame(slot_find(vm, gfn), gfn);
}

/* The same where it is known to be. */
static inline struct frame *frame_of_ram(struct umbra_vm *vm, uint64_t gfn)
{
	const struct slot *slot = slot_find(vm, gfn);

	return &slot->frames[gfn - slot->first];
}

/* Shadow pages made from it. */
static inline unsigned frame_tables(const struct frame *frame)
{
	return (frame->state & FRAME_SHADOWS) / FRAME_SHADOW;
}

/* More than one? */
static inline bool frame_many_tables(const struct frame *frame)
{
	return frame->state & (FRAME_SHADOWS - FRAME_SHADOW);
}

/* A synced guest table, or tracked: stores into it must be seen, no entry maps it writable (I2). */
static inline bool frame_protected(const struct frame *frame)
{
	return (int32_t)frame->state > 0;
}

/* Nothing stands for @frame any more, neither shadows nor perhaps who tracks it. */
static inline void frame_free(struct frame *frame)
{
	frame->state &= FRAME_TRACKED | FRAME_CHURN;
	if (frame->state && !(frame->state & FRAME_TRACKED))
		frame->state |= FRAME_UNSYNC;
}

/* May a 4K leaf for @frame, RAM of @slot, be writable now? */
static inline bool slot_may_write(const struct slot *slot, const struct frame *frame)
{
	return slot->writable && !frame_protected(frame);
}

/* Can the aligned 2M at @gfn be one mapping: all in one slot, same alignment of host frames. Not
 * asked: tables in it. */
static inline bool slot_large_fits(const struct slot *slot, uint64_t gfn)
{
	uint64_t base = gfn & ~(uint64_t)(LARGE_FRAMES - 1);

	return slot && base >= slot->first && base + LARGE_FRAMES <= slot->first + slot->n_frames &&
	       ((slot->hfn + base - slot->first) & (LARGE_FRAMES - 1)) == 0;
}

/* Where guest memory at @gpa is for us; NULL if not RAM. Valid to the end of the page. */
static inline void *slot_pointer(const struct slot *slot, umbra_gpa gpa)
{
	return slot && slot->va ? slot->va + (gpa - (slot->first << X86_PAGE_SHIFT)) : NULL;
}

/* The guest table @gfn for us. In absent memory it reads as all ones, as a bus without a device
 * does. */
static inline const uint64_t *slot_table(const struct slot *slot, uint64_t gfn)
{
	const uint64_t *table = slot_pointer(slot, gfn << X86_PAGE_SHIFT);

	return table ? table : slot_absent_table;
}

/* Can A and D be set in a table there? */
static inline bool slot_table_ro(const struct slot *slot)
{
	return !slot || !slot->va || !slot->writable;
}

/*
 * Add @pub. Returns OK, BAD_ARG, OVERLAP, TOO_MANY; nothing changed unless OK. Lock: none, before
 * vCPUs run.
 */
enum umbra_status slot_add(struct umbra_vm *vm, const struct umbra_slot *pub);

#endif
