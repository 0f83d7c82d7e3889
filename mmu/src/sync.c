/* SPDX-License-Identifier: MIT */
/*
 * Out-of-sync guest tables; see sync.h.
 *
 * What a processor may cache is what makes this legal. SDM 3A "Caching Translation Information";
 * APM 2 "Translation-Lookaside Buffer".
 *
 * 1. While a table is unsync its shadow pages may show older guest entries than memory does: the
 *    ones that stand in their snapshots. A processor may likewise use a cached translation until
 *    the guest invalidates it. SDM "Invalidation of TLBs and Paging-Structure Caches".
 * 2. An entry that is not present is never cached, nor one with A=0: so the shadow never holds an
 *    entry for these. A and D are set in guest memory for an access that the guest makes, never for
 *    one that we foresee. SDM "Accessed and Dirty Flags".
 * 3. A fault drops what is cached for its address, at every level: guest memory is read afresh, and
 *    the entries on the way are brought up to date whether the fault is fixed (tree.c), injected or
 *    handed to the host (sync_path; fast.c). SDM "Operations that Invalidate TLBs and
 *    Paging-Structure Caches".
 * 4. A load of CR3, or a change of CR0, CR4 or EFER that flushes: every unsync table that the new
 *    root reaches is brought up to date before the guest goes on (sync_root). Those that it does
 *    not reach wait until something does, or until an idle root is looked after (root.c).
 * 5. INVLPG drops the translations of its address and all paging-structure caches: the last-level
 *    entry of the address, and every unsync table above the last level, are brought up to date
 *    (sync_gva). With EFER.TCE=1 it drops the upper entries of its address alone, and so do we.
 *    APM 2 "Translation Cache Extension".
 * 6. A table that is linked anew is brought up to date first, and so are the unsync tables below
 *    it: no processor could have cached their entries at that place, and an INVLPG there found no
 *    path to them (sync_attach). The same holds for an entry above such tables whose rights change:
 *    it is dropped, to be linked anew.
 * 7. Bringing a table up to date begins with the question whether it was written since it last was:
 *    the processor sets D in the leaves that map its frame (unsync.h). Only then is it compared
 *    with its snapshots, and what differs is changed: removed, given other rights, or, if it is
 *    usable and at the last level, installed.
 * 8. D bits are cleared, to ask again, only where the tag is flushed before the guest goes on, if a
 *    TLB can have them: at rules 4 and 5. At rule 6 they are looked at and left.
 * 9. A table that was found as it was at `sticky` flushes in a row is write-protected at the next.
 *    Until then writing it costs nothing, and a flush no more than the question.
 * 10. After a flush at most UNSYNC_MAX pages are in a list, which bounds the work of the next.
 */
#include "sync.h"

#include "flush.h"
#include "leaf.h"
#include "page.h"
#include "set.h"
#include "slot.h"
#include "spte.h"
#include "tree.h"
#include "unsync.h"

/* ---- entries ---- */

