/* SPDX-License-Identifier: MIT */
/*
 * Reading a multiboot 1 kernel: ELF of either class, or whatever file whose header gives addresses.
 * Pure; the file may be anything.
 */
#include "hv/guest/multiboot_image.h"

#include "hv/core/core.h"

#define HEADER_MAGIC       0x1badb002u
#define HEADER_AREA_BYTES  8192u /* the header lies wholly in here, at a multiple of 4 */
#define HEADER_BYTES       12u
#define HEADER_LONG_BYTES  32u /* with addresses */
#define REQUIREMENTS_MASK  0xffffu
#define REQUIREMENTS_KNOWN (MULTIBOOT_ALIGN_MODULES | MULTIBOOT_MEMORY_INFO | MULTIBOOT_VIDEO)

#define BYTES_4G (1ull << 32)

/* Offsets in the header. */
enum {
	HEADER_FLAGS = 4,
	HEADER_CHECKSUM = 8,
	HEADER_ADDR = 12,
	HEADER_LOAD_ADDR = 16,
	HEADER_LOAD_END = 20,
	HEADER_BSS_END = 24,
	HEADER_ENTRY = 28,
};

enum {
	ELF_CLASS = 4,
	ELF_CLASS_32 = 1,
	ELF_CLASS_64 = 2,
	ELF_DATA = 5,
	ELF_LITTLE_ENDIAN = 1,
	PT_LOAD = 1,
};

/* Where the fields of an ELF file stand that say what to load. */
struct elf_layout {
	unsigned header_bytes;
	unsigned address_bytes;
	unsigned entry, table, entry_bytes, n_entries;           /* in the file's header */
	unsigned program_bytes;                                  /* a row of the table */
	unsigned offset, virtual, physical, file_size, mem_size; /* in a row; its type is first */
};

static const struct elf_layout elf_32 = {
	.header_bytes = 52,
	.address_bytes = 4,
	.entry = 24,
	.table = 28,
	.entry_bytes = 42,
	.n_entries = 44,
	.program_bytes = 32,
	.offset = 4,
	.virtual = 8,
	.physical = 12,
	.file_size = 16,
	.mem_size = 20,
};

static const struct elf_layout elf_64 = {
	.header_bytes = 64,
	.address_bytes = 8,
	.entry = 24,
	.table = 32,
	.entry_bytes = 54,
	.n_entries = 56,
	.program_bytes = 56,
	.offset = 8,
	.virtual = 16,
	.physical = 24,
	.file_size = 32,
	.mem_size = 40,
};

static uint64_t field(const uint8_t *file, uint64_t offset, unsigned n_bytes)
{
	uint64_t number = 0;

	memcpy(&number, file + offset, n_bytes);
	return number;
}

/* Offset of the header; @n_bytes if there is none. */
static uint64_t find_header(const uint8_t *file, uint64_t n_bytes)
{
	uint64_t end = n_bytes < HEADER_AREA_BYTES ? n_bytes : HEADER_AREA_BYTES;

	for (uint64_t at = 0; at + HEADER_BYTES <= end; at += 4) {
		uint64_t sum = field(file, at, 4) + field(file, at + HEADER_FLAGS, 4) +
			       field(file, at + HEADER_CHECKSUM, 4);

		if (field(file, at, 4) == HEADER_MAGIC && (uint32_t)sum == 0)
			return at;
	}
	return n_bytes;
}

bool multiboot_image_recognise(const void *file, uint64_t n_bytes)
{
	return find_header(file, n_bytes) < n_bytes;
}

/* Is [@base, @base + @size) wholly below @limit? */
static bool fits(uint64_t base, uint64_t size, uint64_t limit)
{
	return base <= limit && size <= limit - base;
}

static const char *read_addresses(
	const uint8_t *file, uint64_t n_bytes, uint64_t header, struct multiboot_image *image)
{
	uint64_t at = field(file, header + HEADER_ADDR, 4);
	uint64_t load = field(file, header + HEADER_LOAD_ADDR, 4);
	uint64_t load_end = field(file, header + HEADER_LOAD_END, 4);
	uint64_t bss_end = field(file, header + HEADER_BSS_END, 4);
	struct multiboot_segment *segment = &image->segments[0];

	if (at < load || at - load > header)
		return "it is damaged: its multiboot header is not where the header says";
	segment->base_bytes = load;
	segment->file_offset = header - (at - load);
	segment->file_bytes = n_bytes - segment->file_offset;
	if (load_end) {
		if (load_end < load || load_end - load > segment->file_bytes)
			return "it is cut short: the file is smaller than its multiboot header "
			       "says";
		segment->file_bytes = load_end - load;
	}
	segment->size_bytes = segment->file_bytes;
	if (bss_end) {
		if (bss_end < load || bss_end - load < segment->file_bytes)
			return "it is damaged: its multiboot header ends it before its data";
		segment->size_bytes = bss_end - load;
	}
	if (segment->size_bytes == 0 || !fits(load, segment->size_bytes, BYTES_4G))
		return "it is damaged: its multiboot header has impossible addresses";
	image->n_segments = 1;
	image->entry = (uint32_t)field(file, header + HEADER_ENTRY, 4);
	return NULL;
}

