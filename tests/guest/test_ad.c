/* SPDX-License-Identifier: MIT */
/* Accessed and dirty bits: set when the manual says so, and never else. SDM 3A "Accessed and Dirty
 * Flags". */
#include "tests/guest/guest.h"

#define SOFTWARE_BITS 0xe00ull

static struct path fresh(unsigned leaf_level, unsigned n)
{
	uint64_t frame =
		leaf_level > 1 ? SPARE_BASE & ~(level_bytes(leaf_level) - 1) : phys(frame_new());
	struct path path;

	given("leaf level", leaf_level);
	path = path_make(test_gva(n), leaf_level, frame | PTE_ALL | SOFTWARE_BITS);
	for (unsigned level = leaf_level; level <= mode->level_max; level++)
		path_set(&path, level, path_get(&path, level) & ~PTE_AD);
	flush_all();
	return path;
}

/* A above and at the leaf, which has D besides if @dirty. PDPTEs of PAE have neither. */
static void expect_accessed(const char *what, const struct path *path, bool dirty)
{
	for (unsigned level = path->leaf; level <= mode->level_max; level++)
		expect_ad(what, path, level, level == path->leaf && dirty ? PTE_AD : X86_PTE_A);
	expect_equal(
		"software bits stay", SOFTWARE_BITS, path_get(path, path->leaf) & SOFTWARE_BITS);
}

static void clear_leaf(const struct path *path, uint64_t bits)
{
	path_set(path, path->leaf, path_get(path, path->leaf) & ~bits);
	invlpg(path->gva);
}

static void read_then_write(unsigned leaf_level, enum who who)
{
	struct path path = fresh(leaf_level, 0x200 * who);

	given("who", who);
	expect_done("read", attempt(OP_READ, who, path.gva, 0));
	expect_accessed("after a read", &path, false);
	expect_done("write", attempt(OP_WRITE, who, path.gva, 1));
	expect_accessed("after a write", &path, true);
	clear_leaf(&path, X86_PTE_D);
	expect_done("read", attempt(OP_READ, who, path.gva, 0));
	expect_accessed("a read does not set D again", &path, false);
	expect_done("write", attempt(OP_WRITE, who, path.gva, 1));
	expect_accessed("a write sets D again", &path, true);
	clear_leaf(&path, PTE_AD);
	expect_ad("cleared", &path, leaf_level, 0);
	expect_done("write", attempt(OP_WRITE, who, path.gva, 1));
	expect_accessed("one write sets both", &path, true);
}

static void each_level_and_privilege(void)
{
	for (unsigned level = 1; level <= mode->levels; level++) {
		for (enum who who = KERNEL; level_has_leaf(level) && who <= USER; who += USER)
			read_then_write(level, who);
	}
}

static void cleared_above(void)
{
	struct path path = fresh(1, 0);

	for (unsigned level = 2; level <= mode->level_max; level++) {
		expect_done("write", attempt(OP_WRITE, KERNEL, path.gva, 1));
		path_set(&path, level, path_get(&path, level) & ~X86_PTE_A);
		flush_all();
		expect_ad("cleared", &path, level, 0);
		expect_done("read", attempt(OP_READ, KERNEL, path.gva, 1));
		expect_ad("set again", &path, level, X86_PTE_A);
	}
}

static void fetch_sets_a_only(void)
{
	struct path path = fresh(1, 0);

	*(volatile uint16_t *)(uintptr_t)(path_get(&path, 1) & X86_PTE_FRAME) = 0x30cd;
	expect_done("fetch", attempt(OP_FETCH, KERNEL, path.gva, 0));
	expect_accessed("after a fetch", &path, false);
}

static void neighbours_stay(void)
{
	enum { N = 64 };
	struct path paths[N];

	for (unsigned i = 0; i < N; i++)
		paths[i] = path_make(test_gva(i), 1, phys(frame_new()) | PTE_ALL);
	for (unsigned i = 0; i < N; i += 7) {
		expect_done("write", attempt(OP_WRITE, USER, test_gva(i), 1));
		given("written", i);
		for (unsigned j = 0; j < N; j++) {
			given("page", j);
			expect_ad("A and D of pages that nobody used", &paths[j], 1,
				j <= i && j % 7 == 0 ? PTE_AD : 0);
		}
	}
}

