/* SPDX-License-Identifier: MIT */
/* The strict processor: the kept translation first, then the tables, then the rights. */
#include "lab/enum_hw.h"

#include "x86/x86.h"

#include <inttypes.h>

/* The processor's own physical-address width. */
#define WIDTH 46u

static unsigned shift_of(unsigned level)
{
	return 3 + 9 * level;
}

static unsigned root_level(enum umbra_shadow_mode mode)
{
	return mode == UMBRA_SHADOW_PAE ? 3 : mode == UMBRA_SHADOW_4LEVEL ? 4 : 5;
}

static uint64_t bits(unsigned high, unsigned low)
{
	return (~0ull >> (63 - high)) & (~0ull << low);
}

static uint64_t *table_at(const struct enum_hw *hw, uint64_t hpa)
{
	uint64_t page = (hpa - hw->tables_hpa) >> X86_PAGE_SHIFT;

	if (hpa < hw->tables_hpa || page >= hw->n_tables || hpa % X86_PAGE_SIZE)
		lab_fail(hw->fail, "the walk leaves the shadow tables: 0x%" PRIx64, hpa);
	return hw->tables + page * 512;
}

void enum_hw_enter(struct enum_hw *hw, enum umbra_shadow_mode mode, uint64_t root)
{
	const uint64_t *table = table_at(hw, root);

	hw->mode = mode;
	hw->root = root;
	if (mode != UMBRA_SHADOW_PAE)
		return;
	if (root >> 32)
		lab_fail(hw->fail, "PAE root above 4 GiB: 0x%" PRIx64, root);
	for (unsigned i = 0; i < 4; i++) {
		hw->pdpte[i] = table[i];
		/* SDM 3A "PDPTE Registers": such a VMRUN fails. */
		if ((table[i] & X86_PTE_P) &&
			(table[i] & (bits(2, 1) | bits(8, 5) | bits(63, WIDTH))))
			lab_fail(hw->fail, "PDPTE %u is reserved: 0x%" PRIx64, i, table[i]);
	}
}

static void check_reserved(const struct enum_hw *hw, uint64_t entry, unsigned level, bool leaf)
{
	uint64_t reserved = bits(hw->mode == UMBRA_SHADOW_PAE ? 62 : 51, WIDTH);

	if (level > 3)
		reserved |= X86_PTE_PS;
	if (leaf && level > 1)
		reserved |= bits(shift_of(level) - 1, 13);
	if (entry & reserved)
		lab_fail(hw->fail, "shadow entry 0x%" PRIx64 " of level %u has reserved bits",
			entry, level);
}

/* SDM 3A "Protection Keys", with CR0.WP=1. */
static bool key_denies(const struct enum_hw *hw, const struct enum_hw_access *access,
	const struct enum_rights *rights)
{
	uint32_t denied;

	if (hw->mode == UMBRA_SHADOW_PAE || access->kind == UMBRA_FETCH)
		return false;
	if (rights->user)
		denied = hw->pke ? access->pkru : 0;
	else
		denied = hw->pks && access->supervisor ? access->pkrs : 0;
	denied = denied >> 2 * rights->key & 3;
	return (denied & 1) || (denied && access->kind == UMBRA_WRITE);
}

/* SDM 3A "Determination of Access Rights", with CR0.WP=1 and EFER.NXE=1. */
static bool rights_deny(const struct enum_hw *hw, const struct enum_hw_access *access,
	const struct enum_rights *rights)
{
	if (!access->supervisor && !rights->user)
		return true;
	if (access->kind == UMBRA_FETCH)
		return rights->no_execute || (access->supervisor && rights->user && hw->smep);
	if (access->supervisor && rights->user && hw->smap && !access->open)
		return true;
	return access->kind == UMBRA_WRITE && !rights->write;
}

static uint32_t access_code(const struct enum_hw_access *access)
{
	return (access->kind == UMBRA_WRITE ? X86_PF_W : 0) |
	       (access->kind == UMBRA_FETCH ? X86_PF_I : 0) | (access->supervisor ? 0 : X86_PF_U);
}

