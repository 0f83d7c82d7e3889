/* SPDX-License-Identifier: MIT */
/*
 * The pure parts of hv/core: format(), the memory map, the options.
 */
#include "tests/unit/hv_fake.h"

#include <stdio.h>

#include "hv/core/init.h"

/* ---- format ---- */

static void check_format(const char *expected, int n_chars, const char *text)
{
	assert_string_equal(text, expected);
	assert_int_equal(n_chars, strlen(expected));
}

/* Against the C library, for every conversion that is promised. */
#define SAME(...)                                                                                  \
	do {                                                                                       \
		char expected[128];                                                                \
		char got[128];                                                                     \
		int n;                                                                             \
		snprintf(expected, sizeof(expected), __VA_ARGS__);                                 \
		n = format(got, sizeof(got), __VA_ARGS__);                                         \
		check_format(expected, n, got);                                                    \
	} while (0)

static void format_agrees_with_the_c_library(void **state)
{
	(void)state;
	SAME("plain");
	SAME("%s|%8s|%-8s|%1s", "ab", "cd", "ef", "longer");
	SAME("%c%c%%", 'x', 'y');
	SAME("%d %d %d %d", 0, 1, -1, INT32_MIN);
	SAME("%ld %ld %lld", INT64_MIN, INT64_MAX, (long long)-5);
	SAME("%u %u %lu %llu", 0u, UINT32_MAX, UINT64_MAX, 7ull);
	SAME("%x %x %lx %llx", 0u, 0xdeadbeefu, UINT64_MAX, 0x10ull);
	SAME("%zu %zx", (size_t)12345, SIZE_MAX);
	SAME("%5d|%05d|%05d|%2d|%-5d|", 42, 42, -42, 12345, 42);
	SAME("%16lx|%016lx|%-16lx|", 0xabcul, 0xabcul, 0xabcul);
}

static void format_cuts_and_still_says_the_length(void **state)
{
	char text[5] = "....";

	(void)state;
	assert_int_equal(format(text, sizeof(text), "%s", "abcdefgh"), 8);
	assert_string_equal(text, "abcd");
	assert_int_equal(format(text, 1, "%d", 123), 3);
	assert_string_equal(text, "");
	assert_int_equal(format(NULL, 0, "%d", 123), 3);
}

static void format_copies_what_it_does_not_know(void **state)
{
	const char *fmt = "%q %5"; /* not a literal in the call: the compiler would object to it */
	char text[32];

	(void)state;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	assert_int_equal(format(text, sizeof(text), fmt), 5);
#pragma GCC diagnostic pop
	assert_string_equal(text, fmt);
}

/* ---- memory map ---- */

static void expect_map(const struct memory_map_entry *expected, unsigned n)
{
	assert_int_equal(memory_map_entries, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(memory_map[i].base_bytes, expected[i].base_bytes);
		assert_int_equal(memory_map[i].size_bytes, expected[i].size_bytes);
		assert_int_equal(memory_map[i].type, expected[i].type);
	}
}

static void map_is_sorted_joined_and_free_of_overlaps(void **state)
{
	const struct memory_map_entry raw[] = {
		{0x5000, 0x1000, MEMORY_RAM}, {0x1000, 0x3000, MEMORY_RAM},
		{0x9000, 0, MEMORY_ACPI}, {0x2000, 0x800, MEMORY_RESERVED}, /* inside RAM */
		{0x4000, 0x1000, MEMORY_RAM},                               /* closes the gap */
		{0x5800, 0x1000, MEMORY_NVS}, /* over the end of RAM */
	};
	const struct memory_map_entry expected[] = {
		{0x1000, 0x1000, MEMORY_RAM},
		{0x2000, 0x800, MEMORY_RESERVED},
		{0x2800, 0x3000, MEMORY_RAM},
		{0x5800, 0x1000, MEMORY_NVS},
	};

	(void)state;
	assert_true(memory_map_build(raw, 6));
	expect_map(expected, 4);
}

