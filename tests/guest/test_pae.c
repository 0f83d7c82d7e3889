/* SPDX-License-Identifier: MIT */
/*
 * The four PDPTEs of PAE: registers of the processor, loaded by MOV to CR3 and a few others, and by
 * nothing else. SDM 3A "PDPTE Registers"; APM 2 "Page Directory Pointer (PAE)". With nested paging
 * AMD's processors read them from memory at each walk instead: APM 2 "Legacy PAE Mode".
 */
#include "tests/guest/guest.h"

#define WHY_WALKED  "TCG reads PDPTEs at each walk"
#define WHY_NOT_GP  "TCG checks no PDPTE when it is loaded"
#define RESERVED_LO (3ull << 1 | 15ull << 5)

static uint64_t pdpte(unsigned i)
{
	return ((volatile uint64_t *)table_root())[i];
}

static void set_pdpte(unsigned i, uint64_t value)
{
	volatile uint32_t *entry = (volatile uint32_t *)table_root() + 2 * i;

	entry[0] = 0;
	entry[1] = (uint32_t)(value >> 32);
	entry[0] = (uint32_t)value;
}

/* Does @load bring a changed PDPTE into effect? Translations that were made by the old one are
 * another matter: INVLPG ends them. */
static void expect_loads(const char *what, void (*load)(void))
{
	word gva = test_gva(4);
	uint64_t other;

	path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
	path_make(gva + 0x40000000, 1, phys(frame_marked(2)) | PTE_ALL);
	other = pdpte(2);
	expect_reads(what, gva, 1);
	set_pdpte(1, other);
	load();
	invlpg(gva);
	expect_reads(what, gva, 2);
	set_pdpte(1, 0);
	load();
	invlpg(gva);
	expect_fault(what, attempt(OP_WRITE, USER, gva, 0), X86_PF_W | X86_PF_U, gva);
	set_pdpte(1, other);
	load();
	invlpg(gva);
	expect_reads(what, gva, 2);
	set_pdpte(1, 0);
	set_pdpte(2, 0);
	load();
}

static void by_cr3(void)
{
	write_cr3(read_cr3());
}

static void by_pge(void)
{
	write_cr4(read_cr4() ^ X86_CR4_PGE);
}

static void by_pse(void)
{
	write_cr4(read_cr4() ^ X86_CR4_PSE);
}

static void by_paging(void)
{
	write_cr0(read_cr0() & ~X86_CR0_PG);
	write_cr0(read_cr0() | X86_CR0_PG);
}

static void by_cache_bits(void)
{
	write_cr0(read_cr0() ^ X86_CR0_CD);
}

static void loaded(void)
{
	expect_loads("MOV CR3", by_cr3);
	expect_loads("CR4.PGE", by_pge);
	expect_loads("CR4.PSE", by_pse);
	expect_loads("CR0.PG", by_paging);
	expect_loads("CR0.CD", by_cache_bits);
}

/* Stores into the table in memory change nothing until then, nor do INVLPG and other controls. */
static void not_walked(void)
{
	word gva = test_gva(4);
	uint64_t mine;

	path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
	path_make(gva + 0x40000000, 1, phys(frame_marked(2)) | PTE_ALL);
	mine = pdpte(1);
	set_pdpte(1, pdpte(2));
	invlpg(gva);
	expect_reads("after a store and INVLPG", gva, 1);
	set_pdpte(1, 0);
	invlpg(gva);
	expect_reads("after another", gva, 1);
	set_pdpte(1, pdpte(2) | RESERVED_LO);
	invlpg(gva);
	expect_reads("after one with reserved bits", gva, 1);
	write_cr0(read_cr0() & ~X86_CR0_WP);
	expect_reads("after a change of WP", gva, 1);
	set_pdpte(1, mine);
	write_cr3(read_cr3());
	expect_reads("as it was", gva, 1);
}

/* The word of memory that held a PDPTE may become anything. */
static void freed(void)
{
	word gva = test_gva(4);
	uint8_t *root = table_root();
	uint64_t save[4];

	path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
	for (unsigned i = 0; i < 4; i++)
		save[i] = pdpte(i);
	for (unsigned i = 0; i < X86_PAGE_SIZE; i++)
		root[i] = 0xff;
	invlpg(gva);
	expect_reads("the table is overwritten", gva, 1);
	expect_done("write", attempt(OP_WRITE, USER, gva, 0));
	for (unsigned i = 0; i < 4; i++)
		set_pdpte(i, save[i]);
	write_cr3(read_cr3());
	expect_done("read", attempt(OP_READ, USER, gva, 0));
}

/* Nothing is set in a PDPTE, whatever is accessed: bit 5 is reserved there. */
static void not_accessed(void)
{
	word gva = test_gva(4);

	path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
	expect_done("write", attempt(OP_WRITE, USER, gva, 0));
	for (unsigned i = 0; i < 4; i++) {
		given("pdpte", i);
		expect_equal("bits 11:1", 0, pdpte(i) & 0xffe & ~(X86_PTE_PWT | X86_PTE_PCD));
	}
}

