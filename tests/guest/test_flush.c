/* SPDX-License-Identifier: MIT */
/*
 * What must be seen after INVLPG, a load of CR3, a change of CR4.PGE; and what needs none of them.
 * What may be seen before is not judged. SDM 3A "Invalidation of TLBs and Paging-Structure Caches".
 */
#include "tests/guest/guest.h"

/* Markers. */
enum { ONE = 0x11111111, TWO = 0x22222222 };

static void present_needs_no_flush(void)
{
	word gva = test_gva(3);
	struct path path = path_make(gva, 1, phys(frame_marked(ONE)) | PTE_ALL);

	for (unsigned level = 1; level <= mode->level_max; level++) {
		uint64_t entry = path_get(&path, level);

		given("level", level);
		path_set(&path, level, 0);
		flush_all();
		for (unsigned round = 0; round < 3; round++) {
			expect_fault("absent", attempt(OP_READ, KERNEL, gva, 0), 0, gva);
			path_set(&path, level, entry);
			expect_reads("present", gva, ONE);
			path_set(&path, level, 0);
			invlpg(gva);
		}
		path_set(&path, level, entry);
	}
}

/* The first access may still fault, but that fault forgets what was cached. */
static void more_rights_need_no_flush(void)
{
	word gva = test_gva(3);
	struct path path = path_make(gva, 1, phys(frame_marked(ONE)) | PTE_ALL);

	for (unsigned level = 1; level <= mode->level_max; level++) {
		uint64_t entry = path_get(&path, level);

		for (unsigned right = 1; right <= 2; right++) {
			uint64_t bit = 1ull << right; /* W, U */

			given("level", level);
			given("right", bit);
			path_set(&path, level, entry & ~bit);
			flush_all();
			expect_fault("without", attempt(OP_WRITE, USER, gva, 0),
				X86_PF_P | X86_PF_W | X86_PF_U, gva);
			path_set(&path, level, entry | bit);
			attempt(OP_WRITE, USER, gva, 0);
			expect_done("with", attempt(OP_WRITE, USER, gva, 0));
		}
	}
}

/* Whatever is flushed: @flush forgets it. */
static void forget(const char *what, uint64_t leaf_bits, void (*flush)(word gva))
{
	for (unsigned level = 1; level <= mode->level_max; level++) {
		word gva = test_gva(level);
		uint32_t *old = frame_marked(ONE);
		uint32_t *new = frame_marked(TWO);
		struct path path = path_make(gva, 1, phys(old) | PTE_ALL | leaf_bits);
		uint64_t entry = path_get(&path, level);

		given("level", level);
		expect_reads(what, gva, ONE);
		expect_done(what, attempt(OP_WRITE, USER, gva, ONE));
		if (level == 1) {
			path_set(&path, 1, phys(new) | PTE_ALL | leaf_bits);
		} else {
			/* Another table of the same contents. */
			void *other = frame_new();

			memory_copy(other, entry_table(path.entry[level]), X86_PAGE_SIZE);
			path_set(&path, level, phys(other) | (entry & ~X86_PTE_FRAME & ~X86_PTE_A));
			path = path_make(gva, 1, phys(new) | PTE_ALL | leaf_bits);
		}
		flush(gva);
		expect_reads(what, gva, TWO);
		path_set(&path, level, 0);
		flush(gva);
		expect_fault(what, attempt(OP_READ, USER, gva, 0), X86_PF_U, gva);
	}
}

static void load_cr3(word gva)
{
	(void)gva;
	write_cr3(read_cr3());
}

static void toggle_pge(word gva)
{
	(void)gva;
	write_cr4(read_cr4() ^ X86_CR4_PGE);
	write_cr4(read_cr4() ^ X86_CR4_PGE);
}

static void invlpg_forgets(void)
{
	forget("INVLPG", 0, invlpg);
}

static void invlpg_forgets_global(void)
{
	write_cr4(read_cr4() | X86_CR4_PGE);
	forget("INVLPG of a global page", X86_PTE_G, invlpg);
}

static void cr3_forgets(void)
{
	forget("CR3", 0, load_cr3);
	write_cr4(read_cr4() | X86_CR4_PGE);
	forget("CR3, PGE on, page not global", 0, load_cr3);
}

static void cr3_forgets_global_without_pge(void)
{
	forget("CR3, PGE off", X86_PTE_G, load_cr3);
}

static void pge_forgets(void)
{
	forget("PGE on and off", X86_PTE_G, toggle_pge);
	write_cr4(read_cr4() | X86_CR4_PGE);
	forget("PGE off and on", X86_PTE_G, toggle_pge);
}

/* INVLPG of any address in a large page forgets all of it. */
static void invlpg_in_large_page(void)
{
	for (unsigned level = 2; level <= mode->levels; level++) {
		word gva = (word)(test_gva(0) + level_bytes(level));
		uint64_t frame;
		struct path path;

		if (!level_has_leaf(level))
			continue;
		given("level", level);
		frame = SPARE_BASE & ~(level_bytes(level) - 1);
		path = path_make(gva, level, frame | PTE_ALL);
		expect_done("write", attempt(OP_WRITE, USER, gva + SPARE_BASE - (word)frame, 0));
		expect_done("write",
			attempt(OP_WRITE, USER, gva + SPARE_BASE - (word)frame + 0x3000, 0));
		path_set(&path, level, frame | X86_PTE_P | X86_PTE_PS);
		invlpg(gva + (word)level_bytes(level) - 1);
		expect_fault("write to one page", attempt(OP_WRITE, USER, gva, 0),
			X86_PF_P | X86_PF_W | X86_PF_U, gva);
		gva += SPARE_BASE - (word)frame + 0x3000;
		expect_fault("write to another", attempt(OP_WRITE, USER, gva, 0),
			X86_PF_P | X86_PF_W | X86_PF_U, gva);
	}
}

