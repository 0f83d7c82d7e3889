/* SPDX-License-Identifier: MIT */
/* Between the machine and the model of legal outcomes; owns the comparison of memory with its
 * mirror. */
#include "lab/check.h"

#include "lab/legal.h"
#include "lab/machine.h"
#include "lab/oracle.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A word of memory as a walk reads it. Devices are never read for tables. A and D in read-only
 * memory cannot be set, and a walk goes on without: the model takes them as set. */
static uint64_t walk_word(const struct check *check, uint64_t gpa)
{
	const struct memory_range *range = memory_range_of(gpa);
	uint64_t word;

	if (!range || range->kind == MEMORY_DEVICE)
		return UINT64_MAX;
	memcpy(&word, memory_at(check->memory, gpa), sizeof(word));
	return range->kind == MEMORY_READ_ONLY ? word | X86_PTE_A | X86_PTE_D : word;
}

static uint64_t read_for_walk(void *context, uint64_t gpa, unsigned n_bytes)
{
	uint64_t word = walk_word(context, gpa & ~7ull);

	return n_bytes == 8 ? word : (uint32_t)(word >> (gpa & 4) * 8);
}

static struct oracle_memory model_memory(struct check *check)
{
	return (struct oracle_memory){.read = read_for_walk, .context = check};
}

static struct oracle_cpu model_cpu(
	const struct check *check, const struct umbra_paging_regs *regs, bool ac)
{
	return (struct oracle_cpu){
		.cr0 = regs->cr0,
		.cr3 = regs->cr3,
		.cr4 = regs->cr4,
		.efer = regs->efer,
		.ac = ac,
		.maxphyaddr = MACHINE_MAXPHYADDR,
		.has_1g_pages = !check->no_1g,
		.has_pse36 = true,
	};
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
		.user = !access->supervisor || access->implicit,
		.implicit = access->implicit,
	};
}

void check_init(struct check *check, const struct lab_config *config, struct memory *memory,
	struct lab_fail *fail)
{
	check->memory = memory;
	check->fail = fail;
	check->no_1g = config->no_1g;
	check->sabotage = config->sabotage;
	check->legal = legal_new(config->vcpus, 0);
	if (!check->legal) {
		fprintf(stderr, "umbra-lab: out of memory for the model\n");
		exit(1);
	}
}

