/* SPDX-License-Identifier: MIT */
/* The CPU of the lab: TLB first, then a walk of the shadow tables, then the rights. */
#include "lab/hw.h"

#include "x86/x86.h"

#include <inttypes.h>

/* Geometry of the shadow modes: the level of the root's entries and the bits of a linear address.
 */
struct geometry {
	unsigned root_level;
	unsigned linear_bits;
};

static const struct geometry geometries[] = {
	[UMBRA_SHADOW_PAE] = {3, 32},
	[UMBRA_SHADOW_4LEVEL] = {4, 48},
	[UMBRA_SHADOW_5LEVEL] = {5, 57},
};

/* A walk under way. */
struct walk {
	unsigned level; /* of the entry to be read next */
	uint64_t table; /* host-physical address it is in */
	struct tlb_rights rights;
};

static unsigned level_shift(unsigned level)
{
	return X86_PAGE_SHIFT + 9 * (level - 1);
}

static uint64_t region(uint64_t gva, unsigned shift)
{
	return gva >> shift << shift;
}

void hw_enter(struct hw *hw, enum umbra_shadow_mode mode, uint64_t root, unsigned tag)
{
	uint64_t *table = memory_table(hw->memory, root);
	bool same = hw->mode == mode && hw->root == root;

	if (!table)
		lab_fail(hw->fail, "root 0x%" PRIx64 " is no page of the tables", root);
	hw->mode = mode;
	hw->root = root;
	hw->tlb.tag = tag;
	if (mode != UMBRA_SHADOW_PAE || (same && hw->stuck_pdptes))
		return;
	if (root >> 32)
		lab_fail(hw->fail, "PAE root 0x%" PRIx64 " is above 4 GiB", root);
	for (unsigned i = 0; i < 4; i++) {
		/* SDM 3A "PDPTE Registers": their load is #GP with one of these set. */
		uint64_t reserved = X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D | X86_PTE_PS |
				    X86_PTE_G | ~0ull << hw->maxphyaddr;

		hw->pdpte[i] = table[i];
		if ((table[i] & X86_PTE_P) && (table[i] & reserved))
			lab_fail(hw->fail, "shadow PDPTE %u has reserved bits: 0x%" PRIx64, i,
				table[i]);
	}
}

static uint32_t fault_code(const struct hw_access *access, uint32_t present)
{
	uint32_t code = present;

	if (access->kind == UMBRA_WRITE)
		code |= X86_PF_W;
	if (access->kind == UMBRA_FETCH)
		code |= X86_PF_I; /* NXE is always on */
	if (!access->supervisor)
		code |= X86_PF_U;
	return code;
}

/* SDM 3A "Protection Keys": data accesses in 4-level and 5-level paging; PKRU for user pages, PKRS
 * for supervisor pages and supervisor accesses. WP is always on. */
static bool key_denies(
	const struct hw *hw, const struct hw_access *access, struct tlb_rights rights)
{
	uint32_t denied;

	if (hw->mode == UMBRA_SHADOW_PAE || access->kind == UMBRA_FETCH)
		return false;
	if (rights.user ? !hw->pke : !hw->pks || !access->supervisor)
		return false;
	denied = (rights.user ? hw->pkru : hw->pkrs) >> (2 * rights.key);
	return denied & (access->kind == UMBRA_WRITE ? 3u : 1u);
}

static bool rights_allow(
	const struct hw *hw, const struct hw_access *access, struct tlb_rights rights)
{
	if (!access->supervisor && !rights.user)
		return false;
	if (access->kind == UMBRA_FETCH) {
		if (rights.no_execute)
			return false;
		return !(access->supervisor && rights.user && hw->smep);
	}
	if (access->supervisor && rights.user && hw->smap && (access->implicit || !access->ac))
		return false;
	return access->kind == UMBRA_READ || rights.write; /* WP is always on */
}

