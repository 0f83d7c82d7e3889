/* SPDX-License-Identifier: MIT */
/* Random words for page tables, and random addresses that lead through them. */
#include "tests/system/chaos/chaos.h"

static uint64_t state;

void random_seed(uint64_t seed)
{
	/* Any but zero, and small seeds should not begin alike. */
	state = (seed + 1) * 0x9e3779b97f4a7c15ull;
}

/* xorshift64 with a multiplication (Marsaglia; Vigna). */
uint64_t random_word(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

uint64_t random_below(uint64_t limit)
{
	return (random_word() >> 16) % limit;
}

static uint64_t random_flags(void)
{
	uint64_t flags =
		random_word() & (0x7full << 52 | X86_PTE_PK | 7ull << 9 | X86_PTE_A | X86_PTE_D);

	flags |= random_below(16) ? X86_PTE_P : 0;
	flags |= random_below(4) ? X86_PTE_W : 0;
	flags |= random_below(4) ? X86_PTE_U : 0;
	flags |= random_below(16) ? 0 : X86_PTE_PS;
	flags |= random_below(4) ? 0 : X86_PTE_G;
	flags |= random_below(8) ? 0 : X86_PTE_NX;
	flags |= random_below(16) ? 0 : X86_PTE_PCD;
	flags |= random_below(16) ? 0 : X86_PTE_PWT;
	return flags;
}

static uint64_t random_frame_in(uint64_t base, uint64_t n_bytes)
{
	return base + random_below(n_bytes / X86_PAGE_SIZE) * X86_PAGE_SIZE;
}

uint64_t random_arena_entry(void)
{
	return random_frame_in((uintptr_t)arena, sizeof(arena)) | random_flags();
}

uint64_t random_entry(const struct word_kinds *kinds)
{
	const struct boot_facts *facts = kinds->facts;

	switch (random_below(16)) {
	case 0:
		return 0;
	case 1:
		return random_word();
	case 2:
		return JUMP_TARGET;
	case 3:
	case 4:
	case 5:
		return LARGE_BASE | random_below(2) << 21 | X86_PTE_PS | random_flags();
	case 6:
		return NOWHERE | X86_PTE_PS | random_flags();
	case 7:
		if (!kinds->anywhere)
			return random_arena_entry();
		if (random_below(2))
			return random_frame_in(NOWHERE, 1ull << 39) | random_flags();
		return random_frame_in(facts->hidden_base, facts->hidden_bytes) | random_flags();
	default:
		return random_arena_entry();
	}
}

static unsigned random_slot(void)
{
	unsigned slot = SLOT_CHAOS + (unsigned)random_below(N_SLOTS_CHAOS);

	return random_below(2) ? slot : slot + WORDS / 2;
}

void tables_fill(const struct word_kinds *kinds)
{
	for (unsigned frame = 0; frame < ARENA_FRAMES; frame++) {
		for (unsigned i = 0; i < WORDS; i++)
			arena[frame][i] = random_entry(kinds);
	}
	for (unsigned n = 0; n < N_ROOTS; n++) {
		for (unsigned slot = SLOT_CHAOS; slot < SLOT_CHAOS + N_SLOTS_CHAOS; slot++) {
			root_of(n)[slot] = random_entry(kinds);
			root_of(n)[slot + WORDS / 2] = random_entry(kinds);
		}
	}
}

uint64_t random_gva(void)
{
	uint64_t slot = random_below(16) ? random_slot() : SLOT_SELF;
	uint64_t gva = slot << 39 | (random_word() & ((1ull << 39) - 8));

	return slot >= WORDS / 2 ? gva | 0xffffull << 48 : gva;
}

static bool in_arena(uint64_t gpa)
{
	return gpa - (uintptr_t)arena < sizeof(arena);
}

uint64_t *random_word_on_path(uint64_t gva)
{
	unsigned stop = 39 - 9 * (unsigned)random_below(4);
	uint64_t *table = root_in_use();

	if ((gva >> 39 & (WORDS - 1)) <= SLOT_SELF)
		return NULL;
	for (unsigned shift = 39;; shift -= 9) {
		uint64_t *word = &table[gva >> shift & (WORDS - 1)];

		if (shift == stop || !in_arena(*word & X86_PTE_FRAME))
			return word;
		table = (uint64_t *)(uintptr_t)(*word & X86_PTE_FRAME);
	}
}
