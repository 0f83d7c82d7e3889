/* SPDX-License-Identifier: MIT */
/*
 * The machines of tests/unit/legal_machine.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/legal_machine.h"

enum {
	N_VCPUS = 2,
	N_TABLES = 7, /* frames 1.. hold tables, the first two of them roots */
	N_WORDS = (N_TABLES + 1) * 512,
	N_TLB = 12,
	N_PARTIAL = 12,
	N_EVENTS = 60000,
	MAX_CHANGES = 16,
};

struct cached {
	bool valid;
	bool dirty;
	bool absent;    /* CACHES_NOT_PRESENT: a fault is remembered */
	unsigned level; /* partial: of the entry it saves reading */
	uint64_t gva;   /* some address it is for */
	unsigned shift; /* how many low bits of it do not count */
	unsigned pcid;
	struct oracle_walk walk;
};

struct vcpu {
	struct oracle_cpu cpu; /* CR3 has the PCID, 0 where there are none */
	struct cached tlb[N_TLB];
	struct cached partial[N_PARTIAL];
};

struct machine {
	uint64_t rng;
	enum oracle_mode mode;
	enum breakage breakage;
	struct legal *legal;
	struct oracle_memory memory;
	struct vcpu vcpus[N_VCPUS];
	size_t n_changes;
	struct legal_change changes[MAX_CHANGES];
	uint64_t words[N_WORDS];
};

static uint64_t draw(struct machine *machine, uint64_t below)
{
	machine->rng ^= machine->rng << 13;
	machine->rng ^= machine->rng >> 7;
	machine->rng ^= machine->rng << 17;
	return (machine->rng >> 11) % below;
}

static bool chance(struct machine *machine, unsigned percent)
{
	return draw(machine, 100) < percent;
}

static uint64_t read_word(void *context, uint64_t gpa, unsigned n_bytes)
{
	const struct machine *machine = context;
	uint64_t word;

	if (gpa / 8 >= N_WORDS)
		return n_bytes == 8 ? UINT64_MAX : UINT32_MAX;
	word = machine->words[gpa / 8];
	return n_bytes == 8 ? word : (word >> (8 * (gpa & 7))) & UINT32_MAX;
}

static unsigned entry_bytes(const struct machine *machine)
{
	return machine->mode == ORACLE_32BIT ? 4 : 8;
}

/* Store an entry. @own: it is the access that does it, as a change of A or D. */
static void store(struct machine *machine, uint64_t gpa, uint64_t value, bool own)
{
	uint64_t word = gpa & ~7ull;
	uint64_t before;

	if (word / 8 >= N_WORDS)
		return; /* absent memory */
	before = machine->words[word / 8];
	memcpy((char *)machine->words + gpa, &value, entry_bytes(machine));
	legal_note_write(machine->legal, word, before, machine->words[word / 8]);
	if (own && before != machine->words[word / 8]) {
		assert_true(machine->n_changes < MAX_CHANGES);
		machine->changes[machine->n_changes++] = (struct legal_change){
			.gpa = word,
			.before = before,
			.after = machine->words[word / 8],
		};
	}
}

static unsigned level_shift(const struct machine *machine, unsigned level)
{
	return 12 + (level - 1) * (machine->mode == ORACLE_32BIT ? 10 : 9);
}

/* Addresses use the first two entries of each table. */
static uint64_t random_gva(struct machine *machine)
{
	uint64_t gva = draw(machine, 4096);

	for (unsigned level = 1; level <= (unsigned)machine->mode; level++)
		gva |= draw(machine, 2) << level_shift(machine, level);
	return gva;
}

static bool is_for(const struct cached *cached, uint64_t gva)
{
	return cached->valid && (cached->gva ^ gva) >> cached->shift == 0;
}

static unsigned pcid_of(const struct vcpu *vcpu)
{
	return vcpu->cpu.cr3 & 0xfff;
}

/* Global translations are under every PCID; a partial one's rights say nothing of that yet. */
static bool is_of(const struct cached *cached, unsigned pcid)
{
	return cached->pcid == pcid || cached->walk.rights.global;
}

static struct cached *pick(struct machine *machine, const struct vcpu *vcpu, struct cached *entries,
	unsigned n, uint64_t gva)
{
	unsigned start = (unsigned)draw(machine, n);
	bool any_pcid = machine->breakage ==
			(entries == vcpu->tlb ? USES_OTHER_PCIDS : USES_PARTIAL_OF_OTHER_PCIDS);

	for (unsigned i = 0; i < n; i++) {
		struct cached *cached = &entries[(start + i) % n];

		if (is_for(cached, gva) && (any_pcid || is_of(cached, pcid_of(vcpu))))
			return cached;
	}
	return NULL;
}

