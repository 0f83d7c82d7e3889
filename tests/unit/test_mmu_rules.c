/* SPDX-License-Identifier: MIT */
/*
 * The rules at the top of mmu/src/sync.c that are about time: what an unsync table shows, from when
 * on at the latest, and that nothing is shown too early that was not there. On a processor that
 * caches everything. How the library knows what was written: test_mmu_dirty.c.
 */
#include "tests/unit/mmu_guest.h"

#define FAR (GVA + (1ull << 39)) /* below another entry of the root table */

static int setup(void **state)
{
	*state = guest_new_cached(UMBRA_OOS_ALL, 20);
	return 0;
}

/* Tables for @gva, at the levels below @level, that end with @gpte. Returns the entry for @level
 * that leads to them. */
static uint64_t other_way(struct host *h, umbra_gva gva, unsigned level, uint64_t gpte)
{
	uint64_t twin = host_new_table(h);

	host_map(h, twin, gva, 1, gpte);
	return *host_gpte(h, twin, gva, level) | (level > 1 ? X86_PTE_A : 0);
}

/* The guest turns its entry of @level on the way of @gva, without a flush. */
static void turn(struct host *h, umbra_gva gva, unsigned level, unsigned n)
{
	guest_sets(h, host_gpte(h, h->root, gva, level),
		other_way(h, gva, level, gpte_of(DATA_GFN + n, LEAF)));
}

static void set_efer_tce(struct host *h, bool on)
{
	struct umbra_paging_regs regs = h->vcpu->regs;

	regs.efer = on ? regs.efer | X86_EFER_TCE : regs.efer & ~(uint64_t)X86_EFER_TCE;
	host_set_regs(h, &regs);
}

/* ---- rule 1 ---- */

static void what_was_cached_may_be_shown_until_it_is_flushed(void **state)
{
	struct host *h = *state;

	for (unsigned level = 1; level <= 4; level++) {
		guest_uses(h, h->root, GVA, 0);
		turn(h, GVA, level, level);
		/* It was in use, and is not flushed. */
		assert_int_equal(
			host_read_gfn(h, GVA), level == 1 ? DATA_GFN : DATA_GFN + level - 1);
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + level);
		*host_gpte(h, h->root, GVA, 1) = gpte_of(DATA_GFN + level, LEAF);
	}
}

/* ---- rule 2 ---- */

static void nothing_stands_for_an_entry_without_p_or_a(void **state)
{
	static const uint64_t bits[] = {0, X86_PTE_W, X86_PTE_A | X86_PTE_D, GPTE_RW, GPTE_RO};
	struct host *h = *state;

	for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		for (unsigned level = 1; level <= 4; level++) {
			uint64_t *entry = guest_uses(h, h->root, GVA, 0);

			entry = host_gpte(h, h->root, GVA, level);
			guest_sets(h, entry, gpte_of(*entry >> X86_PAGE_SHIFT, bits[i]));
			host_cr3(h, h->root);
			assert_int_equal(host_spte(h, GVA, level), 0);
			assert_int_equal(*entry & GPTE_AD, bits[i] & GPTE_AD);
			assert_int_equal(host_access(h, GVA, 0).outcome,
				bits[i] & X86_PTE_P ? UMBRA_RESUME : UMBRA_INJECT);
			guest_sets(h, entry, gpte_of(*entry >> X86_PAGE_SHIFT, LEAF));
			host_cr3(h, h->root);
		}
	}
}

