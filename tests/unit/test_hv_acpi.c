/* SPDX-License-Identifier: MIT */
/*
 * The ACPI reader, on tables made here: it finds what is there and survives what is broken. Every
 * range it asks for is given as a heap block of exactly that size, so that AddressSanitizer sees
 * any read outside.
 */
#include "tests/unit/hv_fake.h"

#include "hv/acpi.h"

#define MEMORY_BYTES 0x100000u
#define RSDP_AT      0xf5a00u
#define LIST_AT      0x80000u
#define FADT_AT      0x81000u
#define DSDT_AT      0x82000u
#define SSDT_AT      0x83000u
#define FADT_BYTES   244u
#define AML_AT       36u

static uint8_t memory[MEMORY_BYTES];

#define GIVEN_MAX 16384u
static void *given[GIVEN_MAX];
static unsigned n_given;

static const void *give(void *context, uint64_t phys, size_t n_bytes)
{
	(void)context;
	if (phys > MEMORY_BYTES || n_bytes > MEMORY_BYTES - phys)
		return NULL;
	assert_true(n_given < GIVEN_MAX);
	given[n_given] = malloc(n_bytes);
	return memcpy(given[n_given++], memory + phys, n_bytes);
}

static struct acpi_power find(void)
{
	const struct acpi_memory accessor = {.map = give};
	struct acpi_power power;

	memset(&power, 0xaa, sizeof(power));
	acpi_power_find(&accessor, &power);
	while (n_given)
		free(given[--n_given]);
	return power;
}

static void put(uint32_t at, uint64_t number, unsigned n_bytes)
{
	memcpy(memory + at, &number, n_bytes);
}

static void seal(uint32_t at, uint32_t n_bytes, uint32_t sum_at)
{
	uint8_t sum = 0;

	memory[at + sum_at] = 0;
	for (uint32_t i = 0; i < n_bytes; i++)
		sum = (uint8_t)(sum + memory[at + i]);
	memory[at + sum_at] = (uint8_t)-sum;
}

static void table(uint32_t at, const char *signature, uint32_t n_bytes)
{
	memcpy(memory + at, signature, 4);
	put(at + 4, n_bytes, 4);
	seal(at, n_bytes, 9);
}

static const uint8_t s5_aml[] = {
	0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0a, 0x05, 0x0a, 0x07, 0x00, 0x00};

static void put_aml(uint32_t at, const char *signature, const void *aml, uint32_t n_bytes)
{
	memset(memory + at, 0, 0x400);
	memcpy(memory + at + AML_AT, aml, n_bytes);
	table(at, signature, AML_AT + n_bytes);
}

/* A machine with a version 1 RSDP, an RSDT that names FADT and SSDT, and _S5 in the DSDT. */
static void machine(void)
{
	memset(memory, 0, sizeof(memory));
	memcpy(memory + RSDP_AT, "RSD PTR ", 8);
	put(RSDP_AT + 16, LIST_AT, 4);
	seal(RSDP_AT, 20, 8);
	put(LIST_AT + 36, SSDT_AT, 4);
	put(LIST_AT + 40, FADT_AT, 4);
	table(LIST_AT, "RSDT", 44);
	put(FADT_AT + 40, DSDT_AT, 4);
	put(FADT_AT + 64, 0x604, 4);
	put(FADT_AT + 68, 0x704, 4);
	table(FADT_AT, "FACP", FADT_BYTES);
	put_aml(DSDT_AT, "DSDT", s5_aml, sizeof(s5_aml));
	put_aml(SSDT_AT, "SSDT", "nothing", 7);
}

static void old_tables_are_read(void **state)
{
	struct acpi_power power;

	(void)state;
	machine();
	power = find();
	assert_true(power.found);
	assert_int_equal(power.pm1a_cnt, 0x604);
	assert_int_equal(power.pm1b_cnt, 0x704);
	assert_true(power.has_s5);
	assert_int_equal(power.s5_typ_a, 5);
	assert_int_equal(power.s5_typ_b, 7);
	assert_int_equal(power.reset_port, 0);
}

static void extended_tables_win(void **state)
{
	struct acpi_power power;

	(void)state;
	machine();
	memory[RSDP_AT + 15] = 2;
	put(RSDP_AT + 20, 36, 4);
	put(RSDP_AT + 24, LIST_AT + 0x100, 8);
	seal(RSDP_AT, 20, 8);
	seal(RSDP_AT, 36, 32);
	put(LIST_AT + 0x100 + 36, FADT_AT, 8);
	table(LIST_AT + 0x100, "XSDT", 44);
	put(LIST_AT + 36, 0, 4);
	put(LIST_AT + 40, 0, 4);
	table(LIST_AT, "RSDT", 44);
	memory[FADT_AT + 172] = 1;
	put(FADT_AT + 176, 0xb004, 8);
	put(FADT_AT + 112, 1 << 10, 4);
	memory[FADT_AT + 116] = 1;
	put(FADT_AT + 120, 0xcf9, 8);
	memory[FADT_AT + 128] = 6;
	table(FADT_AT, "FACP", FADT_BYTES);
	power = find();
	assert_int_equal(power.pm1a_cnt, 0xb004);
	assert_int_equal(power.pm1b_cnt, 0x704);
	assert_int_equal(power.reset_port, 0xcf9);
	assert_int_equal(power.reset_value, 6);
}

