/* SPDX-License-Identifier: MIT */
/*
 * Tables that are written and not used: given up after as many stores or flushes as flood.h says,
 * and after twice as many each time; and tables that are used, which stay.
 */
#include "tests/unit/mmu_guest.h"

#include "mmu/src/page.h"
#include "mmu/src/set.h"
#include "mmu/src/slot.h"

/* As flood.h says. */
#define FLUSHES 2u
#define CHURN   3u

/* ---- a last-level table of which some entries are in use ---- */

struct scene {
	struct host *h;
	uint64_t table;
	uint64_t *entry; /* its first */
	unsigned n;      /* in use, from the first on */
	unsigned stores;
};

static umbra_gva gva_of(unsigned i)
{
	return GVA + i * X86_PAGE_SIZE;
}

/* The guest translates by the first @n entries. */
static void use(struct scene *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(host_access(s->h, gva_of(i), 0).outcome, UMBRA_RESUME);
}

static struct scene scene_new(enum umbra_write how, enum umbra_oos oos, unsigned n)
{
	struct host_config config = {.policy = umbra_policy_default};
	struct scene s = {.n = n};

	config.policy.write = how;
	config.policy.oos = oos;
	config.policy.prefetch = 0;
	s.h = guest_new(&config);
	s.h->unchecked = true;
	for (unsigned i = 0; i < n; i++)
		s.table = host_map(s.h, s.h->root, gva_of(i), 1, gpte_of(DATA_GFN + i, LEAF));
	s.entry = host_gpte(s.h, s.h->root, GVA, 1);
	use(&s, n);
	return s;
}

static void scene_end(struct scene *s)
{
	s->h->unchecked = false;
	host_check(s->h);
	host_free(s->h);
}

/* The processor did not walk through it since then. */
static void forget_walks(struct scene *s)
{
	for (uint32_t page = page_of_table(s->h->vm, s->table, 0); page;
		page = page_of_table(s->h->vm, s->table, page)) {
		s->h->vm->pages[page].used = false;
		for (uint32_t ref = s->h->vm->pages[page].parents; ref;
			ref = ref_link(s->h->vm, ref)->next)
			set_clear_accessed(s->h->vm, ref);
	}
}

static bool stands(const struct scene *s)
{
	return host_shadows(s->h, s->table) > 0;
}

static unsigned churn(const struct scene *s)
{
	return frame_of(s->h->vm, s->table)->state & FRAME_CHURN;
}

/* An entry that is not in use; in a group of 8 where another is, as compares look at no others.
 */
static uint64_t *unused_entry(struct scene *s)
{
	assert_true(s->n % GROUP_ENTRIES || !s->n);
	return s->entry + s->n;
}

/* An entry that stands for nothing, each time another. */
static uint64_t next_gpte(struct scene *s)
{
	return 16ull * ++s->stores;
}

/* The host makes such a store. */
static void host_stores(struct scene *s)
{
	host_write_word(s->h, host_gpa(s->h, unused_entry(s)), next_gpte(s));
}

/* The guest makes it, without an exit, and flushes. */
static void guest_flushes(struct scene *s)
{
	assert_int_equal(
		host_store(s->h, guest_window(s->h, unused_entry(s)), next_gpte(s)).outcome,
		UMBRA_RESUME);
	host_cr3(s->h, s->h->root);
}

/* How often @step can be done before the table is given up; @most if it is not. */
static unsigned steps(struct scene *s, void (*step)(struct scene *s), unsigned most)
{
	for (unsigned i = 1; i <= most; i++) {
		step(s);
		if (!stands(s))
			return i;
	}
	return most + 1;
}

/* ---- as many as flood.h says ---- */

