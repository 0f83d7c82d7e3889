/* SPDX-License-Identifier: MIT */
/* Which operations are measured, and in which guest. Must not know how. */
#include "tools/bench.h"

#include "tools/bytes.h"

#include <stdlib.h>
#include <string.h>

/* Those of the guest without a kernel, tests/guest/bench_ops.c, in each paging mode that it has
 * them for. */
static const char *const bare_names[] = {
	"clear_bit_pte", "highpte_scan", "busy_table", "idle_table", "flapping_table"};
static const char *const bare_modes[] = {"", "_pae", "_4level"};
#define N_BARE  (sizeof(bare_names) / sizeof(bare_names[0]))
#define N_MODES (sizeof(bare_modes) / sizeof(bare_modes[0]))

/* One of them, or one in one mode. */
static bool is_bare(const char *name)
{
	for (size_t i = 0; i < N_BARE; i++) {
		size_t n_bytes = strlen(bare_names[i]);

		for (size_t j = 0; j < N_MODES; j++)
			if (strncmp(name, bare_names[i], n_bytes) == 0 &&
				strcmp(name + n_bytes, bare_modes[j]) == 0)
				return true;
	}
	return false;
}

/* Takes @name. */
static void add_name(char **list, char *name)
{
	char *longer = *list ? make_text("%s,%s", *list, name) : copy_text(name);

	free(*list);
	free(name);
	*list = longer;
}

void bench_ops_parse(struct bench_ops *ops, const char *text)
{
	*ops = (struct bench_ops){.boot = !text, .all = !text};
	for (size_t i = 0; !text && i < N_BARE; i++)
		add_name(&ops->bare, copy_text(bare_names[i]));
	while (text && *text) {
		size_t n_bytes = strcspn(text, ",");
		char *name = make_text("%.*s", (int)n_bytes, text);

		if (strcmp(name, BENCH_BOOT_OP) == 0) {
			ops->boot = true;
			free(name);
		} else if (n_bytes > 0) {
			add_name(is_bare(name) ? &ops->bare : &ops->mmubench, name);
		} else {
			free(name);
		}
		text += n_bytes;
		text += *text == ',';
	}
}

void bench_ops_free(struct bench_ops *ops)
{
	free(ops->mmubench);
	free(ops->bare);
	*ops = (struct bench_ops){0};
}