static void registers_that_are_no_ports_are_no_ports(void **state)
{
	struct acpi_power power;

	(void)state;
	machine();
	put(FADT_AT + 64, 0x12340604, 4);
	put(FADT_AT + 112, 1 << 10, 4);
	memory[FADT_AT + 116] = 0; /* the reset register is in memory */
	put(FADT_AT + 120, 0xcf9, 8);
	table(FADT_AT, "FACP", FADT_BYTES);
	power = find();
	assert_true(power.found);
	assert_int_equal(power.pm1a_cnt, 0);
	assert_int_equal(power.reset_port, 0);
}

static void rsdp_in_the_ebda_is_found(void **state)
{
	(void)state;
	machine();
	put(0x40e, 0x9fc0, 2);
	memmove(memory + 0x9fc10, memory + RSDP_AT, 36);
	memset(memory + RSDP_AT, 0, 36);
	assert_true(find().found);
	memory[0x9fc18] ^= 1;
	assert_false(find().found);
}

static void s5_is_taken_from_every_encoding(void **state)
{
	static const struct {
		uint8_t aml[20];
		uint32_t n_bytes;
		bool has_s5;
		uint8_t a, b;
	} cases[] = {
		/* as seen in the field: two bytes, zeros */
		{{0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0x0a, 7, 0, 0}, 14, true, 5, 7},
		/* root prefix, zero and one */
		{{0x08, '\\', '_', 'S', '5', '_', 0x12, 4, 2, 0, 1}, 11, true, 0, 1},
		/* a single element */
		{{0x08, '_', 'S', '5', '_', 0x12, 4, 1, 0x0a, 3}, 10, true, 3, 0},
		/* length in two bytes, word and dword constants */
		{{0x08, '_', 'S', '5', '_', 0x12, 0x4a, 0, 2, 0x0b, 6, 0, 0x0c, 2, 0, 0, 0}, 17,
			true, 6, 2},
		/* a use of the name, not its definition */
		{{0x70, '_', 'S', '5', '_', 0x12, 4, 2, 0, 1}, 10, false, 0, 0},
		/* no package */
		{{0x08, '_', 'S', '5', '_', 0x0a, 4, 2, 0, 1}, 10, false, 0, 0},
		/* an empty one */
		{{0x08, '_', 'S', '5', '_', 0x12, 2, 0, 0}, 9, false, 0, 0},
		/* a name where the number should be */
		{{0x08, '_', 'S', '5', '_', 0x12, 8, 2, 'F', 'O', 'O', '_', 0}, 13, false, 0, 0},
		/* no sleep type */
		{{0x08, '_', 'S', '5', '_', 0x12, 4, 1, 0x0a, 8}, 10, false, 0, 0},
		/* cut off inside the number */
		{{0x08, '_', 'S', '5', '_', 0x12, 4, 1, 0x0b, 5}, 10, false, 0, 0},
		/* cut off behind the name */
		{{0x08, '_', 'S', '5', '_'}, 5, false, 0, 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct acpi_power power;

		machine();
		put_aml(DSDT_AT, "DSDT", cases[i].aml, cases[i].n_bytes);
		power = find();
		if (!power.found || power.has_s5 != cases[i].has_s5 ||
			power.s5_typ_a != cases[i].a || power.s5_typ_b != cases[i].b)
			fail_msg("case %u: %d %d %d", i, power.has_s5, power.s5_typ_a,
				power.s5_typ_b);
	}
}

static void s5_in_a_secondary_table_is_found(void **state)
{
	(void)state;
	machine();
	put_aml(DSDT_AT, "DSDT", "nothing", 7);
	assert_false(find().has_s5);
	put_aml(SSDT_AT, "SSDT", s5_aml, sizeof(s5_aml));
	assert_true(find().has_s5);
}

static void wrong_checksums_are_not_believed(void **state)
{
	static const struct {
		uint32_t at;
		bool found, has_s5;
	} cases[] = {
		{RSDP_AT + 9, false, false},
		{LIST_AT + 10, false, false},
		{FADT_AT + 200, false, false},
		{DSDT_AT + 20, true, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct acpi_power power;

		machine();
		memory[cases[i].at] ^= 0x10;
		power = find();
		assert_int_equal(power.found, cases[i].found);
		assert_int_equal(power.has_s5, cases[i].has_s5);
	}
}

/* Any bytes changed, checksums made right again: nothing is read outside, and ports stay ports. */
static void broken_tables_do_no_harm(void **state)
{
	static const struct {
		uint32_t at, n_bytes, sum_at;
	} places[] = {
		{RSDP_AT, 20, 8},
		{LIST_AT, 44, 9},
		{FADT_AT, FADT_BYTES, 9},
		{DSDT_AT, AML_AT + sizeof(s5_aml), 9},
	};

	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		struct acpi_power power;

		machine();
		for (unsigned i = 0; i < 4; i++) {
			for (unsigned n = fake_random() % 3; n; n--)
				memory[places[i].at + fake_random() % places[i].n_bytes] =
					(uint8_t)fake_random();
			seal(places[i].at, places[i].n_bytes, places[i].sum_at);
		}
		power = find();
		assert_true(power.s5_typ_a <= 7 && power.s5_typ_b <= 7);
		assert_true(power.found || !(power.has_s5 || power.pm1a_cnt));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_tables_are_read),
		cmocka_unit_test(extended_tables_win),
		cmocka_unit_test(registers_that_are_no_ports_are_no_ports),
		cmocka_unit_test(rsdp_in_the_ebda_is_found),
		cmocka_unit_test(s5_is_taken_from_every_encoding),
		cmocka_unit_test(s5_in_a_secondary_table_is_found),
		cmocka_unit_test(wrong_checksums_are_not_believed),
		cmocka_unit_test(broken_tables_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
