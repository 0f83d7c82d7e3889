/* SPDX-License-Identifier: MIT */
/*
 * The guest walk: which accesses are allowed, what a fault reports, and which A and D bits are set.
 * Source of what is expected: SDM 3A "Paging", "Access Rights", "Page-Fault Exceptions".
 */
#include "tests/unit/mmu_walk_root.h"

#define GVA 0x8080605000ull /* index 1, 2, 3, 5 */

static int try_access(struct host *h, access_bits access)
{
	struct walk walk;

	return walk_from_root(h, GVA, access, &walk);
}

/* All levels P, W, U; the leaf maps DATA_GFN. */
static void map(struct host *h)
{
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RW));
}

static uint64_t *gpte(struct host *h, unsigned level)
{
	return host_gpte(h, h->root, GVA, level);
}

static void set_nxe(struct host *h, bool on)
{
	struct umbra_paging_regs regs = h->vcpu->regs;
	struct umbra_exit out;

	regs.efer = on ? regs.efer | X86_EFER_NXE : regs.efer & ~X86_EFER_NXE;
	assert_int_equal(umbra_set_paging_regs(h->vcpu, &regs, &out), UMBRA_RESUME);
}

/* ---- rights ---- */

/* Restated from the manual, rule by rule: @w, @u, @nx are of the whole path. */
static bool manual_allows(access_bits access, uint64_t cr0, uint64_t cr4, bool w, bool u, bool nx)
{
	bool user_mode = access & X86_PF_U;

	if (user_mode && !u)
		return false;
	if (access & X86_PF_I)
		return !nx && (user_mode || !u || !(cr4 & X86_CR4_SMEP));
	if (!user_mode && u && (cr4 & X86_CR4_SMAP) && !(access & ACCESS_AC))
		return false;
	if (access & X86_PF_W)
		return w || (!user_mode && !(cr0 & X86_CR0_WP));
	return true;
}

/* (which level lacks the right) x W x U x NX x CR0.WP x CR4.SMEP x CR4.SMAP x access */
static void rights_of_all_levels_together_decide(void **state)
{
	static const access_bits accesses[] = {
		0,
		X86_PF_W,
		X86_PF_I,
		X86_PF_U,
		X86_PF_U | X86_PF_W,
		X86_PF_U | X86_PF_I,
		ACCESS_AC,
		ACCESS_AC | X86_PF_W,
	};
	struct host *h = *state;
	unsigned n_denied = 0;

	map(h);
	for (unsigned bits = 0; bits < 64; bits++) {
		bool w = bits & 1, u = bits & 2, nx = bits & 4;
		uint64_t cr0 = bits & 8 ? X86_CR0_WP : 0;
		uint64_t cr4 = (bits & 16 ? X86_CR4_SMEP : 0) | (bits & 32 ? X86_CR4_SMAP : 0);

		host_regs(h, cr0, cr4);
		for (unsigned level = 1; level <= 4; level++) {
			uint64_t old = *gpte(h, level);

			*gpte(h, level) = (old & ~(X86_PTE_W | X86_PTE_U)) | (w ? X86_PTE_W : 0) |
					  (u ? X86_PTE_U : 0) | (nx ? X86_PTE_NX : 0);
			for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
				access_bits a = accesses[i];
				int error = try_access(h, a);

				if (manual_allows(a, cr0, cr4, w, u, nx)) {
					assert_int_equal(error, ALLOWED);
				} else {
					assert_int_equal(error,
						(int)(X86_PF_P |
							(a & (X86_PF_W | X86_PF_U | X86_PF_I))));
					n_denied++;
				}
			}
			*gpte(h, level) = old;
		}
	}
	assert_true(n_denied > 500);
}

/* ---- faults ---- */

static void an_absent_entry_at_any_level_faults_without_p(void **state)
{
	struct host *h = *state;

	map(h);
	for (unsigned level = 1; level <= 4; level++) {
		uint64_t old = *gpte(h, level);

		*gpte(h, level) = old & ~X86_PTE_P;
		assert_int_equal(try_access(h, X86_PF_W | X86_PF_U), X86_PF_W | X86_PF_U);
		/* Nothing else in an entry that is not present counts. */
		*gpte(h, level) = ~X86_PTE_P;
		assert_int_equal(try_access(h, 0), 0);
		*gpte(h, level) = old;
	}
	assert_int_equal(try_access(h, X86_PF_W | X86_PF_U), ALLOWED);
}

