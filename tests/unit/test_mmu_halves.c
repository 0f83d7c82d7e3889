/* SPDX-License-Identifier: MIT */
/*
 * Shadows of 2-level tables: the four quarters of a page directory and the two halves of a page
 * table are pages of their own, a 4M page is two of 2M; and what is written must reach them all.
 */
#include "tests/unit/mmu_host.h"

#include "mmu/src/slot.h"
#include "mmu/src/spte.h"

#define GVA    0x40000000ull
#define UPPER  0x00200000ull /* from the lower to the upper half of a 4M page, or of a table */
#define WINDOW 0x80000000ull /* gva of frame n is WINDOW + n pages */
#define LEAF   (GPTE_RW | GPTE_AD)
#define PSE    X86_PTE_PS
#define BIG    (DATA_GFN + 1024)

static struct host *new_host(enum umbra_oos oos)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	policy.oos = oos;
	policy.sticky = 100;
	h = host_new_policy(&policy);
	for (uint64_t gfn = 0; gfn < DATA_GFN; gfn += 1024)
		host_map32(h, h->root, WINDOW + gfn * 4096, 2, gpte_of(gfn, LEAF | PSE));
	host_start_mode(h, HOST_2LEVEL, h->root);
	return h;
}

static int setup(void **state)
{
	*state = new_host(UMBRA_OOS_OFF);
	return 0;
}

static int setup_leaf(void **state)
{
	*state = new_host(UMBRA_OOS_LEAF);
	return 0;
}

static int setup_all(void **state)
{
	*state = new_host(UMBRA_OOS_ALL);
	return 0;
}

static uint32_t *gpte(struct host *h, umbra_gva gva, unsigned level)
{
	return host_gpte32(h, h->root, gva, level);
}

static void write32(struct host *h, const uint32_t *entry, uint64_t gpte32)
{
	uint32_t word = (uint32_t)gpte32;

	host_write(h, host_gpa(h, entry), &word, sizeof(word));
}

/* The guest's own store to one of its entries, through the window. */
static enum umbra_outcome guest_sets(struct host *h, uint32_t *entry, uint64_t gpte32)
{
	struct host_result result = host_access(h, WINDOW + host_gpa(h, entry), X86_PF_W);

	if (result.outcome == UMBRA_RESUME)
		*entry = (uint32_t)gpte32;
	else if (result.outcome == UMBRA_EMULATE)
		write32(h, entry, gpte32);
	return result.outcome;
}

static uint64_t frame_at(struct host *h, umbra_gva gva)
{
	return host_read_gfn(h, gva);
}

/* ---- one table, several pages ---- */

static void each_quarter_and_each_half_is_a_page_of_its_own(void **state)
{
	struct host *h = *state;
	uint64_t table = host_new_table(h);

	for (unsigned i = 0; i < 1024; i++)
		((uint32_t *)(void *)host_words(h, table))[i] =
			(uint32_t)gpte_of(DATA_GFN + i, LEAF);
	/* The same table everywhere: its two pages hang below all entries. */
	for (unsigned i = 0; i < 1024; i++)
		((uint32_t *)(void *)host_words(h, h->root))[i] = (uint32_t)gpte_of(table, LEAF);
	for (unsigned quarter = 0; quarter < 4; quarter++) {
		umbra_gva gva = (umbra_gva)quarter << 30;

		assert_int_equal(host_shadows(h, h->root), quarter);
		for (unsigned i = 0; i < 256; i += 17) {
			unsigned page = (i * 4 + quarter) % 1024;

			assert_int_equal(frame_at(h, gva + ((umbra_gva)i << 22) + page * 4096ull),
				DATA_GFN + page);
		}
	}
	assert_int_equal(host_shadows(h, h->root), 4);
	assert_int_equal(host_shadows(h, table), 2);
	/* One store, seen at once at every address that the entry stands for. */
	write32(h, (uint32_t *)(void *)host_words(h, table) + 1023, gpte_of(DATA_GFN + 5, LEAF));
	for (umbra_gva gva = 0x3ff000; gva < 1ull << 32; gva += 17ull << 22)
		assert_int_equal(frame_at(h, gva), DATA_GFN + 5);
}

