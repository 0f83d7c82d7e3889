/* SPDX-License-Identifier: MIT */
/*
 * The multiboot 1 loader, whole: kernels made here, in a piece of memory that stands for the
 * machine's (mapped where the build says DIRECT_MAP is), with files wherever a loader may leave
 * them; and files that are no kernels.
 */
#define _GNU_SOURCE
#include "tests/unit/hv_fake.h"
#include "tests/unit/hv_machine.h"

#include "hv/boot/multiboot1_info.h"
#include "hv/core/init.h"
#include "hv/guest/guest.h"
#include "hv/guest/multiboot_image.h"

#define MIB           (1ull << 20)
#define MACHINE_BYTES (32 * MIB)
#define RAM_END       (24 * MIB)

/* The kernel: two segments with a hole between them, linked high. */
#define FILE_BYTES    0x9000u
#define HEADER_AT     0x1000u
#define TEXT_AT       0x1000u
#define TEXT_BYTES    0x3000u
#define TEXT_PHYS     0x200000u
#define DATA_AT       0x4000u
#define DATA_BYTES    0x2345u
#define DATA_PHYS     0x208000u
#define DATA_MEMORY   0x9000u
#define VIRTUAL_SHIFT 0xc0000000u
#define ENTRY_OFFSET  0x123u
#define MODULE_BYTES  0x12345u

static uint8_t file[FILE_BYTES];
static uint8_t module_files[2][MODULE_BYTES];

static void put(unsigned at, uint64_t number, unsigned n_bytes)
{
	memcpy(file + at, &number, n_bytes);
}

static void put_header(uint32_t flags)
{
	put(HEADER_AT, 0x1badb002, 4);
	put(HEADER_AT + 4, flags, 4);
	put(HEADER_AT + 8, 0u - 0x1badb002u - flags, 4);
}

static void fill(uint8_t *bytes, size_t n_bytes)
{
	for (size_t i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)fake_random();
}

static void put_segment_32(
	unsigned at, uint32_t offset, uint32_t phys, uint32_t n_bytes, uint32_t n_memory)
{
	put(at, 1, 4);
	put(at + 4, offset, 4);
	put(at + 8, phys + VIRTUAL_SHIFT, 4);
	put(at + 12, phys, 4);
	put(at + 16, n_bytes, 4);
	put(at + 20, n_memory, 4);
}

static void make_elf_32(void)
{
	fill(file, FILE_BYTES);
	memset(file, 0, 0x200);
	memcpy(file, "\177ELF\1\1\1", 7);
	put(24, TEXT_PHYS + VIRTUAL_SHIFT + ENTRY_OFFSET, 4);
	put(28, 52, 4);
	put(42, 32, 2);
	put(44, 3, 2);
	put_segment_32(52, TEXT_AT, TEXT_PHYS, TEXT_BYTES, TEXT_BYTES);
	put(84, 0x6474e551, 4); /* a stack's rights: nothing to load, whatever it says */
	put(88, UINT32_MAX, 4);
	put(104, UINT32_MAX, 4);
	put_segment_32(116, DATA_AT, DATA_PHYS, DATA_BYTES, DATA_MEMORY);
	put_header(MULTIBOOT_ALIGN_MODULES | MULTIBOOT_MEMORY_INFO);
}

static void put_segment_64(
	unsigned at, uint64_t offset, uint64_t phys, uint64_t n_bytes, uint64_t n_memory)
{
	put(at, 1, 4);
	put(at + 8, offset, 8);
	put(at + 16, phys + 0xffffffff80000000ull, 8);
	put(at + 24, phys, 8);
	put(at + 32, n_bytes, 8);
	put(at + 40, n_memory, 8);
}

