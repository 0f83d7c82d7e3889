/* SPDX-License-Identifier: MIT */
/*
 * Out-of-sync tables: written without exits, seen again exactly when the architecture says so. The
 * guest writes its tables through a window that maps all of its table frames, as an operating
 * system does.
 */
#include "tests/unit/mmu_guest.h"

static struct host *new_host_pool(enum umbra_oos oos, unsigned sticky, unsigned pool_pages)
{
	struct umbra_policy policy = host_plain_policy();

	policy.oos = oos;
	policy.sticky = sticky;
	return guest_new(&(struct host_config){.policy = policy, .pool_pages = pool_pages});
}

static struct host *new_host(enum umbra_oos oos, unsigned sticky)
{
	return new_host_pool(oos, sticky, 0);
}

static int setup_large_pool(void **state)
{
	*state = new_host_pool(UMBRA_OOS_LEAF, 100, 1024);
	return 0;
}

static int setup_leaf(void **state)
{
	*state = new_host(UMBRA_OOS_LEAF, 100);
	return 0;
}

static int setup_all(void **state)
{
	*state = new_host(UMBRA_OOS_ALL, 100);
	return 0;
}

/* The guest's own store to one of its entries. */
static struct host_result stores(struct host *h, const uint64_t *entry, uint64_t gpte)
{
	return host_store(h, guest_window(h, entry), gpte);
}

/* The guest turns its entry of @level on the way to GVA to other tables, where @gva has @gpte. */
static void turn_away(struct host *h, unsigned level, umbra_gva gva, uint64_t gpte)
{
	uint64_t twin = host_new_table(h);

	host_map(h, twin, gva, 1, gpte);
	assert_int_equal(
		stores(h, host_gpte(h, h->root, GVA, level), *host_gpte(h, twin, GVA, level))
			.outcome,
		UMBRA_RESUME);
}

/* ---- going out of sync ---- */

static void a_new_table_is_written_without_exits(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	assert_true(host_is_unsync(h, guest_table_of(h, entry)));
	/* The window may be new to the tree. */
	assert_true(host_access(h, guest_window(h, entry), 0).faults <= 1);
	for (unsigned i = 0; i < ENTRIES; i++)
		assert_int_equal(stores(h, entry + i, gpte_of(DATA_GFN + 1 + i, LEAF)).faults, 0);
	assert_int_equal(umbra_stats(h->vm)->mmu_unsync, 0);
	/* The access that is mapped still goes where it went: the guest owes an invalidation. */
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
}

static void only_the_policys_levels_go_out_of_sync(void **state)
{
	static const struct {
		enum umbra_oos oos;
		unsigned level;
		enum umbra_outcome expect;
	} cases[] = {
		{UMBRA_OOS_OFF, 1, UMBRA_EMULATE},
		{UMBRA_OOS_OFF, 4, UMBRA_EMULATE},
		{UMBRA_OOS_LEAF, 1, UMBRA_RESUME},
		{UMBRA_OOS_LEAF, 2, UMBRA_EMULATE},
		{UMBRA_OOS_LEAF, 3, UMBRA_EMULATE},
		{UMBRA_OOS_LEAF, 4, UMBRA_EMULATE},
		{UMBRA_OOS_ALL, 1, UMBRA_RESUME},
		{UMBRA_OOS_ALL, 2, UMBRA_RESUME},
		{UMBRA_OOS_ALL, 3, UMBRA_RESUME},
		{UMBRA_OOS_ALL, 4, UMBRA_RESUME},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *h = new_host(cases[i].oos, 1);
		uint64_t *entry;

		print_message("  case %zu\n", i);
		guest_uses(h, h->root, GVA, 0);
		entry = host_gpte(h, h->root, GVA, cases[i].level);
		assert_int_equal(stores(h, entry, *entry).outcome, cases[i].expect);
		assert_int_equal(host_is_unsync(h, guest_table_of(h, entry)),
			cases[i].expect == UMBRA_RESUME);
		host_free(h);
	}
}

