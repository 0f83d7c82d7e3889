/* SPDX-License-Identifier: MIT */
/*
 * A random guest: few tables, whose entries refer to each other at any level, to themselves and to
 * data; stores into them by any way; controls that change; and accesses whose outcome is computed
 * before by a walk in software. Words seed= and rounds= of the command line change its course.
 */
#include "tests/guest/guest.h"

/* Frames that are tables and data as it happens. */
#define N_FRAMES 10u
/* Entries of a table that are used; addresses are made of them. */
#define N_INDICES 4u
/* Where every frame holds INT TRAP_DONE, so that any page can be executed there; no index. */
#define CODE_OFFSET 0xff0u
#define INT_DONE    0x30cd30cdu

#define DEFAULT_SEED   1u
#define DEFAULT_ROUNDS 2500u

struct random_guest {
	uint32_t state; /* of the generator */
	uint8_t *frames[N_FRAMES];
	unsigned indices[N_INDICES];
	word bases[2]; /* addresses of two entries of the root */
	uint8_t *roots[2];
	unsigned root; /* which is in CR3 */
	bool stale;    /* a table has changed since everything was flushed */
	bool wp, smep, smap, nxe, pke, pks;
	uint32_t pkru, pkrs; /* key 0 is open: what is not under test has it */
};

/* What a walk found. */
struct walk {
	void *entries[6]; /* those it used, by level; NULL: none, or a PDPTE */
	unsigned last;    /* level of the last one */
	uint32_t error;
	bool allowed;
	bool user_page;
	uint64_t gpa;
};

static uint32_t next(struct random_guest *g, uint32_t n)
{
	g->state ^= g->state << 13;
	g->state ^= g->state >> 17;
	g->state ^= g->state << 5;
	return g->state % n;
}

static bool one_in(struct random_guest *g, uint32_t n)
{
	return next(g, n) == 0;
}

/* ---- the model: a walk by the manual ---- */

static uint64_t reserved_bits(const struct random_guest *g, unsigned level, bool large)
{
	uint64_t mask;

	if (mode->id == TWO_LEVEL)
		return large ? 1ull << 21 : 0;
	mask = mode->id == PAE ? 0x7fffffffffffffffull : 0x000fffffffffffffull;
	mask &= ~0ull << cpu.maxphyaddr;
	if (!g->nxe)
		mask |= X86_PTE_NX;
	if (large && level == 2)
		mask |= 0x1fe000;
	if (large && level == 3)
		mask |= 0x3fffe000;
	if (level > 3)
		mask |= X86_PTE_PS;
	return mask;
}

static bool rights_allow(const struct random_guest *g, uint64_t rights, enum op op, enum who who)
{
	bool user_page = rights & X86_PTE_U;

	if (op == OP_FETCH)
		return !(rights & X86_PTE_NX) &&
		       (who == USER ? user_page : !(user_page && g->smep));
	if (who == USER)
		return user_page && (op == OP_READ32 || rights & X86_PTE_W);
	if (user_page && g->smap && who == KERNEL)
		return false;
	return op == OP_READ32 || rights & X86_PTE_W || !g->wp;
}

/* Does the key of @leaf forbid it? SDM 3A "Protection Keys". */
static bool key_forbids(
	const struct random_guest *g, uint64_t leaf, bool user_page, enum op op, enum who who)
{
	uint32_t keys = user_page ? g->pkru : g->pkrs;
	unsigned rights = keys >> (2 * (leaf >> 59 & 15)) & 3;

	if (mode->levels < 4 || op == OP_FETCH || !(user_page ? g->pke : g->pks))
		return false;
	return rights & 1 || (rights & 2 && op == OP_WRITE && (who == USER || g->wp));
}

static uint32_t access_error(const struct random_guest *g, enum op op, enum who who)
{
	uint32_t error = who == USER ? X86_PF_U : 0;

	if (op == OP_WRITE)
		error |= X86_PF_W;
	if (op == OP_FETCH && (g->smep || (g->nxe && mode->entry_bytes == 8)))
		error |= X86_PF_I;
	return error;
}

static struct walk walk(const struct random_guest *g, word gva, enum op op, enum who who)
{
	struct walk w = {.error = access_error(g, op, who)};
	uint8_t *table = g->roots[g->root];
	uint64_t rights = PTE_ALL;

