/* SPDX-License-Identifier: MIT */
/*
 * Tags of the TLB: which root has which, and what is flushed when a root comes back to its own
 * (I8). On a processor that caches everything, by tag and address, and forgets nothing by itself.
 */
#include "tests/unit/mmu_guest.h"

#define FAR   (GVA + (1ull << 39)) /* below another entry of the root table */
#define FRAME DATA_GFN
#define W     X86_PF_W

static int setup(void **state)
{
	struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);

	host_map(h, h->root, GVA, 1, gpte_of(FRAME, LEAF));
	for (unsigned i = 0; i < 3; i++) {
		host_access(h, GVA, W);
		host_cr3(h, h->root);
	}
	*state = h;
	return 0;
}

static unsigned all_flushes(const struct host *h)
{
	return host_flushes(h) + h->flush_gva;
}

/* A root in which GVA leads to FRAME + @n, by tables of its own. */
static uint64_t own_root(struct host *h, unsigned n)
{
	uint64_t root = guest_new_root(h);

	host_words(h, root)[gva_index(GVA, 4)] = 0;
	host_map(h, root, GVA, 1, gpte_of(FRAME + n, LEAF));
	return root;
}

/* Its last-level entry is read-only, or writable, from now on; the guest is elsewhere. */
static void set_writable(struct host *h, uint64_t root, bool writable)
{
	uint64_t *entry = host_gpte(h, root, GVA, 1);

	host_write_word(h, host_gpa(h, entry), writable ? *entry | X86_PTE_W : *entry & ~X86_PTE_W);
}

static void enter(struct host *h, uint64_t root, unsigned n)
{
	host_cr3(h, root);
	assert_int_equal(host_read_gfn(h, GVA), FRAME + n);
}

static void each_root_has_a_tag_while_there_are_enough(void **state)
{
	struct host *h = *state;
	uint64_t roots[4] = {h->root};
	unsigned tags[4];

	for (unsigned i = 1; i < 4; i++)
		roots[i] = own_root(h, i);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 4; i++) {
			enter(h, roots[i], i);
			if (round == 0)
				tags[i] = umbra_tag(h->vcpu);
			assert_int_equal(umbra_tag(h->vcpu), tags[i]);
			assert_true(tags[i] < 4);
		}
		/* The first rounds look at what was written to make them. */
		if (round == 2)
			host_reset_flushes(h);
	}
	assert_int_equal(all_flushes(h), 0);
	assert_int_equal(1u << tags[0] | 1u << tags[1] | 1u << tags[2] | 1u << tags[3], 15);
}

static void more_roots_than_tags_share_them(void **state)
{
	static const unsigned char order[] = {0, 1, 2, 3, 4, 0, 4, 3, 6, 1, 5, 2, 6, 0, 6, 5, 1, 3,
		4, 2, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 6, 4, 2, 0};
	struct host *h = *state;
	uint64_t roots[7] = {h->root};

	for (unsigned i = 1; i < 7; i++)
		roots[i] = own_root(h, i);
	for (unsigned n = 0; n < 3 * sizeof(order); n++) {
		unsigned i = order[n % sizeof(order)];

		enter(h, roots[i], i);
		assert_true(umbra_tag(h->vcpu) < 4);
	}
}

static void with_one_tag_another_root_is_a_flush(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .caches = true, .tags = 1};
	struct host *h = guest_new(&config);
	uint64_t second;

	(void)state;
	host_map(h, h->root, GVA, 1, gpte_of(FRAME, LEAF));
	second = own_root(h, 1);
	for (unsigned i = 0; i < 6; i++) {
		host_reset_flushes(h);
		enter(h, i % 2 ? second : h->root, i % 2);
		assert_int_equal(umbra_tag(h->vcpu), 0);
		assert_true(i == 0 || host_flushes(h) > 0);
	}
	host_free(h);
}

/* The tag that is flushed is the one that will be used, not the one that was left. */
static void the_tag_of_the_new_root_is_flushed(void **state)
{
	struct host *h = *state;
	uint64_t second = own_root(h, 1);

	for (unsigned i = 0; i < 3; i++) {
		enter(h, h->root, 0);
		enter(h, second, 1);
	}
	set_writable(h, h->root, false);
	host_reset_flushes(h);
	enter(h, h->root, 0);
	assert_int_equal(h->flush_tag, 1);
	assert_int_equal(host_flushes(h), 1);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
	/* The other one has lost nothing. */
	host_reset_flushes(h);
	enter(h, second, 1);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_RESUME);
	assert_int_equal(all_flushes(h), 0);
}

