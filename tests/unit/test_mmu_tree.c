/* SPDX-License-Identifier: MIT */
/*
 * The shape of the shadow trees: what is mapped large, when that is split, what shares a page, and
 * that nothing outside the slots is ever mapped.
 */
#include "tests/unit/mmu_host.h"

#include "mmu/src/page.h"
#include "mmu/src/slot.h"
#include "mmu/src/spte.h"

#define GVA   0x40000000ull /* 2M-aligned */
#define LARGE (GPTE_RW | X86_PTE_PS)

static bool mapped_large(struct host *h, umbra_gva gva)
{
	return host_spte(h, gva, 2) & X86_PTE_PS;
}

static void map_large(struct host *h, umbra_gva gva, uint64_t gfn, uint64_t bits)
{
	host_map(h, h->root, gva, 2, gpte_of(gfn, LARGE | bits));
}

/* ---- large pages ---- */

static void a_2m_page_is_one_leaf_with_all_its_bits(void **state)
{
	struct host *h = *state;
	uint64_t spte;

	map_large(h, GVA, DATA_GFN, X86_PTE_G | X86_PTE_PCD | X86_PTE_PAT_LARGE | X86_PTE_NX);
	assert_int_equal(host_access(h, GVA + 0x5678, X86_PF_W | X86_PF_U).hpa,
		(RAM_HFN + DATA_GFN) * X86_PAGE_SIZE + 0x5678);
	spte = host_spte(h, GVA, 2);
	assert_int_equal(spte & ~(X86_PTE_FRAME & ~X86_PTE_PAT_LARGE) & ~SPTE_RMAP,
		LARGE | GPTE_AD | X86_PTE_G | X86_PTE_PCD | X86_PTE_PAT_LARGE | X86_PTE_NX);
	/* No fault for the rest of it. */
	assert_int_equal(host_access(h, GVA + 0x1ff000, X86_PF_W).faults, 0);
}

static void a_2m_page_is_read_only_until_the_guests_d_is_set(void **state)
{
	struct host *h = *state;

	map_large(h, GVA, DATA_GFN, 0);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	assert_int_equal(*host_gpte(h, h->root, GVA, 2) & GPTE_AD, X86_PTE_A);
	assert_false(host_spte(h, GVA, 2) & X86_PTE_W);
	assert_int_equal(host_access(h, GVA + 0x3000, X86_PF_W).faults, 1);
	assert_int_equal(*host_gpte(h, h->root, GVA, 2) & GPTE_AD, GPTE_AD);
	assert_true(mapped_large(h, GVA));
}

static void what_cannot_be_one_leaf_is_mapped_in_parts_with_the_same_rights(void **state)
{
	/* Each is a guest's 2M page. */
	static const struct {
		uint64_t gfn;    /* of the page */
		uint64_t at;     /* the frame looked at */
		uint64_t expect; /* frame seen */
		bool large;
	} cases[] = {
		{DATA_GFN, DATA_GFN + 7, DATA_GFN + 7, true},
		{DEVICE_GFN, DEVICE_GFN + 9, DEVICE_GFN + 9, true},
		{ROM_GFN, ROM_GFN + 511, ROM_GFN + 511, true},
		{ABSENT_GFN, ABSENT_GFN + 1, ABSENT_GFN, false},
		{0, 3, 3, false}, /* the tables themselves are in there */
	};
	struct host *h = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		umbra_gva gva = GVA + i * 0x200000;

		print_message("  case %zu\n", i);
		map_large(h, gva, cases[i].gfn, X86_PTE_NX);
		assert_int_equal(
			host_read_gfn(h, gva + (cases[i].at - cases[i].gfn) * X86_PAGE_SIZE),
			cases[i].expect);
		assert_int_equal(mapped_large(h, gva), cases[i].large);
		assert_int_equal(host_access(h, gva, X86_PF_I).outcome, UMBRA_INJECT);
	}
}

