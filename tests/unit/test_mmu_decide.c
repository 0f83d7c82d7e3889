/* SPDX-License-Identifier: MIT */
/*
 * What is done about a store into a guest table that is protected: the host performs it, the table
 * goes out of sync, or it is given up. Each row of the rule at the top of write.c, restated here;
 * and that it never comes to a standstill, nor flaps.
 */
#include "tests/unit/mmu_guest.h"

#include "mmu/src/page.h"
#include "mmu/src/set.h"
#include "mmu/src/slot.h"

#define FAR  (GVA + (1ull << 30))
#define USER X86_PF_U

enum answer { EMULATED, UNSYNC, GIVEN_UP };

/* ---- a table of @level on the way to GVA, protected, which FAR maps for everybody ---- */

struct scene {
	struct host *h;
	uint64_t table;
	umbra_gva used_gva; /* translated by it */
};

static unsigned churn(const struct scene *s)
{
	return frame_of(s->h->vm, s->table)->state & FRAME_CHURN;
}

/* Nothing was translated by it since it was asked last. */
static void forget_use(struct host *h, uint64_t table)
{
	for (uint32_t page = page_of_table(h->vm, table, 0); page;
		page = page_of_table(h->vm, table, page)) {
		h->vm->pages[page].used = false;
		for (uint32_t ref = h->vm->pages[page].parents; ref;
			ref = ref_link(h->vm, ref)->next)
			set_clear_accessed(h->vm, ref);
	}
}

static void is_protected(const struct scene *s)
{
	assert_true(host_shadows(s->h, s->table) > 0);
	assert_false(host_is_unsync(s->h, s->table));
}

/* Used, and then not changed until it is protected. */
static void protect(const struct scene *s)
{
	host_read_gfn(s->h, s->used_gva);
	for (unsigned i = 0; i < 3; i++)
		host_cr3(s->h, s->h->root);
	is_protected(s);
}

static struct scene scene_new(enum umbra_write how, enum umbra_oos oos, unsigned level)
{
	struct host_config config = {.policy = umbra_policy_default, .max_vcpus = 2};
	struct scene s = {.used_gva = GVA};

	config.policy.write = how;
	config.policy.oos = oos;
	config.policy.sticky = 0;
	config.policy.prefetch = 0;
	s.h = guest_new(&config);
	s.h->unchecked = true;
	host_map(s.h, s.h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	s.table = guest_table_of(s.h, host_gpte(s.h, s.h->root, GVA, level));
	host_map(s.h, s.h->root, FAR, 1, gpte_of(s.table, LEAF));
	protect(&s);
	return s;
}

static void scene_end(struct scene *s)
{
	s->h->unchecked = false;
	host_check(s->h);
	host_free(s->h);
}

/* A store through FAR. */
static enum answer store(const struct scene *s, access_bits access)
{
	const struct umbra_stats *stats = umbra_stats(s->h->vm);
	const struct umbra_stats was = *stats;
	struct host_result result = host_access(s->h, FAR + 0xff8, X86_PF_W | access);
	bool emulated = result.outcome == UMBRA_EMULATE;

	assert_true(emulated || result.outcome == UMBRA_RESUME);
	assert_int_equal(stats->pf_write_table, was.pf_write_table + 1);
	assert_int_equal(stats->pf_emulate, was.pf_emulate + emulated);
	if (emulated) {
		assert_int_equal(result.exit.gpa, s->table << X86_PAGE_SHIFT | 0xff8);
		is_protected(s);
		return EMULATED;
	}
	/* From here on it is free. */
	assert_int_equal(host_access(s->h, FAR, X86_PF_W | access).faults, 0);
	if (host_shadows(s->h, s->table)) {
		assert_true(host_is_unsync(s->h, s->table));
		assert_int_equal(stats->mmu_unsync, was.mmu_unsync + 1);
		assert_int_equal(stats->mmu_unshadow, was.mmu_unshadow);
		return UNSYNC;
	}
	assert_int_equal(stats->mmu_unshadow, was.mmu_unshadow + 1);
	assert_int_equal(stats->mmu_unsync, was.mmu_unsync);
	return GIVEN_UP;
}

/* ---- the rule ---- */

struct row {
	enum umbra_write write;
	enum umbra_oos oos;
	unsigned level;
	access_bits access;
	bool used;
	unsigned emulated;
};

static enum answer rule(const struct row *r)
{
	bool automatic = r->write == UMBRA_WRITE_AUTO;

