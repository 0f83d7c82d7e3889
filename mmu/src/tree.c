/* SPDX-License-Identifier: MIT */
/* The shape of the shadow trees; see tree.h. */
#include "tree.h"

#include "flush.h"
#include "mode.h"
#include "page.h"
#include "set.h"
#include "slot.h"
#include "spte.h"
#include "sync.h"
#include "track.h"
#include "unsync.h"

bool tree_target(struct umbra_vm *vm, uint64_t gfn, struct target *target)
{
	struct slot *slot = slot_find(vm, gfn);

	*target = (struct target){.slot = slot};
	if (!slot) {
		target->hfn = vm->absent_page >> X86_PAGE_SHIFT;
		return vm->absent_page;
	}
	target->frame = slot_frame(slot, gfn);
	target->hfn = slot->hfn + (gfn - slot->first);
	target->writable = slot->writable;
	target->tracked = track_device(vm, slot, gfn);
	return true;
}

bool tree_may_write(struct umbra_vm *vm, uint64_t gfn, unsigned level)
{
	struct target target;

	/* A 2M leaf exists only where there is no table (fits_large). */
	return tree_target(vm, gfn, &target) && target.writable &&
	       (level > 1 || !target_protected(&target));
}

/* ---- leaves ---- */

/*
 * Put @spte (without rmap bit) in place of what is there: nothing, a leaf for the same guest frame,
 * or a link to the parts of it. Returns false if it was there already.
 */
static bool replace_leaf(
	struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t spte, uint32_t *rmap)
{
	uint64_t old = set_read(vm, page, index);
	unsigned level = page_level(&vm->pages[page]);

	if (!old) {
		set_leaf(vm, page, index, spte, rmap);
		return true;
	}
	if (spte_is_leaf(old, level)) {
		if (!((old ^ spte) & ~(SPTE_HW_AD | SPTE_RMAP)))
			return false;
		if (spte_rights_lost(old, spte))
			flush_later(vm);
		set_bits(vm, page, index, spte | (old & SPTE_RMAP));
		return true;
	}
	set_clear(vm, page, index);
	flush_later(vm);
	set_leaf(vm, page, index, spte, rmap);
	return true;
}

void tree_prefetch_device(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	uint64_t bits = spte_rights(vm->pages[page].role, gpte, true) | spte_leaf_bits(gpte, 1);
	struct target target;

	if (!tree_target(vm, gpte_gfn(gpte, 1), &target))
		return;
	vm->stats.mmu_prefetch++;
	if (!target.writable || target.tracked)
		bits &= ~X86_PTE_W;
	set_leaf(vm, page, index, target.hfn << X86_PAGE_SHIFT | X86_PTE_P | bits, NULL);
}

void tree_prefetch_window(struct umbra_vm *vm, uint32_t page, unsigned index)
{
	unsigned n = vm->policy.prefetch > GROUP_ENTRIES ? vm->policy.prefetch : GROUP_ENTRIES;
	unsigned first = index & ~(n - 1);
	unsigned filled = 1; /* with @index itself */

	for (unsigned i = first; i < first + n; i += GROUP_ENTRIES)
		filled += sync_fill_group(vm, page, i);
	/* What comes in such numbers goes on behind them, mostly. */
	if (filled < n)
		return;
	for (unsigned i = first + n; i < ENTRIES; i += GROUP_ENTRIES) {
		if (sync_fill_group(vm, page, i) < GROUP_ENTRIES)
			return;
	}
}

/* All of a new direct page at level 1: it stands for a 2M page, whose parts are used at random. */
static void fill_direct(struct umbra_vm *vm, uint32_t page)
{
	const struct shadow_page *sp = &vm->pages[page];
	uint64_t bits = spte_direct_leaf_bits(sp->role, 1) | X86_PTE_P | X86_PTE_U;
	unsigned n;

	for (unsigned i = 0; i < ENTRIES; i += n) {
		struct target target;
		uint64_t run = 1;
		uint64_t leaf = bits;

		n = 1;
		if (!tree_target(vm, sp->gfn + i, &target))
			continue;
		if (target.slot && !target.slot->n_tracked)
			run = target.slot->first + target.slot->n_frames - (sp->gfn + i);
		n = run < ENTRIES - i ? (unsigned)run : ENTRIES - i;
		if (target.writable && !target.tracked)
			leaf |= X86_PTE_W;
		set_leaves(vm, page, i, n, leaf | target.hfn << X86_PAGE_SHIFT, target.frame);
	}
}

