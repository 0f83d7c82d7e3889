/* SPDX-License-Identifier: MIT */
/*
 * 2M mappings: split when a table comes to lie under them, whole again when the last table there
 * has been gone for a while (I2).
 */
#include "tests/unit/mmu_guest.h"

#include "mmu/src/page.h"
#include "mmu/src/slot.h"
#include "mmu/src/spte.h"

#define BIG   0x80000000ull                        /* gva of a 2M page, at frame HOME */
#define OTHER (BIG + LARGE_FRAMES * X86_PAGE_SIZE) /* of the next one */
#define HOME  (2 * DATA_GFN)
#define TABLE (HOME + 17)
#define USER  (GVA + (1ull << 39)) /* where TABLE is a table */
#define PS    X86_PTE_PS
#define SOON  60u /* switches after which nothing was merged yet */
#define LATE  8u  /* more, and it was */

static int setup(void **state)
{
	struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);

	host_map(h, h->root, BIG, 2, gpte_of(HOME, LEAF | PS));
	host_map(h, h->root, OTHER, 2, gpte_of(HOME + LARGE_FRAMES, LEAF | PS));
	*state = h;
	return 0;
}

static bool large(struct host *h, umbra_gva gva)
{
	return host_spte(h, gva, 2) & PS;
}

/* Frame @gfn is a table for @gva, and is used as one. */
static void make_table(struct host *h, uint64_t gfn, umbra_gva gva)
{
	host_words(h, gfn)[gva_index(gva, 1)] = gpte_of(DATA_GFN, GPTE_RW);
	host_map(h, h->root, gva, 2, gpte_of(gfn, GPTE_RW));
	assert_int_equal(host_read_gfn(h, gva), DATA_GFN);
}

static void drop_table(struct host *h, uint64_t gfn, umbra_gva gva)
{
	host_write_word(h, host_gpa(h, host_gpte(h, h->root, gva, 2)), 0);
	assert_int_equal(host_shadows(h, gfn), 0);
}

static void switches(struct host *h, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		host_cr3(h, h->root);
}

/* ---- split ---- */

static void no_2m_leaf_covers_a_table(void **state)
{
	(void)state;
	for (enum umbra_oos oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_ALL; oos++) {
		struct host *h = guest_new_cached(oos, 20);
		const umbra_gva giga = BIG + (1ull << 30), again = BIG + (4ull << 30);

		/* A 2M page twice, and the same frames in one of 1G. */
		host_map(h, h->root, BIG, 2, gpte_of(HOME, LEAF | PS));
		host_map(h, h->root, again, 2, gpte_of(HOME, LEAF | PS | X86_PTE_NX));
		host_map(h, h->root, OTHER, 2, gpte_of(HOME + LARGE_FRAMES, LEAF | PS));
		host_map(h, h->root, giga, 3, gpte_of(0, LEAF | PS));
		host_access(h, BIG, X86_PF_W);
		host_access(h, again, X86_PF_W);
		host_access(h, OTHER, X86_PF_W);
		host_access(h, giga + HOME * X86_PAGE_SIZE, X86_PF_W);
		assert_true(large(h, BIG) && large(h, again) && large(h, OTHER));
		assert_true(large(h, giga + HOME * X86_PAGE_SIZE));
		host_reset_flushes(h);
		make_table(h, TABLE, USER);
		assert_int_equal(umbra_stats(h->vm)->mmu_large_split, 3);
		assert_true(h->flush_all > 0);
		assert_int_equal(host_spte(h, BIG, 2) | host_spte(h, again, 2) |
					 host_spte(h, giga + HOME * X86_PAGE_SIZE, 2),
			0);
		assert_true(large(h, OTHER));
		/* Nor does one come back while it is there. */
		host_access(h, BIG, 0);
		host_access(h, giga + TABLE * X86_PAGE_SIZE, 0);
		switches(h, SOON + LATE);
		assert_false(large(h, BIG) || large(h, again));
		assert_false(large(h, giga + HOME * X86_PAGE_SIZE));
		assert_int_equal(umbra_stats(h->vm)->mmu_large_merge, 0);
		host_free(h);
	}
}

/* ---- merge ---- */

