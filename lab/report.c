/* SPDX-License-Identifier: MIT */
/* Messages of umbra-lab. */
#include "lab/report.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* For a dying process: ready to be written by a signal handler. */
static char death_note[LAB_CONFIG_BYTES + 64];

/* Of the sanitizers' run time, if the program is built with them. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static void write_death_note(void)
{
	ssize_t written = write(STDERR_FILENO, death_note, strlen(death_note));

	(void)written;
}

static void die(int signal_number)
{
	write_death_note();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

void report_begin(struct report *report)
{
	clock_gettime(CLOCK_MONOTONIC, &report->began);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(write_death_note);
		return;
	}
	signal(SIGSEGV, die);
	signal(SIGBUS, die);
	signal(SIGABRT, die);
}

static void print_replay(
	const struct lab_config *config, const char *path, char *text, size_t text_bytes)
{
	char words[LAB_CONFIG_BYTES];

	lab_config_print(config, words);
	snprintf(text, text_bytes, "replay: umbra-lab --replay \"%.500s\"\n", path ? path : words);
}

void report_running(const struct lab_config *config, const char *path)
{
	print_replay(config, path, death_note, sizeof(death_note));
}

/* Both structures are nothing but counters. */
static void add_all(void *totals, const void *counts, size_t n_bytes)
{
	uint64_t *sum = totals;
	const uint64_t *more = counts;

	for (size_t i = 0; i < n_bytes / sizeof(*sum); i++)
		sum[i] += more[i];
}

_Static_assert(sizeof(struct machine_counts) % sizeof(uint64_t) == 0, "counters only");
_Static_assert(sizeof(struct umbra_stats) % sizeof(uint64_t) == 0, "counters only");

void report_add(struct report *report, const struct run_result *result)
{
	report->runs++;
	report->failures += result->failed;
	report->undecided += result->undecided;
	add_all(&report->counts, &result->counts, sizeof(report->counts));
	add_all(&report->stats, &result->stats, sizeof(report->stats));
}

void report_failure(
	const struct lab_config *config, const char *path, const struct run_result *result)
{
	struct lab_config shorter = *config;
	char text[LAB_CONFIG_BYTES + 64];
	char step[STEP_TEXT_BYTES];

	step_print(&result->last_step, step);
	if (result->failed_at + 1 < shorter.steps)
		shorter.steps = result->failed_at + 1;
	print_replay(&shorter, path, text, sizeof(text));
	fprintf(stderr, "umbra-lab: FAILED at step %zu: %s\n  step: %s\n%s", result->failed_at,
		result->why, step, text);
}

void report_end(const struct report *report)
{
	const struct machine_counts *counts = &report->counts;
	struct timespec now;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &now);
	seconds = (double)(now.tv_sec - report->began.tv_sec) +
		  (double)(now.tv_nsec - report->began.tv_nsec) / 1e9;
	printf("umbra-lab: %" PRIu64 " runs, %" PRIu64 " steps, %" PRIu64
	       " checked accesses in %.1f s\n",
		report->runs, counts->steps, counts->accesses, seconds);
	printf("  accesses: %" PRIu64 " memory, %" PRIu64 " emulated, %" PRIu64
	       " absent; faults: %" PRIu64 " not present, %" PRIu64 " denied, %" PRIu64
	       " reserved, %" PRIu64 " by keys\n",
		counts->translated, counts->emulated, counts->absent, counts->not_present,
		counts->denied, counts->reserved, counts->keys);
	printf("  modes: %" PRIu64 " unpaged, %" PRIu64 " 2-level, %" PRIu64 " PAE, %" PRIu64
	       " 4-level, %" PRIu64 " 5-level; %" PRIu64 " registers refused\n",
		counts->in_mode[PAGING_UNPAGED], counts->in_mode[PAGING_2LEVEL],
		counts->in_mode[PAGING_PAE], counts->in_mode[PAGING_4LEVEL],
		counts->in_mode[PAGING_5LEVEL], counts->refused);
	printf("  host: %" PRIu64 " stores exchanged, %" PRIu64 " told to who tracks, %" PRIu64
	       " dropped\n",
		counts->exchanged, counts->told, counts->dropped);
	printf("  machine: %" PRIu64 " page-fault exits, %" PRIu64 " flushes, %" PRIu64
	       " TLB misses, %" PRIu64 " given up, %" PRIu64 " audits, %" PRIu64 " undecided\n",
		counts->exits, counts->flushes, counts->misses, counts->unshadowed, counts->audits,
		report->undecided);
	printf("  library:");
	for (const struct umbra_stat_name *name = umbra_stat_names; name->name; name++) {
		uint64_t value;

		memcpy(&value, (const char *)&report->stats + name->offset_bytes, sizeof(value));
		if (value)
			printf(" %s=%" PRIu64, name->name, value);
	}
	printf("\numbra-lab: %s\n", report->failures ? "FAILED" : "ok");
}
