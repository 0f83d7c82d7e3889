/* SPDX-License-Identifier: MIT */
/* The comparison of misses.h. */
#include "lab/misses.h"

#include <inttypes.h>
#include <stdio.h>

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))
#define SEEDS        2u

enum way {
	WAY_ALL_FLUSHES,
	WAY_ONE_TAG,
	WAY_TAGS,
	N_WAYS,
};

static const struct {
	const char *name;
	const char *words;
} ways[N_WAYS] = {
	[WAY_ALL_FLUSHES] = {"elide=off", "tags=1 policy=elide=off"},
	[WAY_ONE_TAG] = {"tags=1", "tags=1 policy="},
	[WAY_TAGS] = {"tags=8", "tags=8 policy="},
};

/* Lives, in two modes each, and by how many of a hundred one tag, and several, must have less
 * misses than all flushes. The shadow root of a 32-bit guest is the same for all of its address
 * spaces (its entries are PDPTE registers), so there tags are of no use. */
static const struct {
	const char *what;
	const char *life;
	const char *modes[2];
	unsigned one_tag;
	unsigned tags;
} rows[] = {
	{"64-bit: switches between processes", "switch", {"4level", "5level"}, 0, 30},
	{"64-bit: loads of the same CR3", "reload", {"4level", "5level"}, 50, 50},
	{"64-bit: INVLPG that takes nothing", "invlpg", {"4level", "5level"}, 30, 30},
	{"32-bit: switches between processes", "switch", {"2level", "pae"}, 0, 0},
	{"32-bit: loads of the same CR3", "reload", {"2level", "pae"}, 50, 50},
	{"32-bit: INVLPG that takes nothing", "invlpg", {"2level", "pae"}, 10, 10},
};

/* The misses of a row; false: a run failed. */
static bool count(unsigned row, enum way way, struct report *report, uint64_t *misses)
{
	*misses = 0;
	for (unsigned i = 0; i < 2 * SEEDS; i++) {
		struct lab_config config = lab_config_default;
		struct run_result result;
		char words[LAB_CONFIG_BYTES];
		char why[256];

		snprintf(words, sizeof(words),
			"guest=os life=%s mode=%s seed=%u steps=6000 audit=0 pool=512 flush_tag=on "
			"%s",
			rows[row].life, rows[row].modes[i % 2], 1 + i / 2, ways[way].words);
		if (!lab_config_parse(&config, words, why, sizeof(why))) {
			fprintf(stderr, "umbra-lab: %s\n", why);
			return false;
		}
		report_running(&config, NULL);
		run_guest(&config, NULL, &result);
		report_add(report, &result);
		if (result.failed) {
			report_failure(&config, NULL, &result);
			return false;
		}
		*misses += result.counts.misses;
	}
	return true;
}

/* Is @less at least @percent below @more? */
static bool is_less(uint64_t less, uint64_t more, unsigned percent)
{
	return less * 100 <= more * (100 - percent);
}

int misses_print(struct report *report)
{
	int status = 0;

	printf("%-36s", "TLB misses in");
	for (unsigned way = 0; way < N_WAYS; way++)
		printf(" %10s", ways[way].name);
	puts("");
	for (unsigned i = 0; i < COUNT(rows); i++) {
		uint64_t misses[N_WAYS];
		bool good;

		printf("%-36s", rows[i].what);
		for (unsigned way = 0; way < N_WAYS; way++) {
			if (!count(i, (enum way)way, report, &misses[way]))
				return 1;
			printf(" %10" PRIu64, misses[way]);
		}
		good = is_less(misses[WAY_ONE_TAG], misses[WAY_ALL_FLUSHES], rows[i].one_tag) &&
		       is_less(misses[WAY_TAGS], misses[WAY_ALL_FLUSHES], rows[i].tags) &&
		       is_less(misses[WAY_TAGS], misses[WAY_ONE_TAG], 0);
		puts(good ? "" : "  WRONG");
		status |= !good;
	}
	return status;
}
