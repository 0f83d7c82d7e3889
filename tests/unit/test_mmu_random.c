/* SPDX-License-Identifier: MIT */
/*
 * A guest that writes anything into its tables and always flushes what it changed: from then on
 * each access is what a walk of its memory says, whatever the processor had cached. Tables are of
 * any level at once, hang below each other and below several roots, and lie in memory that is
 * mapped large. Some are written by users, some by the host, in any parts; and who tracks one is
 * told of each store. What a guest may see that does not flush is the lab's.
 */
#include "lab/rng.h"
#include "tests/unit/mmu_guest.h"
#include "tests/unit/mmu_teller.h"
#include "tests/unit/mmu_walk_root.h"

#define N_TABLES 14u
#define N_ROOTS  3u /* the first tables */
#define N_DATA   4u
#define BIG      1024ull /* first frame of the 2M in which half of the tables are */
#define STEPS    120u
#define SEEDS    150u
#define TELLERS  3u

/* The window's twin, for users. */
#define USERS (WINDOW + (1ull << 29))

struct world {
	struct host *h;
	enum host_mode mode;
	struct umbra_vcpu *vcpus[2];
	unsigned n_vcpus;
	uint64_t tables[N_TABLES];
	struct rng rng;
	uint64_t injected;
	struct teller tellers[TELLERS];
};

static unsigned below(struct world *w, unsigned n)
{
	return rng_below(&w->rng, n);
}

static bool chance(struct world *w, unsigned one_in)
{
	return !below(w, one_in);
}

/* ---- what it writes ---- */

static uint64_t random_frame(struct world *w)
{
	switch (below(w, 40)) {
	case 0:
		return ROM_GFN + below(w, 2);
	case 1:
		return chance(w, 2) ? ABSENT_GFN : DEVICE_GFN;
	case 2:
	case 3:
	case 4:
		return DATA_GFN + below(w, N_DATA);
	case 5:
	case 6:
		return BIG;
	default:
		/* PDPTEs have no A: their frames are no tables besides. */
		if (w->mode == HOST_PAE)
			return w->tables[N_ROOTS + below(w, N_TABLES - N_ROOTS)];
		return w->tables[below(w, N_TABLES)];
	}
}

/* Of a root, or of another table. Mostly it grants something. */
static uint64_t random_gpte(struct world *w, bool top)
{
	uint64_t gpte = gpte_of(random_frame(w), GPTE_RW | X86_PTE_A);

	if (chance(w, 16))
		return 0;
	if (top && w->mode == HOST_PAE)
		return (gpte & X86_PTE_FRAME) | X86_PTE_P;
	if (chance(w, 2))
		gpte |= X86_PTE_D;
	if (!top && chance(w, 10))
		gpte = (gpte & ~(511ull << X86_PAGE_SHIFT)) | X86_PTE_PS;
	if (chance(w, 10))
		gpte &= ~X86_PTE_W;
	if (chance(w, 12))
		gpte &= ~X86_PTE_U;
	if (chance(w, 12))
		gpte |= X86_PTE_NX;
	if (chance(w, 8) && w->mode != HOST_PAE)
		gpte |= 2ull << X86_PTE_PK_SHIFT;
	if (chance(w, 8))
		gpte &= ~X86_PTE_A;
	return gpte;
}

static umbra_gva random_gva(struct world *w)
{
	unsigned levels = w->h->levels;
	umbra_gva gva = (umbra_gva)(1 + below(w, 2)) << (9 * levels + 3);

	for (unsigned level = 1; level < levels; level++)
		gva |= (umbra_gva)below(w, 2) << (9 * level + 3);
	return gva;
}

/* How often who tracks @gfn was told, all together; *n: how many there are. */
static unsigned told(const struct world *w, uint64_t gfn, unsigned *n)
{
	unsigned sum = 0;

	*n = 0;
	for (unsigned i = 0; i < TELLERS; i++) {
		if (w->tellers[i].h && w->tellers[i].track.gfn.n == gfn) {
			sum += w->tellers[i].n;
			++*n;
		}
	}
	return sum;
}