/* Nor does any where each store is to be seen, or is the end of the table. */
static void with_emulate_and_zap_none_is_born_out_of_sync(void **state)
{
	(void)state;
	for (unsigned how = UMBRA_WRITE_AUTO; how <= UMBRA_WRITE_ZAP; how++) {
		bool born = how == UMBRA_WRITE_AUTO || how == UMBRA_WRITE_UNSYNC;
		struct host_config config = {.policy = umbra_policy_default};
		struct host *h;

		config.policy.write = how;
		h = guest_new(&config);
		guest_uses(h, h->root, GVA, 0);
		for (unsigned level = 1; level <= 4; level++)
			assert_int_equal(host_is_unsync(h, guest_table_of(h, host_gpte(h, h->root,
										     GVA, level))),
				born);
		host_free(h);
	}
}

/* ---- what a flush shows ---- */

static void each_kind_of_change_is_seen_after_a_cr3_load(void **state)
{
	static const struct {
		uint64_t gpte;
		enum umbra_outcome read, write;
		uint64_t frame; /* where the accesses go, if they do */
	} cases[] = {
		{0, UMBRA_INJECT, UMBRA_INJECT, 0},
		{(DATA_GFN + 7) << 12 | LEAF, UMBRA_RESUME, UMBRA_RESUME, DATA_GFN + 7},
		{DATA_GFN << 12 | GPTE_RO | GPTE_AD, UMBRA_RESUME, UMBRA_INJECT, DATA_GFN},
		{DATA_GFN << 12 | LEAF | 1ull << 50, UMBRA_INJECT, UMBRA_INJECT, 0},
		{DATA_GFN << 12 | GPTE_RW, UMBRA_RESUME, UMBRA_RESUME, DATA_GFN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *h = new_host(UMBRA_OOS_LEAF, 100);
		uint64_t *entry = guest_uses(h, h->root, GVA, 0);

		print_message("  case %zu\n", i);
		stores(h, entry, cases[i].gpte);
		assert_int_equal(*entry, cases[i].gpte);
		host_cr3(h, h->root);
		assert_int_equal(host_access(h, GVA, 0).outcome, cases[i].read);
		if (cases[i].read == UMBRA_RESUME) {
			assert_int_equal(host_read_gfn(h, GVA), cases[i].frame);
			assert_true(*entry & X86_PTE_A);
		}
		assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, cases[i].write);
		assert_int_equal(umbra_stats(h->vm)->mmu_sync_changed, 1);
		host_free(h);
	}
}

/* A and D that the guest cleared are set again by the next accesses, not by the flush. */
static void an_accessed_bit_scan_finds_what_was_accessed_since(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	guest_uses(h, h->root, GVA + 4096, 1);
	stores(h, entry, *entry & ~GPTE_AD);
	stores(h, entry + 1, *(entry + 1) & ~GPTE_AD);
	host_cr3(h, h->root);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	assert_int_equal(entry[0] & GPTE_AD, X86_PTE_A);
	assert_int_equal(entry[1] & GPTE_AD, 0);
	host_access(h, GVA, X86_PF_W);
	assert_int_equal(entry[0] & GPTE_AD, GPTE_AD);
}

static void invlpg_shows_the_change_at_its_address(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	guest_uses(h, h->root, GVA + 4096, 1);
	stores(h, entry, gpte_of(DATA_GFN + 8, LEAF));
	stores(h, entry + 1, gpte_of(DATA_GFN + 9, LEAF));
	host_reset_flushes(h);
	host_invlpg(h, GVA);
	assert_int_equal(h->flush_gva, 1);
	assert_int_equal(h->flushed_gva, GVA);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 8);
	assert_int_equal(host_read_gfn(h, GVA + 4096), DATA_GFN + 1);
	host_invlpg(h, GVA + 4096);
	assert_int_equal(host_read_gfn(h, GVA + 4096), DATA_GFN + 9);
}