/* A root of its own, with @frame at @gva. */
static void *root_with(word gva, const void *frame, struct path *path)
{
	void *root = frame_new();

	memory_copy(root, (const void *)mode_root(mode->id), X86_PAGE_SIZE);
	*path = path_make_in(root, gva, 1, phys(frame) | PTE_ALL);
	return root;
}

static void many_roots(void)
{
	enum { N = 24 };
	word gva = test_gva(7);
	void *roots[N];
	struct path paths[N];

	for (uint32_t i = 0; i < N; i++)
		roots[i] = root_with(gva, frame_marked(i + 0x100), &paths[i]);
	for (uint32_t round = 0; round < 6; round++) {
		given("round", round);
		for (uint32_t i = 0; i < N; i++) {
			uint32_t marker = round << 8 | (i + 0x100);

			given("root", i);
			write_cr3((word)roots[i]);
			expect_reads("its own page", gva, marker);
			/* The next one's page changes under another root, without a flush. */
			path_set(&paths[i], 1,
				phys(frame_marked((round + 1) << 8 | (i + 0x100))) | PTE_ALL);
		}
	}
}

/* Two roots share a table: a change and INVLPG under one is seen under the other after its load. */
static void shared_table(void)
{
	word gva = test_gva(7);
	struct path one;
	struct path two;
	void *first = root_with(gva, frame_marked(ONE), &one);
	void *second = root_with(gva, frame_new(), &two);
	unsigned top = mode->levels;

	entry_write(two.entry[top], entry_read(one.entry[top]));
	for (uint32_t i = 0; i < 8; i++) {
		write_cr3((word)(i & 1 ? first : second));
		expect_reads("before", gva, i ? i : ONE);
		path_set(&one, 1, phys(frame_marked(i + 1)) | PTE_ALL);
		invlpg(gva);
		expect_reads("after", gva, i + 1);
	}
	path_set(&one, 1, 0);
	invlpg(gva);
	write_cr3((word)first);
	expect_fault("gone in one", attempt(OP_READ, KERNEL, gva, 0), 0, gva);
	write_cr3((word)second);
	expect_fault("gone in the other", attempt(OP_READ, KERNEL, gva, 0), 0, gva);
}

/* A table of another root changes while that root is not in use. */
static void changed_while_away(void)
{
	word gva = test_gva(7);
	struct path one;
	struct path two;
	void *first = root_with(gva, frame_marked(ONE), &one);
	void *second = root_with(gva, frame_marked(TWO), &two);

	for (uint32_t i = 1; i < 20; i++) {
		uint32_t *page = frame_marked(i);

		write_cr3((word)first);
		attempt(OP_WRITE32, USER, gva, ONE);
		write_cr3((word)second);
		path_set(&one, 1, phys(page) | PTE_ALL);
		expect_reads("the other", gva, TWO);
		write_cr3((word)first);
		expect_reads("changed while away", gva, i);
	}
}

/* Global pages are the same under all roots, whatever is cached. */
static void global_in_two_roots(void)
{
	word gva = test_gva(7);
	struct path one;
	struct path two;
	uint32_t *page = frame_marked(ONE);
	void *first = root_with(gva, page, &one);
	void *second = root_with(gva, page, &two);

	path_set(&one, 1, phys(page) | PTE_ALL | X86_PTE_G);
	path_set(&two, 1, phys(page) | PTE_ALL | X86_PTE_G);
	write_cr4(read_cr4() | X86_CR4_PGE);
	for (uint32_t i = 1; i < 6; i++) {
		write_cr3((word)first);
		expect_done("write", attempt(OP_WRITE32, KERNEL, gva, i));
		write_cr3((word)second);
		expect_reads("the same", gva, i);
		page = frame_marked(i);
		path_set(&one, 1, phys(page) | PTE_ALL | X86_PTE_G);
		path_set(&two, 1, phys(page) | PTE_ALL | X86_PTE_G);
		invlpg(gva);
		expect_reads("another", gva, i);
		write_cr3((word)first);
		expect_reads("another, other root", gva, i);
	}
}

static const struct test tests[] = {
	{.name = "becoming_present", .modes = IN_PAGED, .run = present_needs_no_flush},
	{.name = "becoming_allowed", .modes = IN_PAGED, .run = more_rights_need_no_flush},
	{.name = "invlpg", .modes = IN_PAGED, .run = invlpg_forgets},
	{.name = "invlpg_global", .modes = IN_PAGED, .run = invlpg_forgets_global},
	{.name = "invlpg_large", .modes = IN_PAGED, .run = invlpg_in_large_page},
	{.name = "cr3", .modes = IN_PAGED, .run = cr3_forgets},
	{.name = "cr3_no_pge", .modes = IN_PAGED, .run = cr3_forgets_global_without_pge},
	{.name = "pge", .modes = IN_PAGED, .run = pge_forgets},
	{.name = "many_roots", .modes = IN_PAGED, .run = many_roots},
	{.name = "shared_table", .modes = IN_PAGED, .run = shared_table},
	{.name = "changed_while_away", .modes = IN_PAGED, .run = changed_while_away},
	{.name = "global_in_two_roots", .modes = IN_PAGED, .run = global_in_two_roots},
};
GROUP(group_flush, tests);
