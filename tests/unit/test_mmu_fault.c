/* SPDX-License-Identifier: MIT */
/*
 * The page fault: whose it is, what a leaf grants afterwards, prefetch, and CR0.WP=0.
 */
#include "tests/unit/mmu_host.h"

#include "mmu/src/slot.h"

#define GVA   0x40000000ull
#define FETCH X86_PF_I
#define WRITE X86_PF_W
#define USER  X86_PF_U

/* A supervisor's read-only page for users too, at GVA + n pages. */
static void map(struct host *h, unsigned n, uint64_t bits)
{
	host_map(h, h->root, GVA + n * 4096ull, 1, gpte_of(DATA_GFN + n, bits));
}

static uint64_t *gpte(struct host *h, unsigned n)
{
	return host_gpte(h, h->root, GVA + n * 4096ull, 1);
}

static const struct umbra_stats *stats(struct host *h)
{
	return umbra_stats(h->vm);
}

/* ---- whose fault ---- */

static void the_guest_gets_its_own_faults_as_the_processor_would_report_them(void **state)
{
	static const struct {
		uint64_t gpte;
		access_bits access;
		uint32_t error_code;
	} cases[] = {
		{0, 0, 0},
		{0, WRITE | USER, WRITE | USER},
		{GPTE_RO, WRITE, WRITE | X86_PF_P},
		{GPTE_RO, WRITE | USER, WRITE | USER | X86_PF_P},
		{X86_PTE_P | X86_PTE_W, USER, USER | X86_PF_P},
		{GPTE_RW | X86_PTE_NX, FETCH | USER, FETCH | USER | X86_PF_P},
		{GPTE_RW | 1ull << 47, 0, X86_PF_P | X86_PF_RSVD},
	};
	struct host *h = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host_result result;

		map(h, i, cases[i].gpte);
		result = host_access(h, GVA + i * 4096ull + 0x321, cases[i].access);
		assert_int_equal(result.outcome, UMBRA_INJECT);
		assert_int_equal(result.exit.vector, X86_PF);
		assert_int_equal(result.exit.error_code, cases[i].error_code);
		assert_int_equal(result.exit.gva, GVA + i * 4096ull + 0x321);
		/* A fault sets no A and no D. */
		assert_int_equal(*gpte(h, i) & GPTE_AD, 0);
		assert_int_equal(stats(h)->pf_guest, i + 1);
	}
}

static void a_denied_write_to_a_page_that_is_mapped_is_the_guests_too(void **state)
{
	struct host *h = *state;

	map(h, 0, GPTE_RO);
	host_read_gfn(h, GVA);
	assert_int_equal(host_access(h, GVA, WRITE).outcome, UMBRA_INJECT);
	assert_int_equal(*gpte(h, 0) & GPTE_AD, X86_PTE_A);
	assert_int_equal(host_access(h, GVA, USER).faults, 0);
}

/* ---- what a leaf grants ---- */

static void d_is_set_by_the_first_write_and_not_before(void **state)
{
	struct host *h = *state;

	map(h, 0, GPTE_RW);
	assert_int_equal(host_access(h, GVA, 0).faults, 1);
	assert_int_equal(*gpte(h, 0) & GPTE_AD, X86_PTE_A);
	assert_int_equal(host_access(h, GVA, WRITE).faults, 1);
	assert_int_equal(*gpte(h, 0) & GPTE_AD, GPTE_AD);
	assert_int_equal(host_access(h, GVA, WRITE | USER).faults, 0);
	assert_int_equal(stats(h)->pf_fixed, 2);
}

static void a_write_at_once_takes_one_fault(void **state)
{
	struct host *h = *state;

	map(h, 0, GPTE_RW);
	assert_int_equal(host_access(h, GVA, WRITE).faults, 1);
	/* So does a page whose D the guest set before. */
	map(h, 1, GPTE_RW | GPTE_AD);
	assert_int_equal(host_access(h, GVA + 4096, 0).faults, 1);
	assert_int_equal(host_access(h, GVA + 4096, WRITE).faults, 0);
}

