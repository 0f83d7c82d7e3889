/* SPDX-License-Identifier: MIT */
/* Drives a machine through steps; the setjmp that failures unwind to is here. */
#include "lab/run.h"

#include "lab/gen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Guest memory is compared as a whole this often, and at the end. */
#define COMPARE_EVERY 256u

/* A run under way. On the heap, so that unwinding by longjmp loses nothing. */
struct run {
	struct machine machine;
	struct lab_fail fail;
	struct gen *gen; /* NULL: steps come from @trace */
	const struct trace *trace;
	void (*scene)(struct machine *machine, void *context); /* not NULL: or from that */
	void *context;
	struct trace *record;
	FILE *log;
	struct step step;
	size_t done;
};

static bool next_step(struct run *run)
{
	if (run->scene) {
		return false;
	} else if (run->gen) {
		if (run->done == run->machine.config.steps)
			return false;
		gen_next(run->gen, &run->machine, &run->step);
	} else {
		if (run->done == run->trace->n_steps)
			return false;
		run->step = run->trace->steps[run->done];
	}
	return true;
}

/* A line before the step, so that it is there when the step fails; what came of it after. */
static void log_before(const struct run *run)
{
	char text[STEP_TEXT_BYTES];

	step_print(&run->step, text);
	fprintf(run->log, "%zu: %s", run->done, text);
	fflush(run->log);
}

static void log_after(const struct run *run, const struct machine_counts *before)
{
	static const char *const seen[] = {"memory", "#PF", "absent", "#GP"};
	const struct machine_counts *after = &run->machine.counts;

	fprintf(run->log, " -> %s", seen[run->machine.last.seen]);
	if (run->machine.last.seen == MACHINE_SEEN_FAULT)
		fprintf(run->log, " 0x%x", run->machine.last.error_code);
	fprintf(run->log, " (%" PRIu64 " exits, %" PRIu64 " flushes, %" PRIu64 " emulated)\n",
		after->exits - before->exits, after->flushes - before->flushes,
		after->emulated - before->emulated);
}

static void do_steps(struct run *run)
{
	struct machine_counts before;

	if (run->scene)
		run->scene(&run->machine, run->context);
	while (next_step(run)) {
		if (run->record)
			trace_add(run->record, &run->step);
		before = run->machine.counts;
		if (run->log)
			log_before(run);
		machine_step(&run->machine, &run->step);
		if (run->log)
			log_after(run, &before);
		run->done++;
		if (run->done % COMPARE_EVERY == 0)
			check_memory(&run->machine.check);
	}
	check_memory(&run->machine.check);
	machine_audit(&run->machine);
}

static void drive(struct run *run, const struct lab_config *config, struct run_result *result)
{
	memset(result, 0, sizeof(*result));
	if (setjmp(run->fail.unwind) == 0) {
		machine_init(&run->machine, config, &run->fail);
		do_steps(run);
	} else {
		result->failed = true;
		memcpy(result->why, run->fail.text, sizeof(result->why));
	}
	result->failed_at = run->done;
	result->last_step = run->step;
	result->counts = run->machine.counts;
	if (run->machine.check.legal)
		result->undecided = check_undecided(&run->machine.check);
	if (run->machine.vm)
		result->stats = *umbra_stats(run->machine.vm);
	machine_free(&run->machine);
}

static struct run *new_run(void)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run) {
		fprintf(stderr, "umbra-lab: out of memory (%zu bytes)\n", sizeof(*run));
		exit(1);
	}
	return run;
}

void run_guest(const struct lab_config *config, struct trace *record, struct run_result *result)
{
	struct run *run = new_run();

	run->gen = gen_create(config);
	run->record = record;
	if (record)
		record->config = *config;
	drive(run, config, result);
	gen_free(run->gen);
	free(run);
}

void run_trace(const struct trace *trace, FILE *log, struct run_result *result)
{
	struct run *run = new_run();

	run->trace = trace;
	run->log = log;
	drive(run, &trace->config, result);
	free(run);
}

void run_scene(const struct lab_config *config,
	void (*scene)(struct machine *machine, void *context), void *context,
	struct run_result *result)
{
	struct run *run = new_run();

	run->scene = scene;
	run->context = context;
	drive(run, config, result);
	free(run);
}
