/* SPDX-License-Identifier: MIT */
/* What to do stands on the command line: chaos=WHAT seed=N rounds=N trace=1. */
#include "tests/system/chaos/chaos.h"

#define WORD_MAX 32u

_Noreturn void main(const uint8_t *boot_params);

/* What follows @name in @line up to the next space; "" if @name is not there. */
static void find(const char *line, const char *name, char value[WORD_MAX])
{
	unsigned n = 0;

	for (; *line; line++) {
		const char *at = line;
		const char *wanted = name;

		while (*wanted && *at == *wanted) {
			at++;
			wanted++;
		}
		if (*wanted)
			continue;
		while (at[n] && at[n] != ' ' && n < WORD_MAX - 1) {
			value[n] = at[n];
			n++;
		}
		break;
	}
	value[n] = '\0';
}

static uint64_t find_number(const char *line, const char *name)
{
	char text[WORD_MAX];
	uint64_t number = 0;

	find(line, name, text);
	for (const char *at = text; *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	return number;
}

_Noreturn void main(const uint8_t *boot_params)
{
	struct boot_facts facts = boot_read(boot_params);
	unsigned rounds = (unsigned)find_number(facts.command_line, " rounds=");
	bool traced = find_number(facts.command_line, " trace=") != 0;
	char what[WORD_MAX];

	find(facts.command_line, " chaos=", what);
	random_seed(find_number(facts.command_line, " seed="));
	machine_init();
	if (find_number(facts.command_line, " levels=") == 5)
		add_level(&facts);
	if (text_same(what, "orderly")) {
		run_orderly(&facts, rounds, traced);
	} else if (text_same(what, "wild")) {
		run_wild(&facts, rounds);
	} else if (text_same(what, "forbidden")) {
		run_forbidden(&facts);
	} else if (text_same(what, "trip")) {
		for (unsigned i = 0; i < rounds; i++)
			run_trip(&facts, find_number(facts.command_line, " strict=") != 0,
				read_cr3(), read_cr4());
		print("chaos: came back\n");
	} else {
		run_death(&facts, what);
		fail("chaos= names nothing known");
	}
	leave(LEAVE_WELL);
}