static void rights_of_upper_levels_are_kept_by_the_tree(void **state)
{
	struct host *h = *state;

	for (unsigned level = 2; level <= 4; level++) {
		umbra_gva gva = (umbra_gva)level << 39;

		host_map(h, h->root, gva, 1, gpte_of(DATA_GFN, GPTE_RW | GPTE_AD));
		*host_gpte(h, h->root, gva, level) &= ~(X86_PTE_W | X86_PTE_U);
		*host_gpte(h, h->root, gva, level) |= X86_PTE_NX;
		assert_int_equal(host_access(h, gva, 0).outcome, UMBRA_RESUME);
		assert_int_equal(host_access(h, gva, WRITE).exit.error_code, WRITE | X86_PF_P);
		assert_int_equal(host_access(h, gva, USER).exit.error_code, USER | X86_PF_P);
		assert_int_equal(host_access(h, gva, FETCH).exit.error_code, FETCH | X86_PF_P);
	}
}

static void smap_and_smep_are_left_to_the_processor_with_wp_set(void **state)
{
	struct host *h = *state;

	host_regs(h, X86_CR0_WP, X86_CR4_SMAP | X86_CR4_SMEP);
	map(h, 0, GPTE_RW);
	assert_int_equal(host_access(h, GVA, WRITE | USER).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA, WRITE).exit.error_code, WRITE | X86_PF_P);
	assert_int_equal(host_access(h, GVA, ACCESS_AC | WRITE).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA, FETCH).exit.error_code, FETCH | X86_PF_P);
	assert_int_equal(host_access(h, GVA, FETCH | USER).outcome, UMBRA_RESUME);
}

/* CPL 3, but the processor reads a descriptor: EFLAGS.AC does not count. */
static void an_implicit_supervisor_access_is_not_excused_by_ac(void **state)
{
	struct host *h = *state;
	struct umbra_page_fault fault = {.gva = GVA, .cpl = 3, .ac = true};
	struct umbra_exit out;

	host_regs(h, X86_CR0_WP, X86_CR4_SMAP);
	map(h, 0, GPTE_RW);
	assert_int_equal(umbra_page_fault(h->vcpu, &fault, &out), UMBRA_INJECT);
	assert_int_equal(out.error_code, X86_PF_P);
	fault.cpl = 0;
	assert_int_equal(umbra_page_fault(h->vcpu, &fault, &out), UMBRA_RESUME);
}

/* ---- prefetch ---- */

static void prefetch_installs_only_what_a_processor_could_have_cached(void **state)
{
	static const struct {
		uint64_t bits;
		bool present, writable;
	} cases[8] = {
		[1] = {GPTE_RW | X86_PTE_A | X86_PTE_D, true, true},
		[2] = {GPTE_RW | X86_PTE_A, true, false}, /* D is not set */
		[3] = {GPTE_RW, false, false},            /* A is not set */
		[4] = {GPTE_RO | GPTE_AD, true, false},
		[5] = {X86_PTE_A | X86_PTE_D, false, false},
		[6] = {GPTE_RW | GPTE_AD | 1ull << 46, false, false}, /* reserved */
		[7] = {GPTE_RW | GPTE_AD, true, true},
	};
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	(void)state;
	policy.prefetch = 8;
	h = host_new_policy(&policy);
	host_start(h, h->root);
	for (unsigned i = 0; i < 16; i++)
		map(h, i, i && i < 8 ? cases[i].bits : GPTE_RW | GPTE_AD);
	host_access(h, GVA, 0);
	for (unsigned i = 1; i < 8; i++) {
		uint64_t spte = host_spte(h, GVA + i * 4096ull, 1);

		print_message("  case %u\n", i);
		assert_int_equal(!!spte, cases[i].present);
		assert_int_equal(!!(spte & X86_PTE_W), cases[i].writable);
		assert_int_equal(*gpte(h, i), gpte_of(DATA_GFN + i, cases[i].bits));
	}
	/* The window is aligned and ends where it ends. */
	assert_int_equal(host_spte(h, GVA + 8 * 4096, 1), 0);
	assert_int_equal(stats(h)->mmu_prefetch, 4);
	host_free(h);
}

static void prefetch_gives_no_way_to_write_a_table(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	(void)state;
	policy.prefetch = 512;
	h = host_new_policy(&policy);
	host_start(h, h->root);
	for (unsigned i = 0; i < 64; i++)
		host_map(h, h->root, GVA + i * 4096ull, 1, gpte_of(i, GPTE_RW | GPTE_AD));
	host_access(h, GVA + 63 * 4096, 0);
	for (unsigned i = 0; i < 63; i++) {
		struct frame *frame = frame_of(h->vm, i);

		assert_true(host_spte(h, GVA + i * 4096ull, 1) & X86_PTE_P);
		assert_int_equal(
			!(host_spte(h, GVA + i * 4096ull, 1) & X86_PTE_W), frame_protected(frame));
	}
	host_free(h);
}

/* ---- CR0.WP=0 ---- */

