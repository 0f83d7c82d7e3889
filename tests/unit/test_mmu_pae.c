/* SPDX-License-Identifier: MIT */
/*
 * PAE and 5-level paging: what is reserved, what a root of PDPTE registers keeps and does not
 * protect, and what 57 bits of address do. Source of what is expected: SDM 3A "PAE Paging",
 * "4-Level Paging and 5-Level Paging".
 */
#include "tests/unit/mmu_host.h"

#include "mmu/src/page.h"
#include "mmu/src/slot.h"
#include "mmu/src/spte.h"
#include "mmu/src/walk.h"

#define GVA  0x40403000ull
#define LEAF (GPTE_RW | GPTE_AD)

static struct host *new_host(enum host_mode mode, unsigned max_vcpus)
{
	struct host *h = host_new(
		&(struct host_config){.policy = host_plain_policy(), .max_vcpus = max_vcpus});

	host_start_mode(h, mode, h->root);
	return h;
}

static int setup_pae(void **state)
{
	*state = new_host(HOST_PAE, 2);
	return 0;
}

static int setup_5level(void **state)
{
	*state = new_host(HOST_5LEVEL, 1);
	return 0;
}

/* Map @gva in the tables of @root and load it: PDPTEs are registers. */
static uint64_t *map(struct host *h, uint64_t root, umbra_gva gva, uint64_t gpte)
{
	host_map(h, root, gva, 1, gpte);
	host_cr3(h, root);
	return host_gpte(h, root, gva, 1);
}

static uint32_t error_of(struct host *h, umbra_gva gva, access_bits access)
{
	struct host_result result = host_access(h, gva, access);

	assert_int_equal(result.outcome, UMBRA_INJECT);
	assert_int_equal(result.exit.gva, gva);
	return result.exit.error_code;
}

/* ---- PAE: entries ---- */

/* Bits 62:52 and those above MAXPHYADDR (40 here); NX only without EFER.NXE. */
static void high_bits_of_pae_entries_are_reserved(void **state)
{
	struct host *h = *state;

	map(h, h->root, GVA, gpte_of(DATA_GFN, LEAF));
	for (unsigned nxe = 0; nxe < 2; nxe++) {
		struct umbra_paging_regs regs = host_mode_regs(HOST_PAE, h->root);

		regs.efer = nxe ? X86_EFER_NXE : 0;
		host_set_regs(h, &regs);
		for (unsigned level = 1; level <= 2; level++) {
			uint64_t *entry = host_gpte(h, h->root, GVA, level);
			uint64_t old = *entry;

			for (unsigned bit = 40; bit < 64; bit++) {
				print_message("  nxe %u, level %u, bit %u\n", nxe, level, bit);
				host_write_word(h, host_gpa(h, entry), old | 1ull << bit);
				if (bit == 63 && nxe)
					assert_int_equal(
						error_of(h, GVA, X86_PF_I), X86_PF_I | X86_PF_P);
				else
					assert_int_equal(error_of(h, GVA, X86_PF_W),
						X86_PF_W | X86_PF_P | X86_PF_RSVD);
			}
			host_write_word(h, host_gpa(h, entry), old);
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		}
	}
}

/* What PAE reserves, 4-level paging ignores: a table of both has a shadow for each. */
static void a_table_of_two_modes_has_a_shadow_for_each(void **state)
{
	struct host *h = *state;
	uint64_t *entry = map(h, h->root, GVA, gpte_of(DATA_GFN, LEAF | 1ull << 55));
	uint64_t table = host_gpa(h, entry) >> 12;
	uint64_t top = host_new_table(h);

	host_words(h, top)[0] = gpte_of(host_new_table(h), GPTE_RW);
	host_words(h, top + 1)[1] = host_words(h, h->root)[1] | GPTE_RW;
	for (unsigned round = 0; round < 2; round++) {
		host_start_mode(h, HOST_PAE, h->root);
		assert_int_equal(error_of(h, GVA, 0), X86_PF_P | X86_PF_RSVD);
		host_start_mode(h, HOST_4LEVEL, top);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	}
	host_write_word(h, host_gpa(h, entry), gpte_of(DATA_GFN + 1, LEAF));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	host_start_mode(h, HOST_PAE, h->root);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	assert_int_equal(host_shadows(h, table), 2);
	/* A store reaches both, in the mode that is not running too. */
	host_write_word(h, host_gpa(h, entry), gpte_of(DATA_GFN + 2, LEAF));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 2);
	host_start_mode(h, HOST_4LEVEL, top);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 2);
}

