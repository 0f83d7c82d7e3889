/* SPDX-License-Identifier: MIT */
/*
 * The modes as a table, their own tables (life and the user's window), entering them, and the state
 * that each test begins with. For both worlds.
 */
#include "tests/guest/guest.h"

const struct mode modes[N_MODES] = {
	[UNPAGED] = {.name = "unpaged", .id = UNPAGED, .entry_bytes = 4},
	[TWO_LEVEL] = {.name = "2level",
		.id = TWO_LEVEL,
		.levels = 2,
		.entry_bytes = 4,
		.index_bits = 10,
		.level_max = 2,
		.test_va = 0x40000000,
		.test_end = 0xc0000000,
		.cr4 = X86_CR4_PSE},
	[PAE] = {.name = "pae",
		.id = PAE,
		.levels = 3,
		.entry_bytes = 8,
		.index_bits = 9,
		.level_max = 2,
		.test_va = 0x40000000,
		.test_end = 0xc0000000,
		.cr4 = X86_CR4_PAE},
	[FOUR_LEVEL] = {.name = "4level",
		.id = FOUR_LEVEL,
		.levels = 4,
		.entry_bytes = 8,
		.index_bits = 9,
		.level_max = 4,
		.test_va = 2ull << 39,
		.test_end = 256ull << 39,
		.cr4 = X86_CR4_PAE},
	[FIVE_LEVEL] = {.name = "5level",
		.id = FIVE_LEVEL,
		.levels = 5,
		.entry_bytes = 8,
		.index_bits = 9,
		.level_max = 5,
		.test_va = 2ull << 48,
		.test_end = 256ull << 48,
		.cr4 = X86_CR4_PAE | X86_CR4_LA57},
};

const struct mode *mode = &modes[UNPAGED];

/* A page each. */
#define NARROW 1024u
#define WIDE   512u

#define LIFE_NARROW_TABLES ((LIFE_END - LIFE_BASE) >> 22)

static uint32_t narrow_root[NARROW] __attribute__((aligned(4096)));
static uint32_t narrow_life[LIFE_NARROW_TABLES][NARROW] __attribute__((aligned(4096)));
static uint32_t narrow_user[NARROW] __attribute__((aligned(4096)));

static uint64_t wide_user[WIDE] __attribute__((aligned(4096)));
static uint64_t wide_directory[WIDE] __attribute__((aligned(4096)));
static uint64_t wide_pdptes[WIDE] __attribute__((aligned(4096)));
static uint64_t wide_pointers[WIDE] __attribute__((aligned(4096)));
static uint64_t wide_4[WIDE] __attribute__((aligned(4096)));
static uint64_t wide_5[WIDE] __attribute__((aligned(4096)));

uint8_t user_stack[X86_PAGE_SIZE] __attribute__((aligned(4096)));

static uintptr_t user_code_page(unsigned i)
{
	return (uintptr_t)probe_code + i * X86_PAGE_SIZE;
}

static void make_narrow(void)
{
	for (unsigned i = 0; i < LIFE_NARROW_TABLES; i++) {
		for (unsigned j = 0; j < NARROW; j++)
			narrow_life[i][j] =
				(LIFE_BASE + (i << 22) + (j << 12)) | X86_PTE_P | X86_PTE_W;
		narrow_root[(LIFE_BASE >> 22) + i] =
			(uint32_t)((uintptr_t)narrow_life[i] | X86_PTE_P | X86_PTE_W);
	}
	for (unsigned i = 0; i < USER_CODE_PAGES; i++)
		narrow_user[i] = (uint32_t)(user_code_page(i) | X86_PTE_P | X86_PTE_U);
	narrow_user[USER_CODE_PAGES] = (uint32_t)((uintptr_t)user_stack | PTE_ALL);
	narrow_root[USER_CODE >> 22] = (uint32_t)((uintptr_t)narrow_user | PTE_ALL);
}

static void make_wide(void)
{
	for (uint32_t at = LIFE_BASE; at < LIFE_END; at += 1u << 21)
		wide_directory[at >> 21] = at | X86_PTE_P | X86_PTE_W | X86_PTE_PS;
	for (unsigned i = 0; i < USER_CODE_PAGES; i++)
		wide_user[i] = user_code_page(i) | X86_PTE_P | X86_PTE_U;
	wide_user[USER_CODE_PAGES] = (uintptr_t)user_stack | PTE_ALL;
	wide_directory[USER_CODE >> 21] = (uintptr_t)wide_user | PTE_ALL;
	wide_pdptes[0] = (uintptr_t)wide_directory | X86_PTE_P;
	wide_pointers[0] = (uintptr_t)wide_directory | PTE_ALL;
	wide_4[0] = (uintptr_t)wide_pointers | PTE_ALL;
	wide_5[0] = (uintptr_t)wide_4 | PTE_ALL;
}

static void *base_root(enum mode_id id)
{
	switch (id) {
	case UNPAGED:
	case N_MODES:
		break;
	case TWO_LEVEL:
		return narrow_root;
	case PAE:
		return wide_pdptes;
	case FOUR_LEVEL:
		return wide_4;
	case FIVE_LEVEL:
		return wide_5;
	}
	return NULL;
}

word mode_root(enum mode_id id)
{
	return (uintptr_t)base_root(id);
}

bool mode_possible(enum mode_id id)
{
	switch (id) {
	case UNPAGED:
	case TWO_LEVEL:
		return true;
	case PAE:
		return cpu.pae;
	case FOUR_LEVEL:
		return cpu.long_mode;
	case FIVE_LEVEL:
		return cpu.long_mode && cpu.la57;
	case N_MODES:
		break;
	}
	return false;
}

static uint64_t default_cr0(void)
{
	uint64_t cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;

	return mode->levels > 0 ? cr0 | X86_CR0_PG | X86_CR0_WP : cr0;
}

static uint64_t default_cr4(void)
{
	return mode->cr4 | X86_CR4_OSFXSR;
}

static void reset_keys(void)
{
	if (cpu.pku) {
		write_cr4(default_cr4() | X86_CR4_PKE);
		write_pkru(0);
		write_cr4(default_cr4());
	}
	if (cpu.pks)
		write_msr(X86_MSR_PKRS, 0);
}

void mode_tables_make(void)
{
	make_narrow();
	make_wide();
}

void mode_enter(enum mode_id id)
{
	mode = &modes[id];
	if (mode->levels > 0)
		write_cr3(mode_root(id));
	write_cr4(default_cr4());
	write_cr0(default_cr0());
}

void mode_leave(void)
{
	mode = &modes[UNPAGED];
	write_cr0(default_cr0());
	write_cr4(default_cr4());
}

void mode_reset(void)
{
	if (mode->levels > 0)
		write_cr3(mode_root(mode->id));
	write_cr0(default_cr0());
	write_cr4(default_cr4());
	if (cpu.nx)
		write_msr(X86_MSR_EFER, read_msr(X86_MSR_EFER) | X86_EFER_NXE);
	reset_keys();
	descriptors_make();
	descriptors_load();
	table_reset(base_root(mode->id));
	flush_all();
}

void flush_all(void)
{
	uint64_t cr4 = read_cr4();

	if (mode->levels == 0)
		return;
	/* Any change of PGE flushes everything. SDM 3A "Operations that Invalidate TLBs". */
	if (cpu.pge) {
		write_cr4(cr4 ^ X86_CR4_PGE);
		write_cr4(cr4);
	} else {
		write_cr3(read_cr3());
	}
}