static void drop_page(struct vcpu *vcpu, unsigned pcid, uint64_t gva, bool keep_global)
{
	for (unsigned i = 0; i < N_TLB; i++) {
		struct cached *cached = &vcpu->tlb[i];

		if (is_for(cached, gva) && is_of(cached, pcid) &&
			!(keep_global && cached->walk.rights.global))
			cached->valid = false;
	}
}

static void drop_partial(struct vcpu *vcpu, unsigned pcid, uint64_t gva, bool all)
{
	for (unsigned i = 0; i < N_PARTIAL; i++) {
		if (vcpu->partial[i].pcid == pcid && (all || is_for(&vcpu->partial[i], gva)))
			vcpu->partial[i].valid = false;
	}
}

/* Of one PCID all but global translations. */
static void drop_context(struct vcpu *vcpu, unsigned pcid)
{
	for (unsigned i = 0; i < N_TLB; i++) {
		if (vcpu->tlb[i].pcid == pcid && !vcpu->tlb[i].walk.rights.global)
			vcpu->tlb[i].valid = false;
	}
	drop_partial(vcpu, pcid, 0, true);
}

static void drop_everything(struct vcpu *vcpu, bool keep_global)
{
	for (unsigned i = 0; i < N_TLB; i++) {
		if (!keep_global || !vcpu->tlb[i].walk.rights.global)
			vcpu->tlb[i].valid = false;
	}
	for (unsigned i = 0; i < N_PARTIAL; i++)
		vcpu->partial[i].valid = false;
}

/* Read the entry where @walk is and go one level down; sets A unless the entry stops the walk. */
static enum oracle_step walk_one(struct machine *machine, struct vcpu *vcpu,
	const struct oracle_access *access, struct oracle_walk *walk)
{
	uint64_t slot = oracle_slot(&vcpu->cpu, access, walk);
	uint64_t value = read_word(machine, slot, entry_bytes(machine));
	unsigned level = walk->level;
	enum oracle_step step = oracle_advance(&vcpu->cpu, access, walk, value);

	if (step == ORACLE_STEP_FAULT)
		return step;
	if (machine->breakage != CACHES_UNACCESSED || chance(machine, 50))
		store(machine, slot, value | ORACLE_A, true);
	if (machine->breakage == SETS_A_TOO_MUCH && chance(machine, 2))
		store(machine, slot ^ 8,
			read_word(machine, slot ^ 8, entry_bytes(machine)) | ORACLE_A, true);
	if (step == ORACLE_STEP_TABLE && chance(machine, 50))
		vcpu->partial[draw(machine, N_PARTIAL)] = (struct cached){
			.valid = true,
			.level = level,
			.gva = access->gva,
			.shift = level_shift(machine, level),
			.pcid = pcid_of(vcpu),
			.walk = *walk,
		};
	return step;
}

static void cache_leaf(struct machine *machine, struct vcpu *vcpu, uint64_t gva,
	const struct oracle_walk *walk, bool dirty)
{
	/* A large page may be cached in smaller pieces. */
	unsigned shift = chance(machine, 50) ? 12 : walk->page_shift;

	vcpu->tlb[draw(machine, N_TLB)] = (struct cached){
		.valid = true,
		.dirty = dirty,
		.gva = gva,
		/* Such pieces go together: take it as one page when it is dropped. */
		.shift = shift < walk->page_shift ? walk->page_shift : shift,
		.pcid = pcid_of(vcpu),
		.walk = *walk,
	};
}

static struct legal_outcome page_fault(
	struct machine *machine, struct vcpu *vcpu, uint64_t gva, uint32_t error_code)
{
	if (machine->breakage != FAULT_KEEPS_THE_PAGE)
		drop_page(vcpu, pcid_of(vcpu), gva, false);
	if (machine->breakage != FAULT_KEEPS_PARTIAL)
		drop_partial(vcpu, pcid_of(vcpu), gva, false);
	return (struct legal_outcome){.outcome = ORACLE_PAGE_FAULT, .error_code = error_code};
}