static void expect_refused(const char *what, enum op op, word value)
{
	word before = (word)read_cr3();

	expect_trap(what, attempt(op, KERNEL, 0, value), X86_GP, 0);
	expect_equal("CR3 stays", before, read_cr3());
}

static void reserved(void)
{
	word gva = test_gva(4);
	uint64_t mask = RESERVED_LO | (~0ull << cpu.maxphyaddr);
	uint64_t mine;

	path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
	mine = pdpte(1);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t entry = mine | 1ull << bit;

		if (!(mask >> bit & 1))
			continue;
		given("bit", bit);
		set_pdpte(1, entry);
		expect_refused("MOV CR3", OP_WRITE_CR3, (word)read_cr3());
		expect_refused("CR4.PSE", OP_WRITE_CR4, (word)(read_cr4() ^ X86_CR4_PSE));
		expect_refused("CR0.CD", OP_WRITE_CR0, (word)(read_cr0() ^ X86_CR0_CD));
		expect_reads("the old one counts", gva, 1);
		set_pdpte(1, entry & ~X86_PTE_P);
		expect_done(
			"not present: MOV CR3", attempt(OP_WRITE_CR3, KERNEL, 0, (word)read_cr3()));
		expect_fault("not present", attempt(OP_READ, USER, gva, 0), X86_PF_U, gva);
		set_pdpte(1, mine);
		write_cr3(read_cr3());
		expect_reads("without it", gva, 1);
	}
}

/* #GP when paging would begin with such a PDPTE: it does not begin. */
static void reserved_at_paging(void)
{
	struct outcome got;

	set_pdpte(3, phys(frame_new()) | X86_PTE_P | X86_PTE_W);
	write_cr0(read_cr0() & ~X86_CR0_PG);
	got = attempt(OP_WRITE_CR0, KERNEL, 0, (word)(read_cr0() | X86_CR0_PG));
	expect_trap("PG on", got, X86_GP, 0);
	expect_equal("PG", 0, read_cr0() & X86_CR0_PG);
	set_pdpte(3, 0);
	write_cr0(read_cr0() | X86_CR0_PG);
}

/* The table lies anywhere in a page, in 32 bytes. */
static void anywhere(void)
{
	word gva = test_gva(4);
	uint64_t *page = frame_new();
	uint32_t *root = table_root();

	path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
	for (unsigned i = 0; i < 16; i++) {
		uint32_t *at = (uint32_t *)page + 8 * (i * 37 % 128);

		given("offset", (uintptr_t)at & 0xfff);
		for (unsigned j = 0; j < 8; j++)
			at[j] = root[j];
		write_cr3((uintptr_t)at | (i & 3) << 3); /* PWT, PCD */
		expect_equal("CR3", (uintptr_t)at | (i & 3) << 3, read_cr3());
		expect_reads("by this table", gva, 1);
		write_cr3((uintptr_t)root);
		for (unsigned j = 0; j < 8; j++)
			at[j] = 0;
	}
}

/* All four quarters through one page directory, and two directories in turn. */
static void shared_directory(void)
{
	word gva = test_gva(4);
	struct path path = path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);

	set_pdpte(2, pdpte(1));
	set_pdpte(3, pdpte(1));
	write_cr3(read_cr3());
	for (uint32_t i = 2; i < 6; i++) {
		for (word quarter = 0; quarter < 3; quarter++)
			expect_reads("in each quarter", gva + quarter * 0x40000000, i - 1);
		path_set(&path, 1, phys(frame_marked(i)) | PTE_ALL);
		for (word quarter = 0; quarter < 3; quarter++)
			invlpg(gva + quarter * 0x40000000);
	}
	set_pdpte(2, 0);
	write_cr3(read_cr3());
	expect_fault("one quarter gone", attempt(OP_READ, KERNEL, gva + 0x40000000, 0), 0,
		gva + 0x40000000);
	expect_reads("another is not", gva + 0x80000000, 5);
}

static const struct test tests[] = {
	{.name = "pdptes_loaded", .modes = IN(PAE), .run = loaded},
	{.name = "pdptes_anywhere", .modes = IN(PAE), .run = anywhere},
	{.name = "pdptes_shared", .modes = IN(PAE), .run = shared_directory},
	{.name = "pdptes_not_walked",
		.modes = IN(PAE),
		.run = not_walked,
		.departs_in = ROWS_EMULATOR,
		.departs = WHY_WALKED},
	{.name = "pdptes_freed",
		.modes = IN(PAE),
		.run = freed,
		.departs_in = ROWS_EMULATOR,
		.departs = WHY_WALKED},
	{.name = "pdptes_not_accessed",
		.modes = IN(PAE),
		.run = not_accessed,
		.departs_in = ROWS_EMULATOR,
		.departs = "TCG sets A in PDPTEs"},
	{.name = "pdptes_reserved",
		.modes = IN(PAE),
		.run = reserved,
		.departs_in = ROWS_EMULATOR,
		.departs = WHY_NOT_GP},
	{.name = "pdptes_reserved_pg",
		.modes = IN(PAE),
		.run = reserved_at_paging,
		.departs_in = ROWS_EMULATOR,
		.departs = WHY_NOT_GP},
};
GROUP(group_pae, tests);
