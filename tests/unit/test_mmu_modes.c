/* SPDX-License-Identifier: MIT */
/*
 * Control registers: which states there are, what is refused, when the PDPTE registers are loaded,
 * CR3 with PCID, INVPCID, canonical addresses. Source of what is expected: SDM 3A "Control
 * Registers", "PDPTE Registers", "Process-Context Identifiers (PCIDs)"; SDM 2 "INVPCID".
 */
#include "tests/unit/mmu_host.h"

#include <stdlib.h>
#include <string.h>

#include "mmu/src/slot.h"

#define GVA  0x40000000ull /* of PDPTE 1 */
#define LEAF (GPTE_RW | GPTE_AD)

#define PG  X86_CR0_PG
#define PE  X86_CR0_PE
#define PAE X86_CR4_PAE
#define LME X86_EFER_LME
#define LMA X86_EFER_LMA

/* ---- which states there are ---- */

static enum umbra_outcome try_regs(struct host *h, const struct umbra_paging_regs *regs)
{
	struct umbra_exit out = {.vector = 99, .error_code = 99};
	enum umbra_outcome outcome = umbra_set_paging_regs(h->vcpu, regs, &out);

	if (outcome == UMBRA_INJECT) {
		assert_int_equal(out.vector, X86_GP);
		assert_int_equal(out.error_code, 0);
	}
	host_check(h);
	return outcome;
}

static void each_mode_runs_on_its_shadow_mode(void **state)
{
	static const struct {
		uint64_t cr0, cr4, efer;
		enum umbra_shadow_mode expect;
	} cases[] = {
		{0, 0, 0, UMBRA_SHADOW_PAE},
		{PE, PAE, LME, UMBRA_SHADOW_PAE},
		{PG | PE, 0, 0, UMBRA_SHADOW_PAE},
		{PG | PE, X86_CR4_PSE | X86_CR4_LA57, X86_EFER_NXE, UMBRA_SHADOW_PAE},
		{PG | PE, PAE, 0, UMBRA_SHADOW_PAE},
		{PG | PE, PAE | X86_CR4_LA57, X86_EFER_NXE, UMBRA_SHADOW_PAE},
		{PG | PE, PAE, LME | LMA, UMBRA_SHADOW_4LEVEL},
		{PG | PE, PAE | X86_CR4_PCIDE, LME | LMA, UMBRA_SHADOW_4LEVEL},
		{PG | PE, PAE | X86_CR4_LA57, LME | LMA, UMBRA_SHADOW_5LEVEL},
	};
	struct host *h = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct umbra_paging_regs regs = {.cr0 = cases[i].cr0,
			.cr3 = h->root << X86_PAGE_SHIFT,
			.cr4 = cases[i].cr4,
			.efer = cases[i].efer};

		print_message("  case %zu\n", i);
		assert_int_equal(try_regs(h, &regs), UMBRA_RESUME);
		assert_int_equal(umbra_shadow_mode(h->vcpu), cases[i].expect);
		assert_memory_equal(&h->vcpu->regs, &regs, sizeof(regs));
	}
}

/* The processor of these tests fails a test at reserved bits in the entries it walks. */
static void without_paging_each_frame_is_where_it_is(void **state)
{
	(void)state;
	for (unsigned large = 0; large < 2; large++) {
		struct umbra_policy policy = host_plain_policy();
		struct host *h;

		policy.large = large;
		h = host_new_policy(&policy);
		for (unsigned round = 0; round < 2; round++) {
			static const access_bits accesses[] = {0, X86_PF_W, X86_PF_U, X86_PF_I};

			for (uint64_t gfn = 0; gfn < RAM_FRAMES; gfn += 300) {
				assert_int_equal(host_read_gfn(h, gfn << 12), gfn);
				assert_int_equal(
					host_access(h, gfn << 12, accesses[gfn / 300 % 4]).outcome,
					UMBRA_RESUME);
			}
			assert_int_equal(host_read_gfn(h, DEVICE_GFN << 12), DEVICE_GFN);
			assert_int_equal(host_access(h, 0xfffff000, X86_PF_W).exit.gpa, 0xfffff000);
		}
		host_free(h);
	}
}