static bool allowed(const struct hw *hw, const struct hw_access *access, struct tlb_rights rights)
{
	return rights_allow(hw, access, rights) && !key_denies(hw, access, rights);
}

static uint32_t denied_code(
	const struct hw *hw, const struct hw_access *access, struct tlb_rights rights)
{
	return fault_code(access, X86_PF_P | (key_denies(hw, access, rights) ? X86_PF_PK : 0));
}

static void check_entry(struct hw *hw, uint64_t entry, unsigned level, uint64_t gva)
{
	uint64_t frame = entry & X86_PTE_FRAME;
	bool leaf = level == 1 || (entry & X86_PTE_PS);
	uint64_t reserved = 0;

	/* Bits 62:52 are free in long mode only. */
	if (hw->mode == UMBRA_SHADOW_PAE)
		reserved |= 0x7ffull << 52;
	if (level >= 4)
		reserved |= X86_PTE_PS;
	else if (level > 1 && leaf)
		reserved |= ((1ull << level_shift(level)) - 1) & X86_PTE_FRAME & ~X86_PTE_PAT_LARGE;
	if (frame >> hw->maxphyaddr || (entry & reserved))
		lab_fail(hw->fail,
			"shadow entry of level %u for gva 0x%" PRIx64
			" has reserved bits: 0x%" PRIx64,
			level, gva, entry);
}

static void begin(const struct hw *hw, struct rng *rng, uint64_t gva, struct walk *walk)
{
	const struct tlb_upper *upper = tlb_find_upper(&hw->tlb, rng, gva);

	walk->level = geometries[hw->mode].root_level;
	walk->table = hw->root;
	walk->rights = (struct tlb_rights){.write = true, .user = true};
	if (upper) {
		walk->level = (upper->shift - X86_PAGE_SHIFT) / 9;
		walk->table = upper->table;
		walk->rights = upper->rights;
	}
}

/* The entry for @gva at the level @walk is at. */
static uint64_t *entry_at(struct hw *hw, const struct walk *walk, uint64_t gva)
{
	uint64_t *table;

	if (hw->mode == UMBRA_SHADOW_PAE && walk->level == 3)
		return &hw->pdpte[(gva >> level_shift(3)) & 3];
	table = memory_table(hw->memory, walk->table);
	if (!table)
		lab_fail(hw->fail, "shadow walk for gva 0x%" PRIx64 " left the pool at 0x%" PRIx64,
			gva, walk->table);
	return &table[(gva >> level_shift(walk->level)) & 511];
}

static void narrow(struct tlb_rights *rights, uint64_t entry)
{
	rights->write = rights->write && (entry & X86_PTE_W);
	rights->user = rights->user && (entry & X86_PTE_U);
	rights->no_execute = rights->no_execute || (entry & X86_PTE_NX);
}

/* What counts in a leaf alone. SDM 3A "Determining the Memory Type Used to Access a Page". */
static void take_leaf(struct walk *walk, uint64_t entry)
{
	uint64_t pat = walk->level == 1 ? X86_PTE_PAT_4K : X86_PTE_PAT_LARGE;

	walk->rights.key = (entry & X86_PTE_PK) >> X86_PTE_PK_SHIFT & 15;
	walk->rights.pat = (entry & pat ? 4u : 0) | (entry & X86_PTE_PCD ? 2u : 0) |
			   (entry & X86_PTE_PWT ? 1u : 0);
}

static void remember_upper(struct hw *hw, struct rng *rng, const struct walk *walk, uint64_t gva)
{
	unsigned shift = level_shift(walk->level + 1);

	if (rng_percent(rng, 50))
		tlb_insert_upper(&hw->tlb, rng,
			&(struct tlb_upper){.valid = true,
				.shift = shift,
				.base = region(gva, shift),
				.table = walk->table,
				.rights = walk->rights});
}