static const struct format *page_format(const struct umbra_vm *vm, const struct shadow_page *sp)
{
	return &vm->formats[role_format(sp->role)];
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

/* What leaf @spte of @page, which stays, has to be for @gpte. */
static inline uint64_t changed_leaf(
	struct umbra_vm *vm, uint32_t role, uint64_t spte, uint64_t gpte, unsigned level)
{
	uint64_t bits = spte_rights(role, gpte, true) | spte_leaf_bits(gpte, level);

	if ((bits & ~spte & X86_PTE_W) && !tree_may_write(vm, gpte_gfn(gpte, level), level))
		bits &= ~X86_PTE_W;
	return (spte & (X86_PTE_FRAME | X86_PTE_P | SPTE_HW_AD | SPTE_RMAP)) | bits;
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

/* The leaf for the usable @gpte in the empty entry. */
LEAF_INLINE void fill(const struct leaves *l, unsigned index, uint64_t gpte)
{
	uint64_t gfn = gpte_gfn(gpte, 1);
	const struct slot *slot = slot_find(l->vm, gfn);
	struct frame *frame = slot_frame(slot, gfn);

	if (UNLIKELY(!frame)) {
		tree_prefetch_device(l->vm, l->page, ref_index(l->ref + index), gpte);
		return;
	}
	l->vm->stats.mmu_prefetch++;
	leaf_fill(l, index, leaf_spte(l, slot, frame, gpte), frame);
}

/* What a number of changed entries have in common. */
struct tally {
	uint64_t were;       /* OR of the leaves that were there */
	uint64_t gone, come; /* bits of leaves that stayed */
	unsigned cleared;
};

/* What mprotect(), fork() and scans change in an entry; and what is ignored in all formats. */
#define ONLY_RIGHTS (SPTE_RIGHTS | X86_PTE_A | X86_PTE_D | 0xe00)

/* May the leaf for @gpte be writable now? */
LEAF_INLINE bool may_write(const struct leaves *l, uint64_t gpte)
{
	uint64_t gfn = gpte_gfn(gpte, 1);
	const struct slot *slot = slot_find(l->vm, gfn);
	const struct frame *frame = slot_frame(slot, gfn);

	return slot && slot->writable && !(frame && frame_protected(frame));
}

/* The leaf @spte stays, and has to be @now, for @gpte. */
LEAF_INLINE void change(const struct leaves *l, unsigned index, uint64_t spte, uint64_t now,
	uint64_t gpte, struct tally *tally)
{
	if ((now & ~spte & X86_PTE_W) && !may_write(l, gpte))
		now &= ~X86_PTE_W;
	tally->gone |= spte & ~now;
	tally->come |= now & ~spte;
	leaf_store(l, index, now);
}

/* The guest's entry is @gpte now. */
LEAF_INLINE void sync_leaf(
	const struct leaves *l, unsigned index, uint64_t gpte, struct tally *tally)
{
	uint64_t spte = leaf_read(l, index);
	uint64_t was = l->snapshot[index];
	bool usable = leaf_usable(l, gpte);

	tally->were |= spte;
	l->snapshot[index] = gpte;
	if (spte && usable) {
		uint64_t now = (spte & ~SPTE_RIGHTS) | spte_rights(l->role, gpte, true);

		if (LIKELY(!((was ^ gpte) & ~ONLY_RIGHTS))) {
			change(l, index, spte, now, gpte, tally);
			return;
		}
		if (!((was ^ gpte) & X86_PTE_FRAME)) {
			now = (now & ~SPTE_LEAF_BITS_4K) | spte_leaf_bits(gpte, 1);
			change(l, index, spte, now, gpte, tally);
			return;
		}
	}
	if (spte) {
		leaf_clear(l, index, spte, gpte_gfn(was, 1));
		tally->cleared++;
	}
	if (usable)
		fill(l, index, gpte);
}

static inline void settle_tally(const struct leaves *l, const struct tally *tally)
{
	l->vm->changes++;
	if (tally->cleared)
		leaf_cleared(l, tally->cleared);
	else if ((tally->gone & ~X86_PTE_NX) || (tally->come & ~X86_PTE_W))
		flush_note_lost(l->vm, l->page);
	l->vm->stale_writable |= tally->were & X86_PTE_W;
}

/* What the entry above the last level, which leads where it led, has to be for @gpte; 0: it has to
 * go. */
static uint64_t changed_upper(struct umbra_vm *vm, uint32_t page, uint64_t spte, uint64_t gpte)
{
	const struct shadow_page *sp = &vm->pages[page];
	unsigned level = page_level(sp);
	bool terminal = gpte_terminal(gpte, level);
	uint64_t now;

	if (!gpte_usable(page_format(vm, sp), gpte, level))
		return 0;
	if (spte_is_leaf(spte, level))
		return changed_leaf(vm, sp->role, spte, gpte, level);
	now = (spte & ~SPTE_RIGHTS) | spte_rights(sp->role, gpte, terminal);
	/* Rule 6: no link may gain rights while tables below it can be unsync; and to
	 * lose U is to gain the supervisor's under SMAP and SMEP. */
	return terminal || now == spte ? now : 0;
}

/* sync_entry() above it. */
static void sync_upper_entry(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	struct shadow_page *sp = &vm->pages[page];
	uint64_t spte = set_read(vm, page, index);
	bool same = same_target(sp->role, vm->snapshots[page][index], gpte);
	uint64_t now = spte && same ? changed_upper(vm, page, spte, gpte) : 0;

	if (spte)
		note_stale(vm, sp, spte);
	if (now) {
		set_bits(vm, page, index, now);
	} else if (spte) {
		uint32_t child = set_clear(vm, page, index);

		/* Only when the link went for good, not when the entry merely lost A, say. */
		if (child && (!(gpte & X86_PTE_P) || !same))
			page_note_orphan(vm, child);
	}
	vm->snapshots[page][index] = gpte;
	page_touch(sp, index);
}

void sync_entry(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	if (page_level(&vm->pages[page]) == 1) {
		struct leaves l = leaves_of(vm, page);
		struct tally tally = {0};

		page_touch(l.sp, index);
		sync_leaf(&l, index, gpte, &tally);
		settle_tally(&l, &tally);
	} else {
		sync_upper_entry(vm, page, index, gpte);
	}
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

/* What changed in the group at @first of an upper table. Returns how many entries. */
static unsigned sync_upper_group(
	struct umbra_vm *vm, uint32_t page, unsigned first, const uint64_t *now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < GROUP_ENTRIES; i++) {
		uint64_t gpte = gpte_load(&now[i]);

		if (gpte != vm->snapshots[page][first + i]) {
			sync_upper_entry(vm, page, first + i, gpte);
			n++;
		}
	}
	return n;
}

/* The same at the last level. */
static unsigned sync_leaf_group(
	struct umbra_vm *vm, uint32_t page, unsigned first, const uint64_t *now)
{
	struct leaves l = leaves_from(vm, page, first);
	struct tally tally = {0};
	unsigned n = 0;

#pragma GCC unroll 8
	for (unsigned i = 0; i < GROUP_ENTRIES; i++) {
		uint64_t gpte = gpte_load(&now[i]);

		if (gpte != l.snapshot[i]) {
			sync_leaf(&l, i, gpte, &tally);
			n++;
		}
	}
	settle_tally(&l, &tally);
	return n;
}

/* Something in the group at @first has changed: its entries are @now. */
static __attribute__((noinline)) void sync_group(
	struct umbra_vm *vm, uint32_t page, unsigned first, const uint64_t *now)
{
	vm->stats.mmu_sync_changed += page_level(&vm->pages[page]) > 1
					      ? sync_upper_group(vm, page, first, now)
					      : sync_leaf_group(vm, page, first, now);
}

/* The same for narrow tables, where anything may have changed or nothing. */
static void sync_narrow_group(
	struct umbra_vm *vm, uint32_t page, unsigned first, struct gpte_table table)
{
	uint64_t now[GROUP_ENTRIES];

	for (unsigned i = 0; i < GROUP_ENTRIES; i++)
		now[i] = gpte_at(table, first + i);
	sync_group(vm, page, first, now);
}

bool sync_fill_group(struct umbra_vm *vm, uint32_t page, unsigned first)
{
	struct gpte_table table = page_gptes(&vm->pages[page]);
	struct leaves l = leaves_from(vm, page, first);
	unsigned n = 0;

	page_touch(l.sp, first);
	for (unsigned i = 0; i < GROUP_ENTRIES; i++) {
		uint64_t gpte = gpte_at(table, first + i);

		if (leaf_read(&l, i)) {
			n++;
		} else if (gpte != l.snapshot[i]) {
			l.snapshot[i] = gpte;
			if (leaf_usable(&l, gpte)) {
				fill(&l, i, gpte);
				n++;
			}
		}
	}
	return n == GROUP_ENTRIES;
}

static inline bool four_groups_same(const uint64_t *now, const uint64_t *was)
{
	return gpte_group_same(now, was) &&
	       gpte_group_same(now + GROUP_ENTRIES, was + GROUP_ENTRIES) &&
	       gpte_group_same(now + 2 * GROUP_ENTRIES, was + 2 * GROUP_ENTRIES) &&
	       gpte_group_same(now + 3 * GROUP_ENTRIES, was + 3 * GROUP_ENTRIES);
}

/* The way of nearly all tables: three instructions an entry. Groups that were touched mostly lie
 * side by side. */
static void compare_wide(struct umbra_vm *vm, uint32_t page, const uint64_t *table)
{
	const uint64_t *now = table;
	const uint64_t *was = vm->snapshots[page];
	uint64_t groups = vm->pages[page].touched;

	while (groups) {
		unsigned n = (unsigned)__builtin_ctzll(groups) * GROUP_ENTRIES;

		now += n;
		was += n;
		groups >>= n / GROUP_ENTRIES;
		for (; (groups & 15) == 15 && four_groups_same(now, was); groups >>= 4) {
			now += 4 * GROUP_ENTRIES;
			was += 4 * GROUP_ENTRIES;
		}
		if (!(groups & 1))
			continue;
		if (!gpte_group_same(now, was))
			sync_group(vm, page, (unsigned)(now - table), now);
		now += GROUP_ENTRIES;
		was += GROUP_ENTRIES;
		groups >>= 1;
	}
}

bool sync_page(struct umbra_vm *vm, uint32_t page)
{
	const struct gpte_table table = page_gptes(&vm->pages[page]);
	uint64_t before = vm->stats.mmu_sync_changed;

	vm->stats.mmu_sync++;
	if (LIKELY(table.wide)) {
		compare_wide(vm, page, table.wide);
	} else {
		for (uint64_t groups = vm->pages[page].touched; groups; groups &= groups - 1)
			sync_narrow_group(
				vm, page, (unsigned)__builtin_ctzll(groups) << GROUP_SHIFT, table);
	}
	return vm->stats.mmu_sync_changed != before;
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

/* Writes are trapped again from here on, and what was written until now is seen: so protect first,
 * then compare. */
static void protect_again(struct umbra_vm *vm, uint64_t gfn)
{
	frame_of(vm, gfn)->shadows &= ~FRAME_FLAGS;
	sync_write_protect(vm, gfn);
	if (vm->flush_all && vm->n_vcpus > 1)
		flush_now(vm);
	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page)) {
		unsync_leave(vm, page);
		sync_page(vm, page);
	}
}

void sync_unsync(struct umbra_vm *vm, uint64_t gfn)
{
	frame_of(vm, gfn)->shadows |= FRAME_UNSYNC;
	vm->stats.mmu_unsync++;
	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page))
		unsync_join(vm, page);
}

