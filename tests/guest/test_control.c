/* SPDX-License-Identifier: MIT */
/* What may be written to CR0, CR3, CR4 and EFER, and addresses that cannot be. SDM 3A "Control
 * Registers"; SDM 2 "MOV - Move to/from Control Registers"; APM 2 "Canonicalization". */
#include "tests/guest/guest.h"

static uint64_t read_register(enum op op)
{
	switch (op) {
	case OP_WRITE_CR0:
		return read_cr0();
	case OP_WRITE_CR3:
		return read_cr3();
	case OP_WRITE_CR4:
		return read_cr4();
	default:
		return read_msr(X86_MSR_EFER);
	}
}

static struct outcome write_register(enum op op, enum who who, uint64_t value)
{
	struct probe probe = probe_of(op, who, 0, (word)value);

	if (op == OP_WRITE_MSR) {
		probe.cx = X86_MSR_EFER;
		probe.ax = (uint32_t)value;
		probe.dx = (uint32_t)(value >> 32);
	}
	probe_run(&probe);
	return probe_outcome(&probe);
}

static void expect_refused(const char *what, enum op op, uint64_t value)
{
	uint64_t before = read_register(op);

	given("value", value);
	expect_trap(what, write_register(op, KERNEL, value), X86_GP, 0);
	expect_equal("it stays", before, read_register(op));
}

static void expect_taken(const char *what, enum op op, uint64_t value)
{
	given("value", value);
	expect_done(what, write_register(op, KERNEL, value));
	expect_equal("it is there", value, read_register(op));
}

static void cr0_refused(void)
{
	uint64_t cr0 = read_cr0();

	expect_refused("PG without PE", OP_WRITE_CR0, (cr0 | X86_CR0_PG) & ~X86_CR0_PE);
	expect_refused("NW without CD", OP_WRITE_CR0, cr0 | X86_CR0_NW);
	expect_taken("as it is", OP_WRITE_CR0, cr0);
	expect_taken("MP", OP_WRITE_CR0, cr0 | X86_CR0_MP);
	expect_taken("as it was", OP_WRITE_CR0, cr0);
}

/* In 64-bit code paging cannot be left; and bits 63:32 must be 0. */
static void cr0_refused_long(void)
{
	uint64_t cr0 = read_cr0();

	expect_refused("PG=0 in 64-bit mode", OP_WRITE_CR0, cr0 & ~X86_CR0_PG);
	for (unsigned bit = 32; bit < 64; bit += 7)
		expect_refused("an upper bit", OP_WRITE_CR0, cr0 | 1ull << bit);
}

static void clts_and_lmsw(void)
{
	uint64_t cr0 = read_cr0();

	write_cr0(cr0 | X86_CR0_TS);
	expect_done("CLTS", attempt(OP_CLTS, KERNEL, 0, 0));
	expect_equal("TS", 0, read_cr0() & X86_CR0_TS);
	expect_done("LMSW that sets TS and MP",
		attempt(OP_LMSW, KERNEL, 0, X86_CR0_PE | X86_CR0_TS | X86_CR0_MP));
	expect_equal("CR0", cr0 | X86_CR0_TS | X86_CR0_MP, read_cr0());
	expect_done("LMSW cannot clear PE", attempt(OP_LMSW, KERNEL, 0, 0));
	expect_equal("CR0", cr0, read_cr0());
}

static void refused_to_users(void)
{
	static const enum op ops[] = {OP_WRITE_CR0, OP_WRITE_CR3, OP_WRITE_CR4, OP_INVLPG, OP_CLTS,
		OP_LMSW, OP_WRITE_MSR};

	for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		given("op", ops[i]);
		expect_trap("by the user", write_register(ops[i], USER, 1), X86_GP, 0);
	}
}

static void cr4_refused(void)
{
	uint64_t cr4 = read_cr4();

	for (unsigned bit = 25; bit < 32; bit++)
		expect_refused("a reserved bit", OP_WRITE_CR4, cr4 | 1ull << bit);
	if (!cpu.smep)
		expect_refused("SMEP, absent", OP_WRITE_CR4, cr4 | X86_CR4_SMEP);
	if (!cpu.smap)
		expect_refused("SMAP, absent", OP_WRITE_CR4, cr4 | X86_CR4_SMAP);
	if (!cpu.pku)
		expect_refused("PKE, absent", OP_WRITE_CR4, cr4 | X86_CR4_PKE);
	if (!cpu.pks)
		expect_refused("PKS, absent", OP_WRITE_CR4, cr4 | X86_CR4_PKS);
	if (!cpu.la57)
		expect_refused("LA57, absent", OP_WRITE_CR4, cr4 | X86_CR4_LA57);
	if (!cpu.pcid || mode->levels < 4)
		expect_refused(
			"PCIDE, absent or outside long mode", OP_WRITE_CR4, cr4 | X86_CR4_PCIDE);
	expect_taken("as it is", OP_WRITE_CR4, cr4);
}