static void map_entry_that_wraps_ends_at_the_last_byte(void **state)
{
	const struct memory_map_entry raw[] = {{UINT64_MAX - 0xfff, 0x5000, MEMORY_RAM}};

	(void)state;
	assert_true(memory_map_build(raw, 1));
	assert_int_equal(memory_map[0].size_bytes, 0xfff);
	assert_false(memory_map_is_ram((struct phys_range){UINT64_MAX - 0xff, 0x200}));
}

static void map_that_does_not_fit_is_refused_whole(void **state)
{
	struct memory_map_entry raw[MEMORY_MAP_MAX + 1];
	const struct memory_map_entry before = {0x1000, 0x1000, MEMORY_RAM};

	(void)state;
	assert_true(memory_map_build(&before, 1));
	for (unsigned i = 0; i <= MEMORY_MAP_MAX; i++)
		raw[i] = (struct memory_map_entry){i * 0x2000ull, 0x1000, MEMORY_RAM};
	assert_false(memory_map_build(raw, MEMORY_MAP_MAX + 1));
	expect_map(&before, 1);
	assert_true(memory_map_build(raw, MEMORY_MAP_MAX));
	assert_int_equal(memory_map_entries, MEMORY_MAP_MAX);
	assert_false(memory_map_reserve((struct phys_range){0x100, 0x100}));
}

#define SMALL_WORLD 40u

/* Random maps of a tiny address space, against a type for every single byte. */
static void map_agrees_with_a_byte_for_byte_model(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct memory_map_entry raw[6];
		uint32_t model[SMALL_WORLD] = {0};
		unsigned n = fake_random() % 6;

		for (unsigned i = 0; i < n; i++) {
			uint64_t base = fake_random() % SMALL_WORLD;
			uint64_t size = fake_random() % (SMALL_WORLD - base + 1);
			uint32_t type = fake_random() % 5;

			raw[i] = (struct memory_map_entry){base, size, type};
			type = type ? type : MEMORY_RESERVED;
			for (uint64_t at = base; at < base + size; at++)
				model[at] = model[at] > type ? model[at] : type;
		}
		assert_true(memory_map_build(raw, n));
		for (unsigned i = 0; i < memory_map_entries; i++) {
			const struct memory_map_entry *entry = &memory_map[i];
			uint64_t end = entry->base_bytes + entry->size_bytes;

			assert_true(entry->size_bytes > 0 && end <= SMALL_WORLD);
			if (i + 1 < memory_map_entries)
				assert_true(end < memory_map[i + 1].base_bytes ||
					    (end == memory_map[i + 1].base_bytes &&
						    entry->type != memory_map[i + 1].type));
			for (uint64_t at = entry->base_bytes; at < end; at++) {
				assert_int_equal(model[at], entry->type);
				model[at] = 0;
			}
		}
		for (unsigned at = 0; at < SMALL_WORLD; at++)
			assert_int_equal(model[at], 0);
	}
}

static void reserved_range_is_cut_out_of_ram(void **state)
{
	const struct memory_map_entry raw[] = {{0x100000, 0x900000, MEMORY_RAM}};
	const struct memory_map_entry expected[] = {
		{0x100000, 0x300000, MEMORY_RAM},
		{0x400000, 0x200000, MEMORY_RESERVED},
		{0x600000, 0x400000, MEMORY_RAM},
	};

	(void)state;
	assert_true(memory_map_build(raw, 1));
	assert_true(memory_map_is_ram((struct phys_range){0x3ff000, 0x2000}));
	assert_true(memory_map_reserve((struct phys_range){0x400000, 0x200000}));
	expect_map(expected, 3);
	assert_true(memory_map_is_ram((struct phys_range){0x100000, 0x300000}));
	assert_false(memory_map_is_ram((struct phys_range){0x100000, 0x300001}));
	assert_false(memory_map_is_ram((struct phys_range){0xfffff, 0x1000}));
	assert_false(memory_map_is_ram((struct phys_range){0x3ff000, 0x2000}));
	assert_false(memory_map_is_ram((struct phys_range){0x200000, 0}));
}

