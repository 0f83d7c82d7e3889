/* SPDX-License-Identifier: MIT */
/*
 * Stores into guest tables: emulated, let through, or the table is given up; and a store always
 * gets done.
 */
#include "tests/unit/mmu_host.h"

#include <string.h>

#include "mmu/src/page.h"
#include "mmu/src/slot.h"

#define GVA  0x40000000ull
#define SELF 511u
#define LEAF (GPTE_RW | GPTE_AD)

/* A used page at GVA, and its last-level table mapped writable at GVA + 1G. */
static uint64_t *table_in_reach(struct host *h)
{
	uint64_t table = host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));

	host_map(h, h->root, GVA + (1ull << 30), 1, gpte_of(table, GPTE_RW));
	host_read_gfn(h, GVA);
	return host_words(h, table);
}

/* ---- umbra_guest_write ---- */

static void a_store_to_a_table_is_emulated_at_its_address(void **state)
{
	struct host *h = *state;
	uint64_t *entry = table_in_reach(h);
	struct host_result result = host_access(h, GVA + (1ull << 30) + 0x128, X86_PF_W);

	assert_int_equal(result.outcome, UMBRA_EMULATE);
	assert_int_equal(result.exit.gpa, host_gpa(h, entry) + 0x128);
	/* A and D are those of a store that is done. */
	assert_int_equal(*host_gpte(h, h->root, GVA + (1ull << 30), 1) & GPTE_AD, GPTE_AD);
	assert_int_equal(umbra_stats(h->vm)->pf_write_table, 1);
	assert_int_equal(umbra_stats(h->vm)->pf_emulate, 1);
	/* Reading it takes no exit. */
	assert_int_equal(host_access(h, GVA + (1ull << 30), 0).outcome, UMBRA_RESUME);
}

static void an_emulated_store_is_seen_at_once(void **state)
{
	struct host *h = *state;
	uint64_t *entry = table_in_reach(h);

	host_write_word(h, host_gpa(h, entry), gpte_of(DATA_GFN + 3, LEAF));
	assert_int_equal(*entry, gpte_of(DATA_GFN + 3, LEAF));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 3);
	host_write_word(h, host_gpa(h, entry), gpte_of(DATA_GFN + 3, GPTE_RO | GPTE_AD));
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_INJECT);
	host_write_word(h, host_gpa(h, entry), gpte_of(DATA_GFN + 3, GPTE_RW));
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
	host_write_word(h, host_gpa(h, entry), 0);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
	assert_int_equal(umbra_stats(h->vm)->mmu_pte_write, 4);
}

/* Each length at each offset over three used entries: memory and the shadow are as after a memcpy.
 */
static void a_store_of_any_part_of_entries_counts(void **state)
{
	static const size_t lengths[] = {1, 2, 3, 4, 5, 8, 12, 16, 17};
	struct host *h = *state;
	uint64_t *entry = table_in_reach(h);
	/* From writable pages n to read-only ones 16 frames on: each byte of an entry may differ.
	 */
	uint64_t before[3], after[3], expect[3];

	for (unsigned i = 0; i < 3; i++) {
		before[i] = gpte_of(DATA_GFN + i, LEAF);
		after[i] = gpte_of(DATA_GFN + 0x110 + i, GPTE_RO | GPTE_AD) | X86_PTE_NX;
	}
	for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
		for (size_t offset = 0; offset + lengths[l] <= sizeof(before); offset++) {
			for (unsigned i = 0; i < 3; i++) {
				host_write_word(h, host_gpa(h, entry + i), before[i]);
				assert_int_equal(host_access(h, GVA + i * 4096, X86_PF_W).outcome,
					UMBRA_RESUME);
			}
			memcpy(expect, before, sizeof(expect));
			memcpy((uint8_t *)expect + offset, (const uint8_t *)after + offset,
				lengths[l]);
			assert_true(umbra_guest_write(h->vcpu, host_gpa(h, entry) + offset,
				(const uint8_t *)after + offset, lengths[l]));
			assert_memory_equal(entry, expect, sizeof(expect));
			host_check(h);
			for (unsigned i = 0; i < 3; i++) {
				struct host_result w = host_access(h, GVA + i * 4096, X86_PF_W);

				assert_int_equal(host_read_gfn(h, GVA + i * 4096),
					(expect[i] & X86_PTE_FRAME) >> 12);
				assert_int_equal(w.outcome,
					expect[i] & X86_PTE_W ? UMBRA_RESUME : UMBRA_INJECT);
			}
		}
	}
}