/* Prefetch and comparing install what was accessed already, and no W where D is not set. */
static void a_and_d_are_set_for_no_access_that_is_foreseen(void **state)
{
	struct host *h = *state;
	struct umbra_policy policy = h->vm->policy;
	uint64_t *entry;

	policy.prefetch = 8;
	assert_int_equal(umbra_set_policy(h->vm, &policy), UMBRA_OK);
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	entry = host_gpte(h, h->root, GVA, 1);
	entry[1] = gpte_of(DATA_GFN + 1, GPTE_RW);
	entry[2] = gpte_of(DATA_GFN + 2, GPTE_RW | X86_PTE_A);
	entry[3] = gpte_of(DATA_GFN + 3, LEAF);
	for (unsigned round = 0; round < 2; round++) {
		host_read_gfn(h, GVA);
		assert_int_equal(host_spte(h, GVA + X86_PAGE_SIZE, 1), 0);
		assert_int_equal(host_spte(h, GVA + 2 * X86_PAGE_SIZE, 1) & GPTE_RW, GPTE_RO);
		assert_int_equal(host_spte(h, GVA + 3 * X86_PAGE_SIZE, 1) & GPTE_RW, GPTE_RW);
		assert_int_equal(entry[1] & GPTE_AD, 0);
		assert_int_equal(entry[2] & GPTE_AD, X86_PTE_A);
		/* The same by a comparison. */
		for (unsigned i = 1; i < 4; i++)
			guest_sets(h, entry + i, entry[i] + (8 << X86_PAGE_SHIFT));
		host_cr3(h, h->root);
	}
	assert_int_equal(host_access(h, GVA + 3 * X86_PAGE_SIZE, X86_PF_W).faults, 0);
	assert_int_equal(host_access(h, GVA + 2 * X86_PAGE_SIZE, X86_PF_W).faults, 1);
	assert_int_equal(entry[2] & GPTE_AD, GPTE_AD);
}

/* ---- rule 3 ---- */

/* Each way in which the fault of a store can end, by the last entry that memory has for GVA. */
static const struct {
	const char *what;
	uint64_t gpte;
	enum umbra_outcome store, load;
} ends[] = {
	{"read-only", (DATA_GFN + 9) << 12 | GPTE_RO, UMBRA_INJECT, UMBRA_RESUME},
	{"not present", (DATA_GFN + 9) << 12, UMBRA_INJECT, UMBRA_INJECT},
	{"reserved", (DATA_GFN + 9) << 12 | LEAF | 1ull << 50, UMBRA_INJECT, UMBRA_INJECT},
	{"writable", (DATA_GFN + 9) << 12 | GPTE_RW, UMBRA_RESUME, UMBRA_RESUME},
	{"read-only memory", ROM_GFN << 12 | LEAF, UMBRA_MMIO, UMBRA_RESUME},
	{"no memory", ABSENT_GFN << 12 | LEAF, UMBRA_MMIO, UMBRA_RESUME},
};

static void a_fault_shows_memory_on_its_way_however_it_ends(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4 * sizeof(ends) / sizeof(ends[0]); n++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		unsigned i = n / 4, level = n % 4 + 1;
		uint64_t *entry;

		print_message("  %s, level %u\n", ends[i].what, level);
		host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RO | GPTE_AD));
		entry = host_gpte(h, h->root, GVA, level);
		/* The way is known when the fault comes: no other is used meanwhile. */
		host_access(h, guest_window(h, entry), X86_PF_W);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		guest_sets(h, entry, other_way(h, GVA, level, ends[i].gpte));
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, ends[i].store);
		assert_int_equal(host_access(h, GVA, 0).outcome, ends[i].load);
		if (ends[i].load == UMBRA_RESUME)
			assert_int_equal(host_read_gfn(h, GVA),
				(ends[i].gpte & X86_PTE_FRAME) >> X86_PAGE_SHIFT);
		host_free(h);
	}
}

/* Of its own way only. */
static void a_fault_elsewhere_shows_nothing(void **state)
{
	struct host *h = *state;

	guest_uses(h, h->root, GVA, 0);
	guest_uses(h, h->root, GVA + X86_PAGE_SIZE, 1);
	turn(h, GVA, 1, 7);
	assert_int_equal(host_access(h, GVA + 2 * X86_PAGE_SIZE, X86_PF_W).outcome, UMBRA_INJECT);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
}

/* ---- rule 4 ---- */

static void load_cr3(struct host *h)
{
	host_cr3(h, h->root);
}

static void change_cr4(struct host *h)
{
	host_regs(h, X86_CR0_WP, X86_CR4_PGE);
}

