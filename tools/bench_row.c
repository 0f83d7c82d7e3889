/* SPDX-License-Identifier: MIT */
/*
 * One boot of the guest with mmubench in it, watched: its lines from the command, its marks from
 * the monitor; or of the guest without a kernel, whose lines come from the console. Must not know
 * of other rows.
 */
#include "tools/bench.h"
#include "tools/frame.h"
#include "tools/outcome.h"
#include "tools/paths.h"

#include <stdlib.h>
#include <string.h>

/*
 * Exits between the two marks of each operation, added up over its timed parts. The next operation
 * may have begun, on a busy host, when the line with a result is read.
 */
struct marks {
	json_t *before; /* exits at the first mark of a pair that is open; NULL: none is */
	json_int_t before_id;
	json_t *parts; /* [[id of the first mark, {kind: count}], ...], not printed yet, by time */
};

struct row {
	const struct bench_boot *boot;
	struct bench_results *results;
	struct machine machine;
	struct outcome outcome;
	struct frame frame;
	struct lines lines;
	struct marks marks;
	bool reached_command;
	bool any;                  /* there was a result */
	char op[BENCH_NAME_BYTES]; /* the last one with a value; "" none */
};

static void progress(const struct row *row, const char *what)
{
	fprintf(stderr, "  %s: %s\n", row->boot->label, what);
}

/* ---- marks ---- */

static void add_counts(json_t *to, const json_t *before, const json_t *after)
{
	const char *kind;
	json_t *count;

	json_object_foreach((json_t *)after, kind, count)
	{
		json_int_t grown = json_integer_value(count) -
				   json_integer_value(json_object_get(before, kind));

		json_object_set_new(to, kind,
			json_integer(grown + json_integer_value(json_object_get(to, kind))));
	}
}

/* Where the exits of the operation whose marks begin with @id are added up. */
static json_t *exits_of(struct marks *marks, json_int_t id)
{
	size_t n = json_array_size(marks->parts);
	json_t *last = json_array_get(marks->parts, n - 1);

	if (!marks->parts)
		marks->parts = json_array();
	if (!last || json_integer_value(json_array_get(last, 0)) != id) {
		last = json_pack("[I,{}]", id);
		json_array_append_new(marks->parts, last);
	}
	return json_array_get(last, 1);
}

/* Ids 2k and 2k+1 enclose a timed part of operation k. */
static void on_mark(struct marks *marks, const struct monitor_event *event)
{
	if (event->id % 2 == 0) {
		json_decref(marks->before);
		marks->before = json_incref((json_t *)event->exits);
		marks->before_id = event->id;
	} else if (marks->before && marks->before_id + 1 == event->id) {
		add_counts(exits_of(marks, marks->before_id), marks->before, event->exits);
		json_decref(marks->before);
		marks->before = NULL;
	}
}

static void forget_marks(struct marks *marks)
{
	json_decref(marks->before);
	json_decref(marks->parts);
	*marks = (struct marks){0};
}

static void on_monitor(void *who, const struct monitor_event *event)
{
	struct row *row = who;

	outcome_monitor(&row->outcome, event);
	if (event->kind == MONITOR_MARK)
		on_mark(&row->marks, event);
}

/* ---- lines of the command ---- */

/* "name value unit". Returns false if the line is something else. */
static bool read_value(const char *line, char *name, double *value, char *unit)
{
	int n_read = 0;

	return sscanf(line, "%63s %lf %15s %n", name, value, unit, &n_read) == 3 &&
	       line[n_read] == '\0' &&
	       (strcmp(unit, "instructions") == 0 || strcmp(unit, "ns") == 0);
}

/* "# name ops=N", after the value of the same name. */
static bool read_divisor(const char *line, char *name, double *n_ops)
{
	return sscanf(line, "# %63s ops=%lf", name, n_ops) == 2 && *n_ops > 0;
}

static void on_line(void *who, char *line)
{
	struct row *row = who;
	char name[BENCH_NAME_BYTES];
	char unit[16];
	double number;

	if (read_value(line, name, &number, unit)) {
		struct bench_cell *cell = bench_cell(row->results, name, row->boot->row);

		bench_add_value(cell, number, unit);
		progress(row, line);
		memcpy(row->op, name, sizeof(name));
		row->any = true;
	} else if (read_divisor(line, name, &number) && strcmp(name, row->op) == 0) {
		json_t *exits = json_array_get(json_array_get(row->marks.parts, 0), 1);

		if (exits)
			bench_add_exits(
				bench_cell(row->results, name, row->boot->row), exits, number);
		else if (row->boot->config->marks)
			progress(row, "its exits are not known: the hypervisor's marks were lost");
		json_array_remove(row->marks.parts, 0);
	} else if (line[0] != '#' && line[0] != '\0') {
		fprintf(stderr, "  %s: the guest says: %s\n", row->boot->label, line);
	}
}

