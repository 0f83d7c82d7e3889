/* SPDX-License-Identifier: MIT */
/* CR0.WP=0: the supervisor writes where it may only read; and what that must not open for others.
 * SDM 3A "Access Rights". */
#include "tests/guest/guest.h"

/* In turn, again and again: who is allowed must not depend on who came last. */
static void taking_turns(void)
{
	word gva = test_gva(0);
	uint32_t *frame = frame_marked(0);
	struct path path = path_make(gva, 1, phys(frame) | X86_PTE_P | X86_PTE_U);

	write_cr0(read_cr0() & ~X86_CR0_WP);
	for (uint32_t i = 0; i < 8; i++) {
		given("round", i);
		expect_done("supervisor writes", attempt(OP_WRITE32, KERNEL, gva, i));
		expect_value("user reads", attempt(OP_READ32, USER, gva, 0), i);
		expect_fault("user writes", attempt(OP_WRITE32, USER, gva, 0),
			X86_PF_P | X86_PF_W | X86_PF_U, gva);
		expect_done("supervisor writes again", attempt(OP_WRITE32, KERNEL, gva, i + 1));
		if (i & 1)
			continue;
		/* WP acts at once, without a flush. */
		write_cr0(read_cr0() | X86_CR0_WP);
		expect_fault(
			"with WP", attempt(OP_WRITE32, KERNEL, gva, 0), X86_PF_P | X86_PF_W, gva);
		expect_value("user reads", attempt(OP_READ32, USER, gva, 0), i + 1);
		write_cr0(read_cr0() & ~X86_CR0_WP);
	}
	expect_ad("at last", &path, 1, PTE_AD);
}

/* A page that the supervisor has written so is still the user's: SMEP keeps it from being executed.
 */
static void smep_stays(void)
{
	word gva = test_gva(0);
	uint32_t *frame = frame_marked(0x30cd30cd);

	if (!cpu.smep)
		skip("no SMEP");
	path_make(gva, 1, phys(frame) | X86_PTE_P | X86_PTE_U);
	write_cr0(read_cr0() & ~X86_CR0_WP);
	for (unsigned i = 0; i < 6; i++) {
		given("round", i);
		write_cr4(read_cr4() | X86_CR4_SMEP);
		expect_done("supervisor writes", attempt(OP_WRITE32, KERNEL, gva + 4 * i + 4, i));
		expect_fault("supervisor executes", attempt(OP_FETCH, KERNEL, gva, 0),
			X86_PF_P | X86_PF_I, gva);
		expect_done("user executes", attempt(OP_FETCH, USER, gva, 0));
		write_cr4(read_cr4() & ~X86_CR4_SMEP);
		expect_done("supervisor writes", attempt(OP_WRITE32, KERNEL, gva + 4 * i + 4, i));
		expect_done("supervisor executes, SMEP off", attempt(OP_FETCH, KERNEL, gva, 0));
	}
}

/* The supervisor edits tables that are mapped read-only for it. */
static void read_only_tables(void)
{
	word gva = test_gva(0);
	word at = test_gva_far(1, 0);
	struct path path = path_make(gva, 1, phys(frame_marked(1)) | PTE_ALL);
	word entry = at + level_index(gva, 1) * mode->entry_bytes;

	path_make(at, 1, phys(entry_table(path.entry[2])) | X86_PTE_P);
	for (uint32_t i = 0; i < 6; i++) {
		word leaf = (word)(phys(frame_marked(i + 2)) | PTE_ALL);

		given("round", i);
		expect_fault("WP=1", attempt(OP_WRITE32, KERNEL, entry, leaf), X86_PF_P | X86_PF_W,
			entry);
		expect_reads("nothing changed", gva, i + 1);
		write_cr0(read_cr0() & ~X86_CR0_WP);
		expect_done("WP=0", attempt(OP_WRITE32, KERNEL, entry, leaf));
		expect_fault("WP=0, the user", attempt(OP_WRITE32, USER, entry, 0),
			X86_PF_P | X86_PF_W | X86_PF_U, entry);
		write_cr0(read_cr0() | X86_CR0_WP);
		invlpg(gva);
		expect_reads("by the new entry", gva, i + 2);
	}
}

/* Upper entries without W, and large pages. */
static void read_only_above(void)
{
	for (unsigned leaf = 1; leaf <= mode->levels; leaf++) {
		uint64_t frame = SPARE_BASE & ~(level_bytes(leaf) - 1);
		struct path path;
		word gva;

		if (!level_has_leaf(leaf))
			continue;
		path = path_make(test_gva(0), leaf, (leaf > 1 ? frame : SPARE_BASE) | PTE_ALL);
		gva = test_gva(0) + (leaf > 1 ? (word)(SPARE_BASE - frame) : 0);
		for (unsigned level = leaf; level <= mode->level_max; level++) {
			given("leaf level", leaf);
			given("level", level);
			path_set(&path, level, path_get(&path, level) & ~X86_PTE_W);
			flush_all();
			for (unsigned i = 0; i < 3; i++) {
				write_cr0(read_cr0() & ~X86_CR0_WP);
				expect_done("WP=0", attempt(OP_WRITE32, KERNEL, gva, i));
				expect_fault("the user", attempt(OP_WRITE32, USER, gva, 0),
					X86_PF_P | X86_PF_W | X86_PF_U, gva);
				write_cr0(read_cr0() | X86_CR0_WP);
				expect_fault("WP=1", attempt(OP_WRITE32, KERNEL, gva, 0),
					X86_PF_P | X86_PF_W, gva);
				expect_reads("what was written", gva, i);
			}
			path_set(&path, level, path_get(&path, level) | X86_PTE_W);
		}
		path_set(&path, mode->level_max, 0);
		flush_all();
	}
}

static const struct test tests[] = {
	{.name = "wp", .modes = IN_PAGED, .run = taking_turns},
	{.name = "wp_smep", .modes = IN_PAGED, .run = smep_stays},
	{.name = "wp_tables", .modes = IN_PAGED, .run = read_only_tables},
	{.name = "wp_above", .modes = IN_PAGED, .run = read_only_above},
};
GROUP(group_wp, tests);
