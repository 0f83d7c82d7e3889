/* SPDX-License-Identifier: MIT */
/*
 * Steps a guest has decided on but not done yet. Fixed room, first in first out; knows nothing of
 * what steps mean.
 */
#ifndef LAB_QUEUE_H
#define LAB_QUEUE_H

#include "lab/step.h"

#include <stdbool.h>

#define QUEUE_STEPS 4096u

struct queue {
	struct step steps[QUEUE_STEPS];
	unsigned first;
	unsigned count;
};

/* The next free step, zeroed and of @kind, as the last of the queue. The queue must have room. */
struct step *queue_add(struct queue *queue, enum step_kind kind, unsigned vcpu);

/* Take the first; false if there is none. */
bool queue_take(struct queue *queue, struct step *step);

#endif
