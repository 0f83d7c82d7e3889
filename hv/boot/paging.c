/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own page tables, built once. Minimal rights for the image; the direct map is
 * data only.
 */
#include "hv/boot/paging.h"

#include "hv/core/core.h"
#include "hv/core/insn.h"
#include "hv/core/stack.h"
#include "x86/x86.h"

#define ROOT_LEVEL 4u
#define BYTES_2M   (1ull << 21)
#define BYTES_1G   (1ull << 30)
#define BYTES_4G   (1ull << 32)

#define RIGHTS_TEXT   0ull
#define RIGHTS_RODATA X86_PTE_NX
#define RIGHTS_DATA   (X86_PTE_NX | X86_PTE_W)

/* CPUID 8000_0001h EDX: 1 GiB pages. APM 3 "Feature Identifiers". */
#define CPUID_PAGE_1G (1u << 26)

/* The linker's: hv/boot/image.ld. */
extern char image_start[];
extern char text_start[];
extern char text_end[];
extern char rodata_start[];
extern char rodata_end[];
extern char data_start[];
extern char data_end[];
/* hv/boot/entry.S */
extern char boot_stack[];

/* Bytes that one entry of a table at @level maps: level 1 is the last. */
static uint64_t entry_bytes(unsigned level)
{
	return 1ull << (X86_PAGE_SHIFT + 9 * (level - 1));
}

static uint64_t *table_below(uint64_t *entry)
{
	if (!*entry)
		*entry = virt_to_phys(frames_alloc(1)) | X86_PTE_P | X86_PTE_W | X86_PTE_A;
	return phys_to_virt(*entry & X86_PTE_FRAME);
}

/* Map one page, as large as fits and at most @largest bytes. Returns its size. */
static uint64_t map_page(uint64_t *root, uint64_t virt, uint64_t phys, uint64_t n_bytes,
	uint64_t rights, uint64_t largest)
{
	uint64_t *table = root;
	unsigned level = ROOT_LEVEL;

	for (;; level--) {
		uint64_t *entry = &table[virt / entry_bytes(level) % 512];
		uint64_t page = entry_bytes(level);

		if (page <= largest && page <= n_bytes && (virt | phys) % page == 0) {
			*entry = phys | rights | X86_PTE_P | X86_PTE_A | X86_PTE_D |
				 (level > 1 ? X86_PTE_PS : 0);
			return page;
		}
		table = table_below(entry);
	}
}

static void map(uint64_t *root, uint64_t virt, uint64_t phys, uint64_t n_bytes, uint64_t rights,
	uint64_t largest)
{
	while (n_bytes) {
		uint64_t page = map_page(root, virt, phys, n_bytes, rights, largest);

		virt += page;
		phys += page;
		n_bytes -= page;
	}
}

static void map_image(
	uint64_t *root, uint64_t image, const char *from, const char *to, uint64_t rights)
{
	map(root, (uintptr_t)from, image + (uint64_t)(from - image_start), (uint64_t)(to - from),
		rights, X86_PAGE_SIZE);
}

/* RAM above 4 GiB, in whole 2 MiB pages. Below, device registers share large pages with RAM; the
 * MTRRs keep them uncached, and pages of 2 MiB keep what a processor has to split small. */
static void map_ram_above_4g(uint64_t *root)
{
	bool has_1g = cpuid(0x80000001, 0).edx & CPUID_PAGE_1G;

	for (unsigned i = 0; i < memory_map_entries; i++) {
		const struct memory_map_entry *entry = &memory_map[i];
		uint64_t base = entry->base_bytes & ~(BYTES_2M - 1);
		uint64_t end =
			(entry->base_bytes + entry->size_bytes + BYTES_2M - 1) & ~(BYTES_2M - 1);

		if (base < BYTES_4G)
			base = BYTES_4G;
		if (entry->type == MEMORY_RAM && base < end)
			map(root, DIRECT_MAP + base, base, end - base, RIGHTS_DATA,
				has_1g ? BYTES_1G : BYTES_2M);
	}
}

uint64_t paging_build(uint64_t image)
{
	uint64_t *root = frames_alloc(1);

	map_image(root, image, text_start, text_end, RIGHTS_TEXT);
	map_image(root, image, rodata_start, rodata_end, RIGHTS_RODATA);
	map_image(root, image, data_start, data_end, RIGHTS_DATA);
	map_image(
		root, image, boot_stack + X86_PAGE_SIZE, boot_stack + CPU_STACK_BYTES, RIGHTS_DATA);
	map(root, DIRECT_MAP, 0, BYTES_4G, RIGHTS_DATA, BYTES_2M);
	map_ram_above_4g(root);
	return virt_to_phys(root);
}
