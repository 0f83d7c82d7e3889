/* SPDX-License-Identifier: MIT */
/*
 * A multiboot 1 kernel in guest memory: its segments, its modules, and what a loader tells it.
 * Source: Multiboot Specification 0.6.96, "Machine state" and "Boot information format".
 *
 * Our own boot loader left the files wherever it liked, also where the kernel must go. So files
 * that are in the way move first, then the kernel's segments are filled, then the information is
 * written where nothing else is.
 */
#include "hv/guest/guest.h"

#include "hv/boot/multiboot1_info.h"
#include "hv/core/core.h"
#include "hv/guest/multiboot_image.h"
#include "x86/x86.h"

#define BYTES_1M (1ull << 20)
#define BYTES_4G (1ull << 32)

/* The specification wants flat segments and leaves the selectors to the loader. */
#define CODE_SELECTOR   0x08u
#define DATA_SELECTOR   0x10u
#define CODE_ATTRIBUTES 0xc9bu
#define DATA_ATTRIBUTES 0xc93u
static const uint64_t gdt[] = {0, 0x00cf9b000000ffffull, 0x00cf93000000ffffull};

static const char loader_name[] = "umbra";

/* What is in memory while a guest is laid out. */
struct layout {
	struct multiboot_image image;
	struct boot_module files[BOOT_MODULES_MAX]; /* as given, but where they are now */
	unsigned n_files;
	struct phys_range taken[MULTIBOOT_SEGMENTS_MAX + BOOT_MODULES_MAX];
	unsigned n_taken; /* of taken: see take() */
};

/* The guest's view of what it is told, and where the parts of that are. */
struct information {
	struct multiboot1_info info;
	struct multiboot1_module modules[BOOT_MODULES_MAX];
	struct multiboot1_map_entry map[MEMORY_MAP_MAX];
	uint64_t gdt[sizeof(gdt) / sizeof(gdt[0])];
	char loader_name[sizeof(loader_name)];
	char strings[]; /* of the kernel and of each module */
};

bool multiboot_recognise(const struct boot_module *kernel)
{
	return multiboot_image_recognise(phys_to_virt(kernel->base_bytes), kernel->size_bytes);
}

static unsigned long long kib(uint64_t n_bytes)
{
	return (n_bytes + 1023) / 1024;
}

static void check_segments(const struct multiboot_image *image)
{
	for (unsigned i = 0; i < image->n_segments; i++) {
		const struct multiboot_segment *segment = &image->segments[i];

		if (!memory_map_is_ram(
			    (struct phys_range){segment->base_bytes, segment->size_bytes}))
			fatal_config("the guest kernel needs %llu KiB of RAM at %llx, and the "
				     "guest has none there; give the guest more memory, or link "
				     "the kernel to another address",
				kib(segment->size_bytes), (unsigned long long)segment->base_bytes);
	}
}

/* Fill taken with the kernel's segments and the files from number @first on, but for @except. */
static void take(struct layout *layout, unsigned first, unsigned except)
{
	layout->n_taken = 0;
	for (unsigned i = 0; i < layout->image.n_segments; i++) {
		const struct multiboot_segment *segment = &layout->image.segments[i];

		layout->taken[layout->n_taken++] =
			(struct phys_range){segment->base_bytes, segment->size_bytes};
	}
	for (unsigned i = first; i < layout->n_files; i++) {
		const struct boot_module *file = &layout->files[i];

		if (i != except)
			layout->taken[layout->n_taken++] =
				(struct phys_range){file->base_bytes, file->size_bytes};
	}
}

/* Is @file where the kernel goes, or not on a page of its own? */
static bool must_move(const struct multiboot_image *image, const struct boot_module *file)
{
	if (file->base_bytes % X86_PAGE_SIZE)
		return true;
	for (unsigned i = 0; i < image->n_segments; i++) {
		const struct multiboot_segment *segment = &image->segments[i];

		if (file->base_bytes < segment->base_bytes + segment->size_bytes &&
			segment->base_bytes < file->base_bytes + file->size_bytes)
			return true;
	}
	return false;
}

/* As low as possible: kernels of this kind map little of high memory at first. */
static void move_files(struct layout *layout)
{
	for (unsigned i = layout->n_files; i-- > 0;) {
		struct boot_module *file = &layout->files[i];
		uint64_t base;

		if (!must_move(&layout->image, file))
			continue;
		take(layout, 0, i);
		if (!memory_map_lowest(file->size_bytes, X86_PAGE_SIZE, BYTES_1M, layout->taken,
			    layout->n_taken, &base))
			fatal_config("too little memory for boot module %u of %llu KiB beside the "
				     "guest kernel; give the guest more memory",
				i, kib(file->size_bytes));
		memmove(phys_to_virt(base), phys_to_virt(file->base_bytes), file->size_bytes);
		file->base_bytes = base;
	}
}

static void load_segments(const struct layout *layout)
{
	const uint8_t *file = phys_to_virt(layout->files[0].base_bytes);

	for (unsigned i = 0; i < layout->image.n_segments; i++) {
		const struct multiboot_segment *segment = &layout->image.segments[i];
		uint8_t *to = phys_to_virt(segment->base_bytes);

		memcpy(to, file + segment->file_offset, segment->file_bytes);
		memset(to + segment->file_bytes, 0, segment->size_bytes - segment->file_bytes);
	}
}

