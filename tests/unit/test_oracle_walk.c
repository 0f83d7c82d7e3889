/* SPDX-License-Identifier: MIT */
/*
 * The reference walker beyond single outcomes: products of rights, A and D bits, what is reported.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/oracle_world.h"

/* W, U or NX changed at one level: product of level, right, kind, user and WP. */
static void a_right_missing_at_one_level_is_missing(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4 * 3 * 3 * 2 * 2; n++) {
		unsigned level = 1 + n % 4, right = n / 4 % 3, kind = n / 12 % 3;
		bool user = n / 36 % 2, wp = n / 72;
		struct row row = {.mode = 4, .efer = NXE, .kind = kind, .user = user};
		struct oracle_result result;
		struct world world;
		bool ok;

		row.cr0 = wp ? WP : 0;
		row.clear[level] = right == 0 ? ORACLE_W : right == 1 ? ORACLE_U : 0;
		row.set[level] = right == 2 ? ORACLE_NX : 0;
		ok = right == 0 ? kind != WR || (!user && !wp) : right == 1 ? !user : kind != FE;
		set_up(&world, &row);
		perform(&world, &result);
		assert_int_equal(result.outcome, ok ? ORACLE_OK : PF);
	}
}

static void pse36_reaches_above_4g(void **state)
{
	struct row row = {.mode = 2, .leaf = 2, .cr4 = PSE, .pse36 = true, .width = 40};
	struct oracle_result result;
	struct world world;

	(void)state;
	row.set[2] = 0xa5ull << 13;
	set_up(&world, &row);
	perform(&world, &result);
	assert_int_equal(result.outcome, ORACLE_OK);
	assert_int_equal(result.gpa, 0xa5c0000000ull | (GVA & 0x3fffff));
}

static void noncanonical_is_no_page_fault(void **state)
{
	static const struct {
		enum oracle_mode mode;
		uint64_t gva;
		bool canonical;
	} cases[] = {
		{4, 0x00007fffffffffffull, true},
		{4, 0x0000800000000000ull, false},
		{4, 0xffff7fffffffffffull, false},
		{4, 0xffff800000000000ull, true},
		{4, 0x8000000000000000ull, false},
		{5, 0x0000800000000000ull, true},
		{5, 0x0100000000000000ull, false},
		{5, 0xff00000000000000ull, true},
		{5, 0xfeffffffffffffffull, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct row row = {.mode = cases[i].mode};
		struct oracle_result result;
		struct world world;

		set_up(&world, &row);
		world.access.gva = cases[i].gva;
		perform(&world, &result);
		assert_int_equal(result.outcome == ORACLE_NONCANONICAL, !cases[i].canonical);
		if (!cases[i].canonical)
			assert_int_equal(result.n_entries, 0);
	}
}

static void absent_table_reads_as_ones(void **state)
{
	struct row row = {.mode = 4};
	struct oracle_result result;
	struct world world;

	(void)state;
	row.set[2] = 1ull << 30;
	set_up(&world, &row);
	perform(&world, &result);
	assert_int_equal(result.outcome, PF);
	assert_int_equal(result.error_code, P | RSVD);
}

static void success_sets_a_everywhere_and_d_in_the_leaf_of_a_write(void **state)
{
	static const struct {
		enum oracle_mode mode;
		unsigned leaf;
		unsigned n;
	} cases[] = {{2, 1, 2}, {2, 2, 1}, {3, 1, 2}, {3, 2, 1}, {4, 1, 4}, {4, 3, 2}, {5, 1, 5},
		{5, 2, 4}};

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct row row = {.mode = cases[i / 2].mode,
			.leaf = cases[i / 2].leaf,
			.cr4 = PSE,
			.has_1g = true,
			.kind = i % 2 ? WR : RD};
		struct oracle_result result;
		struct world world;

		set_up(&world, &row);
		perform(&world, &result);
		assert_int_equal(result.n_entries, cases[i / 2].n);
		for (unsigned k = 0; k < result.n_entries; k++) {
			const struct oracle_entry *entry = &result.entries[k];
			bool d = k == result.n_entries - 1 && row.kind == WR;

			assert_int_equal(entry->gpa, entry_gpa(&world, entry->level));
			assert_int_equal(entry->level, row.leaf + result.n_entries - 1 - k);
			assert_int_equal(
				entry->after, entry->value | ORACLE_A | (d ? ORACLE_D : 0));
		}
	}
}

