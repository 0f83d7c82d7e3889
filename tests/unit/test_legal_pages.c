/* SPDX-License-Identifier: MIT */
/*
 * Stale caches and global pages, large pages, the other paging modes, and what the model has
 * forgotten: one small story a rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/legal_world.h"

static void global_leaf_survives_cr3_not_invlpg(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_G);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, 0);
	load_cr3(world, 0, OTHER_ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	store(world, OTHER_ROOT, 0);
	assert_true(writes(world, GVA, X));
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_true(reads(world, GVA, X));
	legal_invlpg(world->legal, 0, GVA);
	assert_false(reads(world, GVA, X));
}

static void global_leaf_is_not_made_through_what_invlpg_dropped(void **state)
{
	struct world *world = *state;

	store(world, PD, OTHER_PT | TABLE_FLAGS);
	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_G);
	legal_invlpg(world->legal, 0, GVA);
	store(world, PT + 8, Y | LEAF_FLAGS | ORACLE_G);
	load_cr3(world, 0, OTHER_ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, GVA, X));
	assert_false(reads(world, GVA, Y));
}

static void large_global_leaf_dies_with_invlpg_of_its_other_end(void **state)
{
	struct world *world = *state;

	store(world, PD, BIG | LEAF_FLAGS | ORACLE_PS | ORACLE_G);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PD, 0);
	store(world, PT, 2);
	legal_invlpg(world->legal, 0, 0x3000);
	store(world, PT, 4);
	load_cr3(world, 0, OTHER_ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, 0x1f0000, BIG + 0x1f0000));
}

static void global_leaf_dies_with_a_full_flush(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_G);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, 0);
	load_cr3(world, 0, OTHER_ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	assert_false(reads(world, GVA, X));
}

static void global_bit_above_the_leaf_means_nothing(void **state)
{
	struct world *world = *state;

	store(world, PD, PT | TABLE_FLAGS | ORACLE_G);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, 0);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, GVA, X));
}

static void global_leaf_under_a_new_root_only_if_it_was_there_before(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_G);
	store(world, ROOT, 0);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	load_cr3(world, 0, OTHER_ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_true(reads(world, GVA, X)); /* made under OTHER_ROOT, where PDPT was reachable */
	store(world, OTHER_ROOT, 0);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	load_cr3(world, 0, OTHER_ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, GVA, X));
}

static void invlpg_drops_the_whole_large_page(void **state)
{
	struct world *world = *state;

	store(world, PD, BIG | LEAF_FLAGS | ORACLE_PS);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PD, 0);
	assert_true(reads(world, 0x1f0000, BIG + 0x1f0000));
	legal_invlpg(world->legal, 0, 0x3000);
	assert_false(reads(world, 0x1f0000, BIG + 0x1f0000));
}

static void invlpg_drops_a_large_page_whose_table_was_unlinked(void **state)
{
	struct world *world = *state;

	store(world, PD, BIG | LEAF_FLAGS | ORACLE_PS);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PDPT, 0);
	assert_true(reads(world, 0x1f0000, BIG + 0x1f0000));
	legal_invlpg(world->legal, 0, 0x3000);
	assert_false(reads(world, 0x1f0000, BIG + 0x1f0000));
}

static void halves_of_a_word_are_two_entries(void **state)
{
	struct world *world = *state;

	world->cpu.cr4 = 0;
	world->cpu.efer = 0;
	store(world, ROOT, PT | TABLE_FLAGS);
	store(world, PT, (uint64_t)(X | LEAF_FLAGS) << 32 | (Z | LEAF_FLAGS));
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT, Z | LEAF_FLAGS);
	assert_true(reads(world, GVA, X));
	assert_true(reads(world, 0, Z));
	legal_invlpg(world->legal, 0, GVA | 1ull << 32);
	assert_false(reads(world, GVA, X));
	assert_true(reads(world, 0, Z));
}

static void pae_walks_from_the_loaded_pdptes(void **state)
{
	struct world *world = *state;

	world->cpu.efer = 0;
	world->cpu.pdpte[0] = PD | ORACLE_P;
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	assert_true(reads(world, GVA, X));
	store(world, PD, 0);
	assert_true(reads(world, GVA, X));
	assert_true(faults(world, 1ull << 30, ORACLE_READ, 0));
	legal_invlpg(world->legal, 0, GVA | 1ull << 32);
	assert_false(reads(world, GVA, X));
	store(world, PD, PT | TABLE_FLAGS);
	world->cpu.pdpte[0] = OTHER_PD | ORACLE_P;
	assert_false(reads(world, GVA, X)); /* not loaded: no flush was reported */
}

static void unreported_cr3_is_refused(void **state)
{
	struct world *world = *state;

	world->cpu.cr3 = OTHER_ROOT;
	assert_false(reads(world, GVA, X));
}

static void unreported_mode_is_refused(void **state)
{
	struct world *world = *state;

	world->cpu.cr3 = ROOT;
	assert_true(reads(world, GVA, X));
	world->cpu.cr4 |= ORACLE_CR4_LA57;
	assert_false(faults(world, GVA, ORACLE_READ, 0));
}