static void reach_command(struct row *row)
{
	const struct machine_config *config = row->boot->config;

	if (row->reached_command)
		return;
	row->reached_command = true;
	if (!row->boot->bare && row->boot->ops->boot && !config->icount)
		bench_add_value(bench_cell(row->results, BENCH_BOOT_OP, row->boot->row),
			(double)machine_age_ns(&row->machine), "ns");
	progress(row, "booted");
}

static void on_output(void *who, const char *bytes, size_t n_bytes)
{
	struct row *row = who;

	reach_command(row);
	lines_feed(&row->lines, bytes, n_bytes, on_line, row);
}

static void on_command(void *who, const char *bytes, size_t n_bytes)
{
	struct row *row = who;

	frame_feed(&row->frame, bytes, n_bytes, on_output, row);
	if (row->frame.state != FRAME_BEFORE)
		reach_command(row);
}

static void on_console(void *who, const char *bytes, size_t n_bytes)
{
	struct row *row = who;

	outcome_console(&row->outcome, bytes, n_bytes);
	if (row->boot->bare)
		on_output(who, bytes, n_bytes);
}

static const struct machine_hooks row_hooks = {
	.console = on_console,
	.command = on_command,
	.monitor = on_monitor,
};

/* ---- one boot ---- */

static bool wants_mmubench(const struct bench_ops *ops)
{
	return ops->all || ops->mmubench;
}

static void command_words(struct words *words, const struct bench_boot *boot)
{
	if (!wants_mmubench(boot->ops)) {
		words_add(words, "/bin/true");
		return;
	}
	words_add(words, "/bin/mmubench");
	words_add(words, "--clock");
	words_add(words, boot->config->icount ? "tsc" : "ns");
	if (boot->config->marks)
		words_add(words, "--marks");
	if (boot->ops->mmubench) {
		words_add(words, "--ops");
		words_add(words, boot->ops->mmubench);
	}
}

static int make_archive(struct bytes *archive, const struct bench_boot *boot)
{
	struct words words = {0};
	int code = EXIT_OK;

	command_words(&words, boot);
	if (boot->ops->boot && boot->config->icount)
		code = image_clocked_archive(archive, boot->config, words.word);
	else
		image_command_archive(archive, words.word);
	words_free(&words);
	return code;
}

static int judge(struct row *row)
{
	int status = row->frame.state == FRAME_ENDED ? row->frame.exit_status : OUTCOME_UNFINISHED;
	int code = outcome_code(
		&row->outcome, &row->machine, row->boot->bare ? OUTCOME_NO_COMMAND : status);

	if (status > 0)
		say_error("row %s: mmubench ended with status %d; what it said stands above",
			row->boot->label, status);
	if (code != EXIT_OK || row->any || (!row->boot->bare && !wants_mmubench(row->boot->ops)))
		return code;
	say_error("row %s: there was no result; is the guest's benchmark of this version?",
		row->boot->label);
	return EXIT_ROW_FAILED;
}

static int run_row(struct row *row, const struct boot_image *image)
{
	int code = outcome_begin(&row->outcome, row->boot->config);

	if (code != EXIT_OK)
		return code;
	progress(row, "booting");
	row->machine.config = row->boot->config;
	row->machine.hooks = &row_hooks;
	row->machine.who = row;
	code = machine_run(&row->machine, image);
	if (code == EXIT_OK) {
		lines_end(&row->lines, on_line, row);
		code = judge(row);
		memcpy(row->results->qemu_version, row->machine.qmp.version,
			sizeof(row->results->qemu_version));
	}
	machine_free(&row->machine);
	forget_marks(&row->marks);
	outcome_end(&row->outcome);
	return code;
}

static int boot_linux(struct bench_results *results, const struct bench_boot *boot)
{
	struct row row = {.boot = boot, .results = results};
	struct bytes archive = {0};
	struct boot_image image = {0};
	int code = make_archive(&archive, boot);

	if (code == EXIT_OK)
		code = image_prepare(&image, boot->config, &archive);
	if (code == EXIT_OK)
		code = run_row(&row, &image);
	image_free(&image);
	bytes_free(&archive);
	return code;
}

static int boot_bare(struct bench_results *results, const struct bench_boot *boot)
{
	struct machine_config config = *boot->config;
	struct bench_boot bare = *boot;
	struct row row = {.boot = &bare, .results = results};
	struct boot_image image = {0};
	char *words = make_text("bench=%s clock=%s%s", boot->ops->bare,
		config.icount ? "tsc" : "ns", config.marks ? " marks" : "");
	int code;

	bare.config = &config;
	config.kernel = PATH_KERNEL_BARE;
	config.append = words;
	config.initrds = (struct words){0};
	code = image_prepare(&image, &config, NULL);
	if (code == EXIT_OK)
		code = run_row(&row, &image);
	image_free(&image);
	free(words);
	return code;
}

int bench_boot(struct bench_results *results, const struct bench_boot *boot)
{
	return boot->bare ? boot_bare(results, boot) : boot_linux(results, boot);
}