static void every_entry_translates_where_it_stands(void **state)
{
	struct host *h = *state;

	host_map32(h, h->root, GVA, 1, 0);
	for (unsigned i = 0; i < 1024; i++)
		*gpte(h, GVA + i * 4096, 1) = (uint32_t)gpte_of(DATA_GFN + i, GPTE_RW);
	for (unsigned i = 0; i < 1024; i++) {
		assert_int_equal(frame_at(h, GVA + i * 4096), DATA_GFN + i);
		assert_int_equal(
			*gpte(h, GVA + i * 4096, 1), gpte_of(DATA_GFN + i, GPTE_RW | X86_PTE_A));
	}
}

static void rights_of_the_directory_are_kept_by_the_tree(void **state)
{
	struct host *h = *state;

	for (unsigned half = 0; half < 2; half++) {
		umbra_gva gva = GVA + half * UPPER;

		host_map32(h, h->root, gva, 1, gpte_of(DATA_GFN, LEAF));
		*gpte(h, gva, 2) &= ~(uint32_t)(X86_PTE_W | X86_PTE_U);
		assert_int_equal(host_access(h, gva, 0).outcome, UMBRA_RESUME);
		assert_int_equal(
			host_access(h, gva, X86_PF_W).exit.error_code, X86_PF_W | X86_PF_P);
		assert_int_equal(
			host_access(h, gva, X86_PF_U).exit.error_code, X86_PF_U | X86_PF_P);
		assert_int_equal(host_access(h, gva, X86_PF_I).outcome, UMBRA_RESUME);
	}
}

static void without_wp_the_supervisor_writes_and_the_user_does_not(void **state)
{
	struct host *h = *state;

	host_regs(h, 0, 0);
	for (unsigned level = 1; level <= 2; level++) {
		umbra_gva gva = GVA + level * 0x400000;

		host_map32(h, h->root, gva, 1, gpte_of(DATA_GFN, GPTE_RW));
		*gpte(h, gva, level) &= ~(uint32_t)X86_PTE_W;
		for (unsigned round = 0; round < 2; round++) {
			assert_int_equal(host_access(h, gva, X86_PF_W).outcome, UMBRA_RESUME);
			assert_int_equal(host_access(h, gva, X86_PF_W | X86_PF_U).exit.error_code,
				X86_PF_W | X86_PF_U | X86_PF_P);
			assert_int_equal(host_access(h, gva, X86_PF_U).outcome, UMBRA_RESUME);
		}
	}
	host_regs(h, X86_CR0_WP, 0);
	assert_int_equal(host_access(h, GVA + 0x400000, X86_PF_W).outcome, UMBRA_INJECT);
}

static void directories_survive_a_switch(void **state)
{
	struct host *h = *state;
	uint64_t roots[2] = {h->root, host_new_table(h)};
	uint64_t created;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 2; i++) {
			host_map32(h, roots[i], GVA, 1, gpte_of(DATA_GFN + i, LEAF));
			host_map32(h, roots[i], GVA + UPPER, 1, gpte_of(DATA_GFN + 2 + i, LEAF));
			host_cr3(h, roots[i]);
			assert_int_equal(frame_at(h, GVA), DATA_GFN + i);
			assert_int_equal(frame_at(h, GVA + UPPER), DATA_GFN + 2 + i);
		}
	}
	created = umbra_stats(h->vm)->mmu_shadow_created;
	for (unsigned i = 0; i < 6; i++) {
		host_cr3(h, roots[i & 1]);
		assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
		assert_int_equal(host_access(h, GVA + UPPER, X86_PF_W).faults, 0);
	}
	assert_int_equal(umbra_stats(h->vm)->mmu_shadow_created, created);
}

/* CR4.PSE decides what an entry with bit 7 is: the trees are kept apart. */
static void pse_has_a_tree_of_its_own(void **state)
{
	struct host *h = *state;
	struct umbra_paging_regs with = h->vcpu->regs, without = with;

	without.cr4 = 0;
	((uint32_t *)(void *)host_words(h, BIG))[0] = (uint32_t)gpte_of(DATA_GFN + 3, LEAF);
	*gpte(h, GVA, 2) = (uint32_t)gpte_of(BIG, LEAF | PSE);
	for (unsigned round = 0; round < 3; round++) {
		host_set_regs(h, &with);
		assert_int_equal(frame_at(h, GVA), BIG);
		host_set_regs(h, &without);
		assert_int_equal(frame_at(h, GVA), DATA_GFN + 3);
	}
}

