/* SPDX-License-Identifier: MIT */
/*
 * A straight path of tables in any mode, for the tests of the reference walker, and how a test
 * bends it.
 */
#ifndef TESTS_UNIT_ORACLE_WORLD_H
#define TESTS_UNIT_ORACLE_WORLD_H

#include "lab/oracle.h"

#include <stdbool.h>
#include <stdint.h>

#define GVA    0x00007f12b4567abcull /* modes of 32-bit addresses use its low half */
#define PAGE   0x1c0000000ull        /* the leaf's, 7 GiB; in 32-bit mode it is at 3 GiB */
#define P      ORACLE_P
#define W      ORACLE_PF_W
#define U      ORACLE_PF_U
#define RSVD   ORACLE_PF_RSVD
#define I      ORACLE_PF_I
#define PK     ORACLE_PF_PK
#define WP     ORACLE_CR0_WP
#define PSE    ORACLE_CR4_PSE
#define SMEP   ORACLE_CR4_SMEP
#define SMAP   ORACLE_CR4_SMAP
#define PKE    ORACLE_CR4_PKE
#define PKS    ORACLE_CR4_PKS
#define NXE    ORACLE_EFER_NXE
#define BIT(n) (1ull << (n))
#define KEY(n) ((uint64_t)(n) << 59)

#define PF ORACLE_PAGE_FAULT
#define RD ORACLE_READ
#define WR ORACLE_WRITE
#define FE ORACLE_FETCH

enum {
	N_WORDS = 6 * 512, /* frame 0 is empty; the table of level l is at l << 12 */
};

struct row {
	const char *rule;
	enum oracle_mode mode;
	unsigned leaf; /* level of the leaf; 0: 1 */
	/* Added to what the mode itself needs. */
	uint64_t cr0;
	uint64_t cr4;
	uint64_t efer;
	uint32_t pkru;
	uint32_t pkrs;
	unsigned width; /* MAXPHYADDR; 0: 46 */
	bool ac;
	bool has_1g;
	bool pse36;
	bool amd;
	/* Entries are P, W, U and the address, changed by these. */
	uint64_t set[6];
	uint64_t clear[6];
	enum oracle_kind kind;
	bool user;
	bool implicit;
	/* Expected. */
	enum oracle_outcome outcome;
	uint32_t code;
};

struct world {
	struct oracle_cpu cpu;
	struct oracle_memory memory;
	struct oracle_access access;
	uint64_t words[N_WORDS];
};

/* Make @world as @row says. */
void set_up(struct world *world, const struct row *row);

/* Perform the row's access. */
void perform(struct world *world, struct oracle_result *result);

/* Where the path's entry of @level stands, and where the leaf points. */
uint64_t entry_gpa(const struct world *world, unsigned level);
uint64_t page_base(const struct world *world);

#endif