/* Room for it all, away from the kernel and its modules and in low memory if there is room. */
static uint64_t place_information(struct layout *layout)
{
	uint64_t n_bytes = sizeof(struct information);
	uint64_t base;

	for (unsigned i = 0; i < layout->n_files; i++)
		n_bytes += strlen(layout->files[i].text) + 1;
	take(layout, 1, 0);
	if (!memory_map_highest(
		    n_bytes, X86_PAGE_SIZE, BYTES_1M, layout->taken, layout->n_taken, &base) &&
		!memory_map_highest(
			n_bytes, X86_PAGE_SIZE, BYTES_4G, layout->taken, layout->n_taken, &base))
		fatal_config("too little memory for the guest kernel's boot information of %llu "
			     "KiB; give the guest more memory",
			kib(n_bytes));
	return base;
}

/* KiB of RAM from @base to the first hole. */
static uint32_t ram_from(uint64_t base)
{
	for (unsigned i = 0; i < memory_map_entries; i++) {
		const struct memory_map_entry *entry = &memory_map[i];

		if (entry->type == MEMORY_RAM && base >= entry->base_bytes &&
			base - entry->base_bytes < entry->size_bytes)
			return (uint32_t)((entry->base_bytes + entry->size_bytes - base) / 1024);
	}
	return 0;
}

static void write_map(struct information *at)
{
	for (unsigned i = 0; i < memory_map_entries; i++)
		at->map[i] = (struct multiboot1_map_entry){
			.entry_bytes = sizeof(at->map[i]) - sizeof(at->map[i].entry_bytes),
			.base = memory_map[i].base_bytes,
			.size = memory_map[i].size_bytes,
			.type = memory_map[i].type,
		};
}

/* Physical address of @part of the information at @at, which is at @base. */
static uint32_t address(const struct information *at, uint64_t base, const void *part)
{
	return (uint32_t)(base + (uint64_t)((const char *)part - (const char *)at));
}

static void write_information(const struct layout *layout, uint64_t base)
{
	struct information *at = memset(phys_to_virt(base), 0, sizeof(*at));
	char *string = at->strings;

	write_map(at);
	memcpy(at->gdt, gdt, sizeof(gdt));
	memcpy(at->loader_name, loader_name, sizeof(loader_name));
	at->info = (struct multiboot1_info){
		.flags = MULTIBOOT1_HAS_MEMORY | MULTIBOOT1_HAS_COMMAND_LINE |
			 MULTIBOOT1_HAS_MODULES | MULTIBOOT1_HAS_MAP | MULTIBOOT1_HAS_LOADER_NAME,
		.mem_lower_kib = ram_from(0),
		.mem_upper_kib = ram_from(BYTES_1M),
		.command_line = address(at, base, string),
		.n_modules = layout->n_files - 1,
		.modules = address(at, base, at->modules),
		.map_bytes = (uint32_t)(memory_map_entries * sizeof(at->map[0])),
		.map = address(at, base, at->map),
		.loader_name = address(at, base, at->loader_name),
	};
	for (unsigned i = 0; i < layout->n_files; i++) {
		const struct boot_module *file = &layout->files[i];
		size_t n_bytes = strlen(file->text) + 1;

		if (i > 0)
			at->modules[i - 1] = (struct multiboot1_module){
				.start = (uint32_t)file->base_bytes,
				.end = (uint32_t)(file->base_bytes + file->size_bytes),
				.command_line = address(at, base, string),
			};
		memcpy(string, file->text, n_bytes);
		string += n_bytes;
	}
}

void multiboot_load(
	const struct boot_module *modules, unsigned n_modules, struct guest_entry *entry)
{
	static struct layout layout;
	const struct boot_module *kernel = &modules[0];
	const char *wrong = multiboot_image_read(
		phys_to_virt(kernel->base_bytes), kernel->size_bytes, &layout.image);
	uint64_t base;

	if (wrong)
		fatal_config("the guest kernel cannot be booted: %s", wrong);
	check_segments(&layout.image);
	memcpy(layout.files, modules, n_modules * sizeof(modules[0]));
	layout.n_files = n_modules;
	move_files(&layout);
	load_segments(&layout);
	base = place_information(&layout);
	write_information(&layout, base);

	*entry = (struct guest_entry){
		.rip = layout.image.entry,
		.rax = MULTIBOOT1_MAGIC,
		.rbx = base,
		.rflags = 0x2,
		.cr0 = X86_CR0_ET | X86_CR0_PE,
		.cs_selector = CODE_SELECTOR,
		.ds_selector = DATA_SELECTOR,
		.cs_attributes = CODE_ATTRIBUTES,
		.ds_attributes = DATA_ATTRIBUTES,
		.gdt_base = base + offsetof(struct information, gdt),
		.gdt_limit = sizeof(gdt) - 1,
		.kind = "multiboot 1",
	};
}
