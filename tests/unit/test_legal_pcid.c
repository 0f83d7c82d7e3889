/* SPDX-License-Identifier: MIT */
/*
 * What PCIDs, INVPCID and PDPTE registers allow: one small story a rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/legal_world.h"

/* Under PCIDs 1, 2, 3 from here on; PCID 1 is current. */
static void use_pcids(struct world *world)
{
	world->cpu.cr4 |= ORACLE_CR4_PCIDE;
	load_cr3(world, 0, ROOT | 1, LEGAL_FLUSH_ALL);
}

static void visit(struct world *world, unsigned pcid)
{
	load_cr3(world, 0, ROOT | pcid, LEGAL_FLUSH_NOTHING);
}

static void load_without_flush_keeps_what_its_pcid_had(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	store(world, PT + 8, Y | LEAF_FLAGS);
	visit(world, 2);
	visit(world, 1);
	assert_true(reads(world, GVA, X));
	assert_true(reads(world, GVA, Y));
}

static void entries_of_another_pcid_are_not_used(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	store(world, PT + 8, Y | LEAF_FLAGS);
	visit(world, 2);
	assert_false(reads(world, GVA, X));
	assert_true(reads(world, GVA, Y));
}

static void what_was_there_only_meanwhile_was_not_cached(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	visit(world, 2);
	store(world, PT + 8, Y | LEAF_FLAGS);
	store(world, PT + 8, Z | LEAF_FLAGS);
	visit(world, 1);
	assert_true(reads(world, GVA, X));
	assert_false(reads(world, GVA, Y));
	assert_true(reads(world, GVA, Z));
}

static void upper_entry_from_before_leads_to_leaf_from_after(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	store(world, PD, OTHER_PT | TABLE_FLAGS);
	visit(world, 2);
	store(world, PT + 8, Y | LEAF_FLAGS);
	visit(world, 1);
	assert_true(reads(world, GVA, Y));
}

static void load_with_flush_flushes_its_pcid_only(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	store(world, PT + 8, Y | LEAF_FLAGS);
	load_cr3(world, 0, ROOT | 2, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, GVA, X));
	visit(world, 1);
	assert_true(reads(world, GVA, X));
	load_cr3(world, 0, ROOT | 1, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, GVA, X));
}

static void another_root_of_the_same_pcid_inherits(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	store(world, OTHER_ROOT, 0);
	load_cr3(world, 0, OTHER_ROOT | 1, LEGAL_FLUSH_NOTHING);
	assert_true(reads(world, GVA, X));
	load_cr3(world, 0, OTHER_ROOT | 2, LEGAL_FLUSH_NOTHING);
	assert_false(reads(world, GVA, X));
	load_cr3(world, 0, OTHER_ROOT | 1, LEGAL_FLUSH_NOTHING);
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_true(reads(world, GVA, Y)); /* by a partial translation from ROOT */
	legal_invlpg(world->legal, 0, FAR);
	assert_true(reads(world, GVA, Y));
	store(world, PT + 8, Z | LEAF_FLAGS);
	assert_false(reads(world, GVA, Z));
	load_cr3(world, 0, OTHER_ROOT | 1, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, GVA, X));
}

static void global_translation_is_used_under_all_pcids(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_G);
	use_pcids(world);
	store(world, PT + 8, Y | LEAF_FLAGS);
	visit(world, 2);
	assert_true(reads(world, GVA, X));
	load_cr3(world, 0, OTHER_ROOT | 3, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_true(reads(world, GVA, X));
}

static void invlpg_drops_global_ones_of_all_pcids_and_others_of_its_own(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_G);
	use_pcids(world);
	store(world, PT + 8, Y | LEAF_FLAGS);
	store(world, PT + 16, X | LEAF_FLAGS);
	visit(world, 2);
	legal_invlpg(world->legal, 0, GVA);
	legal_invlpg(world->legal, 0, NEIGHBOUR);
	visit(world, 1);
	assert_false(reads(world, GVA, X));
	assert_true(reads(world, NEIGHBOUR, Z));
	legal_invlpg(world->legal, 0, NEIGHBOUR);
	assert_false(reads(world, NEIGHBOUR, Z));
}

static void fault_drops_global_ones_of_all_pcids(void **state)
{
	struct world *world = *state;

	store(world, PT + 8, X | LEAF_FLAGS | ORACLE_G);
	use_pcids(world);
	visit(world, 2);
	store(world, PT + 8, 0);
	assert_true(faults(world, GVA, ORACLE_READ, 0));
	visit(world, 1);
	assert_false(reads(world, GVA, X));
}

