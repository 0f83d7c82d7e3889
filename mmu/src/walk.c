/* SPDX-License-Identifier: MIT */
/* The guest walk; see walk.h. */
#include "walk.h"

#include "gpte.h"
#include "mode.h"
#include "slot.h"

static bool fault(
	const struct umbra_vcpu *vcpu, access_bits access, uint32_t why, struct walk *walk)
{
	walk->error_code = walk_reported(vcpu, access) | why;
	return false;
}

/* Paging is off: everything is allowed. */
static bool unpaged(umbra_gva gva, struct walk *walk)
{
	walk->narrow = false;
	walk->leaf_level = 0;
	walk->gpte[0] = 0;
	walk->gfn = gva >> X86_PAGE_SHIFT;
	return true;
}

/* SDM 3A "Protection Keys". */
static bool key_denies(access_bits access, uint64_t all, uint64_t leaf)
{
	unsigned keys = all & X86_PTE_U ? ACCESS_USER_KEYS : ACCESS_SUPERVISOR_KEYS;

	return access >> (keys + gpte_key(leaf)) & 1;
}

/* SDM 3A "Page-Fault Exceptions": PK tells of the key whether or not another right failed too. */
static inline uint32_t judge(const struct umbra_vcpu *vcpu, access_bits access, uint64_t all,
	uint64_t any, uint64_t leaf)
{
	if (UNLIKELY(access >> ACCESS_USER_KEYS) && key_denies(access, all, leaf))
		return walk_reported(vcpu, access) | X86_PF_P | X86_PF_PK;
	return walk_permitted(vcpu, access, all, any) ? 0 : walk_reported(vcpu, access) | X86_PF_P;
}

uint32_t walk_judge(const struct umbra_vcpu *vcpu, access_bits access, const struct walk *walk)
{
	return judge(vcpu, access, walk->all, walk->any, walk->gpte[walk->leaf_level]);
}

/* The 4-byte entry for @gva at @level of @table. */
static uint64_t read_narrow(const struct umbra_vcpu *vcpu, const uint32_t *table, umbra_gva gva,
	unsigned level, struct walk *walk)
{
	const uint32_t *entry = &table[gva >> (2 + 10 * level) & 1023];

	walk->raw[level] = gpte_load_narrow(entry);
	walk->entry[level] = entry;
	return gpte_widen(walk->raw[level], level, vcpu->root_role & ROLE_PSE, gva >> 21 & 1);
}

/* walk_guest(), compiled for each kind of table. */
static inline __attribute__((always_inline)) bool walk_tables(const struct umbra_vcpu *vcpu,
	umbra_gva gva, access_bits access, struct walk *walk, bool narrow)
{
	const void *table = walk->table;
	uint64_t all = walk->all;
	uint64_t any = walk->any;
	bool ro = walk->table_ro;
	unsigned level = walk->top;
	uint64_t within; /* frames that the entry maps, less one */
	uint64_t gfn;

	walk->narrow = narrow;
	for (;; level--) {
		const uint64_t *entry = (const uint64_t *)table + gva_index(gva, level);
		const struct slot *slot;
		uint64_t gpte;
		bool ps;

		if (narrow && level < 3)
			gpte = read_narrow(vcpu, table, gva, level, walk);
		else
			gpte = gpte_load(entry);
		ps = level > 1 && (gpte & X86_PTE_PS);
		if (!(gpte & X86_PTE_P))
			return fault(vcpu, access, 0, walk);
		if (gpte & vcpu->format->reserved[level][ps])
			return fault(vcpu, access, X86_PF_P | X86_PF_RSVD, walk);
		walk->gpte[level] = gpte;
		if (!narrow || level == 3)
			walk->entry[level] = ro ? NULL : entry;
		else if (ro)
			walk->entry[level] = NULL;
		all &= gpte;
		any |= gpte;
		gfn = (gpte & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
		if (level == 1 || ps)
			break;
		slot = slot_find(vcpu->vm, gfn);
		table = slot_table(slot, gfn);
		ro = slot_table_ro(slot);
	}
	within = level_frames(level) - 1;
	walk->all = all;
	walk->any = any;
	walk->leaf_level = level;
	walk->gfn = (gfn & ~within) | (gva >> X86_PAGE_SHIFT & within);
	walk->error_code = judge(vcpu, access, all, any, walk->gpte[level]);
	return !walk->error_code;
}

static __attribute__((noinline)) bool walk_narrow(
	const struct umbra_vcpu *vcpu, umbra_gva gva, access_bits access, struct walk *walk)
{
	return walk_tables(vcpu, gva, access, walk, true);
}

bool walk_guest(const struct umbra_vcpu *vcpu, umbra_gva gva, access_bits access, struct walk *walk)
{
	if (UNLIKELY(!walk->top))
		return unpaged(gva, walk);
	if (UNLIKELY(vcpu->root_role & ROLE_NARROW))
		return walk_narrow(vcpu, gva, access, walk);
	return walk_tables(vcpu, gva, access, walk, false);
}

/* Set @set in the entry of @level, if it still is what was read. */
static bool set_bits_of(const struct walk *walk, unsigned level, uint64_t set)
{
	if (UNLIKELY(walk->narrow && level < 3))
		return walk_set_bits_narrow(walk->entry[level], walk->raw[level], (uint32_t)set);
	return walk_set_bits(walk->entry[level], walk->gpte[level], set);
}

bool walk_set_ad(struct walk *walk, access_bits access)
{
	uint64_t set = X86_PTE_A;

	for (unsigned level = walk->top; level && level >= walk->leaf_level; level--) {
		if (level == walk->leaf_level && (access & X86_PF_W))
			set |= X86_PTE_D;
		if (!(set & ~walk->gpte[level]))
			continue;
		/* A write to memory that cannot be written is lost, and the walk goes on. */
		if (walk->entry[level] && !set_bits_of(walk, level, set))
			return false;
		walk->gpte[level] |= set;
	}
	return true;
}
