/* SPDX-License-Identifier: MIT */
/*
 * The reference walker, rule by rule in the manuals' order: mode, address, entries, rights, fault.
 * Owns no state. Must not know anything of mmu/ or hv/.
 */
#include "lab/oracle.h"

/* The bits @high down to @low, both included; none if @high < @low. */
static uint64_t bits(unsigned high, unsigned low)
{
	if (high < low)
		return 0;
	return (~0ull >> (63 - high)) & (~0ull << low);
}

/* SDM 3A "Four Paging Modes" and "Paging-Mode Enabling"; APM 2 "Page-Translation Options". */
enum oracle_mode oracle_mode(const struct oracle_cpu *cpu)
{
	if (!(cpu->cr0 & ORACLE_CR0_PG))
		return ORACLE_UNPAGED;
	if (!(cpu->cr4 & ORACLE_CR4_PAE))
		return ORACLE_32BIT;
	if (!(cpu->efer & ORACLE_EFER_LME))
		return ORACLE_PAE;
	return cpu->cr4 & ORACLE_CR4_LA57 ? ORACLE_5LEVEL : ORACLE_4LEVEL;
}

static bool is_long(const struct oracle_cpu *cpu)
{
	return oracle_mode(cpu) >= ORACLE_4LEVEL;
}

unsigned oracle_entry_bytes(const struct oracle_cpu *cpu)
{
	return oracle_mode(cpu) == ORACLE_32BIT ? 4 : 8;
}

uint64_t oracle_linear(const struct oracle_cpu *cpu, uint64_t gva)
{
	return is_long(cpu) ? gva : gva & bits(31, 0);
}

/* No NX in 32-bit paging, and none without EFER.NXE. SDM 3A "Access Rights". */
static bool has_nx(const struct oracle_cpu *cpu)
{
	return (cpu->cr4 & ORACLE_CR4_PAE) && (cpu->efer & ORACLE_EFER_NXE);
}

/* The lowest address bit that an entry of @level decides. */
static unsigned level_shift(const struct oracle_cpu *cpu, unsigned level)
{
	return 12 + (level - 1) * (oracle_mode(cpu) == ORACLE_32BIT ? 10 : 9);
}

/* Does PS count at @level? Without 1G pages PS of a PDPTE is not ignored but reserved; see
 * reserved(). SDM 3A "32-Bit Paging" (CR4.PSE), "PAE Paging" and "4-Level Paging and 5-Level
 * Paging" (always). */
static bool may_be_large(const struct oracle_cpu *cpu, unsigned level)
{
	if (oracle_mode(cpu) == ORACLE_32BIT)
		return level == 2 && (cpu->cr4 & ORACLE_CR4_PSE);
	return level == 2 || (level == 3 && cpu->has_1g_pages);
}

static bool is_leaf(const struct oracle_cpu *cpu, unsigned level, uint64_t value)
{
	return level == 1 || ((value & ORACLE_PS) && may_be_large(cpu, level));
}

/* Width of the physical address in a 4M page's entry. SDM 3A "32-Bit Paging", footnote on PSE-36;
 * APM 2 "Page-Size Extensions". */
static unsigned pse_width(const struct oracle_cpu *cpu)
{
	if (!cpu->has_pse36)
		return 32;
	return cpu->maxphyaddr < 40 ? cpu->maxphyaddr : 40;
}

/* The reserved bits of a present entry. SDM 3A, tables "Format of ... Entry", and "Reserved
 * bits" in each mode's section; APM 2 "Page-Translation-Table Entry Fields", "Reserved (MBZ)
 * Bits". */
