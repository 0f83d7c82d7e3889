/* SPDX-License-Identifier: MIT */
/*
 * Which tables are out of sync, listed by who reaches them; and whether they were written. Keeps
 * I7. What to do with them is sync.c's.
 *
 * A page belongs to the root through which it was ever reached (`owner`), or, once a second root
 * reaches it, to all (owner 0). So what a root may have to bring up to date is in two places, its
 * own lists and those of page 0, however many other roots there are. Under PAE roots, which are
 * registers, page directories own. A page that becomes shared takes what hangs below with it:
 * whatever the links of a page lead to has the same owner or 0. It does not come back from there
 * before nothing leads to it: so a list may hold more than is reached, and never less.
 *
 * Lock: MMU lock held, everywhere here.
 */
#ifndef MMU_UNSYNC_H
#define MMU_UNSYNC_H

#include "vm.h"

static inline bool unsync_page(const struct shadow_page *page)
{
	return page->frame && (page->frame->state & FRAME_UNSYNC);
}

/* The owner of what hangs below @page: below PDPTEs it is @child itself. */
static inline uint32_t unsync_heir(const struct umbra_vm *vm, uint32_t page, uint32_t child)
{
	return vm->pages[page].role & ROLE_PAE_ROOT ? child : vm->pages[page].owner;
}

/* @page is made from an unsync table from now on: list it. Nothing is known of when the table was
 * written. */
void unsync_join(struct umbra_vm *vm, uint32_t page);

/* Take @page off its list, if it is on one. */
void unsync_leave(struct umbra_vm *vm, uint32_t page);

/* @page, which belongs to one owner, belongs to all, and so does what is below.
 */
void unsync_share(struct umbra_vm *vm, uint32_t page);

/* @page is linked below something of @owner. */
static inline void unsync_adopt(struct umbra_vm *vm, uint32_t page, uint32_t owner)
{
	if (vm->pages[page].owner != owner && vm->pages[page].owner)
		unsync_share(vm, page);
}

/* Nothing leads to @page, and it leads to nothing: it begins anew with @owner.
 */
void unsync_give(struct umbra_vm *vm, uint32_t page, uint32_t owner);

/* @page goes: what it owned is shared. */
void unsync_disown(struct umbra_vm *vm, uint32_t page);

/*
 * Was the table of the unsync @page written since the last unsync_take_written() of it? The
 * processor tells by the D bits of the leaves that map its frame. Another vCPU may write through a
 * translation that has D already: with several vCPUs the answer is always yes.
 */
bool unsync_written(struct umbra_vm *vm, uint32_t page);

/* The same, and begin to look anew. The vCPU has not run since the guest's flush, and what it
 * may have cached of these bits goes before it does (flush_enter, flush_gva). */
bool unsync_take_written(struct umbra_vm *vm, uint32_t page);

#endif
