/* SPDX-License-Identifier: MIT */
/* Between the machine and the model of legal outcomes; owns the comparison of memory with its
 * mirror. */
#include "lab/check_model.h"

#include "lab/legal.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS       2u
#define CHANGES_MAX 64u /* words that the library may have set bits in for one access */

/* What the library has set in tables for the parts of the access under way. */
struct check_parts {
	struct {
		struct legal_change changes[CHANGES_MAX];
		size_t n;
	} part[PARTS];
};

uint64_t check_word(const struct check *check, uint64_t gpa)
{
	const struct memory_range *range = memory_range_of(gpa);
	uint64_t word;

	if (!range || range->kind == MEMORY_DEVICE)
		return UINT64_MAX;
	memcpy(&word, memory_at(check->memory, gpa), sizeof(word));
	return word;
}

/* An entry as a walk reads it. Devices are never read for tables. A and D in read-only memory
 * cannot be set, and a walk goes on without: the model takes them as set, in both halves of a word.
 */
static uint64_t read_for_walk(void *context, uint64_t gpa, unsigned n_bytes)
{
	const struct memory_range *range = memory_range_of(gpa);
	uint64_t word = check_word(context, gpa & ~7ull);

	if (n_bytes == 4)
		word = (uint32_t)(word >> (gpa & 4) * 8);
	return range && range->kind == MEMORY_READ_ONLY ? word | X86_PTE_A | X86_PTE_D : word;
}

static struct oracle_memory model_memory(struct check *check)
{
	return (struct oracle_memory){.read = read_for_walk, .context = check};
}

struct oracle_cpu check_cpu_in(const struct check *check, const struct check_vcpu *state, bool ac)
{
	struct oracle_cpu cpu = {
		.cr0 = state->regs.cr0,
		.cr3 = state->regs.cr3,
		.cr4 = state->regs.cr4,
		.efer = state->regs.efer,
		.pkru = state->pkru,
		.pkrs = state->pkrs,
		.ac = ac,
		.maxphyaddr = check->maxphyaddr,
		.has_1g_pages = !check->no_1g,
		.has_pse36 = true,
	};

	memcpy(cpu.pdpte, state->pdpte, sizeof(cpu.pdpte));
	return cpu;
}

struct oracle_cpu check_cpu(const struct check *check, unsigned vcpu, bool ac)
{
	return check_cpu_in(check, &check->vcpus[vcpu], ac);
}

static struct oracle_access model_access(const struct hw_access *access)
{
	static const enum oracle_kind kinds[] = {
		[UMBRA_READ] = ORACLE_READ,
		[UMBRA_WRITE] = ORACLE_WRITE,
		[UMBRA_FETCH] = ORACLE_FETCH,
	};

	return (struct oracle_access){
		.gva = access->gva,
		.kind = kinds[access->kind],
		.user = !access->supervisor,
		.implicit = access->implicit,
	};
}

void check_init(struct check *check, const struct lab_config *config, struct memory *memory,
	struct lab_fail *fail)
{
	check->memory = memory;
	check->fail = fail;
	check->no_1g = config->no_1g;
	check->maxphyaddr = config->maxphyaddr;
	check->sabotage = config->sabotage;
	check->legal = legal_new(config->vcpus, 0);
	check->parts = calloc(1, sizeof(*check->parts));
	if (!check->legal || !check->parts) {
		fprintf(stderr, "umbra-lab: out of memory for the model\n");
		exit(1);
	}
}

void check_free(struct check *check)
{
	if (check->legal)
		legal_free(check->legal);
	check->legal = NULL;
	free(check->parts);
	check->parts = NULL;
}

/* Take what the library changed at @gpa, if anything, into mirror and model. */
static bool take_change(struct check *check, uint64_t gpa, struct legal_change *change)
{
	const struct memory_range *range = memory_range_of(gpa);

	if (!range || range->kind == MEMORY_DEVICE)
		return false;
	change->gpa = gpa;
	memcpy(&change->before, memory_mirror(check->memory, gpa), 8);
	memcpy(&change->after, memory_at(check->memory, gpa), 8);
	if (check->sabotage == LAB_SABOTAGE_LOSE_DIRTY) {
		change->after &= change->before | ~X86_PTE_D;
		memcpy(memory_at(check->memory, gpa), &change->after, 8);
	}
	if (change->before == change->after)
		return false;
	if (range->kind == MEMORY_READ_ONLY)
		lab_fail(check->fail, "read-only memory changed at gpa 0x%" PRIx64, gpa);
	memcpy(memory_mirror(check->memory, gpa), &change->after, 8);
	legal_note_write(check->legal, gpa, change->before, change->after);
	return true;
}