/* What each type leaves of two pages that PCID 1 has cached, while PCID 2 is current. */
static void each_type_of_invpcid_drops_what_it_says(void **state)
{
	static const struct {
		enum legal_invpcid type;
		unsigned pcid;
		bool keeps_page;
		bool keeps_neighbour;
		bool keeps_global;
	} cases[] = {
		{LEGAL_INVPCID_ADDRESS, 1, false, true, true},
		{LEGAL_INVPCID_ADDRESS, 2, true, true, true},
		{LEGAL_INVPCID_CONTEXT, 1, false, false, true},
		{LEGAL_INVPCID_CONTEXT, 2, true, true, true},
		{LEGAL_INVPCID_ALL_BUT_GLOBAL, 0, false, false, true},
		{LEGAL_INVPCID_ALL, 0, false, false, false},
	};
	struct world *world = *state;

	for (unsigned global = 0; global < 2; global++) {
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			uint64_t flags = LEAF_FLAGS | (global ? ORACLE_G : 0);

			store(world, PT + 8, X | flags);
			store(world, PT + 16, Z | flags);
			use_pcids(world);
			store(world, PT + 8, Y | flags);
			store(world, PT + 16, Y | flags);
			visit(world, 2);
			legal_invpcid(world->legal, 0, cases[i].type, cases[i].pcid, GVA);
			visit(world, 1);
			assert_int_equal(reads(world, GVA, X),
				global ? cases[i].keeps_global : cases[i].keeps_page);
			assert_int_equal(reads(world, NEIGHBOUR, Z),
				global ? cases[i].keeps_global : cases[i].keeps_neighbour);
			assert_true(reads(world, GVA, Y));
		}
	}
}

static void invpcid_of_an_address_drops_its_partial_translations(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	store(world, PD, OTHER_PT | TABLE_FLAGS);
	legal_invpcid(world->legal, 0, LEGAL_INVPCID_ADDRESS, 1, GVA);
	store(world, PT + 8, Y | LEAF_FLAGS);
	assert_false(reads(world, GVA, Y));
	assert_false(reads(world, GVA, X));
}

static void full_flush_flushes_all_pcids(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	store(world, PT + 8, Y | LEAF_FLAGS);
	load_cr3(world, 0, ROOT | 2, LEGAL_FLUSH_ALL);
	visit(world, 1);
	assert_false(reads(world, GVA, X));
}

static void other_pcid_than_the_one_told_of_is_refused(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	world->cpu.cr3 = ROOT | 2;
	assert_false(reads(world, GVA, X));
}

static void more_pcids_than_are_remembered_are_not_held_against_anybody(void **state)
{
	struct world *world = *state;

	use_pcids(world);
	store(world, PT + 8, Y | LEAF_FLAGS);
	for (unsigned pcid = 2; pcid < 40; pcid++)
		visit(world, pcid);
	visit(world, 1);
	assert_true(reads(world, GVA, X));
	assert_int_equal(legal_undecided(world->legal), 1);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	legal_free(world->legal);
	world->legal = legal_new(1, 0);
}

/* PAE: PDPTEs come from registers, and what was read through earlier ones stays where the load of
 * new ones flushes nothing (MOV to CR0). */
static void pdptes_count_as_loaded(void **state)
{
	struct world *world = *state;

	world->cpu.efer = 0;
	world->cpu.pdpte[0] = PD | ORACLE_P;
	load_cr3(world, 0, PDPT, LEGAL_FLUSH_ALL);
	store(world, OTHER_PD, OTHER_PT | TABLE_FLAGS);
	store(world, OTHER_PT + 8, Y | LEAF_FLAGS);
	store(world, PDPT, OTHER_PD | ORACLE_P);
	assert_true(reads(world, GVA, X));
	assert_false(reads(world, GVA, Y));
	world->cpu.pdpte[0] = OTHER_PD | ORACLE_P;
	load_cr3(world, 0, PDPT, LEGAL_FLUSH_NOTHING);
	assert_true(reads(world, GVA, X));
	assert_true(reads(world, GVA, Y));
	load_cr3(world, 0, PDPT, LEGAL_FLUSH_KEEP_GLOBAL);
	assert_false(reads(world, GVA, X));
	assert_true(reads(world, GVA, Y));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(load_without_flush_keeps_what_its_pcid_had),
		STORY(entries_of_another_pcid_are_not_used),
		STORY(what_was_there_only_meanwhile_was_not_cached),
		STORY(upper_entry_from_before_leads_to_leaf_from_after),
		STORY(load_with_flush_flushes_its_pcid_only),
		STORY(another_root_of_the_same_pcid_inherits),
		STORY(global_translation_is_used_under_all_pcids),
		STORY(invlpg_drops_global_ones_of_all_pcids_and_others_of_its_own),
		STORY(fault_drops_global_ones_of_all_pcids),
		STORY(each_type_of_invpcid_drops_what_it_says),
		STORY(invpcid_of_an_address_drops_its_partial_translations),
		STORY(full_flush_flushes_all_pcids),
		STORY(other_pcid_than_the_one_told_of_is_refused),
		STORY(more_pcids_than_are_remembered_are_not_held_against_anybody),
		STORY(pdptes_count_as_loaded),
	};

	return cmocka_run_group_tests_name("legal: PCIDs and PDPTEs", tests, NULL, NULL);
}