static void it_is_whole_again_a_while_after_the_last_table_has_gone(void **state)
{
	struct host *h = *state;

	make_table(h, TABLE, USER);
	host_access(h, BIG, X86_PF_W);
	assert_false(large(h, BIG));
	drop_table(h, TABLE, USER);
	switches(h, SOON);
	assert_false(large(h, BIG));
	switches(h, LATE);
	assert_true(large(h, BIG));
	assert_int_equal(umbra_stats(h->vm)->mmu_large_merge, 1);
	for (unsigned i = 0; i < LARGE_FRAMES; i++) {
		struct host_result r = host_access(h, BIG + i * X86_PAGE_SIZE, X86_PF_W);

		assert_int_equal(r.faults, 0);
		assert_int_equal(r.hpa >> X86_PAGE_SHIFT, RAM_HFN + HOME + i);
	}
}

static void not_while_another_table_is_there(void **state)
{
	struct host *h = *state;

	make_table(h, TABLE, USER);
	make_table(h, TABLE + 1, USER + (1ull << 21));
	host_access(h, BIG, X86_PF_W);
	drop_table(h, TABLE, USER);
	assert_int_equal(h->vm->n_merges, 0);
	switches(h, SOON + LATE);
	assert_false(large(h, BIG));
	drop_table(h, TABLE + 1, USER + (1ull << 21));
	switches(h, SOON + LATE);
	assert_true(large(h, BIG));
}

/* One that came back while it waited. */
static void not_where_a_table_is_again(void **state)
{
	struct host *h = *state;

	make_table(h, TABLE, USER);
	host_access(h, BIG, X86_PF_W);
	drop_table(h, TABLE, USER);
	switches(h, SOON);
	make_table(h, TABLE, USER);
	switches(h, 2 * SOON);
	assert_false(large(h, BIG));
	assert_int_equal(umbra_stats(h->vm)->mmu_large_merge, 0);
}

/* Everything that the guest's page says stands in the leaf as it did before the split. */
static void what_was_merged_has_the_bits_of_the_guests_page(void **state)
{
	static const uint64_t bits[] = {0, X86_PTE_W, X86_PTE_U, X86_PTE_NX, X86_PTE_G, X86_PTE_PWT,
		X86_PTE_PCD, X86_PTE_PAT_LARGE, 9ull << X86_PTE_PK_SHIFT,
		X86_PTE_W | X86_PTE_U | X86_PTE_NX | X86_PTE_G | X86_PTE_PAT_LARGE | X86_PTE_PK};

	(void)state;
	for (unsigned n = 0; n < 4 * sizeof(bits) / sizeof(bits[0]); n++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		bool write = n & 1, giga = n & 2;
		uint64_t gpte = bits[n / 4] | X86_PTE_P | X86_PTE_A | (write ? X86_PTE_D : 0) | PS;
		umbra_gva gva = giga ? HOME * X86_PAGE_SIZE : 0;
		uint64_t before;

		print_message("  case %u\n", n);
		gva += BIG;
		host_map(h, h->root, BIG, giga ? 3 : 2, gpte_of(giga ? 0 : HOME, gpte));
		host_access(h, gva, 0);
		before = host_spte(h, gva, 2);
		assert_true(before & PS);
		make_table(h, TABLE, USER);
		host_access(h, gva, 0);
		assert_false(large(h, gva));
		drop_table(h, TABLE, USER);
		switches(h, SOON + LATE);
		assert_true(large(h, gva));
		assert_int_equal(host_spte(h, gva, 2) & ~SPTE_HW_AD, before & ~SPTE_HW_AD);
		host_free(h);
	}
}

static void a_page_of_read_only_memory_is_merged_read_only(void **state)
{
	const uint64_t table = ROM_GFN + 5;
	struct host *h = *state;

	host_map(h, h->root, BIG, 2, gpte_of(ROM_GFN, LEAF | PS));
	host_words(h, table)[gva_index(USER, 1)] = gpte_of(DATA_GFN, LEAF);
	host_map(h, h->root, USER, 2, gpte_of(table, GPTE_RW));
	host_read_gfn(h, USER);
	host_read_gfn(h, BIG);
	assert_false(large(h, BIG));
	drop_table(h, table, USER);
	switches(h, SOON + LATE);
	assert_true(large(h, BIG));
	assert_int_equal(host_access(h, BIG, X86_PF_W).outcome, UMBRA_MMIO);
	assert_int_equal(host_read_gfn(h, BIG + X86_PAGE_SIZE), ROM_GFN + 1);
}