static void make_elf_64(void)
{
	fill(file, FILE_BYTES);
	memset(file, 0, 0x200);
	memcpy(file, "\177ELF\2\1\1", 7);
	put(24, TEXT_PHYS + 0xffffffff80000000ull + ENTRY_OFFSET, 8);
	put(32, 64, 8);
	put(54, 56, 2);
	put(56, 2, 2);
	put_segment_64(64, TEXT_AT, TEXT_PHYS, TEXT_BYTES, TEXT_BYTES);
	put_segment_64(120, DATA_AT, DATA_PHYS, DATA_BYTES, DATA_MEMORY);
	put_header(0);
}

/* No ELF file at all: from the header on to DATA_AT + DATA_BYTES, then bss. */
static void make_addresses(void)
{
	fill(file, FILE_BYTES);
	put_header(MULTIBOOT_ADDRESSES);
	put(HEADER_AT + 12, TEXT_PHYS + 0x10, 4);
	put(HEADER_AT + 16, TEXT_PHYS, 4);
	put(HEADER_AT + 20, TEXT_PHYS + TEXT_BYTES, 4);
	put(HEADER_AT + 24, TEXT_PHYS + 2 * TEXT_BYTES, 4);
	put(HEADER_AT + 28, TEXT_PHYS + ENTRY_OFFSET, 4);
}

static int map_machine(void **state)
{
	(void)state;
	return !machine_map(MACHINE_BYTES);
}

static int fresh_machine(void **state)
{
	(void)state;
	make_elf_32();
	fill(module_files[0], MODULE_BYTES);
	fill(module_files[1], MODULE_BYTES);
	memset(machine, 0xa5, RAM_END);
	return !machine_ram(RAM_END);
}

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

/* Touches nothing of the kernel, and is RAM. */
static void check_apart(uint64_t base, uint64_t n_bytes)
{
	assert_true(memory_map_is_ram((struct phys_range){base, n_bytes}));
	assert_false(overlap(base, n_bytes, TEXT_PHYS, TEXT_BYTES));
	assert_false(overlap(base, n_bytes, DATA_PHYS, DATA_MEMORY));
}

static void check_kernel(void)
{
	assert_memory_equal(machine + TEXT_PHYS, file + TEXT_AT, TEXT_BYTES);
	assert_memory_equal(machine + DATA_PHYS, file + DATA_AT, DATA_BYTES);
	for (unsigned i = DATA_BYTES; i < DATA_MEMORY; i++)
		assert_int_equal(machine[DATA_PHYS + i], 0);
}

/* The extent of what the guest is told, by what it points to. */
static void check_information(uint64_t base, const uint64_t *modules)
{
	const struct multiboot1_info *info = (const void *)(machine + base);
	const char *last = (const char *)machine + info->command_line;

	for (unsigned i = 0; i < info->n_modules; i++) {
		struct multiboot1_module module;

		memcpy(&module, machine + info->modules + i * sizeof(module), sizeof(module));
		last = (const char *)machine + module.command_line;
	}
	check_apart(base, (uint64_t)(last + strlen(last) + 1 - (const char *)machine) - base);
	for (unsigned i = 0; i < info->n_modules; i++)
		assert_false(overlap(base, 0x1000, modules[i], MODULE_BYTES));
}

static void check_modules(const struct guest_entry *entry)
{
	const struct multiboot1_info *info = (const void *)(machine + entry->rbx);
	uint64_t at[2];

	assert_int_equal(info->n_modules, 2);
	for (unsigned i = 0; i < 2; i++) {
		struct multiboot1_module module;

		memcpy(&module, machine + info->modules + i * sizeof(module), sizeof(module));
		at[i] = module.start;
		assert_int_equal(module.end - module.start, MODULE_BYTES);
		assert_int_equal(module.start % 4096, 0);
		check_apart(module.start, MODULE_BYTES);
		assert_memory_equal(machine + module.start, module_files[i], MODULE_BYTES);
		assert_string_equal(machine + module.command_line, i ? "" : "first and its words");
	}
	assert_false(overlap(at[0], MODULE_BYTES, at[1], MODULE_BYTES));
	check_information(entry->rbx, at);
}

