/* SPDX-License-Identifier: MIT */
/*
 * Operations on mappings: protection that flips, page tables made and freed, and (the control that
 * should cost no more under any MMU) reads that only miss the TLB.
 */
#include "guest/ops.h"

#include <sys/mman.h>

enum {
	FLIPS = 20,
	FLIP_PAGES = 256,
	FLIP_BYTES = FLIP_PAGES * PAGE_BYTES,
	TABLE_SPAN_BYTES = 2 * MIB, /* of one page table with 8-byte entries */
	SPARSE_BYTES = 1024 * MIB,
	SPARSE_TABLES = SPARSE_BYTES / TABLE_SPAN_BYTES,
	MUNMAP_BYTES = 16 * MIB,
	RANDOM_READS = 200000,
	RANDOM_BYTES = 64 * MIB,
};

static void flip(char *memory, int protection)
{
	if (mprotect(memory, FLIP_BYTES, protection) != 0)
		bench_die("mprotect");
}

uint32_t op_mprotect_flip_touch(struct bench *b)
{
	char *memory = mem_map(FLIP_BYTES);

	mem_write_pages(memory, FLIP_BYTES);
	bench_begin(b);
	for (int i = 0; i < FLIPS; i++) {
		flip(memory, PROT_READ);
		flip(memory, PROT_READ | PROT_WRITE);
		mem_write_pages(memory, FLIP_BYTES);
	}
	bench_end(b);
	mem_unmap(memory, FLIP_BYTES);
	return FLIPS * FLIP_PAGES;
}

static void write_sparsely(char *memory)
{
	for (volatile char *p = memory; p != memory + SPARSE_BYTES; p += TABLE_SPAN_BYTES)
		*p = 1;
}

uint32_t op_sparse_touch(struct bench *b)
{
	char *memory = mem_map(SPARSE_BYTES);

	bench_begin(b);
	write_sparsely(memory);
	bench_end(b);
	mem_unmap(memory, SPARSE_BYTES);
	return SPARSE_TABLES;
}

uint32_t op_sparse_unmap(struct bench *b)
{
	char *memory = mem_map(SPARSE_BYTES);

	write_sparsely(memory);
	bench_begin(b);
	mem_unmap(memory, SPARSE_BYTES);
	bench_end(b);
	return SPARSE_TABLES;
}

uint32_t op_munmap_16m(struct bench *b)
{
	char *memory = mem_map(MUNMAP_BYTES);

	mem_write_pages(memory, MUNMAP_BYTES);
	bench_begin(b);
	mem_unmap(memory, MUNMAP_BYTES);
	bench_end(b);
	return MUNMAP_BYTES / PAGE_BYTES;
}

/* A linear congruential generator: its high bits are random enough to defeat the TLB. */
uint32_t op_tlb_random_read(struct bench *b)
{
	char *memory = mem_map(RANDOM_BYTES);
	uint32_t random = 1;

	mem_write_pages(memory, RANDOM_BYTES);
	bench_begin(b);
	for (int i = 0; i < RANDOM_READS; i++) {
		random = random * 1664525u + 1013904223u;
		(void)((volatile char *)memory)[random / (UINT32_MAX / RANDOM_BYTES + 1)];
	}
	bench_end(b);
	mem_unmap(memory, RANDOM_BYTES);
	return RANDOM_READS;
}