	for (unsigned level = mode->levels;; level--) {
		void *at = table + level_index(gva, level) * mode->entry_bytes;
		uint64_t entry = entry_read(at);
		bool pdpte = level > mode->level_max;
		bool large = level > 1 && level < 4 && !pdpte && entry & X86_PTE_PS;

		if (!(entry & X86_PTE_P))
			return w;
		w.last = level;
		w.entries[level] = pdpte ? NULL : at;
		if (!pdpte && entry & reserved_bits(g, level, large)) {
			w.error |= X86_PF_RSVD | (row_in(ROWS_EMULATOR) ? 0 : X86_PF_P);
			w.entries[level] = NULL;
			return w;
		}
		if (!pdpte)
			rights = (rights & entry & PTE_ALL) | ((rights | entry) & X86_PTE_NX);
		if (level == 1 || large) {
			uint64_t offset = level_bytes(level) - 1;

			w.gpa = (entry & X86_PTE_FRAME & ~offset) | (gva & offset);
			w.user_page = rights & X86_PTE_U;
			w.allowed = rights_allow(g, rights, op, who);
			w.error |= X86_PF_P;
			if (key_forbids(g, entry, w.user_page, op, who)) {
				w.allowed = false;
				w.error |= X86_PF_PK;
			}
			return w;
		}
		table = (uint8_t *)(uintptr_t)(entry & X86_PTE_FRAME);
	}
}

/* ---- what it does ---- */

static uint64_t random_entry(struct random_guest *g)
{
	uint64_t entry = X86_PTE_P | phys(g->frames[next(g, N_FRAMES)]);
	/* Most accesses shall come through, on long ways too. */
	unsigned odds = mode->levels * mode->levels;

	if (one_in(g, 2 * mode->levels))
		entry = X86_PTE_P | X86_PTE_PS | SPARE_BASE;
	if (!one_in(g, odds))
		entry |= X86_PTE_W;
	if (!one_in(g, odds))
		entry |= X86_PTE_U;
	entry |= one_in(g, 3) ? X86_PTE_A : 0;
	entry |= one_in(g, 3) ? X86_PTE_D : 0;
	entry |= one_in(g, 5) ? X86_PTE_G : 0;
	entry |= one_in(g, 5) ? X86_PTE_PWT : 0;
	if (one_in(g, 3 * odds))
		entry &= ~X86_PTE_P;
	if (mode->entry_bytes == 8 && cpu.nx && one_in(g, odds))
		entry |= X86_PTE_NX;
	if (mode->levels > 3 && one_in(g, 2))
		entry |= (uint64_t)next(g, 16) << 59;
	if (mode->entry_bytes == 8 && one_in(g, 4 * odds))
		entry |= 1ull << cpu.maxphyaddr;
	if (mode->entry_bytes == 8 && one_in(g, 4 * odds))
		entry |= X86_PTE_PS;
	return entry;
}

static word random_gva(struct random_guest *g)
{
	word gva = g->bases[next(g, 2)];

	for (unsigned level = 1; level < mode->levels; level++)
		gva += (word)(g->indices[next(g, N_INDICES)] * level_bytes(level));
	return gva;
}

static void store_entry(struct random_guest *g)
{
	uint8_t *frame = g->frames[next(g, N_FRAMES)];
	uint8_t *at = frame + g->indices[next(g, N_INDICES)] * mode->entry_bytes;

	if (one_in(g, 10))
		*(volatile uint8_t *)at &= (uint8_t) ~(1u << next(g, 8));
	else
		entry_write(at, random_entry(g));
	g->stale = true;
}

static void store_root_entry(struct random_guest *g)
{
	uint64_t entry = random_entry(g);

	if (mode->level_max < mode->levels)
		entry = phys(g->frames[next(g, N_FRAMES)]) | X86_PTE_P;
	entry_write(g->roots[next(g, 2)] +
			    level_index(g->bases[next(g, 2)], mode->levels) * mode->entry_bytes,
		entry);
	if (mode->level_max < mode->levels)
		write_cr3(read_cr3());
	g->stale = true;
}

/* Global translations of the other root stay. */
static void switch_root(struct random_guest *g)
{
	g->root = !g->root;
	write_cr3((word)g->roots[g->root]);
	g->stale |= (read_cr4() & X86_CR4_PGE) != 0;
}

