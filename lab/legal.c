/* SPDX-License-Identifier: MIT */
/*
 * The search for a reason: could hardware with stale caches have done what was observed?
 *
 * The rules of one entry are the oracle's; what was in memory is the history's; how old a cached
 * entry may be is known to lab/stale.c. Here they meet. Almost every outcome is the one that memory
 * gives now, so that is tried first and the search is for the rest.
 */
#include "lab/legal.h"

#include "lab/history.h"
#include "lab/stale.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	DEFAULT_CHANGES = 1 << 20,
	MAX_PATHS = 1024, /* ways to reach one level that differ in table or rights */
};

/* The way down to a table: the walk so far, and the earliest time at which it can have got there.
 * An earlier time allows whatever a later one does, so that alone is kept. */
struct path {
	struct oracle_walk walk;
	uint64_t time;
};

struct paths {
	unsigned n;
	struct path path[MAX_PATHS];
};

struct vcpu {
	struct stale *stale;
	bool fault_pending; /* of the last legal_check(), not yet in stale */
	uint64_t fault_gva;
	uint64_t fault_time;
};

struct legal {
	struct history *history;
	unsigned n_vcpus;
	struct vcpu *vcpus;
	uint64_t undecided;
	struct paths paths[2]; /* scratch: of this level and of the next */
};

struct search {
	/* given */
	struct legal *legal;
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
	bool overflow; /* more than MAX_PATHS: the search was not complete */
	uint64_t bits;
};

/* One value that the entry at a path's end has had. */
struct candidate {
	uint64_t slot;
	uint64_t value;
	uint64_t time;  /* earliest at which it can have been read on this path */
	uint64_t until; /* when it was replaced */
	bool current;   /* the access can have read it itself */
};

