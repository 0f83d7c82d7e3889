/* SPDX-License-Identifier: MIT */
/*
 * What stale caches allow and what they do not: one small story a rule. A story's last lines are
 * the outcomes it allows and forbids.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/legal_world.h"

static void unmapped_page_is_reachable_until_invlpg(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, 0);
	assert_true(reads(world, GVA, X));
	assert_true(writes(world, GVA + 5, X + 5));
	assert_false(reads(world, GVA, Y));
	assert_false(reads(world, GVA, X + 1));
	legal_invlpg(world->legal, 0, GVA + 0x123);
	assert_false(reads(world, GVA, X));
	assert_true(faults(world, GVA, ORACLE_READ, 0));
}

static void unmapped_page_is_reachable_until_its_own_fault(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, 0);
	assert_true(faults(world, GVA, ORACLE_READ, 0));
	assert_false(reads(world, GVA, X));
}

static void wrong_error_code_is_not_legal(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, 0);
	assert_false(faults(world, GVA, ORACLE_READ, ORACLE_PF_W));
	assert_false(faults(world, GVA, ORACLE_WRITE, ORACLE_PF_W | ORACLE_PF_P));
	assert_true(faults(world, GVA, ORACLE_WRITE, ORACLE_PF_W));
}

static void becoming_present_is_seen_at_once(void **state)
{
	static const uint64_t slots[] = {ROOT, PDPT, PD, PT + 8};
	struct world *world = *state;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t value = world->words[slots[i] / 8];

		store(world, slots[i], 0);
		load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
		assert_true(faults(world, GVA, ORACLE_READ, 0));
		store(world, slots[i], value);
		assert_false(faults(world, GVA, ORACLE_READ, 0));
		assert_true(reads(world, GVA, X));
	}
}

static void repaired_reserved_bit_is_seen_at_once(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | LEAF_FLAGS | 1ull << 45);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, X | LEAF_FLAGS);
	assert_false(faults(world, GVA, ORACLE_READ, ORACLE_PF_P | ORACLE_PF_RSVD));
	assert_true(reads(world, GVA, X));
}

static void fault_of_an_upgraded_page_is_legal_once(void **state)
{
	static const uint64_t slots[] = {ROOT, PDPT, PD, PT + 8};
	struct world *world = *state;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t value = world->words[slots[i] / 8];

		store(world, slots[i], value & ~ORACLE_W);
		load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
		store(world, slots[i], value);
		assert_true(writes(world, GVA, X));
		assert_true(faults(world, GVA, ORACLE_WRITE, ORACLE_PF_P | ORACLE_PF_W));
		assert_false(faults(world, GVA, ORACLE_WRITE, ORACLE_PF_P | ORACLE_PF_W));
		assert_true(writes(world, GVA, X));
		/* Its neighbour, if it lies behind that entry, has cached rights of its own. */
		assert_int_equal(
			i < 3, faults(world, NEIGHBOUR, ORACLE_WRITE, ORACLE_PF_P | ORACLE_PF_W));
	}
}

static void rights_taken_away_last_until_invlpg(void **state)
{
	struct world *world = *state;

	store(world, PD, (PT | TABLE_FLAGS) & ~ORACLE_W);
	assert_true(writes(world, GVA, X));
	legal_invlpg(world->legal, 0, GVA);
	assert_false(writes(world, GVA, X));
	/* INVLPG kept the neighbour's complete translation. */
	assert_true(writes(world, NEIGHBOUR, Z));
}

static void clean_cached_leaf_cannot_be_written_through(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | TABLE_FLAGS);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, (Y | TABLE_FLAGS) & ~ORACLE_W);
	assert_true(reads(world, GVA, X));
	assert_false(writes(world, GVA, X));
	assert_true(faults(world, GVA, ORACLE_WRITE, ORACLE_PF_P | ORACLE_PF_W));
}

static void entry_not_accessed_is_not_cached(void **state)
{
	static const uint64_t slots[] = {ROOT, PDPT, PD, PT + 8};
	struct world *world = *state;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t value = world->words[slots[i] / 8];

		store(world, slots[i], value & ~ORACLE_A);
		load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
		assert_true(reads(world, GVA, X));
		store(world, slots[i], 0);
		assert_false(reads(world, GVA, X));
		store(world, slots[i], value);
	}
}

static void entry_not_accessed_leads_only_to_what_is_there_now(void **state)
{
	struct world *world = *state;

	store(world, PD, (PT | TABLE_FLAGS) & ~ORACLE_A);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_false(reads(world, GVA, X));
	assert_true(reads(world, GVA, Y));
}

