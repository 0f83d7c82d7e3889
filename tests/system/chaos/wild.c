/* SPDX-License-Identifier: MIT */
/*
 * Changes and accesses in any order, most without a flush, unaligned, through tables that may be
 * anywhere. Nothing that happens in the random part of the address space says anything; that the
 * guest still runs as it should afterwards does.
 */
#include "tests/system/chaos/chaos.h"

#define N_HOT 32u

static void change_control(void)
{
	unsigned which = (unsigned)random_below(N_RIGHTS + 4);

	if (which < N_RIGHTS)
		toggle_right(which);
	else if (which == N_RIGHTS)
		change_keys();
	else
		use_root((unsigned)random_below(N_ROOTS),
			random_below(4) ? 0 : X86_CR3_PCD | X86_CR3_PWT);
}

static void change_word(const struct word_kinds *kinds, uint64_t gva)
{
	uint64_t *word = random_below(4) ? random_word_on_path(gva)
					 : &arena[random_below(ARENA_FRAMES)][random_below(WORDS)];

	if (!word)
		return;
	/* Whole, or in pieces of what it may be for a moment. */
	if (random_below(4))
		*(volatile uint64_t *)word = random_entry(kinds);
	else
		((volatile uint8_t *)word)[random_below(8)] = (uint8_t)random_word();
}

static bool is_chaos(uint64_t gva)
{
	return (gva >> 39 & (WORDS - 1)) > SLOT_SELF;
}

static void access(const struct word_kinds *kinds, uint64_t gva)
{
	enum operation op = (enum operation)random_below(OP_JUMP);
	struct attempt attempt;

	if (random_below(8) == 0)
		gva += random_below(X86_PAGE_SIZE);
	if (random_below(64) == 0)
		gva ^= 1ull << 47; /* not canonical */
	if (op >= OP_STORE && op <= OP_MOVS &&
		!(is_chaos(gva) && is_chaos(gva - X86_PAGE_SIZE) && is_chaos(gva + X86_PAGE_SIZE)))
		op = OP_LOAD;
	attempt_make(&attempt, op, gva, random_entry(kinds), random_below(2), random_below(4) == 0);
	switch (attempt.vector) {
	case TRAP_DONE:
	case X86_PF:
	case X86_GP:
		return;
	default:
		print("chaos: exception ");
		print_number(attempt.vector);
		fail(" from an access to memory");
	}
}

static void check_sanity(void)
{
	uint64_t *table = arena[1];
	uint64_t gva = (uint64_t)SLOT_CHAOS << 39;
	struct attempt attempt;

	use_root(0, 0);
	root_of(0)[SLOT_CHAOS] = (uintptr_t)arena[0] | X86_PTE_P | X86_PTE_W;
	arena[0][0] = (uintptr_t)table | X86_PTE_P | X86_PTE_W;
	table[0] = (uintptr_t)arena[2] | X86_PTE_P | X86_PTE_W;
	arena[2][0] = (uintptr_t)arena[3] | X86_PTE_P | X86_PTE_W;
	arena[3][5] = 0x1122334455667788ull;
	flush_all();
	attempt_make(&attempt, OP_LOAD, gva + 40, 0, false, false);
	if (attempt.vector != TRAP_DONE || attempt.result != 0x1122334455667788ull)
		fail("what was written is not what is read");
	attempt_make(&attempt, OP_LOAD, gva + 40, 0, true, false);
	if (attempt.vector != X86_PF || attempt.error_code != (X86_PF_P | X86_PF_U) ||
		attempt.cr2 != gva + 40)
		fail("the user reads the supervisor's page");
}

void run_wild(const struct boot_facts *facts, unsigned n_rounds)
{
	struct word_kinds kinds = {.facts = facts, .anywhere = true};
	uint64_t hot[N_HOT];

	tables_fill(&kinds);
	for (unsigned i = 0; i < N_HOT; i++)
		hot[i] = random_gva();
	for (unsigned round = 0; round < n_rounds; round++) {
		uint64_t *gva = &hot[random_below(N_HOT)];

		switch (random_below(8)) {
		case 0:
			*gva = random_gva();
			break;
		case 1:
			change_control();
			break;
		case 2:
		case 3:
			change_word(&kinds, *gva);
			break;
		default:
			access(&kinds, *gva);
			break;
		}
	}
	check_sanity();
	print("chaos: survived ");
	print_number(n_rounds);
	print(" rounds\n");
}