/* A slot's edge inside the guest's page: both sides are right, and the far side too. */
static void a_large_page_over_the_edge_of_a_slot_is_mapped_in_parts(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h = host_new_policy(&policy);
	const struct umbra_slot odd = {.kind = UMBRA_SLOT_DEVICE,
		.gfn = {0x50000 + 100},
		.hfn = {0xb0000 + 100},
		.n_frames = 512};

	(void)state;
	assert_int_equal(umbra_add_slot(h->vm, &odd), UMBRA_OK);
	host_start(h, h->root);
	map_large(h, GVA, 0x50000, 0);
	map_large(h, GVA + 0x200000, 0x50200, 0);
	assert_int_equal(host_access(h, GVA + 99 * 4096, 0).hpa, ABSENT_HPA);
	assert_int_equal(host_access(h, GVA + 100 * 4096, X86_PF_W).hpa, (0xb0000ull + 100) << 12);
	assert_int_equal(host_access(h, GVA + 611 * 4096, X86_PF_W).hpa, (0xb0000ull + 611) << 12);
	assert_int_equal(host_access(h, GVA + 612 * 4096, 0).hpa, ABSENT_HPA);
	assert_int_equal(host_access(h, GVA + 99 * 4096, X86_PF_W).outcome, UMBRA_MMIO);
	assert_false(mapped_large(h, GVA));
	assert_false(mapped_large(h, GVA + 0x200000));
	host_free(h);
}

static void a_gigabyte_page_is_made_of_2m_leaves_where_they_fit(void **state)
{
	struct host *h = *state;

	host_map(h, h->root, GVA, 3, gpte_of(0, LARGE | X86_PTE_PAT_LARGE));
	assert_int_equal(host_read_gfn(h, GVA + (DATA_GFN + 3) * 4096), DATA_GFN + 3);
	assert_true(host_spte(h, GVA + DATA_GFN * 4096, 2) & X86_PTE_PS);
	assert_true(host_spte(h, GVA + DATA_GFN * 4096, 2) & X86_PTE_PAT_LARGE);
	/* Where tables lie, and where nothing does: small. */
	assert_int_equal(host_read_gfn(h, GVA + h->root * 4096), h->root);
	assert_int_equal(host_spte(h, GVA, 1) & X86_PTE_PAT_4K, X86_PTE_PAT_4K);
	assert_int_equal(host_read_gfn(h, GVA + 0x3ffff000), ABSENT_GFN);
	assert_int_equal(
		host_access(h, GVA + (DATA_GFN + 3) * 4096, X86_PF_W).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA + h->root * 4096, X86_PF_W).outcome, UMBRA_EMULATE);
}

static void large_off_maps_small(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	(void)state;
	policy.large = false;
	h = host_new_policy(&policy);
	host_start(h, h->root);
	map_large(h, GVA, DATA_GFN, 0);
	assert_int_equal(host_read_gfn(h, GVA + 0x5000), DATA_GFN + 5);
	assert_false(mapped_large(h, GVA));
	assert_int_equal(
		host_access(h, GVA + 0x6000, X86_PF_W).hpa, (RAM_HFN + DATA_GFN + 6) << 12);
	host_free(h);
}

static void a_table_under_a_large_leaf_splits_it_and_the_rest_stays_writable(void **state)
{
	struct host *h = *state;
	const umbra_gva elsewhere = GVA + (1ull << 30);
	const uint64_t table = DATA_GFN + 17;

	map_large(h, GVA, DATA_GFN, 0);
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
	assert_true(mapped_large(h, GVA));

	/* A frame in the middle becomes a table by being used as one. */
	host_words(h, table)[0] = gpte_of(DATA_GFN + 1024, GPTE_RW);
	host_map(h, h->root, elsewhere, 2, gpte_of(table, GPTE_RW));
	host_reset_flushes(h);
	assert_int_equal(host_read_gfn(h, elsewhere), DATA_GFN + 1024);
	assert_false(mapped_large(h, GVA));
	assert_true(h->flush_all > 0); /* I8 */
	assert_int_equal(umbra_stats(h->vm)->mmu_large_split, 1);

	/* All the others are filled at once: one fault, and only the table is protected. */
	assert_int_equal(host_access(h, GVA + 18 * 4096, X86_PF_W).faults, 1);
	for (uint64_t i = 0; i < 512; i++) {
		struct host_result r = host_access(h, GVA + i * 4096, X86_PF_W);

		assert_int_equal(r.outcome, i == 17 ? UMBRA_EMULATE : UMBRA_RESUME);
		assert_int_equal(r.faults, i == 17);
	}
}