/* MAXPHYADDR is 40 here. */
static void reserved_bits_fault_with_p_and_rsvd(void **state)
{
	static const struct {
		unsigned level;
		uint64_t bits;
		bool nxe_only; /* reserved only without EFER.NXE */
		bool reserved;
	} cases[] = {
		{4, 1ull << 40, false, true},
		{3, 1ull << 40, false, true},
		{2, 1ull << 45, false, true},
		{1, 1ull << 51, false, true},
		{1, 1ull << 39, false, false},
		{4, X86_PTE_NX, true, true},
		{3, X86_PTE_NX, true, true},
		{2, X86_PTE_NX, true, true},
		{1, X86_PTE_NX, true, true},
		{4, X86_PTE_PS, false, true},
		{3, X86_PTE_PS | 1ull << 13, false, true},
		{3, X86_PTE_PS | 1ull << 29, false, true},
		{3, X86_PTE_PS | 1ull << 12, false, false}, /* PAT */
		{2, X86_PTE_PS | 1ull << 13, false, true},
		{2, X86_PTE_PS | 1ull << 20, false, true},
		{2, X86_PTE_PS | 1ull << 12, false, false},
		{1, X86_PTE_PAT_4K, false, false},
		/* Ignored: software bits, G above the leaf, keys without CR4.PKE. */
		{4, 0x7full << 52, false, false},
		{3, 0xe00, false, false},
		{2, X86_PTE_G, false, false},
		{1, 0x7ffull << 52, false, false},
		{4, X86_PTE_D, false, false},
	};
	struct host *h = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned nxe = 0; nxe < 2; nxe++) {
			unsigned level = cases[i].level;
			bool reserved = cases[i].reserved && !(cases[i].nxe_only && nxe);
			uint64_t old;

			print_message("  case %zu nxe=%u\n", i, nxe);
			set_nxe(h, nxe);
			map(h);
			old = *gpte(h, level);
			*gpte(h, level) = cases[i].bits & X86_PTE_PS ? GPTE_RW | cases[i].bits
								     : old | cases[i].bits;
			assert_int_equal(try_access(h, X86_PF_W),
				reserved ? (int)(X86_PF_P | X86_PF_RSVD | X86_PF_W) : ALLOWED);
			*gpte(h, level) = old;
		}
	}
	set_nxe(h, true);
}

static void gigabyte_pages_are_reserved_where_the_processor_has_none(void **state)
{
	struct host *h =
		host_new(&(struct host_config){.policy = host_plain_policy(), .no_1g = true});

	(void)state;
	host_start(h, h->root);
	host_map(h, h->root, GVA, 3, GPTE_RW | X86_PTE_PS);
	assert_int_equal(try_access(h, 0), X86_PF_P | X86_PF_RSVD);
	host_free(h);
}

/* An upper level without rights, and below it something worse: the worse one is reported. */
static void absence_and_reserved_bits_come_before_rights(void **state)
{
	struct host *h = *state;

	map(h);
	*gpte(h, 4) &= ~(X86_PTE_U | X86_PTE_W);
	assert_int_equal(try_access(h, X86_PF_U | X86_PF_W), X86_PF_P | X86_PF_U | X86_PF_W);
	*gpte(h, 1) |= 1ull << 50;
	assert_int_equal(try_access(h, X86_PF_U), X86_PF_P | X86_PF_RSVD | X86_PF_U);
	*gpte(h, 2) &= ~X86_PTE_P;
	assert_int_equal(try_access(h, X86_PF_U), X86_PF_U);
	/* Of two, the higher level: the walk ends there. */
	*gpte(h, 3) |= 1ull << 50;
	assert_int_equal(try_access(h, 0), X86_PF_P | X86_PF_RSVD);
}