/* ---- 4M pages ---- */

static void a_4m_page_is_two_leaves(void **state)
{
	struct host *h = *state;

	host_map32(h, h->root, GVA, 2, gpte_of(BIG, GPTE_RW | PSE));
	assert_int_equal(frame_at(h, GVA + 0x5000), BIG + 5);
	assert_true(host_spte(h, GVA, 2) & PSE);
	assert_int_equal(host_spte(h, GVA + UPPER, 2), 0);
	assert_int_equal(frame_at(h, GVA + UPPER + 0x1ff000), BIG + 1023);
	assert_true(host_spte(h, GVA + UPPER, 2) & PSE);
	assert_int_equal(*gpte(h, GVA, 2), gpte_of(BIG, GPTE_RW | PSE | X86_PTE_A));
	/* D is one for both: set by a write to either, it makes the other writable. */
	assert_int_equal(host_access(h, GVA + UPPER, X86_PF_W).faults, 1);
	assert_int_equal(*gpte(h, GVA, 2), gpte_of(BIG, LEAF | PSE));
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
}

static void a_half_of_a_4m_page_is_mapped_in_parts_where_it_must_be(void **state)
{
	struct host *h = *state;
	/* The first 4 MiB: the tables are in its lower half. */
	struct host_result result;

	host_map32(h, h->root, GVA, 2, gpte_of(0, LEAF | PSE));
	assert_int_equal(frame_at(h, GVA + 0x7000), 7);
	assert_int_equal(frame_at(h, GVA + UPPER + 0x7000), 512 + 7);
	assert_false(host_spte(h, GVA, 2) & PSE);
	assert_true(host_spte(h, GVA + UPPER, 2) & PSE);
	assert_int_equal(host_access(h, GVA + 0x7000, X86_PF_W).outcome, UMBRA_RESUME);
	result = host_access(h, GVA + h->root * 4096 + 8, X86_PF_W);
	assert_int_equal(result.outcome, UMBRA_EMULATE);
	assert_int_equal(result.exit.gpa, h->root * 4096 + 8);
	/* A new table in the upper half splits that as well. */
	host_map32(h, h->root, GVA + 0x400000, 2, gpte_of(512 + 7, GPTE_RW));
	host_words(h, 512 + 7)[0] = gpte_of(DATA_GFN, LEAF);
	assert_int_equal(frame_at(h, GVA + 0x400000), DATA_GFN);
	assert_int_equal(host_access(h, GVA + UPPER + 0x7000, X86_PF_W).outcome, UMBRA_EMULATE);
	assert_int_equal(host_access(h, GVA + UPPER + 0x8000, X86_PF_W).outcome, UMBRA_RESUME);
}

static void without_large_pages_a_4m_page_is_1024_parts(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	(void)state;
	policy.large = false;
	h = host_new_policy(&policy);
	host_map32(h, h->root, GVA, 2, gpte_of(BIG, GPTE_RW | PSE | X86_PTE_PAT_LARGE | X86_PTE_G));
	host_start_mode(h, HOST_2LEVEL, h->root);
	for (unsigned i = 0; i < 1024; i++) {
		uint64_t spte;

		assert_int_equal(frame_at(h, GVA + i * 4096), BIG + i);
		spte = host_spte(h, GVA + i * 4096, 1);
		assert_true(spte & X86_PTE_PAT_4K);
		assert_true(spte & X86_PTE_G);
	}
	/* The entry above waits for D. */
	assert_int_equal(host_access(h, GVA + UPPER, X86_PF_W).faults, 1);
	assert_int_equal(*gpte(h, GVA, 2) & GPTE_AD, GPTE_AD);
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	host_free(h);
}

static void a_pse36_page_is_above_4g(void **state)
{
	struct host *h = *state;

	host_map32(h, h->root, GVA, 2, gpte_of(BIG, LEAF | PSE | 1u << 13));
	assert_int_equal(frame_at(h, GVA), ABSENT_GFN);
	write32(h, gpte(h, GVA, 2), gpte_of(BIG, LEAF | PSE));
	assert_int_equal(frame_at(h, GVA), BIG);
	write32(h, gpte(h, GVA, 2), gpte_of(BIG, LEAF | PSE | 1u << 21));
	for (unsigned half = 0; half < 2; half++)
		assert_int_equal(host_access(h, GVA + half * UPPER, X86_PF_W).exit.error_code,
			X86_PF_W | X86_PF_P | X86_PF_RSVD);
}

