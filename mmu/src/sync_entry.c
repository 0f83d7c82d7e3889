/* SPDX-License-Identifier: MIT */
/*
 * Entries of unsync tables brought up to date: what a guest entry is now, compared with the one
 * that the shadow entry was made for; one by one, by the group and by the page. See sync.h; when
 * this is done, and why that is enough, is at the top of sync.c.
 */
#include "sync.h"

#include "leaf.h"
#include "page.h"
#include "set.h"
#include "tree.h"

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

	return LIKELY(frame) ? slot_may_write(slot, frame) : tree_may_write(l->vm, gfn, 1);
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

/* sync_entry() at the last level. */
LEAF_INLINE void sync_leaf(
	const struct leaves *l, unsigned index, uint64_t gpte, struct tally *tally)
{
	uint64_t spte = leaf_read(l, index);
	uint64_t was = l->snapshot[index];
	bool usable = gpte_grants(gpte, l->reserved);

	tally->were |= spte;
	l->snapshot[index] = gpte;
	if (spte && usable) {
		/* Without A, to see whether it is used. */
		uint64_t now =
			(spte & ~(SPTE_RIGHTS | X86_PTE_A)) | spte_rights(l->role, gpte, true);

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
	else if ((tally->gone & ~(X86_PTE_NX | X86_PTE_A)) || (tally->come & ~X86_PTE_W))
		flush_note_lost(l->vm, l->page);
	l->vm->stale_writable |= tally->were & X86_PTE_W;
	l->vm->use_seen |= tally->were & X86_PTE_A;
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
	/* Rule 6: no link may gain rights while tables below it can be unsync; and to lose U is to
	 * gain the supervisor's under SMAP and SMEP. */
	return terminal || now == spte ? now : 0;
}

/* sync_entry() above the last level. */
static void sync_upper_entry(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	struct shadow_page *sp = &vm->pages[page];
	uint64_t spte = set_read(vm, page, index);
	bool same = same_target(sp->role, vm->snapshots[page][index], gpte);
	uint64_t now = spte && same ? changed_upper(vm, page, spte, gpte) : 0;

	vm->use_seen |= spte & X86_PTE_A;
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

void sync_written(
	struct umbra_vm *vm, uint64_t gfn, unsigned n_tables, unsigned offset, size_t n_bytes)
{
	uint32_t page = 0;

	while (n_tables--) {
		unsigned i, end;

		page = page_of_table(vm, gfn, page);
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
	unsigned n = GROUP_ENTRIES;

#pragma GCC unroll 8
	for (unsigned i = 0; i < GROUP_ENTRIES; i++) {
		uint64_t gpte = gpte_load(&now[i]);

		if (gpte == l.snapshot[i])
			n--;
		else
			sync_leaf(&l, i, gpte, &tally);
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

unsigned sync_fill_group(struct umbra_vm *vm, uint32_t page, unsigned first)
{
	struct gpte_table table = page_gptes(&vm->pages[page]);
	struct leaves l = leaves_from(vm, page, first);
	unsigned n = 0;

	page_touch(l.sp, first);
	for (unsigned i = 0; i < GROUP_ENTRIES; i++) {
		uint64_t gpte = gpte_at(table, first + i);

		if (leaf_read(&l, i) || gpte == l.snapshot[i])
			continue;
		l.snapshot[i] = gpte;
		if (gpte_grants(gpte, l.reserved)) {
			fill(&l, i, gpte);
			n++;
		}
	}
	return n;
}

static inline bool four_groups_same(const uint64_t *now, const uint64_t *was)
{
	return gpte_group_same(now, was) &&
	       gpte_group_same(now + GROUP_ENTRIES, was + GROUP_ENTRIES) &&
	       gpte_group_same(now + 2 * GROUP_ENTRIES, was + 2 * GROUP_ENTRIES) &&
	       gpte_group_same(now + 3 * GROUP_ENTRIES, was + 3 * GROUP_ENTRIES);
}

static inline void compare_groups(
	struct umbra_vm *vm, uint32_t page, unsigned first, const uint64_t *now, unsigned n)
{
	for (; n; n--, first += GROUP_ENTRIES, now += GROUP_ENTRIES) {
		if (!gpte_group_same(now, &vm->snapshots[page][first]))
			sync_group(vm, page, first, now);
	}
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
		for (; (groups & 15) == 15; groups >>= 4) {
			if (!four_groups_same(now, was))
				compare_groups(vm, page, (unsigned)(now - table), now, 4);
			now += 4 * GROUP_ENTRIES;
			was += 4 * GROUP_ENTRIES;
		}
		if (!(groups & 1))
			continue;
		compare_groups(vm, page, (unsigned)(now - table), now, 1);
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
