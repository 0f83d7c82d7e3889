/* SPDX-License-Identifier: MIT */
/* What an audit found: between audit.c, which looks, and verdict.c, which tells. */
#ifndef MMU_FINDING_H
#define MMU_FINDING_H

#include "vm.h"

struct finding {
	const char *what;
	unsigned invariant; /* 0: nothing */
	uint32_t page;      /* 0: @what is not about an entry */
	unsigned index;
};

/* Audits after events share the look at what free pages hold: each looks at one in so many. */
#define FREE_TURNS 16u

/* Look at everything; of free pages at those whose turn it is, or FREE_TURNS: at all. Lock: MMU
 * lock held. */
struct finding audit_all(struct umbra_vm *vm, unsigned free_turn);

#endif
