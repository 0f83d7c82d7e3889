/* SPDX-License-Identifier: MIT */
/*
 * One vCPU's invalidations. Must not know what was in memory at any time.
 */
#include "lab/stale.h"

#include <stdlib.h>
#include <string.h>

enum {
	N_SETS = 1024,
	N_WAYS = 4,
	N_GAPS = 16, /* of a context remembered; in older ones it is taken as current */
};

/* The last invalidation of a page. Sets are small and forget the oldest: that errs on the safe
 * side. */
struct dropped {
	uint64_t page; /* number << 6 | shift; 0: free, as no shift is 0 */
	uint64_t time;
};

struct drops {
	struct dropped sets[N_SETS][N_WAYS];
};

/* A root that was in use, for what is left of it. */
struct past_root {
	struct stale_root root;
	unsigned context;
	uint64_t from;
	uint64_t to;
	bool kept; /* not only global translations */
	bool open; /* kept, and partial translations too */
};

/* Other PCIDs were current between these times. */
struct gap {
	uint64_t from;
	uint64_t to;
};

/* What one PCID has cached. */
struct context {
	bool in_use;
	unsigned pcid;
	struct stale_root root;
	uint64_t since; /* when it was loaded */
	uint64_t left;  /* when another PCID became current; not for the current one */
	unsigned n_boundaries;
	uint64_t boundaries[STALE_MAX_BOUNDARIES]; /* ends of the partial translations, ascending */
	unsigned n_gaps;
	struct gap gaps[N_GAPS]; /* ascending */
	struct drops drops;      /* of translations that are not global */
};

struct stale {
	bool in_use;
	unsigned current;
	uint64_t full_flush;
	uint64_t forgotten;
	unsigned n_past;
	struct past_root past[STALE_MAX_ROOTS];
	struct context contexts[STALE_MAX_PCIDS];
	struct drops global_drops;
};

/* Sizes of pages in any mode. The drop of a page counts for each size that a cached translation
 * of it may have had, whatever memory maps it with now. SDM 3A "Operations that Invalidate TLBs
 * and Paging-Structure Caches": INVLPG and faults drop all parts of a page cached in smaller
 * pieces. */
static const unsigned page_shifts[] = {12, 21, 22, 30};

static const struct context *current(const struct stale *stale)
{
	return &stale->contexts[stale->current];
}

/* Names a page of its size. Addresses of 32 bits have nothing above them. */
static uint64_t page_of(const struct stale *stale, uint64_t gva, unsigned shift)
{
	if (current(stale)->root.mode < ORACLE_4LEVEL)
		gva &= UINT32_MAX;
	return (gva >> shift) << 6 | shift;
}

static const struct dropped *find_dropped(const struct drops *drops, uint64_t page, unsigned *set)
{
	*set = (unsigned)((page * 0x9e3779b97f4a7c15ull) >> 40) % N_SETS;
	for (unsigned way = 0; way < N_WAYS; way++) {
		if (drops->sets[*set][way].page == page)
			return &drops->sets[*set][way];
	}
	return NULL;
}

static uint64_t last_dropped(const struct drops *drops, uint64_t page)
{
	unsigned set;
	const struct dropped *dropped = find_dropped(drops, page, &set);

	return dropped ? dropped->time : 0;
}

static void drop(struct drops *drops, uint64_t page, uint64_t time)
{
	unsigned set;
	const struct dropped *found = find_dropped(drops, page, &set);
	struct dropped *victim = drops->sets[set];

	for (unsigned way = 0; way < N_WAYS; way++) {
		if (found == &drops->sets[set][way]) {
			victim = &drops->sets[set][way];
			break;
		}
		if (drops->sets[set][way].time < victim->time)
			victim = &drops->sets[set][way];
	}
	*victim = (struct dropped){.page = page, .time = time};
}

static void drop_all_sizes(
	const struct stale *stale, struct drops *drops, uint64_t gva, uint64_t time)
{
	for (unsigned i = 0; i < sizeof(page_shifts) / sizeof(page_shifts[0]); i++)
		drop(drops, page_of(stale, gva, page_shifts[i]), time);
}

/* No partial translation of @context is left. Two invalidations with no change of memory between
 * them are one. */
