/* SPDX-License-Identifier: MIT */
/*
 * Machines that really have TLBs and paging-structure caches, for tests of the model of legal
 * outcomes: of two vCPUs over one small memory, which cache at random, forget at random, walk ahead
 * of the program and invalidate exactly what the manual says, or break one of its rules.
 */
#ifndef TESTS_UNIT_LEGAL_MACHINE_H
#define TESTS_UNIT_LEGAL_MACHINE_H

#include "lab/legal.h"

#include <stdbool.h>
#include <stdint.h>

enum breakage {
	SOUND,
	INVLPG_KEEPS_THE_PAGE,
	INVLPG_KEEPS_GLOBAL,
	INVLPG_KEEPS_PARTIAL,
	TCE_KEEPS_PARTIAL, /* an INVLPG with EFER.TCE=1, those of its own address */
	CR3_KEEPS_ALL,
	CR3_KEEPS_PARTIAL,
	FAULT_KEEPS_THE_PAGE,
	FAULT_KEEPS_PARTIAL,
	FULL_FLUSH_KEEPS_GLOBAL,
	CACHES_NOT_PRESENT,
	CACHES_UNACCESSED,
	WRITES_THROUGH_CLEAN_LEAF,
	REUSES_LOWER_LEVELS,
	SETS_NO_D,
	SETS_D_ON_READ,
	SETS_A_TOO_MUCH,
	FIRST_OF_PCIDS, /* from here on: in modes with PCIDs only */
	USES_OTHER_PCIDS = FIRST_OF_PCIDS,
	USES_PARTIAL_OF_OTHER_PCIDS,
	INVPCID_KEEPS_ADDRESS,
	INVPCID_KEEPS_CONTEXT,
	INVPCID_KEEPS_ALL,
	INVPCID_KEEPS_CONTEXTS,
	INVPCID_KEEPS_PARTIAL,
	N_BREAKAGES,
};

/* Run a machine in @mode (with @pcids or without), which breaks one rule, until the model finds
 * something illegal or it has run long enough. Returns whether it was, and @why. */
bool machine_is_found_out(enum oracle_mode mode, bool pcids, enum breakage breakage, uint64_t seed,
	struct legal_why *why);

#endif
