/* SPDX-License-Identifier: MIT */
/*
 * Whose tables are out of sync, and in which lists they are (I7). Many roots, tables that they
 * share, and tables that move from one to another; on a processor that caches everything.
 */
#include "tests/unit/mmu_guest.h"

#include "mmu/src/page.h"
#include "mmu/src/set.h"
#include "mmu/src/slot.h"
#include "mmu/src/spte.h"
#include "mmu/src/unsync.h"

#define FAR (GVA + (1ull << 39)) /* below another entry of the root table */

static int setup(void **state)
{
	*state = guest_new_cached(UMBRA_OOS_ALL, 20);
	return 0;
}

/* The shadow page on the way of @gva at @level; it must be there. */
static uint32_t page_on_way(struct host *h, umbra_gva gva, unsigned level)
{
	uint32_t page = h->vcpu->root;

	for (unsigned at = page_level(&h->vm->pages[page]); at > level; at--) {
		uint64_t spte = set_read(h->vm, page, gva_index(gva, at));

		assert_true(spte_present(spte) && !spte_is_leaf(spte, at));
		page = spte_child(h->vm, spte);
	}
	return page;
}

static uint32_t owner_at(struct host *h, umbra_gva gva, unsigned level)
{
	return h->vm->pages[page_on_way(h, gva, level)].owner;
}

static bool in_list(struct host *h, uint32_t page, uint32_t owner)
{
	bool upper = page_level(&h->vm->pages[page]) > 1;
	uint32_t at = h->vm->pages[owner].unsync[upper ? UNSYNC_UPPER : UNSYNC_LEAF].first;

	while (at && at != page)
		at = h->vm->pages[at].unsync_next;
	return at;
}

/* All on the way of @gva below the root belong to @owner, 0: to all, and are in its lists. */
static void assert_owned(struct host *h, umbra_gva gva, unsigned from_level, uint32_t owner)
{
	for (unsigned level = from_level; level > 0; level--) {
		assert_int_equal(owner_at(h, gva, level), owner);
		assert_true(in_list(h, page_on_way(h, gva, level), owner));
	}
}

/* ---- owners ---- */

static void what_one_root_reaches_is_its_own(void **state)
{
	struct host *h = *state;
	uint64_t second = guest_new_root(h);
	uint32_t first;

	guest_uses(h, h->root, GVA, 0);
	first = h->vcpu->root;
	assert_owned(h, GVA, 4, first);
	guest_uses(h, second, GVA, 1);
	assert_int_not_equal(h->vcpu->root, first);
	assert_owned(h, GVA, 4, h->vcpu->root);
	host_cr3(h, h->root);
	assert_owned(h, GVA, 4, first);
}

static void what_two_roots_reach_belongs_to_all_with_what_is_below(void **state)
{
	struct host *h = *state;
	uint32_t first = h->vcpu->root;

	guest_uses(h, h->root, GVA, 0);
	guest_uses(h, h->root, FAR, 1);
	guest_uses(h, h->root, GVA + (1ull << 30), 2);
	host_cr3(h, guest_new_root(h));
	/* One link, and all that was below it for the first root. */
	host_read_gfn(h, GVA);
	assert_owned(h, GVA, 3, 0);
	assert_owned(h, GVA + (1ull << 30), 3, 0);
	assert_int_equal(h->vm->pages[h->vcpu->root].owner, h->vcpu->root);
	host_cr3(h, h->root);
	assert_int_equal(h->vm->pages[first].owner, first);
	assert_owned(h, FAR, 3, first);
	/* What comes to hang below it later belongs to all at once. */
	guest_uses(h, h->root, GVA + (2ull << 30), 3);
	assert_owned(h, GVA + (2ull << 30), 3, 0);
}

static void a_table_alone_can_be_shared(void **state)
{
	struct host *h = *state;
	uint64_t second = guest_new_root(h);
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	host_map(h, second, GVA, 2, gpte_of(guest_table_of(h, entry), GPTE_RW));
	host_cr3(h, second);
	host_read_gfn(h, GVA);
	assert_int_equal(owner_at(h, GVA, 2), h->vcpu->root);
	assert_owned(h, GVA, 1, 0);
	host_cr3(h, h->root);
	assert_int_equal(owner_at(h, GVA, 2), h->vcpu->root);
	/* A change is seen by each root at its next load, whoever made it. */
	guest_sets(h, entry, gpte_of(DATA_GFN + 7, LEAF));
	host_cr3(h, second);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 7);
	guest_sets(h, entry, gpte_of(DATA_GFN + 8, LEAF));
	host_cr3(h, h->root);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 8);
}

