/* SPDX-License-Identifier: MIT */
/*
 * The guest's paging modes as the machine and the generators see them: geometry only. The model has
 * its own idea of them (oracle.h).
 */
#ifndef LAB_PAGING_H
#define LAB_PAGING_H

#include "umbra/umbra.h"

#include <stdbool.h>
#include <stdint.h>

enum paging {
	PAGING_UNPAGED,
	PAGING_2LEVEL,
	PAGING_PAE,
	PAGING_4LEVEL,
	PAGING_5LEVEL,
	PAGING_COUNT,
};

struct paging_row {
	unsigned levels;      /* of tables in memory */
	unsigned entry_bytes; /* 4 or 8 */
	unsigned index_bits;  /* a level's part of the address */
	unsigned linear_bits; /* of an address; those above repeat the highest, or are not there */
};

extern const struct paging_row paging_rows[PAGING_COUNT];

/* The mode that @regs are in. */
enum paging paging_of(const struct umbra_paging_regs *regs);

/* Does @mode have 64-bit addresses? */
bool paging_is_long(enum paging mode);

/* The lowest bit of an address that an entry of @level (from 1) decides. */
unsigned paging_shift(enum paging mode, unsigned level);

/* Where the entry for @gva is in the table of @level at @table. */
uint64_t paging_slot(enum paging mode, uint64_t table, unsigned level, uint64_t gva);

/* @gva made an address of @mode: cut to its width and sign-extended where the mode does that. */
uint64_t paging_canonical(enum paging mode, uint64_t gva);

#endif
