/* SPDX-License-Identifier: MIT */
/*
 * A run: a machine, and steps from a guest, a trace or a scene, until the end or the first failure.
 */
#ifndef LAB_RUN_H
#define LAB_RUN_H

#include "lab/config.h"
#include "lab/machine.h"
#include "lab/step.h"

#include <stdio.h>

/* The steps of a run and what they ran on. Grows as needed; zero is an empty one. */
struct trace {
	struct lab_config config;
	struct step *steps;
	size_t n_steps;
	size_t room;
};

struct run_result {
	bool failed;
	char why[LAB_FAIL_BYTES];
	size_t failed_at; /* number of the step, from 0; n_steps for the final audit */
	struct step last_step;
	uint64_t undecided; /* see check_undecided() */
	struct machine_counts counts;
	struct umbra_stats stats;
};

void trace_add(struct trace *trace, const struct step *step);
void trace_free(struct trace *trace);

/* Text form: "# comment" lines, one line "run CONFIG", then a line a step. Reading stops at the
 * first error: false, and @why is a sentence with the line's number. */
bool trace_read(struct trace *trace, const char *path, char *why, size_t why_bytes);
bool trace_write(const struct trace *trace, const char *path, const char *comment, char *why,
	size_t why_bytes);

/* Run the guest of @config. With @record its steps are added to that (empty) trace as they are
 * done, the failing one last. */
void run_guest(const struct lab_config *config, struct trace *record, struct run_result *result);

/* Run the steps of @trace. With @log (or NULL) tell there of each step what came of it. */
void run_trace(const struct trace *trace, FILE *log, struct run_result *result);

/* Let @scene do what it likes with a machine of @config; @context is its own. */
void run_scene(const struct lab_config *config,
	void (*scene)(struct machine *machine, void *context), void *context,
	struct run_result *result);

#endif