static void highest_place_obeys_limit_alignment_and_obstacles(void **state)
{
	static const struct memory_map_entry raw[] = {
		{0, 0xa0000, MEMORY_RAM},
		{0x100000, 0x7ee0000, MEMORY_RAM}, /* to 0x7fe0000, like a PC of 128 MiB */
		{0x100000000ull, 0x40000000, MEMORY_RAM},
	};
	static const struct {
		uint64_t size, align, limit;
		struct phys_range avoid[2];
		uint64_t expected; /* 0: none */
	} cases[] = {
		{0x2800000, 0x200000, 1ull << 32, {{0, 0}, {0, 0}}, 0x5600000},
		/* an obstacle in the way: below it */
		{0x2800000, 0x200000, 1ull << 32, {{0x6000000, 0x1000}, {0, 0}}, 0x3800000},
		/* two of them, in the wrong order */
		{0x200000, 0x200000, 1ull << 32, {{0x7b00000, 1}, {0x7c00000, 0x10}}, 0x7800000},
		/* one that touches only the end */
		{0x1000, 0x1000, 1ull << 32, {{0x7fe0000, 0x1000}, {0, 0}}, 0x7fdf000},
		/* one that touches only the start */
		{0x1000, 0x1000, 1ull << 32, {{0x7fdd000, 0x2000}, {0, 0}}, 0x7fdf000},
		/* no limit: the last RAM */
		{0x1000, 0x1000, UINT64_MAX, {{0, 0}, {0, 0}}, 0x13ffff000ull},
		/* too large below the limit */
		{0x7f00000, 0x1000, 1ull << 32, {{0, 0}, {0, 0}}, 0},
		/* the only place is the lowest RAM */
		{0x1000, 0x1000, 1ull << 32, {{0x100000, 0x7ee0000}, {0, 0}}, 0x9f000},
		/* nothing is left */
		{0x1000, 0x1000, 1ull << 32, {{0, 1ull << 32}, {0, 0}}, 0},
	};

	(void)state;
	assert_true(memory_map_build(raw, 3));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t base = 0;
		bool found = memory_map_highest(
			cases[i].size, cases[i].align, cases[i].limit, cases[i].avoid, 2, &base);

		if (found != (cases[i].expected != 0) || base != cases[i].expected)
			fail_msg("case %u: found %d at %llx", i, found, (unsigned long long)base);
	}
}

static void lowest_place_obeys_start_alignment_and_obstacles(void **state)
{
	static const struct memory_map_entry raw[] = {
		{0, 0x9fc00, MEMORY_RAM},
		{0x100000, 0x7ee0000, MEMORY_RAM}, /* to 0x7fe0000 */
		{0xffff0000, 0x8000, MEMORY_RAM},  /* the last below 4 GiB */
		{0x100000000ull, 0x40000000, MEMORY_RAM},
	};
	static const struct {
		uint64_t size, align, from;
		struct phys_range avoid[2];
		uint64_t expected; /* 0: none */
	} cases[] = {
		{0x1000, 0x1000, 0x100000, {{0, 0}, {0, 0}}, 0x100000},
		/* the start is no multiple */
		{0x1000, 0x1000, 0x100001, {{0, 0}, {0, 0}}, 0x101000},
		/* the start is in no RAM */
		{0x1000, 0x1000, 0x9fc00, {{0, 0}, {0, 0}}, 0x100000},
		/* aligned, the first RAM ends too early */
		{0x1000, 0x1000, 0x9f000, {{0, 0}, {0, 0}}, 0x100000},
		{0xc00, 0x1000, 0x9f000, {{0, 0}, {0, 0}}, 0x9f000},
		/* an obstacle at the start: behind it */
		{0x1000, 0x1000, 0x100000, {{0xff000, 0x1801}, {0, 0}}, 0x101000},
		/* two of them, in the wrong order, no room between */
		{0x2000, 0x1000, 0x100000, {{0x102000, 0x10}, {0x100000, 0x800}}, 0x103000},
		/* one that touches only the end */
		{0x1000, 0x1000, 0x100000, {{0x101000, 0x1000}, {0, 0}}, 0x100000},
		/* only the last RAM below 4 GiB */
		{0x1000, 0x1000, 0x7fe0000, {{0, 0}, {0, 0}}, 0xffff0000},
		/* nothing below 4 GiB is large enough */
		{0x7f00000, 0x1000, 0x100000, {{0, 0}, {0, 0}}, 0},
		/* nothing is left */
		{0x1000, 0x1000, 0x1000, {{0, 1ull << 32}, {0, 0}}, 0},
		{0x1000, 0x1000, 1ull << 32, {{0, 0}, {0, 0}}, 0},
	};

	(void)state;
	assert_true(memory_map_build(raw, 4));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t base = 0;
		bool found = memory_map_lowest(
			cases[i].size, cases[i].align, cases[i].from, cases[i].avoid, 2, &base);

		if (found != (cases[i].expected != 0) || base != cases[i].expected)
			fail_msg("case %u: found %d at %llx", i, found, (unsigned long long)base);
	}
}

