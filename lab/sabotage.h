/* SPDX-License-Identifier: MIT */
/*
 * Deliberate damage, so that a test can show that the lab notices it. Owns the kinds of sabotage
 * that change state between steps; those that leave something out are where it is left out.
 */
#ifndef LAB_SABOTAGE_H
#define LAB_SABOTAGE_H

#include "lab/machine.h"

/* What is wrong with @hw from the beginning. */
void sabotage_cpu(const struct machine *machine, struct hw *hw);

/* By chance do what the run's configuration asks for; nothing without sabotage. */
void sabotage_step(struct machine *machine);

/* The same after the host's store of @n_bytes at @gpa. */
void sabotage_stored(struct machine *machine, uint64_t gpa, uint64_t n_bytes);

#endif