	if (r->write == UMBRA_WRITE_EMULATE)
		return EMULATED;
	if (r->write == UMBRA_WRITE_ZAP)
		return GIVEN_UP;
	if (automatic && ((r->access & USER) || !r->used))
		return GIVEN_UP;
	if (r->oos == UMBRA_OOS_OFF || (r->oos == UMBRA_OOS_LEAF && r->level > 1))
		return EMULATED;
	return automatic && r->emulated < 2 ? EMULATED : UNSYNC;
}

/* @keys: they are on, so that the fault goes the long way. */
static void try_row(const struct row *r, bool keys)
{
	struct scene s = scene_new(r->write, r->oos, r->level);
	enum answer expect = rule(r);
	enum answer got;

	if (keys)
		s.h->vcpu->regs.cr4 |= X86_CR4_PKE;
	if (keys)
		host_set_regs(
			s.h, &(struct umbra_paging_regs){s.h->vcpu->regs.cr0, s.h->vcpu->regs.cr3,
				     s.h->vcpu->regs.cr4, s.h->vcpu->regs.efer});
	host_access(s.h, FAR, 0);
	forget_use(s.h, s.table);
	if (r->used)
		host_read_gfn(s.h, GVA);
	for (uint32_t page = page_of_table(s.h->vm, s.table, 0); page;
		page = page_of_table(s.h->vm, s.table, page))
		s.h->vm->pages[page].emulated = r->emulated;
	got = store(&s, r->access);
	if (got != expect)
		fail_msg("write %d, oos %d, level %u, user %d, used %d, emulated %u: %d, not %d",
			r->write, r->oos, r->level, !!r->access, r->used, r->emulated, got, expect);
	assert_int_equal(churn(&s), got == GIVEN_UP && r->write == UMBRA_WRITE_AUTO);
	scene_end(&s);
}

static void each_row_of_the_rule_holds(void **state)
{
	(void)state;
	for (unsigned how = UMBRA_WRITE_AUTO; how <= UMBRA_WRITE_ZAP; how++) {
		for (unsigned n = 0; n < 3 * 2 * 2 * 2 * 4 * 2; n++) {
			struct row r = {
				.write = how,
				.oos = n % 3,
				.level = 1 + n / 3 % 2,
				.access = n / 6 % 2 ? USER : 0,
				.used = n / 12 % 2,
				.emulated = n / 24 % 4,
			};

			try_row(&r, n / 96);
		}
	}
}

/* As the host sees it: two stores, then it need not be asked. And again when it was protected. */
static void the_first_two_stores_are_emulated(void **state)
{
	struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 1);

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 2; i++) {
			host_read_gfn(s.h, GVA);
			assert_int_equal(store(&s, 0), EMULATED);
			host_write_word(s.h, s.table << X86_PAGE_SHIFT | 0xff8, round * 16 + i);
		}
		host_read_gfn(s.h, GVA);
		assert_int_equal(store(&s, 0), UNSYNC);
		protect(&s);
	}
	scene_end(&s);
}

/* What other stores the host makes there, for a device say, counts as well. */
static void all_stores_of_the_host_count(void **state)
{
	struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 1);
	const uint8_t byte = 0;

	(void)state;
	host_write(s.h, s.table << X86_PAGE_SHIFT | 0xff9, &byte, 1);
	host_read_gfn(s.h, GVA);
	assert_int_equal(store(&s, 0), EMULATED);
	assert_int_equal(
		umbra_guest_exchange(s.h->vcpu, s.table << X86_PAGE_SHIFT | 0xffa, &byte, &byte, 1),
		UMBRA_EXCHANGE_DONE);
	host_read_gfn(s.h, GVA);
	assert_int_equal(store(&s, 0), UNSYNC);
	scene_end(&s);
}