/* Do the rights allow the access? If not, *@result is the fault. */
static bool permit(const struct enum_hw *hw, const struct enum_hw_access *access,
	const struct enum_rights *rights, struct enum_hw_result *result)
{
	bool by_key = key_denies(hw, access, rights);

	if (!by_key && !rights_deny(hw, access, rights))
		return true;
	result->fault = true;
	result->error_code = access_code(access) | X86_PF_P | (by_key ? X86_PF_PK : 0);
	return false;
}

/* SDM 3A "Determining the Memory Type Used to Access a Page". */
static unsigned pat_of(uint64_t leaf, unsigned level)
{
	bool pat = leaf & (level == 1 ? X86_PTE_PAT_4K : X86_PTE_PAT_LARGE);

	return (pat ? 4u : 0) | (leaf & X86_PTE_PCD ? 2u : 0) | (leaf & X86_PTE_PWT ? 1u : 0);
}

/* The leaf for the access, or NULL; what the path grants, and where the page is. */
static uint64_t *find_leaf(struct enum_hw *hw, const struct enum_hw_access *access,
	struct enum_rights *rights, unsigned *shift)
{
	unsigned level = root_level(hw->mode);
	uint64_t table = hw->root;

	*rights = (struct enum_rights){.write = true, .user = true};
	for (;; level--) {
		bool pdpte = hw->mode == UMBRA_SHADOW_PAE && level == 3;
		uint64_t index = access->gva >> shift_of(level) & 511;
		uint64_t *entry = pdpte ? &hw->pdpte[index & 3] : &table_at(hw, table)[index];
		bool leaf = level == 1 || (level <= 3 && !pdpte && (*entry & X86_PTE_PS));

		if (!(*entry & X86_PTE_P))
			return NULL;
		if (!pdpte) {
			check_reserved(hw, *entry, level, leaf);
			rights->write &= (*entry & X86_PTE_W) != 0;
			rights->user &= (*entry & X86_PTE_U) != 0;
			rights->no_execute |= *entry >> 63;
		}
		if (leaf) {
			rights->key = *entry >> X86_PTE_PK_SHIFT & 15;
			rights->pat = pat_of(*entry, level);
			*shift = shift_of(level);
			return entry;
		}
		if (!pdpte)
			*entry |= X86_PTE_A;
		table = *entry & bits(WIDTH - 1, 12);
	}
}

static struct enum_hw_result walk(struct enum_hw *hw, const struct enum_hw_access *access)
{
	struct enum_hw_result result = {0};
	struct enum_rights rights;
	unsigned shift;
	uint64_t *leaf = find_leaf(hw, access, &rights, &shift);

	if (!leaf) {
		result.fault = true;
		result.error_code = access_code(access);
		return result;
	}
	if (!permit(hw, access, &rights, &result))
		return result;
	*leaf |= X86_PTE_A | (access->kind == UMBRA_WRITE ? X86_PTE_D : 0);
	result.hpa = (*leaf & bits(WIDTH - 1, shift)) | (access->gva & bits(shift - 1, 0));
	result.pat = rights.pat;
	if (hw->stale) {
		hw->kept.valid = true;
		hw->kept.dirty = *leaf & X86_PTE_D;
		hw->kept.page = access->gva >> X86_PAGE_SHIFT;
		hw->kept.hpa = result.hpa & ~0xfffull;
		hw->kept.rights = rights;
	}
	return result;
}

/* By the kept translation, or by the tables where it is none for this access. */
static struct enum_hw_result translate(struct enum_hw *hw, const struct enum_hw_access *access)
{
	struct enum_hw_result result = {0};

	if (!hw->kept.valid || hw->kept.page != access->gva >> X86_PAGE_SHIFT)
		return walk(hw, access);
	if (!permit(hw, access, &hw->kept.rights, &result))
		return result;
	/* To set D the tables are read again. */
	if (access->kind == UMBRA_WRITE && !hw->kept.dirty)
		return walk(hw, access);
	result.pat = hw->kept.rights.pat;
	result.hpa = hw->kept.hpa | (access->gva & 0xfff);
	return result;
}

struct enum_hw_result enum_hw_translate(struct enum_hw *hw, const struct enum_hw_access *access)
{
	struct enum_hw_result result = translate(hw, access);

	/* A fault drops what was remembered for its address. SDM 3A "Operations that Invalidate
	 * TLBs and Paging-Structure Caches". */
	if (result.fault && hw->kept.page == access->gva >> X86_PAGE_SHIFT)
		hw->kept.valid = false;
	return result;
}