static void a_state_that_no_processor_is_in_is_refused_and_nothing_changes(void **state)
{
	static const struct umbra_paging_regs cases[] = {
		{.cr0 = PG},
		{.cr0 = PG, .cr4 = PAE, .efer = LME | LMA},
		{.cr0 = PG | PE, .cr4 = PAE, .efer = LME},
		{.cr0 = PG | PE, .cr4 = PAE, .efer = LMA},
		{.cr0 = PE, .cr4 = PAE, .efer = LME | LMA},
		{.cr0 = PE, .efer = LMA},
		{.cr0 = PG | PE, .efer = LME | LMA},
		{.cr0 = PG | PE, .cr4 = X86_CR4_LA57, .efer = LME | LMA},
		{.cr0 = PG | PE, .cr4 = PAE | X86_CR4_PCIDE},
		{.cr0 = PG | PE, .cr4 = X86_CR4_PCIDE},
		{.cr0 = PE, .cr4 = PAE | X86_CR4_PCIDE, .efer = LME},
		{.cr0 = PG | PE, .cr4 = PAE, .efer = LME | LMA, .cr3 = 1ull << 40},
		{.cr0 = PG | PE, .cr4 = PAE, .efer = LME | LMA, .cr3 = 1ull << 63},
		{.cr0 = PG | PE, .cr4 = PAE | X86_CR4_PCIDE, .efer = LME | LMA, .cr3 = 1ull << 63},
	};
	struct host *h = *state;

	for (unsigned mode = HOST_UNPAGED; mode <= HOST_5LEVEL; mode++) {
		struct umbra_vcpu *before = malloc(sizeof(*before));

		host_start_mode(h, mode, h->root);
		memcpy(before, h->vcpu, sizeof(*before));
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			print_message("  mode %u, case %zu\n", mode, i);
			assert_int_equal(try_regs(h, &cases[i]), UMBRA_INJECT);
			assert_memory_equal(h->vcpu, before, sizeof(*before));
		}
		free(before);
	}
}

/* ---- PDPTE registers ---- */

static uint64_t *pdpt(struct host *h)
{
	return host_words(h, h->root);
}

/* PDPTE 1 leads to a page directory that maps GVA to DATA_GFN + n. */
static uint64_t pdpte_to(struct host *h, unsigned n)
{
	uint64_t directory = host_new_table(h), table = host_new_table(h);

	host_words(h, directory)[0] = gpte_of(table, GPTE_RW);
	host_words(h, table)[0] = gpte_of(DATA_GFN + n, LEAF);
	return gpte_of(directory, X86_PTE_P);
}

static struct host *pae_host(void)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h = host_new_policy(&policy);

	pdpt(h)[1] = pdpte_to(h, 0);
	host_start_mode(h, HOST_PAE, h->root);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	return h;
}

static int setup_pae(void **state)
{
	*state = pae_host();
	return 0;
}

/* {what a MOV changes, whether it loads the PDPTEs} */
static void pdptes_are_loaded_by_the_changes_that_the_manual_names_and_by_no_others(void **state)
{
	static const struct {
		uint64_t cr0, cr4, efer, cr3; /* toggled */
		bool loads;
	} cases[] = {
		{.cr0 = X86_CR0_CD, .loads = true}, {.cr0 = X86_CR0_NW, .loads = true},
		{.cr4 = X86_CR4_PGE, .loads = true}, {.cr4 = X86_CR4_PSE, .loads = true},
		{.cr4 = X86_CR4_SMEP, .loads = true},
		{.cr3 = X86_CR3_PCD, .loads = true}, /* a task switch: CR3 changes its value */
		{.cr0 = X86_CR0_WP | X86_CR0_TS | X86_CR0_AM | X86_CR0_NE},
		{.cr4 = X86_CR4_SMAP | X86_CR4_LA57 | X86_CR4_PKE | X86_CR4_PKS},
		{.cr4 = X86_CR4_VME | X86_CR4_OSFXSR | X86_CR4_MCE},
		{.efer = X86_EFER_NXE | X86_EFER_SCE}, {.loads = false}, /* the same again */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *h = pae_host();
		struct umbra_paging_regs regs = h->vcpu->regs;
		struct host_result result;

		print_message("  case %zu\n", i);
		pdpt(h)[1] = pdpte_to(h, 1);
		pdpt(h)[2] = pdpte_to(h, 2);
		regs.cr0 ^= cases[i].cr0;
		regs.cr4 ^= cases[i].cr4;
		regs.efer ^= cases[i].efer;
		regs.cr3 ^= cases[i].cr3;
		assert_int_equal(try_regs(h, &regs), UMBRA_RESUME);
		/* As a user: CR4.SMAP is one of the cases. */
		result = host_access(h, GVA, X86_PF_U);
		assert_int_equal(
			result.hpa, (RAM_HFN + DATA_GFN + cases[i].loads) << X86_PAGE_SHIFT);
		assert_int_equal(host_access(h, 2 * GVA, X86_PF_U).outcome,
			cases[i].loads ? UMBRA_RESUME : UMBRA_INJECT);
		host_free(h);
	}
}

