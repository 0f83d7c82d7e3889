/* SPDX-License-Identifier: MIT */
/*
 * Whether an unsync table was written since it was compared: by the D bits that the processor sets
 * in the leaves which map its frame, and only once while it caches them. How many tables may be
 * unsync.
 */
#include "tests/unit/mmu_guest.h"

#include "mmu/src/set.h"
#include "mmu/src/slot.h"
#include "mmu/src/unsync.h"

#define FAR (GVA + (1ull << 39)) /* below another entry of the root table */

static int setup(void **state)
{
	*state = guest_new_cached(UMBRA_OOS_ALL, 20);
	return 0;
}

/* What a load of the present root compares and skips, once nothing is new. */
static struct guest_looked settled_load(struct host *h)
{
	struct guest_looked looked = {1, 0};

	for (unsigned i = 0; looked.compared && i < 5; i++)
		looked = guest_load(h, h->vcpu->regs.cr3 >> X86_PAGE_SHIFT);
	assert_int_equal(looked.compared, 0);
	return looked;
}

static void a_table_that_nobody_wrote_is_not_compared(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	unsigned n;
	struct guest_looked looked;

	host_access(h, guest_window(h, entry), X86_PF_W);
	looked = settled_load(h);
	n = host_n_unsync(h);
	assert_int_equal(looked.skipped, n);
	/* Reading it, and writing elsewhere, is not writing it. */
	host_access(h, guest_window(h, entry), 0);
	host_access(h, GVA, X86_PF_W);
	assert_int_equal(guest_load(h, h->root).compared, 0);
	/* A store that changes nothing is one. */
	guest_sets(h, entry, *entry);
	looked = guest_load(h, h->root);
	assert_int_equal(looked.compared, 1);
	assert_int_equal(looked.skipped, n - 1);
	assert_int_equal(guest_load(h, h->root).compared, 0);
}

/* The processor sets D once, and is told to forget that it did. */
static void each_store_is_seen_at_the_next_flush(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	for (unsigned i = 1; i < 10; i++) {
		guest_sets(h, entry, gpte_of(DATA_GFN + i, LEAF));
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		guest_sets(h, entry, gpte_of(DATA_GFN + 50 + i, LEAF));
		host_invlpg(h, GVA);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 50 + i);
	}
}

/* Above the last level an INVLPG of any address shows it. */
static void so_is_each_above_the_last_level_at_the_next_invlpg(void **state)
{
	struct host *h = *state;
	uint64_t links[5][2], *above[5];

	guest_uses(h, h->root, GVA, 0);
	for (unsigned level = 2; level <= 4; level++) {
		uint64_t twin = host_new_table(h);

		above[level] = host_gpte(h, h->root, GVA, level);
		host_map(h, twin, GVA, 1, gpte_of(DATA_GFN + level, LEAF));
		links[level][0] = *host_gpte(h, twin, GVA, level);
		links[level][1] = *above[level];
	}
	settled_load(h);
	for (unsigned i = 0; i < 24; i++) {
		unsigned level = 2 + i / 2 % 3;

		/* A store that changes nothing makes D old news, too. */
		guest_sets(h, above[level], *above[level]);
		host_invlpg(h, FAR);
		guest_sets(h, above[level], links[level][i % 2] | X86_PTE_A);
		host_invlpg(h, FAR);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + (i % 2 ? 0 : level));
	}
}

static void it_does_not_matter_through_which_mapping_it_is_written(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t table = guest_table_of(h, entry);
	umbra_gva alias[3];

	for (unsigned i = 0; i < 3; i++) {
		alias[i] = FAR + i * (1ull << 30);
		host_map(h, h->root, alias[i], 1, gpte_of(table, LEAF & ~X86_PTE_U));
	}
	for (unsigned i = 0; i < 12; i++) {
		umbra_gva to = alias[i % 3] + host_gpa(h, entry) % X86_PAGE_SIZE;

		assert_int_equal(
			host_store(h, to, gpte_of(DATA_GFN + 1 + i, LEAF)).outcome, UMBRA_RESUME);
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1 + i);
	}
}

/* By a mapping that only another root has. */
static void nor_under_which_root(void **state)
{
	struct host *h = *state;
	uint64_t second = guest_new_root(h);
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	umbra_gva alias = FAR + host_gpa(h, entry) % X86_PAGE_SIZE;

	host_map(h, second, FAR, 1, gpte_of(guest_table_of(h, entry), LEAF));
	for (unsigned i = 1; i < 10; i++) {
		host_cr3(h, second);
		host_store(h, alias, gpte_of(DATA_GFN + i, LEAF));
		/* Its own loads are none of the other's. */
		host_cr3(h, second);
		host_store(h, alias + 8, gpte_of(DATA_GFN + 20 + i, LEAF));
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		assert_int_equal(host_read_gfn(h, GVA + X86_PAGE_SIZE), DATA_GFN + 20 + i);
	}
}