/* It invalidates the paging-structure caches for every address. */
static void invlpg_shows_changes_above_the_last_level_wherever_they_are(void **state)
{
	(void)state;
	for (unsigned level = 2; level <= 4; level++) {
		struct host *h = new_host(UMBRA_OOS_ALL, 100);

		guest_uses(h, h->root, GVA, 0);
		turn_away(h, level, GVA, gpte_of(DATA_GFN + 6, LEAF));
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		host_invlpg(h, 0x600000000000);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 6);
		host_free(h);
	}
}

/* ---- faults and attaching ---- */

static void a_fault_reads_memory_at_each_level(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	/* From absent to present nobody has to flush. */
	stores(h, entry + 1, gpte_of(DATA_GFN + 1, GPTE_RW));
	assert_int_equal(host_read_gfn(h, GVA + 4096), DATA_GFN + 1);
	/* Nor from read-only to writable. */
	stores(h, entry + 2, gpte_of(DATA_GFN + 2, GPTE_RO));
	assert_int_equal(host_read_gfn(h, GVA + 2 * 4096), DATA_GFN + 2);
	stores(h, entry + 2, gpte_of(DATA_GFN + 2, GPTE_RW));
	assert_int_equal(host_access(h, GVA + 2 * 4096, X86_PF_W).outcome, UMBRA_RESUME);
}

/* Also where an entry above leads elsewhere by now, and whether it was unsync before or not. */
static void a_fault_goes_the_way_that_memory_says(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct host *h = new_host(UMBRA_OOS_ALL, 100);
		unsigned level = 2 + i / 2;
		uint64_t *entry;

		guest_uses(h, h->root, GVA, 0);
		host_map(h, h->root, GVA + 4096, 1, gpte_of(DATA_GFN + 5, GPTE_RW));
		entry = host_gpte(h, h->root, GVA, level);
		if (i % 2)
			stores(h, entry, *entry);
		/* The way is known. */
		host_map(h, h->root, GVA + 8192, 1, gpte_of(DATA_GFN + 7, GPTE_RW));
		host_read_gfn(h, GVA + 8192);
		turn_away(h, level, GVA + 4096, gpte_of(DATA_GFN + 6, GPTE_RW));
		assert_int_equal(host_read_gfn(h, GVA + 4096), DATA_GFN + 6);
		host_free(h);
	}
}

static void an_injected_fault_shows_memory_at_each_level(void **state)
{
	(void)state;
	for (unsigned level = 2; level <= 4; level++) {
		struct host *h = new_host(UMBRA_OOS_ALL, 100);

		host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RO));
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		turn_away(h, level, GVA, gpte_of(DATA_GFN + 6, GPTE_RO));
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_INJECT);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 6);
		host_free(h);
	}
}

/* SDM 3A "Invalidation of TLBs and Paging-Structure Caches": a page fault invalidates its address.
 */
static void after_an_injected_fault_the_address_shows_memory(void **state)
{
	struct host *h = *state;
	uint64_t *entry;

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RO | GPTE_AD));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	entry = host_gpte(h, h->root, GVA, 1);
	stores(h, entry, gpte_of(DATA_GFN + 4, GPTE_RO));
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_INJECT);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 4);
	assert_int_equal(*entry & GPTE_AD, X86_PTE_A);
}

static void an_unsync_table_is_compared_when_it_is_linked_anew(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	guest_uses(h, h->root, GVA + 4096, 1);
	stores(h, entry, gpte_of(DATA_GFN + 6, LEAF));
	stores(h, entry + 1, gpte_of(DATA_GFN + 7, LEAF));
	/* The same table at a new place: nothing can be cached there. */
	host_map(h, h->root, GVA + (1ull << 30), 2, gpte_of(guest_table_of(h, entry), GPTE_RW));
	assert_int_equal(host_read_gfn(h, GVA + (1ull << 30)), DATA_GFN + 6);
	assert_int_equal(host_read_gfn(h, GVA + (1ull << 30) + 4096), DATA_GFN + 7);
}