/* SDM 3A "Interrupt 14": I/D is reported only if CR4.SMEP=1 or EFER.NXE=1 (with PAE). */
static void a_fetch_is_reported_only_with_nx_or_smep(void **state)
{
	struct host *h = *state;

	for (unsigned bits = 0; bits < 4; bits++) {
		host_regs(h, X86_CR0_WP, bits & 2 ? X86_CR4_SMEP : 0);
		set_nxe(h, bits & 1);
		assert_int_equal(try_access(h, X86_PF_I | X86_PF_U),
			bits ? (int)(X86_PF_I | X86_PF_U) : (int)X86_PF_U);
	}
}

/* ---- translation ---- */

static void pages_of_each_size_translate_to_the_frame_within(void **state)
{
	struct host *h = *state;
	struct walk walk;

	map(h);
	assert_int_equal(walk_from_root(h, GVA | 0xabc, 0, &walk), ALLOWED);
	assert_int_equal(walk.gfn, DATA_GFN);
	assert_int_equal(walk.leaf_level, 1);
	/* Bit 12 of a large entry is PAT and no address bit. */
	*gpte(h, 2) = gpte_of(DATA_GFN, GPTE_RW | X86_PTE_PS | X86_PTE_PAT_LARGE);
	assert_int_equal(walk_from_root(h, GVA, 0, &walk), ALLOWED);
	assert_int_equal(walk.gfn, DATA_GFN + 5);
	assert_int_equal(walk.leaf_level, 2);
	*gpte(h, 3) = gpte_of(1ull << 18, GPTE_RW | X86_PTE_PS | X86_PTE_PAT_LARGE);
	assert_int_equal(walk_from_root(h, GVA, 0, &walk), ALLOWED);
	assert_int_equal(walk.gfn, (1ull << 18) + 3 * 512 + 5);
	assert_int_equal(walk.leaf_level, 3);
}

static void an_absent_table_reads_as_all_ones(void **state)
{
	struct host *h = *state;
	struct walk walk;

	map(h);
	/* All ones at level 1: with 40 address bits that is reserved. */
	*gpte(h, 2) = gpte_of(ABSENT_GFN, GPTE_RW);
	assert_int_equal(walk_from_root(h, GVA, 0, &walk), X86_PF_P | X86_PF_RSVD);
	*gpte(h, 2) = gpte_of(DEVICE_GFN, GPTE_RW);
	assert_int_equal(walk_from_root(h, GVA, 0, &walk), X86_PF_P | X86_PF_RSVD);
	host_cr3(h, ABSENT_GFN);
	assert_int_equal(walk_from_root(h, GVA, 0, &walk), X86_PF_P | X86_PF_RSVD);
}

/* ... and with all 52 bits it is a page of the last frame there can be. */
static void an_absent_table_maps_the_last_frame_where_no_bit_is_reserved(void **state)
{
	struct host *h =
		host_new(&(struct host_config){.policy = host_plain_policy(), .maxphyaddr = 52});
	struct walk walk;

	(void)state;
	host_start(h, h->root);
	map(h);
	*gpte(h, 2) = gpte_of(ABSENT_GFN, GPTE_RW);
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
	assert_int_equal(walk.gfn, (1ull << 40) - 1);
	assert_int_equal(walk_from_root(h, GVA, X86_PF_I, &walk), X86_PF_P | X86_PF_I);
	host_free(h);
}

static void without_paging_all_of_32_bits_is_allowed(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h = host_new_policy(&policy);
	struct walk walk = {0};

	(void)state;
	assert_int_equal(walk_from_root(h, 0xfffff123, X86_PF_W, &walk), ALLOWED);
	assert_int_equal(walk.gfn, 0xfffff);
	assert_int_equal(walk_from_root(h, 0x1000, X86_PF_I, &walk), ALLOWED);
	assert_int_equal(walk.gfn, 1);
	host_free(h);
}

/* ---- A and D ---- */

