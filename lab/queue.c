/* SPDX-License-Identifier: MIT */
/* A ring of steps. */
#include "lab/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step *queue_add(struct queue *queue, enum step_kind kind, unsigned vcpu)
{
	struct step *step = &queue->steps[(queue->first + queue->count) % QUEUE_STEPS];

	if (queue->count == QUEUE_STEPS) {
		fprintf(stderr, "umbra-lab: a guest plans more than %u steps at once\n",
			QUEUE_STEPS);
		abort();
	}
	queue->count++;
	memset(step, 0, sizeof(*step));
	step->kind = kind;
	step->vcpu = vcpu;
	return step;
}

bool queue_take(struct queue *queue, struct step *step)
{
	if (queue->count == 0)
		return false;
	*step = queue->steps[queue->first];
	queue->first = (queue->first + 1) % QUEUE_STEPS;
	queue->count--;
	return true;
}
