/* SPDX-License-Identifier: MIT */
/* Large pages: what they map, what divides and joins them, their own bits. */
#include "tests/guest/guest.h"

/* A large page of @level whose frame holds SPARE memory, at a test address; @gva of SPARE_BASE. */
static struct path large_page(unsigned level, uint64_t bits, word *spare)
{
	uint64_t frame = SPARE_BASE & ~(level_bytes(level) - 1);
	struct path path = path_make(test_gva(0), level, frame | PTE_ALL | bits);

	given("level", level);
	*spare = test_gva(0) + (word)(SPARE_BASE - frame);
	flush_all();
	return path;
}

static volatile uint32_t *spare_word(unsigned offset)
{
	return (volatile uint32_t *)(uintptr_t)(SPARE_BASE + offset);
}

static void each_large_level(void (*test)(unsigned level))
{
	bool any = false;

	for (unsigned level = 2; level <= mode->levels; level++) {
		if (level_has_leaf(level)) {
			test(level);
			any = true;
		}
	}
	if (!any)
		skip("this processor has no large pages in this mode");
}

static unsigned spare_bytes(unsigned level)
{
	return level_bytes(level) > SPARE_END - SPARE_BASE ? SPARE_END - SPARE_BASE
							   : (unsigned)level_bytes(level);
}

static void maps_all(unsigned level)
{
	static const unsigned steps[] = {0x1000, 0x1ff4, 0x7ffc, 0x41000};
	word spare;

	large_page(level, 0, &spare);
	for (unsigned s = 0; s < sizeof(steps) / sizeof(*steps); s++) {
		for (unsigned at = 0; at < spare_bytes(level) - 4; at += steps[s] * 13) {
			given("offset", at);
			*spare_word(at) = ~at;
			expect_reads("through the large page", spare + at, ~at);
			expect_done("write", attempt(OP_WRITE32, USER, spare + at, at));
			expect_equal("in memory", at, *spare_word(at));
		}
	}
}

static void large_pages_map(void)
{
	each_large_level(maps_all);
}

/* Replace the large page by a table (of 4K pages, or of the next smaller large ones) of the same
 * memory; change a page there; join again. */
static void divide_and_join(unsigned level)
{
	word spare;
	struct path path = large_page(level, 0, &spare);
	uint64_t large = path_get(&path, level);
	uint64_t smaller = level_bytes(level - 1);
	uint64_t frame = SPARE_BASE & ~(level_bytes(level) - 1);
	unsigned n = 1u << mode->index_bits;
	void *table = frame_new();

	for (uint64_t i = 0; i < n; i++) {
		uint8_t *entry = (uint8_t *)table + i * mode->entry_bytes;

		entry_write(entry, (frame + i * smaller) | PTE_ALL | large_bit(level - 1));
	}
	for (uint32_t round = 0; round < 4; round++) {
		word page = spare + round * 0x5000;
		void *entry = (uint8_t *)table + level_index(page, level - 1) * mode->entry_bytes;
		uint64_t small = entry_read(entry);

		given("round", round);
		*spare_word(round * 0x5000) = round;
		expect_reads("joined", page, round);
		path_set(&path, level, phys(table) | PTE_ALL);
		invlpg(page);
		expect_reads("divided", page, round);
		entry_write(entry, small & ~X86_PTE_W);
		invlpg(page);
		expect_fault("write to a part", attempt(OP_WRITE, USER, page, 0),
			X86_PF_P | X86_PF_W | X86_PF_U, page);
		entry_write(entry, (uint32_t)small);
		path_set(&path, level, large);
		invlpg(page);
		expect_done("write, joined", attempt(OP_WRITE32, USER, page, round + 100));
		expect_equal("in memory", round + 100, *spare_word(round * 0x5000));
	}
}

static void large_pages_divide_and_join(void)
{
	each_large_level(divide_and_join);
}