static void pdptes_in_memory_have_no_effect_until_a_load(void **state)
{
	struct host *h = *state;
	uint64_t word = pdpte_to(h, 1);

	/* Neither the guest's stores, nor an invalidation, nor a fault, nor an embedder's store. */
	pdpt(h)[1] = word;
	host_invlpg(h, GVA);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	host_write_word(h, host_gpa(h, &pdpt(h)[1]), word);
	host_write_word(h, host_gpa(h, &pdpt(h)[2]), word);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	assert_int_equal(host_access(h, 2 * GVA, 0).exit.error_code, 0);
	/* The same value is a load too. */
	host_cr3(h, h->root);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	assert_int_equal(host_read_gfn(h, 2 * GVA), DATA_GFN + 1);
	/* One that is gone in memory is good until then, too. */
	pdpt(h)[1] = 0;
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	host_cr3(h, h->root);
	assert_int_equal(host_access(h, GVA, 0).exit.error_code, 0);
}

static void pdptes_are_loaded_when_paging_begins_and_not_before(void **state)
{
	struct host *h = *state;
	struct umbra_paging_regs on = h->vcpu->regs, off = on;
	struct umbra_exit out;

	off.cr0 &= ~X86_CR0_PG;
	host_set_regs(h, &off);
	/* A load of CR3 without paging looks at no PDPTE, however wrong. */
	pdpt(h)[1] = X86_PTE_P | X86_PTE_W;
	assert_int_equal(umbra_load_cr3(h->vcpu, on.cr3, &out), UMBRA_RESUME);
	assert_int_equal(try_regs(h, &on), UMBRA_INJECT);
	assert_int_equal(host_read_gfn(h, GVA + 0x5000), ABSENT_GFN);
	pdpt(h)[1] = pdpte_to(h, 3);
	assert_int_equal(try_regs(h, &on), UMBRA_RESUME);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 3);
	/* By way of 2-level paging: CR4.PAE changes. */
	off = on;
	off.cr4 &= ~X86_CR4_PAE;
	host_set_regs(h, &off);
	pdpt(h)[1] = pdpte_to(h, 4);
	assert_int_equal(try_regs(h, &on), UMBRA_RESUME);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 4);
}

static void the_pdpt_is_32_bytes_anywhere_below_4g(void **state)
{
	struct host *h = *state;
	struct umbra_exit out;

	for (unsigned at = 0; at < X86_PAGE_SIZE; at += 32) {
		memset(pdpt(h), 0xff, X86_PAGE_SIZE);
		memset(pdpt(h) + at / 8, 0, 32);
		pdpt(h)[at / 8 + 1] = pdpte_to(h, at / 32);
		/* Bits 4:0 are PWT, PCD and ignored ones, and bits 63:32 are no address here. */
		assert_int_equal(
			umbra_load_cr3(h->vcpu, 1ull << 45 | (h->root << 12) | at | 0x1f, &out),
			UMBRA_RESUME);
		host_check(h);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + at / 32);
	}
}