/* ---- links ---- */

/* Make the entry a link to @child with @bits, in place of nothing, the same link, or the leaf it
 * splits. */
static void relink(
	struct umbra_vm *vm, uint32_t page, unsigned index, uint32_t child, uint64_t bits)
{
	uint64_t old = set_read(vm, page, index);
	uint64_t spte = (old & ~SPTE_RIGHTS) | bits;

	if (!old || spte_is_leaf(old, page_level(&vm->pages[page])) ||
		spte_child(vm, old) != child) {
		if (old) {
			set_clear(vm, page, index);
			flush_later(vm);
		}
		set_link(vm, page, index, child, bits);
	} else if (spte != old && !(vm->pages[page].role & ROLE_PAE_ROOT)) {
		if (spte_rights_lost(old, spte))
			flush_later(vm);
		set_bits(vm, page, index, spte);
	}
}

/* The page for the guest table under @gpte, linked from the entry for it. */
static uint32_t link_table(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	uint32_t role = spte_table_role(vm->pages[page].role, index, gpte);
	uint64_t gfn = (gpte & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	uint64_t spte = set_read(vm, page, index);
	uint32_t child;

	if (spte)
		return spte_child(vm, spte);
	child = page_lookup(vm, gfn, role);
	if (!child)
		child = page_create(vm, gfn, role, page);
	else
		sync_attach(vm, child, unsync_heir(vm, page, child));
	/* The comparison may have read another entry than the one that is being linked. */
	vm->snapshots[page][index] = gpte;
	set_link(vm, page, index, child, spte_rights(role, gpte, false));
	return child;
}

static uint32_t link_direct(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gfn,
	uint32_t role, uint64_t bits)
{
	uint32_t child = page_lookup(vm, gfn, role);

	if (!child) {
		child = page_create(vm, gfn, role, page);
		if ((role & ROLE_LEVEL) == 1)
			fill_direct(vm, child);
	}
	relink(vm, page, index, child, bits);
	return child;
}

void tree_load_pdptes(struct umbra_vm *vm, uint32_t root)
{
	const struct shadow_page *sp = &vm->pages[root];
	const uint64_t *pdpte = sp->guest;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t spte = set_read(vm, root, i);
		uint32_t child = 0;

		if (spte && pdpte[i] == vm->snapshots[root][i])
			continue;
		/* No table was freed: what it leads to may be loaded again. */
		if (spte)
			set_clear(vm, root, i);
		if (pdpte[i] & X86_PTE_P)
			child = page_lookup(
				vm, gpte_gfn(pdpte[i], 3), spte_table_role(sp->role, i, pdpte[i]));
		if (child)
			set_link(vm, root, i, child, 0);
		vm->snapshots[root][i] = child ? pdpte[i] : 0;
	}
}

void tree_inherit(struct umbra_vm *vm, uint32_t from, uint32_t to)
{
	struct gpte_table table = page_gptes(&vm->pages[to]);

	for (unsigned i = set_next(vm, from, 0); i < ENTRIES; i = set_next(vm, from, i + 1)) {
		uint64_t spte = set_read(vm, from, i);
		uint32_t child = spte_child(vm, spte);
		uint64_t gpte = gpte_at(table, i);

		if (gpte != vm->snapshots[from][i] || set_read(vm, to, i) || vm->pages[child].owner)
			continue;
		set_link(vm, to, i, child, spte & SPTE_RIGHTS);
		vm->snapshots[to][i] = gpte;
	}
}

/* ---- the way down ---- */

static void walk_from(const struct umbra_vm *vm, struct walk *walk, uint32_t page, unsigned level,
	uint64_t all, uint64_t any)
{
	walk->top = level;
	walk->page = page;
	walk->table = vm->pages[page].guest;
	walk->table_ro = vm->pages[page].guest_ro;
	walk->all = all;
	walk->any = any;
}

static struct descent *descent_slot(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	return &vcpu->descents[tree_descent_at(vcpu, gva)];
}

/* One more level of a descent in the making: @gpte, of @page. Of narrow entries there are two in
 * the word that is kept. */
