/* SPDX-License-Identifier: MIT */
/*
 * The Linux loader, whole: kernels made here, in a piece of memory that stands for the machine's
 * (mapped where the build says DIRECT_MAP is), with modules wherever a boot loader may leave them.
 */
#define _GNU_SOURCE
#include "tests/unit/hv_fake.h"
#include "tests/unit/hv_machine.h"

#include "hv/core/init.h"
#include "hv/guest/guest.h"
#include "hv/guest/linux_image.h"

#define MIB           (1ull << 20)
#define MACHINE_BYTES (64 * MIB)
#define RAM_END       (48 * MIB)

#define SETUP_BYTES   (5 * 512u)
#define PAYLOAD_BYTES (3 * MIB)
#define KERNEL_BYTES  (SETUP_BYTES + PAYLOAD_BYTES)
#define PREF_ADDRESS  (16 * MIB)
#define INIT_BYTES    (8 * MIB)
#define INITRD_BYTES  (2 * MIB + 123)
#define BOOT_PARAMS   0x10000u

static uint8_t kernel_file[KERNEL_BYTES];
static uint8_t initrd_file[INITRD_BYTES];

static void put(unsigned at, uint64_t number, unsigned n_bytes)
{
	memcpy(kernel_file + at, &number, n_bytes);
}

static uint64_t get(const uint8_t *from, unsigned at, unsigned n_bytes)
{
	uint64_t number = 0;

	memcpy(&number, from + at, n_bytes);
	return number;
}

static void make_files(void)
{
	for (size_t i = 0; i < KERNEL_BYTES; i++)
		kernel_file[i] = (uint8_t)fake_random();
	for (size_t i = 0; i < INITRD_BYTES; i++)
		initrd_file[i] = (uint8_t)fake_random();
	put(0x1f1, 4, 1);
	put(0x1f4, PAYLOAD_BYTES / 16, 4);
	put(0x1fe, 0xaa55, 2);
	put(0x201, 0x6a, 1);
	memcpy(kernel_file + 0x202, "HdrS", 4);
	put(0x206, 0x20f, 2);
	put(0x211, 1, 1);
	put(0x22c, 0x7fffffff, 4);
	put(0x236, 1, 2);
	put(0x238, 2047, 4);
	put(0x258, PREF_ADDRESS, 8);
	put(0x260, INIT_BYTES, 4);
}

static int map_machine(void **state)
{
	(void)state;
	return !machine_map(MACHINE_BYTES);
}

static int fresh_machine(void **state)
{
	(void)state;
	make_files();
	return !machine_ram(RAM_END);
}

static struct boot_module module(
	const uint8_t *file, uint64_t base, uint64_t n_bytes, const char *command_line)
{
	memcpy(machine + base, file, n_bytes);
	return (struct boot_module){base, n_bytes, "", command_line};
}

static void check_loaded(const struct guest_entry *entry)
{
	const uint8_t *params = machine + BOOT_PARAMS;
	uint64_t initrd = get(params, 0x218, 4);

	assert_int_equal(entry->rip, PREF_ADDRESS + 0x200);
	assert_int_equal(entry->rsi, BOOT_PARAMS);
	assert_memory_equal(machine + PREF_ADDRESS, kernel_file + SETUP_BYTES, PAYLOAD_BYTES);
	assert_int_equal(get(params, 0x21c, 4), INITRD_BYTES);
	assert_memory_equal(machine + initrd, initrd_file, INITRD_BYTES);
	assert_int_equal(initrd % 4096, 0);
	assert_true(memory_map_is_ram((struct phys_range){initrd, INITRD_BYTES}));
	assert_true(initrd >= PREF_ADDRESS + INIT_BYTES || initrd + INITRD_BYTES <= PREF_ADDRESS);
	assert_string_equal(machine + get(params, 0x228, 4), "console=ttyS0");
}

/* Every pair of places, those inside each other's and the kernel's destination included. */
static void modules_may_lie_anywhere(void **state)
{
	static const uint64_t places[] = {
		MIB + 0x3000,               /* where QEMU puts them */
		PREF_ADDRESS - 2 * MIB,     /* into the destination from below */
		PREF_ADDRESS - SETUP_BYTES, /* exactly there already */
		PREF_ADDRESS,
		PREF_ADDRESS + 0x1000,
		PREF_ADDRESS + 3 * MIB,
		PREF_ADDRESS + INIT_BYTES - MIB, /* out of it */
		RAM_END - 2 * MIB - 0x1000,      /* into the initrd's destination */
		RAM_END - 6 * MIB,
	};
	const unsigned n = sizeof(places) / sizeof(places[0]);
	unsigned n_tried = 0;

	for (unsigned k = 0; k < n; k++) {
		for (unsigned i = 0; i < n; i++) {
			struct boot_module kernel = {places[k], KERNEL_BYTES, "", "console=ttyS0"};
			struct boot_module initrd = {places[i], INITRD_BYTES, "", ""};
			struct guest_entry entry;

			if ((places[k] < places[i] + INITRD_BYTES &&
				    places[i] < places[k] + KERNEL_BYTES) ||
				places[k] + KERNEL_BYTES > RAM_END)
				continue;
			fresh_machine(state);
			memcpy(machine + places[k], kernel_file, KERNEL_BYTES);
			memcpy(machine + places[i], initrd_file, INITRD_BYTES);
			linux_load(&kernel, &initrd, &entry);
			check_loaded(&entry);
			n_tried++;
		}
	}
	assert_true(n_tried > 40);
}