/* MAXPHYADDR is 40 here. */
static void reserved_bits_of_a_present_pdpte_are_refused_and_nothing_changes(void **state)
{
	struct host *h = *state;
	const uint64_t reserved = 0x1e6 | ~((1ull << 40) - 1);
	struct umbra_paging_regs regs = h->vcpu->regs;
	struct umbra_vcpu *before = malloc(sizeof(*before));

	regs.cr4 ^= X86_CR4_PGE;
	memcpy(before, h->vcpu, sizeof(*before));
	for (unsigned bit = 1; bit < 64; bit++) {
		struct umbra_exit out = {0};
		bool bad = reserved >> bit & 1;
		unsigned i = bit % 4;

		print_message("  bit %u\n", bit);
		memset(pdpt(h), 0, 32);
		pdpt(h)[i] = X86_PTE_P | 1ull << bit;
		if (bad) {
			assert_int_equal(try_regs(h, &regs), UMBRA_INJECT);
			assert_int_equal(
				umbra_load_cr3(h->vcpu, h->root << 12, &out), UMBRA_INJECT);
			assert_int_equal(out.vector, X86_GP);
			assert_int_equal(out.error_code, 0);
			assert_memory_equal(h->vcpu, before, sizeof(*before));
			assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
			memcpy(before, h->vcpu, sizeof(*before));
		}
		/* Nothing else in one that is not present counts. */
		pdpt(h)[i] &= ~X86_PTE_P;
		assert_int_equal(umbra_load_cr3(h->vcpu, h->root << 12, &out), UMBRA_RESUME);
		pdpt(h)[i] |= X86_PTE_P;
		if (!bad)
			assert_int_equal(
				umbra_load_cr3(h->vcpu, h->root << 12, &out), UMBRA_RESUME);
		host_check(h);
		memset(pdpt(h), 0, 32);
		pdpt(h)[1] = pdpte_to(h, 0);
		host_cr3(h, h->root);
		memcpy(before, h->vcpu, sizeof(*before));
	}
	free(before);
}

static void pdptes_in_absent_memory_are_refused(void **state)
{
	struct host *h = *state;
	struct umbra_exit out;

	assert_int_equal(umbra_load_cr3(h->vcpu, ABSENT_GFN << 12, &out), UMBRA_INJECT);
	assert_int_equal(umbra_load_cr3(h->vcpu, DEVICE_GFN << 12, &out), UMBRA_INJECT);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	/* From read-only memory they are as good as from any. */
	host_words(h, ROM_GFN)[1] = pdpte_to(h, 1);
	assert_int_equal(umbra_load_cr3(h->vcpu, ROM_GFN << 12, &out), UMBRA_RESUME);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 1);
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
}

/* ---- CR3 with PCID ---- */

static void bit_63_of_cr3_is_taken_only_with_pcide_and_is_not_kept(void **state)
{
	struct host *h = *state;
	uint64_t cr3 = h->root << X86_PAGE_SHIFT;
	struct umbra_exit out;

	host_start(h, h->root);
	assert_int_equal(umbra_load_cr3(h->vcpu, cr3 | X86_CR3_NO_FLUSH, &out), UMBRA_INJECT);
	host_regs(h, X86_CR0_WP, X86_CR4_PCIDE);
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_reset_flushes(h);
	assert_int_equal(
		umbra_load_cr3(h->vcpu, cr3 | 0x123 | X86_CR3_NO_FLUSH, &out), UMBRA_RESUME);
	host_check(h);
	assert_int_equal(h->vcpu->regs.cr3, cr3 | 0x123);
	assert_true(host_flushes(h) > 0);
	assert_int_equal(host_read_gfn(h, GVA), DATA_GFN);
	for (unsigned bit = 40; bit < 63; bit++)
		assert_int_equal(umbra_load_cr3(h->vcpu, cr3 | 1ull << bit, &out), UMBRA_INJECT);
	assert_int_equal(h->vcpu->regs.cr3, cr3 | 0x123);
}

/* A PCID is no part of the root's address. */
static void each_pcid_runs_on_the_same_root(void **state)
{
	struct host *h = *state;
	umbra_hpa root;

	host_start(h, h->root);
	host_regs(h, X86_CR0_WP, X86_CR4_PCIDE);
	root = umbra_root(h->vcpu);
	for (uint64_t pcid = 0; pcid < 4096; pcid += 0x111) {
		struct umbra_exit out;

		assert_int_equal(umbra_load_cr3(h->vcpu, h->root << 12 | pcid, &out), UMBRA_RESUME);
		assert_int_equal(umbra_root(h->vcpu), root);
	}
}