/* Rule 6, for what hangs below a table. */
static void sync_list(struct umbra_vm *vm, uint32_t owner, unsigned which)
{
	for (uint32_t page = vm->pages[owner].unsync[which].first; page;
		page = vm->pages[page].unsync_next) {
		if (unsync_written(vm, page))
			sync_page(vm, page);
	}
}

void sync_attach(struct umbra_vm *vm, uint32_t page, uint32_t owner)
{
	struct shadow_page *sp = &vm->pages[page];

	if (!sp->parents && !sp->roots && sp->owner != owner) {
		if (page_level(sp) > 1)
			page_empty(vm, page, false);
		unsync_give(vm, page, owner);
		if (page_level(sp) > 1)
			return;
	}
	if (page_level(sp) == 1) {
		if (unsync_page(sp) && unsync_written(vm, page))
			sync_page(vm, page);
		return;
	}
	/* Which of them are below is not known. */
	for (unsigned which = 0; which < UNSYNC_LISTS; which++) {
		sync_list(vm, sp->owner, which);
		if (sp->owner)
			sync_list(vm, 0, which);
	}
}

/* ---- events ---- */

/* Rule 7 at a flush. Returns true if something was found changed. */
static bool flush_page(struct umbra_vm *vm, uint32_t page)
{
	if (!unsync_take_written(vm, page)) {
		vm->stats.mmu_sync_skipped++;
		return false;
	}
	if (LIKELY(vm->policy.snapshot))
		return sync_page(vm, page);
	vm->stats.mmu_sync++;
	page_empty(vm, page, false);
	return true;
}