/* ---- options ---- */

static void last_of_several_options_counts(void **state)
{
	char line[] = "  reserve=40 paging=npt  reserve=0x30 policy=cache=off,oos=leaf ";

	(void)state;
	options_init(line);
	assert_string_equal(option("paging"), "npt");
	assert_string_equal(option("policy"), "cache=off,oos=leaf");
	assert_int_equal(option_number("reserve", 1, 4, 2048), 0x30);
	assert_null(option("page"));
	assert_null(option("paging=npt"));
	assert_int_equal(option_number("monitor", 0x2f8, 0, 0xffff), 0x2f8);
}

static void numbers_out_of_range_or_malformed_are_refused(void **state)
{
	static const char *const bad[] = {
		"reserve=", "reserve=3", "reserve=2049", "reserve=40M", "reserve=-40", "reserve=0x",
		"reserve=18446744073709551656", /* 2^64 + 40 */
	};
	char line[64];

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "%s", bad[i]);
		options_init(line);
		assert_says(FATAL_TEXT_OF(option_number("reserve", 40, 4, 2048)), bad[i]);
	}
}

static void unknown_options_are_refused_by_name(void **state)
{
	static const char *const known[] = {"reserve", "paging", NULL};
	char good[] = "paging=npt reserve=4";
	char unknown[] = "reserve=4 pagin=npt";
	char valueless[] = "paging";
	char prefix[] = "reserve4=4";

	(void)state;
	options_init(good);
	assert_string_equal(FATAL_TEXT_OF(options_check(known)), "");
	options_init(unknown);
	assert_says(FATAL_TEXT_OF(options_check(known)), "'pagin=npt'");
	options_init(valueless);
	assert_says(FATAL_TEXT_OF(options_check(known)), "'paging'");
	options_init(prefix);
	assert_says(FATAL_TEXT_OF(options_check(known)), "'reserve4=4'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format_agrees_with_the_c_library),
		cmocka_unit_test(format_cuts_and_still_says_the_length),
		cmocka_unit_test(format_copies_what_it_does_not_know),
		cmocka_unit_test(map_is_sorted_joined_and_free_of_overlaps),
		cmocka_unit_test(map_entry_that_wraps_ends_at_the_last_byte),
		cmocka_unit_test(map_that_does_not_fit_is_refused_whole),
		cmocka_unit_test(map_agrees_with_a_byte_for_byte_model),
		cmocka_unit_test(reserved_range_is_cut_out_of_ram),
		cmocka_unit_test(highest_place_obeys_limit_alignment_and_obstacles),
		cmocka_unit_test(lowest_place_obeys_start_alignment_and_obstacles),
		cmocka_unit_test(last_of_several_options_counts),
		cmocka_unit_test(numbers_out_of_range_or_malformed_are_refused),
		cmocka_unit_test(unknown_options_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
