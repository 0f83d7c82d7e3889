/* SPDX-License-Identifier: MIT */
/*
 * The smallest pool there can be, and guests that want far more: everything works, and what is in
 * use is not what goes.
 */
#include "tests/unit/mmu_host.h"

#include <string.h>

#include "mmu/src/page.h"
#include "mmu/src/reclaim.h"
#include "mmu/src/set.h"

#define GVA  0x40000000ull
#define LEAF (GPTE_RW | GPTE_AD)

static struct host *tiny(enum umbra_replace replace, enum umbra_oos oos)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	policy.replace = replace;
	policy.oos = oos;
	h = host_new(&(struct host_config){
		.policy = policy, .pool_pages = UMBRA_POOL_MIN, .max_vcpus = 4});
	host_start(h, h->root);
	return h;
}

/* Page @i of many, each in a table of its own. */
static umbra_gva page_gva(unsigned i)
{
	return GVA + i * 0x200000ull;
}

static void hundreds_of_tables_work_in_a_pool_of_64(void **state)
{
	enum { N = 300 };

	(void)state;
	for (unsigned variant = 0; variant < 6; variant++) {
		struct host *h = tiny(variant % 2 ? UMBRA_REPLACE_FIFO : UMBRA_REPLACE_CLOCK,
			(enum umbra_oos)(variant / 2));

		print_message("  variant %u\n", variant);
		for (unsigned i = 0; i < N; i++)
			host_map(h, h->root, page_gva(i), 1, gpte_of(DATA_GFN + i, GPTE_RW));
		for (unsigned i = 0; i < 2 * N; i++) {
			unsigned n = i * 7 % N;

			assert_int_equal(host_access(h, page_gva(n), X86_PF_W).hpa,
				(RAM_HFN + DATA_GFN + n) << 12);
			assert_true(umbra_stats(h->vm)->shadow_pages < UMBRA_POOL_MIN);
		}
		assert_true(umbra_stats(h->vm)->mmu_recycled > N / 2);
		host_free(h);
	}
}

/* Tables are written while they come and go; the last word counts. */
static void tables_that_are_written_while_they_are_recycled_stay_right(void **state)
{
	enum { N = 150 };

	(void)state;
	for (unsigned oos = 0; oos < 3; oos++) {
		struct host *h = tiny(UMBRA_REPLACE_CLOCK, (enum umbra_oos)oos);

		print_message("  oos %u\n", oos);
		for (uint64_t gfn = 0; gfn < 1024; gfn += 512)
			host_map(h, h->root, 0x7f0000000000 + gfn * 4096, 2,
				gpte_of(gfn, LEAF | X86_PTE_PS));
		for (unsigned i = 0; i < N; i++)
			host_map(h, h->root, page_gva(i), 1, gpte_of(DATA_GFN + i, LEAF));
		for (unsigned i = 0; i < 4 * N; i++) {
			unsigned n = i * 11 % N;
			uint64_t *entry = host_gpte(h, h->root, page_gva(n), 1);
			struct host_result result;

			assert_int_equal(host_access(h, page_gva(n), 0).outcome, UMBRA_RESUME);
			result = host_store(h, 0x7f0000000000 + host_gpa(h, entry),
				gpte_of(DATA_GFN + 300 + i, LEAF));
			assert_true(
				result.outcome == UMBRA_RESUME || result.outcome == UMBRA_EMULATE);
			host_invlpg(h, page_gva(n));
			assert_int_equal(host_read_gfn(h, page_gva(n)), DATA_GFN + 300 + i);
		}
		host_free(h);
	}
}

static void more_roots_than_pages_can_be_run(void **state)
{
	enum { N = 200 };
	struct host *h = tiny(UMBRA_REPLACE_CLOCK, UMBRA_OOS_LEAF);
	uint64_t roots[N];

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		roots[i] = host_new_table(h);
		host_map(h, roots[i], GVA, 1, gpte_of(DATA_GFN + i, GPTE_RW));
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < N; i++) {
			host_cr3(h, roots[i]);
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		}
	}
	host_free(h);
}

static void roots_that_run_are_never_taken(void **state)
{
	struct host *h = tiny(UMBRA_REPLACE_CLOCK, UMBRA_OOS_OFF);
	struct umbra_vcpu *vcpus[4] = {h->vcpu};
	uint32_t roots[4];

	(void)state;
	for (unsigned i = 1; i < 4; i++) {
		struct umbra_paging_regs regs = h->vcpu->regs;
		struct umbra_exit out;

		assert_int_equal(umbra_vcpu_create(h->vm, &vcpus[i]), UMBRA_OK);
		regs.cr3 = host_new_table(h) << 12;
		assert_int_equal(umbra_set_paging_regs(vcpus[i], &regs, &out), UMBRA_RESUME);
	}
	for (unsigned i = 0; i < 4; i++)
		roots[i] = vcpus[i]->root;
	for (unsigned i = 0; i < 300; i++) {
		host_map(h, h->root, page_gva(i), 1, gpte_of(DATA_GFN + i, GPTE_RW));
		host_read_gfn(h, page_gva(i));
		for (unsigned v = 0; v < 4; v++) {
			assert_int_equal(vcpus[v]->root, roots[v]);
			assert_true(
				h->vm->pages[roots[v]].in_use && h->vm->pages[roots[v]].roots == 1);
		}
	}
	host_free(h);
}

/* Ten pages are used all the time, hundreds once: the ten stay. FIFO knows no such thing. */
static unsigned faults_of_a_working_set(enum umbra_replace replace)
{
	struct host *h = tiny(replace, UMBRA_OOS_OFF);
	unsigned faults = 0;

	for (unsigned i = 0; i < 400; i++)
		host_map(h, h->root, page_gva(i), 1, gpte_of(DATA_GFN + i, GPTE_RW));
	for (unsigned i = 10; i < 400; i++) {
		host_read_gfn(h, page_gva(i));
		for (unsigned hot = 0; hot < 10; hot++)
			faults += host_access(h, page_gva(hot), 0).faults;
	}
	host_free(h);
	return faults;
}

