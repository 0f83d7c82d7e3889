/* SPDX-License-Identifier: MIT */
/* The umbra-lab command: options, the kinds of work, and what is printed. */
#include "lab/config.h"
#include "lab/flooding.h"
#include "lab/misses.h"
#include "lab/report.h"
#include "lab/run.h"
#include "lab/shrink.h"
#include "lab/suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 64

struct options {
	struct lab_config config;
	uint64_t guests;    /* runs, with one seed after another */
	const char *replay; /* NULL, or the words of a run, or a trace's path */
	const char *out;    /* where a shrunk trace goes */
	unsigned part;      /* of the suite, from 1; 0: no suite */
	unsigned n_parts;
	bool shrink;
	bool record;
	bool self_test;
	bool tlb_misses;
	bool flooding;
	bool steps_given;
	bool verbose;
};

static void help(void)
{
	puts("usage: umbra-lab [OPTION]...\n"
	     "Run guests on libumbra in a hosted machine and check all that they see.\n\n"
	     "  --guests N         run N guests, with seeds from --seed on (default 1)\n"
	     "  --replay WORDS     run once as a failure's replay line says, e.g. \"seed=7 "
	     "steps=90\"\n"
	     "  --replay FILE      run the steps of a trace; any number of further FILEs may "
	     "follow\n"
	     "  --shrink           make the failing run, or the replayed trace, as short as "
	     "possible\n"
	     "  --record           write the steps of the run as a trace\n"
	     "  --out FILE         where --shrink and --record put it (default failed.trace)\n"
	     "  --suite I/N        part I of N of the whole test suite, --guests times\n"
	     "  --self-test        damage the machine in every known way; each must be noticed\n"
	     "  --tlb-misses       TLB misses with and without tags, with and without flushes that "
	     "nothing\n"
	     "                     needs; there must be less\n"
	     "  --flooding         tables that are written: which are given up, and how often at "
	     "worst\n"
	     "  --verbose          tell of each step of a replayed trace what came of it\n"
	     "  --help             this text\n\n"
	     "A run is described by these words; each is also an option (--steps 90):\n");
	for (unsigned i = 0; lab_config_help(i); i++)
		printf("  %s\n", lab_config_help(i));
	puts("\nExit status: 0 nothing wrong found, 1 a failure was found, 64 wrong usage.");
}

static void usage_error(const char *text)
{
	fprintf(stderr, "umbra-lab: %s\n", text);
	exit(EXIT_USAGE);
}

static uint64_t number(const char *option, const char *text)
{
	char why[256];
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (end == text || *end || text[0] == '-' || value == 0) {
		snprintf(why, sizeof(why), "%s needs a number of at least 1, not \"%.60s\"", option,
			text);
		usage_error(why);
	}
	return value;
}

static void parse_suite(struct options *options, const char *text)
{
	if (sscanf(text, "%u/%u", &options->part, &options->n_parts) != 2 || options->part < 1 ||
		options->part > options->n_parts)
		usage_error("--suite needs I/N with I from 1 to N, e.g. 1/2");
}

/* An option that is a word of the configuration. */
static void parse_word(struct options *options, const char *option, const char *text)
{
	char word[256];
	char why[256];

	if (strlen(option) > 64 || strlen(text) > 180)
		usage_error("an option is too long");
	snprintf(word, sizeof(word), "%.64s=%.180s", option + 2, text);
	for (char *at = word; *at && *at != '='; at++)
		if (*at == '-')
			*at = '_';
	if (!lab_config_set(&options->config, word, why, sizeof(why)))
		usage_error(why);
	if (strcmp(option, "--steps") == 0)
		options->steps_given = true;
}

/* Options without a value; false if @option is none of them. */
static bool parse_flag(struct options *options, const char *option)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{"--shrink", &options->shrink},
		{"--record", &options->record},
		{"--verbose", &options->verbose},
		{"--self-test", &options->self_test},
		{"--tlb-misses", &options->tlb_misses},
		{"--flooding", &options->flooding},
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(option, flags[i].name) == 0) {
			*flags[i].flag = true;
			return true;
		}
	}
	return false;
}

/* Returns the position of the first argument that is no option. */
static int parse(struct options *options, int argc, char **argv)
{
	int i = 1;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		const char *option = argv[i];

		if (strcmp(option, "--help") == 0) {
			help();
			exit(0);
		}
		if (parse_flag(options, option))
			continue;
		if (i + 1 == argc) {
			fprintf(stderr,
				"umbra-lab: %s is unknown or needs a value; --help lists the "
				"options\n",
				option);
			exit(EXIT_USAGE);
		}
		i++;
		if (strcmp(option, "--guests") == 0)
			options->guests = number(option, argv[i]);
		else if (strcmp(option, "--replay") == 0)
			options->replay = argv[i];
		else if (strcmp(option, "--out") == 0)
			options->out = argv[i];
		else if (strcmp(option, "--suite") == 0)
			parse_suite(options, argv[i]);
		else
			parse_word(options, option, argv[i]);
	}
	if (i < argc && !options->replay)
		usage_error("a file without --replay");
	return i;
}