static void end_partial(struct stale *stale, unsigned n, uint64_t time)
{
	struct context *context = &stale->contexts[n];

	for (unsigned i = 0; i < stale->n_past; i++) {
		if (stale->past[i].context == n && stale->past[i].open) {
			stale->past[i].open = false;
			stale->past[i].to = time;
		}
	}
	if (context->n_boundaries && context->boundaries[context->n_boundaries - 1] == time)
		return;
	if (context->n_boundaries == STALE_MAX_BOUNDARIES) {
		context->n_boundaries--;
		memmove(&context->boundaries[0], &context->boundaries[1],
			context->n_boundaries * sizeof(context->boundaries[0]));
	}
	context->boundaries[context->n_boundaries++] = time;
}

static bool same_root(const struct stale_root *a, const struct stale_root *b)
{
	return a->mode == b->mode && a->cr3 == b->cr3 &&
	       memcmp(a->pdpte, b->pdpte, sizeof(a->pdpte)) == 0;
}

static void forget(struct stale *stale, uint64_t in_use_at)
{
	if (stale->forgotten < in_use_at)
		stale->forgotten = in_use_at;
}

/* Keep the root of context @n for the translations made under it: @kept all, else global ones.
 * Several stays under one root are remembered as one long stay: more than was possible, never
 * less. */
static void leave_root(struct stale *stale, unsigned n, bool kept, uint64_t time)
{
	struct context *context = &stale->contexts[n];
	struct past_root past = {.root = context->root,
		.context = n,
		.from = context->since,
		.to = time,
		.kept = kept,
		.open = kept};

	for (unsigned i = 0; i < stale->n_past; i++) {
		struct past_root *other = &stale->past[i];

		if (other->context == n && other->kept == kept &&
			same_root(&other->root, &past.root)) {
			past.from = other->from;
			*other = past;
			return;
		}
	}
	if (stale->n_past == STALE_MAX_ROOTS) {
		stale->n_past--;
		forget(stale, stale->past[0].open ? time : stale->past[0].to);
		memmove(&stale->past[0], &stale->past[1], stale->n_past * sizeof(stale->past[0]));
	}
	stale->past[stale->n_past++] = past;
}

/* When context @n was last in use: @time, which is now, or when it was left. */
static uint64_t last_use(const struct stale *stale, unsigned n, uint64_t time)
{
	return n == stale->current ? time : stale->contexts[n].left;
}

/* Only global translations are left of the earlier roots of context @n. */
static void keep_past_global(struct stale *stale, unsigned n, uint64_t time)
{
	for (unsigned i = 0; i < stale->n_past; i++) {
		struct past_root *past = &stale->past[i];

		if (past->context != n || !past->kept)
			continue;
		if (past->open)
			past->to = last_use(stale, n, time);
		past->kept = past->open = false;
	}
}

static void forget_context(struct stale *stale, unsigned n)
{
	unsigned n_kept = 0;

	for (unsigned i = 0; i < stale->n_past; i++)
		if (stale->past[i].context != n)
			stale->past[n_kept++] = stale->past[i];
	stale->n_past = n_kept;
	forget(stale, stale->contexts[n].left);
}

/* The context of @pcid, made if there is none; then nothing is in it. */
static unsigned context_of(struct stale *stale, unsigned pcid)
{
	unsigned victim = stale->current ? 0 : 1;

	for (unsigned i = 0; i < STALE_MAX_PCIDS; i++) {
		const struct context *context = &stale->contexts[i];

		if (context->in_use && context->pcid == pcid)
			return i;
		if (i == stale->current || !stale->contexts[victim].in_use)
			continue;
		if (!context->in_use || context->left < stale->contexts[victim].left)
			victim = i;
	}
	if (!stale->in_use)
		victim = 0;
	if (stale->contexts[victim].in_use)
		forget_context(stale, victim);
	memset(&stale->contexts[victim], 0, sizeof(stale->contexts[victim]));
	stale->contexts[victim].pcid = pcid;
	return victim;
}

struct stale *stale_new(void)
{
	return calloc(1, sizeof(struct stale));
}

void stale_free(struct stale *stale)
{
	free(stale);
}