/* Every triple of places, those in each other's way and the kernel's included. */
static void files_may_lie_anywhere(void **state)
{
	static const uint64_t places[] = {
		0x4000,                         /* in low memory, as some firmware does */
		0x8d000,                        /* where the guest's information would go */
		MIB,                            /* behind what QEMU loaded */
		TEXT_PHYS - FILE_BYTES + 1,     /* into the destination */
		TEXT_PHYS - TEXT_AT,            /* exactly there already, in part */
		TEXT_PHYS + 0x1000,             /* inside it */
		DATA_PHYS - 0x5000,             /* into it from the hole */
		DATA_PHYS + DATA_MEMORY - 1,    /* out of it */
		DATA_PHYS + DATA_MEMORY,        /* just behind it */
		TEXT_PHYS + 0x40000,            /* free */
		TEXT_PHYS + 0x60001,            /* on no page boundary */
		RAM_END - MODULE_BYTES - 0x800, /* at the end of RAM */
	};
	const unsigned n = sizeof(places) / sizeof(places[0]);
	unsigned n_tried = 0;

	for (unsigned i = 0; i < n * n * n; i++) {
		struct boot_module files[] = {
			{places[i % n], FILE_BYTES, "kernel", ""},
			{places[i / n % n], MODULE_BYTES, "first and its words", ""},
			{places[i / n / n], MODULE_BYTES, "", ""},
		};
		struct guest_entry entry;

		if (overlap(files[0].base_bytes, FILE_BYTES, files[1].base_bytes, MODULE_BYTES) ||
			overlap(files[0].base_bytes, FILE_BYTES, files[2].base_bytes,
				MODULE_BYTES) ||
			overlap(files[1].base_bytes, MODULE_BYTES, files[2].base_bytes,
				MODULE_BYTES))
			continue;
		memcpy(machine + files[0].base_bytes, file, FILE_BYTES);
		memcpy(machine + files[1].base_bytes, module_files[0], MODULE_BYTES);
		memcpy(machine + files[2].base_bytes, module_files[1], MODULE_BYTES);
		multiboot_load(files, 3, &entry);
		assert_int_equal(entry.rip, TEXT_PHYS + ENTRY_OFFSET);
		check_kernel();
		check_modules(&entry);
		n_tried++;
	}
	assert_true(n_tried > 400);
	(void)state;
}

static void load(struct guest_entry *entry, const char *text)
{
	struct boot_module kernel = {16 * MIB, FILE_BYTES, text, ""};

	memcpy(machine + kernel.base_bytes, file, FILE_BYTES);
	multiboot_load(&kernel, 1, entry);
}

static void entry_is_what_the_specification_says(void **state)
{
	struct guest_entry entry;

	(void)state;
	load(&entry, "");
	assert_int_equal(entry.rax, 0x2badb002);
	assert_int_equal(entry.rip, TEXT_PHYS + ENTRY_OFFSET);
	assert_int_equal(entry.cr0, 0x11);
	assert_int_equal(entry.cr3 | entry.cr4 | entry.efer, 0);
	assert_int_equal(entry.rflags, 2);
	assert_int_equal(entry.cs_attributes, 0xc9b);
	assert_int_equal(entry.ds_attributes, 0xc93);
	/* not asked for, but nothing breaks if a kernel loads the selectors again */
	assert_int_equal(entry.gdt_limit, 23);
	assert_memory_equal(
		machine + entry.gdt_base + entry.cs_selector, "\xff\xff\0\0\0\x9b\xcf\0", 8);
	assert_memory_equal(
		machine + entry.gdt_base + entry.ds_selector, "\xff\xff\0\0\0\x93\xcf\0", 8);
}