/* CR0.WP=0: what the supervisor was let through by is no entry for users. */
static void a_read_only_page_that_the_supervisor_wrote_is_merged_as_it_is(void **state)
{
	struct host *h = *state;

	*host_gpte(h, h->root, BIG, 2) &= ~X86_PTE_W;
	host_regs(h, 0, 0);
	make_table(h, TABLE, USER);
	assert_int_equal(host_access(h, BIG, X86_PF_W).outcome, UMBRA_RESUME);
	drop_table(h, TABLE, USER);
	switches(h, SOON + LATE);
	assert_true(large(h, BIG));
	assert_int_equal(host_access(h, BIG, X86_PF_W).faults, 0);
	assert_int_equal(host_access(h, BIG, X86_PF_W | X86_PF_U).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, BIG, X86_PF_U).outcome, UMBRA_RESUME);
}

static void every_place_that_has_the_parts_gets_the_whole(void **state)
{
	const umbra_gva again = BIG + (1ull << 39);
	struct host *h = *state;
	uint64_t second;

	make_table(h, TABLE, USER);
	host_map(h, h->root, again, 2, gpte_of(HOME, GPTE_RO | GPTE_AD | PS));
	second = guest_new_root(h);
	host_words(h, second)[gva_index(BIG, 4)] = 0;
	host_map(h, second, BIG, 2, gpte_of(HOME, LEAF | PS | X86_PTE_NX));
	host_read_gfn(h, BIG);
	host_read_gfn(h, again);
	host_cr3(h, second);
	host_read_gfn(h, BIG);
	host_cr3(h, h->root);
	drop_table(h, TABLE, USER);
	switches(h, SOON + LATE);
	assert_int_equal(umbra_stats(h->vm)->mmu_large_merge, 3);
	assert_true(large(h, BIG) && large(h, again));
	assert_int_equal(host_access(h, again, X86_PF_W).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, BIG, X86_PF_I).outcome, UMBRA_RESUME);
	host_cr3(h, second);
	assert_true(large(h, BIG));
	assert_int_equal(host_access(h, BIG, X86_PF_W).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, BIG, X86_PF_I).outcome, UMBRA_INJECT);
}

/* They are one page to the guest, and parts of it may be in the TLB of another vCPU. */
static void an_invlpg_drops_parts_that_are_older_than_the_whole(void **state)
{
	struct host_config config = {
		.policy = umbra_policy_default, .max_vcpus = 2, .caches = true};
	struct host *h = guest_new(&config);
	struct umbra_vcpu *first = h->vcpu, *second;
	uint64_t *entry;

	(void)state;
	assert_int_equal(umbra_vcpu_create(h->vm, &second), UMBRA_OK);
	host_map(h, h->root, BIG, 2, gpte_of(HOME, LEAF | PS));
	entry = host_gpte(h, h->root, BIG, 2);
	h->vcpu = second;
	host_start(h, h->root);
	make_table(h, TABLE, USER);
	host_access(h, BIG, X86_PF_W);
	drop_table(h, TABLE, USER);
	h->vcpu = first;
	switches(h, SOON);
	h->vcpu = second;
	host_access(h, BIG + 5 * X86_PAGE_SIZE, X86_PF_W);
	host_access(h, BIG + 6 * X86_PAGE_SIZE, X86_PF_W);
	assert_false(large(h, BIG));
	h->vcpu = first;
	switches(h, LATE);
	assert_true(large(h, BIG));
	h->vcpu = second;
	host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_W);
	host_invlpg(h, BIG);
	assert_int_equal(host_access(h, BIG + 5 * X86_PAGE_SIZE, X86_PF_W).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, BIG + 6 * X86_PAGE_SIZE, X86_PF_W).outcome, UMBRA_INJECT);
	host_free(h);
}

