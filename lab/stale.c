/* SPDX-License-Identifier: MIT */
/*
 * One vCPU's invalidations. Must not know what was in memory at any time.
 */
#include "lab/stale.h"

#include <stdlib.h>
#include <string.h>

enum {
	N_SETS = 2048,
	N_WAYS = 4,
};

/* The last invalidation of a page. Sets are small and forget the oldest: that errs on the safe
 * side. */
struct dropped {
	uint64_t page; /* number << 6 | shift; 0: free, as no shift is 0 */
	uint64_t time;
};

struct past_root {
	struct stale_root root;
	uint64_t from;
	uint64_t to;
};

struct stale {
	bool in_use;
	struct stale_root root;
	uint64_t since; /* when it was loaded */
	uint64_t full_flush;
	uint64_t forgotten;
	unsigned n_past;
	struct past_root past[STALE_MAX_ROOTS];
	unsigned n_boundaries;
	uint64_t boundaries[STALE_MAX_BOUNDARIES]; /* ends of the partial translations, ascending */
	struct dropped dropped[N_SETS][N_WAYS];
};

/* Sizes of pages in any mode. The drop of a page counts for each size that a cached translation
 * of it may have had, whatever memory maps it with now. SDM 3A "Operations that Invalidate TLBs
 * and Paging-Structure Caches": INVLPG and faults drop all parts of a page cached in smaller
 * pieces. */
static const unsigned page_shifts[] = {12, 21, 22, 30};

/* Names a page of its size. Addresses of 32 bits have nothing above them. */
static uint64_t page_of(const struct stale *stale, uint64_t gva, unsigned shift)
{
	if (stale->root.mode < ORACLE_4LEVEL)
		gva &= UINT32_MAX;
	return (gva >> shift) << 6 | shift;
}

static const struct dropped *find_dropped(
	const struct stale *stale, uint64_t gva, unsigned shift, unsigned *set)
{
	uint64_t page = page_of(stale, gva, shift);

	*set = (unsigned)((page * 0x9e3779b97f4a7c15ull) >> 40) % N_SETS;
	for (unsigned way = 0; way < N_WAYS; way++) {
		if (stale->dropped[*set][way].page == page)
			return &stale->dropped[*set][way];
	}
	return NULL;
}

static uint64_t last_dropped(const struct stale *stale, uint64_t gva, unsigned shift)
{
	unsigned set;
	const struct dropped *dropped = find_dropped(stale, gva, shift, &set);

	return dropped ? dropped->time : 0;
}

static void drop(struct stale *stale, uint64_t gva, unsigned shift, uint64_t time)
{
	unsigned set;
	const struct dropped *found = find_dropped(stale, gva, shift, &set);
	struct dropped *victim = stale->dropped[set];

	for (unsigned way = 0; way < N_WAYS; way++) {
		if (found == &stale->dropped[set][way]) {
			victim = &stale->dropped[set][way];
			break;
		}
		if (stale->dropped[set][way].time < victim->time)
			victim = &stale->dropped[set][way];
	}
	*victim = (struct dropped){.page = page_of(stale, gva, shift), .time = time};
}

static void drop_all_sizes(struct stale *stale, uint64_t gva, uint64_t time)
{
	for (unsigned i = 0; i < sizeof(page_shifts) / sizeof(page_shifts[0]); i++)
		drop(stale, gva, page_shifts[i], time);
}

/* Two invalidations with no change of memory between them are one. */
static void end_partial(struct stale *stale, uint64_t time)
{
	if (stale->n_boundaries && stale->boundaries[stale->n_boundaries - 1] == time)
		return;
	if (stale->n_boundaries == STALE_MAX_BOUNDARIES) {
		stale->n_boundaries--;
		memmove(&stale->boundaries[0], &stale->boundaries[1],
			stale->n_boundaries * sizeof(stale->boundaries[0]));
	}
	stale->boundaries[stale->n_boundaries++] = time;
}

static bool same_root(const struct stale_root *a, const struct stale_root *b)
{
	return a->mode == b->mode && a->cr3 == b->cr3 &&
	       memcmp(a->pdpte, b->pdpte, sizeof(a->pdpte)) == 0;
}