static uint64_t reserved(const struct oracle_cpu *cpu, unsigned level, uint64_t value)
{
	bool leaf = is_leaf(cpu, level, value);
	uint64_t mask;

	/* 32-bit: only a 4M leaf has any, from bit 21 down to those that PSE-36 uses. */
	if (oracle_mode(cpu) == ORACLE_32BIT)
		return leaf && level == 2 ? bits(21, pse_width(cpu) - 19) : 0;

	/* PAE reserves everything between MAXPHYADDR and NX; bits 62:52 are free in long mode. */
	mask = bits(is_long(cpu) ? 51 : 62, cpu->maxphyaddr);
	if (!has_nx(cpu))
		mask |= ORACLE_NX;
	if (level >= 3 && !leaf)
		mask |= ORACLE_PS;
	/* APM 2 "Long-Mode Page Translation", the PML4E's figure; the SDM ignores that bit. */
	if (level >= 4 && cpu->upper_bit8_rsvd)
		mask |= 1ull << 8;
	/* A large page's low address bits, above its PAT bit. */
	if (leaf && level > 1)
		mask |= bits(level_shift(cpu, level) - 1, 13);
	return mask;
}

/* Where the table or page of @value starts. */
static uint64_t target(const struct oracle_cpu *cpu, unsigned level, uint64_t value)
{
	unsigned shift = is_leaf(cpu, level, value) ? level_shift(cpu, level) : 12;

	if (oracle_mode(cpu) != ORACLE_32BIT)
		return value & bits(cpu->maxphyaddr - 1, shift);
	if (level == 2 && shift == 22)
		return (value & bits(31, 22)) | ((value & bits(pse_width(cpu) - 20, 13)) << 19);
	return value & bits(31, 12);
}

/* SDM 3A "Determining the Memory Type Used to Access a Page"; APM 2 "PAT Indexing". */
static uint8_t pat_index(unsigned level, uint64_t value)
{
	bool pat = value & (level == 1 ? ORACLE_PAT_4K : ORACLE_PAT_LARGE);

	return (uint8_t)((pat ? 4 : 0) | (value & ORACLE_PCD ? 2 : 0) |
			 (value & ORACLE_PWT ? 1 : 0));
}

static bool is_user(const struct oracle_access *access)
{
	return access->user && !access->implicit;
}

/* The part of the error code that tells of the access alone. SDM 3A "Page-Fault Exceptions": I/D
 * needs SMEP or NX. The APM defines it for NX only; we follow the SDM. */
static uint32_t access_code(const struct oracle_cpu *cpu, const struct oracle_access *access)
{
	uint32_t code = 0;

	if (access->kind == ORACLE_WRITE)
		code |= ORACLE_PF_W;
	if (is_user(access))
		code |= ORACLE_PF_U;
	if (access->kind == ORACLE_FETCH && (has_nx(cpu) || (cpu->cr4 & ORACLE_CR4_SMEP)))
		code |= ORACLE_PF_I;
	return code;
}

/* SDM 3A "Canonical Addressing"; APM 2 "Canonical Address Form". */
static bool is_canonical(const struct oracle_cpu *cpu, uint64_t gva)
{
	unsigned width = oracle_mode(cpu) == ORACLE_5LEVEL ? 57 : 48;
	uint64_t sign = gva & bits(63, width - 1);

	return sign == 0 || sign == bits(63, width - 1);
}

/* PDPTE registers grant everything but presence: there are no R/W, U/S, NX or A bits in them, and
 * reserved bits were checked at their load. SDM 3A "PDPTE Registers"; the APM's "Legacy-Mode PAE
 * Paging" has the same format, loaded on a write of CR3 too. */
static enum oracle_step begin_pae(
	const struct oracle_cpu *cpu, const struct oracle_access *access, struct oracle_walk *walk)
{
	uint64_t pdpte = cpu->pdpte[oracle_linear(cpu, access->gva) >> 30];

	if (!(pdpte & ORACLE_P)) {
		walk->error_code = access_code(cpu, access);
		return ORACLE_STEP_FAULT;
	}
	walk->level = 2;
	walk->table = pdpte & bits(cpu->maxphyaddr - 1, 12);
	return ORACLE_STEP_TABLE;
}