static void a_fault_may_set_a_in_what_it_used(void **state)
{
	struct row not_present = {.mode = 4, .clear = {[1] = P}};
	struct row no_right = {.mode = 4, .clear = {[1] = ORACLE_U}, .kind = WR, .user = true};
	struct oracle_result result;
	struct world world;

	(void)state;
	set_up(&world, &not_present);
	perform(&world, &result);
	assert_int_equal(result.n_entries, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(result.entries[i].after, result.entries[i].value);
		assert_int_equal(result.entries[i].may_set, i < 3 ? ORACLE_A : 0);
	}
	set_up(&world, &no_right);
	perform(&world, &result);
	assert_int_equal(result.entries[3].after, result.entries[3].value);
	assert_int_equal(result.entries[3].may_set, ORACLE_A);
}

static void rights_of_the_path_are_reported(void **state)
{
	struct row row = {.mode = 4, .cr4 = ORACLE_CR4_PGE, .efer = NXE};
	struct oracle_result result;
	struct world world;

	(void)state;
	row.set[1] = ORACLE_G | KEY(9) | ORACLE_PAT_4K | ORACLE_PWT;
	row.set[2] = ORACLE_NX;
	row.clear[3] = ORACLE_W;
	set_up(&world, &row);
	perform(&world, &result);
	assert_false(result.rights.write);
	assert_true(result.rights.user);
	assert_false(result.rights.execute);
	assert_true(result.rights.global);
	assert_int_equal(result.rights.key, 9);
	assert_int_equal(result.rights.pat, 5);

	world.cpu.cr4 &= ~ORACLE_CR4_PGE;
	perform(&world, &result);
	assert_false(result.rights.global);
}

static void pat_bit_of_a_large_leaf_is_bit_12(void **state)
{
	struct row row = {.mode = 4, .leaf = 2};
	struct oracle_result result;
	struct world world;

	(void)state;
	set_up(&world, &row);
	perform(&world, &result);
	assert_int_equal(result.rights.pat, 0);
	row.set[2] = ORACLE_PAT_LARGE | ORACLE_PCD;
	set_up(&world, &row);
	perform(&world, &result);
	assert_int_equal(result.rights.pat, 6);
}

static void pdptes_are_checked_at_their_load(void **state)
{
	struct oracle_cpu cpu = {.maxphyaddr = 46};

	(void)state;
	assert_true(oracle_pdpte_loadable(&cpu, 0));
	assert_true(oracle_pdpte_loadable(&cpu, ~1ull));
	assert_true(oracle_pdpte_loadable(&cpu, 0x3ffffffff000 | 0xe19));
	assert_false(oracle_pdpte_loadable(&cpu, 0x1003));
	assert_false(oracle_pdpte_loadable(&cpu, 0x1005));
	assert_false(oracle_pdpte_loadable(&cpu, 0x1021));
	assert_false(oracle_pdpte_loadable(&cpu, 0x1101));
	assert_false(oracle_pdpte_loadable(&cpu, BIT(46) | 1));
	assert_false(oracle_pdpte_loadable(&cpu, ORACLE_NX | 1));
}

static void cr3_ignores_its_low_bits(void **state)
{
	struct row long_mode = {.mode = 4}, legacy = {.mode = 2};
	struct oracle_result result;
	struct world world;

	(void)state;
	set_up(&world, &long_mode);
	world.cpu.cr3 |= 0xfff;
	perform(&world, &result);
	assert_int_equal(result.outcome, ORACLE_OK);
	set_up(&world, &legacy);
	world.cpu.cr3 |= 0xfff;
	perform(&world, &result);
	assert_int_equal(result.outcome, ORACLE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_right_missing_at_one_level_is_missing),
		cmocka_unit_test(pse36_reaches_above_4g),
		cmocka_unit_test(noncanonical_is_no_page_fault),
		cmocka_unit_test(absent_table_reads_as_ones),
		cmocka_unit_test(success_sets_a_everywhere_and_d_in_the_leaf_of_a_write),
		cmocka_unit_test(a_fault_may_set_a_in_what_it_used),
		cmocka_unit_test(rights_of_the_path_are_reported),
		cmocka_unit_test(pat_bit_of_a_large_leaf_is_bit_12),
		cmocka_unit_test(pdptes_are_checked_at_their_load),
		cmocka_unit_test(cr3_ignores_its_low_bits),
	};

	return cmocka_run_group_tests_name("oracle: walks", tests, NULL, NULL);
}