/* PWT, PCD and PAT, and the bits that are the system's own, change no right and no address. */
static void cache_bits_at(unsigned level)
{
	uint64_t pat = level > 1 ? X86_PTE_PAT_LARGE : X86_PTE_PAT_4K;

	for (unsigned i = 0; i < 16; i++) {
		uint64_t bits = (i & 1 ? X86_PTE_PWT : 0) | (i & 2 ? X86_PTE_PCD : 0) |
				(i & 4 && cpu.pat ? pat : 0) | (i & 8 ? 0xe00 : 0);
		struct path path;
		word gva;

		given("bits", bits);
		if (level > 1) {
			path = large_page(level, bits, &gva);
		} else {
			gva = test_gva(i);
			path = path_make(gva, 1, SPARE_BASE | bits | PTE_ALL);
		}
		*spare_word(4) = i;
		expect_reads("read", gva + 4, i);
		expect_done("write", attempt(OP_WRITE32, USER, gva + 4, i + 1));
		expect_equal("in memory", i + 1, *spare_word(4));
		expect_equal("the bits stay", bits, path_get(&path, level) & (bits | 0xe00));
		for (unsigned up = level + 1; up <= mode->level_max; up++) {
			path_set(&path, up, path_get(&path, up) | (bits & ~pat));
			flush_all();
			given("up", up);
			expect_reads("bits above", gva + 4, i + 1);
		}
	}
}

static void cache_bits(void)
{
	for (unsigned level = 1; level <= mode->levels; level++) {
		if (level_has_leaf(level))
			cache_bits_at(level);
	}
}

/* Without CR4.PSE the bit PS means nothing with 2 levels; PAE and long mode do not ask CR4.PSE. */
static void pse_off(void)
{
	word gva = test_gva(5);
	struct path path = path_make(gva, 1, phys(frame_marked(0x51)) | PTE_ALL);
	uint64_t table = path_get(&path, 2);
	uint32_t *page = (uint32_t *)frame_marked(0x52);
	word spare;

	if (mode->id != TWO_LEVEL) {
		write_cr4(read_cr4() ^ X86_CR4_PSE);
		large_page(2, 0, &spare);
		*spare_word(0) = 0x53;
		expect_reads("large whatever PSE is", spare, 0x53);
		return;
	}
	*spare_word(0x5000) = 0x54;
	for (unsigned i = 0; i < 4; i++) {
		write_cr4(read_cr4() & ~X86_CR4_PSE);
		path_set(&path, 2, table | X86_PTE_PS);
		invlpg(gva);
		expect_reads("PS is ignored", gva, i ? 0x52 : 0x51);
		path_set(&path, 1, phys(page) | PTE_ALL);
		invlpg(gva);
		expect_reads("the table works", gva, 0x52);
		path_set(&path, 2, (SPARE_BASE & ~0x3fffffull) | X86_PTE_PS | PTE_ALL);
		write_cr4(read_cr4() | X86_CR4_PSE);
		invlpg(gva);
		expect_reads("PS counts", gva, 0x54);
	}
}

#define HIGH_MARKER 0x3600u
static bool high_marked;

/* Bits 20:13 of a 4M page are bits 39:32 of its address: that memory is not the low one. */
static void pse36(void)
{
	word gva = test_gva(0);
	uint64_t low = SPARE_BASE & ~0x3fffffull;
	unsigned n_bits = cpu.maxphyaddr < 40 ? cpu.maxphyaddr - 32 : 8;
	struct path path;

	if (!cpu.pse36)
		skip("no PSE-36");
	*spare_word(0) = 0x36363636;
	path = path_make(gva, 2, low | PTE_ALL);
	for (unsigned bit = 0; bit < n_bits; bit++) {
		struct outcome got;

		given("bit", 13 + bit);
		path_set(&path, 2, low | PTE_ALL | X86_PTE_PS | 1ull << (13 + bit));
		invlpg(gva);
		got = attempt(OP_READ32, KERNEL, gva, 0);
		expect_done("read of high memory", got);
		expect_true("it is not low memory", got.value != 0x36363636);
		expect_done(
			"write to high memory", attempt(OP_WRITE32, USER, gva, HIGH_MARKER + bit));
		expect_equal("low memory stays", 0x36363636, *spare_word(0));
		expect_ad("after the write", &path, 2, PTE_AD);
	}
	path_set(&path, 2, low | PTE_ALL | X86_PTE_PS);
	invlpg(gva);
	expect_reads("low again", gva, 0x36363636);
	high_marked = true;
}