static void when_the_last_table_is_gone_it_is_mapped_large_again(void **state)
{
	struct host *h = *state;
	const umbra_gva elsewhere = GVA + (1ull << 30);
	const uint64_t table = DATA_GFN + 17;

	host_words(h, table)[0] = gpte_of(DATA_GFN + 1024, GPTE_RW);
	host_map(h, h->root, elsewhere, 2, gpte_of(table, GPTE_RW));
	host_read_gfn(h, elsewhere);
	map_large(h, GVA, DATA_GFN, 0);
	host_access(h, GVA, X86_PF_W);
	assert_false(mapped_large(h, GVA));
	umbra_unshadow(h->vcpu, table << X86_PAGE_SHIFT);
	host_check(h);
	/* The table's own entry there is still read-only: it faults, and is found to fit. */
	assert_int_equal(host_access(h, GVA + 17 * 4096, X86_PF_W).faults, 1);
	assert_true(mapped_large(h, GVA));
}

/* ---- what is mapped at all ---- */

static void memory_in_no_slot_reads_from_the_absent_page_and_takes_no_store(void **state)
{
	static const uint64_t gfns[] = {RAM_FRAMES, ABSENT_GFN, ABSENT_HPA >> 12, RAM_HFN,
		TABLES_HPA >> 12, (1ull << 28) - 1};
	struct host *h = *state;

	for (size_t i = 0; i < sizeof(gfns) / sizeof(gfns[0]); i++) {
		struct host_result result;

		host_map(h, h->root, GVA + i * 4096, 1, gpte_of(gfns[i], GPTE_RW | GPTE_AD));
		result = host_access(h, GVA + i * 4096 + 0x18, X86_PF_W);
		assert_int_equal(result.outcome, UMBRA_MMIO);
		assert_int_equal(result.exit.gpa, gfns[i] << 12 | 0x18);
		result = host_access(h, GVA + i * 4096 + 0x18, 0);
		assert_int_equal(result.outcome, UMBRA_RESUME);
		assert_int_equal(result.hpa, ABSENT_HPA | 0x18);
		assert_int_equal(host_access(h, GVA + i * 4096, X86_PF_W).outcome, UMBRA_MMIO);
	}
}

static void without_an_absent_page_each_access_outside_is_mmio(void **state)
{
	struct host *h = host_new(
		&(struct host_config){.policy = host_plain_policy(), .no_absent_page = true});

	(void)state;
	host_start(h, h->root);
	host_map(h, h->root, GVA, 1, gpte_of(ABSENT_GFN, GPTE_RW | GPTE_AD));
	host_map(h, h->root, GVA + 0x200000, 2, gpte_of(ABSENT_GFN, LARGE));
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_MMIO);
	assert_int_equal(host_access(h, GVA + 0x200000, 0).outcome, UMBRA_MMIO);
	assert_int_equal(host_spte(h, GVA, 1), 0);
	host_free(h);
}

static void read_only_slots_are_read_directly_and_written_never(void **state)
{
	struct host *h = *state;

	host_map(h, h->root, GVA, 1, gpte_of(ROM_GFN + 3, GPTE_RW));
	host_map(h, h->root, GVA + 0x200000, 2, gpte_of(ROM_GFN, LARGE));
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_MMIO);
	assert_int_equal(host_access(h, GVA + 0x200000, X86_PF_W).outcome, UMBRA_MMIO);
	/* The attempt set D, so that W is granted by the guest; the slot still does not. */
	assert_int_equal(host_read_gfn(h, GVA), ROM_GFN + 3);
	assert_int_equal(host_read_gfn(h, GVA + 0x200000), ROM_GFN);
	assert_true(mapped_large(h, GVA + 0x200000));
	assert_false(host_spte(h, GVA, 1) & X86_PTE_W);
	assert_false(host_spte(h, GVA + 0x200000, 2) & X86_PTE_W);
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_MMIO);
}

static void device_memory_is_mapped_and_recorded_in_no_rmap(void **state)
{
	struct host *h = *state;

	host_map(h, h->root, GVA, 1, gpte_of(DEVICE_GFN + 3, GPTE_RW | X86_PTE_PCD | X86_PTE_PWT));
	assert_int_equal(host_access(h, GVA, X86_PF_W).hpa, (DEVICE_HFN + 3) << 12);
	assert_false(host_spte(h, GVA, 1) & SPTE_RMAP);
	assert_int_equal(
		host_spte(h, GVA, 1) & (X86_PTE_PCD | X86_PTE_PWT), X86_PTE_PCD | X86_PTE_PWT);
}