/* While it is whole, nothing leads to the parts; yet what they may is kept true. */
static void after_another_split_the_parts_protect_what_is_a_table_by_then(void **state)
{
	(void)state;
	for (enum umbra_oos oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_LEAF; oos++) {
		struct host *h = guest_new_cached(oos, 20);
		uint64_t created;

		host_map(h, h->root, BIG, 2, gpte_of(HOME, LEAF | PS));
		make_table(h, TABLE, USER);
		host_access(h, BIG, X86_PF_W);
		host_access(h, BIG + 17 * X86_PAGE_SIZE, X86_PF_W);
		drop_table(h, TABLE, USER);
		switches(h, SOON + LATE);
		assert_true(large(h, BIG));
		host_access(h, BIG + 20 * X86_PAGE_SIZE, X86_PF_W);
		make_table(h, HOME + 20, USER);
		created = umbra_stats(h->vm)->mmu_shadow_created;
		assert_int_equal(host_access(h, BIG + 20 * X86_PAGE_SIZE, X86_PF_W).outcome,
			oos == UMBRA_OOS_OFF ? UMBRA_EMULATE : UMBRA_RESUME);
		assert_int_equal(
			host_access(h, BIG + 17 * X86_PAGE_SIZE, X86_PF_W).outcome, UMBRA_RESUME);
		assert_int_equal(umbra_stats(h->vm)->mmu_shadow_created, created);
		host_free(h);
	}
}

/* ---- what waits ---- */

static void each_that_waits_has_its_turn(void **state)
{
	struct host *h = *state;

	make_table(h, TABLE, USER);
	make_table(h, TABLE + LARGE_FRAMES, USER + (1ull << 21));
	host_access(h, BIG, X86_PF_W);
	host_access(h, OTHER, X86_PF_W);
	drop_table(h, TABLE, USER);
	drop_table(h, TABLE + LARGE_FRAMES, USER + (1ull << 21));
	switches(h, SOON + LATE);
	assert_true(large(h, BIG));
	assert_false(large(h, OTHER));
	switches(h, SOON + LATE);
	assert_true(large(h, OTHER));
}

/* The 1G of it begins with the same frame, and stays as it is. */
static void only_the_parts_of_2m_are_merged(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .caches = true};
	struct host *h = host_new(&config);
	const uint64_t table = 17;
	uint64_t root;

	(void)state;
	/* All other tables are elsewhere. */
	h->next_table = LARGE_FRAMES;
	root = host_new_table(h);
	host_map(h, root, BIG, 3, gpte_of(0, LEAF | PS));
	host_map(h, root, USER, 2, gpte_of(table, GPTE_RW));
	host_words(h, table)[0] = gpte_of(DATA_GFN, GPTE_RW);
	h->root = root;
	host_start(h, root);
	assert_int_equal(host_read_gfn(h, USER), DATA_GFN);
	host_access(h, BIG + 5 * X86_PAGE_SIZE, X86_PF_W);
	assert_false(large(h, BIG));
	drop_table(h, table, USER);
	switches(h, SOON + LATE);
	assert_true(large(h, BIG));
	assert_int_equal(umbra_stats(h->vm)->mmu_large_merge, 1);
	assert_int_equal(host_read_gfn(h, BIG + (DATA_GFN << X86_PAGE_SHIFT)), DATA_GFN);
	assert_int_equal(host_read_gfn(h, BIG + 6 * X86_PAGE_SIZE), 6);
	host_free(h);
}

/* Tables come and go: the oldest that waits is merged when there is no more room. */
static void more_can_wait_than_there_is_room_for(void **state)
{
	struct host *h = *state;

	make_table(h, TABLE, USER);
	host_access(h, BIG, X86_PF_W);
	drop_table(h, TABLE, USER);
	/* The first of these is another 2M. */
	for (unsigned i = 1; i < MERGES_MAX; i++) {
		make_table(h, TABLE + LARGE_FRAMES, USER);
		drop_table(h, TABLE + LARGE_FRAMES, USER);
	}
	assert_int_equal(h->vm->n_merges, MERGES_MAX);
	assert_false(large(h, BIG));
	make_table(h, TABLE + LARGE_FRAMES, USER);
	drop_table(h, TABLE + LARGE_FRAMES, USER);
	assert_int_equal(h->vm->n_merges, MERGES_MAX);
	assert_true(large(h, BIG));
	/* Each of the others has its turn. */
	for (unsigned i = 0; i < MERGES_MAX; i++) {
		assert_true(h->vm->n_merges > 0);
		switches(h, 65);
	}
	assert_int_equal(h->vm->n_merges, 0);
}

static void what_comes_later_does_not_put_it_off(void **state)
{
	struct host *h = *state;

	make_table(h, TABLE, USER);
	host_access(h, BIG, X86_PF_W);
	drop_table(h, TABLE, USER);
	for (unsigned i = 0; i < 7; i++) {
		switches(h, 10);
		make_table(h, TABLE + LARGE_FRAMES, USER);
		drop_table(h, TABLE + LARGE_FRAMES, USER);
	}
	assert_true(large(h, BIG));
}