/* ---- a frame with several shadows ---- */

/* The root is the last-level table of its own window too: that may go unsync, not the root. */
static void what_one_of_its_pages_may_not_the_frame_may_not(void **state)
{
	for (unsigned oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_ALL; oos++) {
		struct scene s = scene_new(UMBRA_WRITE_UNSYNC, oos, 2);
		uint64_t *link = host_gpte(s.h, s.h->root, FAR + (1ull << 30), 2);

		(void)state;
		assert_null(link);
		/* A second place, where it is a last-level table. */
		host_map(s.h, s.h->root, FAR + (1ull << 30), 2,
			gpte_of(s.table, GPTE_RW | X86_PTE_A));
		host_cr3(s.h, s.h->root);
		host_read_gfn(s.h, FAR + (1ull << 30));
		assert_int_equal(host_shadows(s.h, s.table), 2);
		protect(&s);
		assert_int_equal(store(&s, 0), oos == UMBRA_OOS_ALL ? UNSYNC : EMULATED);
		scene_end(&s);
	}
}

/* Used is used, by whichever of its pages; and the most stores count. */
static void what_one_of_its_pages_tells_counts_for_all(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 2; which++) {
		for (unsigned emulated = 0; emulated < 2; emulated++) {
			struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 2);
			umbra_gva gva = FAR + (1ull << 30);
			uint32_t page;

			host_map(s.h, s.h->root, gva, 2, gpte_of(s.table, GPTE_RW | X86_PTE_A));
			host_cr3(s.h, s.h->root);
			host_read_gfn(s.h, gva);
			protect(&s);
			host_access(s.h, FAR, 0);
			forget_use(s.h, s.table);
			host_read_gfn(s.h, which ? GVA : gva);
			page = page_of_table(s.h->vm, s.table, 0);
			if (which ^ emulated)
				page = page_of_table(s.h->vm, s.table, page);
			s.h->vm->pages[page].emulated = 2;
			assert_int_equal(store(&s, 0), UNSYNC);
			scene_end(&s);
		}
	}
}

/* ---- use ---- */

/* Links are asked for it, but not all the links of a table of the kernel. */
static void any_of_the_first_links_tells_of_use(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 12; n++) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 1);
		uint32_t ref;

		for (unsigned i = 1; i < 12; i++) {
			umbra_gva gva = GVA + i * (2ull << 20);

			host_map(s.h, s.h->root, gva, 2, gpte_of(s.table, GPTE_RW | X86_PTE_A));
			host_read_gfn(s.h, gva);
		}
		protect(&s);
		host_access(s.h, FAR, 0);
		forget_use(s.h, s.table);
		ref = s.h->vm->pages[page_of_table(s.h->vm, s.table, 0)].parents;
		for (unsigned i = 1; i < n; i++)
			ref = ref_link(s.h->vm, ref)->next;
		s.h->vm->tables[ref_page(ref)][ref_index(ref)] |= X86_PTE_A;
		assert_int_equal(store(&s, 0), n <= 8 ? EMULATED : GIVEN_UP);
		/* To ask is not to forget. */
		if (n <= 8)
			assert_int_equal(store(&s, 0), EMULATED);
		scene_end(&s);
	}
}

/* Nothing links to a root: one that runs is in use, and one that has run since it was asked. */
static void a_root_is_used_by_running_on_it(void **state)
{
	(void)state;
	for (unsigned runs = 0; runs < 3; runs++) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_OFF, 4);
		uint64_t other = guest_new_root(s.h);

		host_map(s.h, other, FAR, 1, gpte_of(s.table, LEAF));
		host_cr3(s.h, other);
		host_access(s.h, FAR, 0);
		forget_use(s.h, s.table);
		if (runs) {
			host_cr3(s.h, s.h->root);
			forget_use(s.h, runs == 1 ? s.table : other);
		}
		if (runs == 2)
			host_cr3(s.h, other);
		assert_int_equal(store(&s, 0), runs ? EMULATED : GIVEN_UP);
		if (runs)
			assert_int_equal(store(&s, 0), EMULATED);
		scene_end(&s);
	}
}