static void boot_parameters_follow_the_protocol(void **state)
{
	struct boot_module kernel = module(kernel_file, MIB, KERNEL_BYTES, "a b");
	const uint8_t *params = machine + BOOT_PARAMS;
	struct guest_entry entry;

	(void)state;
	memset(machine + BOOT_PARAMS, 0xff, 0x10000);
	assert_true(memory_map_reserve((struct phys_range){40 * MIB, 4 * MIB}));
	linux_load(&kernel, NULL, &entry);

	assert_int_equal(get(params, 0x210, 1), 0xff);
	assert_int_equal(get(params, 0x218, 8), 0); /* no initrd: place and size */
	assert_int_equal(get(params, 0x250, 8), 0);
	assert_memory_equal(params + 0x1f1, kernel_file + 0x1f1, 0x210 - 0x1f1);
	assert_memory_equal(params + 0x258, kernel_file + 0x258, 0x202 + 0x6a - 0x258);
	for (unsigned i = 0; i < 0x1e8; i++)
		assert_int_equal(params[i], 0);
	for (unsigned i = 0x202 + 0x6a; i < 0x2d0; i++)
		assert_int_equal(params[i], 0);

	assert_int_equal(params[0x1e8], 5);
	assert_int_equal(get(params, 0x2d0 + 3 * 20, 8), 40 * MIB);
	assert_int_equal(get(params, 0x2d0 + 3 * 20 + 8, 8), 4 * MIB);
	assert_int_equal(get(params, 0x2d0 + 3 * 20 + 16, 4), MEMORY_RESERVED);
}

/* Where the page tables at @cr3 send @gva; all pages must be writable. */
static uint64_t translate(uint64_t cr3, uint64_t gva)
{
	uint64_t entry = cr3;

	for (unsigned shift = 39; shift >= 21; shift -= 9) {
		entry = get(machine + (entry & ~0xfffull), 8 * (unsigned)(gva >> shift & 511), 8);
		assert_int_equal(entry & 3, 3);
	}
	assert_int_equal(entry & 0x80, 0x80);
	return (entry & ~0x1fffffull) | (gva & 0x1fffff);
}

/* The descriptors are those that the segment registers were loaded with. */
static void check_segments(const struct guest_entry *entry)
{
	const uint8_t *gdt = machine + entry->gdt_base;

	assert_int_equal(entry->rflags, 2);
	assert_int_equal(entry->cs_selector, 0x10);
	assert_int_equal(entry->ds_selector, 0x18);
	assert_int_equal(entry->gdt_limit, 31);
	/* attributes: bytes 5 and 6 without the limit bits */
	assert_int_equal(get(gdt, 0x10 + 5, 1), entry->cs_attributes & 0xff);
	assert_int_equal(get(gdt, 0x10 + 6, 1) >> 4, entry->cs_attributes >> 8);
	assert_int_equal(get(gdt, 0x18 + 5, 1), entry->ds_attributes & 0xff);
	assert_int_equal(get(gdt, 0x18 + 6, 1) >> 4, entry->ds_attributes >> 8);
	for (unsigned at = 0x10; at <= 0x18; at += 8) {
		assert_int_equal(get(gdt, at, 2), 0xffff);
		assert_int_equal(get(gdt, at + 2, 3), 0);
		assert_int_equal(get(gdt, at + 6, 1) & 0xf, 0xf);
	}
}

static void a_32_bit_kernel_is_entered_without_paging(void **state)
{
	struct boot_module kernel;
	struct guest_entry entry;

	(void)state;
	put(0x236, 0xe, 2); /* everything but a 64-bit kernel */
	kernel = module(kernel_file, MIB, KERNEL_BYTES, "");
	linux_load(&kernel, NULL, &entry);
	assert_int_equal(entry.rip, PREF_ADDRESS);
	assert_int_equal(entry.rsi, BOOT_PARAMS);
	assert_int_equal(entry.rax | entry.rbx | entry.rsp, 0);
	assert_int_equal(entry.cr0, 0x11);
	assert_int_equal(entry.cr3 | entry.cr4 | entry.efer, 0);
	assert_int_equal(entry.cs_attributes, 0xc9b);
	assert_int_equal(entry.ds_attributes, 0xc93);
	check_segments(&entry);
}