/* What several roots reach is lost to all of them, whichever of them runs. */
static void a_loss_in_what_is_shared_concerns_every_tag(void **state)
{
	struct host *h = *state;
	uint64_t second, third;

	second = guest_new_root(h);
	third = guest_new_root(h);
	for (unsigned i = 0; i < 3; i++) {
		enter(h, h->root, 0);
		enter(h, second, 0);
		enter(h, third, 0);
		host_access(h, GVA, W);
	}
	set_writable(h, second, false);
	host_invlpg(h, GVA);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
	enter(h, h->root, 0);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
	enter(h, second, 0);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
}

/* Written without an exit while another root runs: found and lost at the load. */
static void a_change_made_from_another_root_is_seen_under_the_old_tag(void **state)
{
	struct host *h = *state;
	uint64_t second = own_root(h, 1);
	uint64_t *entry = host_gpte(h, second, GVA, 1);

	for (unsigned i = 0; i < 3; i++) {
		enter(h, second, 1);
		host_access(h, GVA, W);
		enter(h, h->root, 0);
	}
	guest_sets(h, entry, gpte_of(FRAME + 9, LEAF));
	enter(h, second, 9);
}

/* A page of the first root begins anew under the second: what was lost of it before, was lost
 * under the first. */
static void a_table_that_moves_to_another_root_leaves_nothing_behind(void **state)
{
	struct host *h = *state;
	uint64_t second = own_root(h, 1);
	uint64_t *above = host_gpte(h, h->root, GVA, 2), *there = host_gpte(h, second, GVA, 2);
	uint64_t table = *above, was = *there;

	for (unsigned i = 0; i < 4; i++) {
		enter(h, second, 1);
		enter(h, h->root, 0);
		host_access(h, GVA, W);
	}
	/* Its A is lost too, so that the table is no orphan. */
	host_write_word(h, host_gpa(h, above), table & ~(X86_PTE_A | X86_PTE_W));
	host_write_word(h, host_gpa(h, there), table);
	enter(h, second, 0);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_RESUME);
	enter(h, h->root, 0);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
	host_write_word(h, host_gpa(h, there), was);
	enter(h, second, 1);
}

/* The number of a root's tag is remembered with its page, for the vCPU that had it last. */
static void each_vcpu_has_tags_of_its_own(void **state)
{
	struct host_config config = {.policy = umbra_policy_default,
		.max_vcpus = 2,
		.caches = true,
		.flush_tag = true,
		.tags = 4};
	struct host *h = guest_new(&config);
	struct umbra_vcpu *vcpus[2] = {h->vcpu};
	uint64_t roots[3] = {h->root};

	(void)state;
	host_map(h, h->root, GVA, 1, gpte_of(FRAME, LEAF));
	roots[1] = own_root(h, 1);
	roots[2] = own_root(h, 2);
	assert_int_equal(umbra_vcpu_create(h->vm, &vcpus[1]), UMBRA_OK);
	h->vcpu = vcpus[1];
	host_start(h, h->root);
	for (unsigned n = 0; n < 12; n++) {
		if (n == 6)
			host_reset_flushes(h);
		/* One goes up while the other goes down. */
		h->vcpu = vcpus[0];
		enter(h, roots[n % 3], n % 3);
		h->vcpu = vcpus[1];
		enter(h, roots[2 - n % 3], 2 - n % 3);
	}
	assert_int_equal(all_flushes(h), 0);
	host_free(h);
}

/* What another root is to forget is not owed by this one. */
static void a_load_that_is_elided_pays_as_well(void **state)
{
	const umbra_gva parts = FAR;
	struct host *h = *state;
	uint64_t second = own_root(h, 1);
	uint64_t *entry;

	host_map(h, second, parts, 2, gpte_of(0, LEAF | X86_PTE_PS));
	entry = host_gpte(h, second, parts, 2);
	for (unsigned i = 0; i < 4; i++) {
		enter(h, second, 1);
		host_access(h, parts, W);
		enter(h, h->root, 0);
	}
	host_reset_flushes(h);
	host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_W);
	host_cr3(h, h->root);
	host_access(h, GVA + X86_PAGE_SIZE, 0);
	assert_int_equal(all_flushes(h), 0);
	host_cr3(h, second);
	assert_int_equal(all_flushes(h), 1);
	assert_int_equal(host_access(h, parts, W).outcome, UMBRA_INJECT);
}

/* A fault drops what is cached for its address. The table hangs at a second place, where the entry
 * is cached too. */