/* Below PDPTEs, which have no A, nobody can tell: then it is used. */
static void page_directories_under_pdptes_count_as_used(void **state)
{
	struct umbra_policy policy = umbra_policy_default;
	struct host *h;
	uint64_t table;

	(void)state;
	policy.oos = UMBRA_OOS_OFF;
	h = host_new_policy(&policy);
	h->levels = 3;
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	table = guest_table_of(h, host_gpte(h, h->root, GVA, 2));
	host_map(h, h->root, FAR, 1, gpte_of(table, LEAF));
	host_start_mode(h, HOST_PAE, h->root);
	host_read_gfn(h, GVA);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(host_access(h, FAR, X86_PF_W).outcome, UMBRA_EMULATE);
		host_write_word(h, table << X86_PAGE_SHIFT | 0xff8, 16 * i);
	}
	host_free(h);
}

/* ---- progress ---- */

/* Whoever cannot emulate says so, and the next store goes through, under every policy; until the
 * next switch. */
static void what_could_not_be_emulated_is_free_the_next_time(void **state)
{
	(void)state;
	for (unsigned how = UMBRA_WRITE_AUTO; how <= UMBRA_WRITE_ZAP; how++) {
		struct scene s = scene_new(how, UMBRA_OOS_OFF, 1);
		const struct row row = {.write = how, .level = 1, .used = true};

		for (unsigned round = 0; round < 3; round++) {
			assert_true(umbra_unshadow(s.h->vcpu, s.table << X86_PAGE_SHIFT));
			assert_int_equal(host_shadows(s.h, s.table), 0);
			host_read_gfn(s.h, GVA);
			is_protected(&s);
			assert_int_equal(store(&s, 0), UNSYNC);
			host_cr3(s.h, s.h->root);
			host_cr3(s.h, s.h->root);
			is_protected(&s);
			host_read_gfn(s.h, GVA);
			assert_int_equal(store(&s, 0), rule(&row));
			host_read_gfn(s.h, GVA);
		}
		scene_end(&s);
	}
}

/* Four of them are remembered, of each vCPU. */
static void the_last_four_are_remembered(void **state)
{
	for (unsigned n = 1; n < 7; n++) {
		struct scene s = scene_new(UMBRA_WRITE_EMULATE, UMBRA_OOS_OFF, 1);
		struct umbra_vcpu *first = s.h->vcpu;

		(void)state;
		for (unsigned i = 0; i < n; i++) {
			uint64_t gfn = s.table;

			/* Others after it: their tables of 2M. */
			if (i) {
				umbra_gva gva = GVA + i * (2ull << 20);

				gfn = host_map(s.h, s.h->root, gva, 1, gpte_of(DATA_GFN, LEAF));
				host_write_word(s.h,
					host_gpa(s.h, host_gpte(s.h, s.h->root, gva, 2)),
					gpte_of(gfn, GPTE_RW));
				host_read_gfn(s.h, gva);
			}
			assert_true(umbra_unshadow(first, gfn << X86_PAGE_SHIFT));
		}
		host_read_gfn(s.h, GVA);
		assert_int_equal(umbra_vcpu_create(s.h->vm, &s.h->vcpu), UMBRA_OK);
		host_start(s.h, s.h->root);
		assert_int_equal(store(&s, 0), EMULATED);
		s.h->vcpu = first;
		assert_int_equal(store(&s, 0), n <= 4 ? UNSYNC : EMULATED);
		scene_end(&s);
	}
}