static void cr4_refused_long(void)
{
	uint64_t cr4 = read_cr4();

	expect_refused("PAE=0 in long mode", OP_WRITE_CR4, cr4 & ~X86_CR4_PAE);
	if (cpu.la57)
		expect_refused("LA57 in long mode", OP_WRITE_CR4, cr4 ^ X86_CR4_LA57);
	for (unsigned bit = 32; bit < 64; bit += 5)
		expect_refused("an upper bit", OP_WRITE_CR4, cr4 | 1ull << bit);
}

/* What does not concern the mode can come and go. */
static void cr4_taken(void)
{
	uint64_t cr4 = read_cr4();
	uint64_t bits = (cpu.pge ? X86_CR4_PGE : 0) | (cpu.smep ? X86_CR4_SMEP : 0) |
			(cpu.smap ? X86_CR4_SMAP : 0) | (cpu.umip ? X86_CR4_UMIP : 0) |
			(cpu.pku ? X86_CR4_PKE : 0) | (cpu.pks ? X86_CR4_PKS : 0) | X86_CR4_PSE |
			X86_CR4_DE | X86_CR4_TSD;

	for (unsigned bit = 0; bit < 32; bit++) {
		if (bits >> bit & 1) {
			expect_taken("toggled", OP_WRITE_CR4, cr4 ^ 1ull << bit);
			expect_taken("toggled again", OP_WRITE_CR4, cr4);
		}
	}
}

static void cr3_refused(void)
{
	uint64_t cr3 = read_cr3();

	for (unsigned bit = cpu.maxphyaddr; bit < 64; bit++)
		expect_refused("a reserved bit", OP_WRITE_CR3, cr3 | 1ull << bit);
	expect_taken("PWT and PCD", OP_WRITE_CR3, cr3 | X86_CR3_PWT | X86_CR3_PCD);
	expect_taken("as it was", OP_WRITE_CR3, cr3);
}

static void efer_refused(void)
{
	uint64_t efer = read_msr(X86_MSR_EFER);

	expect_refused("LME while paging", OP_WRITE_MSR, efer ^ X86_EFER_LME);
	expect_taken("as it is", OP_WRITE_MSR, efer);
	expect_taken("SCE", OP_WRITE_MSR, efer ^ X86_EFER_SCE);
	expect_taken("as it was", OP_WRITE_MSR, efer);
}

static void efer_reserved(void)
{
	uint64_t efer = read_msr(X86_MSR_EFER);

	for (unsigned bit = 22; bit < 64; bit += 3)
		expect_refused("a reserved bit", OP_WRITE_MSR, efer | 1ull << bit);
}

/* ---- addresses ---- */

/* The first address above the lower half. */
static word canonical_limit(void)
{
	return (word)(1ull << (mode->levels == 5 ? 56 : 47));
}

static void not_canonical(void)
{
	word limit = canonical_limit();
	word bad[] = {limit, limit + 8, (word)0 - limit - 8, limit * 2};
	static const enum op ops[] = {OP_READ, OP_WRITE, OP_FETCH, OP_XCHG, OP_REP_STOS};

	for (unsigned i = 0; i < 4; i++) {
		given("gva", bad[i]);
		for (unsigned j = 0; j < sizeof(ops) / sizeof(*ops); j++) {
			for (enum who who = KERNEL; who <= USER; who += USER) {
				struct probe probe = probe_of(ops[j], who, bad[i], 0);

				probe.cx = 1;
				given("op", ops[j]);
				given("who", who);
				probe_run(&probe);
				expect_trap("access", probe_outcome(&probe), X86_GP, 0);
			}
		}
		expect_done("INVLPG", attempt(OP_INVLPG, KERNEL, bad[i], 0));
	}
}

