/* SPDX-License-Identifier: MIT */
/* Tables that are written and not used; see flood.h. */
#include "flood.h"

#include "page.h"
#include "slot.h"

#define FLOOD_FLUSHES 2u /* which cost about as much as to make the page anew */

/* Stores that cost as much, emulated, as to make @page anew: its birth is two, a fault for 8
 * entries half of one. */
static unsigned flood_stores(const struct shadow_page *sp)
{
	return 2 + sp->n_present / 16;
}

/* The same as page_used(), where that can be known: of roots we know ourselves, and below PDPTEs,
 * which have no A, nobody does. */
static bool walked(struct umbra_vm *vm, uint32_t page, bool forget)
{
	const struct shadow_page *sp = &vm->pages[page];
	bool unknown = sp->parents && (vm->pages[ref_page(sp->parents)].role & ROLE_PAE_ROOT);

	return page_used(vm, page, forget) || sp->roots || unknown;
}

void flood_begin(struct umbra_vm *vm, uint32_t page)
{
	vm->pages[page].emulated = 0;
	vm->pages[page].flooded = 0;
	vm->pages[page].was_used = false;
	(void)walked(vm, page, true);
}

bool flood_note_given_up(struct frame *frame)
{
	if ((frame->state & FRAME_CHURN) == FRAME_CHURN)
		return false;
	frame->state++;
	return true;
}

/* Something of @page changed that had not been used. Was that once too often? */
static bool floods(struct umbra_vm *vm, uint32_t page, unsigned limit)
{
	struct shadow_page *sp = &vm->pages[page];

	limit <<= sp->frame->state & FRAME_CHURN;
	if (sp->flooded < limit && ++sp->flooded < limit)
		return false;
	if (!walked(vm, page, true))
		return true;
	sp->was_used = true;
	sp->flooded = 0;
	return false;
}

void flood_flush(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];

	if (vm->use_seen || vm->policy.write != UMBRA_WRITE_AUTO) {
		vm->use_seen = false;
		sp->flooded = 0;
	} else if (floods(vm, page, FLOOD_FLUSHES)) {
		(void)flood_note_given_up(sp->frame);
		vm->stats.mmu_flooded++;
		page_zap(vm, page, true);
	}
}

bool flood_store(struct umbra_vm *vm, uint64_t gfn)
{
	bool flooded = true;

	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page)) {
		struct shadow_page *sp = &vm->pages[page];

		sp->emulated++;
		if (vm->use_seen) {
			sp->was_used = true;
			sp->flooded = 0;
		}
		if (vm->use_seen || !floods(vm, page, flood_stores(sp)))
			flooded = false;
	}
	if (flooded) {
		(void)flood_note_given_up(frame_of(vm, gfn));
		vm->stats.mmu_flooded++;
	}
	return flooded;
}

bool flood_used(struct umbra_vm *vm, uint32_t page)
{
	return vm->pages[page].was_used || walked(vm, page, false);
}
