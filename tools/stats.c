/* SPDX-License-Identifier: MIT */
/* Shows statistics. Knows the counters' name prefixes, not the counters. */
#include "tools/stats.h"

#include "tools/bytes.h"

#include <stdlib.h>
#include <string.h>

struct counter {
	const char *name;
	json_int_t count;
};

static int by_count(const void *a, const void *b)
{
	const struct counter *x = a;
	const struct counter *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

/* One line: the counters of @object that have @prefix (and not @total), greatest first, zeroes left
 * out. */
static void print_group(
	FILE *to, const char *title, const json_t *object, const char *prefix, const char *total)
{
	struct counter *counters = allocate((json_object_size(object) + 1) * sizeof(*counters));
	size_t n_prefix = strlen(prefix);
	size_t n_counters = 0;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		json_int_t count = json_integer_value(value);

		if (strncmp(name, prefix, n_prefix) == 0 && strcmp(name, total) != 0 && count != 0)
			counters[n_counters++] = (struct counter){name + n_prefix, count};
	}
	qsort(counters, n_counters, sizeof(*counters), by_count);
	fprintf(to, "  %-13s%10" JSON_INTEGER_FORMAT " ", title,
		json_integer_value(json_object_get(object, total)));
	for (size_t i = 0; i < n_counters; i++)
		fprintf(to, "%s %s %" JSON_INTEGER_FORMAT, i ? "," : "", counters[i].name,
			counters[i].count);
	fputc('\n', to);
	free(counters);
}

void stats_print(
	FILE *to, const struct machine_config *config, const json_t *stats, uint64_t real_ns)
{
	const json_t *mmu = json_object_get(stats, "mmu");
	double guest_s = (double)json_integer_value(json_object_get(stats, "guest_ns")) / 1e9;

	fprintf(to, "umbra: %s%s, %.1f s of real time", paging_names[config->paging],
		config->paging == PAGING_NONE ? " (no hypervisor)" : " paging",
		(double)real_ns / 1e9);
	if (config->paging == PAGING_NONE) {
		fputc('\n', to);
		return;
	}
	if (!stats) {
		fputs("; the hypervisor sent no statistics\n", to);
		return;
	}
	fprintf(to, ", %.1f s of guest time\n", guest_s);
	print_group(to, "exits", json_object_get(stats, "exits"), "", "total");
	if (config->paging != PAGING_SHADOW)
		return;
	print_group(to, "page faults", mmu, "pf_", "pf_taken");
	print_group(to, "shadow pages", mmu, "mmu_", "shadow_pages");
}

int stats_write(
	FILE *to, const struct machine_config *config, const json_t *stats, uint64_t real_ns)
{
	bool hypervisor = config->paging != PAGING_NONE;
	json_t *root;

	if (hypervisor && !stats) {
		say_error("there is nothing for --stats: the hypervisor was stopped before it sent "
			  "statistics");
		return EXIT_CANNOT_WRITE;
	}
	root = json_pack("{s:o,s:o,s:I}", "exits",
		hypervisor ? json_deep_copy(json_object_get(stats, "exits")) : json_object(), "mmu",
		hypervisor ? json_deep_copy(json_object_get(stats, "mmu")) : json_object(),
		"guest_ns",
		hypervisor ? json_integer_value(json_object_get(stats, "guest_ns"))
			   : (json_int_t)real_ns);
	if (root && json_object_get(stats, "exit_cost"))
		json_object_set(root, "exit_cost", json_object_get(stats, "exit_cost"));
	if (!root || json_dumpf(root, to, JSON_INDENT(2)) != 0 || fputc('\n', to) == EOF ||
		fflush(to) != 0) {
		say_error("cannot write the file of --stats (%m); is its disk full?");
		json_decref(root);
		return EXIT_CANNOT_WRITE;
	}
	json_decref(root);
	return EXIT_OK;
}
