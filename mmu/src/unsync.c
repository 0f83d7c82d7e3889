/* SPDX-License-Identifier: MIT */
/* Which tables are out of sync, and whether they were written; see unsync.h. */
#include "unsync.h"

#include "page.h"
#include "set.h"
#include "slot.h"
#include "spte.h"

static struct unsync_list *list_of(struct umbra_vm *vm, uint32_t page)
{
	const struct shadow_page *sp = &vm->pages[page];

	return &vm->pages[sp->owner].unsync[page_level(sp) > 1 ? UNSYNC_UPPER : UNSYNC_LEAF];
}

static void enlist(struct umbra_vm *vm, uint32_t page)
{
	struct unsync_list *list = list_of(vm, page);
	struct shadow_page *sp = &vm->pages[page];

	sp->listed = true;
	sp->unsync_next = 0;
	sp->unsync_prev = list->last;
	if (list->last)
		vm->pages[list->last].unsync_next = page;
	else
		list->first = page;
	list->last = page;
}

void unsync_join(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];

	sp->written = true;
	sp->idle = 0;
	/* The owner may have gone since. */
	if (vm->pages[sp->owner].owner != sp->owner)
		unsync_share(vm, page);
	enlist(vm, page);
}

void unsync_leave(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];
	struct unsync_list *list = list_of(vm, page);

	if (!sp->listed)
		return;
	sp->listed = false;
	if (vm->unsync_next == page)
		vm->unsync_next = sp->unsync_next;
	if (sp->unsync_next)
		vm->pages[sp->unsync_next].unsync_prev = sp->unsync_prev;
	else
		list->last = sp->unsync_prev;
	if (sp->unsync_prev)
		vm->pages[sp->unsync_prev].unsync_next = sp->unsync_next;
	else
		list->first = sp->unsync_next;
}

/* ---- owners ---- */

/* What @page leads to is shared as it is. */
static void share_below(struct umbra_vm *vm, uint32_t page)
{
	const struct shadow_page *sp = &vm->pages[page];

	if (page_level(sp) == 1)
		return;
	for (unsigned i = set_next(vm, page, 0); i < ENTRIES; i = set_next(vm, page, i + 1)) {
		uint64_t spte = set_read(vm, page, i);

		if (!spte_is_leaf(spte, page_level(sp)))
			unsync_adopt(vm, spte_child(vm, spte), 0);
	}
}

void unsync_share(struct umbra_vm *vm, uint32_t page)
{
	bool listed = vm->pages[page].listed;

	unsync_leave(vm, page);
	vm->pages[page].owner = 0;
	if (listed)
		enlist(vm, page);
	share_below(vm, page);
}

void unsync_give(struct umbra_vm *vm, uint32_t page, uint32_t owner)
{
	unsync_leave(vm, page);
	vm->pages[page].owner = owner;
	if (unsync_page(&vm->pages[page]))
		unsync_join(vm, page);
}

void unsync_disown(struct umbra_vm *vm, uint32_t page)
{
	for (unsigned i = 0; i < UNSYNC_LISTS; i++) {
		uint32_t first;

		while ((first = vm->pages[page].unsync[i].first))
			unsync_share(vm, first);
	}
}

/* ---- D bits ---- */

/* Leaves asked. A guest may map one table by millions: then a compare is cheaper than to ask, and
 * the table counts as written. */
#define LEAVES_ASKED 64u

bool unsync_written(struct umbra_vm *vm, uint32_t page)
{
	const struct shadow_page *sp = &vm->pages[page];
	unsigned n = 0;

	if (sp->written || vm->n_vcpus > 1 || (sp->frame->state & FRAME_WRITTEN))
		return true;
	for (uint32_t ref = sp->frame->rmap; ref; ref = ref_link(vm, ref)->next) {
		if (n++ == LEAVES_ASKED ||
			(set_read(vm, ref_page(ref), ref_index(ref)) & X86_PTE_D))
			return true;
	}
	return false;
}

/* Clear the D bits of the leaves that map @frame. Returns true if there were any. */
static bool take_dirty(struct umbra_vm *vm, const struct frame *frame)
{
	bool dirty = false;
	unsigned n = 0;

	for (uint32_t ref = frame->rmap; ref; ref = ref_link(vm, ref)->next) {
		if (n++ == LEAVES_ASKED)
			return true;
		if (set_read(vm, ref_page(ref), ref_index(ref)) & X86_PTE_D)
			dirty |= set_clear_dirty(vm, ref);
	}
	return dirty;
}

bool unsync_take_written(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];
	bool dirty;
	bool written;

	if (vm->n_vcpus > 1)
		return true;
	dirty = take_dirty(vm, sp->frame) || (sp->frame->state & FRAME_WRITTEN);
	sp->frame->state &= ~FRAME_WRITTEN;
	/* Its other pages have to know too. */
	if (dirty && frame_many_tables(sp->frame)) {
		for (uint32_t p = page_of_table(vm, sp->gfn, 0); p;
			p = page_of_table(vm, sp->gfn, p))
			vm->pages[p].written = true;
	}
	written = dirty || sp->written;
	sp->written = false;
	/* Of a leaf that has gone since, a TLB may still have the D. */
	vm->dirty_cleared |= written;
	return written;
}