static const struct stale *stale_of(const struct search *search)
{
	return search->legal->vcpus[search->what->vcpu].stale;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Can the complete translation by this leaf have been made at the candidate's time or after, and
 * still be there? */
static bool may_be_cached(
	const struct search *search, const struct oracle_walk *walk, const struct candidate *leaf)
{
	const struct stale_epoch *epoch = &search->epoch;
	uint64_t dropped =
		stale_page_since(stale_of(search), search->what->access.gva, walk->page_shift);
	uint64_t made = later(leaf->time, dropped);

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
	if (observed->outcome != ORACLE_OK || observed->gpa != walk->gpa)
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
	struct paths *next = &search->legal->paths[walk->level & 1];

	for (unsigned i = 0; i < next->n; i++) {
		struct path *path = &next->path[i];

		if (path->walk.table == walk->table &&
			path->walk.rights.write == walk->rights.write &&
			path->walk.rights.user == walk->rights.user &&
			path->walk.rights.execute == walk->rights.execute) {
			if (time < path->time)
				path->time = time;
			return;
		}
	}
	if (next->n == MAX_PATHS) {
		search->overflow = true;
		return;
	}
	next->path[next->n++] = (struct path){.walk = *walk, .time = time};
}

static void try_candidate(
	struct search *search, const struct path *path, const struct candidate *candidate)
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
static void try_path(struct search *search, const struct path *path)
{
	const struct legal_access *what = search->what;
	const struct stale_epoch *epoch = &search->epoch;
	uint64_t slot = oracle_slot(&search->cpu, &what->access, &path->walk);
	bool is_half = oracle_entry_bytes(&search->cpu) == 4;
	uint64_t word = what->memory->read(what->memory->context, slot & ~7ull, 8);
	struct history_version version = history_newest(search->legal->history, slot & ~7ull, word);

	do {
		struct candidate candidate = {
			.slot = slot,
			.value = version.value,
			.time = later(path->time, version.since),
			.until = version.until,
			.current = epoch->live && version.until > search->began,
		};

		if (version.until <= path->time)
			break;
		if (is_half)
			candidate.value = (candidate.value >> (8 * (slot & 7))) & UINT32_MAX;
		/* An entry with A=0 is used by nobody but a walk that sets A: this access's. */
		if (!(candidate.value & ORACLE_A)) {
			if (!candidate.current)
				continue;
			candidate.time = later(candidate.time, search->began);
		}
		try_candidate(search, path, &candidate);
	} while (history_older(search->legal->history, &version));
}

static bool is_done(const struct search *search)
{
	return search->found && !search->word;
}

static void search_epoch(struct search *search)
{
	const struct stale_root *root = search->epoch.root;
	struct path start = {.time = search->epoch.from};
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
	search->legal->paths[level & 1].n = 0;
	add_path(search, &start.walk, start.time);
	for (; level > 0; level--) {
		const struct paths *paths = &search->legal->paths[level & 1];

		search->legal->paths[(level - 1) & 1].n = 0;
		for (unsigned i = 0; i < paths->n && !is_done(search); i++)
			try_path(search, &paths->path[i]);
	}
}

/* Search the epochs, the live one first. */
static void run_search(struct search *search)
{
	struct stale_epoch epochs[STALE_MAX_EPOCHS];
	unsigned n = stale_epochs(stale_of(search), search->what->access.gva, epochs);

	search->began = search->what->began;
	if (search->began == 0)
		search->began = history_time(search->legal->history);
	for (unsigned i = 0; i < n && !is_done(search); i++) {
		search->epoch = epochs[i];
		search_epoch(search);
	}
}

/* Was anything forgotten that could have explained the outcome? */
static bool is_undecided(const struct search *search)
{
	const struct stale *stale = stale_of(search);
	uint64_t oldest = later(
		stale_full_flush(stale), stale_page_since(stale, search->what->access.gva, 12));

	return search->overflow || history_forgotten(search->legal->history) > oldest ||
	       stale_forgotten(stale) > oldest;
}

/* Can caches, or a path through them, explain @observed? */
static bool is_explained(struct legal *legal, const struct legal_access *what,
	const struct legal_outcome *observed, bool want_ad)
{
	struct search search = {
		.legal = legal,
		.what = what,
		.observed = observed,
		.want_ad = want_ad,
	};

	run_search(&search);
	if (search.found)
		return true;
	if (!is_undecided(&search))
		return false;
	legal->undecided++;
	return true;
}

/* May the access set the bits @set in the aligned word at @gpa, on any path it can have taken? */
static bool may_set(struct legal *legal, const struct legal_access *what,
	const struct legal_outcome *observed, uint64_t gpa, uint64_t set)
{
	struct search search = {
		.legal = legal,
		.what = what,
		.observed = observed,
		.word = &gpa,
	};

	run_search(&search);
	if (!(set & ~search.bits))
		return true;
	if (!is_undecided(&search))
		return false;
	legal->undecided++;
	return true;
}

static struct stale_root root_of(const struct oracle_cpu *cpu)
{
	struct stale_root root = {.mode = oracle_mode(cpu)};

	if (root.mode == ORACLE_PAE) {
		for (unsigned i = 0; i < 4; i++)
			root.pdpte[i] = cpu->pdpte[i];
	} else if (root.mode != ORACLE_UNPAGED) {
		root.cr3 = cpu->cr3 & 0x000ffffffffff000ull;
	}
	return root;
}

static bool is_loaded(const struct vcpu *vcpu, const struct oracle_cpu *cpu)
{
	const struct stale_root *loaded = stale_root(vcpu->stale);
	struct stale_root root = root_of(cpu);

	if (!loaded || loaded->mode != root.mode || loaded->cr3 != root.cr3)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (loaded->pdpte[i] != root.pdpte[i])
			return false;
	}
	return true;
}

__attribute__((format(printf, 2, 3))) static bool refuse(
	struct legal_why *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why->text, sizeof(why->text), format, arguments);
	va_end(arguments);
	return false;
}

