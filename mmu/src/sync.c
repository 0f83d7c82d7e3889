/* SPDX-License-Identifier: MIT */
/*
 * Out-of-sync guest tables; see sync.h.
 *
 * What a processor may cache is what makes this legal. SDM 3A "Caching Translation Information";
 * APM 2 "Translation-Lookaside Buffer".
 *
 * 1. While a table is unsync its shadow pages may show older guest entries than memory does: the
 *    ones that stand in their snapshots. A processor may likewise use a cached translation until
 * the guest invalidates it.
 * 2. An entry that is not present is never cached, nor one with A=0: so the shadow never holds an
 *    entry for these. A fault drops what is cached for its address: it reads guest memory afresh at
 *    every level, and the entries on the way are brought up to date whether it is fixed (tree.c) or
 *    injected or handed to the host (sync_path).
 * 3. A load of CR3, or a change of CR0, CR4 or EFER that flushes: every unsync table is compared
 *    before the guest goes on.
 * 4. INVLPG drops the translations of its address and all paging-structure caches: the last-level
 *    entry of the address, and every unsync table above the last level, are compared.
 * 5. A table that is linked anew is compared first, and so are the unsync tables below it: no
 *    processor could have cached their entries at that place, and an INVLPG there found no path to
 *    them.
 *    The same holds for an entry above such tables whose rights change: it is dropped, to be linked
 *    anew.
 * 6. A table that was found unchanged at `sticky` flushes in a row is write-protected at the next.
 *    Until then writing it costs nothing, and no protection is taken from it at a context switch.
 * 7. At most UNSYNC_MAX tables are unsync, which bounds the work of a flush.
 */
#include "sync.h"

#include "flush.h"
#include "page.h"
#include "set.h"
#include "slot.h"
#include "spte.h"
#include "tree.h"

/* ---- entries ---- */

static const struct format *page_format(const struct umbra_vm *vm, const struct shadow_page *sp)
{
	return &vm->formats[role_format(sp->role)];
}

static void note_orphan(struct umbra_vm *vm, uint32_t child)
{
	if (child && !vm->pages[child].parents && !vm->pages[child].roots &&
		vm->n_orphans < ORPHANS_MAX)
		vm->orphans[vm->n_orphans++] = child;
}

/* Can a present shadow entry in a page of @role stay, with other bits: does it lead where @gpte
 * leads? */
static bool same_target(uint32_t role, uint64_t old, uint64_t gpte)
{
	uint64_t what = X86_PTE_FRAME;

	if ((role & ROLE_LEVEL) > 1) {
		what |= X86_PTE_PS;
		/* What the role of the page below holds of this entry: other bits, other page. */
		if (gpte & X86_PTE_PS)
			what |= X86_PTE_PWT | X86_PTE_PCD | X86_PTE_G | X86_PTE_PK;
		else if (role & ROLE_WP0)
			what |= X86_PTE_W;
	}
	return !((old ^ gpte) & what);
}

/* What @spte, which stays, has to be for @gpte. */
static uint64_t changed_spte(struct umbra_vm *vm, uint32_t page, uint64_t spte, uint64_t gpte)
{
	const struct shadow_page *sp = &vm->pages[page];
	unsigned level = page_level(sp);
	uint64_t keep = X86_PTE_FRAME | X86_PTE_P | SPTE_HW_AD | SPTE_RMAP;
	uint64_t bits = spte_rights(sp->role, gpte, gpte_terminal(gpte, level));

	if (!spte_is_leaf(spte, level))
		return (spte & keep) | bits;
	if ((bits & ~spte & X86_PTE_W) && !tree_may_write(vm, gpte_gfn(gpte, level), level))
		bits &= ~X86_PTE_W;
	return (spte & keep) | bits | spte_leaf_bits(gpte, level);
}

/* The guest took rights from what @spte stood for: until it flushes, a TLB may hold them where no
 * entry tells. */
static void note_stale(struct umbra_vm *vm, const struct shadow_page *sp, uint64_t spte)
{
	bool leaf = spte_is_leaf(spte, page_level(sp));

	if (leaf)
		vm->stale_writable |= spte & X86_PTE_W;
	/* The large page may be this one, or anywhere below. 4M pages always come in two parts. */
	if (!leaf || (page_narrow(sp) && page_level(sp) > 1))
		vm->stale_parts = true;
}

/* Rule 5: no link may gain rights while tables below it can be unsync; and to lose U is to gain the
 * supervisor's under SMAP and SMEP. */
static bool may_change(const struct umbra_vm *vm, unsigned level, uint64_t spte, uint64_t now)
{
	return spte_is_leaf(spte, level) || !vm->n_unsync || !((now ^ spte) & SPTE_RIGHTS);
}

/* What mprotect(), fork() and scans of A and D change in an entry that stays; and the bits that are
 * ignored in every format. */
#define ONLY_RIGHTS (X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D | 0xe00)

