/* SPDX-License-Identifier: MIT */
/*
 * Benchmark results: what one boot of the guest measured, and what a whole run of `umbra bench`
 * makes of it.
 */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include "tools/config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define BENCH_NAME_BYTES 64u

/* A machine that is measured: under some paging, and some policy. */
struct bench_row {
	char *name; /* as with --rows: "none", "shadow:oos=off+prefetch=0" */
	unsigned paging;
	char *policy;
};

/* From native upwards; of the same paging as the user has them. */
struct bench_rows {
	struct bench_row *row;
	size_t n;
};

/* One operation in one row: medians over the boots of that row once bench_reduce() was called. */
struct bench_cell {
	char op[BENCH_NAME_BYTES];
	size_t row;
	char clock[16]; /* "instructions" or "ns" */
	double *values; /* per operation, one a boot */
	size_t n_values;
	json_t *exits;   /* array, one object {kind: exits per operation} a boot that had marks */
	double value;    /* median */
	double total;    /* exits per operation, median; only if by_kind */
	json_t *by_kind; /* {kind: exits per operation}, medians; NULL without marks */
};

struct bench_results {
	struct bench_rows rows;
	struct bench_cell **cells; /* in order of first measurement */
	size_t n_cells;
	char qemu_version[32];
	json_t *against; /* a file of bench_write() to compare with; NULL: none */
};

/* The operation that this side adds: from switching on to the guest's first command. */
#define BENCH_BOOT_OP "boot"

/* What is measured, and by whom. */
struct bench_ops {
	bool boot;      /* BENCH_BOOT_OP */
	bool all;       /* whatever mmubench has */
	char *mmubench; /* else of mmubench's: "a,b"; NULL: none */
	char *bare;     /* of those of the guest without a kernel: "a,b"; NULL: none */
};

/* @text as with --ops, NULL: all. bench_ops_free() is owed. */
void bench_ops_parse(struct bench_ops *ops, const char *text);
void bench_ops_free(struct bench_ops *ops);

/* What one boot is to measure. */
struct bench_boot {
	const struct machine_config *config; /* of the row */
	size_t row;
	const struct bench_ops *ops;
	bool bare;         /* boot the guest without a kernel, for its operations; else Linux */
	const char *label; /* for progress: "shadow", "shadow 2/3" */
};

/*
 * Add the rows of @text to @rows, which are empty: names divided by commas, after a colon policy
 * keys divided by "+", which are added to @common_policy. Returns EXIT_OK, or EXIT_USAGE after
 * saying why.
 */
int bench_rows_parse(struct bench_rows *rows, const char *text, const char *common_policy);
void bench_rows_free(struct bench_rows *rows);

/*
 * Boot once and add what was measured to @results. Progress and errors go to standard error.
 * Returns EXIT_OK or the code of what went wrong, after saying it; what was measured before that is
 * kept.
 */
int bench_boot(struct bench_results *results, const struct bench_boot *boot);

/* The cell of @op in @row, made if it is not there. Never NULL. */
struct bench_cell *bench_cell(struct bench_results *results, const char *op, size_t row);
/* NULL if that was not measured. */
const struct bench_cell *bench_find(
	const struct bench_results *results, const char *op, size_t row);
/* @clock as "instructions". */
void bench_add_value(struct bench_cell *cell, double value, const char *clock);
/* Exits that one boot counted for one operation, divided by @n_ops; @counts: kind: number, borrows.
 */
void bench_add_exits(struct bench_cell *cell, const json_t *counts, double n_ops);
/* Make the medians of every cell. */
void bench_reduce(struct bench_results *results);
/* Its rows too. */
void bench_free(struct bench_results *results);

/* Value / value in row none of the same operation; 0 if there is none. */
double bench_ratio(const struct bench_results *results, const struct bench_cell *cell);

/* The first row with shadow paging: the one that others are compared with. rows.n: there is none.
 */
size_t bench_shadow_row(const struct bench_rows *rows);
/* Value of @op there / the best value of the other rows with shadow paging, in *@best; 0 if one of
 * them is missing. */
double bench_to_best(const struct bench_results *results, const char *op, size_t *best);

/* Use the results in file @path, from another run's bench_write(), for bench_against().
 * Returns EXIT_OK, or EXIT_NO_FILE or EXIT_BAD_FILE after saying why. */
int bench_load_against(struct bench_results *results, const char *path);
/* bench_ratio() / that of the same operation and name of row in the other run; 0 if there is no
 * such. */
double bench_against(const struct bench_results *results, const struct bench_cell *cell);

/* The table, a line an operation. */
void bench_print(FILE *to, const struct bench_results *results);
/* {"machine":{...},"results":[...]}. Returns EXIT_OK, or EXIT_CANNOT_WRITE after saying why. */
int bench_write(FILE *to, const struct bench_results *results, const struct machine_config *config);

#endif
