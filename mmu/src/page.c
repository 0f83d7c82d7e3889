/* SPDX-License-Identifier: MIT */
/* Birth and death of shadow pages; see page.h. */
#include "page.h"

#include "flush.h"
#include "reclaim.h"
#include "set.h"
#include "slot.h"
#include "spte.h"
#include "sync.h"

static uint32_t *hash_head(const struct umbra_vm *vm, uint64_t gfn)
{
	return &vm->hash[(gfn * 0x9e3779b97f4a7c15ull) >> vm->hash_shift];
}

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
		page_zap(vm, reclaim_pick(vm));
	}
}

uint32_t page_lookup(const struct umbra_vm *vm, uint64_t gfn, uint32_t role)
{
	uint32_t page = *hash_head(vm, gfn);

	while (page && (vm->pages[page].gfn != gfn || vm->pages[page].role != role))
		page = vm->pages[page].hash_next;
	return page;
}

uint32_t page_of_table(const struct umbra_vm *vm, uint64_t gfn, uint32_t after)
{
	uint32_t page = after ? vm->pages[after].hash_next : *hash_head(vm, gfn);

	while (page && (vm->pages[page].gfn != gfn || !page_has_table(&vm->pages[page])))
		page = vm->pages[page].hash_next;
	return page;
}

/* Nothing may map @gfn writable from here on, nor may a 2M leaf cover it (it is split at the next
 * access). */
static void protect_new_table(struct umbra_vm *vm, struct slot *slot, uint64_t gfn)
{
	struct region *region = slot_region(slot, gfn);

	region->n_tables++;
	while (region->rmap) {
		vm->stats.mmu_large_split++;
		set_clear(vm, ref_page(region->rmap), ref_index(region->rmap));
		flush_later(vm);
	}
	sync_write_protect(vm, gfn);
}

/* @page is made from the guest table in its frame from now on. */
static void join_table(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];
	struct slot *slot = slot_find(vm, sp->gfn);
	struct frame *frame = slot_frame(slot, sp->gfn);

	sp->guest = slot_table(slot, sp->gfn);
	sp->guest_ro = slot_table_ro(slot);
	if (!frame)
		return;
	if (!frame->shadows++)
		protect_new_table(vm, slot, sp->gfn);
	else if (frame->shadows & FRAME_UNSYNC)
		sync_joined(vm, page);
}

uint32_t page_create(struct umbra_vm *vm, uint64_t gfn, uint32_t role)
{
	uint32_t page = vm->free_list;
	struct shadow_page *sp = &vm->pages[page];
	uint32_t *head = hash_head(vm, gfn);

	UMBRA_ASSERT(vm, page && !page_lookup(vm, gfn, role));
	/* A CPU may still walk what this page was before. */
	if (vm->freed)
		flush_now(vm);
	vm->free_list = sp->hash_next;
	vm->n_free--;
	*sp = (struct shadow_page){
		.gfn = gfn, .role = role, .hash_next = *head, .in_use = true, .used = true};
	*head = page;
	vm->stats.mmu_shadow_created++;
	vm->stats.shadow_pages++;
	if (page_has_table(sp))
		join_table(vm, page);
	else if (!page_direct(sp))
		sp->guest = vm->vcpus[gfn].pdpte;
	return page;
}

void page_empty(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];

	for (unsigned group = 0; sp->touched; group++, sp->touched >>= 1) {
		if (!(sp->touched & 1))
			continue;
		for (unsigned i = group << GROUP_SHIFT; i < (group + 1) << GROUP_SHIFT; i++) {
			if (set_read(vm, page, i))
				set_clear(vm, page, i);
			vm->snapshots[page][i] = 0;
		}
	}
}

static void leave_table(struct umbra_vm *vm, uint64_t gfn)
{
	struct slot *slot = slot_find(vm, gfn);
	struct frame *frame = slot_frame(slot, gfn);

	if (!frame)
		return;
	frame->shadows--;
	if ((frame->shadows & ~FRAME_UNSYNC) == 0) {
		if (frame->shadows & FRAME_UNSYNC)
			sync_forget(vm, gfn);
		frame->shadows = 0;
		slot_region(slot, gfn)->n_tables--;
	}
}

void page_zap(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];
	uint32_t *at = hash_head(vm, sp->gfn);

	UMBRA_ASSERT(vm, sp->in_use && !sp->roots);
	while (sp->parents)
		set_clear(vm, ref_page(sp->parents), ref_index(sp->parents));
	page_empty(vm, page);
	while (*at != page)
		at = &vm->pages[*at].hash_next;
	*at = sp->hash_next;
	if (page_has_table(sp))
		leave_table(vm, sp->gfn);
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
			page_empty(vm, page);
			flush_later(vm);
		} else {
			page_zap(vm, page);
		}
	}
}
