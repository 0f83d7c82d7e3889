/* SPDX-License-Identifier: MIT */
/*
 * Shadow pages: the pool, the hash by (guest frame, role), birth and death. The first page that is
 * made from a guest table lets it out of sync, or protects it where the policy forbids that; the
 * death of the last one frees it. Keeps I2 (at birth), I9. Lock: MMU lock held, everywhere here.
 */
#ifndef MMU_PAGE_H
#define MMU_PAGE_H

#include "vm.h"

/* Pool and hash of an all-free VM; part of creation. */
void page_init(struct umbra_vm *vm);

/* Give up pages (reclaim.c) until @n are free. */
void page_reclaim(struct umbra_vm *vm, unsigned n);

/* Make sure that @n pages are free, until the lock is let go. Cannot fail: n is at most
 * RESERVE_PAGES. Only at the beginning of an event: it may zap anything but roots. */
static inline void page_reserve(struct umbra_vm *vm, unsigned n)
{
	if (vm->n_free < n)
		page_reclaim(vm, n);
	if (UMBRA_DEBUG)
		vm->reserved = n;
}

/* The page for (@gfn, @role), or 0. */
uint32_t page_lookup(const struct umbra_vm *vm, uint64_t gfn, uint32_t role);

/*
 * Was @page used since that was last asked with @forget? The processor sets A in the link it walks
 * through. It may hold the link in a paging-structure cache and so not set A again: then a used
 * page looks unused, and is rebuilt. That is accepted: the alternative is a flush at every look.
 */
bool page_used(struct umbra_vm *vm, uint32_t page, bool forget);

/* Make it, to be linked from @parent (0: it will be a root); it must not exist and a page must be
 * reserved. Cannot fail. */
uint32_t page_create(struct umbra_vm *vm, uint64_t gfn, uint32_t role, uint32_t parent);

/* Where the list of pages with the hash of @gfn begins. */
static inline uint32_t *page_hash(const struct umbra_vm *vm, uint64_t gfn)
{
	return &vm->hash[(gfn * 0x9e3779b97f4a7c15ull) >> vm->hash_shift];
}

/* The first page, or the one after @after, that begins at @gfn, direct ones too; 0: no more. */
static inline uint32_t page_at(const struct umbra_vm *vm, uint64_t gfn, uint32_t after)
{
	uint32_t page = after ? vm->pages[after].hash_next : *page_hash(vm, gfn);

	while (page && vm->pages[page].gfn != gfn)
		page = vm->pages[page].hash_next;
	return page;
}

/* The first page, or the one after @after, made from guest table @gfn; 0: no more. */
static inline uint32_t page_of_table(const struct umbra_vm *vm, uint64_t gfn, uint32_t after)
{
	uint32_t page = page_at(vm, gfn, after);

	while (page && !page_has_table(&vm->pages[page]))
		page = page_at(vm, gfn, page);
	return page;
}

/* May a table with a page of @level go out of sync? */
static inline bool page_oos(const struct umbra_vm *vm, unsigned level)
{
	if (vm->policy.write > UMBRA_WRITE_UNSYNC)
		return false;
	return level == 1 ? vm->policy.oos != UMBRA_OOS_OFF : vm->policy.oos == UMBRA_OOS_ALL;
}

/* If nothing leads to @page any more, note it for sync_reap_orphans(). Pages of parts are not: they
 * are dear, and a 2M page may have them again. */
static inline void page_note_orphan(struct umbra_vm *vm, uint32_t page)
{
	const struct shadow_page *sp = &vm->pages[page];

	if (!sp->parents && !sp->roots && !page_direct(sp) && vm->n_orphans < ORPHANS_MAX)
		vm->orphans[vm->n_orphans++] = page;
}

/* Unlink, empty and free @page, which no vCPU runs on. All TLBs will be flushed. @orphans: note
 * those that it leaves behind. */
void page_zap(struct umbra_vm *vm, uint32_t page, bool orphans);

/* Empty @page; children stay, @orphans as above. The caller sees to the flush, or the guest owes
 * it. */
void page_empty(struct umbra_vm *vm, uint32_t page, bool orphans);

/* Nothing leads to @page any more: from now on it is @owner's. Above the last level it leads to
 * nothing either then, as what hangs below may be out of date or have other owners. */
void page_begin_anew(struct umbra_vm *vm, uint32_t page, uint32_t owner);

/* Zap all; the roots that vCPUs run on are only emptied. */
void page_zap_all(struct umbra_vm *vm);

#endif