/* Context @n is current again. */
static void wake(struct stale *stale, unsigned n, uint64_t time)
{
	struct context *context = &stale->contexts[n];

	if (context->n_gaps == N_GAPS) {
		context->n_gaps--;
		memmove(&context->gaps[0], &context->gaps[1],
			context->n_gaps * sizeof(context->gaps[0]));
	}
	context->gaps[context->n_gaps++] = (struct gap){.from = context->left, .to = time};
}

/* Root @root begins anew in context @n. */
static void begin_root(
	struct stale *stale, unsigned n, const struct stale_root *root, uint64_t time)
{
	struct context *context = &stale->contexts[n];

	context->in_use = true;
	context->root = *root;
	context->since = time;
	context->n_boundaries = 0;
}

static void load_nothing_kept(
	struct stale *stale, const struct stale_root *root, unsigned pcid, uint64_t time)
{
	stale->n_past = 0;
	stale->forgotten = 0;
	stale->full_flush = time;
	for (unsigned i = 0; i < STALE_MAX_PCIDS; i++)
		stale->contexts[i].in_use = false;
	stale->in_use = false;
	stale->current = context_of(stale, pcid);
	stale->in_use = true;
	begin_root(stale, stale->current, root, time);
}

void stale_load(struct stale *stale, const struct stale_root *root, unsigned pcid,
	enum stale_keep keep, uint64_t time)
{
	struct context *context;
	unsigned n;

	if (keep == STALE_KEEP_NONE || !stale->in_use) {
		load_nothing_kept(stale, root, pcid, time);
		return;
	}
	n = context_of(stale, pcid);
	context = &stale->contexts[n];
	if (n != stale->current) {
		stale->contexts[stale->current].left = time;
		if (context->in_use)
			wake(stale, n, time);
	}
	stale->current = n;
	if (!context->in_use) {
		begin_root(stale, n, root, time);
	} else if (keep == STALE_KEEP_GLOBAL) {
		leave_root(stale, n, false, time);
		keep_past_global(stale, n, time);
		begin_root(stale, n, root, time);
	} else if (!same_root(&context->root, root)) {
		leave_root(stale, n, true, time);
		begin_root(stale, n, root, time);
	}
}

void stale_invlpg(struct stale *stale, uint64_t gva, bool tce, uint64_t time)
{
	stale_fault(stale, gva, time);
	if (!tce)
		end_partial(stale, stale->current, time);
}

/* A fault drops only the partial translations that its address would use. They are those of its
 * own region of 2M or 4M, dropped at every level, and the upper ones of regions beside it, which
 * we let live. */
void stale_fault(struct stale *stale, uint64_t gva, uint64_t time)
{
	drop_all_sizes(stale, &stale->contexts[stale->current].drops, gva, time);
	drop_all_sizes(stale, &stale->global_drops, gva, time);
}

void stale_drop_address(struct stale *stale, unsigned pcid, uint64_t gva, bool tce, uint64_t time)
{
	for (unsigned i = 0; i < STALE_MAX_PCIDS; i++) {
		if (!stale->contexts[i].in_use || stale->contexts[i].pcid != pcid)
			continue;
		drop_all_sizes(stale, &stale->contexts[i].drops, gva, time);
		if (!tce)
			end_partial(stale, i, time);
	}
}

static void drop_context(struct stale *stale, unsigned n, uint64_t time)
{
	struct context *context = &stale->contexts[n];
	struct stale_root root = context->root;

	if (!context->in_use)
		return;
	leave_root(stale, n, false, last_use(stale, n, time));
	keep_past_global(stale, n, time);
	begin_root(stale, n, &root, time);
}

void stale_drop_context(struct stale *stale, unsigned pcid, uint64_t time)
{
	for (unsigned i = 0; i < STALE_MAX_PCIDS; i++)
		if (stale->contexts[i].pcid == pcid)
			drop_context(stale, i, time);
}

void stale_drop_contexts(struct stale *stale, uint64_t time)
{
	for (unsigned i = 0; i < STALE_MAX_PCIDS; i++)
		drop_context(stale, i, time);
}

void stale_drop_all(struct stale *stale, uint64_t time)
{
	struct stale_root root = current(stale)->root;

	load_nothing_kept(stale, &root, current(stale)->pcid, time);
}

const struct stale_root *stale_root(const struct stale *stale)
{
	return stale->in_use ? &current(stale)->root : NULL;
}

