/* SPDX-License-Identifier: MIT */
/*
 * One memory access of the guest, from the instruction to what it saw: TLB, shadow walk, #PF to the
 * library, its outcome, again. Every end is checked against the model, and so is where it landed.
 */
#ifndef LAB_ACCESS_H
#define LAB_ACCESS_H

#include "lab/machine.h"

/* Do the load, store or fetch @step. */
void access_step(struct machine *machine, const struct step *step);

#endif
