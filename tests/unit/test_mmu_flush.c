/* SPDX-License-Identifier: MIT */
/*
 * Which flushes are asked of the host where the guest owes one (I8), and where the entries no
 * longer tell what a TLB may hold.
 */
#include "tests/unit/mmu_guest.h"

/* Map GVA to DATA_GFN and use it; returns its last-level entry. */
static uint64_t *used_page(struct host *h)
{
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
	return host_gpte(h, h->root, GVA, 1);
}

/* 2M at GVA that cannot be one leaf, as the tables lie in it: three pages of it are mapped. Returns
 * its entry. */
static uint64_t *large_page_in_parts(struct host *h)
{
	host_map(h, h->root, GVA, 2, LEAF | X86_PTE_PS);
	for (unsigned i = 3; i < 6; i++)
		assert_int_equal(host_read_gfn(h, GVA + i * 4096ull), i);
	assert_false(host_spte(h, GVA, 2) & X86_PTE_PS);
	return host_gpte(h, h->root, GVA, 2);
}

static void without_a_service_for_one_address_all_is_flushed(void **state)
{
	struct host *h = host_new(
		&(struct host_config){.policy = host_plain_policy(), .no_flush_gva = true});

	(void)state;
	host_start(h, h->root);
	host_reset_flushes(h);
	host_invlpg(h, GVA);
	assert_int_equal(host_flushes(h), 1);
	host_free(h);
}

/* INVLPG of a large page drops all of it, however it is mapped here. */
static void invlpg_of_a_large_page_in_parts_flushes_all_its_parts(void **state)
{
	struct host *h = *state;
	uint64_t *entry = large_page_in_parts(h);

	host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_W);
	host_reset_flushes(h);
	host_invlpg(h, GVA + 3 * 4096);
	assert_true(host_flushes(h) > 0);
}

static void a_fault_in_a_large_page_in_parts_flushes_all_its_parts(void **state)
{
	struct host *h = *state;
	uint64_t *entry = large_page_in_parts(h);

	host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_W);
	host_reset_flushes(h);
	assert_int_equal(host_access(h, GVA + 4 * 4096, X86_PF_W).outcome, UMBRA_INJECT);
	assert_true(host_flushes(h) > 0);
}

static void invlpg_of_a_page_flushes_no_more_than_that(void **state)
{
	struct host *h = *state;
	uint64_t *entry = used_page(h);

	host_write_word(h, host_gpa(h, entry), 0);
	host_reset_flushes(h);
	host_invlpg(h, GVA);
	assert_int_equal(h->flush_gva, 1);
	assert_int_equal(h->flushed_gva, GVA);
	assert_int_equal(host_flushes(h), 0);
}

/*
 * The guest takes a writable mapping away and owes the flush. The frame then becomes a table, and
 * is still written through the old translation. That must not go unseen: so the library has to
 * flush when it protects, although no entry shows W any more.
 */
static void a_stale_writable_translation_does_not_outlive_the_protection_of_a_table(void **state)
{
	static const uint64_t instead[] = {0, DATA_GFN << 12 | GPTE_RO | GPTE_AD,
		(DATA_GFN + 7) << 12 | LEAF, DATA_GFN << 12 | GPTE_RW};
	const umbra_gva table_gva = GVA + (1ull << 30);

	(void)state;
	for (size_t i = 0; i < sizeof(instead) / sizeof(instead[0]); i++) {
		struct umbra_policy policy = host_plain_policy();
		struct host *h = host_new_policy(&policy);

		print_message("  case %zu\n", i);
		host_start(h, h->root);
		host_write_word(h, host_gpa(h, used_page(h)), instead[i]); /* no INVLPG */
		host_words(h, DATA_GFN)[0] = gpte_of(DATA_GFN + 1, LEAF);
		host_map(h, h->root, table_gva, 2, gpte_of(DATA_GFN, GPTE_RW));
		host_reset_flushes(h);
		assert_int_equal(host_read_gfn(h, table_gva), DATA_GFN + 1);
		assert_true(h->flush_all > 0);
		host_free(h);
	}
}

/* The same of a 2M page that the table lies in, and where other entries that were not writable went
 * after it. */
static void nor_does_one_of_a_large_page(void **state)
{
	const umbra_gva table_gva = GVA + (1ull << 30);

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		struct umbra_policy policy = host_plain_policy();
		struct host *h = host_new_policy(&policy);
		uint64_t *entry;

		host_start(h, h->root);
		host_map(h, h->root, GVA, 2, gpte_of(DATA_GFN, LEAF | X86_PTE_PS));
		entry = host_gpte(h, h->root, GVA, 2);
		entry[1] = gpte_of(DATA_GFN + 512, GPTE_RO | GPTE_AD | X86_PTE_PS);
		assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
		assert_int_equal(host_read_gfn(h, GVA + (1ull << 21)), DATA_GFN + 512);
		host_write_word(h, host_gpa(h, entry), 0);
		if (n)
			host_write_word(h, host_gpa(h, entry + 1), 0);
		host_words(h, DATA_GFN)[0] = gpte_of(DATA_GFN + 1, LEAF);
		host_map(h, h->root, table_gva, 2, gpte_of(DATA_GFN, GPTE_RW));
		host_reset_flushes(h);
		assert_int_equal(host_read_gfn(h, table_gva), DATA_GFN + 1);
		assert_true(h->flush_all > 0);
		host_free(h);
	}
}

