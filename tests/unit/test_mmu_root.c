/* SPDX-License-Identifier: MIT */
/*
 * Roots: kept when they are left, forgotten with cache=off, and a tree of their own for each role;
 * what is refused; changes of policy.
 */
#include "tests/unit/mmu_host.h"

#include "mmu/src/page.h"
#include "mmu/src/slot.h"

#define GVA  0x40000000ull
#define LEAF (GPTE_RW | GPTE_AD)

static const struct umbra_stats *stats(struct host *h)
{
	return umbra_stats(h->vm);
}

/* A second root that maps GVA elsewhere. */
static uint64_t second_root(struct host *h)
{
	uint64_t root = host_new_table(h);

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_map(h, root, GVA, 1, gpte_of(DATA_GFN + 1, LEAF));
	return root;
}

static void roots_and_all_below_survive_a_switch(void **state)
{
	struct host *h = *state;
	uint64_t second = second_root(h);
	uint64_t created, hits = stats(h)->mmu_cache_hit;
	umbra_hpa root = umbra_root(h->vcpu);

	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	host_cr3(h, second);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	created = stats(h)->mmu_shadow_created;
	for (unsigned i = 0; i < 10; i++) {
		host_cr3(h, i % 2 ? second : h->root);
		assert_int_equal(umbra_root(h->vcpu) == root, i % 2 == 0);
		assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	}
	assert_int_equal(stats(h)->mmu_shadow_created, created);
	assert_int_equal(stats(h)->mmu_cache_hit, hits + 10);
}

/* A root with the first three entries of the first one. */
static uint64_t child_root(struct host *h)
{
	uint64_t child = host_new_table(h);

	for (unsigned i = 0; i < 3; i++)
		host_words(h, child)[i] = host_words(h, h->root)[i];
	return child;
}

/* As a child's root has its parent's kernel half: no fault to find that again. What only one root
 * ever had stays its own. */
static void a_new_root_begins_with_what_all_share(void **state)
{
	const umbra_gva changed = GVA + (1ull << 39), absent = GVA + (2ull << 39);
	struct host *h = *state;
	uint64_t child;

	for (unsigned i = 0; i < 3; i++) {
		host_map(h, h->root, GVA + ((uint64_t)i << 39), 1, gpte_of(DATA_GFN + i, LEAF));
		assert_int_equal(host_read_gfn(h, GVA + ((uint64_t)i << 39)), DATA_GFN + i);
	}
	host_cr3(h, child_root(h));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(host_access(h, GVA + ((uint64_t)i << 39), 0).faults, 1);
		assert_int_equal(host_access(h, GVA + ((uint64_t)i << 39), 0).faults, 0);
	}
	child = child_root(h);
	host_words(h, child)[1] &= ~X86_PTE_W;
	host_words(h, child)[2] = 0;
	host_cr3(h, child);
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	assert_int_equal(host_access(h, changed, X86_PF_W).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, absent, 0).outcome, UMBRA_INJECT);
	/* What was not accessed by the parent's A is not there either. */
	host_cr3(h, h->root);
	child = host_new_table(h);
	host_words(h, child)[0] = host_words(h, h->root)[0] & ~X86_PTE_A;
	host_cr3(h, child);
	assert_int_equal(host_access(h, GVA, 0).faults, 1);
	assert_true(host_words(h, child)[0] & X86_PTE_A);
}

/* PWT and PCD of CR3 are not the root's address. */
static void the_low_bits_of_cr3_make_no_other_root(void **state)
{
	struct host *h = *state;
	umbra_hpa root = umbra_root(h->vcpu);
	struct umbra_exit out;

	assert_int_equal(umbra_load_cr3(h->vcpu, h->root << 12 | X86_CR3_PWT | X86_CR3_PCD, &out),
		UMBRA_RESUME);
	assert_int_equal(umbra_root(h->vcpu), root);
}

static void cache_off_forgets_everything_at_each_load(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	(void)state;
	policy.cache = false;
	h = host_new_policy(&policy);
	host_start(h, h->root);
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	for (unsigned i = 0; i < 5; i++) {
		uint64_t *entry = host_gpte(h, h->root, GVA, 1);

		assert_int_equal(host_access(h, GVA, 0).faults, 1);
		assert_int_equal(stats(h)->shadow_pages, 4);
		/* Behind the library's back, as a flush forgives: nothing is left to be wrong. */
		host_cr3(h, h->root);
		assert_int_equal(stats(h)->shadow_pages, 1);
		*entry = gpte_of(DATA_GFN + i, LEAF);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		host_cr3(h, h->root);
	}
	assert_int_equal(stats(h)->mmu_cache_hit, 0);
	host_free(h);
}

static void each_load_of_cr3_asks_for_a_flush(void **state)
{
	struct host *h = *state;

	for (unsigned i = 0; i < 3; i++) {
		host_reset_flushes(h);
		host_cr3(h, h->root);
		assert_true(host_flushes(h) > 0);
	}
}

static void reserved_bits_of_cr3_are_a_general_protection_fault_and_change_nothing(void **state)
{
	static const uint64_t bits[] = {1ull << 40, 1ull << 51, 1ull << 52, 1ull << 63};
	struct host *h = *state;
	const struct umbra_paging_regs before = h->vcpu->regs;
	umbra_hpa root = umbra_root(h->vcpu);

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		struct umbra_paging_regs regs = before;
		struct umbra_exit out = {0};

		assert_int_equal(
			umbra_load_cr3(h->vcpu, h->root << 12 | bits[i], &out), UMBRA_INJECT);
		assert_int_equal(out.vector, X86_GP);
		assert_int_equal(out.error_code, 0);
		regs.cr3 |= bits[i];
		out.vector = 0;
		assert_int_equal(umbra_set_paging_regs(h->vcpu, &regs, &out), UMBRA_INJECT);
		assert_int_equal(out.vector, X86_GP);
		assert_memory_equal(&h->vcpu->regs, &before, sizeof(before));
		assert_int_equal(umbra_root(h->vcpu), root);
	}
	host_check(h);
}