enum oracle_step oracle_begin(
	const struct oracle_cpu *cpu, const struct oracle_access *access, struct oracle_walk *walk)
{
	*walk = (struct oracle_walk){
		.rights = {.write = true, .user = true, .execute = true},
		.page_shift = 12,
	};
	switch (oracle_mode(cpu)) {
	case ORACLE_UNPAGED:
		walk->gpa = oracle_linear(cpu, access->gva);
		return ORACLE_STEP_LEAF;
	case ORACLE_32BIT:
		walk->level = 2;
		walk->table = cpu->cr3 & bits(31, 12);
		return ORACLE_STEP_TABLE;
	case ORACLE_PAE:
		return begin_pae(cpu, access, walk);
	case ORACLE_4LEVEL:
	case ORACLE_5LEVEL:
		break;
	}
	if (!is_canonical(cpu, access->gva))
		return ORACLE_STEP_NONCANONICAL;
	walk->level = oracle_mode(cpu);
	walk->table = cpu->cr3 & bits(cpu->maxphyaddr - 1, 12);
	return ORACLE_STEP_TABLE;
}

uint64_t oracle_slot(const struct oracle_cpu *cpu, const struct oracle_access *access,
	const struct oracle_walk *walk)
{
	uint64_t index = oracle_linear(cpu, access->gva) >> level_shift(cpu, walk->level);
	unsigned n_bytes = oracle_entry_bytes(cpu);

	return walk->table + (index & (4096 / n_bytes - 1)) * n_bytes;
}

/* SDM 3A "Page-Fault Exceptions": an entry that is not present is not looked at further, so RSVD
 * comes only with P; both come before any right is looked at, since there is no translation. */
enum oracle_step oracle_advance(const struct oracle_cpu *cpu, const struct oracle_access *access,
	struct oracle_walk *walk, uint64_t value)
{
	unsigned level = walk->level;

	walk->error_code = access_code(cpu, access);
	if (!(value & ORACLE_P))
		return ORACLE_STEP_FAULT;
	if (value & reserved(cpu, level, value)) {
		walk->error_code |= ORACLE_PF_P | ORACLE_PF_RSVD;
		return ORACLE_STEP_FAULT;
	}

	/* SDM 3A "Determination of Access Rights": every entry must grant W and U, none may have
	 * NX. */
	walk->rights.write &= (value & ORACLE_W) != 0;
	walk->rights.user &= (value & ORACLE_U) != 0;
	walk->rights.execute &= !((value & ORACLE_NX) && has_nx(cpu));
	if (!is_leaf(cpu, level, value)) {
		walk->table = target(cpu, level, value);
		walk->level = level - 1;
		return ORACLE_STEP_TABLE;
	}

	walk->page_shift = level_shift(cpu, level);
	walk->gpa = target(cpu, level, value) |
		    (oracle_linear(cpu, access->gva) & bits(walk->page_shift - 1, 0));
	walk->rights.global = (value & ORACLE_G) && (cpu->cr4 & ORACLE_CR4_PGE);
	walk->rights.pat = pat_index(level, value);
	if (is_long(cpu))
		walk->rights.key = (value >> ORACLE_KEY_SHIFT) & 15;
	return ORACLE_STEP_LEAF;
}

/* SDM 3A "Protection Keys". Only data accesses in 4-level and 5-level paging; PKRU rules user-mode
 * addresses whoever accesses them, PKRS supervisor-mode addresses. A user access to the latter
 * fails by U/S before a key is asked for, and the manual names no key register for it. */
static bool key_denies(const struct oracle_cpu *cpu, const struct oracle_access *access,
	const struct oracle_rights *rights)
{
	bool user = is_user(access);
	uint32_t pair;

	if (!is_long(cpu) || access->kind == ORACLE_FETCH)
		return false;
	if (rights->user && (cpu->cr4 & ORACLE_CR4_PKE))
		pair = cpu->pkru >> (2 * rights->key);
	else if (!rights->user && !user && (cpu->cr4 & ORACLE_CR4_PKS))
		pair = cpu->pkrs >> (2 * rights->key);
	else
		return false;
	/* Bit 0 disables access, bit 1 disables writes: a supervisor's only with CR0.WP. */
	if (pair & 1)
		return true;
	return (pair & 2) && access->kind == ORACLE_WRITE && (user || (cpu->cr0 & ORACLE_CR0_WP));
}