/* They go together, when a last-level table is compared where it is linked anew. */
static void nor_does_one_that_went_with_others(void **state)
{
	/* The writable one, and one that is not. */
	static const unsigned places[][2] = {{0, 1}, {1, 0}, {0, 8}};
	const umbra_gva elsewhere = GVA + (1ull << 39);
	const uint64_t table = DATA_GFN + 600; /* not in the window */

	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		struct host *h = guest_new_cached(UMBRA_OOS_LEAF, 20);
		uint64_t *entry = guest_uses(h, h->root, GVA, 0);
		uint64_t link = *host_gpte(h, h->root, GVA, 2) & ~X86_PTE_A;
		umbra_gva writable = GVA + places[n][0] * X86_PAGE_SIZE;
		umbra_gva other = GVA + places[n][1] * X86_PAGE_SIZE;

		guest_sets(h, entry + places[n][0], gpte_of(table, LEAF));
		guest_sets(h, entry + places[n][1], gpte_of(DATA_GFN + 1, GPTE_RO | GPTE_AD));
		guest_sets(h, entry + 2, gpte_of(DATA_GFN + 2, LEAF));
		host_words(h, table)[0] = link;
		/* The tables above, which are protected, come with flushes of their own. */
		guest_uses(h, h->root, elsewhere + 0x200000, 3);
		host_map(h, h->root, elsewhere, 2, link);
		host_map(h, h->root, elsewhere + GVA, 3, gpte_of(table, GPTE_RW));
		host_cr3(h, h->root);
		host_access(h, other, 0);
		assert_int_equal(host_access(h, writable, X86_PF_W).outcome, UMBRA_RESUME);
		guest_sets(h, entry + places[n][0], 0);
		guest_sets(h, entry + places[n][1], 0);
		assert_int_equal(host_read_gfn(h, elsewhere + 2 * X86_PAGE_SIZE), DATA_GFN + 2);
		/* Now it is a table of the second level, which is protected. */
		assert_int_equal(
			host_read_gfn(h, elsewhere + GVA + 2 * X86_PAGE_SIZE), DATA_GFN + 2);
		assert_false(host_is_unsync(h, table));
		assert_int_equal(host_access(h, writable, X86_PF_W).outcome, UMBRA_INJECT);
		host_free(h);
	}
}

static void invlpg_of_a_large_leaf_flushes_no_more_than_that(void **state)
{
	struct host *h = *state;
	uint64_t *entry;

	host_map(h, h->root, GVA, 2, gpte_of(DATA_GFN, LEAF | X86_PTE_PS));
	entry = host_gpte(h, h->root, GVA, 2);
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
	host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_W);
	host_reset_flushes(h);
	host_invlpg(h, GVA + 0x3000);
	assert_int_equal(h->flush_gva, 1);
	assert_int_equal(host_flushes(h), 0);
}

/* What was flushed is not flushed again: one flush pays for all that was freed or taken before. */
static void a_flush_pays_all_debts(void **state)
{
	struct host *h = *state;
	uint64_t *entry = large_page_in_parts(h);

	host_write_word(h, host_gpa(h, entry), 0);
	entry = used_page(h);
	host_write_word(h, host_gpa(h, entry), 0);
	umbra_unshadow(h->vcpu, host_gpa(h, entry));
	host_cr3(h, h->root);
	host_reset_flushes(h);
	/* Makes a shadow page again. */
	host_map(h, h->root, GVA + 4096, 1, gpte_of(DATA_GFN + 1, LEAF));
	assert_int_equal(host_read_gfn(h, GVA + 4096), DATA_GFN + 1);
	host_invlpg(h, GVA);
	assert_int_equal(host_flushes(h), 0);
	assert_int_equal(h->flush_gva, 1);
}

/* From absent to present, and from less rights to more, nobody owes anything. */
static void what_only_adds_rights_is_not_flushed(void **state)
{
	struct host *h = *state;

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RW));
	host_reset_flushes(h);
	host_access(h, GVA, 0);
	host_access(h, GVA, X86_PF_W);
	host_write_word(
		h, host_gpa(h, host_gpte(h, h->root, GVA, 1)) + 8, gpte_of(DATA_GFN + 1, LEAF));
	host_access(h, GVA + 4096, X86_PF_W);
	assert_int_equal(host_flushes(h) + h->flush_gva, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		cmocka_unit_test(without_a_service_for_one_address_all_is_flushed),
		T(invlpg_of_a_large_page_in_parts_flushes_all_its_parts),
		T(a_fault_in_a_large_page_in_parts_flushes_all_its_parts),
		T(invlpg_of_a_page_flushes_no_more_than_that),
		cmocka_unit_test(
			a_stale_writable_translation_does_not_outlive_the_protection_of_a_table),
		cmocka_unit_test(nor_does_one_of_a_large_page),
		cmocka_unit_test(nor_does_one_that_went_with_others),
		T(invlpg_of_a_large_leaf_flushes_no_more_than_that),
		T(a_flush_pays_all_debts),
		T(what_only_adds_rights_is_not_flushed),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