static void the_clock_spares_what_is_used(void **state)
{
	unsigned clock = faults_of_a_working_set(UMBRA_REPLACE_CLOCK);
	unsigned fifo = faults_of_a_working_set(UMBRA_REPLACE_FIFO);

	(void)state;
	print_message("  faults on the working set: clock %u, fifo %u\n", clock, fifo);
	assert_true(clock < 40);
	assert_true(fifo > 2 * clock);
}

/* Of pages that are not used the emptiest goes. */
static void the_cheapest_to_rebuild_goes_first(void **state)
{
	struct host *h = tiny(UMBRA_REPLACE_CLOCK, UMBRA_OOS_OFF);
	uint32_t picked;

	(void)state;
	/* Eight tables with 9, 8, 7 ... 2 pages in use. */
	for (unsigned i = 0; i < 8; i++) {
		for (unsigned n = 0; n < 9 - i; n++) {
			host_map(
				h, h->root, page_gva(i) + n * 4096, 1, gpte_of(DATA_GFN + n, LEAF));
			host_read_gfn(h, page_gva(i) + n * 4096);
		}
	}
	/* Those eight were not used since the last look, all else was. */
	for (uint32_t page = 1; page < h->vm->n_pages; page++) {
		h->vm->pages[page].used = page_level(&h->vm->pages[page]) != 1;
		for (unsigned i = 0; i < ENTRIES; i++)
			h->vm->tables[page][i] &= ~X86_PTE_A;
	}
	picked = reclaim_pick(h->vm);
	assert_int_equal(page_level(&h->vm->pages[picked]), 1);
	assert_int_equal(h->vm->pages[picked].n_present, 2);
	host_free(h);
}

/* A page that is used again after it was freed may still be cached as what it was. */
static void a_recycled_page_is_flushed_before_it_is_used_again(void **state)
{
	struct host *h = tiny(UMBRA_REPLACE_CLOCK, UMBRA_OOS_OFF);
	unsigned n_recycled = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		uint64_t recycled = umbra_stats(h->vm)->mmu_recycled;
		uint64_t created = umbra_stats(h->vm)->mmu_shadow_created;

		host_map(h, h->root, page_gva(i), 1, gpte_of(DATA_GFN + i, GPTE_RW));
		host_reset_flushes(h);
		host_read_gfn(h, page_gva(i));
		if (umbra_stats(h->vm)->mmu_recycled == recycled)
			continue;
		n_recycled++;
		assert_true(h->flush_all > 0);
		assert_int_equal(h->created_before_flush, created);
	}
	assert_true(n_recycled > 30);
	host_free(h);
}

/* The policy's pool is a limit below the memory that was given. */
static void the_policy_limits_the_pool(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	(void)state;
	policy.pool = 80;
	h = host_new_policy(&policy);
	host_start(h, h->root);
	for (unsigned i = 0; i < 200; i++) {
		host_map(h, h->root, page_gva(i), 1, gpte_of(DATA_GFN + i, GPTE_RW));
		host_read_gfn(h, page_gva(i));
		assert_true(umbra_stats(h->vm)->shadow_pages < 80);
	}
	assert_true(umbra_stats(h->vm)->shadow_pages > 60);
	host_free(h);
}

/* Does page_create() panic at the @n-th page of those that are made here? */
static bool panics_at(struct host *h, unsigned n)
{
	jmp_buf here;

	h->on_panic = &here;
	if (!setjmp(here)) {
		page_create(h->vm, DATA_GFN + n, 1 | ROLE_DIRECT, 0);
		h->on_panic = NULL;
		return false;
	}
	h->on_panic = NULL;
	assert_non_null(strstr(h->panicked, "assertion failed"));
	return true;
}

/* A page is free, but it was not made sure of: whoever makes it has forgotten to. */
static void a_page_that_is_not_reserved_is_not_made(void **state)
{
	for (unsigned n = 0; n <= RESERVE_PAGES; n++) {
		struct host *h = tiny(UMBRA_REPLACE_CLOCK, UMBRA_OOS_OFF);

		(void)state;
		if (n) {
			page_reserve(h->vm, n);
			for (unsigned i = 0; i < n; i++)
				assert_false(panics_at(h, i));
		}
		assert_true(panics_at(h, n));
		host_free(h);
	}
}

/* A reservation ends with its event. */
static void a_reservation_ends_with_the_event(void **state)
{
	struct host *h = tiny(UMBRA_REPLACE_CLOCK, UMBRA_OOS_OFF);

	(void)state;
	page_reserve(h->vm, RESERVE_PAGES);
	assert_false(panics_at(h, 0));
	umbra_invlpg(h->vcpu, GVA);
	assert_true(panics_at(h, 1));
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hundreds_of_tables_work_in_a_pool_of_64),
		cmocka_unit_test(tables_that_are_written_while_they_are_recycled_stay_right),
		cmocka_unit_test(more_roots_than_pages_can_be_run),
		cmocka_unit_test(roots_that_run_are_never_taken),
		cmocka_unit_test(the_clock_spares_what_is_used),
		cmocka_unit_test(the_cheapest_to_rebuild_goes_first),
		cmocka_unit_test(a_recycled_page_is_flushed_before_it_is_used_again),
		cmocka_unit_test(the_policy_limits_the_pool),
		cmocka_unit_test(a_page_that_is_not_reserved_is_not_made),
		cmocka_unit_test(a_reservation_ends_with_the_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