/* ---- INVPCID ---- */

enum { LONG = 0, WITH_PCIDE, LEGACY, LA57, N_STATES };

static void enter_state(struct host *h, unsigned which)
{
	static const enum host_mode modes[N_STATES] = {
		HOST_4LEVEL, HOST_4LEVEL, HOST_PAE, HOST_5LEVEL};

	host_start_mode(h, modes[which], h->root);
	if (which == WITH_PCIDE)
		host_regs(h, X86_CR0_WP, X86_CR4_PCIDE);
}

static void invpcid_is_refused_where_the_manual_says(void **state)
{
	const uint64_t odd = 0x1000000000000; /* bit 48: canonical with CR4.LA57 only */
	const struct {
		uint64_t type, pcid, gva;
		bool refused[N_STATES];
	} cases[] = {
		{0, 0, GVA, {false, false, false, false}},
		{0, 0, 0xffff800000000000, {false, false, false, false}},
		{0, 0, odd, {true, true, true, false}},
		{0, 0, 1ull << 57, {true, true, true, true}},
		{0, 0, 1ull << 63, {true, true, true, true}},
		{0, 5, GVA, {true, false, true, true}},
		{0, 0xfff, GVA, {true, false, true, true}},
		{0, 0x1000, GVA, {true, true, true, true}},
		{0, 1ull << 63, GVA, {true, true, true, true}},
		{1, 0, odd, {false, false, false, false}},
		{1, 5, odd, {true, false, true, true}},
		{1, 0x1000, GVA, {true, true, true, true}},
		{1, 1ull << 32, GVA, {true, true, true, true}},
		{2, 5, ~0ull / 3, {false, false, false, false}},
		{2, 0x1000, GVA, {true, true, true, true}},
		{3, 0xfff, ~0ull / 3, {false, false, false, false}},
		{3, 1ull << 63, GVA, {true, true, true, true}},
		{4, 0, GVA, {true, true, true, true}},
		{1ull << 32, 0, GVA, {true, true, true, true}},
		{~0ull, 0, GVA, {true, true, true, true}},
	};
	struct host *h = *state;

	for (unsigned s = 0; s < N_STATES; s++) {
		enter_state(h, s);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct umbra_invpcid what = {.pcid = cases[i].pcid, .gva = cases[i].gva};
			struct umbra_exit out = {.vector = 99, .error_code = 99};
			bool refused = cases[i].refused[s];

			print_message("  state %u, case %zu\n", s, i);
			host_reset_flushes(h);
			assert_int_equal(umbra_invpcid(h->vcpu, cases[i].type, &what, &out),
				refused ? UMBRA_INJECT : UMBRA_RESUME);
			host_check(h);
			assert_int_equal(!refused, host_flushes(h) + h->flush_gva > 0);
			if (refused) {
				assert_int_equal(out.vector, X86_GP);
				assert_int_equal(out.error_code, 0);
			}
		}
	}
}

#define WINDOW 0x7f0000000000ull /* gva of frame n is WINDOW + n pages */

/* A machine with PCID 5 whose last-level table of GVA is unsync, and changed. */
static struct host *unsync_host(void)
{
	struct umbra_policy policy = host_plain_policy();
	struct umbra_exit out;
	struct host *h;

	policy.oos = UMBRA_OOS_LEAF;
	policy.sticky = 100;
	h = host_new_policy(&policy);
	host_map(h, h->root, WINDOW, 2, gpte_of(0, LEAF | X86_PTE_PS));
	for (unsigned i = 0; i < 2; i++)
		host_map(h, h->root, GVA + i * 4096, 1, gpte_of(DATA_GFN + i, LEAF));
	host_start(h, h->root);
	host_regs(h, X86_CR0_WP, X86_CR4_PCIDE);
	assert_int_equal(umbra_load_cr3(h->vcpu, h->root << 12 | 5, &out), UMBRA_RESUME);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t *entry = host_gpte(h, h->root, GVA + i * 4096, 1);

