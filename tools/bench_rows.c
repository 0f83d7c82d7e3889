/* SPDX-License-Identifier: MIT */
/* The rows of a benchmark, from the words of --rows. Must not know what is measured in them. */
#include "tools/bench.h"

#include "tools/bytes.h"
#include "tools/say.h"

#include <stdlib.h>
#include <string.h>

/* In this order, whatever the user's: what the ratios refer to comes first. */
static const unsigned paging_order[] = {PAGING_NONE, PAGING_NPT, PAGING_SHADOW};
#define N_PAGINGS (sizeof(paging_order) / sizeof(paging_order[0]))

static bool paging_of(const char *name, unsigned *paging)
{
	size_t n_bytes = strcspn(name, ":");

	for (*paging = 0; paging_names[*paging]; ++*paging) {
		if (strlen(paging_names[*paging]) == n_bytes &&
			memcmp(paging_names[*paging], name, n_bytes) == 0)
			return true;
	}
	return false;
}

/* The row's keys behind @common, so that they prevail. "+" stands for ",", which divides rows. */
static char *joined_policy(const char *common, const char *keys)
{
	char *policy = make_text("%s%s%s", common, *common && *keys ? "," : "", keys);

	for (char *at = policy; (at = strchr(at, '+')) != NULL;)
		*at = ',';
	return policy;
}

/* Takes @name. */
static int add_row(struct bench_rows *rows, char *name, const char *common)
{
	struct bench_row row = {.name = name};
	const char *keys = strchr(name, ':');
	int code = EXIT_OK;

	if (!paging_of(name, &row.paging)) {
		say_error("--rows: there is no row \"%s\"; give some of none,npt,shadow", name);
		code = EXIT_USAGE;
	} else if (keys && row.paging != PAGING_SHADOW) {
		say_error("--rows: \"%s\": only shadow has policies", name);
		code = EXIT_USAGE;
	} else {
		row.policy = joined_policy(common, keys ? keys + 1 : "");
		code = config_check_policy(row.policy);
	}
	for (size_t i = 0; i < rows->n && code == EXIT_OK; i++) {
		if (strcmp(rows->row[i].name, name) != 0)
			continue;
		say_error("--rows: \"%s\" is there twice; repeat all rows by --repeat", name);
		code = EXIT_USAGE;
	}
	if (code != EXIT_OK) {
		free(row.policy);
		free(name);
		return code;
	}
	rows->row = grow(rows->row, (rows->n + 1) * sizeof(rows->row[0]));
	rows->row[rows->n++] = row;
	return EXIT_OK;
}

static void sort_rows(struct bench_rows *rows)
{
	struct bench_row *sorted = allocate(rows->n * sizeof(*sorted));
	size_t n = 0;

	for (size_t order = 0; order < N_PAGINGS; order++)
		for (size_t i = 0; i < rows->n; i++)
			if (rows->row[i].paging == paging_order[order])
				sorted[n++] = rows->row[i];
	free(rows->row);
	rows->row = sorted;
}

int bench_rows_parse(struct bench_rows *rows, const char *text, const char *common_policy)
{
	do {
		size_t n_bytes = strcspn(text, ",");
		int code = add_row(rows, make_text("%.*s", (int)n_bytes, text), common_policy);

		if (code != EXIT_OK)
			return code;
		text += n_bytes;
		text += *text == ',';
	} while (*text);
	sort_rows(rows);
	return EXIT_OK;
}

void bench_rows_free(struct bench_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		free(rows->row[i].name);
		free(rows->row[i].policy);
	}
	free(rows->row);
	*rows = (struct bench_rows){0};
}