static void only_writable_ram_takes_a_store(void **state)
{
	struct host *h = *state;
	static const struct {
		umbra_gpa gpa;
		size_t n_bytes;
		bool done;
	} cases[] = {
		{DATA_GFN << 12, 8, true},
		{DATA_GFN << 12 | 0xff8, 8, true},
		{DATA_GFN << 12 | 0xff9, 8, true}, /* over the end of the page */
		{DATA_GFN << 12, 4097, false},
		{DATA_GFN << 12 | 0xfff, 0, true},
		{ROM_GFN << 12, 8, false},
		{DEVICE_GFN << 12, 8, false},
		{ABSENT_GFN << 12, 8, false},
		{RAM_FRAMES << 12, 1, false},
		{~0ull - 7, 8, false},
	};
	uint8_t bytes[4097];

	memset(bytes, 0x77, sizeof(bytes));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  case %zu\n", i);
		assert_int_equal(umbra_guest_write(h->vcpu, cases[i].gpa, bytes, cases[i].n_bytes),
			cases[i].done);
	}
	assert_int_equal(host_words(h, DATA_GFN)[0], 0x7777777777777777ull);
	assert_int_equal(host_words(h, DATA_GFN)[1], 0);
	assert_int_equal(host_words(h, DATA_GFN)[511], 0x7777777777777777ull);
	assert_int_equal(host_words(h, DATA_GFN + 1)[0], 0x77);
	assert_int_equal(host_words(h, ROM_GFN)[0], 0);
}

/* One frame as table of each level: a store to it is seen by all its shadow pages. */
static void a_store_is_seen_by_every_shadow_of_the_frame(void **state)
{
	struct host *h = *state;
	const umbra_gva self = 0xfffffffffffff000ull; /* the root as last-level table of itself */
	uint64_t *root = host_words(h, h->root);

	root[SELF] = gpte_of(h->root, GPTE_RW);
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_read_gfn(h, GVA);
	host_read_gfn(h, self);
	host_read_gfn(h, self & ~0x1ff000ull); /* entry 0 as last-level entry */
	assert_int_equal(host_shadows(h, h->root), 4);
	host_write_word(h, host_gpa(h, &root[0]), 0);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, self & ~0x1ff000ull, 0).outcome, UMBRA_INJECT);
	assert_int_equal(host_read_gfn(h, self), h->root);
}

static void the_running_root_can_be_written(void **state)
{
	struct host *h = *state;
	uint64_t old;

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_read_gfn(h, GVA);
	old = host_words(h, h->root)[0];
	host_write_word(h, h->root << 12, 0);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
	host_write_word(h, h->root << 12, old);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
}

/* ---- giving a table up ---- */

static void an_unshadowed_table_is_written_freely_and_used_again(void **state)
{
	struct host *h = *state;
	uint64_t *entry = table_in_reach(h);
	uint64_t table = host_gpa(h, entry) >> 12;

	umbra_unshadow(h->vcpu, table << 12);
	host_check(h);
	assert_int_equal(host_shadows(h, table), 0);
	assert_int_equal(host_store(h, GVA + (1ull << 30), gpte_of(DATA_GFN + 5, LEAF)).outcome,
		UMBRA_RESUME);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 5);
	assert_int_equal(host_shadows(h, table), 1);
}

static void unshadowing_what_is_no_table_does_nothing(void **state)
{
	static const umbra_gpa gpas[] = {
		DATA_GFN << 12, ROM_GFN << 12, DEVICE_GFN << 12, ABSENT_GFN << 12, ~0ull};
	struct host *h = *state;

	host_reset_flushes(h);
	for (size_t i = 0; i < sizeof(gpas) / sizeof(gpas[0]); i++)
		assert_int_equal(umbra_unshadow(h->vcpu, gpas[i]), i == 0);
	assert_int_equal(host_flushes(h), 0);
	assert_int_equal(umbra_stats(h->vm)->mmu_unshadow, 0);
	host_check(h);
}

/* A root that a vCPU runs on cannot go: it is written without exits, and seen at the next flush. */
static void an_unshadowed_running_root_goes_out_of_sync(void **state)
{
	struct host *h = *state;
	uint64_t old;

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_map(h, h->root, GVA + (1ull << 39), 1, gpte_of(h->root, GPTE_RW));
	host_read_gfn(h, GVA);
	old = host_words(h, h->root)[0];
	umbra_unshadow(h->vcpu, h->root << 12);
	host_check(h);
	assert_true(host_is_unsync(h, h->root));
	assert_int_equal(host_store(h, GVA + (1ull << 39), 0).outcome, UMBRA_RESUME);
	host_cr3(h, h->root);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
	host_words(h, h->root)[0] = old;
}