static void invpcid_all(struct host *h)
{
	struct umbra_exit out;

	assert_int_equal(
		umbra_invpcid(h->vcpu, UMBRA_INVPCID_ALL, &(struct umbra_invpcid){0}, &out),
		UMBRA_RESUME);
}

static void invpcid_context(struct host *h)
{
	struct umbra_exit out;

	assert_int_equal(
		umbra_invpcid(h->vcpu, UMBRA_INVPCID_CONTEXT, &(struct umbra_invpcid){0}, &out),
		UMBRA_RESUME);
}

static void away_and_back(struct host *h)
{
	host_cr3(h, guest_new_root(h));
	host_cr3(h, h->root);
}

static void a_flush_of_all_shows_each_level(void **state)
{
	static void (*const flushes[])(struct host * h) = {
		load_cr3, change_cr4, invpcid_all, invpcid_context, away_and_back};

	(void)state;
	for (unsigned n = 0; n < 4 * sizeof(flushes) / sizeof(flushes[0]); n++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		unsigned level = n % 4 + 1;

		print_message("  flush %u, level %u\n", n / 4, level);
		guest_uses(h, h->root, GVA, 0);
		guest_uses(h, h->root, FAR, 1);
		turn(h, GVA, level, 7);
		if (level < 4)
			turn(h, FAR, level, 8);
		flushes[n / 4](h);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 7);
		assert_int_equal(host_read_gfn(h, FAR), DATA_GFN + (level < 4 ? 8 : 1));
		/* An entry that is there now, and was not. */
		guest_sets(h, host_gpte(h, h->root, FAR, 1) + 1, gpte_of(DATA_GFN + 3, LEAF));
		flushes[n / 4](h);
		assert_int_equal(host_read_gfn(h, FAR + X86_PAGE_SIZE), DATA_GFN + 3);
		host_free(h);
	}
}

/* Its tables wait until it is loaded. */
static void a_root_that_is_not_loaded_is_not_looked_at(void **state)
{
	struct host *h = *state;
	uint64_t second = guest_new_root(h);
	uint64_t *entry = guest_uses(h, second, GVA, 1);
	uint64_t compared;

	for (unsigned i = 0; i < 4; i++)
		host_cr3(h, h->root);
	guest_sets(h, entry, gpte_of(DATA_GFN + 2, LEAF));
	host_cr3(h, h->root);
	compared = umbra_stats(h->vm)->mmu_sync_changed;
	host_cr3(h, second);
	assert_int_equal(umbra_stats(h->vm)->mmu_sync_changed, compared + 1);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 2);
}

/* ---- rule 5 ---- */

static void invlpg_shows_its_address_and_all_upper_entries(void **state)
{
	(void)state;
	for (unsigned level = 1; level <= 4; level++) {
		for (unsigned here = 0; here < 2; here++) {
			struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);

			print_message("  level %u, %s\n", level, here ? "here" : "elsewhere");
			guest_uses(h, h->root, GVA, 0);
			guest_uses(h, h->root, FAR, 1);
			turn(h, GVA, level, 7);
			host_invlpg(h, here ? GVA : FAR);
			/* Of the others only what the last level says may be old. */
			assert_int_equal(host_read_gfn(h, GVA) == DATA_GFN + 7, here || level > 1);
			host_free(h);
		}
	}
}

/* EFER.TCE: the upper entries of the address alone. */
static void with_tce_it_shows_the_upper_entries_of_its_address(void **state)
{
	(void)state;
	for (unsigned level = 1; level <= 4; level++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		uint64_t compared;

		set_efer_tce(h, true);
		guest_uses(h, h->root, GVA, 0);
		guest_uses(h, h->root, FAR, 1);
		turn(h, GVA, level, 7);
		compared = umbra_stats(h->vm)->mmu_sync;
		host_invlpg(h, FAR + (1ull << 39));
		assert_int_equal(umbra_stats(h->vm)->mmu_sync, compared);
		assert_int_not_equal(host_spte(h, GVA, level), 0);
		host_invlpg(h, GVA);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 7);
		/* And without it again. */
		set_efer_tce(h, false);
		turn(h, GVA, level, 8);
		host_invlpg(h, FAR + (1ull << 39));
		if (level > 1)
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 8);
		else
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 7);
		host_free(h);
	}
}

