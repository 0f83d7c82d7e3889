/* SPDX-License-Identifier: MIT */
/*
 * The model of legal outcomes against machines that really have TLBs and paging-structure caches.
 * Whatever a sound one does must be found legal, A and D bits included. The same machine with one
 * rule broken must be found out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/legal_machine.h"

static const struct {
	enum oracle_mode mode;
	bool pcids;
} modes[] = {
	{ORACLE_32BIT, false},
	{ORACLE_PAE, false},
	{ORACLE_4LEVEL, false},
	{ORACLE_5LEVEL, false},
	{ORACLE_4LEVEL, true},
	{ORACLE_5LEVEL, true},
};
enum {
	N_MODES = sizeof(modes) / sizeof(modes[0]),
	N_WITHOUT_PCIDS = 4,
};

static void a_sound_machine_is_always_legal(void **state)
{
	struct legal_why why = {""};

	(void)state;
	for (unsigned i = 0; i < N_MODES; i++) {
		for (uint64_t seed = 1; seed <= 4; seed++) {
			if (machine_is_found_out(modes[i].mode, modes[i].pcids, SOUND, seed, &why))
				fail_msg("mode %u seed %u: %s", i, (unsigned)seed, why.text);
		}
	}
}

static void a_broken_machine_is_found_out(void **state)
{
	struct legal_why why = {""};

	(void)state;
	for (enum breakage breakage = SOUND + 1; breakage < N_BREAKAGES; breakage++) {
		bool of_pcids = breakage >= FIRST_OF_PCIDS;
		unsigned end = of_pcids ? N_MODES : N_WITHOUT_PCIDS;

		for (unsigned i = of_pcids ? N_WITHOUT_PCIDS : 0; i < end; i++) {
			bool found = false;

			for (uint64_t seed = 1; seed <= 4 && !found; seed++)
				found = machine_is_found_out(
					modes[i].mode, modes[i].pcids, breakage, seed, &why);
			if (!found)
				fail_msg("breakage %d was not found in mode %u", breakage, i);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_machine_is_always_legal),
		cmocka_unit_test(a_broken_machine_is_found_out),
	};

	return cmocka_run_group_tests_name("legal: simulated machines", tests, NULL, NULL);
}
