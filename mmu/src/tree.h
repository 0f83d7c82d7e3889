/* SPDX-License-Identifier: MIT */
/*
 * The shape of the shadow trees: which page hangs below which entry, which leaf is where. Decides
 * what an entry maps and with which rights (I1, I2, I5, I11); set.c writes it. Lock: MMU lock held,
 * everywhere here.
 */
#ifndef MMU_TREE_H
#define MMU_TREE_H

#include "gpte.h"
#include "slot.h"
#include "walk.h"

/* What a guest frame is backed by. */
struct target {
	const struct slot *slot; /* NULL: absent */
	struct frame *frame;     /* NULL: not RAM */
	uint64_t hfn;
	bool writable; /* the slot lets the guest write */
	bool tracked;  /* no RAM: stores into the frame must be seen (I2) */
};

/* Must stores into its 4K frame be seen now (I2)? */
static inline bool target_protected(const struct target *target)
{
	return target->frame ? frame_protected(target->frame) : target->tracked;
}

/* Returns false if nothing may be mapped for @gfn (absent, and the embedder gave no absent page).
 */
bool tree_target(struct umbra_vm *vm, uint64_t gfn, struct target *target);

/* See POOL_MAX. */
static inline uint64_t tree_descent_tag(const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	return gva >> 21 | (uint64_t)vcpu->root << 43;
}

/* Where the descent for @gva is kept, if it is. Processes have the same addresses in use. */
static inline unsigned tree_descent_at(const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	return (unsigned)(gva >> 21 ^ vcpu->root) & (DESCENTS - 1);
}

/* The same where it ends in a large page. Tables lie anywhere, and few roots take turns. */
static inline unsigned tree_descent_large_at(const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	return (unsigned)(gva >> 21 ^ gva >> 25 ^ vcpu->root ^ vcpu->root >> 4) & (DESCENTS - 1);
}

/* Is @known a descent for @gva, and still good? */
static inline bool tree_descent_holds(
	const struct umbra_vcpu *vcpu, const struct descent *known, umbra_gva gva)
{
	const struct shadow_page *pages = vcpu->vm->pages;

	if (known->tag != tree_descent_tag(vcpu, gva) || pages[0].unlinked > known->made ||
		pages[vcpu->root].unlinked > known->made)
		return false;
	static_assert(MAX_LEVEL == 5, "four levels above the last");
	return gpte_load(known->at[0]) == known->was[0] &&
	       gpte_load(known->at[1]) == known->was[1] &&
	       gpte_load(known->at[2]) == known->was[2] && gpte_load(known->at[3]) == known->was[3];
}

/* The descent for @gva, if one is remembered and still good; NULL if not. */
static inline const struct descent *tree_known(const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	const struct descent *known = &vcpu->descents[tree_descent_at(vcpu, gva)];

	return tree_descent_holds(vcpu, known, gva) ? known : NULL;
}

/* The same that ends in a large page of the guest's. */
static inline const struct descent *tree_known_large(const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	const struct descent *known = &vcpu->large[tree_descent_large_at(vcpu, gva)];

	return tree_descent_holds(vcpu, known, gva) ? known : NULL;
}

/*
 * Begin a walk for @gva as far down as the shadow tree of @vcpu is known to stand for the guest's
 * tables: every entry passed is linked, and the guest's entry, read again here, is the one that it
 * was linked for.
 */
void tree_descend(struct umbra_vcpu *vcpu, umbra_gva gva, struct walk *walk);

/* The lowest page on the way of @gva that is known without looking: of its last-level table, or the
 * root. */
uint32_t tree_known_page(const struct umbra_vcpu *vcpu, umbra_gva gva);

/*
 * Make the shadow tree of @vcpu translate @gva as @walk, begun by tree_descend(), found it, for
 * @access, to @target. A write gets W only if nothing protects the frame. RESERVE_PAGES must be
 * free. Cannot fail. Returns false if there was nothing to change.
 */
bool tree_map(struct umbra_vcpu *vcpu, umbra_gva gva, const struct walk *walk, access_bits access,
	const struct target *target);

/*
 * Fill the new root @to with the links of @from, the root that the vCPU comes from, where the
 * guest's entries are the same and lead to what all roots share: the kernel's half, mostly. What is
 * shared and unsync has just been brought up to date (sync.c, rule 6).
 */
void tree_inherit(struct umbra_vm *vm, uint32_t from, uint32_t to);

/* The PDPTEs behind the PAE @root were loaded: let its entries lead to their pages, where these are
 * there. The caller sees to sync_root() and the flush. */
void tree_load_pdptes(struct umbra_vm *vm, uint32_t root);

/* Install what can be of the entries around @index of @page, at level 1. */
void tree_prefetch_window(struct umbra_vm *vm, uint32_t page, unsigned index);

/*
 * Is it worth a look at the group of @index, which was just filled for @access? Data mostly goes on
 * where it began; code jumps about, so there it takes a second page of the group to be used. And
 * something must be there to be installed: a table of 8-byte entries shows that at once.
 */
static inline bool tree_prefetch_pays(
	const struct umbra_vm *vm, uint32_t page, unsigned index, access_bits access)
{
	const struct gpte_table table = page_gptes(&vm->pages[page]);
	unsigned first = index & ~(GROUP_ENTRIES - 1);
	const uint64_t *entries = &vm->tables[page][first];
	unsigned filled = 0;
	unsigned empty = 0; /* that need not be */

	if (UNLIKELY(vm->policy.prefetch > GROUP_ENTRIES))
		return true;
	if (LIKELY(table.wide) && gpte_group_same(table.wide + first, &vm->snapshots[page][first]))
		return false;
	for (unsigned i = 0; i < GROUP_ENTRIES; i++) {
		if (entries[i])
			filled++;
		else if (gpte_grants(gpte_at(table, first + i), 0))
			empty++;
	}
	return empty && (filled > 1 || !(access & X86_PF_I));
}

/* Prefetch around the entry that was just filled for @access, if it pays. */
static inline void tree_prefetch_around(
	struct umbra_vm *vm, uint32_t page, unsigned index, access_bits access)
{
	if (vm->policy.prefetch && tree_prefetch_pays(vm, page, index, access))
		tree_prefetch_window(vm, page, index);
}

/* Install the leaf for the usable @gpte, which leads to no RAM, in the empty entry @index of @page,
 * at level 1. */
void tree_prefetch_device(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte);

/* May a leaf at @level for @gfn be writable now: the slot lets it, and it covers no synced table?
 */
bool tree_may_write(struct umbra_vm *vm, uint64_t gfn, unsigned level);

#endif