static void a_is_set_at_every_level_and_d_only_at_the_leaf_of_a_write(void **state)
{
	struct host *h = *state;

	for (unsigned leaf = 1; leaf <= 3; leaf++) {
		for (unsigned write = 0; write < 2; write++) {
			struct walk walk;

			map(h);
			if (leaf > 1)
				*gpte(h, leaf) = GPTE_RW | X86_PTE_PS;
			for (unsigned level = leaf; level <= 4; level++)
				*gpte(h, level) &= ~GPTE_AD;
			assert_int_equal(
				walk_from_root(h, GVA, write ? X86_PF_W : 0, &walk), ALLOWED);
			for (unsigned level = leaf; level <= 4; level++)
				assert_false(*gpte(h, level) & GPTE_AD);
			assert_true(walk_set_ad(&walk, write ? X86_PF_W : 0));
			for (unsigned level = leaf; level <= 4; level++) {
				assert_int_equal(*gpte(h, level) & GPTE_AD,
					level == leaf && write ? GPTE_AD : X86_PTE_A);
				assert_int_equal(walk.gpte[level], *gpte(h, level));
			}
			*gpte(h, leaf) = 0;
		}
	}
}

static void an_entry_that_changed_meanwhile_is_not_touched(void **state)
{
	struct host *h = *state;
	struct walk walk;

	map(h);
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
	*gpte(h, 1) = gpte_of(DATA_GFN + 9, GPTE_RO);
	assert_false(walk_set_ad(&walk, X86_PF_W));
	assert_int_equal(*gpte(h, 1), gpte_of(DATA_GFN + 9, GPTE_RO));
}

static void a_table_that_cannot_be_written_loses_a_and_d_but_not_the_access(void **state)
{
	struct host *h = *state;
	struct walk walk;

	map(h);
	*gpte(h, 2) = gpte_of(ROM_GFN, GPTE_RW);
	host_words(h, ROM_GFN)[gva_index(GVA, 1)] = gpte_of(DATA_GFN, GPTE_RW);
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
	assert_true(walk_set_ad(&walk, X86_PF_W));
	assert_int_equal(host_words(h, ROM_GFN)[gva_index(GVA, 1)], gpte_of(DATA_GFN, GPTE_RW));
	assert_int_equal(walk.gpte[1] & GPTE_AD, GPTE_AD);
	assert_true(*gpte(h, 2) & X86_PTE_A);
}

/* ---- umbra_translate(), which looks without touching ---- */

static bool look_up(
	struct host *h, umbra_gva gva, uint32_t access, umbra_gpa *gpa, struct umbra_exit *out)
{
	struct umbra_page_fault looked_up = {
		.gva = gva, .error_code = access, .cpl = access & X86_PF_U ? 3 : 0};

	return umbra_translate(h->vcpu, &looked_up, gpa, out);
}

static void looking_up_a_translation_leaves_no_trace(void **state)
{
	struct host *h = *state;
	struct umbra_exit out;
	umbra_gpa gpa;

	map(h);
	assert_true(look_up(h, GVA | 0x123, X86_PF_W | X86_PF_U, &gpa, &out));
	assert_int_equal(gpa, DATA_GFN << X86_PAGE_SHIFT | 0x123);
	for (unsigned level = 1; level <= 4; level++)
		assert_false(*gpte(h, level) & GPTE_AD);
	assert_int_equal(host_spte(h, GVA, 4), 0);
	*gpte(h, 3) &= ~X86_PTE_U;
	assert_false(look_up(h, GVA, X86_PF_U, &gpa, &out));
	assert_int_equal(out.vector, X86_PF);
	assert_int_equal(out.error_code, X86_PF_P | X86_PF_U);
	assert_int_equal(out.gva, GVA);
	assert_true(look_up(h, GVA, 0, &gpa, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		T(rights_of_all_levels_together_decide),
		T(an_absent_entry_at_any_level_faults_without_p),
		T(reserved_bits_fault_with_p_and_rsvd),
		cmocka_unit_test(gigabyte_pages_are_reserved_where_the_processor_has_none),
		T(absence_and_reserved_bits_come_before_rights),
		T(a_fetch_is_reported_only_with_nx_or_smep),
		T(pages_of_each_size_translate_to_the_frame_within),
		T(an_absent_table_reads_as_all_ones),
		cmocka_unit_test(an_absent_table_maps_the_last_frame_where_no_bit_is_reserved),
		cmocka_unit_test(without_paging_all_of_32_bits_is_allowed),
		T(a_is_set_at_every_level_and_d_only_at_the_leaf_of_a_write),
		T(an_entry_that_changed_meanwhile_is_not_touched),
		T(a_table_that_cannot_be_written_loses_a_and_d_but_not_the_access),
		T(looking_up_a_translation_leaves_no_trace),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