void check_free(struct check *check)
{
	if (check->legal)
		legal_free(check->legal);
	check->legal = NULL;
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

/* An access that has ended: the question to the model, and what the library wrote for it. */
struct trial {
	struct oracle_cpu cpu;
	struct oracle_memory memory;
	struct legal_access what;
	struct oracle_result path; /* what memory says now */
	struct legal_change changes[5];
	size_t n_changes;
};

static void begin_trial(
	struct check *check, unsigned vcpu, const struct hw_access *access, struct trial *trial)
{
	trial->cpu = model_cpu(check, &check->regs[vcpu], access->ac);
	trial->memory = model_memory(check);
	trial->what =
		(struct legal_access){vcpu, &trial->cpu, &trial->memory, model_access(access), 0};
	trial->n_changes = 0;
	oracle_access(&trial->cpu, &trial->memory, &trial->what.access, &trial->path);
	for (unsigned i = 0; i < trial->path.n_entries; i++)
		if (take_change(check, trial->path.entries[i].gpa & ~7ull,
			    &trial->changes[trial->n_changes]))
			trial->n_changes++;
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

static void judge(struct check *check, unsigned vcpu, const struct hw_access *access,
	const struct legal_outcome *outcome)
{
	struct legal_why why = {""};
	struct trial trial;
	const char *kind;

	begin_trial(check, vcpu, access, &trial);
	if (!passes(check, &trial, outcome, &kind, &why))
		refuse(check, kind, &why, &trial.path);
}

void check_translation(
	struct check *check, unsigned vcpu, const struct hw_access *access, uint64_t gpa)
{
	const struct legal_outcome outcome = {.outcome = ORACLE_OK, .gpa = gpa};

	judge(check, vcpu, access, &outcome);
}

void check_fault(
	struct check *check, unsigned vcpu, const struct hw_access *access, uint32_t error_code)
{
	const struct legal_outcome outcome = {
		.outcome = ORACLE_PAGE_FAULT, .error_code = error_code};

	judge(check, vcpu, access, &outcome);
}

/* Remember the frame in @entry: some day a stale translation to absent memory may come from it. */
static void note_frame(struct check *check, uint64_t entry)
{
	uint64_t frame = (entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT;

	if (entry & X86_PTE_P)
		check->frames[frame * 0x9e3779b97f4a7c15ull >> 52] = frame << X86_PAGE_SHIFT | 1;
}

/* Was it legal to reach absent memory through @frame, the content of some entry of any level? */
static bool passes_absent(struct check *check, const struct trial *trial, uint64_t frame)
{
	static const unsigned shifts[] = {12, 21, 30};
	struct legal_why why;
	const char *kind;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t offset_mask = (1ull << shifts[i]) - 1;
		struct legal_outcome outcome = {.outcome = ORACLE_OK,
			.gpa = (frame & ~offset_mask) | (trial->what.access.gva & offset_mask)};

		if (!memory_range_of(outcome.gpa) && passes(check, trial, &outcome, &kind, &why))
			return true;
	}
	return false;
}

void check_absent(struct check *check, unsigned vcpu, const struct hw_access *access)
{
	struct trial trial;

	begin_trial(check, vcpu, access, &trial);
	if (trial.path.outcome == ORACLE_OK && passes_absent(check, &trial, trial.path.gpa))
		return;
	for (unsigned i = 0; i < CHECK_FRAMES; i++)
		if (check->frames[i] && passes_absent(check, &trial, check->frames[i] & ~1ull))
			return;
	refuse(check, "outcome",
		&(struct legal_why){"absent memory was reached, and no entry leads there"},
		&trial.path);
}

void check_wrote(struct check *check, uint64_t gpa, const void *bytes, size_t n_bytes)
{
	uint8_t *mirror = memory_mirror(check->memory, gpa);
	uint64_t first = gpa & ~7ull;
	size_t n_words = (gpa + n_bytes - 1) / 8 - gpa / 8 + 1;
	uint64_t before[2];
	uint64_t after[2];

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
	for (size_t i = 0; i < n_words; i++) {
		legal_note_write(check->legal, first + i * 8, before[i], after[i]);
		note_frame(check, after[i]);
	}
}

void check_reset(struct check *check, unsigned vcpu, const struct umbra_paging_regs *regs)
{
	const struct oracle_cpu cpu = model_cpu(check, regs, false);

	check->regs[vcpu] = *regs;
	legal_flush(check->legal, vcpu, LEGAL_FLUSH_ALL, &cpu);
}

void check_load_cr3(struct check *check, unsigned vcpu, uint64_t cr3)
{
	struct oracle_cpu cpu;

	check->regs[vcpu].cr3 = cr3;
	cpu = model_cpu(check, &check->regs[vcpu], false);
	legal_flush(check->legal, vcpu,
		cpu.cr4 & X86_CR4_PGE ? LEGAL_FLUSH_KEEP_GLOBAL : LEGAL_FLUSH_ALL, &cpu);
}

/* SDM 3A "Invalidation of TLBs and Paging-Structure Caches": CR0.PG, the bits of CR4 that decide
 * how tables are read, and here EFER too, which software changes only together with a flush. CR0.WP
 * and CR4.SMAP change what is allowed, not what is remembered. */
void check_set_regs(struct check *check, unsigned vcpu, const struct umbra_paging_regs *regs)
{
	const struct umbra_paging_regs old = check->regs[vcpu];
	const uint64_t cr4_flushing =
		X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE | X86_CR4_SMEP | X86_CR4_LA57;
	const struct oracle_cpu cpu = model_cpu(check, regs, false);

	check->regs[vcpu] = *regs;
	if (((old.cr0 ^ regs->cr0) & X86_CR0_PG) || ((old.cr4 ^ regs->cr4) & cr4_flushing) ||
		old.efer != regs->efer)
		legal_flush(check->legal, vcpu, LEGAL_FLUSH_ALL, &cpu);
	else if (old.cr3 != regs->cr3)
		check_load_cr3(check, vcpu, regs->cr3);
}

void check_invlpg(struct check *check, unsigned vcpu, uint64_t gva)
{
	legal_invlpg(check->legal, vcpu, gva);
}

bool check_regs_legal(const struct check *check, const struct umbra_paging_regs *regs)
{
	bool long_mode = (regs->cr0 & X86_CR0_PG) && (regs->efer & X86_EFER_LMA);

	(void)check;
	/* SDM 3A "Control Registers", CR3: bits from MAXPHYADDR up are reserved in long mode. */
	return !long_mode || !(regs->cr3 >> MACHINE_MAXPHYADDR);
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