static void the_guest_is_told_its_memory_without_ours(void **state)
{
	static const struct multiboot1_map_entry expected[] = {
		{20, 0, 0x9fc00, MEMORY_RAM},
		{20, 0x9fc00, 0x400, MEMORY_RESERVED},
		{20, MIB, 20 * MIB, MEMORY_RAM},
		{20, 21 * MIB, 2 * MIB, MEMORY_RESERVED},
		{20, 23 * MIB, MIB, MEMORY_RAM},
	};
	const struct multiboot1_info *info;
	struct guest_entry entry;

	(void)state;
	assert_true(memory_map_reserve((struct phys_range){21 * MIB, 2 * MIB}));
	load(&entry, "/path/kernel two  words");
	info = (const void *)(machine + entry.rbx);
	assert_int_equal(info->flags, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(info->mem_lower_kib, 639);
	assert_int_equal(info->mem_upper_kib, 20 * 1024);
	assert_string_equal(machine + info->command_line, "/path/kernel two  words");
	assert_string_equal(machine + info->loader_name, "umbra");
	assert_int_equal(info->n_modules, 0);
	assert_int_equal(info->map_bytes, sizeof(expected));
	assert_memory_equal(machine + info->map, expected, sizeof(expected));
	assert_true(entry.rbx + sizeof(*info) <= 0x9fc00);
}

static void a_64_bit_elf_is_loaded_alike(void **state)
{
	struct guest_entry entry;

	(void)state;
	make_elf_64();
	load(&entry, "");
	assert_int_equal(entry.rip, TEXT_PHYS + ENTRY_OFFSET);
	check_kernel();
}

static void addresses_in_the_header_rule(void **state)
{
	struct multiboot_image image;
	struct guest_entry entry;

	(void)state;
	make_addresses();
	load(&entry, "");
	assert_int_equal(entry.rip, TEXT_PHYS + ENTRY_OFFSET);
	/* the header is 0x10 behind the start */
	assert_memory_equal(machine + TEXT_PHYS, file + HEADER_AT - 0x10, TEXT_BYTES);
	for (unsigned i = TEXT_BYTES; i < 2 * TEXT_BYTES; i++)
		assert_int_equal(machine[TEXT_PHYS + i], 0);

	put(HEADER_AT + 20, 0, 4); /* no end: all of the file; and no bss */
	put(HEADER_AT + 24, 0, 4);
	assert_null(multiboot_image_read(file, FILE_BYTES, &image));
	assert_int_equal(image.segments[0].file_bytes, FILE_BYTES - HEADER_AT + 0x10);
	assert_int_equal(image.segments[0].size_bytes, FILE_BYTES - HEADER_AT + 0x10);
}

static void an_entry_outside_its_segment_is_physical_already(void **state)
{
	struct multiboot_image image;

	(void)state;
	put(24, DATA_PHYS + 4, 4);
	assert_null(multiboot_image_read(file, FILE_BYTES, &image));
	assert_int_equal(image.entry, DATA_PHYS + 4);
}

static void files_that_cannot_be_booted_are_refused(void **state)
{
	static const struct {
		void (*make)(void);
		unsigned at, n_bytes;
		uint64_t number;
		const char *says;
	} cases[] = {
		{make_elf_32, HEADER_AT, 4, 0x1badb003, "no multiboot header"},
		{make_elf_32, HEADER_AT + 8, 4, 1, "no multiboot header"},
		{make_elf_32, 0, 1, 'X', "no ELF file"},
		{make_elf_32, 4, 1, 3, "no ELF file"},
		{make_elf_32, 5, 1, 2, "no ELF file"},
		{make_elf_32, 42, 2, 56, "unknown size"},
		{make_elf_32, 44, 2, 0, "nothing to load"},
		{make_elf_32, 44, 2, 0xffff, "behind its end"},
		{make_elf_32, 28, 4, FILE_BYTES - 95, "behind its end"},
		{make_elf_32, 28, 4, UINT32_MAX, "behind its end"},
		{make_elf_32, 56, 4, FILE_BYTES - TEXT_BYTES + 1, "cut short"},
		{make_elf_32, 56, 4, UINT32_MAX, "cut short"},
		{make_elf_32, 68, 4, UINT32_MAX, "cut short"},
		{make_elf_32, 68, 4, TEXT_BYTES + 1, "larger in the file"},
		{make_elf_32, 64, 4, 0u - TEXT_BYTES + 1, "below 4 GiB"},
		{make_elf_32, 72, 4, UINT32_MAX, "below 4 GiB"},
		{make_elf_32, 24, 4, 0x1000, "entry point"},
		{make_elf_64, 88, 8, 1ull << 32, "below 4 GiB"},
		{make_elf_64, 88, 8, UINT64_MAX, "below 4 GiB"},
		{make_elf_64, 104, 8, UINT64_MAX, "below 4 GiB"},
		{make_elf_64, 72, 8, UINT64_MAX, "cut short"},
		{make_elf_64, 32, 8, UINT64_MAX - 8, "behind its end"},
		{make_addresses, HEADER_AT + 12, 4, TEXT_PHYS - 1, "not where the header says"},
		{make_addresses, HEADER_AT + 12, 4, TEXT_PHYS + HEADER_AT + 4, "not where"},
		{make_addresses, HEADER_AT + 20, 4, TEXT_PHYS - 1, "cut short"},
		{make_addresses, HEADER_AT + 20, 4, TEXT_PHYS + FILE_BYTES, "cut short"},
		{make_addresses, HEADER_AT + 24, 4, TEXT_PHYS + TEXT_BYTES - 1, "before its data"},
		{make_addresses, HEADER_AT + 24, 4, TEXT_PHYS - 1, "before its data"},
		{make_addresses, HEADER_AT + 28, 4, TEXT_PHYS + 2 * TEXT_BYTES, "entry point"},
		{make_addresses, HEADER_AT + 28, 4, TEXT_PHYS - 1, "entry point"},
	};
	struct multiboot_image image;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong;

		cases[i].make();
		wrong = multiboot_image_read(file, FILE_BYTES, &image);
		if (wrong)
			fail_msg("case %u: not even before: %s", i, wrong);
		put(cases[i].at, cases[i].number, cases[i].n_bytes);
		wrong = multiboot_image_read(file, FILE_BYTES, &image);
		if (!wrong || !strstr(wrong, cases[i].says))
			fail_msg("case %u: %s, not %s", i, wrong ? wrong : "taken", cases[i].says);
	}
	make_elf_32();
	put_header(1u << 3);
	assert_says(multiboot_image_read(file, FILE_BYTES, &image), "requires something");
	put_header(0xffff0000u & ~(uint32_t)MULTIBOOT_ADDRESSES); /* may be ignored */
	assert_null(multiboot_image_read(file, FILE_BYTES, &image));
}

