/* SPDX-License-Identifier: MIT */
/*
 * Stores that come to a table again and again by the same way, as an operating system makes them:
 * mostly through a large page of the kernel's. The way is known then, and yet each store does what
 * memory says at that moment.
 */
#include "tests/unit/mmu_guest.h"
#include "tests/unit/mmu_walk_root.h"

#define FAR    (GVA + (1ull << 30))
#define USER   X86_PF_U
#define STORES X86_PF_W

/* Policy `emulate`: a table is at GVA, which FAR maps with all else that lies in its 2M or 4M. */
struct scene {
	struct host *h;
	enum host_mode mode;
	uint64_t table;
	umbra_gva gva; /* in the table, through FAR */
	unsigned last; /* level of the last entry there */
};

static void *entry_at(const struct scene *s, umbra_gva gva, unsigned level)
{
	return s->mode == HOST_2LEVEL ? (void *)host_gpte32(s->h, s->h->root, gva, level)
				      : (void *)host_gpte(s->h, s->h->root, gva, level);
}

static void map(const struct scene *s, umbra_gva gva, unsigned level, uint64_t gpte)
{
	if (s->mode == HOST_2LEVEL)
		host_map32(s->h, s->h->root, gva, level, gpte);
	else
		host_map(s->h, s->h->root, gva, level, gpte);
}

static struct scene scene_new(enum host_mode mode, bool large)
{
	struct host_config config = {.policy = umbra_policy_default};
	struct scene s = {.mode = mode, .last = large ? 2 : 1};

	config.policy.write = UMBRA_WRITE_EMULATE;
	s.h = host_new(&config);
	s.h->levels = mode == HOST_PAE ? 3 : mode == HOST_5LEVEL ? 5 : 4;
	/* In the upper half of 4M, where in the lower one the root is. */
	if (large && mode == HOST_2LEVEL)
		s.h->next_table = LARGE_FRAMES + s.h->root;
	map(&s, GVA, 1, gpte_of(DATA_GFN, LEAF));
	s.table = host_gpa(s.h, entry_at(&s, GVA, 1)) >> X86_PAGE_SHIFT;
	s.gva = FAR + (s.table << X86_PAGE_SHIFT) + 0xff8;
	if (large)
		map(&s, FAR, 2, gpte_of(0, LEAF | X86_PTE_PS));
	for (uint64_t gfn = 0; gfn < LARGE_FRAMES && !large; gfn++)
		map(&s, FAR + gfn * X86_PAGE_SIZE, 1, gpte_of(gfn, LEAF));
	host_start_mode(s.h, mode, s.h->root);
	return s;
}

/* What an access does is what a walk of memory says: refused, or emulated at its address, or free
 * where no table is. */
static void as_memory_says(struct host *h, umbra_gva gva, access_bits access)
{
	struct walk walk;
	bool allowed = walk_from_root(h, gva, access, &walk) == ALLOWED;
	bool ram = allowed && walk.gfn < RAM_FRAMES;
	bool table = ram && host_shadows(h, walk.gfn);
	struct host_result result = host_access(h, gva, access);

	if (!allowed) {
		assert_int_equal(result.outcome, UMBRA_INJECT);
		assert_int_equal(result.exit.error_code, walk.error_code);
		return;
	}
	if (!ram) {
		assert_int_equal(result.outcome, access & STORES ? UMBRA_MMIO : UMBRA_RESUME);
	} else if (table && (access & STORES)) {
		assert_int_equal(result.outcome, UMBRA_EMULATE);
		assert_int_equal(result.exit.gpa, walk.gfn << X86_PAGE_SHIFT | gva % X86_PAGE_SIZE);
	} else {
		assert_int_equal(result.outcome, UMBRA_RESUME);
		assert_int_equal(
			result.hpa, (RAM_HFN + walk.gfn) << X86_PAGE_SHIFT | gva % X86_PAGE_SIZE);
	}
	assert_int_equal(walk_from_root(h, gva, access, &walk), ALLOWED);
	assert_true(walk.gpte[walk.leaf_level] & X86_PTE_A);
	assert_true(!(access & STORES) || (walk.gpte[walk.leaf_level] & X86_PTE_D));
}

/* Reads make the way known, too, whatever may be written there. */
static void try_all(const struct scene *s)
{
	static const access_bits accesses[] = {
		0, STORES, STORES, USER, USER | STORES, USER | STORES, 0, STORES, STORES};

	for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
		as_memory_says(s->h, s->gva, accesses[i]);
}

static void change(const struct scene *s, unsigned level, uint64_t bits)
{
	bool narrow = s->mode == HOST_2LEVEL;
	void *entry = entry_at(s, s->gva, level);
	uint64_t was = narrow ? *(uint32_t *)entry : *(uint64_t *)entry;
	uint64_t now = was ^ bits;

	host_write(s->h, host_gpa(s->h, entry), &now, narrow ? 4 : 8);
	try_all(s);
	host_write(s->h, host_gpa(s->h, entry), &was, narrow ? 4 : 8);
	assert_int_equal(host_access(s->h, GVA, USER).outcome, UMBRA_RESUME);
	try_all(s);
}