static void so_is_one_below_the_table_that_is_linked_anew(void **state)
{
	const umbra_gva other = GVA + (1ull << 39);
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	guest_uses(h, h->root, GVA + 4096, 1);
	stores(h, entry, gpte_of(DATA_GFN + 6, LEAF));
	stores(h, entry + 1, gpte_of(DATA_GFN + 7, LEAF));
	/* The third level is synced, the last is not. */
	host_words(h, h->root)[gva_index(other, 4)] = host_words(h, h->root)[gva_index(GVA, 4)];
	assert_int_equal(host_read_gfn(h, other), DATA_GFN + 6);
	assert_int_equal(host_read_gfn(h, other + 4096), DATA_GFN + 7);
}

static void an_invlpg_before_its_path_is_linked_is_not_lost(void **state)
{
	struct host *h = *state;
	uint64_t second = host_new_table(h);
	uint64_t *entry;

	/* Two roots share all but the root, as kernels do. */
	for (unsigned i = 0; i < ENTRIES; i++)
		host_words(h, second)[i] = host_words(h, h->root)[i];
	entry = guest_uses(h, h->root, GVA, 0);
	guest_uses(h, h->root, GVA + 4096, 1);
	host_words(h, second)[gva_index(GVA, 4)] = host_words(h, h->root)[gva_index(GVA, 4)];
	host_cr3(h, second);
	stores(h, entry + 1, gpte_of(DATA_GFN + 7, LEAF));
	host_invlpg(h, GVA + 4096);
	/* This links the path; the neighbour has been invalidated and has to show memory. */
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	assert_int_equal(host_read_gfn(h, GVA + 4096), DATA_GFN + 7);
}

/* ---- protecting again ---- */

static void a_table_that_stays_unchanged_is_protected_again(void **state)
{
	struct host *h = new_host(UMBRA_OOS_LEAF, 2);
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	unsigned flushes = 0;

	(void)state;
	stores(h, entry, gpte_of(DATA_GFN + 1, LEAF));
	host_cr3(h, h->root); /* changed */
	while (host_is_unsync(h, guest_table_of(h, entry)) && flushes < 10) {
		host_reset_flushes(h);
		host_cr3(h, h->root);
		flushes++;
	}
	assert_true(flushes == 2 || flushes == 3);
	assert_true(h->flush_all > 0); /* W was taken */
	assert_int_equal(host_access(h, guest_window(h, entry), X86_PF_W).faults, 1);
	host_free(h);
}

static void a_table_that_is_written_between_flushes_is_not(void **state)
{
	struct host *h = new_host(UMBRA_OOS_LEAF, 1);
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct host_result result = stores(h, entry, gpte_of(DATA_GFN + i, LEAF));

		assert_int_equal(result.outcome, UMBRA_RESUME);
		assert_int_equal(result.faults, i == 0);
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
	}
	assert_int_equal(umbra_stats(h->vm)->mmu_unsync, 0);
	host_free(h);
}

static void a_protected_table_is_written_without_exits_after_the_first(void **state)
{
	struct host *h = new_host(UMBRA_OOS_LEAF, 0);
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t table = guest_table_of(h, entry);

	(void)state;
	h->vm->policy.write = UMBRA_WRITE_UNSYNC;
	for (unsigned i = 0; i < 2; i++)
		host_cr3(h, h->root);
	assert_false(host_is_unsync(h, table));
	for (unsigned i = 0; i < ENTRIES; i++) {
		struct host_result result = stores(h, entry + i, gpte_of(DATA_GFN + 1 + i, LEAF));

		assert_int_equal(result.outcome, UMBRA_RESUME);
		assert_int_equal(result.faults, i == 0);
	}
	assert_true(host_is_unsync(h, table));
	assert_int_equal(umbra_stats(h->vm)->mmu_unsync, 1);
	/* The access that is mapped still goes where it went: the guest owes an invalidation. */
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	host_free(h);
}

