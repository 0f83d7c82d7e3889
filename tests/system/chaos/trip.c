/* SPDX-License-Identifier: MIT */
/* The trip through all modes: what it needs, and what must be written down on the way. */
#include "tests/system/chaos/trip.h"

#include "tests/system/chaos/chaos.h"

#define WORD_1 0x11112222u
#define WORD_2 0x33334444u
#define NEXT_1 0x55556666u
#define NEXT_2 0x77778888u

#define CODE_SEGMENT (TRIP_CODE >> 4)

struct wanted {
	const char *what;
	uint32_t word;
	bool strict; /* TCG alone does not do it */
};

/* What both kinds of code write down under both kinds of 32-bit paging. */
#define TABLES(entry_bytes, cr3)                                                                   \
	{"a new entry", WORD_1, false}, {"a changed half of it", WORD_2, false},                   \
		{"CR2 of a not present entry", TRIP_WINDOW + 4, false},                            \
		{"its error code", 0, false}, {"the access begins again", NEXT_2, false},          \
		{"an entry by REP STOS", WORD_1, false},                                           \
		{"what was written through the tables", entry_bytes, false},                       \
		{"a new entry by 16-bit code", WORD_2, false},                                     \
		{"a changed half by 16-bit code", WORD_1, false},                                  \
		{"CR2 in 16-bit code", TRIP_WINDOW + 4, false},                                    \
		{"its error code in 16-bit code", 0, false},                                       \
		{"the access of 16-bit code", NEXT_1, false},                                      \
		{"REP STOS downward by 16-bit code", WORD_2, false},                               \
	{                                                                                          \
		"CR3 read by 16-bit code", cr3, false                                              \
	}

static const struct wanted wanted[] = {
	{"CR0 in compatibility mode", 0x80000001u, false},
	{"EFER when paging is off", 0x100, false},
	{"CR0 by SMSW", 1, false},
	{"LME without PAE", 0x100, false},
	{"memory without paging", WORD_1, false},
	TABLES(4, TRIP_DIRECTORY),
	TABLES(8, TRIP_POINTERS),
	{"a reserved bit in a PDPTE", 0x13, true},
	{"CR0 in real mode", 0, false},
	{"the word of SMSW", 0x55550000u, false},
	{"TS by LMSW", 8, false},
	{"TS after CLTS", 0, false},
	{"CR3 in real mode", 0x12345000u, false},
	{"LMSW beyond the segment", 13, true},
	{"SMSW beyond the segment", 13, true},
	{"PG without PE", 13, true},
	{"a bit of CR4 that is not there", 13, true},
	{"EFER in real mode", 0x800, false},
	{"memory above 1 MiB", 0x23455678u, false},
	{"memory that is not there", 0xffffffffu, false},
	{"memory that is not there, after a store", 0xffffffffu, false},
	{"an interrupt in real mode", 0x21, false},
	{"changed code in real mode", 0x5a, false},
	{"long mode entered by code with L", 0x13, true},
	{"EFER in long mode", 0x500, false},
};

static volatile uint32_t *at(uint64_t where)
{
	return (volatile uint32_t *)(uintptr_t)where;
}

static void clear(uint64_t from, uint64_t end)
{
	for (; from < end; from += sizeof(uint32_t))
		*at(from) = 0;
}

static void copy_code(void)
{
	const char *code = trip_start;

	for (uint64_t i = 0; i < (uint64_t)(trip_end - trip_start); i++)
		((volatile char *)(uintptr_t)TRIP_CODE)[i] = code[i];
	*at(TRIP_VECTORS + 13 * 4) = trip_vectors[0] | CODE_SEGMENT << 16;
	*at(TRIP_VECTORS + 0x21 * 4) = trip_vectors[1] | CODE_SEGMENT << 16;
}

static void make_trip_tables(void)
{
	const uint32_t present = X86_PTE_P | X86_PTE_W;

	*at(TRIP_DIRECTORY) = present | X86_PTE_PS;
	*at(TRIP_DIRECTORY + 4) = 0x400000u | present | X86_PTE_PS;
	*at(TRIP_DIRECTORY + (TRIP_WINDOW >> 22) * 4) = TRIP_TABLE | present;
	*at(TRIP_POINTERS) = TRIP_PAE_LOW | X86_PTE_P;
	*at(TRIP_POINTERS + 8) = TRIP_PAE_HIGH | X86_PTE_P;
	*at(TRIP_POINTERS + 16) = TRIP_PAE_LOW | X86_PTE_P;
	*at(TRIP_PAE_LOW) = present | X86_PTE_PS;
	*at(TRIP_PAE_LOW + 8) = 0x200000u | present | X86_PTE_PS;
	*at(TRIP_PAE_HIGH) = TRIP_PAE_TABLE | present;
	*at(TRIP_DATA_1) = WORD_1;
	*at(TRIP_DATA_1 + 4) = NEXT_1;
	*at(TRIP_DATA_2) = WORD_2;
	*at(TRIP_DATA_2 + 4) = NEXT_2;
}

static void check_notes(bool strict)
{
	uint32_t n_notes = *at(TRIP_NOTES);
	uint32_t note = 0;

	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		uint32_t word = *at(TRIP_NOTES + 4 + note * 4);

		if (wanted[i].strict && !strict)
			continue;
		if (note++ < n_notes && word == wanted[i].word)
			continue;
		print(wanted[i].what);
		print(": ");
		print_hex(word);
		fail(" is not what was wanted");
	}
	if (note != n_notes)
		fail("the trip wrote down too much");
}

void run_trip(const struct boot_facts *facts, bool strict, uint64_t cr3, uint64_t cr4)
{
	clear(TRIP_CODE, TRIP_DATA_2 + X86_PAGE_SIZE);
	copy_code();
	make_trip_tables();
	*at(TRIP_CR3) = (uint32_t)cr3;
	*at(TRIP_CR4) = (uint32_t)cr4;
	*at(TRIP_STRICT) = strict;
	*at(TRIP_HIDDEN) = (uint32_t)facts->hidden_base;
	trip_run();
	check_notes(strict);
	if (read_cr3() != cr3 || read_cr4() != cr4)
		fail("CR3 or CR4 is not as it was left");
}
