/* SPDX-License-Identifier: MIT */
/*
 * `umbra bench`: the same guest and the same benchmark in each row. Must not know how a row is
 * measured.
 */
#include "tools/bench.h"
#include "tools/bytes.h"
#include "tools/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A row that takes longer hangs: the whole set is made for about a minute. */
#define ROW_TIMEOUT_SECONDS 900u

struct bench {
	struct machine_config config;
	const char *ops;
	const char *rows;
	const char *json_path;
	const char *against_path;
	unsigned n_repeat;

	char *guest_ops; /* without BENCH_BOOT_OP; NULL: all */
	bool only_boot;
	bool with_boot;
	FILE *json;
};

static const struct option_row bench_options[] = {
	{.name = "ops",
		.kind = OPTION_TEXT,
		.offset = offsetof(struct bench, ops),
		.argument = "A,B,...",
		.help = "operations (default all): boot, and those of mmubench in the guest\n"
			"(umbra run --paging none -- mmubench --list)"},
	{.name = "rows",
		.kind = OPTION_TEXT,
		.offset = offsetof(struct bench, rows),
		.argument = "A,B,...",
		.help = "rows (default none,npt,shadow); shadow:K=V+K=V, as often as you like, is\n"
			"shadow with these keys added to --policy"},
	{.name = "repeat",
		.kind = OPTION_NUMBER,
		.offset = offsetof(struct bench, n_repeat),
		.argument = "N",
		.minimum = 1,
		.maximum = 1000,
		.help = "boot every row N times, show medians (default 1)"},
	{.name = "json",
		.kind = OPTION_TEXT,
		.offset = offsetof(struct bench, json_path),
		.argument = "FILE",
		.help = "write all results here too"},
	{.name = "against",
		.kind = OPTION_TEXT,
		.offset = offsetof(struct bench, against_path),
		.argument = "FILE",
		.help = "compare with another run, written by --json: a column more says how many\n"
			"times the ratio there the ratio here is"},
	{.name = NULL},
};

static void print_help(const struct option_table *tables)
{
	puts("umbra bench [options]\n"
	     "\n"
	     "Measure what memory virtualization costs: boot the same guest without a\n"
	     "hypervisor (none), under Umbra with nested paging (npt) and with shadow paging\n"
	     "(shadow), run mmubench in each, and print a line an operation: its cost, the\n"
	     "ratio to none, and exits per operation. With --icount the cost is in\n"
	     "instructions and the same in every run; else in nanoseconds. The table goes to\n"
	     "standard output, progress to standard error. SIGINT ends the measurement.\n"
	     "A boot may take 900 seconds, unless --timeout says otherwise.\n"
	     "\n"
	     "Options:");
	options_help(tables);
	config_policy_help();
	puts("\n"
	     "Exit status: 0, or that of the first row that failed (see umbra run --help; 1\n"
	     "where there is none); the other rows are measured all the same.");
}

/* BENCH_BOOT_OP is ours, the rest the guest's. */
static void choose_ops(struct bench *bench)
{
	struct bytes others = {0};
	const char *at = bench->ops;

	bench->with_boot = !at;
	while (at && *at) {
		size_t n_bytes = strcspn(at, ",");

		if (n_bytes == strlen(BENCH_BOOT_OP) && memcmp(at, BENCH_BOOT_OP, n_bytes) == 0) {
			bench->with_boot = true;
		} else if (n_bytes > 0) {
			bytes_add_text(&others, bytes_count(&others) ? "," : "");
			bytes_add(&others, at, n_bytes);
		}
		at += n_bytes;
		at += *at == ',';
	}
	if (bytes_count(&others) > 0) {
		bytes_add(&others, "", 1);
		bench->guest_ops = copy_text(bytes_front(&others));
	}
	bench->only_boot = bench->ops && !bench->guest_ops;
	bytes_free(&others);
}

/* Boots the row as often as asked for; ends at the first boot that fails. */
static int measure_row(struct bench *bench, struct bench_results *results, size_t number)
{
	const struct bench_row *row = &results->rows.row[number];
	struct machine_config config = bench->config;
	char *log = config.log ? make_text("%s.%s", config.log, row->name) : NULL;
	int code = EXIT_OK;

	config.paging = row->paging;
	config.policy = row->policy;
	config.marks = row->paging != PAGING_NONE;
	config.log = log;
	for (unsigned i = 0; i < bench->n_repeat && code == EXIT_OK; i++) {
		char *label = bench->n_repeat == 1
				      ? copy_text(row->name)
				      : make_text("%s %u/%u", row->name, i + 1, bench->n_repeat);
		struct bench_boot boot = {&config, number, bench->guest_ops, bench->only_boot,
			bench->with_boot, label};

		code = bench_boot(results, &boot);
		if (code != EXIT_OK)
			say_error("row %s failed (code %d)", label, code);
		free(label);
	}
	free(log);
	return code;
}

static int measure_rows(struct bench *bench, struct bench_results *results)
{
	int first_failure = EXIT_OK;

	for (size_t i = 0; i < results->rows.n && first_failure < EXIT_BY_SIGNAL; i++) {
		int code = measure_row(bench, results, i);

		if (first_failure == EXIT_OK || code >= EXIT_BY_SIGNAL)
			first_failure = code;
	}
	bench_reduce(results);
	bench_print(stdout, results);
	if (bench->json) {
		int code = bench_write(bench->json, results, &bench->config);

		if (first_failure == EXIT_OK)
			first_failure = code;
	}
	return first_failure;
}

static int check_and_measure(struct bench *bench)
{
	struct bench_results results = {0};
	int code = config_check(&bench->config);

	if (code == EXIT_OK)
		code = bench_rows_parse(&results.rows, bench->rows, bench->config.policy);
	choose_ops(bench);
	if (code == EXIT_OK && bench->json_path) {
		bench->json = fopen(bench->json_path, "we");
		if (!bench->json) {
			say_error("cannot write %s (%s); give another file with --json",
				bench->json_path, strerror(errno));
			code = EXIT_CANNOT_WRITE;
		}
	}
	if (code == EXIT_OK && bench->against_path)
		code = bench_load_against(&results, bench->against_path);
	if (code == EXIT_OK)
		code = measure_rows(bench, &results);
	if (bench->json)
		fclose(bench->json);
	bench_free(&results);
	free(bench->guest_ops);
	return code;
}

int bench_main(int argc, char **argv)
{
	struct bench bench = {.rows = "none,npt,shadow", .n_repeat = 1};
	const struct option_table tables[] = {
		{bench_options, &bench}, {machine_options, &bench.config}, {NULL, NULL}};
	struct option_rest rest;
	int code;

	config_defaults(&bench.config);
	bench.config.timeout_s = ROW_TIMEOUT_SECONDS;
	code = options_parse(tables, "bench", argc, argv, &rest);
	if (code == EXIT_OK && rest.help) {
		print_help(tables);
	} else if (code == EXIT_OK && rest.has_command) {
		say_error("umbra bench takes no command after --; the benchmark is mmubench (see "
			  "--ops)");
		code = EXIT_USAGE;
	} else if (code == EXIT_OK) {
		code = check_and_measure(&bench);
	}
	words_free(&bench.config.initrds);
	words_free(&bench.config.qemu_arguments);
	return code;
}