static void with_large_off_nothing_is_merged(void **state)
{
	struct host *h = *state;
	struct umbra_policy policy = h->vm->policy;

	policy.large = false;
	assert_int_equal(umbra_set_policy(h->vm, &policy), UMBRA_OK);
	make_table(h, TABLE, USER);
	host_access(h, BIG, X86_PF_W);
	drop_table(h, TABLE, USER);
	switches(h, SOON + LATE);
	assert_false(large(h, BIG));
	/* And it was on when that began to wait. */
	policy.large = true;
	assert_int_equal(umbra_set_policy(h->vm, &policy), UMBRA_OK);
	make_table(h, TABLE, USER);
	drop_table(h, TABLE, USER);
	policy.large = false;
	assert_int_equal(umbra_set_policy(h->vm, &policy), UMBRA_OK);
	host_access(h, BIG, X86_PF_W);
	switches(h, SOON + LATE);
	assert_false(large(h, BIG));
}

/* The guest turned the page elsewhere meanwhile: nothing is left to be merged, and nothing is. */
static void what_the_guest_unmapped_is_not_merged(void **state)
{
	struct host *h = *state;
	uint64_t *entry = host_gpte(h, h->root, BIG, 2);

	make_table(h, TABLE, USER);
	host_access(h, BIG, X86_PF_W);
	drop_table(h, TABLE, USER);
	guest_sets(h, entry, 0);
	switches(h, SOON + LATE);
	assert_int_equal(umbra_stats(h->vm)->mmu_large_merge, 0);
	assert_int_equal(host_access(h, BIG, 0).outcome, UMBRA_INJECT);
}

/* The halves of a 4M page are merged each for itself. */
static void a_half_of_a_4m_page_is_merged(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .caches = true};
	struct host *h = host_new(&config);
	uint64_t *words = host_words(h, TABLE);

	(void)state;
	host_map32(h, h->root, BIG, 2, gpte_of(HOME, LEAF | PS));
	host_map32(h, h->root, USER & 0xffffffff, 2, gpte_of(TABLE, GPTE_RW));
	((uint32_t *)(void *)words)[0] = (uint32_t)gpte_of(DATA_GFN, GPTE_RW);
	host_start_mode(h, HOST_2LEVEL, h->root);
	assert_int_equal(host_read_gfn(h, USER & 0xffffffff), DATA_GFN);
	host_access(h, BIG, X86_PF_W);
	host_access(h, OTHER, X86_PF_W);
	assert_false(large(h, BIG));
	assert_true(large(h, OTHER));
	host_write(
		h, host_gpa(h, host_gpte32(h, h->root, USER & 0xffffffff, 2)), &(uint32_t){0}, 4);
	switches(h, SOON + LATE);
	assert_true(large(h, BIG) && large(h, OTHER));
	assert_int_equal(host_read_gfn(h, BIG + X86_PAGE_SIZE), HOME + 1);
	assert_int_equal(host_read_gfn(h, OTHER + X86_PAGE_SIZE), HOME + LARGE_FRAMES + 1);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		cmocka_unit_test(no_2m_leaf_covers_a_table),
		T(it_is_whole_again_a_while_after_the_last_table_has_gone),
		T(not_while_another_table_is_there),
		T(not_where_a_table_is_again),
		cmocka_unit_test(what_was_merged_has_the_bits_of_the_guests_page),
		T(a_page_of_read_only_memory_is_merged_read_only),
		T(a_read_only_page_that_the_supervisor_wrote_is_merged_as_it_is),
		T(every_place_that_has_the_parts_gets_the_whole),
		cmocka_unit_test(an_invlpg_drops_parts_that_are_older_than_the_whole),
		cmocka_unit_test(after_another_split_the_parts_protect_what_is_a_table_by_then),
		T(each_that_waits_has_its_turn),
		cmocka_unit_test(only_the_parts_of_2m_are_merged),
		T(more_can_wait_than_there_is_room_for),
		T(what_comes_later_does_not_put_it_off),
		T(with_large_off_nothing_is_merged),
		T(what_the_guest_unmapped_is_not_merged),
		cmocka_unit_test(a_half_of_a_4m_page_is_merged),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
