/* SPDX-License-Identifier: MIT */
/* Reserved bits of entries, by mode, level and MAXPHYADDR. SDM 3A "Paging", the tables of formats;
 * "Page-Fault Exceptions". */
#include "tests/guest/guest.h"

static uint64_t bits(unsigned high, unsigned low)
{
	return high < low ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

/* Reserved bits of an entry at @level that is, or is not, a large page. */
static uint64_t reserved_at(unsigned level, bool leaf, bool nxe)
{
	uint64_t mask;

	if (mode->id == TWO_LEVEL) {
		if (level == 1 || !leaf)
			return 0;
		if (!cpu.pse36)
			return bits(21, 13);
		return bits(21, 21) | (cpu.maxphyaddr < 40 ? bits(20, cpu.maxphyaddr - 19) : 0);
	}
	mask = bits(mode->id == PAE ? 62 : 51, cpu.maxphyaddr);
	if (!nxe)
		mask |= X86_PTE_NX;
	if (leaf && level == 2)
		mask |= bits(20, 13);
	if (leaf && level == 3)
		mask |= bits(29, 13);
	if (level > 3)
		mask |= X86_PTE_PS;
	if (level == 3 && !leaf && !cpu.gb_pages)
		mask |= X86_PTE_PS;
	return mask;
}

/* A reserved bit was found in an entry that is present, so P is told too; test "reserved_present"
 * is about that where the emulator does not tell it. */
static uint32_t reserved_error(void)
{
	return row_in(ROWS_EMULATOR) ? X86_PF_RSVD : X86_PF_P | X86_PF_RSVD;
}

/* Each access to @gva ends with RSVD and the bits of that access. */
static void expect_reserved(word gva, bool fetch_told)
{
	static const enum op ops[] = {OP_READ, OP_WRITE, OP_FETCH};
	static const uint32_t told[] = {0, X86_PF_W, X86_PF_I};

	for (unsigned i = 0; i < 3; i++) {
		for (enum who who = KERNEL; who <= USER; who += USER) {
			uint32_t error = reserved_error() | (who == USER ? X86_PF_U : 0);

			if (ops[i] != OP_FETCH || fetch_told)
				error |= told[i];
			given("op", ops[i]);
			given("who", who);
			expect_fault("access", attempt(ops[i], who, gva, 0), error, gva);
		}
	}
}

static void each_bit(const struct path *path, unsigned level, uint64_t mask, bool nxe)
{
	uint64_t entry = path_get(path, level);

	given("level", level);
	given("leaf level", path->leaf);
	given("nxe", nxe);
	for (unsigned bit = 0; bit < mode->entry_bytes * 8; bit++) {
		if (!(mask >> bit & 1))
			continue;
		given("bit", bit);
		path_set(path, level, entry | 1ull << bit);
		invlpg(path->gva);
		expect_reserved(path->gva, nxe);
		/* Rights are told as missing only where no reserved bit is set. */
		path_set(path, level, (entry | 1ull << bit) & ~(X86_PTE_W | X86_PTE_U));
		invlpg(path->gva);
		expect_reserved(path->gva, nxe);
		/* An entry that is not present has no reserved bits. */
		path_set(path, level, (entry | 1ull << bit) & ~X86_PTE_P);
		invlpg(path->gva);
		expect_fault("absent", attempt(OP_READ, KERNEL, path->gva, 0), 0, path->gva);
		path_set(path, level, entry);
		invlpg(path->gva);
		expect_done("without it", attempt(OP_READ, KERNEL, path->gva, 0));
	}
}

static void each_level(bool nxe)
{
	for (unsigned leaf = 1; leaf <= mode->levels; leaf++) {
		struct path path;

		if (!level_has_leaf(leaf))
			continue;
		path = path_make(test_gva(0), leaf,
			(leaf > 1 ? SPARE_BASE & ~(level_bytes(leaf) - 1) : SPARE_BASE) | PTE_ALL);
		flush_all();
		for (unsigned level = leaf; level <= mode->level_max; level++)
			each_bit(&path, level, reserved_at(level, level == leaf && level > 1, nxe),
				nxe);
		/* Other leaves may have other tables: begin anew. */
		path_set(&path, mode->level_max, 0);
		flush_all();
	}
}

static void reserved_bits(void)
{
	each_level(cpu.nx && mode->entry_bytes == 8);
}

static void reserved_bits_without_nxe(void)
{
	if (!cpu.nx)
		skip("no NX");
	write_msr(X86_MSR_EFER, read_msr(X86_MSR_EFER) & ~X86_EFER_NXE);
	flush_all();
	each_level(false);
}

/* A reserved bit above is found before an absent entry below; the other way round it is not. */
static void order(void)
{
	struct path path = path_make(test_gva(0), 1, SPARE_BASE | PTE_ALL);
	uint64_t reserved = 1ull << 51;

	if (cpu.maxphyaddr > 51)
		skip("MAXPHYADDR is 52");
	for (unsigned level = 2; level <= mode->level_max; level++) {
		uint64_t upper = path_get(&path, level);
		uint64_t lower = path_get(&path, level - 1);

		given("level", level);
		path_set(&path, level, upper | reserved);
		path_set(&path, level - 1, 0);
		invlpg(path.gva);
		expect_fault("reserved above", attempt(OP_READ, USER, path.gva, 0),
			reserved_error() | X86_PF_U, path.gva);
		path_set(&path, level, upper & ~X86_PTE_P);
		path_set(&path, level - 1, lower | reserved);
		invlpg(path.gva);
		expect_fault(
			"reserved below", attempt(OP_READ, USER, path.gva, 0), X86_PF_U, path.gva);
		path_set(&path, level, upper);
		path_set(&path, level - 1, lower);
	}
	expect_done("all well", attempt(OP_WRITE, USER, path.gva, 0));
}

static void present_is_told(void)
{
	word gva = test_gva(0);
	unsigned bit = mode->id == TWO_LEVEL ? 21 : 13;

	path_make(gva, 2, (SPARE_BASE & ~0x3fffffull) | PTE_ALL | 1ull << bit);
	expect_fault(
		"read", attempt(OP_READ, USER, gva, 0), X86_PF_P | X86_PF_RSVD | X86_PF_U, gva);
	expect_fault(
		"write", attempt(OP_WRITE, KERNEL, gva, 0), X86_PF_P | X86_PF_RSVD | X86_PF_W, gva);
}

/* Bits 62:52 of entries in long mode, and 11:9 everywhere, are the system's own. */
static void ignored_bits(void)
{
	struct path path = path_make(test_gva(0), 1, SPARE_BASE | PTE_ALL);
	uint64_t own = 0xe00 | (mode->levels > 3 ? bits(62, 52) : 0);

	for (unsigned level = 1; level <= mode->level_max; level++) {
		uint64_t entry = path_get(&path, level);

		given("level", level);
		path_set(&path, level, entry | own);
		invlpg(path.gva);
		expect_done("write", attempt(OP_WRITE, USER, path.gva, 0));
		expect_equal("they stay", own, path_get(&path, level) & own);
		path_set(&path, level, entry);
	}
}

/* EFER.NXE on and off again with an entry that has NX. */
static void nxe_toggles(void)
{
	struct path path = path_make(test_gva(0), 1, SPARE_BASE | PTE_ALL | X86_PTE_NX);
	uint64_t efer = read_msr(X86_MSR_EFER);

	if (!cpu.nx)
		skip("no NX");
	for (unsigned i = 0; i < 4; i++) {
		write_msr(X86_MSR_EFER, efer | X86_EFER_NXE);
		flush_all();
		expect_done("write", attempt(OP_WRITE, USER, path.gva, 0));
		expect_fault("fetch", attempt(OP_FETCH, USER, path.gva, 0),
			X86_PF_P | X86_PF_U | X86_PF_I, path.gva);
		write_msr(X86_MSR_EFER, efer & ~X86_EFER_NXE);
		flush_all();
		expect_reserved(path.gva, false);
	}
}

static const struct test tests[] = {
	{.name = "reserved", .modes = IN_PAGED, .run = reserved_bits},
	{.name = "reserved_present",
		.modes = IN_PAGED,
		.run = present_is_told,
		.departs_in = ROWS_EMULATOR,
		.departs = "TCG tells RSVD without P"},
	{.name = "reserved_no_nxe", .modes = IN_WIDE, .run = reserved_bits_without_nxe},
	{.name = "reserved_order", .modes = IN_WIDE, .run = order},
	{.name = "ignored_bits", .modes = IN_PAGED, .run = ignored_bits},
	{.name = "nxe", .modes = IN_WIDE, .run = nxe_toggles},
};
GROUP(group_reserved, tests);
