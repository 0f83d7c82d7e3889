/* SPDX-License-Identifier: MIT */
/*
 * What the guests of gen.h have in common: a stream of chance, planned steps, and a look at guest
 * memory. Internal to gen*.c.
 */
#ifndef LAB_GEN_GUEST_H
#define LAB_GEN_GUEST_H

#include "lab/config.h"
#include "lab/machine.h"
#include "lab/queue.h"
#include "lab/rng.h"
#include "lab/step.h"

struct random_guest;
struct os_guest;

/* A guest plans at least one step into @queue each time its queue has run empty. */
struct random_guest *random_guest_create(const struct lab_config *config);
void random_guest_plan(struct random_guest *guest, const struct machine *machine, struct rng *rng,
	struct queue *queue);

struct os_guest *os_guest_create(const struct lab_config *config);
void os_guest_plan(struct os_guest *guest, const struct machine *machine, struct rng *rng,
	struct queue *queue);

/* The 8-byte word at guest-physical @gpa (aligned); all ones where there is no memory. */
uint64_t gen_word(const struct machine *machine, uint64_t gpa);

/* The entry at @gpa of a table of @mode. */
uint64_t gen_entry(const struct machine *machine, enum paging mode, uint64_t gpa);

/* Make the plain store @step, now and then, another instruction, wider, or one in two pages. */
void gen_vary_store(struct rng *rng, struct step *step);

#endif