static void large_pages_of_pae_are_2m(void **state)
{
	struct host *h = *state;

	host_map(h, h->root, GVA, 2, gpte_of(DATA_GFN + 512, LEAF | X86_PTE_PS));
	host_cr3(h, h->root);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 512 + 3);
	assert_true(host_spte(h, GVA, 2) & X86_PTE_PS);
	host_write_word(h, host_gpa(h, host_gpte(h, h->root, GVA, 2)),
		gpte_of(DATA_GFN + 512, LEAF | X86_PTE_PS) | 1u << 13);
	assert_int_equal(error_of(h, GVA, 0), X86_PF_P | X86_PF_RSVD);
}

/* PDPTEs grant everything: the rights are those of the two levels below. */
static void pdptes_take_no_rights_away(void **state)
{
	struct host *h = *state;

	map(h, h->root, GVA, gpte_of(DATA_GFN, GPTE_RW));
	assert_int_equal(host_words(h, h->root)[1] & 0xfff, X86_PTE_P);
	assert_int_equal(host_access(h, GVA, X86_PF_W | X86_PF_U).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA, X86_PF_I | X86_PF_U).outcome, UMBRA_RESUME);
	/* Neither A nor D is written to them. */
	assert_int_equal(host_words(h, h->root)[1] & 0xfff, X86_PTE_P);
	host_write_word(h, host_gpa(h, host_gpte(h, h->root, GVA, 2)),
		*host_gpte(h, h->root, GVA, 2) & ~(X86_PTE_U | X86_PTE_W));
	assert_int_equal(error_of(h, GVA, X86_PF_U), X86_PF_P | X86_PF_U);
}

/* ---- PAE: roots ---- */

static void page_directories_survive_loads_of_cr3(void **state)
{
	struct host *h = *state;
	uint64_t roots[2] = {h->root, host_new_table(h)};
	uint64_t created, zapped;

	for (unsigned i = 0; i < 2; i++)
		map(h, roots[i], GVA, gpte_of(DATA_GFN + i, LEAF));
	/* The last quarter is shared, as a kernel's is. */
	map(h, roots[0], 3ull << 30, gpte_of(DATA_GFN + 9, LEAF));
	host_words(h, roots[1])[3] = host_words(h, roots[0])[3];
	for (unsigned i = 0; i < 2; i++) {
		host_cr3(h, roots[i]);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		assert_int_equal(host_access(h, 3ull << 30, X86_PF_W).faults, 1 - i);
	}
	created = umbra_stats(h->vm)->mmu_shadow_created;
	zapped = umbra_stats(h->vm)->mmu_shadow_zapped;
	for (unsigned i = 0; i < 6; i++) {
		host_cr3(h, roots[i & 1]);
		assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
		assert_int_equal(host_access(h, 3ull << 30, 0).faults, 0);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + (i & 1));
	}
	assert_int_equal(umbra_stats(h->vm)->mmu_shadow_created, created);
	assert_int_equal(umbra_stats(h->vm)->mmu_shadow_zapped, zapped);
}

/* It is read when it is loaded and not otherwise: nobody needs to see a store. */
static void the_frame_of_the_pdptes_is_no_table(void **state)
{
	struct host *h = *state;
	uint64_t *directory;

	host_map(h, h->root, GVA, 1, gpte_of(h->root, LEAF));
	map(h, h->root, GVA + 0x1000, gpte_of(h->root + 1, LEAF));
	directory = host_gpte(h, h->root, GVA, 2);
	assert_int_equal(host_gpa(h, directory) >> 12, h->root + 1);
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
	assert_int_equal(host_shadows(h, h->root), 0);
	/* A page directory is one. */
	assert_int_equal(host_access(h, GVA + 0x1000, X86_PF_W).outcome, UMBRA_EMULATE);
	assert_int_equal(host_shadows(h, h->root + 1), 1);
	umbra_unshadow(h->vcpu, h->root << 12);
	host_check(h);
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
}

/* Both loaded the same CR3, before and after the memory there changed. */
static void each_vcpu_has_its_own_pdpte_registers(void **state)
{
	struct host *h = *state;
	struct umbra_vcpu *first = h->vcpu, *second;
	uint64_t other = host_new_table(h);

	map(h, h->root, GVA, gpte_of(DATA_GFN, LEAF));
	map(h, other, GVA, gpte_of(DATA_GFN + 1, LEAF));
	host_cr3(h, h->root);
	assert_int_equal(umbra_vcpu_create(h->vm, &second), UMBRA_OK);
	host_words(h, h->root)[1] = host_words(h, other)[1];
	h->vcpu = second;
	host_start_mode(h, HOST_PAE, h->root);
	for (unsigned round = 0; round < 2; round++) {
		h->vcpu = second;
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
		h->vcpu = first;
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	}
	assert_true(umbra_root(first) != umbra_root(second));
	/* The directories are one for all: a change in one of them is seen by both. */
	host_cr3(h, h->root);
	host_write_word(h, host_gpa(h, host_gpte(h, other, GVA, 1)), gpte_of(DATA_GFN + 2, LEAF));
	for (unsigned i = 0; i < 2; i++) {
		h->vcpu = i ? first : second;
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 2);
	}
	assert_int_equal(host_shadows(h, host_words(h, other)[1] >> 12), 1);
}