static void old_upper_entry_with_new_lower_one_is_legal(void **state)
{
	struct world *world = *state;

	store(world, PD, OTHER_PT | TABLE_FLAGS);
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_true(reads(world, GVA, X)); /* both old */
	assert_true(reads(world, GVA, Y)); /* upper old, lower as it is now */
	store(world, PT + 8, 0);
	assert_true(reads(world, GVA, Y)); /* upper old, lower a moment ago */
	assert_true(faults(world, GVA, ORACLE_READ, 0));
	assert_false(reads(world, GVA, Y));
}

static void old_table_may_fault_where_the_new_one_maps(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, 0);
	store(world, OTHER_PT + 8, Y | LEAF_FLAGS);
	legal_flush(world->legal, 0, LEGAL_FLUSH_ALL, &world->cpu);
	store(world, PD, OTHER_PT | TABLE_FLAGS);
	assert_true(reads(world, GVA, Y));
	assert_true(faults(world, GVA, ORACLE_READ, 0));
	assert_false(faults(world, GVA, ORACLE_READ, 0));
}

static void lower_entry_older_than_its_upper_one_is_not_legal(void **state)
{
	struct world *world = *state;

	store(world, PD, 0);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, Y | LEAF_FLAGS);
	store(world, PD, PT | TABLE_FLAGS);
	assert_false(reads(world, GVA, X));
	assert_true(reads(world, GVA, Y));
}

static void new_rights_above_do_not_revive_an_old_leaf(void **state)
{
	struct world *world = *state;

	store(world, PD, (PT | TABLE_FLAGS) & ~ORACLE_W);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PT + 8, Y | LEAF_FLAGS);
	store(world, PD, PT | TABLE_FLAGS);
	assert_true(reads(world, GVA, X));
	assert_false(writes(world, GVA, X));
	assert_true(writes(world, GVA, Y));
}

static void invlpg_of_any_page_ends_partial_translations(void **state)
{
	struct world *world = *state;

	store(world, PD, OTHER_PT | TABLE_FLAGS);
	legal_invlpg(world->legal, 0, FAR);
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_true(reads(world, GVA, X));
	assert_false(reads(world, GVA, Y));
}

static void dirty_bit_is_not_set_through_an_ended_partial_translation(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | TABLE_FLAGS);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, PD, OTHER_PT | TABLE_FLAGS);
	assert_true(writes(world, GVA, X));
	legal_invlpg(world->legal, 0, FAR);
	assert_true(reads(world, GVA, X));
	assert_false(writes(world, GVA, X));
}

static void fault_makes_its_address_current_at_every_level(void **state)
{
	static const uint64_t slots[] = {ROOT, PDPT, PD};
	struct world *world = *state;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t value = world->words[slots[i] / 8];

		store(world, PT + 8, X | LEAF_FLAGS);
		load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
		store(world, slots[i], OTHER_PD | TABLE_FLAGS);
		store(world, PT + 8, Y | LEAF_FLAGS);
		assert_true(reads(world, GVA, X));
		assert_true(reads(world, GVA, Y)); /* through what was cached above */
		assert_true(faults(world, GVA, ORACLE_READ, 0));
		assert_false(reads(world, GVA, X));
		assert_false(reads(world, GVA, Y));
		assert_true(faults(world, GVA, ORACLE_READ, 0));
		store(world, slots[i], value);
	}
}

static void fault_nearby_ends_partial_translations(void **state)
{
	struct world *world = *state;

	store(world, PD + 0xff8, 2);
	legal_invlpg(world->legal, 0, FAR); /* that epoch ended otherwise */
	store(world, PD, OTHER_PT | TABLE_FLAGS);
	assert_true(faults(world, NEIGHBOUR, ORACLE_READ, 0));
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_true(reads(world, GVA, X));
	assert_false(reads(world, GVA, Y));
}

static void fault_in_the_same_4m_region_ends_partial_translations(void **state)
{
	struct world *world = *state;

	world->cpu.cr4 = 0;
	world->cpu.efer = 0;
	store(world, ROOT, PT | TABLE_FLAGS);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	store(world, ROOT, OTHER_PT | TABLE_FLAGS);
	assert_true(faults(world, 0x3ff000, ORACLE_READ, 0));
	store(world, PT, (uint64_t)(Y | LEAF_FLAGS) << 32);
	assert_false(reads(world, GVA, Y));
}

static void more_invalidations_than_are_kept_only_loosen(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < 100; i++) {
		store(world, PD + 0xff8, i + 2);
		legal_invlpg(world->legal, 0, FAR);
	}
	store(world, PT + 8, 0);
	assert_true(reads(world, GVA, X));
	legal_invlpg(world->legal, 0, GVA);
	assert_false(reads(world, GVA, X));
}