static void unpaged_access_has_one_outcome(void **state)
{
	struct world *world = *state;

	world->cpu.cr0 = ORACLE_CR0_PE;
	legal_flush(world->legal, 0, LEGAL_FLUSH_ALL, &world->cpu);
	assert_true(writes(world, GVA, GVA));
	assert_false(writes(world, GVA, X));
	assert_false(faults(world, GVA, ORACLE_READ, 0));
}

static void what_was_forgotten_is_not_held_against_anybody(void **state)
{
	struct world *world = *state;
	struct legal *full = world->legal;

	world->legal = legal_new(1, 16);
	assert_non_null(world->legal);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, 0);
	assert_false(reads(world, GVA, Y));
	assert_int_equal(legal_undecided(world->legal), 0);
	for (unsigned i = 0; i < 100; i++)
		store(world, PD + 0xff8, i + 2);
	assert_true(reads(world, GVA, X));
	assert_int_equal(legal_undecided(world->legal), 1);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	assert_false(reads(world, GVA, X));
	legal_free(world->legal);
	world->legal = full;
}

static void forgotten_roots_are_not_held_against_anybody(void **state)
{
	struct world *world = *state;
	struct legal *full = world->legal;

	world->legal = legal_new(1, 0);
	assert_non_null(world->legal);
	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_G);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, 0);
	load_cr3(world, 0, OTHER_ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	store(world, OTHER_ROOT, 0);
	for (unsigned i = 0; i < 100; i++)
		load_cr3(world, 0, 0x100000 + i * 4096, LEGAL_FLUSH_KEEP_GLOBAL);
	load_cr3(world, 0, OTHER_ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_true(reads(world, GVA, X));
	assert_int_equal(legal_undecided(world->legal), 1);
	legal_free(world->legal);
	world->legal = full;
}

/* May a supervisor's read of GVA reach @gpa with that memory type? */
static bool reads_typed(struct world *world, uint64_t gpa, uint8_t pat)
{
	struct legal_access what = access_of(world, 0, GVA, ORACLE_READ);
	struct legal_outcome observed = {
		.outcome = ORACLE_OK, .gpa = gpa, .typed = true, .pat = pat};

	return legal_check(world->legal, &what, &observed, &world->why);
}

static void memory_type_is_that_of_a_leaf_with_that_frame(void **state)
{
	struct world *world = *state;

	assert_true(reads_typed(world, X, 0));
	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_PCD);
	store(world, PT + 8, Y | LEAF_FLAGS | ORACLE_PWT | ORACLE_PAT_4K);
	assert_true(reads_typed(world, X, 0));
	assert_true(reads_typed(world, X, 2));
	assert_true(reads_typed(world, Y, 5));
	assert_false(reads_typed(world, X, 5));
	assert_false(reads_typed(world, Y, 0));
	legal_invlpg(world->legal, 0, GVA);
	assert_false(reads_typed(world, X, 2));
	assert_true(reads_typed(world, Y, 5));
}

static bool is_beyond_z(uint64_t gpa)
{
	return gpa > Z;
}

static void some_address_is_one_that_a_cached_or_present_leaf_gives(void **state)
{
	struct world *world = *state;
	struct legal_access what = access_of(world, 0, GVA, ORACLE_READ);
	struct legal_outcome observed = {.outcome = ORACLE_OK, .is_gpa = is_beyond_z};

	assert_false(legal_check(world->legal, &what, &observed, &world->why));
	store(world, PT + 8, BIG | LEAF_FLAGS);
	assert_true(legal_check(world->legal, &what, &observed, &world->why));
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_true(legal_check(world->legal, &what, &observed, &world->why));
	legal_invlpg(world->legal, 0, GVA);
	assert_false(legal_check(world->legal, &what, &observed, &world->why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(global_leaf_survives_cr3_not_invlpg),
		STORY(global_leaf_is_not_made_through_what_invlpg_dropped),
		STORY(large_global_leaf_dies_with_invlpg_of_its_other_end),
		STORY(global_leaf_dies_with_a_full_flush),
		STORY(global_bit_above_the_leaf_means_nothing),
		STORY(global_leaf_under_a_new_root_only_if_it_was_there_before),
		STORY(invlpg_drops_the_whole_large_page),
		STORY(invlpg_drops_a_large_page_whose_table_was_unlinked),
		STORY(halves_of_a_word_are_two_entries),
		STORY(pae_walks_from_the_loaded_pdptes),
		STORY(unreported_cr3_is_refused),
		STORY(unreported_mode_is_refused),
		STORY(unpaged_access_has_one_outcome),
		STORY(what_was_forgotten_is_not_held_against_anybody),
		STORY(forgotten_roots_are_not_held_against_anybody),
		STORY(memory_type_is_that_of_a_leaf_with_that_frame),
		STORY(some_address_is_one_that_a_cached_or_present_leaf_gives),
	};

	return cmocka_run_group_tests_name("legal: pages and modes", tests, NULL, NULL);
}
