/* SPDX-License-Identifier: MIT */
/*
 * Guests: what makes the steps of a run. A guest sees what a guest can see (its memory and what its
 * last access showed) and answers with its next step; it is deterministic from its seed. Must not
 * look at the library or at shadow tables.
 */
#ifndef LAB_GEN_H
#define LAB_GEN_H

#include "lab/config.h"
#include "lab/machine.h"
#include "lab/step.h"

struct gen;

/* A guest for the machine of @config. Never NULL; free with gen_free(). */
struct gen *gen_create(const struct lab_config *config);
void gen_free(struct gen *gen);

/* The next step, given what @machine shows after the one before. */
void gen_next(struct gen *gen, const struct machine *machine, struct step *step);

#endif