/* ---- rule 6 ---- */

/* A table hangs at a second place too, and an entry in it, or below, has changed since it was used
 * at the first: nothing of that can be cached at the second. */
static void a_table_that_is_linked_anew_shows_memory_with_all_below(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 9; n++) {
		unsigned above = n / 3 + 2, changed = n % 3 + 1;
		umbra_gva beside = 1ull << (9 * changed + 3);
		struct host *h;

		if (changed >= above)
			continue;
		print_message("  below level %u, changed at %u\n", above, changed);
		h = guest_new_cached(UMBRA_OOS_ALL, 20);
		guest_uses(h, h->root, GVA, 0);
		guest_uses(h, h->root, GVA + beside, 1);
		guest_uses(h, h->root, FAR, 2);
		host_cr3(h, h->root);
		turn(h, GVA + beside, changed, 7);
		guest_sets(h, host_gpte(h, h->root, FAR, above),
			*host_gpte(h, h->root, GVA, above) & ~X86_PTE_A);
		host_invlpg(h, FAR);
		/* The first look links it. */
		assert_int_equal(host_read_gfn(h, FAR), DATA_GFN);
		assert_int_equal(host_read_gfn(h, FAR + beside), DATA_GFN + 7);
		host_free(h);
	}
}

/* Also in what all roots reach, below what is this root's alone. */
static void and_so_does_what_is_shared_below(void **state)
{
	struct host *h = *state;
	uint64_t second = guest_new_root(h);
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);

	guest_uses(h, h->root, GVA + X86_PAGE_SIZE, 1);
	guest_uses(h, h->root, FAR, 2);
	host_map(h, second, GVA, 2, *host_gpte(h, h->root, GVA, 2));
	host_cr3(h, second);
	host_read_gfn(h, GVA);
	host_cr3(h, h->root);
	guest_sets(h, entry + 1, gpte_of(DATA_GFN + 7, LEAF));
	guest_sets(h, host_gpte(h, h->root, FAR, 3), *host_gpte(h, h->root, GVA, 3));
	host_invlpg(h, FAR);
	assert_int_equal(host_read_gfn(h, FAR), DATA_GFN);
	assert_int_equal(host_read_gfn(h, FAR + X86_PAGE_SIZE), DATA_GFN + 7);
}

/* An entry gains rights: below it an address that was invalidated before must show memory. */
static void a_link_whose_rights_change_is_linked_anew(void **state)
{
	static const struct {
		uint64_t before, after;
		access_bits access;
	} cases[] = {
		{GPTE_RO, GPTE_RW, X86_PF_W},
		{X86_PTE_P | X86_PTE_W, GPTE_RW, X86_PF_U},
		{GPTE_RW | X86_PTE_NX, GPTE_RW, X86_PF_I},
	};

	(void)state;
	for (unsigned n = 0; n < 3 * sizeof(cases) / sizeof(cases[0]); n++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		unsigned i = n / 3, level = n % 3 + 2;
		uint64_t *entry, *link;
		uint64_t table;

		print_message("  case %u, level %u\n", i, level);
		host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
		link = host_gpte(h, h->root, GVA, level);
		table = *link >> X86_PAGE_SHIFT << X86_PAGE_SHIFT;
		*link = table | cases[i].before;
		entry = host_gpte(h, h->root, GVA, 1);
		entry[1] = gpte_of(DATA_GFN + 1, LEAF);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		assert_int_equal(host_read_gfn(h, GVA + X86_PAGE_SIZE), DATA_GFN + 1);
		/* Gone by the last entry, which is not flushed, since the one above forbids the
		 * access anyway. */
		guest_sets(h, entry + 1, gpte_of(DATA_GFN + 7, LEAF));
		guest_sets(h, link, table | cases[i].after | X86_PTE_A);
		host_invlpg(h, GVA);
		assert_int_equal(host_access(h, GVA, cases[i].access).outcome, UMBRA_RESUME);
		assert_int_equal(host_access(h, GVA + X86_PAGE_SIZE, cases[i].access).hpa >> 12,
			RAM_HFN + DATA_GFN + 7);
		host_free(h);
	}
}

