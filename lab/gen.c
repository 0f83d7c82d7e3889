/* SPDX-License-Identifier: MIT */
/* Runs a guest's plans one step at a time and gives each step its nonce. */
#include "lab/gen.h"

#include "lab/gen_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gen {
	struct rng rng;
	struct queue queue;
	struct random_guest *random;
	struct os_guest *os;
};

struct gen *gen_create(const struct lab_config *config)
{
	struct gen *gen = calloc(1, sizeof(*gen));

	if (!gen) {
		fprintf(stderr, "umbra-lab: out of memory (%zu bytes)\n", sizeof(*gen));
		exit(1);
	}
	gen->rng = rng_seed(config->seed);
	if (config->guest == LAB_GUEST_OS)
		gen->os = os_guest_create(config);
	else
		gen->random = random_guest_create(config);
	return gen;
}

void gen_free(struct gen *gen)
{
	free(gen->random);
	free(gen->os);
	free(gen);
}

void gen_next(struct gen *gen, const struct machine *machine, struct step *step)
{
	while (!queue_take(&gen->queue, step)) {
		if (gen->os)
			os_guest_plan(gen->os, machine, &gen->rng, &gen->queue);
		else
			random_guest_plan(gen->random, machine, &gen->rng, &gen->queue);
	}
	step->nonce = (uint32_t)rng_u64(&gen->rng);
}

uint64_t gen_word(const struct machine *machine, uint64_t gpa)
{
	const uint8_t *bytes = memory_at(&machine->memory, gpa & ~7ull);
	uint64_t word = UINT64_MAX;

	if (bytes)
		memcpy(&word, bytes, sizeof(word));
	return word;
}

uint64_t gen_entry(const struct machine *machine, enum paging mode, uint64_t gpa)
{
	uint64_t word = gen_word(machine, gpa);

	return paging_rows[mode].entry_bytes == 8 ? word : (uint32_t)(word >> (gpa & 4) * 8);
}