/* Walk down to the leaf for @gva. Returns it, or NULL where an entry is not present. */
static uint64_t *descend(struct hw *hw, struct rng *rng, struct walk *walk, uint64_t gva)
{
	begin(hw, rng, gva, walk);
	for (;;) {
		uint64_t *entry = entry_at(hw, walk, gva);
		bool pdpte = hw->mode == UMBRA_SHADOW_PAE && walk->level == 3;

		if (!(*entry & X86_PTE_P))
			return NULL;
		check_entry(hw, *entry, walk->level, gva);
		if (!pdpte) {
			narrow(&walk->rights, *entry);
			if (walk->level == 1 || (*entry & X86_PTE_PS)) {
				take_leaf(walk, *entry);
				return entry;
			}
			*entry |= X86_PTE_A;
		}
		walk->table = *entry & X86_PTE_FRAME;
		walk->level--;
		remember_upper(hw, rng, walk, gva);
	}
}

static void remember(
	struct hw *hw, struct rng *rng, const struct walk *walk, uint64_t gva, uint64_t entry)
{
	unsigned shift = level_shift(walk->level);
	bool fragment = walk->level > 1 && rng_percent(rng, 50);
	uint64_t page = entry & X86_PTE_FRAME & ~((1ull << shift) - 1);
	uint64_t base = region(gva, fragment ? X86_PAGE_SHIFT : shift);

	tlb_insert(&hw->tlb, rng,
		&(struct tlb_entry){.valid = true,
			.shift = shift,
			.fragment = fragment,
			.dirty = entry & X86_PTE_D,
			.base = base,
			.frame = page + (base - region(gva, shift)),
			.rights = walk->rights});
}

/* Translate by the tables alone. A leaf gets D only when the access is a write that is allowed. */
static struct hw_result walk_tables(struct hw *hw, struct rng *rng, const struct hw_access *access)
{
	struct walk walk;
	uint64_t *leaf = descend(hw, rng, &walk, access->gva);
	unsigned shift;

	if (!leaf)
		return (struct hw_result){.fault = true, .error_code = fault_code(access, 0)};
	if (!allowed(hw, access, walk.rights)) {
		if (rng_percent(rng, 50))
			*leaf |= X86_PTE_A;
		return (struct hw_result){
			.fault = true, .error_code = denied_code(hw, access, walk.rights)};
	}
	*leaf |= X86_PTE_A;
	if (access->kind == UMBRA_WRITE && !hw->never_dirty)
		*leaf |= X86_PTE_D;
	remember(hw, rng, &walk, access->gva, *leaf);
	shift = level_shift(walk.level);
	return (struct hw_result){.hpa = (*leaf & X86_PTE_FRAME & ~((1ull << shift) - 1)) |
					 (access->gva & ((1ull << shift) - 1)),
		.pat = walk.rights.pat};
}

struct hw_result hw_translate(struct hw *hw, struct rng *rng, const struct hw_access *access)
{
	struct tlb_entry *cached = tlb_find(&hw->tlb, rng, access->gva);
	struct hw_result result;

	if (cached && allowed(hw, access, cached->rights)) {
		if (access->kind != UMBRA_WRITE || cached->dirty)
			return (struct hw_result){
				.hpa = cached->frame + (access->gva - cached->base),
				.pat = cached->rights.pat};
	} else if (cached && rng_percent(rng, 50)) {
		/* A CPU may fault on remembered rights without looking at the tables again. */
		tlb_fault(&hw->tlb, access->gva);
		return (struct hw_result){
			.fault = true, .error_code = denied_code(hw, access, cached->rights)};
	}
	hw->misses++;
	result = walk_tables(hw, rng, access);
	if (result.fault)
		tlb_fault(&hw->tlb, access->gva);
	return result;
}

void hw_speculate(struct hw *hw, struct rng *rng, uint64_t gva)
{
	struct walk walk;
	uint64_t *leaf = descend(hw, rng, &walk, gva);

	if (!leaf)
		return;
	*leaf |= X86_PTE_A;
	remember(hw, rng, &walk, gva, *leaf);
}