/* ---- rule 7 ---- */

/* What can be put there without looking further is: no fault follows. */
static void what_changed_is_installed(void **state)
{
	static const uint64_t frames[] = {DATA_GFN + 5, DEVICE_GFN, ROM_GFN, ABSENT_GFN};

	(void)state;
	for (unsigned n = 0; n < 8; n++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		uint64_t *entry = guest_uses(h, h->root, GVA, 0);
		uint64_t frame = frames[n / 2];

		print_message("  frame %u, by %s\n", n / 2, n % 2 ? "INVLPG" : "load");
		guest_sets(h, entry, gpte_of(frame, LEAF));
		if (n % 2)
			host_invlpg(h, GVA);
		else
			host_cr3(h, h->root);
		assert_int_equal(host_access(h, GVA, 0).faults, 0);
		assert_int_equal(host_read_gfn(h, GVA), frame);
		assert_int_equal(host_access(h, GVA, X86_PF_W).outcome,
			n / 2 < 2 ? UMBRA_RESUME : UMBRA_MMIO);
		host_free(h);
	}
}

/* The guest grants more, but its memory does not. */
static void a_change_gives_no_more_than_the_slot(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		unsigned level = n / 2 + 1;
		uint64_t bits = level > 1 ? X86_PTE_PS : 0;
		uint64_t *entry;

		host_map(h, h->root, GVA, level, gpte_of(ROM_GFN, GPTE_RO | GPTE_AD | bits));
		entry = host_gpte(h, h->root, GVA, level);
		assert_int_equal(host_read_gfn(h, GVA), ROM_GFN);
		guest_sets(h, entry, gpte_of(ROM_GFN, LEAF | bits));
		if (n % 2)
			host_invlpg(h, GVA);
		else
			host_cr3(h, h->root);
		assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_MMIO);
		assert_int_equal(host_access(h, GVA, 0).faults, 0);
		host_free(h);
	}
}

static void a_link_stays_when_its_ignored_bits_change(void **state)
{
	struct host *h = *state;

	guest_uses(h, h->root, GVA, 0);
	for (unsigned level = 2; level <= 4; level++) {
		uint64_t *entry = host_gpte(h, h->root, GVA, level);

		guest_sets(h, entry, *entry | 1ull << 9 | 1ull << 58 | X86_PTE_D);
		host_cr3(h, h->root);
		assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	}
}

/* ---- rule 9 ---- */

static void sticky_counts_flushes_in_a_row_that_find_nothing(void **state)
{
	static const unsigned stickies[] = {0, 1, 5, 20};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, stickies[i]);
		uint64_t *entry = guest_uses(h, h->root, GVA, 0);
		uint64_t table = guest_table_of(h, entry);

		h->vm->policy.write = UMBRA_WRITE_UNSYNC;
		/* From each of these it begins anew. */
		for (unsigned round = 1; round < 4; round++) {
			guest_sets(h, entry, gpte_of(DATA_GFN + round, LEAF));
			host_cr3(h, h->root);
			assert_true(host_is_unsync(h, table));
			for (unsigned n = 0; n < stickies[i]; n++)
				host_cr3(h, h->root);
			assert_true(host_is_unsync(h, table));
		}
		host_cr3(h, h->root);
		assert_false(host_is_unsync(h, table));
		assert_int_equal(host_access(h, guest_window(h, entry), X86_PF_W).faults, 1);
		for (unsigned n = 0; n < stickies[i]; n++)
			host_cr3(h, h->root);
		assert_true(host_is_unsync(h, table));
		host_cr3(h, h->root);
		assert_false(host_is_unsync(h, table));
		host_free(h);
	}
}

