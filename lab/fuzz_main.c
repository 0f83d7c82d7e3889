/* SPDX-License-Identifier: MIT */
/*
 * The umbra-fuzz-replay command: runs files of the fuzzer's corpus without the fuzzer, and turns
 * one into a trace that umbra-lab replays and shrinks.
 */
#include "lab/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXIT_USAGE 64
#define FILE_MAX   (FUZZ_HEADER_BYTES + FUZZ_STEPS_MAX * FUZZ_STEP_BYTES)

struct replay {
	const char *out;      /* --trace */
	const char *sabotage; /* --sabotage */
	unsigned n_files;
	unsigned n_failed;
	uint64_t n_steps;
	uint64_t n_accesses;
};

static void help(void)
{
	puts("usage: umbra-fuzz-replay [OPTION]... FILE|DIRECTORY...\n"
	     "Run the fuzzer's inputs on the lab's machine with all of its checks.\n\n"
	     "  --trace OUT       do not run FILE, write it as a trace for umbra-lab --replay\n"
	     "  --sabotage NAME   damage the machine as umbra-lab does, until some input notices\n"
	     "  --help            this text\n\n"
	     "Exit status: 0 nothing wrong found (with --sabotage: noticed), 1 else, 64 wrong "
	     "usage.");
}

/* Returns the number of bytes, or -1 after a message. */
static long read_file(const char *path, uint8_t bytes[FILE_MAX])
{
	FILE *file = fopen(path, "rb");
	size_t n_bytes;

	if (!file) {
		fprintf(stderr, "umbra-fuzz-replay: cannot read %s: %s\n", path, strerror(errno));
		return -1;
	}
	n_bytes = fread(bytes, 1, FILE_MAX, file);
	fclose(file);
	return (long)n_bytes;
}

static void replay_file(struct replay *replay, const char *path)
{
	struct trace trace = {0};
	struct run_result result;
	uint8_t bytes[FILE_MAX];
	char word[64];
	char why[256];
	long n_bytes = read_file(path, bytes);

	if (n_bytes < 0)
		exit(1);
	fuzz_decode(bytes, (size_t)n_bytes, &trace);
	if (replay->sabotage) {
		snprintf(word, sizeof(word), "sabotage=%s", replay->sabotage);
		if (!lab_config_set(&trace.config, word, why, sizeof(why))) {
			fprintf(stderr, "umbra-fuzz-replay: %s\n", why);
			exit(EXIT_USAGE);
		}
	}
	if (replay->out) {
		if (!trace_write(&trace, replay->out, path, why, sizeof(why))) {
			fprintf(stderr, "umbra-fuzz-replay: %s\n", why);
			exit(1);
		}
		trace_free(&trace);
		return;
	}
	run_trace(&trace, NULL, &result);
	replay->n_files++;
	replay->n_steps += trace.n_steps;
	replay->n_accesses += result.counts.accesses;
	trace_free(&trace);
	if (!result.failed)
		return;
	replay->n_failed++;
	if (!replay->sabotage)
		printf("%s: step %zu: %s\n", path, result.failed_at, result.why);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A directory's files by name, so that every run is the same. */
static void replay_path(struct replay *replay, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, visible, alphasort);
	char file[4096];

	if (n < 0) {
		replay_file(replay, path);
		return;
	}
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		if (!replay->sabotage || !replay->n_failed)
			replay_file(replay, file);
		free(entries[i]);
	}
	free(entries);
}

static int finish(const struct replay *replay, double seconds)
{
	if (replay->out)
		return 0;
	printf("fuzz corpus: %u inputs, %" PRIu64 " steps, %" PRIu64 " accesses checked, %.1f s: ",
		replay->n_files, replay->n_steps, replay->n_accesses, seconds);
	if (replay->sabotage) {
		printf("sabotage %s %s\n", replay->sabotage,
			replay->n_failed ? "noticed" : "not noticed");
		return replay->n_failed ? 0 : 1;
	}
	printf("%u failed\n", replay->n_failed);
	return replay->n_files && !replay->n_failed ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct replay replay = {0};
	struct timespec began, ended;
	int i = 1;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			help();
			return 0;
		} else if (i + 1 < argc && strcmp(argv[i], "--trace") == 0) {
			replay.out = argv[++i];
		} else if (i + 1 < argc && strcmp(argv[i], "--sabotage") == 0) {
			replay.sabotage = argv[++i];
		} else {
			fprintf(stderr,
				"umbra-fuzz-replay: %s is unknown or needs a value; --help lists "
				"the options\n",
				argv[i]);
			return EXIT_USAGE;
		}
	}
	if (i == argc) {
		fprintf(stderr, "umbra-fuzz-replay: no file was given; see --help\n");
		return EXIT_USAGE;
	}
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (; i < argc; i++)
		replay_path(&replay, argv[i]);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	return finish(&replay, (double)(ended.tv_sec - began.tv_sec) +
				       (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
}
