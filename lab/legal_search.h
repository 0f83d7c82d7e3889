/* SPDX-License-Identifier: MIT */
/*
 * The search for a reason: could hardware with stale caches have done what was observed? Internal
 * to legal.c.
 */
#ifndef LAB_LEGAL_SEARCH_H
#define LAB_LEGAL_SEARCH_H

#include "lab/history.h"
#include "lab/legal.h"
#include "lab/stale.h"

enum {
	SEARCH_MAX_PATHS = 1024, /* ways to reach one level that differ in table or rights */
};

/* The way down to a table: the walk so far, and the earliest time at which it can have got there.
 * An earlier time allows whatever a later one does, so that alone is kept. */
struct search_path {
	struct oracle_walk walk;
	uint64_t time;
};

struct search_paths {
	unsigned n;
	struct search_path path[SEARCH_MAX_PATHS];
};

struct search {
	/* given */
	const struct history *history;
	const struct stale *stale;
	struct search_paths *paths; /* scratch, two: of this level and of the next */
	const struct legal_access *what;
	const struct legal_outcome *observed;
	bool want_ad;         /* all entries used must have A and D as the access needs */
	const uint64_t *word; /* NULL, or collect in bits what the access may set in this word */
	/* for the epoch at hand */
	struct stale_epoch epoch;
	struct oracle_cpu cpu; /* what->cpu with the epoch's root */
	uint64_t began;
	/* found */
	bool found;
	bool overflow; /* more than SEARCH_MAX_PATHS: the search was not complete */
	uint64_t bits;
};

/* Search the epochs, the live one first. */
void search_run(struct search *search);

/* Was anything forgotten that could have explained the outcome? */
bool search_undecided(const struct search *search);

#endif