/* One unchanged flush is not two in a row. */
static void only_flushes_in_a_row_count(void **state)
{
	struct host *h = new_host(UMBRA_OOS_LEAF, 1);
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	(void)state;
	stores(h, entry, gpte_of(DATA_GFN + 9, LEAF));
	for (unsigned i = 0; i < 10; i++) {
		host_cr3(h, h->root);
		host_cr3(h, h->root);
		assert_int_equal(stores(h, entry, gpte_of(DATA_GFN + i, LEAF)).faults, 0);
	}
	host_free(h);
}

/* ---- tables that go away ---- */

static void a_table_that_loses_its_last_link_is_forgotten(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t table = guest_table_of(h, entry);
	uint64_t *above = host_gpte(h, h->root, GVA, 2);

	assert_int_equal(host_shadows(h, table), 1);
	host_write_word(h, host_gpa(h, above), 0);
	assert_int_equal(host_shadows(h, table), 0);
	/* And may be written like anything else. */
	assert_int_equal(stores(h, entry, 0).outcome, UMBRA_RESUME);
	assert_false(host_is_unsync(h, table));
}

static void a_table_that_keeps_a_link_is_not_forgotten(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t table = guest_table_of(h, entry);
	uint64_t *above = host_gpte(h, h->root, GVA, 2);

	host_map(h, h->root, GVA + (1ull << 30), 2, gpte_of(table, GPTE_RW));
	host_read_gfn(h, GVA + (1ull << 30));
	host_write_word(h, host_gpa(h, above), 0);
	assert_int_equal(host_shadows(h, table), 1);
	assert_int_equal(host_access(h, GVA + (1ull << 30), 0).faults, 0);
}

/* Accessed bits are cleared all the time: what hangs below comes back, and is kept. */
static void a_link_that_only_lost_its_a_keeps_what_is_below(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t *above = host_gpte(h, h->root, GVA, 2);
	uint64_t created = umbra_stats(h->vm)->mmu_shadow_created;

	host_write_word(h, host_gpa(h, above), *above & ~X86_PTE_A);
	assert_int_equal(host_shadows(h, guest_table_of(h, entry)), 1);
	assert_int_equal(host_access(h, GVA, 0).faults, 1);
	assert_true(*above & X86_PTE_A);
	assert_int_equal(umbra_stats(h->vm)->mmu_shadow_created, created);
}

/* All the links that a table has, cut at once. */
static void all_tables_below_another_can_go_at_once(void **state)
{
	static const uint64_t zeros[ENTRIES];
	struct host *h = *state;
	unsigned n_pages = (unsigned)umbra_stats(h->vm)->shadow_pages;
	uint64_t *above;

	for (unsigned i = 0; i < ENTRIES; i++)
		guest_uses(h, h->root, GVA + i * 0x200000ull, i);
	assert_true(umbra_stats(h->vm)->shadow_pages >= n_pages + ENTRIES);
	above = host_gpte(h, h->root, GVA, 2);
	host_write(h, host_gpa(h, above), zeros, sizeof(zeros));
	assert_true(umbra_stats(h->vm)->shadow_pages <= n_pages + 2);
	for (unsigned i = 0; i < ENTRIES; i++)
		assert_int_equal(host_access(h, GVA + i * 0x200000ull, 0).outcome, UMBRA_INJECT);
}

/* An unsync table that is forgotten leaves the list, and its frame can be a table again. */
static void an_unsync_table_can_go_and_come_back(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t *above = host_gpte(h, h->root, GVA, 2);
	uint64_t link = *above;

	for (unsigned i = 0; i < 5; i++) {
		stores(h, entry, gpte_of(DATA_GFN + i, LEAF));
		assert_int_equal(host_n_unsync(h), 1);
		host_write_word(h, host_gpa(h, above), 0);
		assert_int_equal(host_n_unsync(h), 0);
		host_write_word(h, host_gpa(h, above), link);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		assert_true(host_is_unsync(h, guest_table_of(h, entry)));
	}
}