/* Somebody begins or ends to track a table, or data, or a device. */
static void change_tracking(struct world *w)
{
	struct teller *t = &w->tellers[below(w, TELLERS)];
	uint64_t gfn = random_frame(w);

	if (t->h)
		teller_end(t);
	t->h = NULL;
	if (gfn - ROM_GFN >= ROM_FRAMES && gfn != ABSENT_GFN && chance(w, 2))
		teller_begin(w->h, t, below(w, 2), gfn);
}

/* The host stores some bytes at @to, in an entry and perhaps the one behind it. */
static void host_stores(struct world *w, umbra_gpa to, bool top)
{
	uint64_t words[2] = {random_gpte(w, top), random_gpte(w, top)}, was[2];
	unsigned n = 1 + below(w, 16), at = below(w, 17 - n);

	/* No PDPTE is wrong here, so none is composed of parts, nor is a link to where they are. */
	if (w->mode == HOST_PAE) {
		n = n & 1 ? 8 : 1;
		at &= 8;
	}
	if (top) {
		host_write_word(w->h, to, words[0]);
	} else if (chance(w, 2)) {
		host_write(w->h, to + at, (uint8_t *)words + at, n);
	} else {
		if (w->mode != HOST_PAE) {
			n = 1u << below(w, to % 16 ? 4 : 5);
			at = below(w, 16 / n) * n;
		}
		memcpy(was, (uint8_t *)host_words(w->h, to >> X86_PAGE_SHIFT) + to % X86_PAGE_SIZE,
			sizeof(was));
		assert_int_equal(umbra_guest_exchange(w->h->vcpu, to + at, (uint8_t *)was + at,
					 (uint8_t *)words + at, n),
			UMBRA_EXCHANGE_DONE);
	}
}

static void store(struct world *w)
{
	unsigned table = below(w, N_TABLES);
	bool top = table < N_ROOTS;
	uint64_t gpte = random_gpte(w, top);
	/* The first entry of a root may be the window's. */
	unsigned index = top ? 1 + below(w, 2) : below(w, 3);
	uint64_t gfn = w->tables[table], other = w->tables[below(w, N_TABLES)];
	umbra_gpa to = (gfn << X86_PAGE_SHIFT) + index * 8;
	bool user = chance(w, 10);
	unsigned tellers, before;
	struct host_result result = {.outcome = UMBRA_EMULATE};

	if (chance(w, 8)) {
		(void)told(w, other, &tellers);
		assert_int_equal(umbra_unshadow(w->h->vcpu, other << X86_PAGE_SHIFT), !tellers);
	}
	before = told(w, gfn, &tellers);
	if (chance(w, 6)) {
		host_stores(w, to, top);
	} else {
		result = host_access(
			w->h, (user ? USERS : WINDOW) + to, X86_PF_W | (user ? X86_PF_U : 0));
		assert_true(result.outcome == UMBRA_EMULATE ||
			    (result.outcome == UMBRA_RESUME && !tellers));
		if (result.outcome == UMBRA_EMULATE)
			host_write_word(w->h, result.exit.gpa, gpte);
		else
			host_words(w->h, gfn)[index] = gpte;
	}
	assert_int_equal(told(w, gfn, &tellers) - before, tellers);
}

/* ---- flushes ---- */

static void load(struct world *w)
{
	host_cr3(w->h, w->tables[below(w, N_ROOTS)]);
}

static struct umbra_policy random_policy(struct world *w)
{
	struct umbra_policy policy = umbra_policy_default;

	policy.oos = chance(w, 2) ? UMBRA_OOS_ALL : below(w, 3);
	policy.sticky = chance(w, 2) ? below(w, 4) : 20;
	policy.prefetch = chance(w, 2) ? 8 : 0;
	policy.large = !chance(w, 4);
	policy.write = chance(w, 2) ? UMBRA_WRITE_AUTO : below(w, 4);
	policy.snapshot = !chance(w, 6);
	policy.cache = !chance(w, 8);
	policy.elide = !chance(w, 6);
	policy.replace = chance(w, 4) ? UMBRA_REPLACE_FIFO : UMBRA_REPLACE_CLOCK;
	return policy;
}