/* Stack references have an exception of their own. */
static void not_canonical_stack(void)
{
	expect_trap("PUSH", attempt(OP_PUSH, USER, canonical_limit() + 64, 0), X86_SS, 0);
	expect_trap("PUSH", attempt(OP_PUSH, KERNEL, canonical_limit() + 64, 0), X86_SS, 0);
}

/* The last address that is canonical, and the first of the upper half. */
static void canonical_edges(void)
{
	word limit = canonical_limit();

	expect_fault("last of the lower half", attempt(OP_READ8, USER, limit - 1, 0), X86_PF_U,
		limit - 1);
	expect_fault("first of the upper half", attempt(OP_WRITE8, USER, 0 - limit, 0),
		X86_PF_U | X86_PF_W, 0 - limit);
	path_make(limit - X86_PAGE_SIZE, 1, phys(frame_new()) | PTE_ALL);
	expect_done("last word", attempt(OP_WRITE, USER, limit - sizeof(word), 0));
	expect_trap("across the end", attempt(OP_READ, USER, limit - 4, 0), X86_GP, 0);
	expect_fault("last of all", attempt(OP_READ8, KERNEL, (word)-1, 0), 0, (word)-1);
}

/* Pages in the upper half, and at the very ends. */
static void upper_half(void)
{
	word gvas[] = {(word)0 - 0x1000, (word)0 - 0x2000, (word)0 - 0x40000000,
		sizeof(word) == 8 ? (word)0 - canonical_limit() : 0xc0400000};

	for (uint32_t i = 0; i < 4; i++) {
		struct path path = path_make(gvas[i], 1, phys(frame_marked(i)) | PTE_ALL);

		given("gva", gvas[i]);
		expect_reads("read", gvas[i] + 0xffc, i);
		expect_done("write", attempt(OP_WRITE32, USER, gvas[i] + 0xffc, i + 7));
		expect_reads("read", gvas[i] + 0xffc, i + 7);
		expect_ad("its entry", &path, 1, PTE_AD);
		path_set(&path, 1, 0);
		invlpg(gvas[i] + 0x800);
		expect_fault("gone", attempt(OP_READ8, USER, gvas[i] + 0xfff, 0), X86_PF_U,
			gvas[i] + 0xfff);
	}
}

#define WHY_TAKEN "TCG takes what it should refuse"

static const struct test tests[] = {
	{.name = "cr0_refused",
		.modes = IN_ALL,
		.run = cr0_refused,
		.departs_in = ROWS(ROW_NONE),
		.departs = WHY_TAKEN},
	{.name = "cr0_refused_long",
		.modes = IN_LONG,
		.run = cr0_refused_long,
		.departs_in = ROWS_EMULATOR,
		.departs = WHY_TAKEN},
	{.name = "cr3_refused",
		.modes = IN_LONG,
		.run = cr3_refused,
		.departs_in = ROWS(ROW_NONE),
		.departs = WHY_TAKEN},
	{.name = "cr4_refused",
		.modes = IN_ALL,
		.run = cr4_refused,
		.departs_in = ROWS(ROW_NONE),
		.departs = WHY_TAKEN},
	{.name = "cr4_refused_long",
		.modes = IN_LONG,
		.run = cr4_refused_long,
		.departs_in = ROWS(ROW_NONE),
		.departs = WHY_TAKEN},
	{.name = "efer_refused",
		.modes = IN_PAGED,
		.run = efer_refused,
		.departs_in = ROWS(ROW_NONE),
		.departs = WHY_TAKEN},
	{.name = "efer_reserved",
		.modes = IN_ALL,
		.run = efer_reserved,
		.departs_in = ROWS(ROW_NONE),
		.departs = WHY_TAKEN},
	{.name = "not_canonical_stack",
		.modes = IN_LONG,
		.run = not_canonical_stack,
		.departs_in = ROWS_ALL,
		.departs = "TCG raises #GP instead of #SS"},
	{.name = "not_canonical", .modes = IN_LONG, .run = not_canonical},
	{.name = "canonical_edges", .modes = IN_LONG, .run = canonical_edges},
	{.name = "cr4_taken", .modes = IN_ALL, .run = cr4_taken},
	{.name = "clts_lmsw", .modes = IN_ALL, .run = clts_and_lmsw},
	{.name = "refused_to_users", .modes = IN_ALL, .run = refused_to_users},
	{.name = "upper_half", .modes = IN_PAGED, .run = upper_half},
};
GROUP(group_control, tests);