static void too_many_segments_are_refused(void **state)
{
	struct multiboot_image image;

	(void)state;
	put(28, 0x200, 4);
	for (unsigned i = 0; i <= MULTIBOOT_SEGMENTS_MAX; i++)
		put_segment_32(0x200 + i * 32, TEXT_AT, TEXT_PHYS, TEXT_BYTES, TEXT_BYTES);
	put(44, MULTIBOOT_SEGMENTS_MAX, 2);
	assert_null(multiboot_image_read(file, FILE_BYTES, &image));
	put(44, MULTIBOOT_SEGMENTS_MAX + 1, 2);
	assert_says(multiboot_image_read(file, FILE_BYTES, &image), "more than 16 segments");
}

/* What is taken can be loaded without a look at anything but @image. */
static void check_image(const struct multiboot_image *image, uint64_t n_bytes)
{
	bool entered = false;

	assert_in_range(image->n_segments, 1, MULTIBOOT_SEGMENTS_MAX);
	for (unsigned i = 0; i < image->n_segments; i++) {
		const struct multiboot_segment *segment = &image->segments[i];

		assert_in_range(segment->size_bytes, 1, 1ull << 32);
		assert_in_range(segment->base_bytes, 0, (1ull << 32) - segment->size_bytes);
		assert_in_range(segment->file_bytes, 0, segment->size_bytes);
		assert_in_range(segment->file_bytes, 0, n_bytes);
		assert_in_range(segment->file_offset, 0, n_bytes - segment->file_bytes);
		entered |= image->entry - segment->base_bytes < segment->size_bytes;
	}
	assert_true(entered);
}