unsigned stale_pcid(const struct stale *stale)
{
	return current(stale)->pcid;
}

uint64_t stale_full_flush(const struct stale *stale)
{
	return stale->full_flush;
}

uint64_t stale_page_since(const struct stale *stale, uint64_t gva, unsigned page_shift, bool global)
{
	const struct drops *drops = global ? &stale->global_drops : &current(stale)->drops;

	return last_dropped(drops, page_of(stale, gva, page_shift));
}

uint64_t stale_forgotten(const struct stale *stale)
{
	return stale->forgotten;
}

uint64_t stale_awake(const struct stale *stale, unsigned context, uint64_t time)
{
	const struct context *at = &stale->contexts[context];

	for (unsigned i = 0; i < at->n_gaps; i++)
		if (time > at->gaps[i].from && time < at->gaps[i].to)
			return at->gaps[i].to;
	return time;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The times between which partial translations of @gva lived, newest first, down to @oldest. */
static unsigned list_ends(const struct stale *stale, uint64_t gva, uint64_t oldest,
	uint64_t ends[STALE_MAX_BOUNDARIES + 1])
{
	const struct context *context = current(stale);
	unsigned shift = context->root.mode == ORACLE_32BIT ? 22 : 21;
	uint64_t region = last_dropped(&context->drops, page_of(stale, gva, shift));
	unsigned n = 0;

	for (unsigned i = context->n_boundaries; i-- > 0 && context->boundaries[i] > oldest;) {
		if (region > context->boundaries[i]) {
			ends[n++] = region;
			region = 0;
		}
		if (region == context->boundaries[i])
			region = 0;
		ends[n++] = context->boundaries[i];
	}
	if (region > oldest)
		ends[n++] = region;
	return n;
}

/* Epochs of the root in use under the current PCID. */
static unsigned list_current(
	const struct stale *stale, uint64_t gva, uint64_t dropped, struct stale_epoch *epochs)
{
	const struct context *context = current(stale);
	uint64_t ends[STALE_MAX_BOUNDARIES + 1];
	uint64_t oldest = later(context->since, dropped);
	unsigned n_ends = list_ends(stale, gva, oldest, ends);

	for (unsigned i = 0; i <= n_ends; i++) {
		epochs[i] = (struct stale_epoch){
			.root = &context->root,
			.context = stale->current,
			.from = i < n_ends ? ends[i] : oldest,
			.to = i > 0 ? ends[i - 1] : UINT64_MAX,
			.live = i == 0,
		};
	}
	return n_ends + 1;
}

/* Global translations made under the roots that other PCIDs have now, and under the present one
 * before something that drops only others. */
static unsigned list_global(const struct stale *stale, uint64_t dropped, struct stale_epoch *epochs)
{
	unsigned n = 0;

	for (unsigned i = 0; i < STALE_MAX_PCIDS; i++) {
		const struct context *context = &stale->contexts[i];

		if (!context->in_use)
			continue;
		epochs[n++] = (struct stale_epoch){
			.root = &context->root,
			.context = i,
			.from = later(context->since, dropped),
			.to = last_use(stale, i, UINT64_MAX),
			.global_only = true,
		};
	}
	return n;
}

unsigned stale_epochs(
	const struct stale *stale, uint64_t gva, struct stale_epoch epochs[STALE_MAX_EPOCHS])
{
	uint64_t dropped = stale_page_since(stale, gva, 12, false);
	uint64_t global_dropped = stale_page_since(stale, gva, 12, true);
	unsigned n = list_current(stale, gva, dropped, epochs);

	for (unsigned i = stale->n_past; i-- > 0;) {
		const struct past_root *past = &stale->past[i];
		struct stale_epoch epoch = {
			.root = &past->root,
			.context = past->context,
			.from = later(past->from, global_dropped),
			.to = past->open ? last_use(stale, past->context, UINT64_MAX) : past->to,
			.global_only = true,
		};

		epochs[n++] = epoch;
		if (!past->kept || past->context != stale->current)
			continue;
		epoch.from = later(past->from, dropped);
		epoch.live = past->open;
		epoch.global_only = false;
		epochs[n++] = epoch;
	}
	return n + list_global(stale, global_dropped, epochs + n);
}