static void a_change_of_a_4m_page_reaches_both_halves_and_is_flushed_at_invlpg(void **state)
{
	static const struct {
		uint64_t gpte;
		uint64_t frame;
		uint32_t error; /* of a user's write */
	} cases[] = {
		{(BIG + 1024) << 12 | LEAF | PSE, BIG + 1024, 0},
		{BIG << 12 | (LEAF & ~X86_PTE_W) | PSE, BIG, X86_PF_P | X86_PF_W | X86_PF_U},
		{BIG << 12 | (LEAF & ~X86_PTE_U) | PSE, BIG, X86_PF_P | X86_PF_W | X86_PF_U},
		{BIG << 12 | LEAF | PSE | X86_PTE_PWT, BIG, 0},
		{0, 0, X86_PF_W | X86_PF_U},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *h = new_host(UMBRA_OOS_OFF);

		print_message("  case %zu\n", i);
		host_map32(h, h->root, GVA, 2, gpte_of(BIG, LEAF | PSE));
		for (unsigned half = 0; half < 2; half++)
			assert_int_equal(
				host_access(h, GVA + half * UPPER, X86_PF_W).outcome, UMBRA_RESUME);
		write32(h, gpte(h, GVA, 2), cases[i].gpte);
		/* To the guest it was one translation; the hardware may hold two. */
		host_reset_flushes(h);
		host_invlpg(h, GVA + UPPER);
		assert_true(host_flushes(h) > 0);
		for (unsigned half = 0; half < 2; half++) {
			struct host_result result =
				host_access(h, GVA + half * UPPER, X86_PF_W | X86_PF_U);

			if (cases[i].error)
				assert_int_equal(result.exit.error_code, cases[i].error);
			else
				assert_int_equal(
					result.hpa >> 12, RAM_HFN + cases[i].frame + half * 512);
		}
		host_free(h);
	}
}

/* ---- tables that are out of sync ---- */

static void a_table_is_written_without_exits_and_seen_at_a_flush(void **state)
{
	struct host *h = *state;
	uint64_t table = host_map32(h, h->root, GVA, 1, 0);

	for (unsigned i = 0; i < 1024; i += 64) {
		*gpte(h, GVA + i * 4096, 1) = (uint32_t)gpte_of(DATA_GFN + i, LEAF);
		assert_int_equal(frame_at(h, GVA + i * 4096), DATA_GFN + i);
	}
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(
			guest_sets(h, gpte(h, GVA + i * 4096, 1), gpte_of(DATA_GFN + i + 1, LEAF)),
			UMBRA_RESUME);
	assert_true(host_is_unsync(h, table));
	assert_int_equal(umbra_stats(h->vm)->pf_write_table, 0);
	for (unsigned i = 0; i < 1024; i += 64)
		assert_int_equal(frame_at(h, GVA + i * 4096), DATA_GFN + i);
	/* INVLPG shows one entry, in either half; a load of CR3 all of them. */
	host_invlpg(h, GVA + 64 * 4096);
	host_invlpg(h, GVA + 960 * 4096);
	for (unsigned i = 0; i < 1024; i += 64)
		assert_int_equal(frame_at(h, GVA + i * 4096), DATA_GFN + i + (i == 64 || i == 960));
	host_cr3(h, h->root);
	for (unsigned i = 0; i < 1024; i += 64)
		assert_int_equal(frame_at(h, GVA + i * 4096), DATA_GFN + i + 1);
}

static void a_fault_shows_what_its_entry_says_now(void **state)
{
	struct host *h = *state;

	for (unsigned half = 0; half < 2; half++) {
		umbra_gva gva = GVA + half * UPPER;

		host_map32(h, h->root, gva, 1, gpte_of(DATA_GFN, GPTE_RO));
		assert_int_equal(frame_at(h, gva), DATA_GFN);
		guest_sets(h, gpte(h, gva, 1), gpte_of(DATA_GFN + 1, LEAF));
		assert_int_equal(frame_at(h, gva), DATA_GFN);
		assert_int_equal(host_access(h, gva, X86_PF_W).hpa >> 12, RAM_HFN + DATA_GFN + 1);
		assert_int_equal(frame_at(h, gva), DATA_GFN + 1);
	}
}