static void descent_pass(
	struct umbra_vm *vm, struct descent *known, uint32_t page, umbra_gva gva, uint64_t gpte)
{
	const struct shadow_page *sp = &vm->pages[page];
	unsigned level = page_level(sp);
	const uint64_t *at = sp->guest;

	known->all &= gpte;
	known->any |= gpte;
	if (UNLIKELY(page_narrow(sp)))
		at += gva >> (3 + 10 * level) & (ENTRIES - 1);
	else
		at += gva_index(gva, level);
	known->at[level - 2] = at;
	known->was[level - 2] = gpte;
	if (UNLIKELY(page_narrow(sp))) {
		known->was[level - 2] = gpte_load(at);
		/* Another vCPU may have written it since. */
		known->sure &= page_gpte(sp, gva_index(gva, level)) == gpte;
	}
}

/* It came to @page, at level 1. Nothing has been unlinked since @made. */
static void descent_done(
	struct umbra_vcpu *vcpu, struct descent *known, umbra_gva gva, uint32_t page, uint64_t made)
{
	if (!known->sure)
		return;
	known->tag = tree_descent_tag(vcpu, gva);
	known->made = made;
	known->page = page;
}

/* The same where it came to a large page, which @page has the parts of. */
static void descent_done_large(struct umbra_vcpu *vcpu, const struct descent *known, umbra_gva gva,
	uint32_t page, uint64_t made)
{
	struct descent *large = &vcpu->large[tree_descent_large_at(vcpu, gva)];

	if (!known->sure)
		return;
	*large = *known;
	for (unsigned i = vcpu->mode->levels - 1; i < MAX_LEVEL - 1; i++)
		large->at[i] = &large->was[i];
	large->tag = tree_descent_tag(vcpu, gva);
	large->made = made;
	large->page = page;
}

static void descend(struct umbra_vcpu *vcpu, umbra_gva gva, struct walk *walk)
{
	struct umbra_vm *vm = vcpu->vm;
	struct descent *known = descent_slot(vcpu, gva);
	uint32_t page = vcpu->root;
	unsigned level = vcpu->mode->levels;

	known->tag = 0;
	known->sure = true;
	known->all = ~0ull;
	known->any = 0;
	for (unsigned i = level ? level - 1 : 0; i < MAX_LEVEL - 1; i++)
		known->at[i] = &known->was[i];
	for (; level > 1; level--) {
		unsigned index = gva_index(gva, level);
		uint64_t spte = set_read(vm, page, index);
		uint64_t gpte = page_gpte(&vm->pages[page], index);

		/* As in the snapshot, and not PS: then the shadow entry, if there is one, links to
		 * the table. */
		if (!spte || gpte != vm->snapshots[page][index] || (gpte & X86_PTE_PS))
			break;
		descent_pass(vm, known, page, gva, gpte);
		page = spte_child(vm, spte);
	}
	walk_from(vm, walk, page, level, known->all, known->any);
	if (level == 1)
		descent_done(vcpu, known, gva, page, vm->clock);
}

uint32_t tree_known_page(const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	const struct descent *known = tree_known(vcpu, gva);

	return known ? known->page : vcpu->root;
}

void tree_descend(struct umbra_vcpu *vcpu, umbra_gva gva, struct walk *walk)
{
	const struct descent *known = tree_known(vcpu, gva);

	if (known)
		walk_from(vcpu->vm, walk, known->page, 1, known->all, known->any);
	else
		descend(vcpu, gva, walk);
}

/* Rights of the entry that stands for the guest's terminal one, for this access. */
static uint64_t terminal_rights(
	const struct umbra_vcpu *vcpu, uint32_t role, const struct walk *walk, access_bits access)
{
	uint64_t gpte = walk->gpte[walk->leaf_level];
	uint64_t rights = spte_rights(role, gpte, true);

	/*
	 * CR0.WP=0: a supervisor may write what the guest's tables make read-only. Such an entry is
	 * not for users, who fault and get it back as it was; nor for fetches if SMEP would forbid
	 * them, here or where the same table hangs below entries with other rights.
	 */
	if ((role & ROLE_WP0) && (access & (X86_PF_W | X86_PF_U)) == X86_PF_W &&
		!(walk->all & X86_PTE_W)) {
		rights = (rights & X86_PTE_NX) | X86_PTE_W;
		if ((gpte & X86_PTE_U) && vcpu->smep)
			rights |= X86_PTE_NX;
	}
	return rights;
}

