/* SPDX-License-Identifier: MIT */
/* Birth and death of shadow pages; see page.h. */
#include "page.h"

#include "flush.h"
#include "large.h"
#include "leaf.h"
#include "reclaim.h"
#include "set.h"
#include "slot.h"
#include "spte.h"
#include "sync.h"
#include "unsync.h"

void page_init(struct umbra_vm *vm)
{
	for (uint32_t page = vm->n_pages - 1; page > 0; page--) {
		vm->pages[page].hash_next = vm->free_list;
		vm->free_list = page;
		vm->n_free++;
	}
	vm->clock_hand = 1;
}

void page_reclaim(struct umbra_vm *vm, unsigned n)
{
	while (vm->n_free < n) {
		vm->stats.mmu_recycled++;
		page_zap(vm, reclaim_pick(vm), false);
	}
}

uint32_t page_lookup(const struct umbra_vm *vm, uint64_t gfn, uint32_t role)
{
	uint32_t page = *page_hash(vm, gfn);

	while (page && (vm->pages[page].gfn != gfn || vm->pages[page].role != role))
		page = vm->pages[page].hash_next;
	return page;
}

/* Entries whose A bit is looked at: a shared kernel table has thousands. */
#define PARENTS_ASKED 8u

bool page_used(struct umbra_vm *vm, uint32_t page, bool forget)
{
	struct shadow_page *sp = &vm->pages[page];
	bool used = sp->used;
	uint32_t ref = sp->parents;

	if (forget)
		sp->used = false;
	for (unsigned n = 0; ref && n < PARENTS_ASKED; n++, ref = ref_link(vm, ref)->next) {
		if (forget)
			used |= set_clear_accessed(vm, ref);
		else if (!used)
			used = set_read(vm, ref_page(ref), ref_index(ref)) & X86_PTE_A;
	}
	return used;
}

/* @page is made from the guest table in its frame from now on. */
static void join_table(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];
	struct slot *slot = slot_find(vm, sp->gfn);
	struct frame *frame = slot_frame(slot, sp->gfn);
	bool known;

	sp->guest = slot_table(slot, sp->gfn);
	sp->guest_ro = slot_table_ro(slot);
	sp->frame = frame;
	if (!frame)
		return;
	known = frame->state & (FRAME_SHADOWS | FRAME_TRACKED);
	frame->state += FRAME_SHADOW;
	if (!known) {
		frame->state &= ~FRAME_UNSYNC;
		large_split(vm, slot, sp->gfn);
		/* What cannot be written is in sync: an A that is lost there is no change. */
		if (page_oos(vm, page_level(sp)) && !sp->guest_ro)
			frame->state |= FRAME_UNSYNC;
		else
			sync_write_protect(vm, sp->gfn);
	}
	if (frame->state & FRAME_UNSYNC)
		unsync_join(vm, page);
}

uint32_t page_create(struct umbra_vm *vm, uint64_t gfn, uint32_t role, uint32_t parent)
{
	uint32_t page = vm->free_list;
	struct shadow_page *sp = &vm->pages[page];
	uint32_t *head = page_hash(vm, gfn);

	UMBRA_ASSERT(vm, page && vm->reserved-- && !page_lookup(vm, gfn, role));
	/* A CPU may still walk what this page was before. */
	if (vm->freed)
		flush_now(vm);
	vm->free_list = sp->hash_next;
	vm->n_free--;
	*sp = (struct shadow_page){
		.gfn = gfn,
		.role = role,
		.hash_next = *head,
		.owner = parent ? unsync_heir(vm, parent, page) : page,
		.lost = ++vm->clock,
		.unlinked = vm->clock,
		.in_use = true,
		.used = true,
	};
	*head = page;
	vm->stats.mmu_shadow_created++;
	vm->stats.shadow_pages++;
	if (page_has_table(sp))
		join_table(vm, page);
	else if (!page_direct(sp))
		sp->guest = vm->vcpus[gfn].pdpte;
	return page;
}

static void empty_leaves(struct umbra_vm *vm, uint32_t page, unsigned first)
{
	struct leaves l = leaves_from(vm, page, first);
	unsigned n = 0;

	for (unsigned i = 0; i < GROUP_ENTRIES; i++) {
		uint64_t spte = leaf_read(&l, i);

		if (spte) {
			leaf_clear(&l, i, spte, leaf_gfn(&l, i));
			n++;
		}
	}
	if (n)
		leaf_cleared(&l, n);
}

static void empty_links(struct umbra_vm *vm, uint32_t page, unsigned first, bool orphans)
{
	for (unsigned i = first; vm->pages[page].n_present && i < first + GROUP_ENTRIES; i++) {
		uint32_t child = set_read(vm, page, i) ? set_clear(vm, page, i) : 0;

		if (child && orphans)
			page_note_orphan(vm, child);
	}
}

void page_empty(struct umbra_vm *vm, uint32_t page, bool orphans)
{
	struct shadow_page *sp = &vm->pages[page];

	vm->stale_writable |= sp->n_present;
	vm->stale_parts |= sp->n_present;
	for (uint64_t groups = sp->touched; groups; groups &= groups - 1) {
		unsigned first = (unsigned)__builtin_ctzll(groups) << GROUP_SHIFT;
		uint64_t *snapshot = &vm->snapshots[page][first];

		if (sp->n_present && page_level(sp) == 1)
			empty_leaves(vm, page, first);
		else if (sp->n_present)
			empty_links(vm, page, first, orphans);
		for (unsigned i = 0; i < GROUP_ENTRIES; i++)
			snapshot[i] = 0;
	}
	sp->touched = 0;
}

void page_begin_anew(struct umbra_vm *vm, uint32_t page, uint32_t owner)
{
	if (page_level(&vm->pages[page]) > 1)
		page_empty(vm, page, false);
	unsync_give(vm, page, owner);
}

static void leave_table(struct umbra_vm *vm, struct shadow_page *sp)
{
	struct frame *frame = sp->frame;

	if (!frame)
		return;
	frame->state -= FRAME_SHADOW;
	if (frame_tables(frame))
		return;
	frame_free(frame);
	if (!(frame->state & FRAME_TRACKED))
		large_may_merge(vm, sp->gfn);
}

void page_zap(struct umbra_vm *vm, uint32_t page, bool orphans)
{
	struct shadow_page *sp = &vm->pages[page];
	uint32_t *at = page_hash(vm, sp->gfn);

	UMBRA_ASSERT(vm, sp->in_use && !sp->roots);
	while (sp->parents)
		set_clear(vm, ref_page(sp->parents), ref_index(sp->parents));
	page_empty(vm, page, orphans);
	while (*at != page)
		at = &vm->pages[*at].hash_next;
	*at = sp->hash_next;
	unsync_leave(vm, page);
	unsync_disown(vm, page);
	leave_table(vm, sp);
	sp->owner = 0;
	sp->in_use = false;
	sp->hash_next = vm->free_list;
	vm->free_list = page;
	vm->n_free++;
	vm->freed = true;
	vm->stats.mmu_shadow_zapped++;
	vm->stats.shadow_pages--;
	flush_later(vm);
}

void page_zap_all(struct umbra_vm *vm)
{
	for (uint32_t page = 1; page < vm->n_pages; page++) {
		if (!vm->pages[page].in_use)
			continue;
		if (vm->pages[page].roots) {
			page_empty(vm, page, false);
			flush_later(vm);
		} else {
			page_zap(vm, page, false);
		}
	}
}