/* The table of @page changes: its other pages need not. */
static void not_idle(struct umbra_vm *vm, struct shadow_page *sp)
{
	sp->idle = 0;
	if (LIKELY((sp->frame->shadows & ~FRAME_FLAGS) == 1))
		return;
	for (uint32_t p = page_of_table(vm, sp->gfn, 0); p; p = page_of_table(vm, sp->gfn, p))
		vm->pages[p].idle = 0;
}

/* Rules 4, 9 and 10. */
static void flush_list(struct umbra_vm *vm, uint32_t owner, unsigned which)
{
	unsigned n = 0;

	for (uint32_t page = vm->pages[owner].unsync[which].first; page; page = vm->unsync_next) {
		struct shadow_page *sp = &vm->pages[page];

		vm->unsync_next = sp->unsync_next;
		if (flush_page(vm, page))
			not_idle(vm, sp);
		else if (++sp->idle > vm->policy.sticky)
			protect_again(vm, sp->gfn);
		if (++n > UNSYNC_MAX && sp->listed)
			protect_again(vm, sp->gfn);
		/* From the root down: before what hangs below them is compared in vain. */
		if (vm->n_orphans)
			sync_reap_orphans(vm);
	}
}

static void flush_owner(struct umbra_vm *vm, uint32_t owner)
{
	flush_list(vm, owner, UNSYNC_UPPER);
	flush_list(vm, owner, UNSYNC_LEAF);
}