/* A leaf has been reached in memory: set what it needs. */
static struct legal_outcome use_leaf(struct machine *machine, struct vcpu *vcpu,
	const struct oracle_access *access, struct oracle_walk *walk, uint64_t slot)
{
	uint64_t value = read_word(machine, slot, entry_bytes(machine));
	bool sets_d = access->kind == ORACLE_WRITE && machine->breakage != SETS_NO_D;
	uint32_t error_code;

	if (!oracle_permits(&vcpu->cpu, access, &walk->rights, &error_code))
		return page_fault(machine, vcpu, access->gva, error_code);
	if (sets_d || (machine->breakage == SETS_D_ON_READ && chance(machine, 1)))
		store(machine, slot, value | ORACLE_D, true);
	if (chance(machine, 70))
		cache_leaf(machine, vcpu, access->gva, walk,
			access->kind == ORACLE_WRITE || (value & ORACLE_D));
	return (struct legal_outcome){.outcome = ORACLE_OK, .gpa = walk->gpa};
}

static struct legal_outcome walk_tables(
	struct machine *machine, struct vcpu *vcpu, const struct oracle_access *access)
{
	struct cached *partial = pick(machine, vcpu, vcpu->partial, N_PARTIAL, access->gva);
	enum oracle_step step = ORACLE_STEP_TABLE;
	struct oracle_walk walk;
	uint64_t slot = 0;

	if (partial && chance(machine, 70))
		walk = partial->walk;
	else
		step = oracle_begin(&vcpu->cpu, access, &walk);
	while (step == ORACLE_STEP_TABLE) {
		slot = oracle_slot(&vcpu->cpu, access, &walk);
		step = walk_one(machine, vcpu, access, &walk);
	}
	if (step == ORACLE_STEP_LEAF)
		return use_leaf(machine, vcpu, access, &walk, slot);
	if (machine->breakage == CACHES_NOT_PRESENT)
		vcpu->tlb[draw(machine, N_TLB)] = (struct cached){.valid = true,
			.absent = true,
			.gva = access->gva,
			.shift = 12,
			.pcid = pcid_of(vcpu)};
	else
		return page_fault(machine, vcpu, access->gva, walk.error_code);
	return (struct legal_outcome){.outcome = ORACLE_PAGE_FAULT, .error_code = walk.error_code};
}

static struct legal_outcome perform(
	struct machine *machine, struct vcpu *vcpu, const struct oracle_access *access)
{
	struct cached *cached = pick(machine, vcpu, vcpu->tlb, N_TLB, access->gva);
	uint64_t offset;
	uint32_t error_code = 0;

	if (!cached)
		return walk_tables(machine, vcpu, access);
	if (cached->absent) {
		error_code |= access->kind == ORACLE_WRITE ? ORACLE_PF_W : 0;
		error_code |= access->user ? ORACLE_PF_U : 0;
		return (struct legal_outcome){
			.outcome = ORACLE_PAGE_FAULT, .error_code = error_code};
	}
	if (!oracle_permits(&vcpu->cpu, access, &cached->walk.rights, &error_code)) {
		/* Intel's may fault, AMD's look again. */
		if (chance(machine, 50))
			return page_fault(machine, vcpu, access->gva, error_code);
		drop_page(vcpu, pcid_of(vcpu), access->gva, false);
		return walk_tables(machine, vcpu, access);
	}
	if (access->kind == ORACLE_WRITE && !cached->dirty &&
		machine->breakage != WRITES_THROUGH_CLEAN_LEAF)
		return walk_tables(machine, vcpu, access);
	offset = access->gva & ((1ull << cached->walk.page_shift) - 1);
	return (struct legal_outcome){.outcome = ORACLE_OK,
		.gpa = (cached->walk.gpa & ~((1ull << cached->walk.page_shift) - 1)) | offset};
}

/* The guest writes an entry somewhere. */
static void edit(struct machine *machine)
{
	uint64_t gpa =
		(1 + draw(machine, N_TABLES)) * 4096 + draw(machine, 2) * entry_bytes(machine);
	uint64_t value = ORACLE_A | ORACLE_D;

	if (chance(machine, 25)) {
		/* Change one flag of what is there, as systems do. */
		value = read_word(machine, gpa, entry_bytes(machine)) ^ (1ull << draw(machine, 7));
	} else if (chance(machine, 60)) {
		value |= (1 + draw(machine, N_TABLES)) * 4096;
	} else {
		value |= (1 + draw(machine, 3)) << 30;
		value |= chance(machine, 30) ? ORACLE_PS : 0;
		value |= chance(machine, 30) ? ORACLE_G : 0;
	}
	value |= chance(machine, 90) ? ORACLE_P : 0;
	value |= chance(machine, 70) ? ORACLE_W : 0;
	value |= chance(machine, 70) ? ORACLE_U : 0;
	value |= machine->mode != ORACLE_32BIT && chance(machine, 15) ? ORACLE_NX : 0;
	value ^= chance(machine, 20) ? ORACLE_A : 0;
	value ^= chance(machine, 30) ? ORACLE_D : 0;
	store(machine, gpa, value, false);
}