/* (mode) x (large or not) x (level on the way) x (what changes there): no flush, as each store
 * faults. */
static void each_change_on_its_way_is_seen(void **state)
{
	static const uint64_t changes[] = {X86_PTE_P, X86_PTE_W, X86_PTE_U, X86_PTE_A, X86_PTE_D,
		X86_PTE_W | X86_PTE_U, X86_PTE_G, 1ull << 22, X86_PTE_PS, X86_PTE_NX, 1ull << 45};

	(void)state;
	for (enum host_mode mode = HOST_2LEVEL; mode <= HOST_5LEVEL; mode++) {
		for (unsigned large = 0; large < 2; large++) {
			struct scene s = scene_new(mode, large);
			unsigned top = mode == HOST_2LEVEL || mode == HOST_PAE ? 2 : s.h->levels;
			unsigned n = mode == HOST_2LEVEL ? 9 : 11;

			host_read_gfn(s.h, GVA);
			try_all(&s);
			for (unsigned level = s.last; level <= top; level++) {
				for (unsigned i = 0; i < n; i++) {
					/* Links to elsewhere are no tables. */
					if (level == s.last || changes[i] != 1ull << 22)
						change(&s, level, changes[i]);
				}
			}
			host_free(s.h);
		}
	}
}

/* A table that cannot be written is protected too, but no store to it is emulated. */
static void stores_to_a_table_in_rom_stay_what_they_are(void **state)
{
	(void)state;
	for (unsigned large = 0; large < 2; large++) {
		struct scene s = scene_new(HOST_4LEVEL, large);
		umbra_gva rom = FAR + (1ull << 30);

		host_words(s.h, ROM_GFN)[0] = gpte_of(DATA_GFN, LEAF);
		map(&s, rom + (2ull << 20), 2, gpte_of(ROM_GFN, GPTE_RW));
		map(&s, rom, large ? 2 : 1, gpte_of(ROM_GFN, LEAF | (large ? X86_PTE_PS : 0)));
		host_start_mode(s.h, HOST_4LEVEL, s.h->root);
		assert_int_equal(host_read_gfn(s.h, rom + (2ull << 20)), DATA_GFN);
		assert_int_equal(host_shadows(s.h, ROM_GFN), 1);
		s.gva = rom + 0x18;
		try_all(&s);
		assert_int_equal(umbra_stats(s.h->vm)->pf_emulate, 0);
		assert_int_equal(umbra_stats(s.h->vm)->pf_mmio, 6);
		host_free(s.h);
	}
}

/* What decides besides the tables. */
static void each_register_that_decides_counts(void **state)
{
	(void)state;
	for (unsigned large = 0; large < 2; large++) {
		for (unsigned regs = 0; regs < 8; regs++) {
			struct scene s = scene_new(HOST_4LEVEL, large);

			host_read_gfn(s.h, GVA);
			try_all(&s);
			host_regs(s.h, regs & 1 ? 0 : X86_CR0_WP,
				(regs & 2 ? X86_CR4_SMAP : 0) | (regs & 4 ? X86_CR4_SMEP : 0));
			for (unsigned bits = 0; bits < 4; bits++)
				change(&s, s.last,
					(bits & 1 ? X86_PTE_W : 0) | (bits & 2 ? X86_PTE_U : 0));
			host_free(s.h);
		}
	}
}

/* The frame is another one now, and the fault has shown it: what is read behind it is that one. */
static void an_emulated_store_shows_the_entry_of_its_address(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .caches = true};
	struct host *h = guest_new(&config);
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t table = host_new_table(h);
	uint64_t *window;

	(void)state;
	/* Another table, which is protected. */
	host_map(h, h->root, 2 * FAR, 2, gpte_of(table, GPTE_RW));
	host_words(h, table)[0] = gpte_of(DATA_GFN + 1, LEAF);
	h->vm->policy.oos = UMBRA_OOS_OFF;
	host_cr3(h, h->root);
	host_read_gfn(h, 2 * FAR);
	assert_false(host_is_unsync(h, table));
	h->vm->policy.oos = UMBRA_OOS_ALL;
	/* A page beside GVA, read-only. */
	window = entry + 1;
	host_cr3(h, h->root);
	guest_sets(h, window, gpte_of(DATA_GFN + 2, GPTE_RO | GPTE_AD));
	assert_int_equal(host_read_gfn(h, GVA + X86_PAGE_SIZE), DATA_GFN + 2);
	h->vm->policy.write = UMBRA_WRITE_EMULATE;
	guest_sets(h, window, gpte_of(table, LEAF));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(
			host_access(h, GVA + X86_PAGE_SIZE, X86_PF_W).outcome, UMBRA_EMULATE);
		assert_int_equal(host_read_gfn(h, GVA + X86_PAGE_SIZE), table);
	}
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change_on_its_way_is_seen),
		cmocka_unit_test(stores_to_a_table_in_rom_stay_what_they_are),
		cmocka_unit_test(each_register_that_decides_counts),
		cmocka_unit_test(an_emulated_store_shows_the_entry_of_its_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
