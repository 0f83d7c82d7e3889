/* SPDX-License-Identifier: MIT */
/*
 * The search of legal_search.h. The rules of one entry are the oracle's; what was in memory is the
 * history's; how old a cached entry may be is known to lab/stale.c. Here they meet.
 */
#include "lab/legal_search.h"

/* One value that the entry at a path's end has had. */
struct candidate {
	uint64_t slot;
	uint64_t value;
	uint64_t time;  /* earliest at which it can have been read on this path */
	uint64_t until; /* when it was replaced */
	bool current;   /* the access can have read it itself */
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The first time from @time on at which the epoch's PCID was the current one. */
static uint64_t awake(const struct search *search, uint64_t time)
{
	return stale_awake(search->stale, search->epoch.context, time);
}

/* Can the complete translation by this leaf have been made at the candidate's time or after, and
 * still be there? */
static bool may_be_cached(
	const struct search *search, const struct oracle_walk *walk, const struct candidate *leaf)
{
	const struct stale_epoch *epoch = &search->epoch;
	uint64_t dropped = stale_page_since(
		search->stale, search->what->access.gva, walk->page_shift, walk->rights.global);
	uint64_t made = awake(search, later(leaf->time, dropped));

	if (epoch->global_only && !walk->rights.global)
		return false;
	/* A drop at the time an epoch of this root ended came with its end, or after it. */
	if (!epoch->global_only && dropped == epoch->to)
		return false;
	return made < leaf->until && made <= epoch->to;
}

static void try_leaf(
	struct search *search, const struct oracle_walk *walk, const struct candidate *leaf)
{
	const struct oracle_access *access = &search->what->access;
	const struct legal_outcome *observed = search->observed;
	bool dirty = access->kind != ORACLE_WRITE || (leaf->value & ORACLE_D);
	uint32_t error_code;

	if (!leaf->current && !may_be_cached(search, walk, leaf))
		return;
	if (!oracle_permits(&search->cpu, access, &walk->rights, &error_code)) {
		if (observed->outcome == ORACLE_PAGE_FAULT && observed->error_code == error_code)
			search->found = true;
		return;
	}
	if (observed->outcome != ORACLE_OK || !legal_is_gpa(observed, walk->gpa))
		return;
	if (observed->typed && observed->pat != walk->rights.pat)
		return;
	/* To set D the leaf is read again, and it is the one in memory that gets it. */
	if (dirty || (leaf->current && !search->want_ad))
		search->found = true;
	if (search->word && leaf->current && access->kind == ORACLE_WRITE &&
		(leaf->slot & ~7ull) == *search->word)
		search->bits |= ORACLE_D << (8 * (leaf->slot & 7));
}

static void add_path(struct search *search, const struct oracle_walk *walk, uint64_t time)
{
	struct search_paths *next = &search->paths[walk->level & 1];

	for (unsigned i = 0; i < next->n; i++) {
		struct search_path *path = &next->path[i];

		if (path->walk.table == walk->table &&
			path->walk.rights.write == walk->rights.write &&
			path->walk.rights.user == walk->rights.user &&
			path->walk.rights.execute == walk->rights.execute) {
			if (time < path->time)
				path->time = time;
			return;
		}
	}
	if (next->n == SEARCH_MAX_PATHS) {
		search->overflow = true;
		return;
	}
	next->path[next->n++] = (struct search_path){.walk = *walk, .time = time};
}

static void try_candidate(
	struct search *search, const struct search_path *path, const struct candidate *candidate)
{
	struct oracle_walk walk = path->walk;
	enum oracle_step step =
		oracle_advance(&search->cpu, &search->what->access, &walk, candidate->value);

	if (step == ORACLE_STEP_FAULT) {
		/* What is not present, or reserved, is never cached: only memory says so, now. */
		if (candidate->current && search->observed->outcome == ORACLE_PAGE_FAULT &&
			search->observed->error_code == walk.error_code)
			search->found = true;
		return;
	}
	if (search->want_ad && !(candidate->value & ORACLE_A))
		return;
	if (search->word && candidate->current && (candidate->slot & ~7ull) == *search->word)
		search->bits |= ORACLE_A << (8 * (candidate->slot & 7));
	if (step == ORACLE_STEP_LEAF)
		try_leaf(search, &walk, candidate);
	else
		add_path(search, &walk, candidate->time);
}

/* Try each value that the entry at the end of @path has had in the epoch. */
static void try_path(struct search *search, const struct search_path *path)
{
	const struct legal_access *what = search->what;
	const struct stale_epoch *epoch = &search->epoch;
	uint64_t slot = oracle_slot(&search->cpu, &what->access, &path->walk);
	bool is_half = oracle_entry_bytes(&search->cpu) == 4;
	uint64_t word = what->memory->read(what->memory->context, slot & ~7ull, 8);
	struct history_version version = history_newest(search->history, slot & ~7ull, word);

	do {
		struct candidate candidate = {
			.slot = slot,
			.value = version.value,
			.time = awake(search, later(path->time, version.since)),
			.until = version.until,
			.current = epoch->live && version.until > search->began,
		};

		if (version.until <= path->time)
			break;
		if (version.until <= candidate.time)
			continue;
		if (is_half)
			candidate.value = (candidate.value >> (8 * (slot & 7))) & UINT32_MAX;
		/* An entry with A=0 is used by nobody but a walk that sets A: this access's. */
		if (!(candidate.value & ORACLE_A)) {
			if (!candidate.current)
				continue;
			candidate.time = later(candidate.time, search->began);
		}
		try_candidate(search, path, &candidate);
	} while (history_older(search->history, &version));
}

static bool is_done(const struct search *search)
{
	return search->found && !search->word;
}

static void search_epoch(struct search *search)
{
	const struct stale_root *root = search->epoch.root;
	struct search_path start = {.time = awake(search, search->epoch.from)};
	unsigned level;

	search->cpu = *search->what->cpu;
	search->cpu.cr3 = root->cr3;
	for (unsigned i = 0; i < 4; i++)
		search->cpu.pdpte[i] = root->pdpte[i];
	if (root->mode != oracle_mode(&search->cpu))
		return;
	if (oracle_begin(&search->cpu, &search->what->access, &start.walk) != ORACLE_STEP_TABLE)
		return;

	level = start.walk.level;
	search->paths[level & 1].n = 0;
	add_path(search, &start.walk, start.time);
	for (; level > 0; level--) {
		const struct search_paths *paths = &search->paths[level & 1];

		search->paths[(level - 1) & 1].n = 0;
		for (unsigned i = 0; i < paths->n && !is_done(search); i++)
			try_path(search, &paths->path[i]);
	}
}

void search_run(struct search *search)
{
	struct stale_epoch epochs[STALE_MAX_EPOCHS];
	unsigned n = stale_epochs(search->stale, search->what->access.gva, epochs);

	search->began = search->what->began;
	if (search->began == 0)
		search->began = history_time(search->history);
	for (unsigned i = 0; i < n && !is_done(search); i++) {
		search->epoch = epochs[i];
		search_epoch(search);
	}
}

bool search_undecided(const struct search *search)
{
	const struct stale *stale = search->stale;
	uint64_t oldest = later(stale_full_flush(stale),
		stale_page_since(stale, search->what->access.gva, 12, true));

	return search->overflow || history_forgotten(search->history) > oldest ||
	       stale_forgotten(stale) > oldest;
}