/* Add the row @row of the program header table to @image. *@entry, virtual, becomes physical when
 * it is in it. */
static const char *add_segment(const uint8_t *file, uint64_t n_bytes, const uint8_t *row,
	const struct elf_layout *elf, struct multiboot_image *image)
{
	struct multiboot_segment segment = {
		.base_bytes = field(row, elf->physical, elf->address_bytes),
		.size_bytes = field(row, elf->mem_size, elf->address_bytes),
		.file_offset = field(row, elf->offset, elf->address_bytes),
		.file_bytes = field(row, elf->file_size, elf->address_bytes),
	};
	uint64_t entry = field(file, elf->entry, elf->address_bytes);
	uint64_t virtual = field(row, elf->virtual, elf->address_bytes);

	if (field(row, 0, 4) != PT_LOAD || segment.size_bytes == 0)
		return NULL;
	if (!fits(segment.file_offset, segment.file_bytes, n_bytes))
		return "it is cut short: the file is smaller than its ELF headers say";
	if (segment.file_bytes > segment.size_bytes)
		return "it is damaged: a segment is larger in the file than in memory";
	if (!fits(segment.base_bytes, segment.size_bytes, BYTES_4G))
		return "it has a segment whose physical address is not below 4 GiB";
	if (image->n_segments == MULTIBOOT_SEGMENTS_MAX)
		return "it has more than 16 segments to load";
	image->segments[image->n_segments++] = segment;
	if (entry >= virtual && entry - virtual < segment.size_bytes)
		image->entry = (uint32_t)(entry - virtual + segment.base_bytes);
	return NULL;
}

static const char *read_elf(const uint8_t *file, uint64_t n_bytes, struct multiboot_image *image)
{
	const struct elf_layout *elf;
	uint64_t table;
	uint64_t n_entries;

	if (n_bytes < elf_64.header_bytes || memcmp(file, "\177ELF", 4) != 0 ||
		file[ELF_DATA] != ELF_LITTLE_ENDIAN ||
		(file[ELF_CLASS] != ELF_CLASS_32 && file[ELF_CLASS] != ELF_CLASS_64))
		return "it is no ELF file for x86, and its multiboot header has no addresses";
	elf = file[ELF_CLASS] == ELF_CLASS_64 ? &elf_64 : &elf_32;
	table = field(file, elf->table, elf->address_bytes);
	n_entries = field(file, elf->n_entries, 2);
	if (n_entries && field(file, elf->entry_bytes, 2) != elf->program_bytes)
		return "it is damaged: its ELF program headers have an unknown size";
	if (!fits(table, n_entries * elf->program_bytes, n_bytes))
		return "it is cut short: its ELF program headers lie behind its end";

	image->n_segments = 0;
	image->entry = (uint32_t)field(file, elf->entry, elf->address_bytes);
	for (uint64_t i = 0; i < n_entries; i++) {
		const char *wrong = add_segment(
			file, n_bytes, file + table + i * elf->program_bytes, elf, image);

		if (wrong)
			return wrong;
	}
	return image->n_segments ? NULL : "it is damaged: its ELF headers give nothing to load";
}

static bool entry_is_loaded(const struct multiboot_image *image)
{
	for (unsigned i = 0; i < image->n_segments; i++) {
		if (image->entry >= image->segments[i].base_bytes &&
			image->entry - image->segments[i].base_bytes <
				image->segments[i].size_bytes)
			return true;
	}
	return false;
}

const char *multiboot_image_read(const void *at, uint64_t n_bytes, struct multiboot_image *image)
{
	const uint8_t *file = at;
	uint64_t header = find_header(file, n_bytes);
	const char *wrong;

	if (header >= n_bytes)
		return "it has no multiboot header";
	image->flags = (uint32_t)field(file, header + HEADER_FLAGS, 4);
	if (image->flags & REQUIREMENTS_MASK & ~(uint32_t)REQUIREMENTS_KNOWN)
		return "it requires something of its loader that multiboot 0.6.96 does not know";
	if (!(image->flags & MULTIBOOT_ADDRESSES))
		wrong = read_elf(file, n_bytes, image);
	else if (!fits(header, HEADER_LONG_BYTES, n_bytes))
		wrong = "it is cut short: the file ends in its multiboot header";
	else
		wrong = read_addresses(file, n_bytes, header, image);
	if (!wrong && !entry_is_loaded(image))
		wrong = "it is damaged: its entry point is in nothing that is loaded";
	return wrong;
}