/* What differs in a register that the tree depends on has a tree of its own; both are kept. */
static void each_role_has_its_own_tree(void **state)
{
	static const struct {
		uint64_t cr0, cr4;
		bool own; /* unlike CR0.WP=1 without protection features */
	} cases[] = {
		{X86_CR0_WP, 0, false},
		{X86_CR0_WP, X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PGE, false},
		{0, 0, true},
		{0, X86_CR4_SMEP, true},
	};
	struct host *h = *state;
	umbra_hpa plain = umbra_root(h->vcpu);
	umbra_hpa roots[4];

	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < 4; i++) {
			host_regs(h, cases[i].cr0, cases[i].cr4);
			assert_int_equal(umbra_root(h->vcpu) != plain, cases[i].own);
			if (round == 0)
				roots[i] = umbra_root(h->vcpu);
			assert_int_equal(umbra_root(h->vcpu), roots[i]);
		}
	}
	assert_true(roots[2] != roots[3]);
}

/* NX is reserved without EFER.NXE: the two must not share. */
static void a_tree_built_with_nxe_is_not_used_without(void **state)
{
	struct host *h = *state;
	struct umbra_paging_regs regs = h->vcpu->regs;
	struct umbra_exit out;

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF | X86_PTE_NX));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	regs.efer &= ~X86_EFER_NXE;
	assert_int_equal(umbra_set_paging_regs(h->vcpu, &regs, &out), UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA, 0).exit.error_code, X86_PF_P | X86_PF_RSVD);
}

static void paging_can_be_turned_off_and_on(void **state)
{
	struct host *h = *state;
	struct umbra_paging_regs on = h->vcpu->regs, off = on;
	struct umbra_exit out;

	off.cr0 &= ~X86_CR0_PG;
	off.efer &= ~X86_EFER_LMA;
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		assert_int_equal(umbra_set_paging_regs(h->vcpu, &off, &out), UMBRA_RESUME);
		assert_int_equal(umbra_shadow_mode(h->vcpu), UMBRA_SHADOW_PAE);
		assert_int_equal(host_read_gfn(h, (DATA_GFN + 3) << 12), DATA_GFN + 3);
		assert_int_equal(umbra_set_paging_regs(h->vcpu, &on, &out), UMBRA_RESUME);
		assert_int_equal(umbra_shadow_mode(h->vcpu), UMBRA_SHADOW_4LEVEL);
		host_check(h);
	}
}

/* ---- policy at run time ---- */

static void a_change_of_policy_forgets_the_shadows_and_holds(void **state)
{
	struct host *h = *state;
	struct umbra_policy policy = host_plain_policy();
	uint64_t second = second_root(h);

	host_read_gfn(h, GVA);
	host_cr3(h, second);
	host_read_gfn(h, GVA);
	policy.large = false;
	policy.oos = UMBRA_OOS_ALL;
	host_reset_flushes(h);
	assert_int_equal(umbra_set_policy(h->vm, &policy), UMBRA_OK);
	host_check(h);
	assert_true(h->flush_all > 0);
	assert_int_equal(stats(h)->shadow_pages, 1);
	host_map(h, second, GVA, 2, gpte_of(DATA_GFN + 512, LEAF | X86_PTE_PS));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 512);
	assert_false(host_spte(h, GVA, 2) & X86_PTE_PS);
}

static void a_policy_that_cannot_be_is_refused(void **state)
{
	struct host *h = *state;
	struct umbra_policy cases[4];

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_read_gfn(h, GVA);
	for (size_t i = 0; i < 4; i++)
		cases[i] = host_plain_policy();
	cases[0].prefetch = 5;
	cases[1].pool = 70; /* not after creation */
	cases[2].replace = (enum umbra_replace)3;
	cases[3].prefetch = 1024;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(umbra_set_policy(h->vm, &cases[i]), UMBRA_BAD_ARG);
	assert_int_equal(h->vm->policy.prefetch, 0);
	assert_int_equal(host_access(h, GVA, 0).faults, 0);
}

/* ---- INVLPG ---- */

static void invlpg_of_an_address_that_is_not_canonical_does_nothing(void **state)
{
	struct host *h = *state;

	host_reset_flushes(h);
	umbra_invlpg(h->vcpu, 1ull << 47);
	umbra_invlpg(h->vcpu, 0xffff000000000000ull);
	assert_int_equal(h->flush_gva + host_flushes(h), 0);
	umbra_invlpg(h->vcpu, 0xffff800000000000ull);
	assert_int_equal(h->flush_gva, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		T(roots_and_all_below_survive_a_switch),
		T(a_new_root_begins_with_what_all_share),
		T(the_low_bits_of_cr3_make_no_other_root),
		cmocka_unit_test(cache_off_forgets_everything_at_each_load),
		T(each_load_of_cr3_asks_for_a_flush),
		T(reserved_bits_of_cr3_are_a_general_protection_fault_and_change_nothing),
		T(each_role_has_its_own_tree),
		T(a_tree_built_with_nxe_is_not_used_without),
		T(paging_can_be_turned_off_and_on),
		T(a_change_of_policy_forgets_the_shadows_and_holds),
		T(a_policy_that_cannot_be_is_refused),
		T(invlpg_of_an_address_that_is_not_canonical_does_nothing),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