/* As much as it costs to make its shadow again. It was used until then, which is asked first. */
static void emulated_stores_give_an_unused_table_up(void **state)
{
	static const unsigned in_use[] = {1, 15, 17, 31, 33, 100, 161, 511};

	(void)state;
	for (unsigned i = 0; i < sizeof(in_use) / sizeof(in_use[0]); i++) {
		for (unsigned used = 0; used < 2; used++) {
			struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_OFF, in_use[i]);
			const struct umbra_stats *stats = umbra_stats(s.h->vm);
			unsigned limit = 2 + in_use[i] / 16;

			print_message("  %u in use, %u\n", in_use[i], used);
			if (!used)
				forget_walks(&s);
			assert_int_equal(steps(&s, host_stores, 1000), limit << used);
			assert_int_equal(stats->mmu_flooded, 1);
			assert_int_equal(stats->mmu_unshadow, 0);
			assert_int_equal(churn(&s), 1);
			host_check(s.h);
			/* Then it is written freely, and used again. */
			assert_int_equal(
				host_access(s.h, guest_window(s.h, s.entry), X86_PF_W).outcome,
				UMBRA_RESUME);
			assert_int_equal(host_read_gfn(s.h, GVA), DATA_GFN);
			assert_true(stands(&s));
			scene_end(&s);
		}
	}
}

static void flushes_that_find_it_changed_give_an_unused_table_up(void **state)
{
	(void)state;
	for (unsigned used = 0; used < 2; used++) {
		for (unsigned n = 1; n < 500; n += 160) {
			struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, n);
			const struct umbra_stats *stats = umbra_stats(s.h->vm);

			if (!used)
				forget_walks(&s);
			assert_int_equal(steps(&s, guest_flushes, 1000), FLUSHES << used);
			assert_int_equal(stats->mmu_flooded, 1);
			assert_int_equal(stats->mmu_unshadow, 0);
			assert_int_equal(churn(&s), 1);
			s.h->unchecked = false;
			host_check(s.h);
			s.h->unchecked = true;
			assert_int_equal(host_read_gfn(s.h, GVA), DATA_GFN);
			scene_end(&s);
		}
	}
}

/* Who uses it just after that each time is worth twice as much the next time, up to 8 times. */
static void what_it_takes_doubles_three_times(void **state)
{
	(void)state;
	for (unsigned oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_ALL; oos += UMBRA_OOS_ALL) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, oos, 1);

		for (unsigned round = 0; round < 10; round++) {
			unsigned limit = (oos ? FLUSHES : 2) << (round < CHURN ? round : CHURN);

			use(&s, 1);
			assert_true(stands(&s));
			forget_walks(&s);
			assert_int_equal(steps(&s, oos ? guest_flushes : host_stores, 2000), limit);
			assert_int_equal(churn(&s), round < CHURN ? round + 1 : CHURN);
			assert_int_equal(umbra_stats(s.h->vm)->mmu_flooded, round + 1);
		}
		scene_end(&s);
	}
}

/* Only in a row: what is not changed is not counted, but nor does it end the row. */
static void guest_flushes_twice(struct scene *s)
{
	guest_flushes(s);
	if (stands(s))
		host_cr3(s->h, s->h->root);
}

static void flushes_that_find_nothing_do_not_count(void **state)
{
	struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 1);

	(void)state;
	forget_walks(&s);
	assert_int_equal(steps(&s, guest_flushes_twice, 1000), FLUSHES);
	scene_end(&s);
}

/* ---- use ---- */

/* The entry that is written had been used: by its own A alone. */
static void writes_a_used_entry(struct scene *s)
{
	use(s, 1);
	forget_walks(s);
	host_write_word(s->h, host_gpa(s->h, s->entry), gpte_of(DATA_GFN + ++s->stores, LEAF));
}

static void flushes_a_used_entry(struct scene *s)
{
	use(s, 1);
	forget_walks(s);
	assert_int_equal(host_store(s->h, guest_window(s->h, s->entry),
				 gpte_of(DATA_GFN + ++s->stores, LEAF))
				 .outcome,
		UMBRA_RESUME);
	host_cr3(s->h, s->h->root);
}

/* The guest translates by its other entries. */
static void uses_others(struct scene *s)
{
	host_stores(s);
	use(s, 1);
}

/* A link that leads to a table in use, of a page directory that nothing else tells of. */
static void flushes_a_used_link(struct scene *s)
{
	uint64_t *link = host_gpte(s->h, s->h->root, GVA, 2);

	s->table = guest_table_of(s->h, link);
	use(s, 1);
	forget_walks(s);
	guest_sets(s->h, link, *link ^ 1ull << 9);
	host_cr3(s->h, s->h->root);
}

