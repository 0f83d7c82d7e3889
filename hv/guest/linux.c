/* SPDX-License-Identifier: MIT */
/*
 * Linux in guest memory: kernel, initrd, boot parameters and GDT, and for the 64-bit entry identity
 * page tables. Source: Linux, Documentation/arch/x86/boot.rst and zero-page.rst.
 *
 * Modules lie wherever the boot loader put them, also where the guest's pieces must go. The order
 * of the copies makes that safe: initrd (to a place that touches neither the kernel's module nor
 * its destination), kernel, low memory.
 */
#include "hv/guest/guest.h"

#include "hv/core/core.h"
#include "hv/guest/linux_image.h"
#include "x86/x86.h"

/* The pieces in low memory, all below the first thing a PC keeps there (EBDA) and above the BIOS'
 * data. */
#define LOW_BASE               0x10000u
#define BOOT_PARAMS            0x10000u
#define COMMAND_LINE           0x11000u
#define GDT                    0x12000u
#define PAGE_TABLES            0x20000u /* root, pointers, four directories */
#define N_PAGE_TABLES          6u
#define GDT_ENTRIES            4u
#define LOW_END                (PAGE_TABLES + N_PAGE_TABLES * X86_PAGE_SIZE)
#define COMMAND_LINE_MAX_BYTES (GDT - COMMAND_LINE - 1)

/* Offsets in boot_params. */
enum {
	PARAMS_E820_ENTRIES = 0x1e8,
	PARAMS_E820_TABLE = 0x2d0,
	PARAMS_E820_MAX = 128,
};
_Static_assert(MEMORY_MAP_MAX <= PARAMS_E820_MAX, "the memory map does not fit into boot_params");

struct __attribute__((packed)) e820_entry {
	uint64_t base;
	uint64_t size;
	uint32_t type;
};

#define LOADER_UNDEFINED 0xffu /* type_of_loader without a registered number */

/* boot.rst, "32-bit BOOT PROTOCOL" and "64-bit BOOT PROTOCOL": entry, selectors; and the
 * descriptors they stand for. */
#define ENTRY_64           0x200u
#define CODE_SELECTOR      0x10u
#define DATA_SELECTOR      0x18u
#define CODE_ATTRIBUTES_32 0xc9bu
#define CODE_ATTRIBUTES_64 0xa9bu
#define DATA_ATTRIBUTES    0xc93u
#define CODE_32            0x00cf9b000000ffffull
#define CODE_64            0x00af9b000000ffffull
#define DATA               0x00cf93000000ffffull

#define BYTES_1M (1ull << 20)
#define BYTES_2M (1ull << 21)
#define BYTES_4G (1ull << 32)

static unsigned long long mib(uint64_t n_bytes)
{
	return (n_bytes + BYTES_1M - 1) / BYTES_1M;
}

bool linux_recognise(const struct boot_module *kernel)
{
	const uint8_t *file = phys_to_virt(kernel->base_bytes);

	return kernel->size_bytes >= LINUX_HEADER_END && memcmp(file + LINUX_MAGIC, "HdrS", 4) == 0;
}

static void check_places(const struct linux_image *image, const struct boot_module *kernel)
{
	struct phys_range home = {image->pref_address, image->init_bytes};
	struct phys_range low = {LOW_BASE, LOW_END - LOW_BASE};
	uint64_t line_max = image->command_line_max_bytes;

	if (home.base_bytes < BYTES_1M || home.base_bytes >= BYTES_4G || !memory_map_is_ram(home) ||
		home.base_bytes + home.size_bytes > BYTES_4G)
		fatal_config("too little memory for the guest kernel: it needs %llu MiB of RAM at "
			     "%llu MiB; give the guest more memory",
			mib(home.size_bytes), mib(home.base_bytes));
	if (!memory_map_is_ram(low))
		fatal_config("the guest needs RAM from %x to %x for its boot parameters, and this "
			     "machine has none there",
			LOW_BASE, LOW_END);
	if (line_max > COMMAND_LINE_MAX_BYTES)
		line_max = COMMAND_LINE_MAX_BYTES;
	if (strlen(kernel->command_line) > line_max)
		fatal_config("the guest's command line has %zu bytes; its kernel takes at most "
			     "%llu; shorten it",
			strlen(kernel->command_line), (unsigned long long)line_max);
}

/* Move the initrd to its place: as high as the kernel allows. Returns that place. */
static uint64_t place_initrd(const struct linux_image *image, const struct boot_module *kernel,
	const struct boot_module *initrd)
{
	const struct phys_range avoid[] = {
		{0, BYTES_1M},
		{image->pref_address, image->init_bytes},
		{kernel->base_bytes, kernel->size_bytes},
	};
	uint64_t base;

	if (!memory_map_highest(initrd->size_bytes, X86_PAGE_SIZE, image->initrd_limit, avoid,
		    sizeof(avoid) / sizeof(avoid[0]), &base))
		fatal_config("too little memory for the guest's initrd: it has %llu MiB; give the "
			     "guest more memory, or a smaller initrd",
			mib(initrd->size_bytes));
	memmove(phys_to_virt(base), phys_to_virt(initrd->base_bytes), initrd->size_bytes);
	return base;
}

