/* SPDX-License-Identifier: MIT */
/*
 * Frames and tables of the running test, in the format of the mode. Must not know of rights or of
 * what a test expects.
 */
#include "tests/guest/guest.h"

static uintptr_t next_frame;
static void *root;

void *frame_new(void)
{
	void *frame = (void *)next_frame;

	if (next_frame >= ARENA_END) {
		print("the arena is used up\n");
		guard_leave();
	}
	next_frame += X86_PAGE_SIZE;
	memory_fill(frame, 0, X86_PAGE_SIZE);
	return frame;
}

uint32_t *frame_marked(uint32_t marker)
{
	uint32_t *frame = frame_new();

	memory_fill(frame, marker, X86_PAGE_SIZE);
	return frame;
}

void table_reset(const void *base)
{
	next_frame = ARENA_BASE;
	root = NULL;
	if (!base)
		return;
	root = frame_new();
	memory_copy(root, base, X86_PAGE_SIZE);
	write_cr3((uintptr_t)root);
}

void *table_root(void)
{
	return root;
}

uint64_t entry_read(const void *entry)
{
	const volatile uint32_t *low = entry;

	return mode->entry_bytes == 4 ? *low : (uint64_t)low[1] << 32 | *low;
}

void entry_write(void *entry, uint64_t value)
{
	if (mode->entry_bytes == 4) {
		*(volatile uint32_t *)entry = (uint32_t)value;
	} else if (sizeof(word) == 8) {
		*(volatile uint64_t *)entry = value;
	} else {
		volatile uint32_t *half = entry;

		/* Never present with the wrong upper half. */
		half[0] = 0;
		half[1] = (uint32_t)(value >> 32);
		half[0] = (uint32_t)value;
	}
}

static unsigned level_shift(unsigned level)
{
	return X86_PAGE_SHIFT + mode->index_bits * (level - 1);
}

uint64_t level_bytes(unsigned level)
{
	return 1ull << level_shift(level);
}

unsigned level_index(word gva, unsigned level)
{
	return (unsigned)((uint64_t)gva >> level_shift(level)) & ((1u << mode->index_bits) - 1);
}

uint64_t large_bit(unsigned level)
{
	return level > 1 ? X86_PTE_PS : 0;
}

bool level_has_leaf(unsigned level)
{
	switch (level) {
	case 1:
		return true;
	case 2:
		return mode->id != TWO_LEVEL || cpu.pse;
	case 3:
		return mode->levels > 3 && cpu.gb_pages;
	default:
		return false;
	}
}

word test_gva(unsigned n)
{
	return test_gva_far(0, n);
}

word test_gva_far(unsigned i, unsigned n)
{
	return (word)(mode->test_va + i * level_bytes(mode->levels)) + n * X86_PAGE_SIZE;
}

void *entry_table(const void *entry)
{
	return (void *)(uintptr_t)(entry_read(entry) & X86_PTE_FRAME);
}

static void *entry_at(void *table, word gva, unsigned level)
{
	return (uint8_t *)table + level_index(gva, level) * mode->entry_bytes;
}

void table_own_low(void *table)
{
	for (unsigned level = mode->levels; level > 2; level--) {
		uint64_t entry = entry_read(table);
		void *own = frame_new();

		memory_copy(own, entry_table(table), X86_PAGE_SIZE);
		entry_write(table, (entry & ~X86_PTE_FRAME) | phys(own));
		table = own;
	}
}

struct path path_make_in(void *table, word gva, unsigned leaf_level, uint64_t leaf)
{
	struct path path = {.gva = gva, .leaf = leaf_level};
	bool new_pdpte = false;

	for (unsigned level = mode->levels; level > leaf_level; level--) {
		void *entry = entry_at(table, gva, level);
		bool pdpte = level > mode->level_max;

		path.entry[level] = entry;
		if (!(entry_read(entry) & X86_PTE_P)) {
			entry_write(entry, phys(frame_new()) | (pdpte ? X86_PTE_P : PTE_ALL));
			new_pdpte |= pdpte;
		}
		table = entry_table(entry);
	}
	path.entry[leaf_level] = entry_at(table, gva, leaf_level);
	entry_write(path.entry[leaf_level], leaf | large_bit(leaf_level));
	if (new_pdpte)
		write_cr3(read_cr3());
	return path;
}

struct path path_make(word gva, unsigned leaf_level, uint64_t leaf)
{
	return path_make_in(root, gva, leaf_level, leaf);
}

uint64_t path_get(const struct path *path, unsigned level)
{
	return entry_read(path->entry[level]);
}

void path_set(const struct path *path, unsigned level, uint64_t value)
{
	entry_write(path->entry[level], value);
}