static void flushes_and_uses_others(struct scene *s)
{
	guest_flushes(s);
	if (stands(s))
		use(s, 1);
}

static void a_table_that_is_used_stays(void **state)
{
	(void)state;
	static const struct {
		void (*step)(struct scene *s);
		enum umbra_oos oos;
	} cases[] = {
		{writes_a_used_entry, UMBRA_OOS_OFF},
		{uses_others, UMBRA_OOS_OFF},
		{flushes_a_used_entry, UMBRA_OOS_ALL},
		{flushes_and_uses_others, UMBRA_OOS_ALL},
		{flushes_a_used_link, UMBRA_OOS_ALL},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, cases[i].oos, 2);

		print_message("  case %u\n", i);
		assert_int_equal(steps(&s, cases[i].step, 300), 301);
		assert_int_equal(umbra_stats(s.h->vm)->mmu_flooded, 0);
		assert_int_equal(churn(&s), 0);
		scene_end(&s);
	}
}

/* What is foreseen is not used: only the processor tells. */
static void writes_an_entry_that_is_foreseen(struct scene *s)
{
	host_write_word(s->h, host_gpa(s->h, s->entry), gpte_of(DATA_GFN + ++s->stores, LEAF));
	assert_true(!stands(s) || host_spte(s->h, GVA, 1));
}

static void flushes_an_entry_that_is_foreseen(struct scene *s)
{
	assert_int_equal(host_store(s->h, guest_window(s->h, s->entry),
				 gpte_of(DATA_GFN + ++s->stores, LEAF))
				 .outcome,
		UMBRA_RESUME);
	host_cr3(s->h, s->h->root);
	assert_true(!stands(s) || host_spte(s->h, GVA, 1));
}

/* Of the same frame with other rights, too: then the leaf stays, but not its A. */
static void changes_rights_that_nobody_uses(struct scene *s)
{
	host_write_word(s->h, host_gpa(s->h, s->entry),
		gpte_of(DATA_GFN, ++s->stores & 1 ? GPTE_RO | GPTE_AD : LEAF));
}

static void entries_that_are_only_foreseen_are_not_used(void **state)
{
	static const struct {
		void (*step)(struct scene *s);
		enum umbra_oos oos;
		unsigned n;
	} cases[] = {
		{writes_an_entry_that_is_foreseen, UMBRA_OOS_OFF, 2},
		{changes_rights_that_nobody_uses, UMBRA_OOS_OFF, 2},
		{flushes_an_entry_that_is_foreseen, UMBRA_OOS_ALL, FLUSHES},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, cases[i].oos, 1);

		print_message("  case %u\n", i);
		forget_walks(&s);
		/* The first finds that it had been used. */
		assert_int_equal(steps(&s, cases[i].step, 100), 1 + cases[i].n);
		scene_end(&s);
	}
}

/* One use is as good as many: the row begins anew. */
static void one_use_begins_the_row_anew(void **state)
{
	(void)state;
	for (unsigned oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_ALL; oos += UMBRA_OOS_ALL) {
		void (*step)(struct scene * s) = oos ? guest_flushes : host_stores;
		unsigned limit = oos ? FLUSHES : 2 + 60 / 16;
		struct scene s = scene_new(UMBRA_WRITE_AUTO, oos, 60);

		forget_walks(&s);
		assert_int_equal(steps(&s, step, limit - 1), limit);
		(oos ? flushes_a_used_entry : writes_a_used_entry)(&s);
		forget_walks(&s);
		assert_int_equal(steps(&s, step, 100), limit);
		scene_end(&s);
	}
}