static void write_params(const uint8_t *header, const struct linux_image *image,
	const char *command_line, struct phys_range initrd)
{
	uint8_t *params = memset(phys_to_virt(BOOT_PARAMS), 0, X86_PAGE_SIZE);
	uint32_t command_line_at = COMMAND_LINE;
	uint32_t initrd_at = (uint32_t)initrd.base_bytes;
	uint32_t initrd_bytes = (uint32_t)initrd.size_bytes;

	memcpy(params + LINUX_HEADER_OFFSET, header + LINUX_HEADER_OFFSET,
		image->header_end - LINUX_HEADER_OFFSET);
	params[LINUX_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	memcpy(params + LINUX_CMD_LINE_PTR, &command_line_at, 4);
	memcpy(params + LINUX_RAMDISK_IMAGE, &initrd_at, 4);
	memcpy(params + LINUX_RAMDISK_SIZE, &initrd_bytes, 4);
	memset(params + LINUX_SETUP_DATA, 0, 8);
	for (unsigned i = 0; i < memory_map_entries; i++) {
		struct e820_entry entry = {
			memory_map[i].base_bytes,
			memory_map[i].size_bytes,
			memory_map[i].type,
		};

		memcpy(params + PARAMS_E820_TABLE + i * sizeof(entry), &entry, sizeof(entry));
	}
	params[PARAMS_E820_ENTRIES] = (uint8_t)memory_map_entries;
	memcpy(phys_to_virt(COMMAND_LINE), command_line, strlen(command_line) + 1);
}

/* Identity page tables for the first 4 GiB, in 2 MiB pages. */
static void write_page_tables(void)
{
	uint64_t *tables = memset(phys_to_virt(PAGE_TABLES), 0, LOW_END - PAGE_TABLES);
	uint64_t *pointers = tables + 512;
	uint64_t *directories = tables + 2 * 512;
	const uint64_t flags = X86_PTE_P | X86_PTE_W;

	tables[0] = (PAGE_TABLES + X86_PAGE_SIZE) | flags;
	for (uint64_t i = 0; i < 4; i++)
		pointers[i] = (PAGE_TABLES + (2 + i) * X86_PAGE_SIZE) | flags;
	for (uint64_t i = 0; i < 4 * 512; i++)
		directories[i] = i * BYTES_2M | flags | X86_PTE_PS;
}

static void write_gdt(uint64_t code)
{
	const uint64_t gdt[GDT_ENTRIES] = {
		[CODE_SELECTOR / 8] = code,
		[DATA_SELECTOR / 8] = DATA,
	};

	memcpy(phys_to_virt(GDT), gdt, sizeof(gdt));
}

/* In protected mode without paging, at the first byte. */
static void enter_32(const struct linux_image *image, struct guest_entry *entry)
{
	write_gdt(CODE_32);
	entry->rip = image->pref_address;
	entry->cr0 = X86_CR0_ET | X86_CR0_PE;
	entry->cs_attributes = CODE_ATTRIBUTES_32;
	entry->kind = "Linux, 32-bit entry";
}

/* In 64-bit mode, on identity tables. */
static void enter_64(const struct linux_image *image, struct guest_entry *entry)
{
	write_gdt(CODE_64);
	write_page_tables();
	entry->rip = image->pref_address + ENTRY_64;
	entry->cr0 = X86_CR0_PG | X86_CR0_ET | X86_CR0_PE;
	entry->cr3 = PAGE_TABLES;
	entry->cr4 = X86_CR4_PAE;
	entry->efer = X86_EFER_LME | X86_EFER_LMA;
	entry->cs_attributes = CODE_ATTRIBUTES_64;
	entry->kind = "Linux, 64-bit entry";
}

void linux_load(const struct boot_module *kernel, const struct boot_module *initrd,
	struct guest_entry *entry)
{
	const uint8_t *file = phys_to_virt(kernel->base_bytes);
	uint8_t header[LINUX_HEADER_END];
	struct phys_range ramdisk = {0, 0};
	struct linux_image image;
	const char *wrong = linux_image_read(file, kernel->size_bytes, &image);

	if (wrong)
		fatal_config("the guest kernel cannot be booted: %s", wrong);
	check_places(&image, kernel);
	memcpy(header, file, sizeof(header));
	if (initrd && initrd->size_bytes) {
		ramdisk.base_bytes = place_initrd(&image, kernel, initrd);
		ramdisk.size_bytes = initrd->size_bytes;
	}
	memmove(phys_to_virt(image.pref_address), file + image.payload_offset, image.payload_bytes);
	write_params(header, &image, kernel->command_line, ramdisk);

	*entry = (struct guest_entry){
		.rsi = BOOT_PARAMS,
		.rflags = 0x2,
		.cs_selector = CODE_SELECTOR,
		.ds_selector = DATA_SELECTOR,
		.ds_attributes = DATA_ATTRIBUTES,
		.gdt_base = GDT,
		.gdt_limit = GDT_ENTRIES * 8 - 1,
	};
	if (image.is_64_bit)
		enter_64(&image, entry);
	else
		enter_32(&image, entry);
}