/* By the guest's clearing A, so that the tables below are no orphans. */
static void unlink_at(struct host *h, uint64_t root, umbra_gva gva, unsigned level)
{
	uint64_t *entry = host_gpte(h, root, gva, level);

	host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_A);
}

static void what_nothing_leads_to_begins_anew(void **state)
{
	(void)state;
	for (unsigned level = 1; level <= 3; level++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		uint64_t *entry = guest_uses(h, h->root, GVA, 0);
		uint64_t second = guest_new_root(h);
		uint32_t first = h->vcpu->root;
		uint32_t page = page_on_way(h, GVA, level);

		guest_uses(h, h->root, GVA + X86_PAGE_SIZE, 1);
		host_map(h, second, FAR, 1, gpte_of(DATA_GFN + 5, LEAF));
		*host_gpte(h, second, FAR, level + 1) = *host_gpte(h, h->root, GVA, level + 1);
		unlink_at(h, h->root, GVA, level + 1);
		assert_int_equal(h->vm->pages[page].parents, 0);
		assert_int_equal(h->vm->pages[page].owner, first);
		guest_sets(h, entry, gpte_of(DATA_GFN + 6, LEAF));
		host_cr3(h, second);
		assert_int_equal(host_read_gfn(h, FAR), DATA_GFN + 6);
		assert_int_equal(page_on_way(h, FAR, level), page);
		assert_owned(h, FAR, 3, h->vcpu->root);
		assert_int_equal(host_read_gfn(h, FAR + X86_PAGE_SIZE), DATA_GFN + 1);
		/* And shared, when the first comes back to it. */
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 6);
		assert_owned(h, GVA, level, 0);
		/* And one's own again. */
		unlink_at(h, h->root, GVA, level + 1);
		unlink_at(h, second, FAR, level + 1);
		host_invlpg(h, GVA);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 6);
		assert_owned(h, GVA, 3, first);
		host_free(h);
	}
}

static void a_root_that_goes_gives_its_lists_away(void **state)
{
	struct host *h = *state;
	uint64_t second = guest_new_root(h);
	uint64_t *entry = guest_uses(h, second, GVA, 1);
	uint32_t root = h->vcpu->root;
	uint32_t table = page_on_way(h, GVA, 1), above = page_on_way(h, GVA, 2);

	host_cr3(h, h->root);
	assert_true(in_list(h, table, root) && in_list(h, above, root));
	umbra_unshadow(h->vcpu, second << X86_PAGE_SHIFT);
	host_check(h);
	assert_true(in_list(h, table, 0) && in_list(h, above, 0));
	assert_false(h->vm->pages[root].in_use);
	/* Their tables are still compared, by whoever reaches them. */
	guest_sets(h, entry, gpte_of(DATA_GFN + 4, LEAF));
	guest_uses(h, h->root, FAR, 2);
	*host_gpte(h, h->root, FAR, 2) = *host_gpte(h, second, GVA, 2);
	host_invlpg(h, FAR);
	host_cr3(h, h->root);
	assert_int_equal(host_read_gfn(h, FAR), DATA_GFN + 4);
}

/* A protected table, in no list, whose owner has gone; before it goes out of sync, or after,
 * another root has the number. */
static void a_number_that_serves_again_owns_nothing_of_before(void **state)
{
	(void)state;
	for (unsigned again = 0; again < 2; again++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 0);
		uint64_t second = guest_new_root(h), third = guest_new_root(h);
		uint64_t *entry = guest_uses(h, second, GVA, 1);
		uint64_t link = *host_gpte(h, second, GVA, 2);
		const umbra_gva place = FAR + (1ull << 39);
		uint32_t root = h->vcpu->root;

		host_map(h, third, FAR, 2, link);
		host_map(h, h->root, place, 2, link);
		for (unsigned i = 0; i < 4; i++)
			host_cr3(h, second);
		assert_false(host_is_unsync(h, guest_table_of(h, entry)));
		host_cr3(h, h->root);
		umbra_unshadow(h->vcpu, second << X86_PAGE_SHIFT);
		if (again) {
			host_cr3(h, third);
			assert_int_equal(h->vcpu->root, root);
			host_cr3(h, h->root);
		}
		assert_int_equal(guest_sets(h, entry, gpte_of(DATA_GFN + 3, LEAF)), 1);
		host_cr3(h, third);
		assert_int_equal(host_read_gfn(h, FAR), DATA_GFN + 3);
		guest_sets(h, entry, gpte_of(DATA_GFN + 4, LEAF));
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, place), DATA_GFN + 4);
		guest_sets(h, entry, gpte_of(DATA_GFN + 5, LEAF));
		host_cr3(h, third);
		assert_int_equal(host_read_gfn(h, FAR), DATA_GFN + 5);
		host_free(h);
	}
}