/* The same memory by wide entries, where there is some: what the 4M pages left, if that was tried.
 */
static void high_memory(void)
{
	word gva = test_gva(0);
	bool any = false;

	for (unsigned bit = 0; bit < 8 && bit < cpu.maxphyaddr - 32; bit++) {
		uint64_t frame = (1ull << (32 + bit)) | SPARE_BASE;
		struct path path = path_make(gva, 1, frame | PTE_ALL);
		struct outcome got;

		given("bit", bit);
		flush_all();
		got = attempt(OP_READ32, KERNEL, gva, 0);
		expect_done("read", got);
		expect_done("write", attempt(OP_WRITE32, USER, gva + 4, 0x4321 + bit));
		if (attempt(OP_READ32, KERNEL, gva + 4, 0).value != 0x4321 + bit)
			continue;
		any = true;
		if (high_marked)
			expect_equal("what a 4M page left", HIGH_MARKER + bit, got.value);
		path_set(&path, 1, 0);
		path_make(gva, 2, (frame & ~0x3fffffull) | PTE_ALL);
		flush_all();
		expect_reads("by a 2M page", gva + 4, 0x4321 + bit);
		path_set(&path, 2, 0);
	}
	if (!any)
		skip("no memory at or above 4 GiB where it is looked for");
}

/* A large page with a page table inside it: stores through it change translations. */
static void table_in_large_page(unsigned level)
{
	word spare;
	word gva = test_gva_far(1, 9);
	unsigned n_entry = level_index(gva, 1);
	struct path path;

	large_page(level, 0, &spare);
	for (unsigned i = 0; i < X86_PAGE_SIZE; i += 4)
		*spare_word(0x6000 + i) = 0;
	path = path_make(gva, 1, 0);
	path_set(&path, 2, (SPARE_BASE + 0x6000) | PTE_ALL);
	invlpg(gva);
	for (uint32_t i = 0; i < 8; i++) {
		word at = spare + 0x6000 + n_entry * mode->entry_bytes;

		given("round", i);
		expect_done("store into the table",
			attempt(OP_WRITE32, USER, at, (word)(phys(frame_marked(i)) | PTE_ALL)));
		invlpg(gva);
		expect_reads("by the new entry", gva, i);
		expect_done("clear it", attempt(OP_WRITE32, KERNEL, at, 0));
		invlpg(gva);
		expect_fault("no entry", attempt(OP_READ, USER, gva, 0), X86_PF_U, gva);
	}
}

static void tables_in_large_pages(void)
{
	each_large_level(table_in_large_page);
}

static const struct test tests[] = {
	{.name = "large", .modes = IN_PAGED, .run = large_pages_map},
	{.name = "large_divide", .modes = IN_PAGED, .run = large_pages_divide_and_join},
	{.name = "large_tables", .modes = IN_PAGED, .run = tables_in_large_pages},
	{.name = "cache_bits", .modes = IN_PAGED, .run = cache_bits},
	{.name = "pse_off", .modes = IN_PAGED, .run = pse_off},
	{.name = "pse36", .modes = IN(TWO_LEVEL), .run = pse36},
	{.name = "high_memory", .modes = IN_WIDE, .run = high_memory},
};
GROUP(group_large, tests);
