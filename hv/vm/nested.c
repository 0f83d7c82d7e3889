/* SPDX-License-Identifier: MIT */
/*
 * Identity tables with a hole. APM 2 "Nested Page Tables".
 */
#include "hv/vm/nested.h"

#include "hv/vm/cpuid.h"

#define ENTRIES 512u
#define PAGE_2M (2ull << 20)
#define PAGE_1G (1ull << 30)
/* All guest accesses are user accesses to the nested tables. */
#define ENTRY_TABLE  (X86_PTE_P | X86_PTE_W | X86_PTE_U)
#define ENTRY_ABSENT (X86_PTE_P | X86_PTE_U)
/* Table memory bounds what is mapped; beyond it guest-physical memory is absent. */
#define LIMIT_WITH_1G     46u
#define LIMIT_WITHOUT_1G  39u
#define CPUID_EDX_PAGE1GB (1u << 26)

static bool touches_hole(uint64_t base, uint64_t size)
{
	return base < hv_reserved.base_bytes + hv_reserved.size_bytes &&
	       hv_reserved.base_bytes < base + size;
}

static uint64_t entry_of(const void *table)
{
	return virt_to_phys(table) | ENTRY_TABLE;
}

static uint64_t map_2m(uint64_t base, uint64_t absent_page)
{
	uint64_t *table;

	if (!touches_hole(base, PAGE_2M))
		return base | ENTRY_TABLE | X86_PTE_PS;
	table = frames_alloc(1);
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t page = base + i * (uint64_t)X86_PAGE_SIZE;

		table[i] = touches_hole(page, X86_PAGE_SIZE) ? absent_page | ENTRY_ABSENT
							     : page | ENTRY_TABLE;
	}
	return entry_of(table);
}

static uint64_t map_1g(uint64_t base, uint64_t absent_page, bool has_1g)
{
	uint64_t *table;

	if (has_1g && !touches_hole(base, PAGE_1G))
		return base | ENTRY_TABLE | X86_PTE_PS;
	table = frames_alloc(1);
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = map_2m(base + i * PAGE_2M, absent_page);
	return entry_of(table);
}

umbra_hpa nested_create(const struct vm *vm)
{
	bool has_1g = cpuid_guest(0x80000001u, 0).edx & CPUID_EDX_PAGE1GB;
	unsigned limit = has_1g ? LIMIT_WITH_1G : LIMIT_WITHOUT_1G;
	uint64_t end = 1ull << (vm->maxphyaddr < limit ? vm->maxphyaddr : limit);
	uint64_t *root = frames_alloc(1);
	uint64_t *table = NULL;

	for (uint64_t base = 0; base < end; base += PAGE_1G) {
		uint64_t number = base / PAGE_1G;

		if (number % ENTRIES == 0) {
			table = frames_alloc(1);
			root[number / ENTRIES] = entry_of(table);
		}
		table[number % ENTRIES] = map_1g(base, vm->absent_page, has_1g);
	}
	return virt_to_phys(root);
}