static void print_outcome(
	char *text, size_t n_bytes, enum oracle_outcome outcome, uint64_t gpa, uint32_t error_code)
{
	if (outcome == ORACLE_OK)
		snprintf(text, n_bytes, "gpa=%#" PRIx64, gpa);
	else if (outcome == ORACLE_PAGE_FAULT)
		snprintf(text, n_bytes, "#PF code=%#x", (unsigned)error_code);
	else
		snprintf(text, n_bytes, "not canonical");
}

static bool refuse_outcome(struct legal_why *why, const struct legal_access *what,
	const struct legal_outcome *observed, const struct oracle_result *now)
{
	static const char *const kinds[] = {"read", "write", "fetch"};
	char seen[64], expected[64];

	print_outcome(seen, sizeof(seen), observed->outcome, observed->gpa, observed->error_code);
	print_outcome(expected, sizeof(expected), now->outcome, now->gpa, now->error_code);
	return refuse(why,
		"vcpu %u %s%s %s of gva=%#" PRIx64 ": observed %s, memory gives %s, "
		"and no cached entry explains it",
		what->vcpu, what->access.user ? "user" : "supervisor",
		what->access.implicit ? " implicit" : "", kinds[what->access.kind],
		what->access.gva, seen, expected);
}

static bool matches(const struct oracle_result *now, const struct legal_outcome *observed)
{
	if (now->outcome != observed->outcome)
		return false;
	if (now->outcome == ORACLE_OK)
		return now->gpa == observed->gpa;
	return now->outcome != ORACLE_PAGE_FAULT || now->error_code == observed->error_code;
}

/* The fault of the last check has been delivered: what was cached for it is gone. */
static void settle_fault(struct vcpu *vcpu)
{
	if (vcpu->fault_pending)
		stale_fault(vcpu->stale, vcpu->fault_gva, vcpu->fault_time);
	vcpu->fault_pending = false;
}

struct legal *legal_new(unsigned n_vcpus, size_t n_changes)
{
	struct legal *legal = calloc(1, sizeof(*legal));

	if (!legal)
		return NULL;
	legal->history = history_new(n_changes ? n_changes : DEFAULT_CHANGES);
	legal->vcpus = calloc(n_vcpus, sizeof(*legal->vcpus));
	if (!legal->history || !legal->vcpus) {
		legal_free(legal);
		return NULL;
	}
	for (; legal->n_vcpus < n_vcpus; legal->n_vcpus++) {
		legal->vcpus[legal->n_vcpus].stale = stale_new();
		if (!legal->vcpus[legal->n_vcpus].stale) {
			legal_free(legal);
			return NULL;
		}
	}
	return legal;
}

void legal_free(struct legal *legal)
{
	if (!legal)
		return;
	for (unsigned i = 0; i < legal->n_vcpus; i++)
		stale_free(legal->vcpus[i].stale);
	free(legal->vcpus);
	history_free(legal->history);
	free(legal);
}

void legal_note_write(struct legal *legal, uint64_t gpa, uint64_t before, uint64_t after)
{
	if (before != after)
		history_write(legal->history, gpa, before);
}

void legal_flush(
	struct legal *legal, unsigned vcpu, enum legal_flush kind, const struct oracle_cpu *after)
{
	uint64_t now = history_time(legal->history);
	struct stale_root root = root_of(after);
	uint64_t oldest = now;

	settle_fault(&legal->vcpus[vcpu]);
	stale_flush(legal->vcpus[vcpu].stale, &root, kind == LEGAL_FLUSH_KEEP_GLOBAL, now);
	if (kind == LEGAL_FLUSH_KEEP_GLOBAL)
		return;
	for (unsigned i = 0; i < legal->n_vcpus; i++) {
		const struct stale *stale = legal->vcpus[i].stale;

		if (stale_root(stale) && stale_full_flush(stale) < oldest)
			oldest = stale_full_flush(stale);
	}
	history_prune(legal->history, oldest);
}

