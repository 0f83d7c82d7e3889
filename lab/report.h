/* SPDX-License-Identifier: MIT */
/*
 * What umbra-lab tells its user: totals at the end, and for a failure what, where and how to see it
 * again, also when the process itself dies of it.
 */
#ifndef LAB_REPORT_H
#define LAB_REPORT_H

#include "lab/config.h"
#include "lab/run.h"

#include <time.h>

struct report {
	struct timespec began;
	uint64_t runs;
	uint64_t failures;
	uint64_t undecided;
	struct machine_counts counts;
	struct umbra_stats stats;
};

/* Starts the clock, and sees to it that a crash prints the replay line of the run under way. */
void report_begin(struct report *report);

/* @config (or the trace at @path, if not NULL) is the run under way. */
void report_running(const struct lab_config *config, const char *path);

void report_add(struct report *report, const struct run_result *result);

/* Say what failed, on standard error, with the replay line last. */
void report_failure(
	const struct lab_config *config, const char *path, const struct run_result *result);

/* Print the totals. */
void report_end(const struct report *report);

#endif
