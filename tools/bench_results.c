/* SPDX-License-Identifier: MIT */
/* Collects measurements and makes medians of them. Must not know how they are taken or shown. */
#include "tools/bench.h"

#include "tools/bytes.h"
#include "tools/say.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char total_kind[] = "total";

const struct bench_cell *bench_find(const struct bench_results *results, const char *op, size_t row)
{
	for (size_t i = 0; i < results->n_cells; i++)
		if (results->cells[i]->row == row && strcmp(results->cells[i]->op, op) == 0)
			return results->cells[i];
	return NULL;
}

struct bench_cell *bench_cell(struct bench_results *results, const char *op, size_t row)
{
	struct bench_cell *cell = (struct bench_cell *)bench_find(results, op, row);

	if (cell)
		return cell;
	cell = allocate(sizeof(*cell));
	snprintf(cell->op, sizeof(cell->op), "%s", op);
	cell->row = row;
	cell->exits = json_array();
	results->cells = grow(results->cells, (results->n_cells + 1) * sizeof(results->cells[0]));
	results->cells[results->n_cells++] = cell;
	return cell;
}

void bench_add_value(struct bench_cell *cell, double value, const char *clock)
{
	cell->values = grow(cell->values, (cell->n_values + 1) * sizeof(cell->values[0]));
	cell->values[cell->n_values++] = value;
	snprintf(cell->clock, sizeof(cell->clock), "%s", clock);
}

void bench_add_exits(struct bench_cell *cell, const json_t *counts, double n_ops)
{
	json_t *per_op = json_object();
	const char *kind;
	json_t *count;

	json_object_foreach((json_t *)counts, kind, count)
		json_object_set_new(per_op, kind, json_real(json_number_value(count) / n_ops));
	json_array_append_new(cell->exits, per_op);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts @values. */
static double median(double *values, size_t n_values)
{
	qsort(values, n_values, sizeof(values[0]), by_size);
	if (n_values % 2 == 1)
		return values[n_values / 2];
	return (values[n_values / 2 - 1] + values[n_values / 2]) / 2;
}

/* The median of exits of @kind over the boots; a boot that does not know the kind had none. */
static double median_of_kind(const json_t *boots, const char *kind)
{
	size_t n_boots = json_array_size(boots);
	double *values = allocate(n_boots * sizeof(values[0]));
	double result;

	for (size_t i = 0; i < n_boots; i++)
		values[i] = json_number_value(json_object_get(json_array_get(boots, i), kind));
	result = median(values, n_boots);
	free(values);
	return result;
}

static void reduce_exits(struct bench_cell *cell)
{
	const char *kind;
	json_t *count;

	if (json_array_size(cell->exits) == 0)
		return;
	json_decref(cell->by_kind);
	cell->by_kind = json_object();
	json_object_foreach(json_array_get(cell->exits, 0), kind, count)
	{
		double per_op = median_of_kind(cell->exits, kind);

		if (strcmp(kind, total_kind) == 0)
			cell->total = per_op;
		else
			json_object_set_new(cell->by_kind, kind, json_real(per_op));
	}
}

void bench_reduce(struct bench_results *results)
{
	for (size_t i = 0; i < results->n_cells; i++) {
		struct bench_cell *cell = results->cells[i];

		if (cell->n_values > 0)
			cell->value = median(cell->values, cell->n_values);
		reduce_exits(cell);
	}
}

double bench_ratio(const struct bench_results *results, const struct bench_cell *cell)
{
	const struct bench_cell *native = NULL;

	for (size_t i = 0; i < results->rows.n && !native; i++)
		if (results->rows.row[i].paging == PAGING_NONE)
			native = bench_find(results, cell->op, i);
	return native && native->value > 0 ? cell->value / native->value : 0;
}

size_t bench_shadow_row(const struct bench_rows *rows)
{
	size_t i = 0;

	while (i < rows->n && rows->row[i].paging != PAGING_SHADOW)
		i++;
	return i;
}

double bench_to_best(const struct bench_results *results, const char *op, size_t *best)
{
	const struct bench_rows *rows = &results->rows;
	size_t first = bench_shadow_row(rows);
	const struct bench_cell *cell = bench_find(results, op, first);
	double least = 0;

	for (size_t i = first + 1; i < rows->n; i++) {
		const struct bench_cell *other = bench_find(results, op, i);

		if (!other || other->n_values == 0 || (least > 0 && other->value >= least))
			continue;
		least = other->value;
		*best = i;
	}
	return cell && cell->n_values > 0 && least > 0 ? cell->value / least : 0;
}

int bench_load_against(struct bench_results *results, const char *path)
{
	json_error_t error;

	if (access(path, R_OK) != 0) {
		say_error("cannot read %s (%m); check the name given with --against", path);
		return EXIT_NO_FILE;
	}
	results->against = json_load_file(path, 0, &error);
	if (json_is_array(json_object_get(results->against, "results")))
		return EXIT_OK;
	say_error("%s is not what umbra bench --json writes; measure again, and give that file to "
		  "--against",
		path);
	return EXIT_BAD_FILE;
}

double bench_against(const struct bench_results *results, const struct bench_cell *cell)
{
	const json_t *other;
	size_t i;

	json_array_foreach(json_object_get(results->against, "results"), i, other)
	{
		const char *op = json_string_value(json_object_get(other, "op"));
		const char *row = json_string_value(json_object_get(other, "row"));
		double ratio = json_number_value(json_object_get(other, "ratio"));

		if (op && row && ratio > 0 && strcmp(op, cell->op) == 0 &&
			strcmp(row, results->rows.row[cell->row].name) == 0)
			return bench_ratio(results, cell) / ratio;
	}
	return 0;
}

void bench_free(struct bench_results *results)
{
	json_decref(results->against);
	for (size_t i = 0; i < results->n_cells; i++) {
		json_decref(results->cells[i]->exits);
		json_decref(results->cells[i]->by_kind);
		free(results->cells[i]->values);
		free(results->cells[i]);
	}
	free(results->cells);
	bench_rows_free(&results->rows);
	*results = (struct bench_results){0};
}