/* The lower half is mapped, then the entry is turned to another page without an exit. */
static struct host *turned(void **state)
{
	struct host *h = *state;

	host_map32(h, h->root, GVA, 2, gpte_of(BIG, LEAF | PSE));
	assert_int_equal(frame_at(h, GVA), BIG);
	assert_int_equal(
		guest_sets(h, gpte(h, GVA, 2), gpte_of(BIG + 1024, LEAF | PSE)), UMBRA_RESUME);
	assert_true(host_is_unsync(h, h->root));
	assert_int_equal(frame_at(h, GVA), BIG);
	host_reset_flushes(h);
	return h;
}

/* A fault drops the translation of its address: of the whole 4M page. */
static void a_fault_in_one_half_shows_the_other(void **state)
{
	struct host *h = turned(state);

	assert_int_equal(frame_at(h, GVA + UPPER), BIG + 1024 + 512);
	assert_true(h->flush_all > 0);
	assert_int_equal(frame_at(h, GVA), BIG + 1024);
}

static void a_fault_in_one_half_that_is_the_guests_own_shows_the_other_too(void **state)
{
	struct host *h = turned(state);

	*gpte(h, GVA, 2) &= ~(uint32_t)X86_PTE_U;
	assert_int_equal(host_access(h, GVA + UPPER, X86_PF_U).outcome, UMBRA_INJECT);
	assert_true(h->flush_all > 0);
	assert_int_equal(frame_at(h, GVA), BIG + 1024);
	assert_int_equal(host_access(h, GVA, X86_PF_U).outcome, UMBRA_INJECT);
}

static void invlpg_in_one_half_shows_the_other(void **state)
{
	struct host *h = turned(state);

	host_invlpg(h, GVA + UPPER + 0x12000);
	assert_true(h->flush_all > 0);
	assert_int_equal(frame_at(h, GVA), BIG + 1024);
	assert_int_equal(frame_at(h, GVA + UPPER), BIG + 1024 + 512);
}

/* The same entry leads to a table now, and another time to another one. */
static void a_link_that_is_turned_is_turned_in_both_halves(void **state)
{
	struct host *h = *state;
	uint64_t tables[2];

	for (unsigned i = 0; i < 2; i++) {
		tables[i] = host_new_table(h);
		for (unsigned half = 0; half < 2; half++)
			((uint32_t *)(void *)host_words(h, tables[i]))[half * 512] =
				(uint32_t)gpte_of(DATA_GFN + 2 * i + half, LEAF);
	}
	*gpte(h, GVA, 2) = (uint32_t)gpte_of(tables[0], LEAF);
	for (unsigned half = 0; half < 2; half++)
		assert_int_equal(frame_at(h, GVA + half * UPPER), DATA_GFN + half);
	assert_int_equal(guest_sets(h, gpte(h, GVA, 2), gpte_of(tables[1], LEAF)), UMBRA_RESUME);
	host_invlpg(h, GVA);
	for (unsigned half = 0; half < 2; half++)
		assert_int_equal(frame_at(h, GVA + half * UPPER), DATA_GFN + 2 + half);
	/* By a fault: a page of the upper half that was not there. */
	guest_sets(h, gpte(h, GVA, 2), gpte_of(tables[0], LEAF));
	((uint32_t *)(void *)host_words(h, tables[0]))[513] = (uint32_t)gpte_of(DATA_GFN + 9, LEAF);
	assert_int_equal(frame_at(h, GVA + UPPER + 0x1000), DATA_GFN + 9);
	for (unsigned half = 0; half < 2; half++)
		assert_int_equal(frame_at(h, GVA + half * UPPER), DATA_GFN + half);
}

/* ---- giving tables up ---- */

static void a_cleared_link_frees_both_halves_of_its_table(void **state)
{
	struct host *h = *state;
	uint64_t table = host_map32(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));

	host_map32(h, h->root, GVA + UPPER, 1, gpte_of(DATA_GFN + 1, LEAF));
	frame_at(h, GVA);
	frame_at(h, GVA + UPPER);
	assert_int_equal(host_shadows(h, table), 2);
	write32(h, gpte(h, GVA, 2), 0);
	assert_int_equal(host_shadows(h, table), 0);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
}