/* It is the table that is idle, not one of its pages: these see other parts of it. */
static void a_table_is_not_idle_while_any_of_its_pages_changes(void **state)
{
	struct host_config config = {.policy = umbra_policy_default};
	const umbra_gva upper_half = GVA + (1ull << 21);
	struct host *h;
	uint32_t *entry;

	(void)state;
	config.policy.sticky = 2;
	h = host_new(&config);
	host_map32(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_map32(h, h->root, upper_half, 1, gpte_of(DATA_GFN + 1, LEAF));
	entry = host_gpte32(h, h->root, GVA, 1);
	host_map32(h, h->root, 0, 1, gpte_of(host_gpa(h, entry) >> 12, LEAF));
	host_start_mode(h, HOST_2LEVEL, h->root);
	host_read_gfn(h, GVA);
	host_read_gfn(h, upper_half);
	for (unsigned i = 1; i < 12; i++) {
		assert_int_equal(host_access(h, 0, X86_PF_W).outcome, UMBRA_RESUME);
		*entry = (uint32_t)gpte_of(DATA_GFN + i, LEAF);
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
		assert_true(host_is_unsync(h, host_gpa(h, entry) >> 12));
	}
	assert_int_equal(umbra_stats(h->vm)->pf_write_table, 0);
	host_free(h);
}

/* ---- without snapshots ---- */

static void with_snapshot_off_a_written_table_is_forgotten(void **state)
{
	struct host_config config = {
		.policy = umbra_policy_default, .caches = true, .flush_tag = true, .tags = 2};
	struct host *h;
	uint64_t *entry;

	(void)state;
	config.policy.snapshot = false;
	config.policy.prefetch = 0;
	h = guest_new(&config);
	entry = guest_uses(h, h->root, GVA, 0);
	guest_uses(h, h->root, GVA + X86_PAGE_SIZE, 1);
	for (unsigned i = 0; i < 4; i++) {
		host_access(h, GVA, X86_PF_W);
		host_cr3(h, h->root);
	}
	/* Not written: kept. */
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	for (unsigned i = 1; i < 10; i++) {
		host_read_gfn(h, GVA + X86_PAGE_SIZE);
		guest_sets(h, entry, gpte_of(DATA_GFN + 1 + i, LEAF));
		host_cr3(h, h->root);
		assert_int_equal(host_spte(h, GVA + X86_PAGE_SIZE, 1), 0);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1 + i);
		turn(h, FAR, 4, i);
		host_invlpg(h, FAR);
		assert_int_equal(host_read_gfn(h, FAR), DATA_GFN + i);
	}
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(what_was_cached_may_be_shown_until_it_is_flushed),
		T(nothing_stands_for_an_entry_without_p_or_a),
		T(a_and_d_are_set_for_no_access_that_is_foreseen),
		cmocka_unit_test(a_fault_shows_memory_on_its_way_however_it_ends),
		T(a_fault_elsewhere_shows_nothing),
		cmocka_unit_test(a_flush_of_all_shows_each_level),
		T(a_root_that_is_not_loaded_is_not_looked_at),
		cmocka_unit_test(invlpg_shows_its_address_and_all_upper_entries),
		cmocka_unit_test(with_tce_it_shows_the_upper_entries_of_its_address),
		cmocka_unit_test(a_table_that_is_linked_anew_shows_memory_with_all_below),
		T(and_so_does_what_is_shared_below),
		cmocka_unit_test(a_link_whose_rights_change_is_linked_anew),
		cmocka_unit_test(what_changed_is_installed),
		cmocka_unit_test(a_change_gives_no_more_than_the_slot),
		T(a_link_stays_when_its_ignored_bits_change),
		cmocka_unit_test(sticky_counts_flushes_in_a_row_that_find_nothing),
		cmocka_unit_test(a_table_is_not_idle_while_any_of_its_pages_changes),
		cmocka_unit_test(with_snapshot_off_a_written_table_is_forgotten),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
