/* SPDX-License-Identifier: MIT */
/* Physical memory of the lab's machine: the layout, and the two directions between frames. */
#include "lab/memory.h"

#include "lab/rng.h"
#include "x86/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All else is absent; the host frames of the tables and of the absent page are absent guest frames.
 */
const struct memory_range memory_layout[MEMORY_N_RANGES] = {
	/* An odd base at an odd distance. */
	{"low", MEMORY_RAM, 0x0, 0x10123, 0x60},
	/* 0x200 to 0x3ff can be one 2M page on both sides. */
	{"aligned", MEMORY_RAM, 0x1f8, 0x403f8, 0x210},
	/* A whole 2M page of the guest, that is none of the host. */
	{"skewed", MEMORY_RAM, 0x600, 0x5003, 0x208},
	/* Reads and fetches only; a large page of it too. */
	{"rom", MEMORY_READ_ONLY, 0x903, 0x70007, 8},
	/* The library may map it but not look at it. */
	{"device", MEMORY_DEVICE, 0xc00, 0x80000, 4},
	{"large rom", MEMORY_READ_ONLY, 0xe00, 0x50e00, 0x200},
	/* Above 4 GiB, so that unpaged code cannot reach it. */
	{"high", MEMORY_RAM, 0x100005, 0x90001, 0x20},
};

static void *must_allocate(size_t alignment, size_t n_bytes)
{
	size_t rounded = (n_bytes + alignment - 1) / alignment * alignment;
	void *block = aligned_alloc(alignment, rounded);

	if (!block) {
		fprintf(stderr, "umbra-lab: out of memory (%zu bytes)\n", n_bytes);
		exit(1);
	}
	memset(block, 0, rounded);
	return block;
}

/* Read-only memory holds entries: most present, some without A, for low, table and odd frames. */
static void fill_read_only(uint8_t *bytes, uint64_t n_frames)
{
	struct rng rng = rng_seed(0x903);

	for (uint64_t i = 0; i < n_frames * 512; i++) {
		uint64_t word = rng_u64(&rng);
		uint64_t entry = (word & (X86_PTE_W | X86_PTE_A | X86_PTE_D)) | X86_PTE_U |
				 (word >> 8 & 7 ? X86_PTE_P : 0) |
				 (0x10 + (word >> 16) % 0x20) << X86_PAGE_SHIFT;

		memcpy(bytes + i * 8, &entry, 8);
	}
}

void memory_init(struct memory *memory, unsigned table_pages)
{
	for (unsigned i = 0; i < MEMORY_N_RANGES; i++) {
		const struct memory_range *range = &memory_layout[i];
		umbra_gfn first = {range->gfn};

		memory->backing[i] = must_allocate(X86_PAGE_SIZE, range->n_frames * X86_PAGE_SIZE);
		memory->mirror[i] = must_allocate(X86_PAGE_SIZE, range->n_frames * X86_PAGE_SIZE);
		memory->meta[i] =
			must_allocate(64, umbra_slot_meta_bytes(first, range->n_frames) + 1);
		if (range->kind == MEMORY_READ_ONLY) {
			fill_read_only(memory->backing[i], range->n_frames);
			fill_read_only(memory->mirror[i], range->n_frames);
		}
	}
	memory->tables = must_allocate(X86_PAGE_SIZE, (size_t)table_pages * X86_PAGE_SIZE);
	memory->table_pages = table_pages;
	memory->absent = must_allocate(X86_PAGE_SIZE, X86_PAGE_SIZE);
	memset(memory->absent, 0xff, X86_PAGE_SIZE);
}

void memory_free(struct memory *memory)
{
	for (unsigned i = 0; i < MEMORY_N_RANGES; i++) {
		free(memory->backing[i]);
		free(memory->mirror[i]);
		free(memory->meta[i]);
	}
	free(memory->tables);
	free(memory->absent);
	memset(memory, 0, sizeof(*memory));
}

const struct memory_range *memory_range_of(uint64_t gpa)
{
	uint64_t gfn = gpa >> X86_PAGE_SHIFT;

	for (unsigned i = 0; i < MEMORY_N_RANGES; i++)
		if (gfn - memory_layout[i].gfn < memory_layout[i].n_frames)
			return &memory_layout[i];
	return NULL;
}

bool memory_gpa_of_hpa(uint64_t hpa, uint64_t *gpa)
{
	uint64_t hfn = hpa >> X86_PAGE_SHIFT;

	for (unsigned i = 0; i < MEMORY_N_RANGES; i++) {
		const struct memory_range *range = &memory_layout[i];

		if (hfn - range->hfn < range->n_frames) {
			*gpa = hpa - ((range->hfn - range->gfn) << X86_PAGE_SHIFT);
			return true;
		}
	}
	return false;
}

static uint8_t *at(uint8_t *const *copies, uint64_t gpa)
{
	const struct memory_range *range = memory_range_of(gpa);

	if (!range)
		return NULL;
	return copies[range - memory_layout] + (gpa - (range->gfn << X86_PAGE_SHIFT));
}

uint8_t *memory_at(const struct memory *memory, uint64_t gpa)
{
	return at(memory->backing, gpa);
}

uint8_t *memory_mirror(const struct memory *memory, uint64_t gpa)
{
	return at(memory->mirror, gpa);
}

uint64_t *memory_table(const struct memory *memory, uint64_t hpa)
{
	uint64_t page = (hpa >> X86_PAGE_SHIFT) - MEMORY_TABLES_HFN;

	if (page >= memory->table_pages || hpa % X86_PAGE_SIZE != 0)
		return NULL;
	return (uint64_t *)(void *)(memory->tables + page * X86_PAGE_SIZE);
}
