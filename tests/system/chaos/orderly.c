/* SPDX-License-Identifier: MIT */
/*
 * Change something, flush, access, and write down what happened: with a flush before every access
 * the architecture leaves nothing open.
 */
#include "tests/system/chaos/chaos.h"

#define N_HOT 16u

/* A walk that ends in a fault may have set A above or not. So A is left out, wherever it may have
 * been copied to. */
#define COMPARED (~X86_PTE_A)

struct tally {
	uint64_t sum;
	uint64_t n_done;
	uint64_t n_faults;
	bool traced;
};

static void add(struct tally *tally, uint64_t word)
{
	tally->sum = (tally->sum ^ word) * 0x100000001b3ull;
	tally->sum ^= tally->sum >> 29;
}

static void change_something(const struct word_kinds *kinds, uint64_t gva)
{
	uint64_t *word;

	switch (random_below(8)) {
	case 0:
		toggle_right((unsigned)random_below(N_RIGHTS));
		break;
	case 1:
		use_root((unsigned)random_below(N_ROOTS), 0);
		break;
	case 2:
	case 3:
	case 4:
		word = random_word_on_path(gva);
		if (word)
			*(volatile uint64_t *)word = random_entry(kinds);
		break;
	case 5:
		change_keys();
		break;
	default:
		break;
	}
}

/* A root is read-only in itself, which says nothing while CR0.WP is clear; and this guest means to
 * live. */
static bool may_kill(enum operation op, uint64_t gva)
{
	bool stores = op >= OP_STORE && op <= OP_MOVS;

	return stores && (gva >> 39 & (WORDS - 1)) <= SLOT_SELF;
}

/* One line for each attempt, to find where two runs part. */
static void trace(enum operation op, const struct attempt *attempt)
{
	const uint64_t numbers[] = {op, attempt->gva, attempt->value, attempt->cs, attempt->rflags,
		read_cr0(), read_cr4(), read_efer(), attempt->vector, attempt->error_code,
		attempt->cr2, attempt->result};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		print_hex(numbers[i]);
		print(" ");
	}
	print("\n");
}

static void try_one(struct tally *tally, enum operation op, uint64_t gva, uint64_t value)
{
	struct attempt attempt;

	if (may_kill(op, gva) || may_kill(op, gva + X86_PAGE_SIZE))
		return;
	flush_all();
	attempt_make(&attempt, op, gva, value, random_below(2), random_below(4) == 0);
	/* Reserved bits are looked at in present entries only; QEMU's emulation leaves P out. */
	if (attempt.vector == X86_PF && attempt.error_code & X86_PF_RSVD)
		attempt.error_code |= X86_PF_P;
	if (tally->traced)
		trace(op, &attempt);
	add(tally, attempt.vector);
	add(tally, attempt.result & COMPARED);
	if (attempt.vector == TRAP_DONE) {
		tally->n_done++;
		return;
	}
	tally->n_faults++;
	add(tally, attempt.error_code);
	if (attempt.vector == X86_PF)
		add(tally, attempt.cr2);
}

/* What @op may store, so that a word that was safe stays so: one of a large page stays one, an
 * address stays in the arena, and nothing is carried out of A. */
static uint64_t random_operand(const struct word_kinds *kinds, enum operation op)
{
	switch (op) {
	case OP_STORE1:
		return random_word() | X86_PTE_PS;
	case OP_STORE4:
		return random_arena_entry();
	case OP_ADD:
		return random_word() & 0xfffull << 52;
	default:
		return random_entry(kinds);
	}
}

/* Jump only to words that were made for it. */
static void try_jump(struct tally *tally, uint64_t gva)
{
	struct attempt attempt;

	flush_all();
	attempt_make(&attempt, OP_LOAD, gva, 0, true, false);
	if (attempt.vector == TRAP_DONE && attempt.result != JUMP_TARGET)
		return;
	if (attempt.vector != TRAP_DONE)
		attempt_make(&attempt, OP_LOAD, gva, 0, false, true);
	if (attempt.vector == TRAP_DONE && attempt.result == JUMP_TARGET)
		try_one(tally, OP_JUMP, gva, 0);
}

static uint64_t sum_of_tables(void)
{
	struct tally tables = {.sum = 0};

	for (unsigned frame = 0; frame < ARENA_FRAMES; frame++) {
		for (unsigned i = 0; i < WORDS; i++)
			add(&tables, arena[frame][i] & COMPARED);
	}
	return tables.sum;
}

void run_orderly(const struct boot_facts *facts, unsigned n_rounds, bool traced)
{
	struct word_kinds kinds = {.facts = facts};
	struct tally tally = {.traced = traced};
	uint64_t hot[N_HOT];

	tables_fill(&kinds);
	for (unsigned i = 0; i < N_HOT; i++)
		hot[i] = random_gva();
	for (unsigned round = 0; round < n_rounds; round++) {
		uint64_t *gva = &hot[random_below(N_HOT)];
		enum operation op = (enum operation)random_below(N_RANDOM_OPS);

		if (random_below(8) == 0)
			*gva = random_gva();
		change_something(&kinds, *gva);
		if (op == OP_JUMP)
			try_jump(&tally, *gva);
		else
			try_one(&tally, op, *gva, random_operand(&kinds, op));
	}
	print("chaos: done ");
	print_number(tally.n_done);
	print(" faults ");
	print_number(tally.n_faults);
	print(" sum ");
	print_hex(tally.sum);
	print(" tables ");
	print_hex(sum_of_tables());
	print("\n");
}