/* The table of a 5-level guest's first 2^48 bytes is the root of a 4-level one. */
static void a_table_below_a_root_can_be_one(void **state)
{
	(void)state;
	for (unsigned linked = 0; linked < 2; linked++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		uint64_t five = host_new_table(h);
		uint64_t *entry;
		uint32_t page;

		host_words(h, five)[0] = gpte_of(h->root, GPTE_RW);
		host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
		entry = host_gpte(h, h->root, GVA, 1);
		umbra_unshadow(h->vcpu, h->root << X86_PAGE_SHIFT);
		host_start_mode(h, HOST_UNPAGED, 0);
		umbra_unshadow(h->vcpu, h->root << X86_PAGE_SHIFT);
		host_start_mode(h, HOST_5LEVEL, five);
		host_read_gfn(h, GVA);
		page = page_on_way(h, GVA, 4);
		assert_owned(h, GVA, 4, h->vcpu->root);
		if (!linked)
			unlink_at(h, five, GVA, 5);
		guest_sets(h, entry, gpte_of(DATA_GFN + 1, LEAF));
		if (!linked)
			unlink_at(h, five, GVA, 5);
		host_start(h, h->root);
		assert_int_equal(h->vcpu->root, page);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
		assert_int_equal(h->vm->pages[page].owner, linked ? 0 : page);
		assert_owned(h, GVA, 3, linked ? 0 : page);
		guest_sets(h, entry, gpte_of(DATA_GFN + 2, LEAF));
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 2);
		guest_sets(h, entry, gpte_of(DATA_GFN + 3, LEAF));
		host_start_mode(h, HOST_5LEVEL, five);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 3);
		host_free(h);
	}
}

/* Roots of PAE guests are registers of a vCPU: what belongs together hangs below a directory. */
static void page_directories_under_pdptes_own(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .caches = true, .tags = 2};
	struct host *h = host_new(&config);
	uint64_t second = host_new_table(h), *shared, *own;
	uint32_t directory, other;

	(void)state;
	h->levels = 3;
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_map(h, h->root, 2 * GVA, 1, gpte_of(DATA_GFN + 1, LEAF));
	shared = host_gpte(h, h->root, 2 * GVA, 1);
	/* The first 2M are mapped as they are. */
	host_map(h, h->root, 0, 2, gpte_of(0, LEAF | X86_PTE_PS));
	host_words(h, second)[0] = host_words(h, h->root)[0];
	/* Of the tables of the second GVA, one has the last-level table of the other. */
	host_map(h, second, GVA, 2, *host_gpte(h, h->root, 2 * GVA, 2));
	host_words(h, second)[2] = host_words(h, h->root)[2];
	own = host_gpte(h, h->root, GVA, 1);
	host_start_mode(h, HOST_PAE, h->root);
	host_read_gfn(h, GVA);
	host_read_gfn(h, 2 * GVA);
	directory = page_on_way(h, GVA, 2);
	other = page_on_way(h, 2 * GVA, 2);
	assert_owned(h, GVA, 2, directory);
	assert_owned(h, 2 * GVA, 2, other);
	host_cr3(h, second);
	/* Under the other PDPTEs it is the same directory, and still its own. */
	assert_int_equal(host_access(h, 2 * GVA, 0).faults, 0);
	assert_owned(h, 2 * GVA, 2, other);
	host_read_gfn(h, GVA);
	assert_int_not_equal(page_on_way(h, GVA, 2), directory);
	assert_int_equal(owner_at(h, GVA, 2), page_on_way(h, GVA, 2));
	assert_owned(h, GVA, 1, 0);
	assert_int_equal(owner_at(h, 2 * GVA, 2), other);
	/* Each is found at a load. */
	host_store(h, host_gpa(h, shared), gpte_of(DATA_GFN + 5, LEAF));
	host_store(h, host_gpa(h, own), gpte_of(DATA_GFN + 6, LEAF));
	host_cr3(h, h->root);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 6);
	assert_int_equal(host_read_gfn(h, 2 * GVA), DATA_GFN + 5);
	host_cr3(h, second);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 5);
	host_free(h);
}