void legal_invlpg(struct legal *legal, unsigned vcpu, uint64_t gva)
{
	settle_fault(&legal->vcpus[vcpu]);
	stale_invlpg(legal->vcpus[vcpu].stale, gva, history_time(legal->history));
}

uint64_t legal_time(const struct legal *legal)
{
	return history_time(legal->history);
}

bool legal_check(struct legal *legal, const struct legal_access *what,
	const struct legal_outcome *observed, struct legal_why *why)
{
	struct vcpu *vcpu = &legal->vcpus[what->vcpu];
	struct oracle_result now;

	why->text[0] = '\0';
	settle_fault(vcpu);
	if (!is_loaded(vcpu, what->cpu))
		return refuse(why, "vcpu %u uses a CR3 or mode that no legal_flush() told of",
			what->vcpu);
	oracle_access(what->cpu, what->memory, &what->access, &now);
	if (!matches(&now, observed) && !is_explained(legal, what, observed, false))
		return refuse_outcome(why, what, observed, &now);
	if (observed->outcome == ORACLE_PAGE_FAULT) {
		vcpu->fault_pending = true;
		vcpu->fault_gva = what->access.gva;
		vcpu->fault_time = history_time(legal->history);
	}
	return true;
}

/* Does the path in memory, if it leads to @observed, have all the A and D bits it needs? */
static bool is_marked(const struct oracle_result *now, const struct legal_outcome *observed)
{
	if (!matches(now, observed))
		return false;
	for (unsigned i = 0; now->outcome == ORACLE_OK && i < now->n_entries; i++) {
		if (now->entries[i].value != now->entries[i].after)
			return false;
	}
	return true;
}

/* What the access may have set in the aligned word at @gpa on the path that memory shows now. */
static uint64_t settable_now(
	const struct oracle_result *now, const struct legal_access *what, uint64_t gpa)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < now->n_entries; i++) {
		const struct oracle_entry *entry = &now->entries[i];
		bool last = i == now->n_entries - 1;
		uint64_t own = ORACLE_A;

		if ((entry->gpa & ~7ull) != gpa)
			continue;
		if (now->outcome == ORACLE_PAGE_FAULT && last)
			continue; /* was it used? The search tells. */
		if (now->outcome == ORACLE_OK && last && what->access.kind == ORACLE_WRITE)
			own |= ORACLE_D;
		bits |= own << (8 * (entry->gpa & 7));
	}
	return bits;
}

bool legal_check_ad(struct legal *legal, const struct legal_access *what,
	const struct legal_outcome *observed, const struct legal_change *changes, size_t n,
	struct legal_why *why)
{
	struct oracle_result now;

	why->text[0] = '\0';
	oracle_access(what->cpu, what->memory, &what->access, &now);
	if (observed->outcome == ORACLE_OK && !is_marked(&now, observed) &&
		!is_explained(legal, what, observed, true))
		return refuse(why,
			"vcpu %u access to gva=%#" PRIx64 " left A or D clear on its path",
			what->vcpu, what->access.gva);
	for (size_t i = 0; i < n; i++) {
		uint64_t set = changes[i].after & ~changes[i].before;
		uint64_t cleared = changes[i].before & ~changes[i].after;
		uint64_t known = 0;

		if (matches(&now, observed))
			known = settable_now(&now, what, changes[i].gpa);
		if (cleared ||
			((set & ~known) && !may_set(legal, what, observed, changes[i].gpa, set)))
			return refuse(why,
				"vcpu %u access to gva=%#" PRIx64
				" changed the word at gpa=%#" PRIx64 " from %#" PRIx64
				" to %#" PRIx64,
				what->vcpu, what->access.gva, changes[i].gpa, changes[i].before,
				changes[i].after);
	}
	return true;
}

uint64_t legal_undecided(const struct legal *legal)
{
	return legal->undecided;
}
