/* SPDX-License-Identifier: MIT */
/* What the benchmark makes of its measurements. */
#include "tests/tools/check.h"
#include "tools/bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NONE, NPT, SHADOW, OTHER }; /* rows of rows() */

static struct bench_results rows(const char *names)
{
	struct bench_results results = {0};

	assert_int_equal(bench_rows_parse(&results.rows, names, ""), EXIT_OK);
	return results;
}

static void add(struct bench_results *results, const char *op, size_t row, double value)
{
	bench_add_value(bench_cell(results, op, row), value, "instructions");
}

static void add_exits(struct bench_results *results, const char *op, size_t row, int pf, int cr3)
{
	json_t *counts = json_pack("{s:i,s:i,s:i}", "pf", pf, "cr3", cr3, "total", pf + cr3);

	bench_add_exits(bench_cell(results, op, row), counts, 10);
	json_decref(counts);
}

static void values_and_exits_are_medians_over_the_boots(void **state)
{
	struct bench_results results = rows("none,npt,shadow");
	const struct bench_cell *cell;

	(void)state;
	add(&results, "fork", SHADOW, 300);
	add(&results, "fork", SHADOW, 100);
	add(&results, "fork", SHADOW, 110);
	add_exits(&results, "fork", SHADOW, 50, 10);
	add_exits(&results, "fork", SHADOW, 70, 30);
	add(&results, "fork", NONE, 90);
	add(&results, "fork", NONE, 110);
	bench_reduce(&results);
	cell = bench_find(&results, "fork", SHADOW);
	assert_true(cell->value == 110);
	assert_true(cell->total == 8);
	assert_true(json_real_value(json_object_get(cell->by_kind, "pf")) == 6);
	assert_null(json_object_get(cell->by_kind, "total"));
	assert_true(bench_ratio(&results, cell) == 1.1);
	assert_null(bench_find(&results, "fork", NPT));
	bench_free(&results);
}

static void the_table_has_a_line_an_operation_and_a_dash_for_what_is_missing(void **state)
{
	struct bench_results results = rows("none,npt,shadow");
	char *text = NULL;
	size_t n_bytes = 0;
	FILE *to = open_memstream(&text, &n_bytes);

	(void)state;
	add(&results, "fork", NONE, 100);
	add(&results, "fork", SHADOW, 125);
	add_exits(&results, "fork", SHADOW, 20, 30);
	add(&results, "only_shadow", SHADOW, 123456789);
	bench_reduce(&results);
	bench_print(to, &results);
	fclose(to);
	assert_non_null(
		strstr(text, "fork                        100.0          -        -        - "
			     "     125.0     1.25     5.00  cr3 3.00, pf 2.00\n"));
	assert_non_null(
		strstr(text, "only_shadow                     -          -        -        - "
			     "    123.5M        -        -\n"));
	free(text);
	bench_free(&results);
}

/* Another run, as a file; the caller removes it. */
static void write_run(char *path, double shadow)
{
	struct machine_config config;
	struct bench_results other = rows("none,npt,shadow");
	FILE *to = fdopen(mkstemp(path), "w");

	config_defaults(&config);
	add(&other, "fork", NONE, 100);
	add(&other, "fork", SHADOW, shadow);
	add(&other, "not_here", SHADOW, 1);
	bench_reduce(&other);
	assert_int_equal(bench_write(to, &other, &config), EXIT_OK);
	fclose(to);
	bench_free(&other);
}