/* What else is made from its frame goes, whether it came before the root or after it. */
static void only_the_root_itself_stays(void **state)
{
	struct host *h = *state;
	uint64_t second = host_new_table(h);

	host_words(h, second)[0] = gpte_of(DATA_GFN, LEAF);
	host_map(h, h->root, GVA, 2, gpte_of(second, GPTE_RW));
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	host_cr3(h, second);
	assert_int_equal(host_shadows(h, second), 2);
	/* A frame of its own, as a table of each level but the last. */
	host_words(h, second)[SELF] = gpte_of(second, GPTE_RW);
	(void)host_access(h, 0xffffffffffe00000ull, 0);
	assert_true(host_shadows(h, second) > 3);
	assert_true(umbra_unshadow(h->vcpu, second << X86_PAGE_SHIFT));
	host_check(h);
	assert_int_equal(host_shadows(h, second), 1);
	assert_true(host_is_unsync(h, second));
}

/* A and D cannot be set in it: the shadow only behaves as if. */
static void an_unshadowed_root_in_read_only_memory_goes_on(void **state)
{
	struct host *h = *state;

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_words(h, ROM_GFN)[0] = host_words(h, h->root)[0] & ~GPTE_AD;
	host_cr3(h, ROM_GFN);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	assert_false(umbra_unshadow(h->vcpu, ROM_GFN << 12));
	host_check(h);
	assert_false(host_is_unsync(h, ROM_GFN));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
		host_cr3(h, ROM_GFN);
	}
}

/*
 * The store needs the table it writes, at one level or several. Whoever emulates gives up each
 * time, so the library has to let it through in the end.
 */
static void a_store_that_needs_its_own_table_is_done_although_nobody_emulates_it(void **state)
{
	(void)state;
	for (unsigned how = UMBRA_WRITE_AUTO; how <= UMBRA_WRITE_ZAP; how++) {
		for (unsigned level = 1; level <= 4; level++) {
			struct umbra_policy policy = host_plain_policy();
			struct host *h;
			/* The table of @level on this path is mapped by this path's own last entry.
			 */
			uint64_t table;
			struct host_result result;
			unsigned tries = 0;

			policy.write = how;
			h = host_new_policy(&policy);
			host_start(h, h->root);
			host_map(h, h->root, GVA, 1, LEAF);
			table = host_gpa(h, host_gpte(h, h->root, GVA, level)) >> 12;
			host_map(h, h->root, GVA, 1, gpte_of(table, GPTE_RW));
			for (;;) {
				result = host_access(h, GVA + 0x800, X86_PF_W);
				if (result.outcome != UMBRA_EMULATE)
					break;
				assert_true(++tries < 4);
				umbra_unshadow(h->vcpu, result.exit.gpa);
				host_check(h);
			}
			assert_int_equal(result.outcome, UMBRA_RESUME);
			assert_int_equal(result.hpa, ((RAM_HFN + table) << 12) + 0x800);
			host_free(h);
		}
	}
}

/* Without emulation each table is given up at the first store, not at every one. */
static void without_emulation_the_first_store_gives_the_table_up(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;
	uint64_t *entry;

	(void)state;
	policy.write = UMBRA_WRITE_ZAP;
	h = host_new_policy(&policy);
	host_start(h, h->root);
	entry = table_in_reach(h);
	assert_int_equal(host_store(h, GVA + (1ull << 30), gpte_of(DATA_GFN + 1, LEAF)).faults, 1);
	for (unsigned i = 1; i < 512; i++)
		assert_int_equal(host_store(h, GVA + (1ull << 30) + 8 * i, 0).faults, 0);
	assert_int_equal(umbra_stats(h->vm)->mmu_unshadow, 1);
	assert_int_equal(host_shadows(h, host_gpa(h, entry) >> 12), 0);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	host_free(h);
}

/* Other vCPUs may walk what is given up: their translations have to go first. */
static void giving_a_table_up_is_flushed(void **state)
{
	struct host *h = *state;
	uint64_t *entry = table_in_reach(h);

	host_reset_flushes(h);
	umbra_unshadow(h->vcpu, host_gpa(h, entry));
	assert_true(h->flush_all > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		T(a_store_to_a_table_is_emulated_at_its_address),
		T(an_emulated_store_is_seen_at_once),
		T(a_store_of_any_part_of_entries_counts),
		T(only_writable_ram_takes_a_store),
		T(a_store_is_seen_by_every_shadow_of_the_frame),
		T(the_running_root_can_be_written),
		T(an_unshadowed_table_is_written_freely_and_used_again),
		T(unshadowing_what_is_no_table_does_nothing),
		T(an_unshadowed_running_root_goes_out_of_sync),
		T(only_the_root_itself_stays),
		T(an_unshadowed_root_in_read_only_memory_goes_on),
		cmocka_unit_test(
			a_store_that_needs_its_own_table_is_done_although_nobody_emulates_it),
		cmocka_unit_test(without_emulation_the_first_store_gives_the_table_up),
		T(giving_a_table_up_is_flushed),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