static void without_wp_the_supervisor_writes_and_the_user_does_not(void **state)
{
	static const struct {
		unsigned level; /* that lacks W */
		unsigned leaf;
	} cases[] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {2, 2}, {3, 2}, {4, 2}, {3, 3}};
	struct host *h = *state;

	host_regs(h, 0, 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		umbra_gva gva = (umbra_gva)(i + 1) << 39;
		uint64_t page = cases[i].leaf == 1 ? gpte_of(DATA_GFN, GPTE_RW)
						   : gpte_of(cases[i].leaf == 2 ? DATA_GFN : 0,
							     GPTE_RW | X86_PTE_PS);

		print_message("  case %u\n", i);
		gva += cases[i].leaf == 3 ? DATA_GFN * 4096 : 0;
		host_map(h, h->root, gva, cases[i].leaf, page);
		*host_gpte(h, h->root, gva, cases[i].level) &= ~X86_PTE_W;
		for (unsigned round = 0; round < 2; round++) {
			assert_int_equal(host_access(h, gva, WRITE).outcome, UMBRA_RESUME);
			assert_int_equal(host_access(h, gva, WRITE | USER).exit.error_code,
				WRITE | USER | X86_PF_P);
			assert_int_equal(host_access(h, gva, USER).outcome, UMBRA_RESUME);
			assert_int_equal(host_access(h, gva, WRITE | USER).outcome, UMBRA_INJECT);
		}
		assert_true(*host_gpte(h, h->root, gva, cases[i].leaf) & X86_PTE_D);
	}
	/* With WP it is the supervisor's fault as well: nothing is left over from before. */
	host_regs(h, X86_CR0_WP, 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(host_access(h,
					 ((umbra_gva)(i + 1) << 39) +
						 (cases[i].leaf == 3 ? DATA_GFN * 4096 : 0),
					 WRITE)
					 .outcome,
			UMBRA_INJECT);
}

static void rights_taken_from_a_leaf_by_the_flip_are_flushed(void **state)
{
	struct host *h = *state;

	host_regs(h, 0, 0);
	map(h, 0, GPTE_RO);
	host_access(h, GVA, USER);
	host_reset_flushes(h);
	host_access(h, GVA, WRITE); /* U goes */
	assert_int_equal(h->flush_all, 1);
	host_access(h, GVA, USER); /* W goes */
	assert_int_equal(h->flush_all, 2);
}

static void smep_holds_for_a_page_that_the_supervisor_wrote_without_wp(void **state)
{
	struct host *h = *state;

	host_regs(h, 0, X86_CR4_SMEP);
	map(h, 0, GPTE_RO);
	map(h, 1, X86_PTE_P);
	assert_int_equal(host_access(h, GVA, WRITE).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA, FETCH).exit.error_code, FETCH | X86_PF_P);
	assert_int_equal(host_access(h, GVA, FETCH | USER).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA + 4096, WRITE).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA + 4096, FETCH).outcome, UMBRA_RESUME);
}

/* Such a leaf would be a supervisor's, and SMAP would be passed by it: the store is emulated
 * instead. */
static void smap_is_not_passed_by_a_write_without_wp(void **state)
{
	struct host *h = *state;
	struct host_result result;

	host_regs(h, 0, X86_CR4_SMAP);
	map(h, 0, GPTE_RO);
	assert_int_equal(host_access(h, GVA, WRITE).exit.error_code, WRITE | X86_PF_P);
	result = host_access(h, GVA + 0x10, WRITE | ACCESS_AC);
	assert_int_equal(result.outcome, UMBRA_EMULATE);
	assert_int_equal(result.exit.gpa, DATA_GFN << 12 | 0x10);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, GVA, ACCESS_AC).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA, USER).outcome, UMBRA_RESUME);
}

static void smap_turned_on_later_is_not_passed_either(void **state)
{
	struct host *h = *state;

	host_regs(h, 0, 0);
	map(h, 0, GPTE_RO);
	assert_int_equal(host_access(h, GVA, WRITE).outcome, UMBRA_RESUME);
	host_regs(h, 0, X86_CR4_SMAP);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
	assert_int_equal(host_access(h, GVA, WRITE).outcome, UMBRA_INJECT);
}

