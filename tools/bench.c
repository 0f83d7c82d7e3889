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

	struct bench_ops chosen;
	FILE *json;
};

static const struct option_row bench_options[] = {
	{.name = "ops",
		.kind = OPTION_TEXT,
		.offset = offsetof(struct bench, ops),
		.argument = "A,B,...",
		.help = "operations (default all): boot; those of mmubench in the guest\n"
			"(umbra run --paging none -- mmubench --list); and clear_bit_pte,\n"
			"highpte_scan, busy_table, idle_table, flapping_table, for which a guest\n"
			"without a kernel is booted: in PAE and 4-level paging, or in one of them\n"
			"(highpte_scan_pae, highpte_scan_4level)"},
	{.name = "rows",
		.kind = OPTION_TEXT,
		.offset = offsetof(struct bench, rows),
		.argument = "A,B,...",
		.help = "rows (default none,npt,shadow); shadow:K=V+K=V, as often as you like, is\n"
			"shadow with these keys added to --policy. \"to best\" is then the cost "
			"in\n"
			"the first shadow row by that in the best of the others. For example\n"
			"none,shadow,shadow:write=unsync,shadow:write=emulate,shadow:write=zap"},
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

/* One boot, of Linux or of the guest without a kernel. */
static int measure_boot(
	struct bench *bench, struct bench_results *results, size_t number, unsigned n_boot)
{
	const struct bench_row *row = &results->rows.row[number];
	const char *what = n_boot % 2 ? "-bare" : "";
	char *label = bench->n_repeat == 1 ? make_text("%s%s", row->name, what)
					   : make_text("%s%s %u/%u", row->name, what,
						     n_boot / 2 + 1, bench->n_repeat);
	char *log =
		bench->config.log ? make_text("%s.%s%s", bench->config.log, row->name, what) : NULL;
	struct machine_config config = bench->config;
	struct bench_boot boot = {&config, number, &bench->chosen, n_boot % 2, label};
	int code;

	config.paging = row->paging;
	config.policy = row->policy;
	config.marks = row->paging != PAGING_NONE;
	config.log = log;
	code = bench_boot(results, &boot);
	if (code != EXIT_OK)
		say_error("row %s failed (code %d)", label, code);
	free(log);
	free(label);
	return code;
}

/* Boots the row as often as asked for; ends at the first boot that fails. */
static int measure_row(struct bench *bench, struct bench_results *results, size_t number)
{
	const struct bench_ops *ops = &bench->chosen;
	bool guests[2] = {ops->boot || ops->all || ops->mmubench, ops->bare != NULL};
	int code = EXIT_OK;

	for (unsigned i = 0; i < 2 * bench->n_repeat && code == EXIT_OK; i++)
		if (guests[i % 2])
			code = measure_boot(bench, results, number, i);
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
	bench_ops_parse(&bench->chosen, bench->ops);
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
	bench_ops_free(&bench->chosen);
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