/* ---- tables that cannot be written ---- */

/* The way of two addresses goes through the same tables in ROM, of the two levels below @top: A,
 * which cannot be set there, is not a change. */
static void two_ways_through_rom(enum host_mode mode, uint64_t root, unsigned n_vcpus)
{
	struct host_config config = {.policy = umbra_policy_default, .max_vcpus = 2};
	struct host *h = host_new(&config);
	uint64_t directory = host_new_table(h), table = host_new_table(h);
	uint64_t *top = host_words(h, root ? root : h->root);
	uint64_t rom = root ? root + 1 : ROM_GFN;
	const umbra_gva second = mode == HOST_5LEVEL ? 1ull << 48 : 1ull << 39;
	struct umbra_vcpu *other;

	if (n_vcpus > 1)
		assert_int_equal(umbra_vcpu_create(h->vm, &other), UMBRA_OK);
	top[0] = top[1] = gpte_of(rom, GPTE_RW);
	host_words(h, rom)[0] = gpte_of(mode == HOST_5LEVEL ? rom + 1 : directory, GPTE_RW);
	host_words(h, rom + 1)[0] = gpte_of(directory, GPTE_RW);
	host_words(h, directory)[0] = gpte_of(table, GPTE_RW);
	host_words(h, table)[0] = gpte_of(DATA_GFN, LEAF);
	host_start_mode(h, mode, root ? root : h->root);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(host_read_gfn(h, 0), DATA_GFN);
		assert_int_equal(host_read_gfn(h, second), DATA_GFN);
	}
	assert_false(host_is_unsync(h, rom));
	host_free(h);
}

static void tables_in_rom_are_in_sync(void **state)
{
	(void)state;
	two_ways_through_rom(HOST_5LEVEL, 0, 1);
	two_ways_through_rom(HOST_4LEVEL, ROM_GFN, 1);
	two_ways_through_rom(HOST_4LEVEL, ROM_GFN, 2);
}

/* ---- what a load looks at ---- */

#define MANY   1000u
#define KERNEL 0x7e0000000000ull

/* @n cached roots with one kernel table in common, and a table of its own each; all tables are
 * protected. */
static struct host *many_roots(unsigned n, uint64_t *roots)
{
	struct host_config config = {.policy = umbra_policy_default, .pool_pages = 2 * n + 64};
	struct host *h;

	config.policy.sticky = 0;
	config.policy.write = UMBRA_WRITE_UNSYNC;
	h = guest_new(&config);
	h->unchecked = true;
	host_map(h, h->root, KERNEL, 1, gpte_of(DATA_GFN, LEAF));
	for (unsigned i = 0; i < n; i++) {
		roots[i] = guest_new_root(h);
		host_map(h, roots[i], GVA, 3, gpte_of(0, LEAF | X86_PTE_PS));
	}
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < n; i++) {
			host_cr3(h, roots[i]);
			host_access(h, KERNEL, 0);
			host_access(h, GVA, 0);
			host_access(h, guest_window(h, host_words(h, roots[i])), 0);
		}
	}
	assert_true(host_n_unsync(h) < 8);
	h->unchecked = false;
	host_check(h);
	h->unchecked = true;
	return h;
}

/* But for those of one idle root, which is visited. */
static void a_load_looks_at_no_other_roots_tables(void **state)
{
	static uint64_t roots[MANY];
	struct host *h = many_roots(MANY, roots);
	uint64_t *entry = host_gpte(h, h->root, KERNEL, 1);
	struct guest_looked looked;

	(void)state;
	/* One kernel table is unsync. */
	for (unsigned i = 0; i < 5; i++) {
		guest_sets(h, entry, gpte_of(DATA_GFN + 1 + i, LEAF));
		looked = guest_load(h, roots[100 * i]);
		assert_true(looked.compared >= 1 && looked.compared + looked.skipped <= 8);
		assert_int_equal(host_read_gfn(h, KERNEL), DATA_GFN + 1 + i);
	}
	/* And one of each of the other roots. */
	for (unsigned i = 1; i < MANY; i++)
		guest_sets(h, host_gpte(h, roots[i], GVA, 3),
			gpte_of(0, GPTE_RO | GPTE_AD | X86_PTE_PS));
	assert_true(host_n_unsync(h) >= MANY);
	for (unsigned i = 0; i < 5; i++) {
		guest_sets(h, entry, gpte_of(DATA_GFN + 9 + i, LEAF));
		looked = guest_load(h, roots[100 * i]);
		assert_true(looked.compared >= 1 && looked.compared + looked.skipped <= 8);
		assert_int_equal(
			host_access(h, GVA, X86_PF_W).outcome, i ? UMBRA_INJECT : UMBRA_RESUME);
		assert_int_equal(host_read_gfn(h, KERNEL), DATA_GFN + 9 + i);
	}
	h->unchecked = false;
	host_check(h);
	host_free(h);
}