static void invalidate_all(struct world *w)
{
	unsigned levels = w->h->levels;

	for (unsigned n = 0; n < 1u << levels; n++) {
		umbra_gva gva = (umbra_gva)(1 + (n & 1)) << (9 * levels + 3);

		for (unsigned level = 1; level < levels; level++)
			gva |= (umbra_gva)(n >> level & 1) << (9 * level + 3);
		host_invlpg(w->h, gva);
	}
}

static void change_registers(struct world *w)
{
	struct umbra_paging_regs regs = w->h->vcpu->regs;

	if (chance(w, 2))
		regs.cr0 ^= X86_CR0_WP;
	if (chance(w, 2))
		regs.cr4 ^= chance(w, 2) ? X86_CR4_SMEP : X86_CR4_SMAP;
	if (chance(w, 2))
		regs.cr4 ^= X86_CR4_PKE;
	if (chance(w, 2))
		regs.efer ^= X86_EFER_TCE;
	host_set_regs(w->h, &regs);
}

static void change_policy(struct world *w)
{
	struct umbra_policy policy = random_policy(w);

	assert_int_equal(umbra_set_policy(w->h->vm, &policy), UMBRA_OK);
}

static void invpcid(struct world *w)
{
	struct umbra_exit out;

	assert_int_equal(umbra_invpcid(w->h->vcpu, UMBRA_INVPCID_ALL_BUT_GLOBAL,
				 &(struct umbra_invpcid){0}, &out),
		UMBRA_RESUME);
}

/* On each vCPU. PDPTEs are loaded by a load alone. */
static void flush(struct world *w)
{
	if (chance(w, 60))
		change_policy(w);
	if (chance(w, 8))
		change_tracking(w);
	for (unsigned i = 0; i < w->n_vcpus; i++) {
		w->h->vcpu = w->vcpus[i];
		if (chance(w, 3))
			invalidate_all(w);
		else if (chance(w, 12))
			change_registers(w);
		else if (chance(w, 3))
			host_cr3(w->h, w->h->vcpu->regs.cr3 >> X86_PAGE_SHIFT);
		else if (chance(w, 6))
			invpcid(w);
		else
			load(w);
	}
	w->h->vcpu = w->vcpus[below(w, w->n_vcpus)];
}

/* ---- what it sees ---- */

static uint64_t hfn_of(uint64_t gfn)
{
	if (gfn - RAM_GFN < RAM_FRAMES)
		return gfn - RAM_GFN + RAM_HFN;
	if (gfn - DEVICE_GFN < DEVICE_FRAMES)
		return gfn - DEVICE_GFN + DEVICE_HFN;
	if (gfn - ROM_GFN < ROM_FRAMES)
		return gfn - ROM_GFN + ROM_HFN;
	return ABSENT_HPA >> X86_PAGE_SHIFT;
}

static void look(struct world *w)
{
	static const access_bits accesses[] = {
		0, X86_PF_W, X86_PF_U, X86_PF_U | X86_PF_W, X86_PF_I, X86_PF_I | X86_PF_U};
	access_bits access = accesses[below(w, 6)];
	umbra_gva gva = random_gva(w) + 8 * below(w, 3);
	struct umbra_page_fault fault = {.error_code = (uint32_t)access,
		.cpl = access & X86_PF_U ? 3 : 0,
		.pkru = w->h->pkru};
	access_bits with_keys = mode_access(w->h->vcpu, &fault);
	struct walk walk;
	bool allowed = walk_from_root(w->h, gva, with_keys, &walk) == ALLOWED;
	struct host_result result = host_access(w->h, gva, access);

	if (!allowed) {
		w->injected++;
		assert_int_equal(result.outcome, UMBRA_INJECT);
		assert_int_equal(result.exit.error_code, walk.error_code);
		return;
	}
	assert_int_not_equal(result.outcome, UMBRA_INJECT);
	if (result.outcome == UMBRA_RESUME)
		assert_int_equal(result.hpa >> X86_PAGE_SHIFT, hfn_of(walk.gfn));
	else
		assert_int_equal(result.exit.gpa, walk.gfn << X86_PAGE_SHIFT | gva % X86_PAGE_SIZE);
	/* A and D are set for it, where they can be. */
	assert_int_equal(walk_from_root(w->h, gva, with_keys, &walk), ALLOWED);
	for (unsigned level = walk.leaf_level; level <= walk.top; level++)
		assert_true(!walk.entry[level] || (walk.gpte[level] & X86_PTE_A) ||
			    (w->mode == HOST_PAE && level == 3));
	assert_true(!(access & X86_PF_W) || !walk.entry[walk.leaf_level] ||
		    (walk.gpte[walk.leaf_level] & X86_PTE_D));
}