static void without_wp_an_upper_entry_that_changes_its_w_counts_for_users(void **state)
{
	struct host *h = *state;
	uint64_t upper;

	host_regs(h, 0, 0);
	map(h, 0, GPTE_RW);
	/* With A: an entry that is merely replaced by one without is another story. */
	upper = *host_gpte(h, h->root, GVA, 3) | X86_PTE_A;
	for (unsigned round = 0; round < 3; round++) {
		uint64_t gpa = host_gpa(h, host_gpte(h, h->root, GVA, 3));

		assert_int_equal(host_access(h, GVA, WRITE | USER).outcome, UMBRA_RESUME);
		host_write_word(h, gpa, upper & ~X86_PTE_W);
		host_invlpg(h, GVA);
		assert_int_equal(host_access(h, GVA, WRITE | USER).outcome, UMBRA_INJECT);
		assert_int_equal(host_access(h, GVA, WRITE).outcome, UMBRA_RESUME);
		host_write_word(h, gpa, upper);
	}
}

/* ---- the way down, when it was gone before ---- */

/* Each change above the last level counts for a page that was not looked at before. */
static void what_is_known_of_a_way_dies_with_each_change_on_it(void **state)
{
	static const struct {
		uint64_t set, clear;
		access_bits access;
		uint32_t error_code;
	} cases[] = {
		{0, X86_PTE_W, WRITE, WRITE | X86_PF_P},
		{0, X86_PTE_U, USER, USER | X86_PF_P},
		{X86_PTE_NX, 0, FETCH, FETCH | X86_PF_P},
		{0, X86_PTE_P, 0, 0},
		{1ull << 48, 0, 0, X86_PF_P | X86_PF_RSVD},
	};
	struct host *h = *state;
	unsigned n = 0;

	for (unsigned level = 2; level <= 4; level++) {
		uint64_t *entry;

		map(h, n, GPTE_RW);
		entry = host_gpte(h, h->root, GVA, level);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct host_result result;
			uint64_t before;

			map(h, n, GPTE_RW);
			map(h, n + 1, GPTE_RW);
			assert_int_equal(
				host_access(h, GVA + n * 4096ull, USER).outcome, UMBRA_RESUME);
			before = *entry;
			host_write_word(
				h, host_gpa(h, entry), (before | cases[i].set) & ~cases[i].clear);
			n++;
			result = host_access(h, GVA + n * 4096ull, cases[i].access);
			assert_int_equal(result.outcome, UMBRA_INJECT);
			assert_int_equal(result.exit.error_code, cases[i].error_code);
			host_write_word(h, host_gpa(h, entry), before);
			assert_int_equal(*gpte(h, n) & GPTE_AD, 0);
			assert_int_equal(host_access(h, GVA + n * 4096ull, cases[i].access).outcome,
				UMBRA_RESUME);
			n++;
		}
	}
}

static void a_way_that_leads_to_other_tables_is_gone_anew(void **state)
{
	struct host *h = *state;

	for (unsigned level = 2; level <= 4; level++) {
		uint64_t twin = host_new_table(h);
		uint64_t *entry;

		map(h, 2 * level, GPTE_RW);
		map(h, 2 * level + 1, GPTE_RW);
		host_map(
			h, twin, GVA + (2 * level + 1) * 4096, 1, gpte_of(DATA_GFN + 100, GPTE_RW));
		host_read_gfn(h, GVA + 2 * level * 4096);
		entry = host_gpte(h, h->root, GVA, level);
		host_write_word(h, host_gpa(h, entry), *host_gpte(h, twin, GVA, level));
		assert_int_equal(host_read_gfn(h, GVA + (2 * level + 1) * 4096), DATA_GFN + 100);
	}
}

/* ---- tables in odd places ---- */

static void tables_in_read_only_memory_are_walked_without_setting_a_and_d(void **state)
{
	struct host *h = *state;

	host_map(h, h->root, GVA, 2, gpte_of(ROM_GFN, GPTE_RW));
	host_words(h, ROM_GFN)[3] = gpte_of(DATA_GFN, GPTE_RW);
	assert_int_equal(host_access(h, GVA + 3 * 4096, WRITE).hpa, (RAM_HFN + DATA_GFN) << 12);
	assert_int_equal(host_words(h, ROM_GFN)[3], gpte_of(DATA_GFN, GPTE_RW));
	assert_int_equal(host_access(h, GVA + 3 * 4096, WRITE).faults, 0);
	host_invlpg(h, GVA + 3 * 4096);
	assert_int_equal(host_access(h, GVA + 3 * 4096, 0).outcome, UMBRA_RESUME);
}

