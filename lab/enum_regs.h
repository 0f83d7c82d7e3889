/* SPDX-License-Identifier: MIT */
/*
 * Register writes, all of them: from each mode to every state of the paging bits of CR0, CR4 and
 * EFER, legal or not, with every CR3, while the PDPTEs in memory change or do not. Checked: taken
 * or refused; and which tables and PDPTEs count afterwards, by an access.
 */
#ifndef LAB_ENUM_REGS_H
#define LAB_ENUM_REGS_H

#include "lab/enum_check.h"

uint64_t enum_regs_size(void);

/* Combination @index in @world: @why is a sentence about what is wrong with it. */
enum enum_verdict enum_regs_one(
	struct enum_world *world, uint64_t index, char *why, size_t why_bytes);

#endif