static void ratios_are_compared_with_another_run(void **state)
{
	struct bench_results results = rows("none,npt,shadow");
	char path[] = "/tmp/umbra-test-XXXXXX";
	char *text = NULL;
	size_t n_bytes = 0;
	FILE *to = open_memstream(&text, &n_bytes);

	(void)state;
	write_run(path, 160);
	assert_int_equal(bench_load_against(&results, path), EXIT_OK);
	add(&results, "fork", NONE, 1000);
	add(&results, "fork", SHADOW, 2000);
	add(&results, "only_here", NONE, 10);
	add(&results, "only_here", SHADOW, 20);
	bench_reduce(&results);
	assert_true(bench_against(&results, bench_find(&results, "fork", SHADOW)) == 1.25);
	assert_true(bench_against(&results, bench_find(&results, "only_here", SHADOW)) == 0);
	bench_print(to, &results);
	fclose(to);
	assert_non_null(strstr(text, "    ratio  against    exits"));
	assert_non_null(strstr(text, "    2000.0     2.00     1.25        -\n"));
	assert_non_null(strstr(text, "      20.0     2.00        -        -\n"));
	free(text);
	bench_free(&results);

	to = fopen(path, "w");
	fputs("{\"results\":3}", to);
	fclose(to);
	assert_int_equal(bench_load_against(&results, path), EXIT_BAD_FILE);
	bench_free(&results);
	unlink(path);
	assert_int_equal(bench_load_against(&results, path), EXIT_NO_FILE);
}

static void rows_come_from_native_upwards_with_their_policies(void **state)
{
	struct bench_results results = {0};
	const struct bench_row *row;

	(void)state;
	assert_int_equal(bench_rows_parse(&results.rows,
				 "shadow:oos=off+prefetch=0,none,shadow,shadow:oos=leaf,npt",
				 "pool=100,oos=all"),
		EXIT_OK);
	row = results.rows.row;
	assert_int_equal(results.rows.n, 5);
	assert_string_equal(row[0].name, "none");
	assert_string_equal(row[1].name, "npt");
	assert_int_equal(row[1].paging, PAGING_NPT);
	assert_string_equal(row[2].name, "shadow:oos=off+prefetch=0");
	assert_int_equal(row[2].paging, PAGING_SHADOW);
	assert_string_equal(row[2].policy, "pool=100,oos=all,oos=off,prefetch=0");
	assert_string_equal(row[3].policy, "pool=100,oos=all");
	assert_string_equal(row[4].policy, "pool=100,oos=all,oos=leaf");
	bench_free(&results);
}

static void rows_that_cannot_be_are_refused(void **state)
{
	static const char *const names[] = {"", "vax", "none,,npt", "shadow,shadow", "npt:oos=off",
		"none:", "shadow:nonsense=1", "shadow:oos", "shadow:oos=off oos=leaf", "shadows"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bench_rows refused = {0};

		print_message("  '%s'\n", names[i]);
		assert_int_equal(bench_rows_parse(&refused, names[i], ""), EXIT_USAGE);
		bench_rows_free(&refused);
	}
}

static void the_first_policy_is_compared_with_the_best_of_the_others(void **state)
{
	struct bench_results results =
		rows("none,npt,shadow,shadow:write=zap,shadow:write=emulate");
	size_t best = 0;

	(void)state;
	add(&results, "fork", NONE, 10);
	add(&results, "fork", NPT, 11);
	add(&results, "fork", SHADOW, 150);
	add(&results, "fork", OTHER, 125);
	add(&results, "fork", OTHER + 1, 120);
	add(&results, "only_others", OTHER, 1);
	add(&results, "only_shadow", SHADOW, 1);
	bench_reduce(&results);
	assert_int_equal(bench_shadow_row(&results.rows), SHADOW);
	assert_true(bench_to_best(&results, "fork", &best) == 1.25);
	assert_int_equal(best, OTHER + 1);
	assert_true(bench_to_best(&results, "only_others", &best) == 0);
	assert_true(bench_to_best(&results, "only_shadow", &best) == 0);
	bench_free(&results);
	results = rows("none,npt");
	assert_int_equal(bench_shadow_row(&results.rows), 2);
	add(&results, "fork", NPT, 11);
	bench_reduce(&results);
	assert_true(bench_to_best(&results, "fork", &best) == 0);
	bench_free(&results);
}