/* Can the 2M at @gfn be one leaf? */
static bool fits_large(const struct umbra_vm *vm, uint64_t gfn, const struct target *target)
{
	if (!vm->policy.large || !slot_large_fits(target->slot, gfn))
		return false;
	if (target->frame)
		return !slot_region(target->slot, gfn)->n_tables;
	return !target->slot->n_tracked ||
	       !track_any(vm, gfn & ~(uint64_t)(LARGE_FRAMES - 1), LARGE_FRAMES);
}

static uint32_t *large_rmap(const struct target *target, uint64_t gfn)
{
	return target->frame ? &slot_region(target->slot, gfn)->rmap : NULL;
}

/* The leaf for the terminal guest entry or inside a direct page, where it is to be at @level. */
static bool map_leaf(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t bits,
	uint64_t gfn, const struct target *target)
{
	bool large = bits & X86_PTE_PS && page_level(&vm->pages[page]) > 1;
	uint64_t hfn = target->hfn;
	uint32_t *rmap = target->frame ? &target->frame->rmap : NULL;

	if (large) {
		hfn &= ~(uint64_t)(LARGE_FRAMES - 1);
		rmap = large_rmap(target, gfn);
	}
	if (!target->writable || (!large && target_protected(target)))
		bits &= ~X86_PTE_W;
	return replace_leaf(
		vm, page, index, hfn << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_A | bits, rmap);
}

/* Bring an entry on the way, and its snapshot, to the guest entry just read: a fault is a sync
 * point. Returns true if the entry stood for another one. */
static bool refresh(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	if (vm->snapshots[page][index] == gpte)
		return false;
	if (page_narrow(&vm->pages[page]))
		sync_other_half(vm, page, index);
	if (set_read(vm, page, index)) {
		sync_entry(vm, page, index, gpte);
		return true;
	}
	vm->snapshots[page][index] = gpte;
	page_touch(&vm->pages[page], index);
	return false;
}

bool tree_map(struct umbra_vcpu *vcpu, umbra_gva gva, const struct walk *walk, access_bits access,
	const struct target *target)
{
	struct umbra_vm *vm = vcpu->vm;
	struct descent *known = descent_slot(vcpu, gva);
	uint64_t before = vm->clock;
	uint32_t page = walk->page;
	bool changed = false;
	uint32_t child;

	for (unsigned level = page_level(&vm->pages[page]);; level--, page = child) {
		uint32_t role = vm->pages[page].role;
		unsigned index = gva_index(gva, level);
		uint64_t bits = X86_PTE_W | X86_PTE_U;
		uint64_t old = set_read(vm, page, index);
		uint64_t gpte = 0;

		if (!(role & ROLE_DIRECT)) {
			gpte = walk->gpte[level];
			changed |= refresh(vm, page, index, gpte);
			if (level > walk->leaf_level) {
				child = link_table(vm, page, index, gpte);
				descent_pass(vm, known, page, gva, gpte);
				changed |= set_read(vm, page, index) != old;
				continue;
			}
			bits = terminal_rights(vcpu, role, walk, access);
		}
		if (level == 1 || (level == 2 && fits_large(vm, walk->gfn, target))) {
			bits |= role & ROLE_DIRECT ? spte_direct_leaf_bits(role, level)
						   : spte_leaf_bits(gpte, level);
			changed |= map_leaf(vm, page, index, bits, walk->gfn, target);
			if (gpte && level == 1) {
				descent_done(vcpu, known, gva, page, before);
				tree_prefetch_around(vm, page, index, access);
			} else if (level == 1 && walk->leaf_level == 2 && !walk->narrow) {
				descent_done_large(vcpu, known, gva, page, before);
			}
			return changed;
		}
		if (walk->leaf_level == 2)
			descent_pass(vm, known, page, gva, gpte);
		/* The guest's page is larger than a leaf can be here: the parts hang in a direct
		 * page. */
		role = role & ROLE_DIRECT ? (role & ~ROLE_PAE_ROOT) - 1
					  : spte_direct_role(gpte, level);
		child = link_direct(
			vm, page, index, walk->gfn & ~(level_frames(level) - 1), role, bits);
		changed |= set_read(vm, page, index) != old;
	}
}