/* The page of the PDPTEs is a vCPU's as long as it lives: another mode and back find it again. */
static void a_root_of_pdptes_is_used_again_with_what_is_loaded_now(void **state)
{
	struct host *h = *state;
	umbra_hpa root = umbra_root(h->vcpu);
	uint64_t other = host_new_table(h);

	map(h, h->root, GVA, gpte_of(DATA_GFN, LEAF));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	map(h, other, 2 * GVA, gpte_of(DATA_GFN + 1, LEAF));
	host_start_mode(h, HOST_4LEVEL, host_new_table(h));
	host_start_mode(h, HOST_PAE, other);
	assert_int_equal(umbra_root(h->vcpu), root);
	assert_int_equal(error_of(h, GVA, 0), 0);
	assert_int_equal(host_read_gfn(h, 2 * GVA), DATA_GFN + 1);
}

/* Frame 0 is a directory like any: a PDPTE that is not present does not lead to it. */
static void an_absent_pdpte_is_not_a_link_to_frame_0(void **state)
{
	struct host *h = *state;
	uint64_t other = host_new_table(h), table = host_new_table(h);

	host_words(h, h->root)[1] = X86_PTE_P;
	host_words(h, 0)[2] = gpte_of(table, GPTE_RW);
	host_words(h, table)[3] = gpte_of(DATA_GFN, LEAF);
	host_cr3(h, h->root);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	host_cr3(h, other);
	assert_int_equal(error_of(h, GVA, 0), 0);
	host_cr3(h, h->root);
	assert_int_equal(host_access(h, GVA, 0).faults, 0);
}

static void cache_off_and_a_small_pool_work_with_pdptes_too(void **state)
{
	struct host_config config = {.policy = host_plain_policy(), .pool_pages = UMBRA_POOL_MIN};

	(void)state;
	for (unsigned cache = 0; cache < 2; cache++) {
		uint64_t roots[40];
		struct host *h;

		config.policy.cache = cache;
		h = host_new(&config);
		host_start_mode(h, HOST_PAE, h->root);
		for (unsigned i = 0; i < 40; i++) {
			roots[i] = host_new_table(h);
			host_map(h, roots[i], GVA, 1, gpte_of(DATA_GFN + i, LEAF));
		}
		for (unsigned i = 0; i < 200; i++) {
			host_cr3(h, roots[i * 7 % 40]);
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i * 7 % 40);
		}
		host_free(h);
	}
}

/* ---- 5-level paging ---- */

#define HIGH 0x00a1408060504000ull /* an index of its own at each level */

static void five_levels_translate_and_set_a_at_each(void **state)
{
	struct host *h = *state;

	assert_int_equal(umbra_shadow_mode(h->vcpu), UMBRA_SHADOW_5LEVEL);
	host_map(h, h->root, HIGH, 1, gpte_of(DATA_GFN, GPTE_RW));
	host_map(h, h->root, ~0xfffull, 1, gpte_of(DATA_GFN + 1, GPTE_RW));
	assert_int_equal(host_read_gfn(h, HIGH), DATA_GFN);
	assert_int_equal(host_read_gfn(h, ~0xfffull), DATA_GFN + 1);
	for (unsigned level = 1; level <= 5; level++)
		assert_int_equal(*host_gpte(h, h->root, HIGH, level) & GPTE_AD, X86_PTE_A);
	/* An address of 48 bits that differs in the ninth index only is another one. */
	assert_int_equal(error_of(h, HIGH & 0xffffffffffff, 0), 0);
}

static void each_of_five_levels_counts(void **state)
{
	static const struct {
		uint64_t set, clear;
		access_bits access;
		uint32_t error_code;
	} cases[] = {
		{0, X86_PTE_W, X86_PF_W, X86_PF_W | X86_PF_P},
		{0, X86_PTE_U, X86_PF_U, X86_PF_U | X86_PF_P},
		{X86_PTE_NX, 0, X86_PF_I, X86_PF_I | X86_PF_P},
		{0, X86_PTE_P, 0, 0},
		{1ull << 40, 0, 0, X86_PF_P | X86_PF_RSVD},
	};
	struct host *h = *state;
	unsigned n = 0;

	for (unsigned level = 1; level <= 5; level++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++, n++) {
			umbra_gva gva = HIGH + ((umbra_gva)n << 48);
			uint64_t *entry;
			uint64_t old;

			host_map(h, h->root, gva, 1, gpte_of(DATA_GFN, LEAF));
			assert_int_equal(
				host_access(h, gva, cases[i].access).outcome, UMBRA_RESUME);
			entry = host_gpte(h, h->root, gva, level);
			old = *entry;
			host_write_word(
				h, host_gpa(h, entry), (old | cases[i].set) & ~cases[i].clear);
			assert_int_equal(error_of(h, gva, cases[i].access), cases[i].error_code);
			host_write_word(h, host_gpa(h, entry), old);
			assert_int_equal(
				host_access(h, gva, cases[i].access).outcome, UMBRA_RESUME);
		}
	}
}