/* Shrink @trace, which failed, and put it where @options say. */
static int finish_shrink(const struct options *options, struct trace *trace)
{
	struct run_result result;
	char why[256];

	if (!shrink_fails(trace, why)) {
		fprintf(stderr, "umbra-lab: the run does not fail; nothing to shrink\n");
		return 0;
	}
	shrink_trace(trace);
	if (!trace_write(trace, options->out, "found by umbra-lab", why, sizeof(why)))
		usage_error(why);
	printf("%zu steps are left, in %s\n", trace->n_steps, options->out);
	fflush(stdout);
	run_trace(trace, NULL, &result);
	report_failure(&trace->config, options->out, &result);
	return 1;
}

static int run_one(
	const struct options *options, const struct lab_config *config, struct report *report)
{
	struct trace record = {.n_steps = 0};
	struct run_result result;
	char why[256];
	int status = 0;

	report_running(config, NULL);
	run_guest(config, options->shrink || options->record ? &record : NULL, &result);
	report_add(report, &result);
	if (result.failed) {
		report_failure(config, NULL, &result);
		status = options->shrink ? finish_shrink(options, &record) : 1;
	}
	if (options->record &&
		!trace_write(&record, options->out, "a run of umbra-lab", why, sizeof(why)))
		usage_error(why);
	trace_free(&record);
	return status;
}

static int replay_file(const struct options *options, const char *path, struct report *report)
{
	struct trace trace;
	struct run_result result;
	char why[512];
	int status = 0;

	if (!trace_read(&trace, path, why, sizeof(why)))
		usage_error(why);
	report_running(&trace.config, path);
	if (options->shrink) {
		status = finish_shrink(options, &trace);
	} else {
		run_trace(&trace, options->verbose ? stderr : NULL, &result);
		report_add(report, &result);
		if (result.failed)
			report_failure(&trace.config, path, &result);
		status = result.failed;
	}
	trace_free(&trace);
	return status;
}

static int run_guests(const struct options *options, struct report *report)
{
	int status = 0;

	for (uint64_t i = 0; i < options->guests && status == 0; i++) {
		struct lab_config config = options->config;

		config.seed += i;
		status = run_one(options, &config, report);
	}
	return status;
}

static int run_suite(const struct options *options, struct report *report)
{
	int status = 0;

	for (uint64_t i = 0; i < options->guests && status == 0; i++) {
		char text[LAB_CONFIG_BYTES];

		for (unsigned row = options->part - 1; suite_row(row, i, text);
			row += options->n_parts) {
			struct lab_config config = options->config;
			char why[256];

			if (!lab_config_parse(&config, text, why, sizeof(why)))
				usage_error(why);
			config.seed = options->config.seed + i * 1000 + row;
			if (options->steps_given)
				config.steps = options->config.steps;
			status |= run_one(options, &config, report);
		}
	}
	return status;
}

/* Run guests of both kinds, of one mode and of all, damaged in the way of @kind, until one is found
 * out. */
static void run_damaged(
	const struct options *options, enum lab_sabotage kind, struct run_result *result)
{
	for (unsigned i = 0; i < 24; i++) {
		struct lab_config config = options->config;

		config.sabotage = kind;
		config.seed += i;
		config.guest = i % 2 ? LAB_GUEST_OS : LAB_GUEST_RANDOM;
		if (i % 4 >= 2)
			config.mode = LAB_MODE_MIXED;
		config.tags = i % 3 ? 3 : 1;
		config.flush_tag = i % 6 < 5;
		config.vcpus = i % 5 ? 1 : 2;
		report_running(&config, NULL);
		run_guest(&config, NULL, result);
		if (result->failed)
			break;
	}
}

/* Undamaged runs must pass, and every kind of damage must be noticed. */
static int self_test(const struct options *options)
{
	int status = 0;

	for (unsigned i = LAB_SABOTAGE_NONE; i < LAB_N_SABOTAGES; i++) {
		enum lab_sabotage kind = (enum lab_sabotage)i;
		struct run_result result = {.failed = false};
		bool good;

		run_damaged(options, kind, &result);
		good = result.failed == (kind != LAB_SABOTAGE_NONE);
		printf("self-test: %-16s %s: %s\n", lab_sabotage_name(kind), good ? "ok" : "WRONG",
			result.failed ? result.why : "nothing found");
		if (!good)
			status = 1;
	}
	return status;
}

int main(int argc, char **argv)
{
	struct options options = {.config = lab_config_default, .guests = 1, .out = "failed.trace"};
	int first_file = parse(&options, argc, argv);
	struct report report = {0};
	char why[256];
	int status = 0;

	report_begin(&report);
	if (options.self_test) {
		return self_test(&options);
	} else if (options.tlb_misses) {
		status = misses_print(&report);
	} else if (options.flooding) {
		status =
			flooding_print(&report, options.guests > 1 ? (unsigned)options.guests : 15);
	} else if (options.replay && strchr(options.replay, '=')) {
		if (!lab_config_parse(&options.config, options.replay, why, sizeof(why)))
			usage_error(why);
		status = run_one(&options, &options.config, &report);
	} else if (options.replay) {
		status = replay_file(&options, options.replay, &report);
		for (int i = first_file; i < argc; i++)
			status |= replay_file(&options, argv[i], &report);
	} else if (options.part) {
		status = run_suite(&options, &report);
	} else {
		status = run_guests(&options, &report);
	}
	report_end(&report);
	return status;
}