/* Load CR3 with one of three PCIDs, with and without a flush. */
static void load_pcid(struct machine *machine, unsigned n)
{
	struct vcpu *vcpu = &machine->vcpus[n];
	bool keep = chance(machine, 50);

	vcpu->cpu.cr3 = (1 + draw(machine, 2)) * 4096 + draw(machine, 3);
	if (!keep)
		drop_context(vcpu, pcid_of(vcpu));
	legal_flush(machine->legal, n, keep ? LEGAL_FLUSH_NOTHING : LEGAL_FLUSH_KEEP_GLOBAL,
		&vcpu->cpu);
}

static void load_cr3(struct machine *machine, unsigned n, bool full)
{
	struct vcpu *vcpu = &machine->vcpus[n];

	if (!full && (vcpu->cpu.cr4 & ORACLE_CR4_PCIDE)) {
		load_pcid(machine, n);
		return;
	}
	vcpu->cpu.cr3 = (1 + draw(machine, 2)) * 4096;
	for (unsigned i = 0; i < 2 && machine->mode == ORACLE_PAE; i++)
		vcpu->cpu.pdpte[i] = (1 + draw(machine, N_TABLES)) * 4096 | ORACLE_P;
	if (full)
		drop_everything(vcpu, machine->breakage == FULL_FLUSH_KEEPS_GLOBAL);
	else if (machine->breakage == CR3_KEEPS_PARTIAL)
		for (unsigned i = 0; i < N_TLB; i++)
			vcpu->tlb[i].valid &= vcpu->tlb[i].walk.rights.global;
	else if (machine->breakage == CR3_KEEPS_ALL)
		drop_partial(vcpu, 0, 0, true);
	else
		drop_context(vcpu, 0);
	legal_flush(
		machine->legal, n, full ? LEGAL_FLUSH_ALL : LEGAL_FLUSH_KEEP_GLOBAL, &vcpu->cpu);
}

static void toggle_tce(struct machine *machine, unsigned n)
{
	struct vcpu *vcpu = &machine->vcpus[n];

	vcpu->cpu.efer ^= ORACLE_EFER_TCE;
	legal_flush(machine->legal, n, LEGAL_FLUSH_NOTHING, &vcpu->cpu);
}

static void invlpg(struct machine *machine, unsigned n, uint64_t gva)
{
	struct vcpu *vcpu = &machine->vcpus[n];
	bool tce = vcpu->cpu.efer & ORACLE_EFER_TCE;

	if (machine->breakage != INVLPG_KEEPS_THE_PAGE)
		drop_page(vcpu, pcid_of(vcpu), gva, machine->breakage == INVLPG_KEEPS_GLOBAL);
	if (tce && machine->breakage != TCE_KEEPS_PARTIAL)
		drop_partial(vcpu, pcid_of(vcpu), gva, false);
	if (!tce && machine->breakage != INVLPG_KEEPS_PARTIAL)
		drop_partial(vcpu, pcid_of(vcpu), 0, true);
	legal_invlpg(machine->legal, n, gva);
}

static void invpcid(struct machine *machine, unsigned n, uint64_t gva)
{
	struct vcpu *vcpu = &machine->vcpus[n];
	enum legal_invpcid type = (enum legal_invpcid)draw(machine, 4);
	unsigned pcid = chance(machine, 50) ? pcid_of(vcpu) : (unsigned)draw(machine, 3);

	legal_invpcid(machine->legal, n, type, pcid, gva);
	if (machine->breakage == INVPCID_KEEPS_ADDRESS + type)
		return;
	switch (type) {
	case LEGAL_INVPCID_ADDRESS:
		drop_page(vcpu, pcid, gva, true);
		drop_partial(vcpu, pcid, gva,
			!(vcpu->cpu.efer & ORACLE_EFER_TCE) &&
				machine->breakage != INVPCID_KEEPS_PARTIAL);
		break;
	case LEGAL_INVPCID_CONTEXT:
		drop_context(vcpu, pcid);
		break;
	case LEGAL_INVPCID_ALL:
	case LEGAL_INVPCID_ALL_BUT_GLOBAL:
		drop_everything(vcpu, type == LEGAL_INVPCID_ALL_BUT_GLOBAL);
		break;
	}
}