/* INVLPG looks at the upper tables, so it counts for them; not where it drops the upper entries of
 * its address alone (EFER.TCE). */
static void upper_tables_are_protected_after_idle_invlpgs(void **state)
{
	(void)state;
	for (unsigned sticky = 0; sticky < 8; sticky += 3) {
		for (unsigned tce = 0; tce < 2; tce++) {
			struct host *h = new_host(UMBRA_OOS_ALL, sticky);
			struct umbra_paging_regs regs;
			uint64_t tables[5];

			h->vm->policy.write = UMBRA_WRITE_UNSYNC;
			(void)guest_uses(h, h->root, GVA, 0);
			regs = h->vcpu->regs;
			regs.efer |= tce ? X86_EFER_TCE : 0;
			host_set_regs(h, &regs);
			for (unsigned level = 1; level <= 4; level++) {
				uint64_t *at = host_gpte(h, h->root, GVA, level);

				tables[level] = guest_table_of(h, at);
				(void)stores(h, at, *at ^ 1ull << 10);
			}
			host_cr3(h, h->root);
			for (unsigned n = 0; n < sticky + 3; n++) {
				for (unsigned level = 1; level <= 4; level++)
					assert_int_equal(host_is_unsync(h, tables[level]),
						level == 1 || tce || n <= sticky);
				host_invlpg(h, GVA + (n & 1 ? 1ull << 39 : 0));
			}
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
			host_free(h);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define LEAF_T(name) cmocka_unit_test_setup_teardown(name, setup_leaf, host_teardown)
#define ALL_T(name)  cmocka_unit_test_setup_teardown(name, setup_all, host_teardown)
		LEAF_T(a_new_table_is_written_without_exits),
		cmocka_unit_test(only_the_policys_levels_go_out_of_sync),
		cmocka_unit_test(with_emulate_and_zap_none_is_born_out_of_sync),
		cmocka_unit_test(each_kind_of_change_is_seen_after_a_cr3_load),
		LEAF_T(an_accessed_bit_scan_finds_what_was_accessed_since),
		LEAF_T(invlpg_shows_the_change_at_its_address),
		cmocka_unit_test(invlpg_shows_changes_above_the_last_level_wherever_they_are),
		ALL_T(a_fault_reads_memory_at_each_level),
		cmocka_unit_test(a_fault_goes_the_way_that_memory_says),
		cmocka_unit_test(an_injected_fault_shows_memory_at_each_level),
		LEAF_T(after_an_injected_fault_the_address_shows_memory),
		LEAF_T(an_unsync_table_is_compared_when_it_is_linked_anew),
		LEAF_T(so_is_one_below_the_table_that_is_linked_anew),
		LEAF_T(an_invlpg_before_its_path_is_linked_is_not_lost),
		cmocka_unit_test(a_table_that_stays_unchanged_is_protected_again),
		cmocka_unit_test(a_table_that_is_written_between_flushes_is_not),
		cmocka_unit_test(a_protected_table_is_written_without_exits_after_the_first),
		cmocka_unit_test(only_flushes_in_a_row_count),
		LEAF_T(a_table_that_loses_its_last_link_is_forgotten),
		LEAF_T(a_table_that_keeps_a_link_is_not_forgotten),
		LEAF_T(a_link_that_only_lost_its_a_keeps_what_is_below),
		cmocka_unit_test_setup_teardown(
			all_tables_below_another_can_go_at_once, setup_large_pool, host_teardown),
		LEAF_T(an_unsync_table_can_go_and_come_back),
#undef LEAF_T
#undef ALL_T
		cmocka_unit_test(upper_tables_are_protected_after_idle_invlpgs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