/* Of those before the switch none, whatever came after it. */
static void a_switch_forgets_them(void **state)
{
	struct scene s = scene_new(UMBRA_WRITE_EMULATE, UMBRA_OOS_OFF, 1);

	(void)state;
	assert_true(umbra_unshadow(s.h->vcpu, s.h->root << X86_PAGE_SHIFT));
	assert_true(umbra_unshadow(s.h->vcpu, s.table << X86_PAGE_SHIFT));
	host_cr3(s.h, s.h->root);
	assert_true(umbra_unshadow(s.h->vcpu, s.h->root << X86_PAGE_SHIFT));
	host_read_gfn(s.h, GVA);
	assert_int_equal(store(&s, 0), EMULATED);
	scene_end(&s);
}

/* A table that maps itself, at each level: by a user, or when it counts as unused. One look more
 * than it takes to be given up. */
static void a_store_that_needs_the_table_it_writes_gets_through(void **state)
{
	(void)state;
	for (unsigned how = UMBRA_WRITE_AUTO; how <= UMBRA_WRITE_ZAP; how++) {
		for (unsigned level = 1; level <= 4; level++) {
			for (unsigned user = 0; user < 2; user++) {
				struct scene s = scene_new(how, UMBRA_OOS_OFF, level);
				struct host_result result;

				host_write_word(s.h,
					host_gpa(s.h, host_gpte(s.h, s.h->root, GVA, 1)),
					gpte_of(s.table, LEAF));
				host_access(s.h, GVA, 0);
				forget_use(s.h, s.table);
				result = host_access(s.h, GVA, X86_PF_W | (user ? USER : 0));
				if (result.outcome == UMBRA_EMULATE) {
					assert_true(umbra_unshadow(s.h->vcpu, result.exit.gpa));
					result = host_access(s.h, GVA, X86_PF_W);
				}
				assert_int_equal(result.outcome, UMBRA_RESUME);
				assert_true(result.faults <= 3);
				assert_true(umbra_stats(s.h->vm)->mmu_unshadow <= 1);
				scene_end(&s);
			}
		}
	}
}

/* ---- no flapping ---- */

/* A user who writes it and then has it used, each time after a switch: three times. So does a host
 * that emulates nothing, or a table that is used only after each store. */
static void a_table_is_given_up_three_times_at_most(void **state)
{
	(void)state;
	for (unsigned why = 0; why < 3; why++) {
		struct scene s = scene_new(UMBRA_WRITE_AUTO, UMBRA_OOS_ALL, 1);

		for (unsigned i = 0; i < 12; i++) {
			bool last = i >= 3;

			protect(&s);
			host_access(s.h, FAR, 0);
			forget_use(s.h, s.table);
			if (why != 1)
				host_read_gfn(s.h, GVA);
			if (why == 2) {
				assert_true(umbra_unshadow(s.h->vcpu, s.table << X86_PAGE_SHIFT));
				assert_int_equal(host_shadows(s.h, s.table), last);
				assert_int_equal(host_is_unsync(s.h, s.table), last);
			} else {
				assert_int_equal(
					store(&s, why ? 0 : USER), last ? UNSYNC : GIVEN_UP);
			}
			assert_int_equal(churn(&s), last ? 3 : i + 1);
			assert_int_equal(umbra_stats(s.h->vm)->mmu_unshadow, last ? 3 : i + 1);
		}
		scene_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_of_the_rule_holds),
		cmocka_unit_test(the_first_two_stores_are_emulated),
		cmocka_unit_test(all_stores_of_the_host_count),
		cmocka_unit_test(what_one_of_its_pages_may_not_the_frame_may_not),
		cmocka_unit_test(what_one_of_its_pages_tells_counts_for_all),
		cmocka_unit_test(any_of_the_first_links_tells_of_use),
		cmocka_unit_test(a_root_is_used_by_running_on_it),
		cmocka_unit_test(page_directories_under_pdptes_count_as_used),
		cmocka_unit_test(what_could_not_be_emulated_is_free_the_next_time),
		cmocka_unit_test(the_last_four_are_remembered),
		cmocka_unit_test(a_switch_forgets_them),
		cmocka_unit_test(a_store_that_needs_the_table_it_writes_gets_through),
		cmocka_unit_test(a_table_is_given_up_three_times_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