/* Fail with @why and the entries that translate the address now. */
static void refuse(struct check *check, const char *what, const struct legal_why *why,
	const struct oracle_result *path)
{
	char entries[256] = "";
	size_t used = 0;

	for (unsigned i = 0; i < path->n_entries; i++)
		used += (size_t)snprintf(entries + used, sizeof(entries) - used,
			" [0x%" PRIx64 "]=0x%" PRIx64, path->entries[i].gpa,
			path->entries[i].value);
	lab_fail(check->fail, "illegal %s: %s; entries now:%s", what, why->text, entries);
}

/* Take the change at @gpa, if any, as one made for part @part. */
static void collect(struct check *check, unsigned part, uint64_t gpa)
{
	struct legal_change *changes = check->parts->part[part].changes;
	size_t *n = &check->parts->part[part].n;
	struct legal_change change;
	size_t i = 0;

	if (!take_change(check, gpa, &change))
		return;
	while (i < *n && changes[i].gpa != gpa)
		i++;
	if (i == CHANGES_MAX)
		lab_fail(check->fail, "one access sets bits in more than %u words", CHANGES_MAX);
	if (i == *n)
		changes[(*n)++] = change;
	else
		changes[i].after = change.after;
}

/* An access that has ended: the question to the model, and what the library wrote for it. */
struct trial {
	struct oracle_cpu cpu;
	struct oracle_memory memory;
	struct legal_access what;
	struct oracle_result path; /* what memory says now */
	struct legal_change *changes;
	size_t n_changes;
};

static void begin_trial(
	struct check *check, unsigned vcpu, const struct hw_access *access, struct trial *trial)
{
	trial->cpu = check_cpu(check, vcpu, access->ac);
	trial->memory = model_memory(check);
	trial->what =
		(struct legal_access){vcpu, &trial->cpu, &trial->memory, model_access(access), 0};
	oracle_access(&trial->cpu, &trial->memory, &trial->what.access, &trial->path);
	for (unsigned i = 0; i < trial->path.n_entries; i++)
		collect(check, access->part, trial->path.entries[i].gpa & ~7ull);
	trial->changes = check->parts->part[access->part].changes;
	trial->n_changes = check->parts->part[access->part].n;
}

void check_begin(struct check *check)
{
	for (unsigned i = 0; i < PARTS; i++)
		check->parts->part[i].n = 0;
}

void check_exit(struct check *check, unsigned vcpu, const struct hw_access *access)
{
	struct trial trial;

	begin_trial(check, vcpu, access, &trial);
}

/* Is @outcome legal? If not, @kind and @why say what is wrong. */
static bool passes(struct check *check, const struct trial *trial,
	const struct legal_outcome *outcome, const char **kind, struct legal_why *why)
{
	*kind = "outcome";
	if (!legal_check(check->legal, &trial->what, outcome, why))
		return false;
	*kind = "A or D";
	return legal_check_ad(
		check->legal, &trial->what, outcome, trial->changes, trial->n_changes, why);
}

/* A store of which only its second fault told that it was an implicit one, which SMAP denies, has
 * set D in its leaf as if it was none: a known gap of the library. It is not counted. */
static void pardon_dirty(
	const struct hw_access *access, const struct legal_outcome *outcome, struct trial *trial)
{
	const uint32_t kind = outcome->error_code & (X86_PF_P | X86_PF_RSVD);
	const struct oracle_entry *leaf = trial->path.entries + trial->path.n_entries;

	if (!access->disguised || access->kind != UMBRA_WRITE || trial->path.n_entries == 0 ||
		outcome->outcome != ORACLE_PAGE_FAULT || kind != X86_PF_P ||
		!(trial->cpu.cr4 & X86_CR4_SMAP))
		return;
	leaf--;
	for (size_t i = 0; i < trial->n_changes; i++) {
		struct legal_change *change = &trial->changes[i];

		if (change->gpa == (leaf->gpa & ~7ull))
			change->before |= change->after & (uint64_t)X86_PTE_D
								  << (8 * (leaf->gpa & 7));
	}
}