/* As memtest86+ is. */
static void the_last_unit_of_16_bytes_may_be_cut(void **state)
{
	struct linux_image image;

	(void)state;
	put(0x1f4, PAYLOAD_BYTES / 16, 4);
	assert_null(linux_image_read(kernel_file, KERNEL_BYTES - 15, &image));
	assert_int_equal(image.payload_bytes, PAYLOAD_BYTES - 15);
	assert_null(linux_image_read(kernel_file, KERNEL_BYTES, &image));
	assert_int_equal(image.payload_bytes, PAYLOAD_BYTES);
	assert_says(linux_image_read(kernel_file, KERNEL_BYTES - 16, &image), "cut short");
}

static void entry_is_the_64_bit_one_on_identity_tables(void **state)
{
	struct boot_module kernel = module(kernel_file, MIB, KERNEL_BYTES, "");
	static const uint64_t gvas[] = {
		0, 0x10000, PREF_ADDRESS + 0x200, 0x7fffffff, 0xfee00000, 0xffffffff};
	struct guest_entry entry;

	(void)state;
	linux_load(&kernel, NULL, &entry);
	assert_int_equal(entry.cr0, 0x80000011);
	assert_int_equal(entry.cr4, 0x20);
	assert_int_equal(entry.efer, 0x500);
	assert_int_equal(entry.cs_attributes, 0xa9b);
	check_segments(&entry);
	for (unsigned i = 0; i < sizeof(gvas) / sizeof(gvas[0]); i++)
		assert_int_equal(translate(entry.cr3, gvas[i]), gvas[i]);
}

static void too_little_memory_is_said_with_figures(void **state)
{
	struct boot_module kernel = module(kernel_file, MIB, KERNEL_BYTES, "");
	struct boot_module initrd = {5 * MIB, 25 * MIB, "", ""};
	static char long_line[2100];
	struct guest_entry entry;

	(void)state;
	assert_says(FATAL_TEXT_OF(linux_load(&kernel, &initrd, &entry)), "it has 25 MiB");
	memset(long_line, 'x', 2048);
	kernel.command_line = long_line;
	assert_says(FATAL_TEXT_OF(linux_load(&kernel, NULL, &entry)),
		"has 2048 bytes; its kernel takes at most 2047");
	long_line[2047] = '\0';
	assert_string_equal(FATAL_TEXT_OF(linux_load(&kernel, NULL, &entry)), "");
	assert_true(memory_map_reserve((struct phys_range){PREF_ADDRESS + INIT_BYTES - 1, 4096}));
	assert_says(
		FATAL_TEXT_OF(linux_load(&kernel, NULL, &entry)), "needs 8 MiB of RAM at 16 MiB");
}

static void files_that_are_no_kernel_are_named(void **state)
{
	static const struct {
		unsigned at, n_bytes;
		uint64_t number;
		const char *says;
	} cases[] = {
		{0x1fe, 2, 0, "not a Linux bzImage"},
		{0x202, 1, 'h', "not a Linux bzImage"},
		{0x206, 2, 0x20b, "too old"},
		{0x211, 1, 0, "zImage"},
		{0x1f4, 4, PAYLOAD_BYTES / 16 + 1, "cut short"},
		{0x1f4, 4, UINT32_MAX, "cut short"},
		{0x1f4, 4, 0, "contradicts itself"},
		{0x201, 1, 0x10, "contradicts itself"},
		{0x201, 1, 0xff, "contradicts itself"},
		{0x260, 4, PAYLOAD_BYTES - 1, "contradicts itself"},
	};
	struct linux_image image;

	(void)state;
	assert_null(linux_image_read(kernel_file, KERNEL_BYTES, &image));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong;

		make_files();
		put(cases[i].at, cases[i].number, cases[i].n_bytes);
		wrong = linux_image_read(kernel_file, KERNEL_BYTES, &image);
		assert_says(wrong ? wrong : "(taken)", cases[i].says);
	}
}

/* The file in a block of its own size, so that AddressSanitizer sees a read past its end. */
static void short_files_are_not_read_past_their_end(void **state)
{
	static const size_t sizes[] = {
		0, 1, 0x1f1, 0x202, 0x264, 0x28f, 0x290, SETUP_BYTES - 1, SETUP_BYTES};
	struct linux_image image;

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *file = malloc(sizes[i]);

		memcpy(file, kernel_file, sizes[i]);
		assert_non_null(linux_image_read(file, sizes[i], &image));
		free(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(modules_may_lie_anywhere, fresh_machine),
		cmocka_unit_test_setup(boot_parameters_follow_the_protocol, fresh_machine),
		cmocka_unit_test_setup(entry_is_the_64_bit_one_on_identity_tables, fresh_machine),
		cmocka_unit_test_setup(a_32_bit_kernel_is_entered_without_paging, fresh_machine),
		cmocka_unit_test_setup(the_last_unit_of_16_bytes_may_be_cut, fresh_machine),
		cmocka_unit_test_setup(too_little_memory_is_said_with_figures, fresh_machine),
		cmocka_unit_test_setup(files_that_are_no_kernel_are_named, fresh_machine),
		cmocka_unit_test_setup(short_files_are_not_read_past_their_end, fresh_machine),
	};

	return cmocka_run_group_tests(tests, map_machine, NULL);
}