static void the_two_top_levels_have_no_large_pages(void **state)
{
	struct host *h = *state;

	for (unsigned level = 4; level <= 5; level++) {
		host_map(h, h->root, HIGH, level, GPTE_RW | X86_PTE_PS);
		host_invlpg(h, HIGH);
		assert_int_equal(error_of(h, HIGH, 0), X86_PF_P | X86_PF_RSVD);
	}
	host_map(h, h->root, HIGH, 5, 0);
	host_invlpg(h, HIGH);
	host_map(h, h->root, HIGH, 3, gpte_of(0, LEAF | X86_PTE_PS));
	assert_int_equal(host_read_gfn(h, (HIGH & ~0x3fffffffull) + DATA_GFN * 4096), DATA_GFN);
}

/* A table of four levels is the same below an entry of a fifth. */
static void a_root_of_4_levels_is_shared_with_5(void **state)
{
	struct host *h = *state;
	uint64_t top = host_new_table(h), below = host_new_table(h);
	umbra_hpa root;

	host_start_mode(h, HOST_4LEVEL, below);
	map(h, below, GVA, gpte_of(DATA_GFN, LEAF));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	root = umbra_root(h->vcpu);
	host_words(h, top)[1] = gpte_of(below, GPTE_RW);
	host_start_mode(h, HOST_5LEVEL, top);
	assert_int_equal(host_read_gfn(h, (1ull << 48) + GVA), DATA_GFN);
	assert_int_equal(host_shadows(h, below), 1);
	assert_int_equal(host_spte(h, 1ull << 48, 5) & X86_PTE_FRAME, root);
	host_start_mode(h, HOST_4LEVEL, below);
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
}

static void unsync_tables_of_five_levels_are_seen_when_they_must_be(void **state)
{
	const umbra_gva window = 0x00ff000000000000ull >> 1;
	struct umbra_policy policy = host_plain_policy();

	(void)state;
	policy.oos = UMBRA_OOS_ALL;
	policy.sticky = 100;
	for (unsigned level = 1; level <= 5; level++) {
		struct host *h = host_new_policy(&policy);
		uint64_t twin = host_new_table(h);
		uint64_t *entry;

		host_start_mode(h, HOST_5LEVEL, h->root);
		host_map(h, h->root, window, 3, gpte_of(0, LEAF | X86_PTE_PS));
		host_map(h, h->root, HIGH, 1, gpte_of(DATA_GFN, LEAF));
		host_map(h, twin, HIGH, 1, gpte_of(DATA_GFN + 1, LEAF));
		assert_int_equal(host_read_gfn(h, HIGH), DATA_GFN);
		entry = host_gpte(h, h->root, HIGH, level);
		assert_int_equal(
			host_store(h, window + host_gpa(h, entry), *host_gpte(h, twin, HIGH, level))
				.outcome,
			UMBRA_RESUME);
		assert_true(host_is_unsync(h, host_gpa(h, entry) >> 12));
		assert_int_equal(host_read_gfn(h, HIGH), DATA_GFN);
		host_invlpg(h, HIGH);
		assert_int_equal(host_read_gfn(h, HIGH), DATA_GFN + 1);
		host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define PAE(name)  cmocka_unit_test_setup_teardown(name, setup_pae, host_teardown)
#define FIVE(name) cmocka_unit_test_setup_teardown(name, setup_5level, host_teardown)
		PAE(high_bits_of_pae_entries_are_reserved),
		PAE(a_table_of_two_modes_has_a_shadow_for_each),
		PAE(large_pages_of_pae_are_2m),
		PAE(pdptes_take_no_rights_away),
		PAE(page_directories_survive_loads_of_cr3),
		PAE(the_frame_of_the_pdptes_is_no_table),
		PAE(each_vcpu_has_its_own_pdpte_registers),
		PAE(a_root_of_pdptes_is_used_again_with_what_is_loaded_now),
		PAE(an_absent_pdpte_is_not_a_link_to_frame_0),
		cmocka_unit_test(cache_off_and_a_small_pool_work_with_pdptes_too),
		FIVE(five_levels_translate_and_set_a_at_each),
		FIVE(each_of_five_levels_counts),
		FIVE(the_two_top_levels_have_no_large_pages),
		FIVE(a_root_of_4_levels_is_shared_with_5),
		cmocka_unit_test(unsync_tables_of_five_levels_are_seen_when_they_must_be),
#undef FIVE
#undef PAE
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