/* sync_entry() for a change of no more than that, of a last-level entry that stands. Returns false
 * if it is something else. */
static inline bool sync_rights(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	uint32_t role = vm->pages[page].role;
	uint64_t spte = set_read(vm, page, index);
	uint64_t now;

	if (!(gpte & X86_PTE_A) || !spte || (role & ROLE_LEVEL) > 1 ||
		((gpte ^ vm->snapshots[page][index]) & ~(uint64_t)ONLY_RIGHTS))
		return false;
	now = (spte & ~SPTE_RIGHTS) | spte_rights(role, gpte, true);
	if ((now & ~spte & X86_PTE_W) && !tree_may_write(vm, gpte_gfn(gpte, 1), 1))
		now &= ~X86_PTE_W;
	vm->stale_writable |= spte & ~now & X86_PTE_W;
	vm->snapshots[page][index] = gpte;
	set_bits(vm, page, index, now);
	return true;
}

void sync_entry(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	struct shadow_page *sp = &vm->pages[page];
	unsigned level = page_level(sp);
	uint64_t old = vm->snapshots[page][index];
	uint64_t spte = set_read(vm, page, index);
	bool usable = gpte_usable(page_format(vm, sp), gpte, level);
	bool same = same_target(sp->role, old, gpte);
	uint64_t now = spte && usable && same ? changed_spte(vm, page, spte, gpte) : 0;

	if (spte)
		note_stale(vm, sp, spte);
	if (now && may_change(vm, level, spte, now)) {
		set_bits(vm, page, index, now);
	} else if (spte) {
		uint32_t child = set_clear(vm, page, index);

		/* Only when the link went for good, not when the entry merely lost A, say. */
		if (child && (!(gpte & X86_PTE_P) || !same))
			note_orphan(vm, child);
		spte = 0;
	}
	vm->snapshots[page][index] = gpte;
	page_touch(sp, index);
	if (!spte && usable && level == 1)
		tree_prefetch(vm, page, index, gpte);
}

void sync_entry_now(struct umbra_vm *vm, uint32_t page, unsigned index)
{
	uint64_t gpte = page_gpte(&vm->pages[page], index);

	if (gpte != vm->snapshots[page][index])
		sync_entry(vm, page, index, gpte);
}

void sync_other_half(struct umbra_vm *vm, uint32_t page, unsigned index)
{
	if (page_level(&vm->pages[page]) == 2)
		sync_entry_now(vm, page, index ^ 1);
}

void sync_written(struct umbra_vm *vm, uint64_t gfn, unsigned offset, size_t n_bytes)
{
	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page)) {
		unsigned i, end;

		page_entries_at(&vm->pages[page], offset, n_bytes, &i, &end);
		for (; i < end; i++)
			sync_entry_now(vm, page, i);
	}
}

void sync_wide_views(struct umbra_vm *vm, const struct walk *walk)
{
	for (unsigned level = walk->top < 2 ? walk->top : 2; level >= walk->leaf_level; level--) {
		unsigned offset = (uintptr_t)walk->entry[level] % X86_PAGE_SIZE;
		uint64_t gfn = level == walk->top ? vm->pages[walk->page].gfn
						  : gpte_gfn(walk->gpte[level + 1], level + 1);

		/* In the lower half of a wide entry they are A and D too. */
		if (!walk->entry[level] || offset % 8 == 0)
			continue;
		for (uint32_t page = page_of_table(vm, gfn, 0); page;
			page = page_of_table(vm, gfn, page)) {
			if (!page_narrow(&vm->pages[page]))
				sync_entry_now(vm, page, offset / 8);
		}
	}
}

bool sync_page(struct umbra_vm *vm, uint32_t page)
{
	struct gpte_table table = page_gptes(&vm->pages[page]);
	const uint64_t *snapshot = vm->snapshots[page];
	bool changed = false;

	for (uint64_t groups = vm->pages[page].touched; groups; groups &= groups - 1) {
		unsigned first = (unsigned)__builtin_ctzll(groups) << GROUP_SHIFT;

		for (unsigned i = first; i < first + GROUP_ENTRIES; i++) {
			uint64_t gpte = gpte_at(table, i);

			if (gpte != snapshot[i]) {
				vm->stats.mmu_sync_changed++;
				changed = true;
				if (!sync_rights(vm, page, i, gpte))
					sync_entry(vm, page, i, gpte);
			}
		}
	}
	return changed;
}

/* ---- tables ---- */

void sync_write_protect(struct umbra_vm *vm, uint64_t gfn)
{
	struct frame *frame = frame_of(vm, gfn);
	bool lost = false;

	for (uint32_t ref = frame->rmap; ref; ref = ref_link(vm, ref)->next)
		lost |= set_read_only(vm, ref);
	if (lost || vm->stale_writable)
		flush_later(vm);
}

static struct unsync_table *unsync_find(struct umbra_vm *vm, uint64_t gfn)
{
	for (struct unsync_table *t = vm->unsync; t < vm->unsync + vm->n_unsync; t++) {
		if (t->gfn == gfn)
			return t;
	}
	return NULL;
}