static void what_a_fault_has_taken_over_is_still_to_be_flushed(void **state)
{
	const umbra_gva again = GVA + (1ull << 30);
	struct host_config config = {
		.policy = umbra_policy_default, .max_vcpus = 2, .caches = true, .flush_tag = true};
	struct host *h = guest_new(&config);
	struct umbra_vcpu *second;
	uint64_t *entry;

	(void)state;
	/* So that no D bit is cleared. */
	assert_int_equal(umbra_vcpu_create(h->vm, &second), UMBRA_OK);
	host_regs(h, X86_CR0_WP, X86_CR4_SMAP);
	host_map(h, h->root, GVA, 1, gpte_of(FRAME, X86_PTE_P | X86_PTE_W | X86_PTE_A));
	entry = host_gpte(h, h->root, GVA, 1);
	host_map(h, h->root, again, 2, *host_gpte(h, h->root, GVA, 2));
	host_access(h, guest_window(h, entry), W);
	host_read_gfn(h, again);
	host_read_gfn(h, GVA);
	host_cr3(h, h->root);
	host_read_gfn(h, again);
	guest_sets(h, entry, gpte_of(FRAME, GPTE_RW | X86_PTE_A));
	assert_int_equal(host_access(h, GVA, W | X86_PF_U).outcome, UMBRA_RESUME);
	host_cr3(h, h->root);
	assert_int_equal(host_access(h, again, 0).outcome, UMBRA_INJECT);
	host_free(h);
}

/* ---- registers ---- */

static void a_change_of_registers_always_flushes(void **state)
{
	struct host *h = *state;

	for (unsigned i = 0; i < 3; i++) {
		host_reset_flushes(h);
		host_regs(h, X86_CR0_WP, i % 2 ? 0 : X86_CR4_SMAP);
		assert_int_equal(host_flushes(h), 1);
	}
}

/* What a processor caches may depend on the registers: under each tag. */
static void a_change_of_registers_concerns_every_tag(void **state)
{
	struct host *h = *state;
	uint64_t second = own_root(h, 1);

	for (unsigned i = 0; i < 4; i++) {
		enter(h, second, 1);
		enter(h, h->root, 0);
	}
	host_reset_flushes(h);
	enter(h, second, 1);
	enter(h, h->root, 0);
	assert_int_equal(all_flushes(h), 0);
	host_regs(h, X86_CR0_WP, X86_CR4_PKE);
	host_reset_flushes(h);
	enter(h, second, 1);
	assert_int_equal(host_flushes(h), 1);
}

/* ---- pages that go ---- */

static void a_number_that_serves_another_root_brings_nothing_along(void **state)
{
	struct host *h = *state;

	for (unsigned i = 1; i < 40; i++) {
		uint64_t root = own_root(h, i);

		enter(h, root, i);
		host_access(h, GVA, W);
		enter(h, h->root, 0);
		umbra_unshadow(h->vcpu, root << X86_PAGE_SHIFT);
		host_check(h);
	}
}

static void what_was_reclaimed_is_not_seen_again(void **state)
{
	struct host_config config = {.policy = umbra_policy_default,
		.pool_pages = UMBRA_POOL_MIN,
		.caches = true,
		.flush_tag = true,
		.tags = 8};
	struct host *h = guest_new(&config);

	(void)state;
	for (unsigned n = 0; n < 200; n++) {
		umbra_gva gva = GVA + (n % 40) * 0x40201000ull;

		if (n < 40)
			host_map(h, h->root, gva, 1, gpte_of(FRAME + n, LEAF));
		assert_int_equal(host_read_gfn(h, gva), FRAME + n % 40);
		if (n % 16 == 15)
			host_cr3(h, h->root);
	}
	assert_true(umbra_stats(h->vm)->mmu_recycled > 40);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(each_root_has_a_tag_while_there_are_enough),
		T(more_roots_than_tags_share_them),
		cmocka_unit_test(with_one_tag_another_root_is_a_flush),
		T(the_tag_of_the_new_root_is_flushed),
		T(a_loss_in_what_is_shared_concerns_every_tag),
		T(a_change_made_from_another_root_is_seen_under_the_old_tag),
		T(a_table_that_moves_to_another_root_leaves_nothing_behind),
		cmocka_unit_test(each_vcpu_has_tags_of_its_own),
		T(a_load_that_is_elided_pays_as_well),
		cmocka_unit_test(what_a_fault_has_taken_over_is_still_to_be_flushed),
		T(a_change_of_registers_always_flushes),
		T(a_change_of_registers_concerns_every_tag),
		T(a_number_that_serves_another_root_brings_nothing_along),
		cmocka_unit_test(what_was_reclaimed_is_not_seen_again),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