static void a_root_in_absent_memory_only_faults(void **state)
{
	struct host *h = *state;

	host_cr3(h, ABSENT_GFN);
	assert_int_equal(
		host_access(h, GVA, WRITE).exit.error_code, WRITE | X86_PF_P | X86_PF_RSVD);
	host_cr3(h, (1ull << 28) - 1);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
	host_cr3(h, DEVICE_GFN);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
}

/* Every table of the guest is the same frame, with 512 entries that all point to itself. */
static void a_table_that_is_all_tables_at_once_is_no_trouble(void **state)
{
	struct host *h = *state;

	for (unsigned i = 0; i < ENTRIES; i++)
		host_words(h, DATA_GFN)[i] = gpte_of(DATA_GFN, GPTE_RW);
	host_cr3(h, DATA_GFN);
	for (unsigned i = 0; i < 64; i++) {
		umbra_gva gva = 0x1234567891000ull * (i + 1) & 0x7ffffffff000;

		assert_int_equal(host_read_gfn(h, gva), DATA_GFN);
		assert_int_equal(
			host_store(h, gva + 8 * i, gpte_of(DATA_GFN, GPTE_RW | GPTE_AD)).outcome,
			UMBRA_EMULATE);
	}
	assert_int_equal(host_shadows(h, DATA_GFN), 4);
}

/* The second fault in a table, and each after it, goes a shorter way, to the same end. */
static void the_next_fault_of_a_table_prefetches_too(void **state)
{
	struct umbra_policy policy = umbra_policy_default;
	struct host *h = host_new_policy(&policy);

	(void)state;
	host_start(h, h->root);
	for (unsigned i = 0; i < 64; i += 2)
		host_map(h, h->root, GVA + i * X86_PAGE_SIZE, 1,
			gpte_of(DATA_GFN + i, GPTE_RW | GPTE_AD));
	assert_int_equal(host_access(h, GVA, 0).faults, 1);
	for (unsigned i = 8; i < 64; i += 8) {
		assert_int_equal(host_access(h, GVA + i * X86_PAGE_SIZE, X86_PF_W).faults, 1);
		for (unsigned n = 2; n < 8; n += 2)
			assert_int_equal(
				host_access(h, GVA + (i + n) * X86_PAGE_SIZE, X86_PF_W).faults, 0);
	}
	host_free(h);
}

static void it_finds_what_cannot_be_written_at_once(void **state)
{
	struct host *h = *state;

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RW));
	host_map(h, h->root, GVA + X86_PAGE_SIZE, 1, gpte_of(ROM_GFN, GPTE_RW));
	host_map(h, h->root, GVA + 2 * X86_PAGE_SIZE, 1, gpte_of(h->root, GPTE_RW));
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_RESUME);
	assert_int_equal(host_access(h, GVA + X86_PAGE_SIZE, X86_PF_W).outcome, UMBRA_MMIO);
	assert_int_equal(host_access(h, GVA + 2 * X86_PAGE_SIZE, X86_PF_W).outcome, UMBRA_EMULATE);
	assert_int_equal(umbra_stats(h->vm)->pf_taken, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		T(the_guest_gets_its_own_faults_as_the_processor_would_report_them),
		T(a_denied_write_to_a_page_that_is_mapped_is_the_guests_too),
		T(d_is_set_by_the_first_write_and_not_before),
		T(a_write_at_once_takes_one_fault),
		T(rights_of_upper_levels_are_kept_by_the_tree),
		T(smap_and_smep_are_left_to_the_processor_with_wp_set),
		T(an_implicit_supervisor_access_is_not_excused_by_ac),
		cmocka_unit_test(prefetch_installs_only_what_a_processor_could_have_cached),
		cmocka_unit_test(prefetch_gives_no_way_to_write_a_table),
		T(without_wp_the_supervisor_writes_and_the_user_does_not),
		T(rights_taken_from_a_leaf_by_the_flip_are_flushed),
		T(smep_holds_for_a_page_that_the_supervisor_wrote_without_wp),
		T(smap_is_not_passed_by_a_write_without_wp),
		T(smap_turned_on_later_is_not_passed_either),
		T(without_wp_an_upper_entry_that_changes_its_w_counts_for_users),
		T(what_is_known_of_a_way_dies_with_each_change_on_it),
		T(a_way_that_leads_to_other_tables_is_gone_anew),
		T(tables_in_read_only_memory_are_walked_without_setting_a_and_d),
		T(a_root_in_absent_memory_only_faults),
		T(a_table_that_is_all_tables_at_once_is_no_trouble),
		cmocka_unit_test(the_next_fault_of_a_table_prefetches_too),
		T(it_finds_what_cannot_be_written_at_once),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