/* At each flush both tables are changed, of which one is used: the other goes. */
static void the_use_of_one_table_is_not_that_of_another(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 2; which++) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 1);
		const umbra_gva other = GVA + (2ull << 20);
		uint64_t *used, *unused;
		unsigned n;

		host_map(s.h, s.h->root, other, 1, gpte_of(DATA_GFN, LEAF));
		host_read_gfn(s.h, other);
		used = host_gpte(s.h, s.h->root, which ? GVA : other, 1);
		unused = host_gpte(s.h, s.h->root, which ? other : GVA, 1);
		for (n = 0; n < 20; n++) {
			host_read_gfn(s.h, which ? GVA : other);
			host_access(s.h, guest_window(s.h, used), 0);
			s.table = guest_table_of(s.h, unused);
			forget_walks(&s);
			guest_sets(s.h, used, gpte_of(DATA_GFN + 1 + n, LEAF));
			guest_sets(s.h, unused + 1, 16 * n + 16);
			host_cr3(s.h, s.h->root);
			if (!stands(&s))
				break;
		}
		assert_int_equal(n + 1, FLUSHES);
		assert_int_equal(host_shadows(s.h, guest_table_of(s.h, used)), 1);
		scene_end(&s);
	}
}

/* By a load of CR3, or, above the last level, by INVLPG: what was used before, at an address that
 * was invalidated, says nothing of what the flush finds. */
static void a_use_that_was_seen_before_does_not_count(void **state)
{
	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 1);
		const umbra_gva other = GVA + (1ull << 30);
		uint64_t *unused;
		unsigned n;

		host_map(s.h, s.h->root, other, 1, gpte_of(DATA_GFN, LEAF));
		host_read_gfn(s.h, other);
		unused = host_gpte(s.h, s.h->root, other, level);
		s.table = guest_table_of(s.h, unused);
		for (n = 0; n < 20; n++) {
			host_read_gfn(s.h, GVA);
			guest_sets(s.h, s.entry, gpte_of(DATA_GFN + 1 + n, LEAF));
			if (level == 1)
				host_invlpg(s.h, GVA);
			forget_walks(&s);
			guest_sets(s.h, unused + 1, 16 * n + 16);
			level == 1 ? host_cr3(s.h, s.h->root) : host_invlpg(s.h, GVA);
			if (!stands(&s))
				break;
		}
		assert_int_equal(n + 1, FLUSHES);
		scene_end(&s);
	}
}

/* Protected anew, it is counted anew. */
static void what_is_protected_is_counted_anew(void **state)
{
	struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 60);
	unsigned limit = 2 + 60 / 16;

	(void)state;
	forget_walks(&s);
	assert_int_equal(steps(&s, guest_flushes, FLUSHES - 1), FLUSHES);
	s.h->vm->policy.sticky = 0;
	use(&s, 1);
	while (host_is_unsync(s.h, s.table))
		host_cr3(s.h, s.h->root);
	assert_int_equal(steps(&s, host_stores, 100), limit);
	scene_end(&s);
}

/* ---- who is never given up ---- */

/* Who has said what he wants. With a snapshot off nobody knows what changed. */
static void other_policies_give_nothing_up(void **state)
{
	static const struct {
		enum umbra_write write;
		enum umbra_oos oos;
		void (*step)(struct scene *s);
		bool no_snapshot;
	} cases[] = {
		{UMBRA_WRITE_EMULATE, UMBRA_OOS_ALL, host_stores, false},
		{UMBRA_WRITE_UNSYNC, UMBRA_OOS_OFF, host_stores, false},
		{UMBRA_WRITE_ZAP, UMBRA_OOS_ALL, host_stores, false},
		{UMBRA_WRITE_UNSYNC, UMBRA_OOS_ALL, guest_flushes, false},
		{UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, guest_flushes, true},
		{UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, host_stores, false}, /* it is unsync */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s = scene_new(cases[i].write, cases[i].oos, 1);

		print_message("  case %u\n", i);
		s.h->vm->policy.snapshot = !cases[i].no_snapshot;
		forget_walks(&s);
		assert_int_equal(steps(&s, cases[i].step, 300), 301);
		assert_int_equal(umbra_stats(s.h->vm)->mmu_flooded, 0);
		scene_end(&s);
	}
}

static void a_root_that_runs_stays(void **state)
{
	(void)state;
	for (unsigned oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_ALL; oos += UMBRA_OOS_ALL) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, oos, 1);

		s.table = s.h->root;
		s.entry = host_words(s.h, s.table) + 2;
		s.n = 0;
		for (unsigned i = 0; i < 300; i++) {
			forget_walks(&s);
			(oos ? guest_flushes : host_stores)(&s);
			assert_true(stands(&s));
		}
		assert_int_equal(umbra_stats(s.h->vm)->mmu_flooded, 0);
		scene_end(&s);
	}
}

