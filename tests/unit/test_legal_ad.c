/* SPDX-License-Identifier: MIT */
/*
 * Which A and D bits an access must, may and may not set in memory: one small story a rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/legal_world.h"

/* legal_check_ad() of an access at GVA on vCPU 0 that reached @gpa, or faulted if that is 0. */
static bool marks(struct world *world, enum oracle_kind kind, uint64_t gpa,
	const struct legal_change *changes, size_t n)
{
	struct legal_access what = access_of(world, 0, GVA, kind);
	struct legal_outcome observed = {.outcome = ORACLE_OK, .gpa = gpa};

	if (gpa == 0) {
		observed.outcome = ORACLE_PAGE_FAULT;
		observed.error_code = kind == ORACLE_WRITE ? ORACLE_PF_W : 0;
	}
	return legal_check_ad(world->legal, &what, &observed, changes, n, &world->why);
}

/* The implementation sets @bits in the word at @gpa. */
static struct legal_change set(struct world *world, uint64_t gpa, uint64_t bits)
{
	struct legal_change change = {.gpa = gpa, .before = world->words[gpa / 8]};

	change.after = change.before | bits;
	store(world, gpa, change.after);
	return change;
}

static void success_needs_a_on_the_whole_path(void **state)
{
	static const uint64_t slots[] = {ROOT, PDPT, PD, PT + 8};
	struct world *world = *state;

	for (unsigned i = 0; i < 4; i++) {
		struct legal_change change;

		store(world, slots[i], world->words[slots[i] / 8] & ~ORACLE_A);
		load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
		assert_false(marks(world, ORACLE_READ, X, NULL, 0));
		change = set(world, slots[i], ORACLE_A);
		assert_true(marks(world, ORACLE_READ, X, &change, 1));
	}
}

static void write_needs_d_in_its_leaf_and_only_a_write_sets_it(void **state)
{
	struct world *world = *state;
	struct legal_change change;

	store(world, PT + 8, X | TABLE_FLAGS);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	assert_true(marks(world, ORACLE_READ, X, NULL, 0));
	assert_false(marks(world, ORACLE_WRITE, X, NULL, 0));
	change = set(world, PT + 8, ORACLE_D);
	assert_true(marks(world, ORACLE_WRITE, X, &change, 1));
	assert_false(marks(world, ORACLE_READ, X, &change, 1));
}

static void d_above_the_leaf_is_not_set(void **state)
{
	struct world *world = *state;
	struct legal_change change = set(world, PD, ORACLE_D);

	assert_false(marks(world, ORACLE_WRITE, X, &change, 1));
}

static void dirty_cached_leaf_needs_no_d_in_memory(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | TABLE_FLAGS);
	assert_true(marks(world, ORACLE_WRITE, X, NULL, 0));
	legal_invlpg(world->legal, 0, GVA);
	assert_false(marks(world, ORACLE_WRITE, X, NULL, 0));
}

static void accessed_cached_entries_need_no_a_in_memory(void **state)
{
	struct world *world = *state;

	store(world, PD, (PT | TABLE_FLAGS) & ~ORACLE_A);
	assert_true(marks(world, ORACLE_READ, X, NULL, 0));
	legal_invlpg(world->legal, 0, GVA);
	assert_false(marks(world, ORACLE_READ, X, NULL, 0));
}

static void other_entries_are_left_alone(void **state)
{
	struct world *world = *state;
	struct legal_change change;

	store(world, PT + 16, (Z | LEAF_FLAGS) & ~ORACLE_A);
	change = set(world, PT + 16, ORACLE_A);
	assert_false(marks(world, ORACLE_READ, X, &change, 1));
}

static void nothing_but_a_and_d_is_set_and_nothing_cleared(void **state)
{
	struct world *world = *state;
	struct legal_change change;

	change = set(world, PT + 8, ORACLE_G);
	assert_false(marks(world, ORACLE_WRITE, X, &change, 1));
	change.before = change.after;
	change.after &= ~ORACLE_G;
	store(world, PT + 8, change.after);
	assert_false(marks(world, ORACLE_WRITE, X, &change, 1));
}