/* ---- sharing ---- */

static void one_shadow_page_serves_all_paths_to_a_table(void **state)
{
	struct host *h = *state;
	uint64_t other = host_new_table(h);
	uint64_t table = host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RW));

	host_read_gfn(h, GVA);
	/* Another place in the same root, and another root. */
	host_map(h, h->root, GVA + (1ull << 30), 2, gpte_of(table, GPTE_RO));
	host_map(h, other, GVA, 2, gpte_of(table, GPTE_RW));
	assert_int_equal(host_read_gfn(h, GVA + (1ull << 30)), DATA_GFN);
	host_cr3(h, other);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	assert_int_equal(host_shadows(h, table), 1);
	/* What differs above stays there. */
	host_cr3(h, h->root);
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA + (1ull << 30), X86_PF_W).outcome, UMBRA_INJECT);
}

static void a_frame_used_at_several_levels_has_a_shadow_page_for_each(void **state)
{
	struct host *h = *state;
	/* Entry 511 of the root is the root: the old way to reach one's own tables. */
	const umbra_gva self = 0xfffffffffffff000ull;

	host_words(h, h->root)[511] = gpte_of(h->root, GPTE_RW);
	assert_int_equal(host_read_gfn(h, self), h->root);
	assert_int_equal(host_shadows(h, h->root), 4);
	assert_true(host_words(h, h->root)[511] & X86_PTE_A);
	/* And so does each store of a write to it: it is a table. */
	assert_int_equal(host_access(h, self, X86_PF_W).outcome, UMBRA_EMULATE);
	assert_true(host_words(h, h->root)[511] & X86_PTE_D);
}

static void without_paging_the_tree_maps_guest_physical_memory(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h = host_new_policy(&policy);

	(void)state;
	assert_int_equal(umbra_shadow_mode(h->vcpu), UMBRA_SHADOW_PAE);
	assert_true(umbra_root(h->vcpu) + X86_PAGE_SIZE <= 1ull << 32);
	assert_int_equal(host_access(h, 0x123456, X86_PF_W).hpa, RAM_HFN * 4096 + 0x123456);
	assert_int_equal(host_access(h, DEVICE_GFN << 12, X86_PF_W).hpa, DEVICE_HFN << 12);
	assert_int_equal(host_access(h, 0xfffff000, 0).hpa, ABSENT_HPA);
	assert_int_equal(host_access(h, 0xfffff000, X86_PF_W).outcome, UMBRA_MMIO);
	/* PDPTEs: nothing but P and the address, in the first four entries. */
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t entry = h->vm->tables[h->vcpu->root][i] & ~X86_PTE_A;

		assert_int_equal(entry & ~X86_PTE_FRAME, entry ? X86_PTE_P : 0);
		assert_true(i < 4 || !entry);
	}
	host_free(h);
}

/* Every way in which a leaf can carry memory types, for each page size and place. */
static void memory_type_key_and_global_bit_reach_the_leaf(void **state)
{
	static const uint64_t bits[] = {0, X86_PTE_PWT, X86_PTE_PCD, X86_PTE_PWT | X86_PTE_PCD,
		X86_PTE_G, X86_PTE_PK, 5ull << X86_PTE_PK_SHIFT};
	const uint64_t kept = X86_PTE_PWT | X86_PTE_PCD | X86_PTE_G | X86_PTE_PK;
	struct host *h = *state;

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		umbra_gva gva = GVA + i * (1ull << 31);
		uint64_t pat4k = i % 2 ? X86_PTE_PAT_4K : 0, pat = i % 2 ? X86_PTE_PAT_LARGE : 0;

		host_map(h, h->root, gva, 1, gpte_of(DATA_GFN, GPTE_RW | bits[i] | pat4k));
		host_map(h, h->root, gva + 0x200000, 2, gpte_of(DATA_GFN, LARGE | bits[i] | pat));
		host_map(h, h->root, gva + 0x400000, 2, gpte_of(0, LARGE | bits[i] | pat));
		host_map(h, h->root, gva + (1ull << 30), 3, gpte_of(0, LARGE | bits[i] | pat));
		host_read_gfn(h, gva);
		host_read_gfn(h, gva + 0x200000);
		host_read_gfn(h, gva + 0x400000);
		host_read_gfn(h, gva + (1ull << 30));
		host_read_gfn(h, gva + (1ull << 30) + DATA_GFN * 4096);
		assert_int_equal(host_spte(h, gva, 1) & (kept | X86_PTE_PAT_4K), bits[i] | pat4k);
		assert_int_equal(host_spte(h, gva + 0x200000, 2) & (kept | X86_PTE_PAT_LARGE),
			bits[i] | pat);
		assert_int_equal(
			host_spte(h, gva + 0x400000, 1) & (kept | X86_PTE_PAT_4K), bits[i] | pat4k);
		assert_int_equal(host_spte(h, gva + (1ull << 30), 1) & (kept | X86_PTE_PAT_4K),
			bits[i] | pat4k);
		assert_int_equal(host_spte(h, gva + (1ull << 30) + DATA_GFN * 4096, 2) &
					 (kept | X86_PTE_PAT_LARGE),
			bits[i] | pat);
	}
}

