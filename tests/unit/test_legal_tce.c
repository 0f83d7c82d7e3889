/* SPDX-License-Identifier: MIT */
/*
 * EFER.TCE both ways: what INVLPG and INVPCID leave of upper entries that are not their address's.
 * APM 2 "Translation Cache Extension".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/legal_world.h"

static void set_tce(struct world *world, bool on)
{
	world->cpu.efer = (world->cpu.efer & ~ORACLE_EFER_TCE) | (on ? ORACLE_EFER_TCE : 0);
	legal_flush(world->legal, 0, LEGAL_FLUSH_NOTHING, &world->cpu);
}

/* The entry of one upper level leads elsewhere, where nothing is mapped; what is reached by the old
 * one can only come from a cache. */
static void cut_off(struct world *world, uint64_t slot)
{
	store(world, slot, OTHER_PD | TABLE_FLAGS);
}

static const uint64_t upper_slots[] = {ROOT, PDPT, PD};

static void invlpg_elsewhere_drops_upper_entries_unless_tce(void **state)
{
	struct world *world = *state;

	for (unsigned tce = 0; tce < 2; tce++) {
		for (unsigned i = 0; i < 3; i++) {
			uint64_t value = world->words[upper_slots[i] / 8];

			set_tce(world, tce);
			store(world, PT + 8, X | LEAF_FLAGS);
			load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
			cut_off(world, upper_slots[i]);
			legal_invlpg(world->legal, 0, FAR);
			store(world, PT + 8, Y | LEAF_FLAGS);
			assert_true(reads(world, GVA, X)); /* complete */
			assert_int_equal(reads(world, GVA, Y), tce);
			store(world, upper_slots[i], value);
		}
	}
}

static void invlpg_drops_its_own_upper_entries_with_tce_too(void **state)
{
	struct world *world = *state;

	for (unsigned tce = 0; tce < 2; tce++) {
		for (unsigned i = 0; i < 3; i++) {
			uint64_t value = world->words[upper_slots[i] / 8];

			set_tce(world, tce);
			store(world, PT + 8, X | LEAF_FLAGS);
			load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
			cut_off(world, upper_slots[i]);
			legal_invlpg(world->legal, 0, GVA);
			store(world, PT + 8, Y | LEAF_FLAGS);
			assert_false(reads(world, GVA, X));
			assert_false(reads(world, GVA, Y));
			store(world, upper_slots[i], value);
		}
	}
}

static void rights_of_an_upper_entry_last_under_tce(void **state)
{
	struct world *world = *state;

	for (unsigned tce = 0; tce < 2; tce++) {
		set_tce(world, tce);
		store(world, PD, PT | TABLE_FLAGS);
		store(world, PT + 8, X | LEAF_FLAGS);
		load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
		store(world, PD, (PT | TABLE_FLAGS) & ~ORACLE_W);
		legal_invlpg(world->legal, 0, FAR);
		store(world, PT + 8, Y | LEAF_FLAGS);
		assert_int_equal(writes(world, GVA, Y), tce);
	}
}

static void setting_tce_drops_and_brings_back_nothing(void **state)
{
	struct world *world = *state;

	cut_off(world, PD);
	set_tce(world, true);
	set_tce(world, false);
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_true(reads(world, GVA, Y));
	legal_invlpg(world->legal, 0, FAR);
	set_tce(world, true);
	store(world, PT + 8, Z | LEAF_FLAGS);
	assert_false(reads(world, GVA, Z));
}

static void tce_is_of_one_processor(void **state)
{
	struct world *world = *state;
	struct legal_outcome observed = {.outcome = ORACLE_OK, .gpa = Y};
	struct legal_access what = access_of(world, 1, GVA, ORACLE_READ);

	set_tce(world, true);
	cut_off(world, PD);
	legal_invlpg(world->legal, 0, FAR);
	legal_invlpg(world->legal, 1, FAR);
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_true(reads(world, GVA, Y));
	assert_false(legal_check(world->legal, &what, &observed, &world->why));
}

static void invpcid_of_an_address_drops_upper_entries_of_its_pcid_unless_tce(void **state)
{
	struct world *world = *state;

	world->cpu.cr4 |= ORACLE_CR4_PCIDE;
	for (unsigned tce = 0; tce < 2; tce++) {
		for (unsigned pcid = 1; pcid < 3; pcid++) {
			set_tce(world, tce);
			store(world, PD, PT | TABLE_FLAGS);
			store(world, PT + 8, X | LEAF_FLAGS);
			load_cr3(world, 0, ROOT | 1, LEGAL_FLUSH_ALL);
			cut_off(world, PD);
			load_cr3(world, 0, ROOT | 2, LEGAL_FLUSH_NOTHING);
			legal_invpcid(world->legal, 0, LEGAL_INVPCID_ADDRESS, pcid, FAR);
			load_cr3(world, 0, ROOT | 1, LEGAL_FLUSH_NOTHING);
			store(world, PT + 8, Y | LEAF_FLAGS);
			assert_true(reads(world, GVA, X));
			assert_int_equal(reads(world, GVA, Y), tce || pcid == 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(invlpg_elsewhere_drops_upper_entries_unless_tce),
		STORY(invlpg_drops_its_own_upper_entries_with_tce_too),
		STORY(rights_of_an_upper_entry_last_under_tce),
		STORY(setting_tce_drops_and_brings_back_nothing),
		STORY(tce_is_of_one_processor),
		STORY(invpcid_of_an_address_drops_upper_entries_of_its_pcid_unless_tce),
	};

	return cmocka_run_group_tests_name("legal: EFER.TCE", tests, NULL, NULL);
}