/* SDM 3A "Determination of Access Rights"; APM 2 "Page-Protection Checks". */
static bool rights_deny(const struct oracle_cpu *cpu, const struct oracle_access *access,
	const struct oracle_rights *rights)
{
	if (access->kind == ORACLE_FETCH && !rights->execute)
		return true;
	if (is_user(access))
		return !rights->user || (access->kind == ORACLE_WRITE && !rights->write);

	if (access->kind == ORACLE_WRITE && !rights->write && (cpu->cr0 & ORACLE_CR0_WP))
		return true;
	if (!rights->user)
		return false;
	/* A supervisor access to a user page. AC opens SMAP for explicit accesses only. */
	if (access->kind == ORACLE_FETCH)
		return cpu->cr4 & ORACLE_CR4_SMEP;
	return (cpu->cr4 & ORACLE_CR4_SMAP) && (access->implicit || !cpu->ac);
}

bool oracle_permits(const struct oracle_cpu *cpu, const struct oracle_access *access,
	const struct oracle_rights *rights, uint32_t *error_code)
{
	bool by_key;

	if (oracle_mode(cpu) == ORACLE_UNPAGED)
		return true;
	by_key = key_denies(cpu, access, rights);
	if (!by_key && !rights_deny(cpu, access, rights))
		return true;
	/* SDM 3A "Page-Fault Exceptions": PK tells of the key whether or not another right
	 * failed too. */
	*error_code = access_code(cpu, access) | ORACLE_PF_P | (by_key ? ORACLE_PF_PK : 0);
	return false;
}

/* SDM 3A "PDPTE Registers": bits 2:1, 8:5 and those from MAXPHYADDR up; nothing if not present. */
bool oracle_pdpte_loadable(const struct oracle_cpu *cpu, uint64_t pdpte)
{
	uint64_t mask = bits(2, 1) | bits(8, 5) | bits(63, cpu->maxphyaddr);

	return !(pdpte & ORACLE_P) || !(pdpte & mask);
}

/* Set A at every level used, D in the leaf of a write. SDM 3A "Accessed and Dirty Flags". */
static void mark_used(const struct oracle_access *access, struct oracle_result *result)
{
	for (unsigned i = 0; i < result->n_entries; i++) {
		struct oracle_entry *entry = &result->entries[i];

		entry->after |= ORACLE_A;
		if (i == result->n_entries - 1 && access->kind == ORACLE_WRITE)
			entry->after |= ORACLE_D;
		entry->may_set = 0;
	}
}

void oracle_access(const struct oracle_cpu *cpu, const struct oracle_memory *memory,
	const struct oracle_access *access, struct oracle_result *result)
{
	struct oracle_walk walk;
	enum oracle_step step = oracle_begin(cpu, access, &walk);
	unsigned n_bytes = oracle_entry_bytes(cpu);

	result->n_entries = 0;
	while (step == ORACLE_STEP_TABLE) {
		struct oracle_entry *entry = &result->entries[result->n_entries++];

		entry->gpa = oracle_slot(cpu, access, &walk);
		entry->level = walk.level;
		entry->value = memory->read(memory->context, entry->gpa, n_bytes);
		entry->after = entry->value;
		step = oracle_advance(cpu, access, &walk, entry->value);
		entry->may_set = step == ORACLE_STEP_FAULT ? 0 : ORACLE_A & ~entry->value;
	}

	result->gpa = walk.gpa;
	result->page_shift = walk.page_shift;
	result->rights = walk.rights;
	result->error_code = 0;
	if (step == ORACLE_STEP_NONCANONICAL) {
		result->outcome = ORACLE_NONCANONICAL;
	} else if (step == ORACLE_STEP_FAULT ||
		   !oracle_permits(cpu, access, &walk.rights, &walk.error_code)) {
		result->outcome = ORACLE_PAGE_FAULT;
		result->error_code = walk.error_code;
	} else {
		result->outcome = ORACLE_OK;
		mark_used(access, result);
	}
}