/* The same bits but PS: a table, or the 2M that begin with it. */
static void an_entry_can_turn_from_table_to_page_and_back_at_the_same_frame(void **state)
{
	struct host *h = *state;
	uint64_t above = host_map(h, h->root, GVA, 2, gpte_of(DATA_GFN, GPTE_RW | GPTE_AD));
	umbra_gpa gpa = above << 12 | gva_index(GVA, 2) * 8;

	host_words(h, DATA_GFN)[3] = gpte_of(DATA_GFN + 600, GPTE_RW);
	for (unsigned i = 0; i < 3; i++) {
		host_write_word(h, gpa, gpte_of(DATA_GFN, GPTE_RW | GPTE_AD));
		assert_int_equal(host_read_gfn(h, GVA + 3 * 4096), DATA_GFN + 600);
		host_write_word(h, gpa, gpte_of(DATA_GFN, LARGE | GPTE_AD));
		assert_int_equal(host_read_gfn(h, GVA + 3 * 4096), DATA_GFN + 3);
	}
}

/* Each bit that the parts of a large page carry for it can change. */
static void a_large_page_in_parts_can_change_its_memory_type(void **state)
{
	static const uint64_t bits[] = {
		X86_PTE_PWT, X86_PTE_PCD, X86_PTE_G, 3ull << X86_PTE_PK_SHIFT, X86_PTE_PAT_LARGE};
	struct host *h = *state;
	uint64_t above = host_map(h, h->root, GVA, 2, LARGE | GPTE_AD);
	umbra_gpa gpa = above << 12 | gva_index(GVA, 2) * 8;

	host_read_gfn(h, GVA);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		uint64_t leaf = bits[i] == X86_PTE_PAT_LARGE ? X86_PTE_PAT_4K : bits[i];

		host_write_word(h, gpa, LARGE | GPTE_AD | bits[i]);
		host_read_gfn(h, GVA);
		assert_true(host_spte(h, GVA, 1) & leaf);
		host_write_word(h, gpa, LARGE | GPTE_AD);
		host_read_gfn(h, GVA);
		assert_false(host_spte(h, GVA, 1) & leaf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		T(a_2m_page_is_one_leaf_with_all_its_bits),
		T(a_2m_page_is_read_only_until_the_guests_d_is_set),
		T(what_cannot_be_one_leaf_is_mapped_in_parts_with_the_same_rights),
		cmocka_unit_test(a_large_page_over_the_edge_of_a_slot_is_mapped_in_parts),
		T(a_gigabyte_page_is_made_of_2m_leaves_where_they_fit),
		cmocka_unit_test(large_off_maps_small),
		T(a_table_under_a_large_leaf_splits_it_and_the_rest_stays_writable),
		T(when_the_last_table_is_gone_it_is_mapped_large_again),
		T(memory_in_no_slot_reads_from_the_absent_page_and_takes_no_store),
		cmocka_unit_test(without_an_absent_page_each_access_outside_is_mmio),
		T(read_only_slots_are_read_directly_and_written_never),
		T(device_memory_is_mapped_and_recorded_in_no_rmap),
		T(one_shadow_page_serves_all_paths_to_a_table),
		T(a_frame_used_at_several_levels_has_a_shadow_page_for_each),
		cmocka_unit_test(without_paging_the_tree_maps_guest_physical_memory),
		T(memory_type_key_and_global_bit_reach_the_leaf),
		T(an_entry_can_turn_from_table_to_page_and_back_at_the_same_frame),
		T(a_large_page_in_parts_can_change_its_memory_type),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