/* A frame is emptied or filled like another one. */
static void overwrite_frame(struct random_guest *g)
{
	uint8_t *frame = g->frames[next(g, N_FRAMES)];

	if (one_in(g, 8))
		memory_fill(frame, 0, CODE_OFFSET);
	else
		memory_copy(frame, g->frames[next(g, N_FRAMES)], CODE_OFFSET);
	g->stale = true;
}

static void change_controls(struct random_guest *g)
{
	uint64_t cr4 = read_cr4() & ~(X86_CR4_SMEP | X86_CR4_SMAP);

	g->wp = one_in(g, 2);
	g->smep = cpu.smep && one_in(g, 2);
	g->smap = cpu.smap && one_in(g, 2);
	write_cr0(g->wp ? read_cr0() | X86_CR0_WP : read_cr0() & ~X86_CR0_WP);
	write_cr4(cr4 | (g->smep ? X86_CR4_SMEP : 0) | (g->smap ? X86_CR4_SMAP : 0));
	if (one_in(g, 3))
		write_cr4(read_cr4() ^ X86_CR4_PGE);
	if (cpu.nx && one_in(g, 3)) {
		g->nxe = !g->nxe;
		write_msr(X86_MSR_EFER, read_msr(X86_MSR_EFER) ^ X86_EFER_NXE);
		flush_all();
	}
}

/* Most keys are open, so that not everything ends by them. No flush is due. */
static void change_keys(struct random_guest *g)
{
	uint64_t cr4 = read_cr4() & ~(X86_CR4_PKE | X86_CR4_PKS);

	if (mode->levels < 4)
		return;
	g->pke = cpu.pku && one_in(g, 2);
	g->pks = cpu.pks && one_in(g, 2);
	g->pkru = 3u << (2 + next(g, 29)) & ~3u;
	g->pkrs = 1u << (2 + next(g, 30));
	write_cr4(cr4 | (g->pke ? X86_CR4_PKE : 0) | (g->pks ? X86_CR4_PKS : 0));
	if (g->pke)
		write_pkru(g->pkru);
	if (g->pks)
		write_msr(X86_MSR_PKRS, g->pkrs);
}

static void flush_for(struct random_guest *g, word gva)
{
	if (g->stale && one_in(g, 4)) {
		flush_all();
		g->stale = false;
	}
	if (g->stale)
		invlpg(gva);
}

/* After an access that was refused, entries on its way may have A; nothing else. */
static void expect_refused(const struct walk *w, const uint64_t *before)
{
	for (unsigned level = mode->levels; level > 0; level--) {
		uint64_t entry = w->entries[level] ? entry_read(w->entries[level]) : before[level];

		given("level", level);
		expect_equal(
			"an entry after a refusal", before[level] | X86_PTE_A, entry | X86_PTE_A);
	}
}

static void expect_performed(const struct walk *w, const uint64_t *before, enum op op, word value)
{
	for (unsigned level = mode->levels; level >= w->last && level > 0; level--) {
		uint64_t bits = X86_PTE_A | (level == w->last && op == OP_WRITE ? X86_PTE_D : 0);
		uintptr_t at = (uintptr_t)w->entries[level];

		/* The store itself may have hit the entry. */
		if (!at || (op == OP_WRITE && (at & ~(uintptr_t)7) == ((uintptr_t)w->gpa & ~7u)))
			continue;
		given("level", level);
		expect_equal("an entry after the access", before[level] | bits,
			entry_read(w->entries[level]));
	}
	if (op == OP_WRITE)
		expect_equal("what was stored", value, *(volatile word *)(uintptr_t)w->gpa);
}

/* Twice the same entry on the way: its bits cannot be told apart by level. */
static bool meets_itself(const struct walk *w)
{
	for (unsigned a = 1; a <= mode->levels; a++) {
		for (unsigned b = a + 1; b <= mode->levels; b++) {
			if (w->entries[a] && w->entries[a] == w->entries[b])
				return true;
		}
	}
	return false;
}

static word random_value(struct random_guest *g, word gva)
{
	uint64_t entry = random_entry(g);

	if (mode->entry_bytes > sizeof(word) && gva & 4)
		return (word)(entry >> 32);
	return (word)entry;
}