/* A frame with two shadows, of which one is used: that one stays, with the frame if its stores are
 * emulated, alone if it is unsync. */
static void a_frame_is_given_up_if_none_of_its_pages_is_used(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 3; which++) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_OFF, 1);
		const umbra_gva twice = GVA + (1ull << 30);
		const unsigned limit = 2;

		/* As a page directory too, whose first entry is no table. */
		host_map(s.h, s.h->root, twice, 3, gpte_of(s.table, GPTE_RW | X86_PTE_A));
		host_cr3(s.h, s.h->root);
		(void)host_access(s.h, twice + (7ull << 21), 0);
		host_write_word(s.h, s.table << X86_PAGE_SHIFT | 56, gpte_of(0, LEAF | X86_PTE_PS));
		host_read_gfn(s.h, twice + (7ull << 21));
		assert_int_equal(host_shadows(s.h, s.table), 2);
		for (unsigned i = 0; i < 40 * limit; i++) {
			if (i % limit == 0)
				forget_walks(&s);
			if (which)
				(void)host_access(s.h, which == 1 ? GVA : twice + (7ull << 21), 0);
			host_write_word(s.h, s.table << X86_PAGE_SHIFT | 64, 16 * i + 16);
			if (!stands(&s))
				break;
		}
		assert_int_equal(host_shadows(s.h, s.table), which ? 2 : 0);
		assert_int_equal(umbra_stats(s.h->vm)->mmu_flooded, !which);
		scene_end(&s);
	}
}

/* A table of 4-byte entries has two shadow pages, of which each has its own number of entries in
 * use: the one that it takes the more for decides. */
static void both_halves_of_a_narrow_table_go_together(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 100; n += 32) {
		struct host_config config = {.policy = umbra_policy_default};
		struct scene s = {.n = n};
		unsigned stores = 0;

		config.policy.oos = UMBRA_OOS_OFF;
		config.policy.prefetch = 0;
		s.h = host_new(&config);
		for (unsigned i = 0; i < n; i++)
			s.table = host_map32(
				s.h, s.h->root, gva_of(i), 1, gpte_of(DATA_GFN + i, LEAF));
		host_map32(s.h, s.h->root, gva_of(ENTRIES), 1, gpte_of(DATA_GFN, LEAF));
		host_start_mode(s.h, HOST_2LEVEL, s.h->root);
		use(&s, n);
		host_read_gfn(s.h, gva_of(ENTRIES));
		assert_int_equal(host_shadows(s.h, s.table), 2);
		forget_walks(&s);
		while (stands(&s)) {
			uint32_t gpte = 16 * ++stores;

			host_write(s.h, (s.table << X86_PAGE_SHIFT) + 4 * 200, &gpte, 4);
			assert_true(stores < 100);
		}
		assert_int_equal(stores, 2 + n / 16);
		assert_int_equal(host_shadows(s.h, s.table), 0);
		assert_int_equal(umbra_stats(s.h->vm)->mmu_flooded, 1);
		scene_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emulated_stores_give_an_unused_table_up),
		cmocka_unit_test(flushes_that_find_it_changed_give_an_unused_table_up),
		cmocka_unit_test(what_it_takes_doubles_three_times),
		cmocka_unit_test(flushes_that_find_nothing_do_not_count),
		cmocka_unit_test(a_table_that_is_used_stays),
		cmocka_unit_test(entries_that_are_only_foreseen_are_not_used),
		cmocka_unit_test(one_use_begins_the_row_anew),
		cmocka_unit_test(the_use_of_one_table_is_not_that_of_another),
		cmocka_unit_test(a_use_that_was_seen_before_does_not_count),
		cmocka_unit_test(what_is_protected_is_counted_anew),
		cmocka_unit_test(other_policies_give_nothing_up),
		cmocka_unit_test(a_root_that_runs_stays),
		cmocka_unit_test(a_frame_is_given_up_if_none_of_its_pages_is_used),
		cmocka_unit_test(both_halves_of_a_narrow_table_go_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