static void refused_write_sets_no_d(void)
{
	for (unsigned leaf = 1; leaf <= mode->levels; leaf++) {
		struct path path;

		if (!level_has_leaf(leaf))
			continue;
		path = fresh(leaf, 0);
		clear_leaf(&path, X86_PTE_W);
		expect_fault("write", attempt(OP_WRITE, USER, path.gva, 0),
			X86_PF_P | X86_PF_W | X86_PF_U, path.gva);
		expect_equal("D", 0, path_get(&path, leaf) & X86_PTE_D);
		write_cr0(read_cr0() & ~X86_CR0_WP);
		expect_done("write with WP=0", attempt(OP_WRITE, KERNEL, path.gva, 0));
		expect_accessed("after a write with WP=0", &path, true);
		write_cr0(read_cr0() | X86_CR0_WP);
	}
}

/* A refused access at one level sets nothing below it. */
static void nothing_below_a_hole(void)
{
	struct path path = fresh(1, 0);

	for (unsigned level = mode->level_max; level > 1; level--) {
		uint64_t entry = path_get(&path, level);

		path_set(&path, level, entry & ~X86_PTE_P);
		flush_all();
		expect_fault("read", attempt(OP_READ, KERNEL, path.gva, 0), 0, path.gva);
		for (unsigned below = 1; below <= level; below++)
			expect_ad("below a hole", &path, below, 0);
		path_set(&path, level, entry);
	}
}

static void every_kind_of_store(void)
{
	static const enum op ops[] = {OP_WRITE, OP_WRITE8, OP_WRITE16, OP_WRITE32, OP_XCHG,
		OP_CMPXCHG, OP_CMPXCHG8B, OP_ADD, OP_AND8, OP_AND, OP_OR, OP_BTS, OP_BTR, OP_POP,
		OP_SSE_STORE, OP_REP_STOS};

	for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		struct path path = fresh(1, 0);
		struct probe probe = probe_of(ops[i], USER, path.gva, 0);

		given("op", ops[i]);
		probe.sp -= 64;
		probe.ax = 1; /* a CMPXCHG that fails writes too */
		probe.cx = 1;
		probe_run(&probe);
		expect_done("store", probe_outcome(&probe));
		expect_accessed("after it", &path, true);
	}
}

static void crossing_two_pages(void)
{
	struct path first = fresh(1, 0);
	struct path second = fresh(1, 1);
	word gva = second.gva - 2;

	path_set(&first, 1, path_get(&first, 1) & ~PTE_AD);
	flush_all();
	expect_done("read", attempt(OP_READ, USER, gva, 0));
	expect_accessed("first", &first, false);
	expect_accessed("second", &second, false);
	expect_done("write", attempt(OP_WRITE, USER, gva, 0));
	expect_accessed("first", &first, true);
	expect_accessed("second", &second, true);
	clear_leaf(&first, PTE_AD);
	clear_leaf(&second, PTE_AD | X86_PTE_W);
	expect_fault("write to a read-only second", attempt(OP_WRITE, USER, gva, 0),
		X86_PF_P | X86_PF_W | X86_PF_U, second.gva);
	expect_equal("D of the second", 0, path_get(&second, 1) & X86_PTE_D);
}

static const struct test tests[] = {
	{.name = "ad", .modes = IN_PAGED, .run = each_level_and_privilege},
	{.name = "ad_above", .modes = IN_PAGED, .run = cleared_above},
	{.name = "ad_fetch", .modes = IN_PAGED, .run = fetch_sets_a_only},
	{.name = "ad_neighbours", .modes = IN_PAGED, .run = neighbours_stay},
	{.name = "ad_refused", .modes = IN_PAGED, .run = refused_write_sets_no_d},
	{.name = "ad_hole", .modes = IN_PAGED, .run = nothing_below_a_hole},
	{.name = "ad_stores", .modes = IN_PAGED, .run = every_kind_of_store},
	{.name = "ad_crossing", .modes = IN_PAGED, .run = crossing_two_pages},
};
GROUP(group_ad, tests);