static void fault_may_set_a_above_but_not_where_it_stopped(void **state)
{
	struct world *world = *state;
	struct legal_change change;

	store(world, PD, (PT | TABLE_FLAGS) & ~ORACLE_A);
	store(world, PT + 8, 0);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	assert_true(marks(world, ORACLE_WRITE, 0, NULL, 0));
	change = set(world, PD, ORACLE_A);
	assert_true(marks(world, ORACLE_WRITE, 0, &change, 1));
	change = set(world, PT + 8, ORACLE_A);
	assert_false(marks(world, ORACLE_WRITE, 0, &change, 1));
}

static void a_is_not_set_where_only_the_past_was_present(void **state)
{
	struct world *world = *state;
	struct legal_change change;

	store(world, PT + 8, 0);
	change = set(world, PT + 8, ORACLE_A);
	assert_false(marks(world, ORACLE_WRITE, 0, &change, 1));
	assert_false(marks(world, ORACLE_WRITE, X, &change, 1));
}

static void denied_write_may_set_a_not_d(void **state)
{
	struct world *world = *state;
	struct legal_access what = access_of(world, 0, GVA, ORACLE_WRITE);
	struct legal_outcome observed = {
		.outcome = ORACLE_PAGE_FAULT,
		.error_code = ORACLE_PF_P | ORACLE_PF_W,
	};
	struct legal_change change;

	store(world, PT + 8, X | ORACLE_P);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	change = set(world, PT + 8, ORACLE_A);
	assert_true(legal_check_ad(world->legal, &what, &observed, &change, 1, &world->why));
	change = set(world, PT + 8, ORACLE_D);
	assert_false(legal_check_ad(world->legal, &what, &observed, &change, 1, &world->why));
}

static void stale_table_gets_its_a_and_d(void **state)
{
	struct world *world = *state;
	struct legal_change change;

	store(world, PD, OTHER_PT | TABLE_FLAGS);
	store(world, PT + 8, Y | ORACLE_P | ORACLE_W);
	change = set(world, PT + 8, ORACLE_A | ORACLE_D);
	assert_true(writes(world, GVA, Y));
	assert_true(marks(world, ORACLE_WRITE, Y, &change, 1));
	assert_false(marks(world, ORACLE_WRITE, X, &change, 1)); /* X is not behind that leaf */
}

/* A fault is delivered after the check of its A and D bits, in whichever order the two are
 * asked. */
static void check_ad_may_follow_the_check_of_a_fault(void **state)
{
	struct world *world = *state;
	struct legal_change change;

	store(world, PT + 8, 0);
	store(world, PD, (OTHER_PT | TABLE_FLAGS) & ~ORACLE_A);
	store(world, OTHER_PT + 8, Y | LEAF_FLAGS);
	store(world, PDPT, PD | TABLE_FLAGS);
	change = set(world, PD, ORACLE_A);
	assert_true(faults(world, GVA, ORACLE_WRITE, ORACLE_PF_W));
	assert_true(marks(world, ORACLE_WRITE, 0, &change, 1));
	assert_false(faults(world, GVA, ORACLE_WRITE, ORACLE_PF_W));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(success_needs_a_on_the_whole_path),
		STORY(write_needs_d_in_its_leaf_and_only_a_write_sets_it),
		STORY(d_above_the_leaf_is_not_set),
		STORY(dirty_cached_leaf_needs_no_d_in_memory),
		STORY(accessed_cached_entries_need_no_a_in_memory),
		STORY(other_entries_are_left_alone),
		STORY(nothing_but_a_and_d_is_set_and_nothing_cleared),
		STORY(fault_may_set_a_above_but_not_where_it_stopped),
		STORY(a_is_not_set_where_only_the_past_was_present),
		STORY(denied_write_may_set_a_not_d),
		STORY(stale_table_gets_its_a_and_d),
		STORY(check_ad_may_follow_the_check_of_a_fault),
	};

	return cmocka_run_group_tests_name("legal: A and D", tests, NULL, NULL);
}