static void access(struct random_guest *g)
{
	static const enum op ops[] = {OP_READ32, OP_WRITE, OP_FETCH};
	enum op op = ops[next(g, 3)];
	enum who who = (enum who)next(g, 3);
	word gva = random_gva(g);
	uint64_t before[6] = {0};
	uint32_t expected = 0;
	struct outcome got;
	struct walk w;
	word value;

	gva += op == OP_FETCH ? CODE_OFFSET : g->indices[next(g, N_INDICES)] * mode->entry_bytes;
	if (op == OP_WRITE && sizeof(word) < mode->entry_bytes && one_in(g, 2))
		gva += 4;
	value = random_value(g, gva);
	flush_for(g, gva);
	w = walk(g, gva, op, who);
	for (unsigned level = 1; level <= mode->levels; level++)
		before[level] = w.entries[level] ? entry_read(w.entries[level]) : 0;
	if (w.allowed && op == OP_READ32)
		expected = *(volatile uint32_t *)(uintptr_t)w.gpa;
	given("gva", gva);
	given("op", op);
	given("who", who);
	given("gpa", w.gpa);
	got = attempt(op, who, gva, value);
	/* The manual leaves open whether keys are told of where the user could not come anyway. */
	if (who == USER && !w.user_page) {
		got.error &= ~X86_PF_PK;
		w.error &= ~X86_PF_PK;
	}
	if (!w.allowed) {
		expect_fault("access", got, w.error, gva);
		expect_refused(&w, before);
		return;
	}
	if (op == OP_READ32 && meets_itself(&w))
		expect_done("access", got);
	else if (op == OP_READ32)
		expect_equal("what was read", expected & ~(uint32_t)PTE_AD,
			(got.vector == TRAP_DONE ? (uint32_t)got.value : ~expected) &
				~(uint32_t)PTE_AD);
	else
		expect_done("access", got);
	if (!meets_itself(&w))
		expect_performed(&w, before, op, value);
	if (op == OP_WRITE)
		g->stale = true;
}

static void step(struct random_guest *g)
{
	switch (next(g, 16)) {
	case 0:
		store_root_entry(g);
		break;
	case 1:
		change_controls(g);
		break;
	case 2:
		switch_root(g);
		break;
	case 3:
	case 4:
	case 5:
		store_entry(g);
		break;
	case 6:
		if (one_in(g, 4))
			overwrite_frame(g);
		else
			change_keys(g);
		break;
	default:
		access(g);
		break;
	}
}

static void random_guest(void)
{
	static struct random_guest guest;
	struct random_guest *g = &guest;
	unsigned n_rounds = shared->rounds ? shared->rounds : DEFAULT_ROUNDS;
	unsigned last = (1u << mode->index_bits) - 1;

	*g = (struct random_guest){
		.state = (shared->seed ? shared->seed : DEFAULT_SEED) * 2654435761u | 1,
		.indices = {0, 3, last / 3, last},
		.wp = true,
		.nxe = cpu.nx,
	};
	/* With PS an entry with the address of the frame at 4K behind a large page's beginning
	 * would be a large page, with PAT. Every other one has reserved bits. */
	frame_new();
	for (unsigned i = 0; i < N_FRAMES; i++) {
		g->frames[i] = (uint8_t *)frame_marked(0);
		memory_fill(g->frames[i] + CODE_OFFSET, INT_DONE, 8);
	}
	for (unsigned at = CODE_OFFSET; at < SPARE_END - SPARE_BASE; at += X86_PAGE_SIZE)
		*(volatile uint32_t *)(uintptr_t)(SPARE_BASE + at) = INT_DONE;
	for (unsigned i = 0; i < 2; i++) {
		g->bases[i] = test_gva_far(i, 0);
		g->roots[i] = frame_new();
		memory_copy(g->roots[i], table_root(), X86_PAGE_SIZE);
	}
	for (unsigned i = 0; i < 20; i++)
		store_root_entry(g);
	switch_root(g);
	for (unsigned i = 0; i < N_FRAMES * N_INDICES * 3; i++)
		store_entry(g);
	for (unsigned round = 0; round < n_rounds; round++) {
		given("round", round);
		step(g);
	}
}

static const struct test tests[] = {
	{.name = "random", .modes = IN_PAGED, .run = random_guest},
};
GROUP(group_random, tests);
