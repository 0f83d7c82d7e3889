/* SPDX-License-Identifier: MIT */
/*
 * The model's events and verdicts. Almost every outcome is the one that memory gives now, so that
 * is tried first; the search (legal_search.h) is for the rest.
 */
#include "lab/legal.h"

#include "lab/legal_search.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	DEFAULT_CHANGES = 1 << 20,
};

struct vcpu {
	struct stale *stale;
	bool tce;
	bool fault_pending; /* of the last legal_check(), not yet in stale */
	uint64_t fault_gva;
	uint64_t fault_time;
};

struct legal {
	struct history *history;
	unsigned n_vcpus;
	struct vcpu *vcpus;
	uint64_t undecided;
	struct search_paths paths[2]; /* scratch of searches */
};

static struct search new_search(
	struct legal *legal, const struct legal_access *what, const struct legal_outcome *observed)
{
	return (struct search){
		.history = legal->history,
		.stale = legal->vcpus[what->vcpu].stale,
		.paths = legal->paths,
		.what = what,
		.observed = observed,
	};
}

/* Can caches, or a path through them, explain @observed? */
static bool is_explained(struct legal *legal, const struct legal_access *what,
	const struct legal_outcome *observed, bool want_ad)
{
	struct search search = new_search(legal, what, observed);

	search.want_ad = want_ad;
	search_run(&search);
	if (search.found)
		return true;
	if (!search_undecided(&search))
		return false;
	legal->undecided++;
	return true;
}

/* May the access set the bits @set in the aligned word at @gpa, on any path it can have taken? */
static bool may_set(struct legal *legal, const struct legal_access *what,
	const struct legal_outcome *observed, uint64_t gpa, uint64_t set)
{
	struct search search = new_search(legal, what, observed);

	search.word = &gpa;
	search_run(&search);
	if (!(set & ~search.bits))
		return true;
	if (!search_undecided(&search))
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

static unsigned pcid_of(const struct oracle_cpu *cpu)
{
	return cpu->cr4 & ORACLE_CR4_PCIDE ? cpu->cr3 & 0xfff : 0;
}

static bool is_loaded(const struct vcpu *vcpu, const struct oracle_cpu *cpu)
{
	const struct stale_root *loaded = stale_root(vcpu->stale);
	struct stale_root root = root_of(cpu);

	if (!loaded || loaded->mode != root.mode || loaded->cr3 != root.cr3 ||
		stale_pcid(vcpu->stale) != pcid_of(cpu))
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

static void print_outcome(char *text, size_t n_bytes, const struct legal_outcome *outcome)
{
	if (outcome->outcome == ORACLE_OK && outcome->is_gpa)
		snprintf(text, n_bytes, "memory of some kind");
	else if (outcome->outcome == ORACLE_OK && outcome->typed)
		snprintf(text, n_bytes, "gpa=%#" PRIx64 " pat=%u", outcome->gpa, outcome->pat);
	else if (outcome->outcome == ORACLE_OK)
		snprintf(text, n_bytes, "gpa=%#" PRIx64, outcome->gpa);
	else if (outcome->outcome == ORACLE_PAGE_FAULT)
		snprintf(text, n_bytes, "#PF code=%#x", (unsigned)outcome->error_code);
	else
		snprintf(text, n_bytes, "not canonical");
}

static bool refuse_outcome(struct legal_why *why, const struct legal_access *what,
	const struct legal_outcome *observed, const struct oracle_result *now)
{
	static const char *const kinds[] = {"read", "write", "fetch"};
	const struct legal_outcome memory = {.outcome = now->outcome,
		.gpa = now->gpa,
		.error_code = now->error_code,
		.typed = observed->typed,
		.pat = now->rights.pat};
	char seen[64], expected[64];

	print_outcome(seen, sizeof(seen), observed);
	print_outcome(expected, sizeof(expected), &memory);
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
		return legal_is_gpa(observed, now->gpa) &&
		       (!observed->typed || now->rights.pat == observed->pat);
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

/* What ended before the last full flush of every vCPU is needed no more. */
static void prune(struct legal *legal)
{
	uint64_t oldest = history_time(legal->history);

	for (unsigned i = 0; i < legal->n_vcpus; i++) {
		const struct stale *stale = legal->vcpus[i].stale;

		if (stale_root(stale) && stale_full_flush(stale) < oldest)
			oldest = stale_full_flush(stale);
	}
	history_prune(legal->history, oldest);
}

void legal_flush(
	struct legal *legal, unsigned vcpu, enum legal_flush kind, const struct oracle_cpu *after)
{
	static const enum stale_keep keeps[] = {
		[LEGAL_FLUSH_NOTHING] = STALE_KEEP_ALL,
		[LEGAL_FLUSH_KEEP_GLOBAL] = STALE_KEEP_GLOBAL,
		[LEGAL_FLUSH_ALL] = STALE_KEEP_NONE,
	};
	struct stale_root root = root_of(after);

	settle_fault(&legal->vcpus[vcpu]);
	legal->vcpus[vcpu].tce = after->efer & ORACLE_EFER_TCE;
	stale_load(legal->vcpus[vcpu].stale, &root, pcid_of(after), keeps[kind],
		history_time(legal->history));
	if (kind == LEGAL_FLUSH_ALL)
		prune(legal);
}

void legal_invlpg(struct legal *legal, unsigned vcpu, uint64_t gva)
{
	struct vcpu *at = &legal->vcpus[vcpu];

	settle_fault(at);
	stale_invlpg(at->stale, gva, at->tce, history_time(legal->history));
}

void legal_invpcid(
	struct legal *legal, unsigned vcpu, enum legal_invpcid type, unsigned pcid, uint64_t gva)
{
	struct stale *stale = legal->vcpus[vcpu].stale;
	uint64_t now = history_time(legal->history);

	settle_fault(&legal->vcpus[vcpu]);
	switch (type) {
	case LEGAL_INVPCID_ADDRESS:
		stale_drop_address(stale, pcid, gva, legal->vcpus[vcpu].tce, now);
		break;
	case LEGAL_INVPCID_CONTEXT:
		stale_drop_context(stale, pcid, now);
		break;
	case LEGAL_INVPCID_ALL:
		stale_drop_all(stale, now);
		prune(legal);
		break;
	case LEGAL_INVPCID_ALL_BUT_GLOBAL:
		stale_drop_contexts(stale, now);
		break;
	}
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