/* The processor walks for an address that the program did not use. */
static void walk_ahead(struct machine *machine, struct vcpu *vcpu)
{
	struct oracle_access access = {.gva = random_gva(machine)};
	struct oracle_walk walk;
	enum oracle_step step = oracle_begin(&vcpu->cpu, &access, &walk);

	while (step == ORACLE_STEP_TABLE)
		step = walk_one(machine, vcpu, &access, &walk);
	if (step == ORACLE_STEP_LEAF)
		cache_leaf(machine, vcpu, access.gva, &walk, false);
}

/* REUSES_LOWER_LEVELS: a complete translation is given the rights that the tables have now. */
static void refresh_rights(struct machine *machine, struct vcpu *vcpu)
{
	struct cached *cached = &vcpu->tlb[draw(machine, N_TLB)];
	struct oracle_access access = {.gva = cached->gva};
	struct oracle_result result;

	oracle_access(&vcpu->cpu, &machine->memory, &access, &result);
	if (cached->valid && result.outcome == ORACLE_OK)
		cached->walk.rights = result.rights;
}

static bool access_is_legal(struct machine *machine, unsigned n, struct legal_why *why)
{
	struct legal_outcome observed;
	struct legal_access what = {
		.vcpu = n,
		.cpu = &machine->vcpus[n].cpu,
		.memory = &machine->memory,
		.access =
			{
				.gva = random_gva(machine),
				.kind = (enum oracle_kind)draw(machine, 3),
				.user = chance(machine, 50),
			},
	};

	machine->n_changes = 0;
	observed = perform(machine, &machine->vcpus[n], &what.access);
	return legal_check(machine->legal, &what, &observed, why) &&
	       legal_check_ad(
		       machine->legal, &what, &observed, machine->changes, machine->n_changes, why);
}

static bool step_is_legal(struct machine *machine, struct legal_why *why)
{
	unsigned n = (unsigned)draw(machine, N_VCPUS);
	unsigned event = (unsigned)draw(machine, 100);

	machine->n_changes = 0;
	if (event < 60)
		return access_is_legal(machine, n, why);
	if (event < 82)
		edit(machine);
	else if (event < 90)
		walk_ahead(machine, &machine->vcpus[n]);
	else if (event < 91)
		toggle_tce(machine, n);
	else if (event < 94)
		invlpg(machine, n, random_gva(machine));
	else if (event < 96 && (machine->vcpus[n].cpu.cr4 & ORACLE_CR4_PCIDE))
		invpcid(machine, n, random_gva(machine));
	else if (event < 99)
		load_cr3(machine, n, false);
	else
		load_cr3(machine, n, true);
	if (machine->breakage == REUSES_LOWER_LEVELS)
		refresh_rights(machine, &machine->vcpus[n]);
	return true;
}

static struct machine *machine_new(
	enum oracle_mode mode, bool pcids, enum breakage breakage, uint64_t seed)
{
	struct machine *machine = calloc(1, sizeof(*machine));

	assert_non_null(machine);
	machine->rng = seed * 0x9e3779b97f4a7c15ull;
	machine->mode = mode;
	machine->breakage = breakage;
	machine->legal = legal_new(N_VCPUS, 0);
	assert_non_null(machine->legal);
	machine->memory = (struct oracle_memory){.read = read_word, .context = machine};
	for (unsigned i = 0; i < N_VCPUS; i++) {
		machine->vcpus[i].cpu = (struct oracle_cpu){
			.cr0 = ORACLE_CR0_PE | ORACLE_CR0_PG | ORACLE_CR0_WP,
			.cr4 = ORACLE_CR4_PGE |
			       (mode == ORACLE_32BIT ? ORACLE_CR4_PSE : ORACLE_CR4_PAE) |
			       (mode == ORACLE_5LEVEL ? ORACLE_CR4_LA57 : 0) |
			       (pcids ? ORACLE_CR4_PCIDE : 0),
			.efer = ORACLE_EFER_NXE | (mode >= ORACLE_4LEVEL ? ORACLE_EFER_LME : 0),
			.maxphyaddr = 40,
			.has_1g_pages = true,
		};
		load_cr3(machine, i, true);
	}
	for (unsigned i = 0; i < 100; i++)
		edit(machine);
	return machine;
}

bool machine_is_found_out(enum oracle_mode mode, bool pcids, enum breakage breakage, uint64_t seed,
	struct legal_why *why)
{
	struct machine *machine = machine_new(mode, pcids, breakage, seed);
	bool ok = true;

	for (unsigned i = 0; i < N_EVENTS && ok; i++)
		ok = step_is_legal(machine, why);
	assert_int_equal(legal_undecided(machine->legal), 0);
	legal_free(machine->legal);
	free(machine);
	return !ok;
}