static void invalidations_are_remembered_for_a_while(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, 0);
	legal_invlpg(world->legal, 0, GVA);
	for (uint64_t page = 2; page < 500; page++)
		legal_invlpg(world->legal, 0, page << 12);
	assert_false(reads(world, GVA, X));
}

static void invlpg_counts_after_a_fault_of_the_same_page(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, 0);
	assert_true(faults(world, GVA, ORACLE_READ, 0));
	store(world, PT + 8, X | LEAF_FLAGS);
	store(world, PT + 8, 0);
	legal_invlpg(world->legal, 0, GVA);
	assert_false(reads(world, GVA, X));
}

static void invlpg_of_the_page_counts_when_its_epoch_is_merged_with_others(void **state)
{
	struct world *world = *state;

	store(world, PD, OTHER_PT | TABLE_FLAGS);
	legal_invlpg(world->legal, 0, GVA);
	store(world, PT + 8, Y | LEAF_FLAGS);
	for (unsigned i = 0; i < 100; i++) {
		store(world, PD + 0xff8, i + 2);
		legal_invlpg(world->legal, 0, FAR);
	}
	assert_false(reads(world, GVA, Y));
}

static void every_load_of_cr3_flushes(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_true(reads(world, GVA, X));
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, GVA, X));
	assert_true(reads(world, GVA, Y));
}

static void invlpg_of_a_small_page_spares_its_neighbour(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, 0);
	store(world, PT + 16, 0);
	legal_invlpg(world->legal, 0, GVA);
	assert_true(reads(world, NEIGHBOUR, Z));
}

static void vcpus_have_caches_of_their_own(void **state)
{
	struct world *world = *state;
	struct legal_outcome observed = {.outcome = ORACLE_OK, .gpa = X};
	struct legal_access what = access_of(world, 1, GVA, ORACLE_READ);

	store(world, PT + 8, 0);
	legal_invlpg(world->legal, 0, GVA);
	assert_false(reads(world, GVA, X));
	assert_true(legal_check(world->legal, &what, &observed, &world->why));
	legal_flush(world->legal, 1, LEGAL_FLUSH_ALL, &world->cpu);
	assert_false(legal_check(world->legal, &what, &observed, &world->why));
}

static void a_race_allows_what_was_true_meanwhile(void **state)
{
	struct world *world = *state;
	struct legal_outcome fault = {.outcome = ORACLE_PAGE_FAULT};
	struct legal_access what = access_of(world, 0, GVA, ORACLE_READ);
	uint64_t began;

	store(world, PT + 8, 0);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	began = legal_time(world->legal);
	store(world, PT + 8, X | LEAF_FLAGS);
	assert_false(legal_check(world->legal, &what, &fault, &world->why));
	what.began = began;
	assert_true(legal_check(world->legal, &what, &fault, &world->why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(unmapped_page_is_reachable_until_invlpg),
		STORY(unmapped_page_is_reachable_until_its_own_fault),
		STORY(wrong_error_code_is_not_legal),
		STORY(becoming_present_is_seen_at_once),
		STORY(repaired_reserved_bit_is_seen_at_once),
		STORY(fault_of_an_upgraded_page_is_legal_once),
		STORY(rights_taken_away_last_until_invlpg),
		STORY(clean_cached_leaf_cannot_be_written_through),
		STORY(entry_not_accessed_is_not_cached),
		STORY(entry_not_accessed_leads_only_to_what_is_there_now),
		STORY(old_upper_entry_with_new_lower_one_is_legal),
		STORY(old_table_may_fault_where_the_new_one_maps),
		STORY(lower_entry_older_than_its_upper_one_is_not_legal),
		STORY(new_rights_above_do_not_revive_an_old_leaf),
		STORY(invlpg_of_any_page_ends_partial_translations),
		STORY(dirty_bit_is_not_set_through_an_ended_partial_translation),
		STORY(fault_makes_its_address_current_at_every_level),
		STORY(fault_nearby_ends_partial_translations),
		STORY(fault_in_the_same_4m_region_ends_partial_translations),
		STORY(more_invalidations_than_are_kept_only_loosen),
		STORY(invalidations_are_remembered_for_a_while),
		STORY(invlpg_counts_after_a_fault_of_the_same_page),
		STORY(invlpg_of_the_page_counts_when_its_epoch_is_merged_with_others),
		STORY(every_load_of_cr3_flushes),
		STORY(invlpg_of_a_small_page_spares_its_neighbour),
		STORY(vcpus_have_caches_of_their_own),
		STORY(a_race_allows_what_was_true_meanwhile),
	};

	return cmocka_run_group_tests_name("legal", tests, NULL, NULL);
}