/* The mapping is gone when its D is asked for. */
static void a_mapping_that_goes_leaves_word_that_it_was_used(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		uint64_t *entry = guest_uses(h, h->root, GVA, 0);
		uint64_t *mapping;

		host_map(h, h->root, FAR, 1, gpte_of(guest_table_of(h, entry), LEAF));
		mapping = host_gpte(h, h->root, FAR, 1);
		settled_load(h);
		host_store(
			h, FAR + host_gpa(h, entry) % X86_PAGE_SIZE, gpte_of(DATA_GFN + 1, LEAF));
		if (way == 0)
			host_write_word(h, host_gpa(h, mapping), 0);
		else if (way == 1)
			host_write_word(h, host_gpa(h, mapping), gpte_of(DATA_GFN, LEAF));
		else
			umbra_unshadow(h->vcpu, host_gpa(h, mapping));
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
		host_free(h);
	}
}

/* The mapping is gone, but not from the TLB, which has its D: a store through it sets none. */
/* Nor does one whose rights change take it along; whichever of the two tables came first. */
static void a_mapping_that_stays_keeps_word_of_it(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		uint64_t table = host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
		uint64_t *alias;

		host_map(h, h->root, FAR, 1, gpte_of(table, LEAF & ~X86_PTE_U));
		alias = host_gpte(h, h->root, FAR, 1);
		host_read_gfn(h, first ? GVA : FAR);
		host_read_gfn(h, first ? FAR : GVA);
		settled_load(h);
		for (unsigned i = 1; i < 6; i++) {
			assert_int_equal(host_store(h, FAR + gva_index(GVA, 1) * 8,
						 gpte_of(DATA_GFN + i, LEAF))
						 .outcome,
				UMBRA_RESUME);
			guest_sets(h, alias, *alias ^ 1ull << 9 ^ X86_PTE_NX);
			host_cr3(h, h->root);
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		}
		host_free(h);
	}
}

static void a_stale_mapping_does_not_write_unseen(void **state)
{
	struct host *h = *state;
	uint64_t twin = host_new_table(h);
	uint64_t *mapping, *above;
	umbra_gva alias;

	guest_uses(h, h->root, GVA, 0);
	above = host_gpte(h, h->root, GVA, 2);
	host_words(h, twin)[0] = gpte_of(DATA_GFN + 99, LEAF);
	host_map(h, h->root, FAR, 1, gpte_of(guest_table_of(h, above), LEAF));
	mapping = host_gpte(h, h->root, FAR, 1);
	settled_load(h);
	alias = FAR + host_gpa(h, above) % X86_PAGE_SIZE;
	host_store(h, alias, *above);
	host_write_word(h, host_gpa(h, mapping), 0);
	host_invlpg(h, GVA);
	/* Nobody flushed FAR: a processor may still use it, and not. */
	if (host_store(h, alias, gpte_of(twin, GPTE_RW)).outcome == UMBRA_RESUME) {
		host_invlpg(h, GVA + (1ull << 30));
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 99);
	}
}

/* The same of a frame that became a table after its mapping had gone: it is born written. */
static void nor_one_that_is_older_than_the_table(void **state)
{
	struct host *h = *state;
	uint64_t table = host_new_table(h);
	uint64_t *mapping;

	host_map(h, h->root, FAR, 1, gpte_of(table, LEAF));
	mapping = host_gpte(h, h->root, FAR, 1);
	host_map(h, h->root, GVA, 2, gpte_of(table, GPTE_RW));
	host_store(h, FAR, gpte_of(DATA_GFN, LEAF));
	settled_load(h);
	host_store(h, FAR, gpte_of(DATA_GFN + 1, LEAF));
	host_write_word(h, host_gpa(h, mapping), 0);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	if (host_store(h, FAR, gpte_of(DATA_GFN + 2, LEAF)).outcome == UMBRA_RESUME) {
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 2);
	}
}

/* Under CR0.WP=0 and 1 a table has two pages: when one was compared, the other is still to be. */
static void each_page_of_a_table_is_told(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	host_regs(h, 0, 0);
	host_read_gfn(h, GVA);
	assert_int_equal(host_shadows(h, guest_table_of(h, entry)), 2);
	for (unsigned i = 1; i < 10; i++) {
		guest_sets(h, entry, gpte_of(DATA_GFN + i, LEAF));
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		host_regs(h, i % 2 ? X86_CR0_WP : 0, 0);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
	}
}