/* Headers with some bytes changed, in a block of the file's own size, so that AddressSanitizer sees
 * a read past its end. */
static void damaged_files_are_refused_or_sound(void **state)
{
	static void (*const makers[])(void) = {make_elf_32, make_elf_64, make_addresses};
	unsigned n_taken = 0;

	for (unsigned round = 0; round < 6000; round++) {
		uint32_t n_bytes = round % 4 ? FILE_BYTES : fake_random() % FILE_BYTES;
		struct multiboot_image image;
		uint8_t *block = malloc(n_bytes);

		makers[round % 3]();
		for (unsigned i = fake_random() % 3 + 1; i-- > 0;) {
			unsigned at = round % 3 == 2 ? HEADER_AT + 12 + fake_random() % 20
						     : fake_random() % 180;

			put(at, fake_random() % 2 ? 0xff : fake_random(), 1);
		}
		memcpy(block, file, n_bytes);
		if (!multiboot_image_read(block, n_bytes, &image)) {
			check_image(&image, n_bytes);
			n_taken++;
		}
		free(block);
	}
	assert_in_range(n_taken, 200, 5000);
	(void)state;
}

static void too_little_memory_is_said_with_figures(void **state)
{
	struct boot_module files[] = {
		{16 * MIB, FILE_BYTES, "", ""},
		{TEXT_PHYS, 14 * MIB, "", ""},
	};
	struct guest_entry entry;

	(void)state;
	memcpy(machine + files[0].base_bytes, file, FILE_BYTES);
	assert_says(FATAL_TEXT_OF(multiboot_load(files, 2, &entry)),
		"too little memory for boot module 1 of 14336 KiB");
	assert_true(memory_map_reserve((struct phys_range){DATA_PHYS + 0x1000, 0x1000}));
	assert_says(FATAL_TEXT_OF(multiboot_load(files, 1, &entry)),
		"needs 36 KiB of RAM at 208000, and the guest has none there");
	put(0, 0, 4);
	memcpy(machine + files[0].base_bytes, file, FILE_BYTES);
	assert_says(FATAL_TEXT_OF(multiboot_load(files, 1, &entry)), "no ELF file");
}

/* The hypervisor's range is not RAM to the guest, so nothing is loaded there. */
static void the_hypervisor_is_out_of_reach(void **state)
{
	struct guest_entry entry;

	(void)state;
	assert_true(memory_map_reserve((struct phys_range){TEXT_PHYS, 0x1000}));
	assert_says(FATAL_TEXT_OF(load(&entry, "")), "has none there");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(files_may_lie_anywhere, fresh_machine),
		cmocka_unit_test_setup(entry_is_what_the_specification_says, fresh_machine),
		cmocka_unit_test_setup(the_guest_is_told_its_memory_without_ours, fresh_machine),
		cmocka_unit_test_setup(a_64_bit_elf_is_loaded_alike, fresh_machine),
		cmocka_unit_test_setup(addresses_in_the_header_rule, fresh_machine),
		cmocka_unit_test_setup(
			an_entry_outside_its_segment_is_physical_already, fresh_machine),
		cmocka_unit_test_setup(files_that_cannot_be_booted_are_refused, fresh_machine),
		cmocka_unit_test_setup(too_many_segments_are_refused, fresh_machine),
		cmocka_unit_test_setup(damaged_files_are_refused_or_sound, fresh_machine),
		cmocka_unit_test_setup(too_little_memory_is_said_with_figures, fresh_machine),
		cmocka_unit_test_setup(the_hypervisor_is_out_of_reach, fresh_machine),
	};

	return cmocka_run_group_tests(tests, map_machine, NULL);
}