/* Keep the loaded root for the global translations made under it. Several stays under one root
 * are remembered as one long stay: more than was possible, never less. */
static void leave_root(struct stale *stale, uint64_t time)
{
	for (unsigned i = 0; i < stale->n_past; i++) {
		if (same_root(&stale->past[i].root, &stale->root)) {
			stale->past[i].to = time;
			return;
		}
	}
	if (stale->n_past == STALE_MAX_ROOTS) {
		stale->n_past--;
		if (stale->forgotten < stale->past[0].to)
			stale->forgotten = stale->past[0].to;
		memmove(&stale->past[0], &stale->past[1], stale->n_past * sizeof(stale->past[0]));
	}
	stale->past[stale->n_past++] = (struct past_root){
		.root = stale->root,
		.from = stale->since,
		.to = time,
	};
}

struct stale *stale_new(void)
{
	return calloc(1, sizeof(struct stale));
}

void stale_free(struct stale *stale)
{
	free(stale);
}

void stale_flush(
	struct stale *stale, const struct stale_root *root, bool keep_global, uint64_t time)
{
	if (keep_global && stale->in_use) {
		leave_root(stale, time);
	} else {
		stale->n_past = 0;
		stale->forgotten = 0;
		stale->full_flush = time;
	}
	stale->in_use = true;
	stale->root = *root;
	stale->since = time;
	stale->n_boundaries = 0;
}

void stale_invlpg(struct stale *stale, uint64_t gva, uint64_t time)
{
	drop_all_sizes(stale, gva, time);
	end_partial(stale, time);
}

/* A fault drops only the partial translations that its address would use. They are those of its
 * own region of 2M or 4M, dropped at every level, and the upper ones of regions beside it, which
 * we let live. */
void stale_fault(struct stale *stale, uint64_t gva, uint64_t time)
{
	drop_all_sizes(stale, gva, time);
}

const struct stale_root *stale_root(const struct stale *stale)
{
	return stale->in_use ? &stale->root : NULL;
}

uint64_t stale_full_flush(const struct stale *stale)
{
	return stale->full_flush;
}

uint64_t stale_page_since(const struct stale *stale, uint64_t gva, unsigned page_shift)
{
	return last_dropped(stale, gva, page_shift);
}

uint64_t stale_forgotten(const struct stale *stale)
{
	return stale->forgotten;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The times between which partial translations of @gva lived, newest first, down to @oldest. */
static unsigned list_ends(const struct stale *stale, uint64_t gva, uint64_t oldest,
	uint64_t ends[STALE_MAX_BOUNDARIES + 1])
{
	uint64_t region = last_dropped(stale, gva, stale->root.mode == ORACLE_32BIT ? 22 : 21);
	unsigned n = 0;

	for (unsigned i = stale->n_boundaries; i-- > 0 && stale->boundaries[i] > oldest;) {
		if (region > stale->boundaries[i]) {
			ends[n++] = region;
			region = 0;
		}
		if (region == stale->boundaries[i])
			region = 0;
		ends[n++] = stale->boundaries[i];
	}
	if (region > oldest)
		ends[n++] = region;
	return n;
}

unsigned stale_epochs(
	const struct stale *stale, uint64_t gva, struct stale_epoch epochs[STALE_MAX_EPOCHS])
{
	uint64_t ends[STALE_MAX_BOUNDARIES + 1];
	uint64_t dropped = last_dropped(stale, gva, 12);
	uint64_t oldest = later(stale->since, dropped);
	unsigned n_ends = list_ends(stale, gva, oldest, ends);
	unsigned n = 0;

	for (unsigned i = 0; i <= n_ends; i++) {
		epochs[n++] = (struct stale_epoch){
			.root = &stale->root,
			.from = i < n_ends ? ends[i] : oldest,
			.to = i > 0 ? ends[i - 1] : UINT64_MAX,
			.live = i == 0,
		};
	}
	for (unsigned i = stale->n_past; i-- > 0;) {
		const struct past_root *past = &stale->past[i];

		epochs[n++] = (struct stale_epoch){
			.root = &past->root,
			.from = later(past->from, dropped),
			.to = past->to,
			.global_only = true,
		};
	}
	return n;
}
