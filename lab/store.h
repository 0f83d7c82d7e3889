/* SPDX-License-Identifier: MIT */
/*
 * A store of the guest, from the instruction to memory: of 1 to 64 bytes, in one page or two, also
 * one that reads first. The hardware makes it, or the library asks the host to.
 */
#ifndef LAB_STORE_H
#define LAB_STORE_H

#include "lab/machine.h"

/* Do the store @step. */
void store_step(struct machine *machine, const struct step *step);

#endif