static void unshadowing_takes_all_parts_of_a_table(void **state)
{
	struct host *h = *state;
	uint64_t table = host_map32(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));

	host_map32(h, h->root, GVA + UPPER, 1, gpte_of(DATA_GFN + 1, LEAF));
	frame_at(h, GVA);
	frame_at(h, GVA + UPPER);
	umbra_unshadow(h->vcpu, table << 12);
	host_check(h);
	assert_int_equal(host_shadows(h, table), 0);
	/* A directory has no page that a vCPU runs on: that is of its PDPTEs. */
	umbra_unshadow(h->vcpu, h->root << 12);
	host_check(h);
	assert_int_equal(host_shadows(h, h->root), 0);
	assert_false(host_is_unsync(h, h->root));
	assert_int_equal(frame_at(h, GVA), DATA_GFN);
	assert_int_equal(frame_at(h, GVA + UPPER), DATA_GFN + 1);
}

/* As the tables of some systems: the last entry of the directory leads to the directory. */
static void a_directory_that_maps_itself_is_no_trouble(void **state)
{
	const umbra_gva tables = 0xffc00000;
	struct host *h = *state;
	uint64_t table = host_map32(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	struct host_result result;

	*gpte(h, tables, 2) = (uint32_t)gpte_of(h->root, LEAF);
	assert_int_equal(frame_at(h, GVA), DATA_GFN);
	assert_int_equal(frame_at(h, tables + (GVA >> 10)), table);
	assert_int_equal(frame_at(h, tables + (tables >> 10)), h->root);
	/* Two quarters of it as a directory, both halves of it as a last table. */
	assert_int_equal(host_shadows(h, h->root), 4);
	result = host_access(h, tables + (GVA >> 10), X86_PF_W);
	assert_int_equal(result.outcome, UMBRA_RESUME);
	assert_true(host_is_unsync(h, table));
	*gpte(h, GVA, 1) = (uint32_t)gpte_of(DATA_GFN + 1, LEAF);
	host_invlpg(h, GVA);
	assert_int_equal(frame_at(h, GVA), DATA_GFN + 1);
	result = host_access(h, tables + (tables >> 10) + (GVA >> 20), X86_PF_W);
	assert_int_equal(result.outcome, UMBRA_EMULATE);
	assert_int_equal(result.exit.gpa, host_gpa(h, gpte(h, GVA, 2)));
	write32(h, gpte(h, GVA, 2), 0);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, tables + (GVA >> 10), 0).outcome, UMBRA_INJECT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name)     cmocka_unit_test_setup_teardown(name, setup, host_teardown)
#define LEAFS(name) cmocka_unit_test_setup_teardown(name, setup_leaf, host_teardown)
#define ALL(name)   cmocka_unit_test_setup_teardown(name, setup_all, host_teardown)
		T(each_quarter_and_each_half_is_a_page_of_its_own),
		T(every_entry_translates_where_it_stands),
		T(rights_of_the_directory_are_kept_by_the_tree),
		T(without_wp_the_supervisor_writes_and_the_user_does_not),
		T(directories_survive_a_switch),
		T(pse_has_a_tree_of_its_own),
		T(a_4m_page_is_two_leaves),
		T(a_half_of_a_4m_page_is_mapped_in_parts_where_it_must_be),
		cmocka_unit_test(without_large_pages_a_4m_page_is_1024_parts),
		T(a_pse36_page_is_above_4g),
		cmocka_unit_test(
			a_change_of_a_4m_page_reaches_both_halves_and_is_flushed_at_invlpg),
		LEAFS(a_table_is_written_without_exits_and_seen_at_a_flush),
		LEAFS(a_fault_shows_what_its_entry_says_now),
		ALL(a_fault_in_one_half_shows_the_other),
		ALL(a_fault_in_one_half_that_is_the_guests_own_shows_the_other_too),
		ALL(invlpg_in_one_half_shows_the_other),
		ALL(a_link_that_is_turned_is_turned_in_both_halves),
		T(a_cleared_link_frees_both_halves_of_its_table),
		T(unshadowing_takes_all_parts_of_a_table),
		LEAFS(a_directory_that_maps_itself_is_no_trouble),
#undef ALL
#undef LEAFS
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