static void unsync_remove(struct umbra_vm *vm, struct unsync_table *table)
{
	vm->n_unsync_upper -= table->non_leaf;
	*table = vm->unsync[--vm->n_unsync];
}

/* Compare every shadow page of @gfn. */
static bool sync_table(struct umbra_vm *vm, uint64_t gfn)
{
	bool changed = false;

	vm->stats.mmu_sync++;
	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page))
		changed |= sync_page(vm, page);
	return changed;
}

/* Writes are trapped again from here on, and what was written until now is seen: so protect first,
 * then compare. */
static void protect_again(struct umbra_vm *vm, struct unsync_table *table)
{
	uint64_t gfn = table->gfn;

	unsync_remove(vm, table);
	frame_of(vm, gfn)->shadows &= ~FRAME_UNSYNC;
	sync_write_protect(vm, gfn);
	if (vm->flush_all)
		flush_now(vm);
	sync_table(vm, gfn);
}

/* Room for one more: the table that has been idle for longest goes. */
static void make_room(struct umbra_vm *vm)
{
	struct unsync_table *victim = &vm->unsync[0];

	for (struct unsync_table *t = vm->unsync; t < vm->unsync + vm->n_unsync; t++) {
		if (t->idle > victim->idle)
			victim = t;
	}
	protect_again(vm, victim);
}

static void note_level(struct umbra_vm *vm, struct unsync_table *table, uint32_t page)
{
	if (page_level(&vm->pages[page]) == 1 || table->non_leaf)
		return;
	table->non_leaf = true;
	vm->n_unsync_upper++;
	vm->descent_key++;
}

void sync_unsync(struct umbra_vm *vm, uint64_t gfn)
{
	struct unsync_table *table;

	if (vm->n_unsync == UNSYNC_MAX)
		make_room(vm);
	frame_of(vm, gfn)->shadows |= FRAME_UNSYNC;
	vm->stats.mmu_unsync++;
	table = &vm->unsync[vm->n_unsync++];
	*table = (struct unsync_table){.gfn = gfn};
	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page))
		note_level(vm, table, page);
}

void sync_joined(struct umbra_vm *vm, uint32_t page)
{
	note_level(vm, unsync_find(vm, vm->pages[page].gfn), page);
}

void sync_forget(struct umbra_vm *vm, uint64_t gfn)
{
	unsync_remove(vm, unsync_find(vm, gfn));
}

void sync_attach(struct umbra_vm *vm, uint32_t page)
{
	const struct shadow_page *sp = &vm->pages[page];
	struct frame *frame;

	if (page_level(sp) == 1) {
		frame = frame_of(vm, sp->gfn);
		if (frame && (frame->shadows & FRAME_UNSYNC))
			sync_page(vm, page);
		return;
	}
	/* Which of them are below is not known; there are few. */
	for (unsigned i = 0; i < vm->n_unsync; i++)
		sync_table(vm, vm->unsync[i].gfn);
}

/* ---- events ---- */

void sync_all(struct umbra_vm *vm)
{
	/* Backwards: a table that is protected again gives its place to the last, which was seen
	 * already. */
	for (unsigned i = vm->n_unsync; i-- > 0;) {
		struct unsync_table *table = &vm->unsync[i];

		if (sync_table(vm, table->gfn))
			table->idle = 0;
		else if (++table->idle > vm->policy.sticky)
			protect_again(vm, table);
	}
}

void sync_path(struct umbra_vm *vm, umbra_gva gva, uint32_t page)
{
	unsigned level = page_level(&vm->pages[page]);

	for (; !page_direct(&vm->pages[page]); level--) {
		unsigned index = gva_index(gva, level);
		uint64_t spte;

		if (level == 1 || vm->n_unsync_upper) {
			sync_entry_now(vm, page, index);
			if (page_narrow(&vm->pages[page]))
				sync_other_half(vm, page, index);
		}
		spte = set_read(vm, page, index);
		if (!spte_present(spte) || spte_is_leaf(spte, level))
			return;
		page = spte_child(vm, spte);
	}
}

void sync_gva(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct umbra_vm *vm = vcpu->vm;

	if (!vm->n_unsync)
		return;
	for (unsigned i = 0; i < vm->n_unsync && vm->n_unsync_upper; i++) {
		if (vm->unsync[i].non_leaf)
			sync_table(vm, vm->unsync[i].gfn);
	}
	sync_path(vm, gva, tree_known_page(vcpu, gva));
}

/* ---- orphans ---- */

void sync_reap_orphans(struct umbra_vm *vm)
{
	while (vm->n_orphans) {
		const struct shadow_page *sp = &vm->pages[vm->orphans[--vm->n_orphans]];

		if (sp->in_use && !sp->parents && !sp->roots)
			page_zap(vm, vm->orphans[vm->n_orphans]);
	}
}