/* Call @each for the owners of what @root reaches: itself, or those below PDPTEs, and 0. */
static inline void for_each_owner(
	struct umbra_vm *vm, uint32_t root, void (*each)(struct umbra_vm *vm, uint32_t owner))
{
	if (LIKELY(!(vm->pages[root].role & ROLE_PAE_ROOT))) {
		if (vm->pages[root].owner)
			each(vm, root);
	} else {
		for (unsigned i = 0; i < 4; i++) {
			uint64_t spte = set_read(vm, root, i);
			uint32_t child = spte ? spte_child(vm, spte) : 0;

			if (child && vm->pages[child].owner)
				each(vm, vm->pages[child].owner);
		}
	}
	each(vm, 0);
}

void sync_root(struct umbra_vm *vm, uint32_t root)
{
	for_each_owner(vm, root, flush_owner);
}

void sync_path(struct umbra_vm *vm, umbra_gva gva, uint32_t page)
{
	unsigned level = page_level(&vm->pages[page]);

	for (; !page_direct(&vm->pages[page]); level--) {
		unsigned index = gva_index(gva, level);
		uint64_t spte;

		sync_entry_now(vm, page, index);
		if (page_narrow(&vm->pages[page]))
			sync_other_half(vm, page, index);
		spte = set_read(vm, page, index);
		if (!spte_present(spte) || spte_is_leaf(spte, level))
			return;
		page = spte_child(vm, spte);
	}
}

/* Upper tables are written rarely: when one was, it is better to flush more now than to compare it
 * at every INVLPG from here on. */
static void sync_upper(struct umbra_vm *vm, uint32_t owner)
{
	for (uint32_t page = vm->pages[owner].unsync[UNSYNC_UPPER].first; page;
		page = vm->pages[page].unsync_next) {
		if (unsync_take_written(vm, page))
			sync_page(vm, page);
	}
}

void sync_gva(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct descent *known;

	if (!(vcpu->regs.efer & X86_EFER_TCE))
		for_each_owner(vm, vcpu->root, sync_upper);
	known = tree_known(vcpu, gva);
	if (LIKELY(known))
		sync_entry_now(vm, known->page, gva_index(gva, 1));
	else
		sync_path(vm, gva, vcpu->root);
}

/* ---- orphans ---- */

void sync_reap_orphans(struct umbra_vm *vm)
{
	while (vm->n_orphans) {
		uint32_t page = vm->orphans[--vm->n_orphans];
		const struct shadow_page *sp = &vm->pages[page];

		if (sp->in_use && !sp->parents && !sp->roots)
			page_zap(vm, page, true);
	}
}