/* A guest may map a table as often as it likes: there is an end to asking. A compare is cheaper. */
static void not_every_mapping_is_asked(void **state)
{
	const umbra_gva again = GVA + (1ull << 30);

	(void)state;
	for (unsigned n = 60; n < 80; n += 10) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		uint64_t *entry = guest_uses(h, h->root, GVA, 0);
		uint64_t table = guest_table_of(h, entry);

		for (unsigned i = 0; i < n; i++) {
			host_map(h, h->root, FAR + i * X86_PAGE_SIZE, 1, gpte_of(table, LEAF));
			host_access(h, FAR + i * X86_PAGE_SIZE, 0);
		}
		for (unsigned i = 0; i < 3; i++)
			host_cr3(h, h->root);
		assert_int_equal(guest_load(h, h->root).compared, n > 64);
		/* Whichever it is, it is seen. */
		for (unsigned i = 1; i < 80; i++) {
			umbra_gva alias = FAR + i % n * X86_PAGE_SIZE;

			host_store(h, alias + host_gpa(h, entry) % X86_PAGE_SIZE,
				gpte_of(DATA_GFN + i, LEAF));
			host_cr3(h, h->root);
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		}
		/* Also where the table is linked anew. */
		guest_uses(h, h->root, GVA + X86_PAGE_SIZE, 1);
		host_cr3(h, h->root);
		host_map(h, h->root, again, 2, *host_gpte(h, h->root, GVA, 2) & ~X86_PTE_A);
		host_store(h, FAR + host_gpa(h, entry + 1) % X86_PAGE_SIZE,
			gpte_of(DATA_GFN + 90, LEAF));
		host_read_gfn(h, again);
		assert_int_equal(host_read_gfn(h, again + X86_PAGE_SIZE), DATA_GFN + 90);
		host_free(h);
	}
}

/* Of any number of mappings that go in one event one bit is kept: nobody looks for the pages of
 * the table each time. */
static void word_of_many_mappings_is_one_bit(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t table = guest_table_of(h, entry);
	uint64_t *mappings;

	for (unsigned i = 0; i < 40; i++)
		host_map(h, h->root, FAR + i * X86_PAGE_SIZE, 1, gpte_of(table, LEAF));
	mappings = host_gpte(h, h->root, FAR, 1);
	settled_load(h);
	for (unsigned i = 0; i < 40; i++)
		host_store(h, FAR + i * X86_PAGE_SIZE + host_gpa(h, entry) % X86_PAGE_SIZE,
			gpte_of(DATA_GFN + i, LEAF));
	for (unsigned i = 0; i < 40; i++) {
		host_write_word(h, host_gpa(h, mappings + i), 0);
		assert_false(h->vm->pages[guest_page_of(h, entry)].written);
		assert_true(frame_of(h->vm, table)->state & FRAME_WRITTEN);
	}
	host_cr3(h, h->root);
	assert_false(frame_of(h->vm, table)->state & FRAME_WRITTEN);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 39);
}

/* Another one may write through a translation that has D already. */
static void with_two_vcpus_every_unsync_table_is_compared(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .max_vcpus = 2};
	struct host *h = guest_new(&config);
	struct umbra_vcpu *second;
	unsigned n;

	(void)state;
	guest_uses(h, h->root, GVA, 0);
	settled_load(h);
	assert_int_equal(umbra_vcpu_create(h->vm, &second), UMBRA_OK);
	n = host_n_unsync(h);
	assert_true(n > 3);
	assert_int_equal(guest_load(h, h->root).compared, n);
	assert_int_equal(guest_load(h, h->root).compared, n);
	host_free(h);
}

/* The last ones of a list are protected, when there are too many. */
static void after_a_flush_a_list_is_not_too_long(void **state)
{
	enum { N = UNSYNC_MAX + 20 };
	struct host_config config = {
		.policy = umbra_policy_default, .caches = true, .pool_pages = N + 100};
	struct host *h;

	(void)state;
	config.policy.oos = UMBRA_OOS_LEAF;
	h = guest_new(&config);
	h->unchecked = true;
	for (unsigned i = 0; i < N; i++)
		guest_uses(h, h->root, GVA + i * 0x200000ull, i);
	assert_int_equal(host_n_unsync(h), N);
	for (unsigned i = 0; i < N; i++)
		guest_sets(h, host_gpte(h, h->root, GVA + i * 0x200000ull, 1),
			gpte_of(DATA_GFN + 200 + i, LEAF));
	h->unchecked = false;
	host_cr3(h, h->root);
	assert_int_equal(host_n_unsync(h), UNSYNC_MAX);
	h->unchecked = true;
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(host_read_gfn(h, GVA + i * 0x200000ull), DATA_GFN + 200 + i);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(a_table_that_nobody_wrote_is_not_compared),
		T(each_store_is_seen_at_the_next_flush),
		T(so_is_each_above_the_last_level_at_the_next_invlpg),
		T(it_does_not_matter_through_which_mapping_it_is_written),
		T(nor_under_which_root),
		cmocka_unit_test(a_mapping_that_goes_leaves_word_that_it_was_used),
		cmocka_unit_test(a_mapping_that_stays_keeps_word_of_it),
		T(a_stale_mapping_does_not_write_unseen),
		T(nor_one_that_is_older_than_the_table),
		T(each_page_of_a_table_is_told),
		cmocka_unit_test(not_every_mapping_is_asked),
		T(word_of_many_mappings_is_one_bit),
		cmocka_unit_test(with_two_vcpus_every_unsync_table_is_compared),
		cmocka_unit_test(after_a_flush_a_list_is_not_too_long),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