		assert_int_equal(host_read_gfn(h, GVA + i * 4096), DATA_GFN + i);
		assert_int_equal(
			host_store(h, WINDOW + host_gpa(h, entry), gpte_of(DATA_GFN + 8 + i, LEAF))
				.outcome,
			UMBRA_RESUME);
		assert_int_equal(host_read_gfn(h, GVA + i * 4096), DATA_GFN + i);
	}
	host_reset_flushes(h);
	return h;
}

/* Each type makes the change visible that it invalidates; more than that is allowed, less is not.
 */
static void invpcid_shows_what_it_invalidates(void **state)
{
	static const struct {
		uint64_t type, pcid;
		bool whole; /* the vCPU is flushed; else one address, and the other stays */
	} cases[] = {{0, 5, false}, {0, 6, true}, {1, 5, true}, {1, 6, true}, {2, 0, true},
		{3, 0, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *h = unsync_host();
		struct umbra_invpcid what = {.pcid = cases[i].pcid, .gva = GVA};
		uint64_t counted = umbra_stats(h->vm)->invlpg;
		struct umbra_exit out;

		print_message("  case %zu\n", i);
		assert_int_equal(umbra_invpcid(h->vcpu, cases[i].type, &what, &out), UMBRA_RESUME);
		host_check(h);
		assert_int_equal(umbra_stats(h->vm)->invlpg, counted + 1);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 8);
		assert_int_equal(host_flushes(h) > 0, cases[i].whole);
		if (!cases[i].whole) {
			assert_int_equal(h->flush_gva, 1);
			assert_int_equal(h->flushed_gva, GVA);
		}
		assert_int_equal(
			host_read_gfn(h, GVA + 4096), DATA_GFN + 1 + (cases[i].whole ? 8 : 0));
		host_free(h);
	}
}

/* ---- canonical addresses ---- */

static void invlpg_ignores_what_is_not_canonical_in_the_mode(void **state)
{
	static const struct {
		umbra_gva gva;
		bool done[2]; /* 4-level, 5-level */
		bool done_legacy;
	} cases[] = {
		{0x00007ffffffff000, {true, true}, true},
		{0x0000800000000000, {false, true}, true},
		{0x00ffffffffffe000, {false, true}, true},
		{0x0100000000000000, {false, false}, true},
		{0xfeffffffffffe000, {false, false}, true},
		{0xff00000000000000, {false, true}, true},
		{0xffff7fffffffe000, {false, true}, true},
		{0xffff800000000000, {true, true}, true},
	};
	static const enum host_mode modes[] = {
		HOST_4LEVEL, HOST_5LEVEL, HOST_2LEVEL, HOST_PAE, HOST_UNPAGED};
	struct host *h = *state;

	for (unsigned m = 0; m < 5; m++) {
		host_start_mode(h, modes[m], h->root);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			bool done = m < 2 ? cases[i].done[m] : cases[i].done_legacy;

			host_reset_flushes(h);
			host_invlpg(h, cases[i].gva);
			print_message("  mode %u, case %zu\n", modes[m], i);
			assert_int_equal(h->flush_gva, done);
			if (done)
				assert_int_equal(h->flushed_gva,
					m < 2 ? cases[i].gva : (uint32_t)cases[i].gva);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
#define P(name) cmocka_unit_test_setup_teardown(name, setup_pae, host_teardown)
		T(each_mode_runs_on_its_shadow_mode),
		cmocka_unit_test(without_paging_each_frame_is_where_it_is),
		T(a_state_that_no_processor_is_in_is_refused_and_nothing_changes),
		cmocka_unit_test(
			pdptes_are_loaded_by_the_changes_that_the_manual_names_and_by_no_others),
		P(pdptes_in_memory_have_no_effect_until_a_load),
		P(pdptes_are_loaded_when_paging_begins_and_not_before),
		P(the_pdpt_is_32_bytes_anywhere_below_4g),
		P(reserved_bits_of_a_present_pdpte_are_refused_and_nothing_changes),
		P(pdptes_in_absent_memory_are_refused),
		T(bit_63_of_cr3_is_taken_only_with_pcide_and_is_not_kept),
		T(each_pcid_runs_on_the_same_root),
		T(invpcid_is_refused_where_the_manual_says),
		cmocka_unit_test(invpcid_shows_what_it_invalidates),
		T(invlpg_ignores_what_is_not_canonical_in_the_mode),
#undef P
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