static void judge(struct check *check, unsigned vcpu, const struct hw_access *access,
	const struct legal_outcome *outcome)
{
	struct legal_why why = {""};
	struct trial trial;
	const char *kind;

	begin_trial(check, vcpu, access, &trial);
	pardon_dirty(access, outcome, &trial);
	if (!passes(check, &trial, outcome, &kind, &why))
		refuse(check, kind, &why, &trial.path);
}

void check_translation(struct check *check, unsigned vcpu, const struct hw_access *access,
	uint64_t gpa, unsigned pat)
{
	const struct legal_outcome outcome = {.outcome = ORACLE_OK,
		.gpa = gpa,
		.typed = pat != CHECK_NO_PAT,
		.pat = (uint8_t)pat};

	judge(check, vcpu, access, &outcome);
}

void check_fault(
	struct check *check, unsigned vcpu, const struct hw_access *access, uint32_t error_code)
{
	const struct legal_outcome outcome = {
		.outcome = ORACLE_PAGE_FAULT, .error_code = error_code};

	judge(check, vcpu, access, &outcome);
}

static bool is_absent(uint64_t gpa)
{
	return !memory_range_of(gpa);
}

void check_absent(struct check *check, unsigned vcpu, const struct hw_access *access)
{
	const struct legal_outcome outcome = {.outcome = ORACLE_OK, .is_gpa = is_absent};

	judge(check, vcpu, access, &outcome);
}

void check_translate(struct check *check, unsigned vcpu, const struct hw_access *access,
	const struct check_answer *answer)
{
	const struct oracle_cpu cpu = check_cpu(check, vcpu, access->ac);
	const struct oracle_memory memory = model_memory(check);
	const struct oracle_access model = model_access(access);
	struct oracle_result now;

	oracle_access(&cpu, &memory, &model, &now);
	if (answer->translated != (now.outcome == ORACLE_OK) ||
		(answer->translated ? answer->gpa != now.gpa
				    : answer->error_code != now.error_code))
		lab_fail(check->fail,
			"umbra_translate of gva 0x%" PRIx64 " says %s 0x%" PRIx64
			", memory says %s 0x%" PRIx64,
			access->gva, answer->translated ? "gpa" : "#PF",
			answer->translated ? answer->gpa : answer->error_code,
			now.outcome == ORACLE_OK ? "gpa" : "#PF",
			now.outcome == ORACLE_OK ? now.gpa : now.error_code);
}

void check_wrote(struct check *check, uint64_t gpa, const void *bytes, size_t n_bytes)
{
	uint8_t *mirror = memory_mirror(check->memory, gpa);
	uint64_t first = gpa & ~7ull;
	size_t n_words = (gpa + n_bytes - 1) / 8 - gpa / 8 + 1;
	uint64_t before[STEP_BYTES_MAX / 8 + 1];
	uint64_t after[STEP_BYTES_MAX / 8 + 1];

	memcpy(before, memory_mirror(check->memory, first), n_words * 8);
	memcpy(mirror, bytes, n_bytes);
	memcpy(after, memory_mirror(check->memory, first), n_words * 8);
	if (memcmp(after, memory_at(check->memory, first), n_words * 8) != 0)
		lab_fail(check->fail,
			"after a store of %zu bytes memory at gpa 0x%" PRIx64
			" is not what it should be",
			n_bytes, gpa);
	if (check->sabotage == LAB_SABOTAGE_SKIP_NOTE ||
		memory_range_of(gpa)->kind == MEMORY_DEVICE)
		return;
	for (size_t i = 0; i < n_words; i++)
		legal_note_write(check->legal, first + i * 8, before[i], after[i]);
}

uint64_t check_undecided(const struct check *check)
{
	return legal_undecided(check->legal);
}

void check_memory(struct check *check)
{
	for (unsigned i = 0; i < MEMORY_N_RANGES; i++) {
		const struct memory_range *range = &memory_layout[i];
		const uint8_t *is = check->memory->backing[i];
		const uint8_t *should = check->memory->mirror[i];
		size_t n_bytes = range->n_frames * X86_PAGE_SIZE;
		size_t at = 0;

		if (memcmp(is, should, n_bytes) == 0)
			continue;
		while (is[at] == should[at])
			at++;
		lab_fail(check->fail,
			"guest memory changed at gpa 0x%" PRIx64 ", which no access "
			"explains: 0x%02x, was 0x%02x",
			(range->gfn << X86_PAGE_SHIFT) + at, is[at], should[at]);
	}
}