/* ---- roots that are not switched to ---- */

/* More of them than pages: each is made again when it has gone. */
static void roots_are_made_while_there_is_room_for_none(void **state)
{
	struct host_config config = {.policy = umbra_policy_default,
		.pool_pages = UMBRA_POOL_MIN,
		.caches = true,
		.flush_tag = true,
		.tags = 8};
	struct host *h = guest_new(&config);
	uint64_t roots[3 * UMBRA_POOL_MIN];

	(void)state;
	for (unsigned i = 0; i < 3 * UMBRA_POOL_MIN; i++)
		roots[i] = guest_new_root(h);
	for (unsigned n = 0; n < 2; n++) {
		for (unsigned i = 0; i < 3 * UMBRA_POOL_MIN; i++)
			host_cr3(h, roots[i]);
	}
	guest_uses(h, roots[7], GVA, 1);
	host_free(h);
}

/* Enough for each of a few idle roots to be visited. */
static void switches(struct host *h)
{
	h->unchecked = true;
	for (unsigned i = 0; i < 1000; i++)
		host_cr3(h, h->root);
	h->unchecked = false;
	host_check(h);
}

/* As of a process that has ended: nobody would load it, and see that. */
static void a_root_whose_tables_are_gone_is_given_up(void **state)
{
	struct host *h = *state;
	uint64_t second = guest_new_root(h), third = guest_new_root(h);
	uint64_t pages;

	host_access(h, guest_window(h, host_words(h, second)), 0);
	pages = umbra_stats(h->vm)->shadow_pages;
	guest_uses(h, second, GVA, 1);
	guest_uses(h, third, GVA, 2);
	host_cr3(h, second);
	/* What it has in common with others does not count. */
	host_access(h, guest_window(h, host_words(h, second)), 0);
	host_cr3(h, h->root);
	guest_sets(h, host_gpte(h, second, GVA, 4), 0);
	switches(h);
	assert_int_equal(host_shadows(h, second), 0);
	/* The other one has its tables, and is as it was left. */
	assert_int_equal(umbra_stats(h->vm)->shadow_pages, pages + 4);
	host_cr3(h, third);
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	guest_uses(h, second, GVA, 3);
}

/* Large pages are its own too; and a page directory below no PDPTEs is like a root. */
static void one_that_has_large_pages_is_not(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .caches = true};
	struct host *h = host_new(&config);
	uint64_t second = host_new_table(h);

	(void)state;
	h->levels = 3;
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_map(h, second, GVA, 2, gpte_of(2 * DATA_GFN, LEAF | X86_PTE_PS));
	host_start_mode(h, HOST_PAE, second);
	assert_int_equal(host_read_gfn(h, GVA), 2 * DATA_GFN);
	host_cr3(h, h->root);
	switches(h);
	host_cr3(h, second);
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(what_one_root_reaches_is_its_own),
		T(what_two_roots_reach_belongs_to_all_with_what_is_below),
		T(a_table_alone_can_be_shared),
		cmocka_unit_test(what_nothing_leads_to_begins_anew),
		T(a_root_that_goes_gives_its_lists_away),
		cmocka_unit_test(a_number_that_serves_again_owns_nothing_of_before),
		cmocka_unit_test(a_table_below_a_root_can_be_one),
		cmocka_unit_test(page_directories_under_pdptes_own),
		cmocka_unit_test(tables_in_rom_are_in_sync),
		cmocka_unit_test(a_load_looks_at_no_other_roots_tables),
		cmocka_unit_test(roots_are_made_while_there_is_room_for_none),
		T(a_root_whose_tables_are_gone_is_given_up),
		cmocka_unit_test(one_that_has_large_pages_is_not),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