static void each_operation_goes_to_the_guest_that_has_it(void **state)
{
	struct bench_ops ops;

	(void)state;
	bench_ops_parse(&ops, NULL);
	assert_true(ops.boot && ops.all);
	assert_null(ops.mmubench);
	assert_non_null(strstr(ops.bare, "clear_bit_pte,highpte_scan,"));
	bench_ops_free(&ops);
	bench_ops_parse(&ops, "getpid,highpte_scan_pae,,boot,fork_exit,clear_bit_pte");
	assert_true(ops.boot && !ops.all);
	assert_string_equal(ops.mmubench, "getpid,fork_exit");
	assert_string_equal(ops.bare, "highpte_scan_pae,clear_bit_pte");
	bench_ops_free(&ops);
	/* mmubench says that it has no such thing. */
	bench_ops_parse(&ops, "highpte_scan_vax");
	assert_true(!ops.boot && !ops.all);
	assert_string_equal(ops.mmubench, "highpte_scan_vax");
	assert_null(ops.bare);
	bench_ops_free(&ops);
}

/* Each policy is a column, with the ratio to the native row; the kinds are those of the first. */
static void each_policy_has_columns_of_its_own(void **state)
{
	struct bench_results results = rows("none,shadow,shadow:oos=off+prefetch=0");
	struct machine_config config;
	char *text = NULL;
	size_t n_bytes = 0;
	FILE *to = open_memstream(&text, &n_bytes);
	json_t *root;

	(void)state;
	config_defaults(&config);
	add(&results, "fork", 0, 100);
	add(&results, "fork", 1, 125);
	add(&results, "fork", 2, 400);
	add_exits(&results, "fork", 1, 20, 0);
	add_exits(&results, "fork", 2, 50, 0);
	bench_reduce(&results);
	bench_print(to, &results);
	fflush(to);
	assert_non_null(strstr(text,
		"instructions                 none     shadow    ratio    exits "
		"shadow:oos=off+prefetch=0    ratio    exits  to best  exits by kind (shadow)\n"
		"fork                        100.0      125.0     1.25     2.00 "
		"                    400.0     4.00     5.00     0.31  pf 2.00\n"));
	rewind(to);
	assert_int_equal(bench_write(to, &results, &config), EXIT_OK);
	fclose(to);
	root = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(root, "results"), 2), "row")),
		"shadow:oos=off+prefetch=0");
	json_decref(root);
	free(text);
	bench_free(&results);
}

static void json_has_null_where_there_is_no_native_row(void **state)
{
	struct machine_config config;
	struct bench_results results = rows("none,npt,shadow");
	char *text = NULL;
	size_t n_bytes = 0;
	FILE *to = open_memstream(&text, &n_bytes);
	json_t *root;
	json_t *first;

	(void)state;
	config_defaults(&config);
	config.kernel = "i686";
	add(&results, "fork", NPT, 125);
	add_exits(&results, "fork", NPT, 20, 30);
	bench_reduce(&results);
	assert_int_equal(bench_write(to, &results, &config), EXIT_OK);
	fclose(to);
	root = json_loads(text, 0, NULL);
	first = json_array_get(json_object_get(root, "results"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "row")), "npt");
	first = json_object_get(root, "machine");
	assert_string_equal(json_string_value(json_object_get(first, "kernel")), "i686");
	first = json_array_get(json_object_get(root, "results"), 0);
	assert_true(json_is_null(json_object_get(first, "ratio")));
	assert_true(json_number_value(json_object_get(first, "exits")) == 5);
	assert_true(
		json_number_value(json_object_get(json_object_get(first, "exits_by"), "cr3")) == 3);
	json_decref(root);
	free(text);
	bench_free(&results);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_and_exits_are_medians_over_the_boots),
		cmocka_unit_test(the_table_has_a_line_an_operation_and_a_dash_for_what_is_missing),
		cmocka_unit_test(ratios_are_compared_with_another_run),
		cmocka_unit_test(rows_come_from_native_upwards_with_their_policies),
		cmocka_unit_test(rows_that_cannot_be_are_refused),
		cmocka_unit_test(each_policy_has_columns_of_its_own),
		cmocka_unit_test(the_first_policy_is_compared_with_the_best_of_the_others),
		cmocka_unit_test(each_operation_goes_to_the_guest_that_has_it),
		cmocka_unit_test(json_has_null_where_there_is_no_native_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