/* ---- worlds ---- */

static void world_new(struct world *w, unsigned seed)
{
	struct host_config config = {.caches = true};

	*w = (struct world){.rng = rng_seed(seed)};
	w->mode = HOST_PAE + below(w, 3);
	w->n_vcpus = 1 + chance(w, 4);
	config.policy = random_policy(w);
	config.tags = 1 + below(w, 4);
	config.flush_tag = chance(w, 2);
	config.no_flush_gva = chance(w, 3);
	config.pool_pages = chance(w, 2) ? UMBRA_POOL_MIN : 256;
	config.max_vcpus = w->n_vcpus;
	w->h = host_new(&config);
	w->h->levels = w->mode == HOST_PAE ? 3 : w->mode == HOST_4LEVEL ? 4 : 5;
	w->h->unchecked = true;
	for (unsigned i = 0; i < N_TABLES; i++)
		w->tables[i] = i % 2 ? BIG + 17 + i : host_new_table(w->h);
	for (uint64_t gfn = 0; gfn < DATA_GFN; gfn += LARGE_FRAMES)
		host_map(w->h, w->tables[0], WINDOW + gfn * X86_PAGE_SIZE, 2,
			gpte_of(gfn, (LEAF & ~X86_PTE_U) | X86_PTE_PS));
	for (uint64_t gfn = 0; gfn < DATA_GFN; gfn += LARGE_FRAMES)
		host_map(w->h, w->tables[0], USERS + gfn * X86_PAGE_SIZE, 2,
			gpte_of(gfn, LEAF | X86_PTE_PS));
	for (unsigned i = 1; i < N_ROOTS; i++)
		*host_gpte(w->h, w->tables[i], WINDOW, w->h->levels) =
			*host_gpte(w->h, w->tables[0], WINDOW, w->h->levels);
	for (unsigned i = 0; i < N_TABLES; i++) {
		for (unsigned n = i < N_ROOTS; n < 3; n++)
			host_words(w->h, w->tables[i])[n] = random_gpte(w, i < N_ROOTS);
	}
	/* Tables in memory that cannot be written. */
	for (unsigned i = 0; i < 6; i++)
		host_words(w->h, ROM_GFN + i / 3)[i % 3] = random_gpte(w, false);
	w->vcpus[0] = w->h->vcpu;
	if (w->n_vcpus > 1)
		assert_int_equal(umbra_vcpu_create(w->h->vm, &w->vcpus[1]), UMBRA_OK);
	for (unsigned i = 0; i < w->n_vcpus; i++) {
		w->h->vcpu = w->vcpus[i];
		host_start_mode(w->h, w->mode, w->tables[0]);
	}
}

static void who_flushes_sees_what_memory_says(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct world w;

		print_message("  seed %u\n", seed);
		world_new(&w, seed);
		for (unsigned step = 0; step < STEPS; step++) {
			for (unsigned n = below(&w, 3); n; n--)
				store(&w);
			flush(&w);
			w.h->pkru = chance(&w, 2) ? below(&w, 4) << 2 * 2 : 0;
			for (unsigned n = 1 + below(&w, 6); n; n--)
				look(&w);
			w.h->unchecked = step % 8;
			host_check(w.h);
			w.h->unchecked = true;
		}
		assert_int_equal(umbra_stats(w.h->vm)->tlb_flush, host_flushes(w.h));
		assert_int_equal(umbra_stats(w.h->vm)->pf_guest, w.injected);
		assert_int_equal(umbra_stats(w.h->vm)->tlb_flush_gva, w.h->flush_gva);
		host_free(w.h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_flushes_sees_what_memory_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
