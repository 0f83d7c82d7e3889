/* SPDX-License-Identifier: MIT */
/* Shows benchmark results, as a table and as JSON. Must not change them. */
#include "umbra/umbra.h"
#include "tools/bench.h"

#include "tools/bytes.h"
#include "tools/paths.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_KINDS 4u
#define VALUE_WIDTH 10

static const struct bench_cell *any_cell(const struct bench_results *results, const char *op)
{
	for (size_t i = 0; i < results->n_cells; i++)
		if (strcmp(results->cells[i]->op, op) == 0)
			return results->cells[i];
	return NULL;
}

/* 1234.5, 1234567, 12.3M: at most nine characters. */
static void format_value(char *text, size_t text_bytes, double value)
{
	if (value >= 1e8)
		snprintf(text, text_bytes, "%.1fM", value / 1e6);
	else if (value >= 1e5)
		snprintf(text, text_bytes, "%.0f", value);
	else
		snprintf(text, text_bytes, "%.1f", value);
}

static bool among(const char *const *names, unsigned n_names, const char *name)
{
	for (unsigned i = 0; i < n_names; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The greatest kinds of exit of @cell, as "  pf 18.00, cr3 4.00". */
static void print_kinds(FILE *to, const struct bench_cell *cell)
{
	const char *printed[SHOWN_KINDS] = {NULL};

	for (unsigned n = 0; n < SHOWN_KINDS; n++) {
		double greatest = 0.005; /* less is nothing in two decimals */
		const char *kind;
		json_t *count;

		json_object_foreach(cell->by_kind, kind, count)
		{
			if (json_number_value(count) < greatest || among(printed, n, kind))
				continue;
			printed[n] = kind;
			greatest = json_number_value(count);
		}
		if (!printed[n])
			return;
		fprintf(to, "%s%s %.2f", n ? ", " : "  ", printed[n], greatest);
	}
}

/* The row whose exits are shown by kind: the first with shadow paging, else the last. */
static size_t kinds_row(const struct bench_rows *rows)
{
	size_t i = bench_shadow_row(rows);

	return i < rows->n ? i : rows->n - 1;
}

/* Are there policies to choose the best of? */
static bool has_policies(const struct bench_rows *rows)
{
	return bench_shadow_row(rows) + 1 < rows->n;
}

static int value_width(const struct bench_row *row)
{
	int n = (int)strlen(row->name);

	return n > VALUE_WIDTH ? n : VALUE_WIDTH;
}

static void print_header(FILE *to, const struct bench_results *results)
{
	const struct bench_rows *rows = &results->rows;
	const struct bench_row *kinds = &rows->row[kinds_row(rows)];

	fprintf(to, "%-22s", results->cells[0]->clock);
	for (size_t i = 0; i < rows->n; i++) {
		fprintf(to, " %*s", value_width(&rows->row[i]), rows->row[i].name);
		if (rows->row[i].paging != PAGING_NONE)
			fprintf(to, " %8s%s %8s", "ratio", results->against ? "  against" : "",
				"exits");
	}
	if (has_policies(rows))
		fprintf(to, " %8s", "to best");
	if (kinds->paging != PAGING_NONE)
		fprintf(to, "  exits by kind (%s)", kinds->name);
	fputc('\n', to);
}

static void print_ratio(FILE *to, double ratio)
{
	if (ratio > 0)
		fprintf(to, " %8.2f", ratio);
	else
		fprintf(to, " %8s", "-");
}

static void print_cell(FILE *to, const struct bench_results *results, const char *op, size_t i)
{
	const struct bench_row *row = &results->rows.row[i];
	const struct bench_cell *cell = bench_find(results, op, i);
	char text[32] = "-";

	if (cell && cell->n_values > 0)
		format_value(text, sizeof(text), cell->value);
	fprintf(to, " %*s", value_width(row), text);
	if (row->paging == PAGING_NONE)
		return;
	print_ratio(to, cell ? bench_ratio(results, cell) : 0);
	if (results->against)
		print_ratio(to, cell ? bench_against(results, cell) : 0);
	if (cell && cell->by_kind)
		fprintf(to, " %8.2f", cell->total);
	else
		fprintf(to, " %8s", "-");
}

void bench_print(FILE *to, const struct bench_results *results)
{
	if (results->n_cells > 0)
		print_header(to, results);
	for (size_t i = 0; i < results->n_cells; i++) {
		const char *op = results->cells[i]->op;
		const struct bench_cell *kinds = bench_find(results, op, kinds_row(&results->rows));
		size_t best;

		if (any_cell(results, op) != results->cells[i])
			continue; /* its line was printed with the first row that has it */
		fprintf(to, "%-22s", op);
		for (size_t j = 0; j < results->rows.n; j++)
			print_cell(to, results, op, j);
		if (has_policies(&results->rows))
			print_ratio(to, bench_to_best(results, op, &best));
		if (kinds && kinds->by_kind)
			print_kinds(to, kinds);
		fputc('\n', to);
	}
}

static json_t *cell_json(const struct bench_results *results, const struct bench_cell *cell)
{
	double ratio = bench_ratio(results, cell);
	const struct bench_row *row = &results->rows.row[cell->row];
	size_t best = 0;
	double to_best = bench_to_best(results, cell->op, &best);
	json_t *object = json_pack("{s:s,s:s,s:s,s:f}", "op", cell->op, "row", row->name, "clock",
		cell->clock, "value", cell->value);

	json_object_set_new(object, "ratio", ratio > 0 ? json_real(ratio) : json_null());
	if (bench_against(results, cell) > 0)
		json_object_set_new(object, "against", json_real(bench_against(results, cell)));
	if (cell->row == bench_shadow_row(&results->rows) && to_best > 0) {
		json_object_set_new(object, "to_best", json_real(to_best));
		json_object_set_new(object, "best", json_string(results->rows.row[best].name));
	}
	if (cell->by_kind) {
		json_object_set_new(object, "exits", json_real(cell->total));
		json_object_set(object, "exits_by", cell->by_kind);
	}
	return object;
}

int bench_write(FILE *to, const struct bench_results *results, const struct machine_config *config)
{
	json_t *list = json_array();
	json_t *root;
	int failed;

	for (size_t i = 0; i < results->n_cells; i++)
		if (results->cells[i]->n_values > 0)
			json_array_append_new(list, cell_json(results, results->cells[i]));
	root = json_pack("{s:{s:s,s:s,s:s,s:s,s:s,s:i,s:b,s:s},s:o}", "machine", "umbra",
		UMBRA_VERSION, "qemu", results->qemu_version, "kernel",
		config->kernel ? config->kernel : PATH_KERNEL_DEFAULT, "cpu", config_cpu(config),
		"accel", accel_names[config->accel], "mem_mib", (int)config->mem_mib, "icount",
		config->icount, "policy", config->policy, "results", list);
	failed = !root || json_dumpf(root, to, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) != 0 ||
		 fputc('\n', to) == EOF || fflush(to) != 0;
	if (failed)
		say_error("cannot write the file of --json (%m); is its disk full?");
	json_decref(root);
	return failed ? EXIT_CANNOT_WRITE : EXIT_OK;
}
