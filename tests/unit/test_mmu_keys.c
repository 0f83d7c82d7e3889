/* SPDX-License-Identifier: MIT */
/*
 * Protection keys, and what CR0.WP=0 and EFLAGS.AC make of a supervisor's access: what is allowed,
 * what a fault reports, what is emulated. Source of what is expected: SDM 3A "Protection Keys",
 * "Determination of Access Rights", "Page-Fault Exceptions".
 */
#include "tests/unit/mmu_host.h"

#define GVA   0x40000000ull
#define WRITE X86_PF_W
#define USER  X86_PF_U
#define FETCH X86_PF_I
#define KEY   5u

#define AD(key) (1u << 2 * (key))
#define WD(key) (2u << 2 * (key))

enum { ALLOWED = -1 };

static uint64_t keyed(uint64_t gfn, uint64_t bits, unsigned key)
{
	return gpte_of(gfn, bits) | (uint64_t)key << X86_PTE_PK_SHIFT;
}

/* GVA + n pages. */
static umbra_gva page(unsigned n)
{
	return GVA + n * 4096ull;
}

static uint64_t *map(struct host *h, unsigned n, uint64_t bits, unsigned key)
{
	host_map(h, h->root, page(n), 1, keyed(DATA_GFN + n, bits, key));
	return host_gpte(h, h->root, page(n), 1);
}

/* ALLOWED, or the error code that was injected. */
static int try_access(struct host *h, umbra_gva gva, access_bits access)
{
	struct host_result result = host_access(h, gva, access);

	if (result.outcome == UMBRA_RESUME)
		return ALLOWED;
	assert_int_equal(result.outcome, UMBRA_INJECT);
	assert_int_equal(result.exit.vector, X86_PF);
	assert_int_equal(result.exit.gva, gva);
	return (int)result.exit.error_code;
}

/* ---- what is allowed ---- */

/* Restated from the manual. @u and @w are the page's; returns ALLOWED or the error code. */
static int manual(
	access_bits a, bool u, bool w, bool wp, uint64_t cr4, uint32_t pkru, uint32_t pkrs)
{
	bool user = a & USER, write = a & WRITE, fetch = a & FETCH;
	uint32_t rights = 0;
	bool denied, key;

	if (u && (cr4 & X86_CR4_PKE))
		rights = pkru >> 2 * KEY & 3;
	if (!u && !user && (cr4 & X86_CR4_PKS))
		rights = pkrs >> 2 * KEY & 3;
	key = !fetch && ((rights & 1) || ((rights & 2) && write && (user || wp)));
	denied = (user && !u) || (write && !w && (user || wp));
	if (!denied && !key)
		return ALLOWED;
	return (int)((a & (USER | WRITE | FETCH)) | X86_PF_P | (key ? X86_PF_PK : 0));
}

/* U x W x CR0.WP x CR4.PKE x CR4.PKS x AD, WD of PKRU x AD, WD of PKRS x access: the walk. */
static void keys_are_judged_as_the_manual_says(void **state)
{
	static const access_bits accesses[] = {0, WRITE, FETCH, USER, USER | WRITE, USER | FETCH};
	struct host *h = *state;
	unsigned n_keys = 0;

	for (unsigned bits = 0; bits < 512; bits++) {
		bool u = bits & 1, w = bits & 2, wp = bits & 4;
		uint64_t cr4 = (bits & 8 ? X86_CR4_PKE : 0) | (bits & 16 ? X86_CR4_PKS : 0);
		/* The neighbours' rights must not matter: they are the opposite. */
		uint32_t pkru = ~(3u << 2 * KEY) | (bits >> 5 & 3) << 2 * KEY;
		uint32_t pkrs = ~(3u << 2 * KEY) | (bits >> 7 & 3) << 2 * KEY;

		map(h, 0, X86_PTE_P | (u ? X86_PTE_U : 0) | (w ? X86_PTE_W : 0), KEY);
		host_regs(h, wp ? X86_CR0_WP : 0, cr4);
		for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
			struct umbra_page_fault fault = {.gva = GVA,
				.error_code = (uint32_t)accesses[i],
				.cpl = accesses[i] & USER ? 3 : 0,
				.pkru = pkru,
				.pkrs = pkrs};
			int expect = manual(accesses[i], u, w, wp, cr4, pkru, pkrs);
			struct umbra_exit out;
			umbra_gpa gpa;

			if (umbra_translate(h->vcpu, &fault, &gpa, &out)) {
				assert_int_equal(expect, ALLOWED);
			} else {
				assert_int_equal(expect, out.error_code);
				n_keys += !!(out.error_code & X86_PF_PK);
			}
		}
	}
	assert_true(n_keys > 200);
}

/* (each key) x (each pair of rights): the bits are the key's own. */
static void each_key_has_its_own_rights(void **state)
{
	struct host *h = *state;

	host_regs(h, X86_CR0_WP, X86_CR4_PKE | X86_CR4_PKS);
	for (unsigned key = 0; key < 16; key++) {
		map(h, 2 * key, GPTE_RW, key);
		map(h, 2 * key + 1, X86_PTE_P | X86_PTE_W, key);
	}
	for (unsigned denied = 0; denied < 16; denied++) {
		for (unsigned wd = 0; wd < 2; wd++) {
			for (unsigned key = 0; key < 16; key++) {
				bool stops = key == denied;
				int pk = (int)(X86_PF_PK | X86_PF_P);

				h->pkru = wd ? WD(denied) : AD(denied);
				h->pkrs = 0;
				assert_int_equal(try_access(h, page(2 * key), USER),
					stops && !wd ? pk | (int)USER : ALLOWED);
				assert_int_equal(try_access(h, page(2 * key), WRITE),
					stops ? pk | (int)WRITE : ALLOWED);
				assert_int_equal(try_access(h, page(2 * key + 1), 0), ALLOWED);
				h->pkrs = h->pkru;
				h->pkru = 0;
				assert_int_equal(try_access(h, page(2 * key + 1), WRITE),
					stops ? pk | (int)WRITE : ALLOWED);
				assert_int_equal(try_access(h, page(2 * key), WRITE), ALLOWED);
			}
		}
	}
}

/* The processor applies PKRU and PKRS, which change without an exit: the leaf has the key. */
static void a_change_of_the_key_registers_needs_no_fault_of_ours(void **state)
{
	struct host *h = *state;

	host_regs(h, X86_CR0_WP, X86_CR4_PKE | X86_CR4_PKS);
	map(h, 0, GPTE_RW, KEY);
	map(h, 1, X86_PTE_P | X86_PTE_W, KEY);
	for (unsigned n = 0; n < 2; n++)
		assert_int_equal(try_access(h, page(n), WRITE), ALLOWED);
	for (unsigned round = 0; round < 2; round++) {
		h->pkru = WD(KEY);
		h->pkrs = AD(KEY);
		assert_int_equal(try_access(h, page(0), WRITE), WRITE | X86_PF_P | X86_PF_PK);
		assert_int_equal(host_access(h, page(0), USER).faults, 0);
		assert_int_equal(try_access(h, page(1), 0), X86_PF_P | X86_PF_PK);
		assert_int_equal(host_access(h, page(1), FETCH).faults, 0);
		h->pkru = h->pkrs = 0;
		assert_int_equal(host_access(h, page(0), WRITE).faults, 0);
		assert_int_equal(host_access(h, page(1), WRITE).faults, 0);
	}
}

/* Neither the key of an entry above, nor of the same page under a key register that is off. */
static void only_the_key_of_the_last_entry_counts_and_only_where_it_is_on(void **state)
{
	struct host *h = *state;

	h->pkru = h->pkrs = ~3u; /* all but key 0 */
	host_regs(h, X86_CR0_WP, X86_CR4_PKE | X86_CR4_PKS);
	map(h, 0, GPTE_RW, 0);
	for (unsigned level = 2; level <= 4; level++)
		*host_gpte(h, h->root, GVA, level) |= X86_PTE_PK;
	assert_int_equal(try_access(h, GVA, WRITE), ALLOWED);
	map(h, 1, GPTE_RW, KEY);
	map(h, 2, X86_PTE_P | X86_PTE_W, KEY);
	for (unsigned on = 0; on < 4; on++) {
		host_regs(h, X86_CR0_WP, (on & 1 ? X86_CR4_PKE : 0) | (on & 2 ? X86_CR4_PKS : 0));
		assert_int_equal(
			try_access(h, page(1), 0), on & 1 ? (int)(X86_PF_P | X86_PF_PK) : ALLOWED);
		assert_int_equal(
			try_access(h, page(2), 0), on & 2 ? (int)(X86_PF_P | X86_PF_PK) : ALLOWED);
	}
}

/* Whose page it is, and so which register counts, is decided by all levels together. */
static void a_users_page_below_an_entry_of_the_supervisor_is_the_supervisors(void **state)
{
	struct host *h = *state;

	host_regs(h, X86_CR0_WP, X86_CR4_PKE | X86_CR4_PKS);
	map(h, 0, GPTE_RW, KEY);
	map(h, 1, GPTE_RW, KEY);
	*host_gpte(h, h->root, GVA, 3) &= ~X86_PTE_U;
	h->pkru = ~0u;
	assert_int_equal(try_access(h, page(0), WRITE), ALLOWED);
	h->pkru = 0;
	h->pkrs = AD(KEY);
	for (unsigned n = 0; n < 2; n++)
		assert_int_equal(try_access(h, page(n), 0), X86_PF_P | X86_PF_PK);
}

static void large_pages_keep_their_key_whole_and_in_parts(void **state)
{
	(void)state;
	for (unsigned large = 0; large < 2; large++) {
		for (unsigned level = 2; level <= 3; level++) {
			struct umbra_policy policy = host_plain_policy();
			struct host *h;
			umbra_gva gva;

			policy.large = large;
			h = host_new_policy(&policy);
			host_start(h, h->root);
			host_regs(h, X86_CR0_WP, X86_CR4_PKE);
			gva = level == 2 ? GVA : GVA + DATA_GFN * 4096;
			host_map(h, h->root, gva, level,
				keyed(level == 2 ? DATA_GFN : 0, GPTE_RW | X86_PTE_PS, KEY));
			assert_int_equal(try_access(h, gva, WRITE | USER), ALLOWED);
			h->pkru = ~(3u << 2 * KEY);
			assert_int_equal(host_access(h, gva, WRITE | USER).faults, 0);
			h->pkru = WD(KEY);
			assert_int_equal(try_access(h, gva, WRITE | USER),
				WRITE | USER | X86_PF_P | X86_PF_PK);
			assert_int_equal(try_access(h, gva, USER), ALLOWED);
			/* Another key is another page of parts. */
			h->pkru = AD(KEY);
			host_write_word(h, host_gpa(h, host_gpte(h, h->root, gva, level)),
				keyed(level == 2 ? DATA_GFN : 0, GPTE_RW | GPTE_AD | X86_PTE_PS,
					KEY + 1));
			host_invlpg(h, gva);
			assert_int_equal(try_access(h, gva, USER), ALLOWED);
			h->pkru = AD(KEY + 1);
			assert_int_equal(try_access(h, gva, USER), USER | X86_PF_P | X86_PF_PK);
			host_free(h);
		}
	}
}

static void a_key_that_changes_is_taken_over(void **state)
{
	struct host *h = *state;
	uint64_t *entry;

	host_regs(h, X86_CR0_WP, X86_CR4_PKE);
	entry = map(h, 0, GPTE_RW | GPTE_AD, KEY);
	assert_int_equal(try_access(h, GVA, WRITE), ALLOWED);
	h->pkru = AD(KEY + 1);
	assert_int_equal(try_access(h, GVA, 0), ALLOWED);
	host_write_word(h, host_gpa(h, entry), keyed(DATA_GFN, GPTE_RW | GPTE_AD, KEY + 1));
	assert_int_equal(try_access(h, GVA, 0), X86_PF_P | X86_PF_PK);
	h->pkru = AD(KEY);
	assert_int_equal(try_access(h, GVA, WRITE), ALLOWED);
}

/* A and D are not set by what a key denies. */
static void a_denied_access_leaves_no_trace(void **state)
{
	struct host *h = *state;
	uint64_t *entry;

	host_regs(h, X86_CR0_WP, X86_CR4_PKE);
	entry = map(h, 0, GPTE_RW, KEY);
	h->pkru = AD(KEY);
	assert_int_equal(try_access(h, GVA, WRITE), WRITE | X86_PF_P | X86_PF_PK);
	assert_int_equal(*entry & GPTE_AD, 0);
	/* A fetch is none of their business. */
	assert_int_equal(try_access(h, GVA, FETCH | USER), ALLOWED);
	assert_int_equal(*entry & GPTE_AD, X86_PTE_A);
}

/* PKE and PKS are of long mode; elsewhere the bits stand for nothing, or are reserved. */
static void without_long_mode_there_are_no_keys(void **state)
{
	struct host *h = *state;
	struct umbra_paging_regs regs = host_mode_regs(HOST_PAE, h->root);
	struct host_result result;

	h->pkru = h->pkrs = ~0u;
	regs.cr4 |= X86_CR4_PKE | X86_CR4_PKS;
	h->levels = 3;
	host_map(h, h->root, page(0), 1, gpte_of(DATA_GFN, GPTE_RW));
	host_map(h, h->root, page(1), 1, gpte_of(DATA_GFN, X86_PTE_P | X86_PTE_W));
	host_set_regs(h, &regs);
	assert_int_equal(try_access(h, page(0), WRITE | USER), ALLOWED);
	assert_int_equal(try_access(h, page(0), WRITE), ALLOWED);
	assert_int_equal(try_access(h, page(1), WRITE), ALLOWED);
	/* Unpaged: nothing of all this is asked. */
	regs.cr0 &= ~X86_CR0_PG;
	regs.cr4 |= X86_CR4_SMAP | X86_CR4_SMEP;
	host_set_regs(h, &regs);
	assert_int_equal(try_access(h, DATA_GFN * 4096, WRITE | USER), ALLOWED);
	assert_int_equal(try_access(h, DATA_GFN * 4096, FETCH), ALLOWED);
	result = host_access(h, ABSENT_GFN * 4096, WRITE | ACCESS_AC);
	assert_int_equal(result.outcome, UMBRA_MMIO);
	assert_int_equal(result.exit.vector, 0);
}

static void five_levels_have_keys_too(void **state)
{
	struct host *h = *state;

	host_start_mode(h, HOST_5LEVEL, host_new_table(h));
	h->root = h->vcpu->regs.cr3 >> 12;
	host_regs(h, X86_CR0_WP, X86_CR4_PKE);
	map(h, 0, GPTE_RW, KEY);
	assert_int_equal(try_access(h, GVA, WRITE), ALLOWED);
	h->pkru = AD(KEY);
	assert_int_equal(try_access(h, GVA, 0), X86_PF_P | X86_PF_PK);
}

/* ---- CR0.WP=0 ---- */

/* {CR4, entry, access, PKRU, PKRS} and whether nobody may map it. The hardware runs with WP=1. */
static void stores_that_no_entry_may_let_through_are_emulated(void **state)
{
	static const struct {
		uint64_t cr4, bits;
		access_bits access;
		uint32_t pkru, pkrs;
		enum umbra_outcome expect;
	} cases[] = {
		/* Read-only pages of users: an entry without U would pass by SMAP and PKRU. */
		{0, GPTE_RO, WRITE, 0, 0, UMBRA_RESUME},
		{X86_CR4_SMAP, GPTE_RO, WRITE | ACCESS_AC, 0, 0, UMBRA_EMULATE},
		{X86_CR4_SMAP, GPTE_RO, WRITE, 0, 0, UMBRA_INJECT},
		{X86_CR4_PKE, GPTE_RO, WRITE, 0, 0, UMBRA_EMULATE},
		{X86_CR4_PKS, GPTE_RO, WRITE, 0, 0, UMBRA_EMULATE},
		{X86_CR4_PKE, GPTE_RO, WRITE, AD(KEY), 0, UMBRA_INJECT},
		/* Writable ones: only a key can stop the hardware. */
		{X86_CR4_SMAP, GPTE_RW, WRITE | ACCESS_AC, 0, 0, UMBRA_RESUME},
		{X86_CR4_PKE, GPTE_RW, WRITE, 0, ~0u, UMBRA_RESUME},
		{X86_CR4_PKE, GPTE_RW, WRITE, WD(KEY), 0, UMBRA_EMULATE},
		{X86_CR4_PKE, GPTE_RW, WRITE, AD(KEY), 0, UMBRA_INJECT},
		{X86_CR4_PKE, GPTE_RW, WRITE | USER, WD(KEY), 0, UMBRA_INJECT},
		{X86_CR4_PKE, GPTE_RW, WRITE, WD(KEY + 1), 0, UMBRA_RESUME},
		{X86_CR4_PKS, GPTE_RW, WRITE, ~0u, WD(KEY), UMBRA_RESUME},
		/* The supervisor's own. */
		{X86_CR4_SMAP, X86_PTE_P, WRITE, 0, 0, UMBRA_RESUME},
		{X86_CR4_PKE, X86_PTE_P, WRITE, ~0u, ~0u, UMBRA_RESUME},
		{X86_CR4_PKS, X86_PTE_P, WRITE, 0, 0, UMBRA_RESUME},
		{X86_CR4_PKS, X86_PTE_P, WRITE, 0, WD(KEY), UMBRA_EMULATE},
		{X86_CR4_PKS, X86_PTE_P, WRITE, 0, AD(KEY), UMBRA_INJECT},
		{X86_CR4_PKS, X86_PTE_P | X86_PTE_W, WRITE, 0, WD(KEY), UMBRA_EMULATE},
		{X86_CR4_PKS, X86_PTE_P | X86_PTE_W, WRITE, WD(KEY), 0, UMBRA_RESUME},
	};
	struct host *h = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t *entry = map(h, i, cases[i].bits, KEY);
		struct host_result result;

		print_message("  case %u\n", i);
		host_regs(h, 0, cases[i].cr4);
		h->pkru = cases[i].pkru;
		h->pkrs = cases[i].pkrs;
		for (unsigned again = 0; again < 2; again++) {
			result = host_access(h, page(i) + 0x18, cases[i].access);
			assert_int_equal(result.outcome, cases[i].expect);
			if (result.outcome == UMBRA_EMULATE)
				assert_int_equal(result.exit.gpa, (DATA_GFN + i) << 12 | 0x18);
			/* What is emulated has been done as far as the tables tell. */
			assert_int_equal(
				*entry & GPTE_AD, cases[i].expect == UMBRA_INJECT ? 0 : GPTE_AD);
		}
	}
}

/* What WP=0 let through must not be there for those whom a key or SMAP stops. */
static void no_entry_of_before_passes_by_keys_or_smap(void **state)
{
	static const uint64_t bits[] = {X86_CR4_SMAP, X86_CR4_PKE, X86_CR4_PKS};
	struct host *h = *state;

	map(h, 0, GPTE_RO, KEY);
	for (unsigned i = 0; i < 3; i++) {
		h->pkru = h->pkrs = 0;
		host_regs(h, 0, 0);
		assert_int_equal(try_access(h, GVA, WRITE), ALLOWED);
		host_regs(h, 0, bits[i]);
		assert_int_equal(host_access(h, GVA, WRITE | ACCESS_AC).outcome, UMBRA_EMULATE);
		assert_int_equal(try_access(h, GVA, ACCESS_AC), ALLOWED);
		h->pkru = h->pkrs = AD(KEY);
		if (bits[i] == X86_CR4_PKE)
			assert_int_equal(try_access(h, GVA, 0), X86_PF_P | X86_PF_PK);
		else if (bits[i] == X86_CR4_SMAP)
			assert_int_equal(try_access(h, GVA, 0), X86_PF_P);
		else
			assert_int_equal(try_access(h, GVA, 0), ALLOWED);
	}
}

/* To be fetched it must not have NX, and to be written by the supervisor alone, under SMEP, it
 * would: where its table hangs below an entry with U it is a user's page. */
static void a_store_of_an_instruction_into_its_own_page_gets_through_under_smep(void **state)
{
	struct host *h = *state;
	struct host_result result;

	map(h, 0, GPTE_RO, 0);
	*host_gpte(h, h->root, GVA, 3) &= ~X86_PTE_U;
	host_regs(h, 0, X86_CR4_SMEP);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(try_access(h, GVA, FETCH), ALLOWED);
		result = host_access(h, GVA, WRITE);
		assert_int_equal(result.outcome, UMBRA_EMULATE);
		assert_int_equal(result.exit.gpa, DATA_GFN << 12);
		assert_int_equal(host_access(h, GVA, FETCH).faults, 0);
	}
	/* Without SMEP the entry has no NX. */
	host_regs(h, 0, 0);
	assert_int_equal(try_access(h, GVA, WRITE), ALLOWED);
	assert_int_equal(host_access(h, GVA, FETCH).faults, 0);
}

/* ---- SMAP and implicit accesses ---- */

static void an_implicit_access_to_a_users_page_is_injected_in_spite_of_ac(void **state)
{
	struct host *h = *state;

	for (unsigned i = 0; i < 4; i++) {
		access_bits access = i & 1 ? WRITE : 0;
		struct host_result result;

		host_regs(h, X86_CR0_WP, X86_CR4_SMAP);
		map(h, i, GPTE_RW | (i & 2 ? GPTE_AD : 0), 0);
		/* One fault maps it, one finds nothing to do, one is known. */
		result = host_access(h, page(i), access | HOST_IMPLICIT);
		assert_int_equal(result.outcome, UMBRA_INJECT);
		assert_int_equal(result.exit.error_code, access | X86_PF_P);
		assert_int_equal(result.exit.gva, page(i));
		assert_int_equal(result.faults, 3);
		/* It is mapped now. */
		assert_int_equal(host_access(h, page(i), access | HOST_IMPLICIT).faults, 2);
		assert_int_equal(host_access(h, page(i), access | ACCESS_AC).faults, 0);
		/* A supervisor's own page is no matter of SMAP. */
		map(h, 8 + i, X86_PTE_P | X86_PTE_W, 0);
		assert_int_equal(try_access(h, page(8 + i), access | HOST_IMPLICIT), ALLOWED);
	}
}

/* A fault that the hardware took by a translation that has gone since: nothing to do. */
static enum umbra_outcome stale_fault(struct host *h, umbra_gva gva, access_bits access)
{
	struct umbra_page_fault fault = {.gva = gva,
		.error_code = (uint32_t)(access & (WRITE | USER | FETCH)) | X86_PF_P,
		.cpl = access & USER ? 3 : 0,
		.ac = access & ACCESS_AC};
	struct umbra_exit out;
	enum umbra_outcome outcome = umbra_page_fault(h->vcpu, &fault, &out);

	host_check(h);
	return outcome;
}

/* Each at another place, or after a change of some entry, or where AC is not what allows it. */
static void an_explicit_access_is_never_injected(void **state)
{
	struct host *h = *state;
	unsigned fresh = 8;

	host_regs(h, X86_CR0_WP, X86_CR4_SMAP);
	for (unsigned i = 0; i < 4; i++) {
		map(h, i, GPTE_RW | GPTE_AD, 0);
		assert_int_equal(try_access(h, page(i), WRITE | ACCESS_AC), ALLOWED);
	}
	map(h, 4, X86_PTE_P | X86_PTE_W | GPTE_AD, 0);
	assert_int_equal(try_access(h, page(4), WRITE), ALLOWED);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(stale_fault(h, page(i), WRITE | ACCESS_AC), UMBRA_RESUME);
		/* The same again: only a change can have left another stale translation. */
		for (unsigned i = 0; i < 3; i++) {
			map(h, fresh, GPTE_RW, 0);
			assert_int_equal(try_access(h, page(fresh++), USER), ALLOWED);
			assert_int_equal(stale_fault(h, page(3), WRITE | ACCESS_AC), UMBRA_RESUME);
		}
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(stale_fault(h, page(4), WRITE | ACCESS_AC), UMBRA_RESUME);
			assert_int_equal(stale_fault(h, page(1), WRITE | USER), UMBRA_RESUME);
			assert_int_equal(stale_fault(h, page(1), FETCH | ACCESS_AC), UMBRA_RESUME);
		}
	}
	/* Without SMAP there is nothing to suspect. */
	host_regs(h, X86_CR0_WP, 0);
	for (unsigned round = 0; round < 4; round++)
		assert_int_equal(stale_fault(h, page(0), WRITE | ACCESS_AC), UMBRA_RESUME);
}

/* What the embedder needs to tell an implicit access from the instruction it decodes. */
static void what_is_handed_over_tells_the_fault_of_an_implicit_access(void **state)
{
	static const struct {
		uint64_t gfn, bits;
		access_bits access;
		enum umbra_outcome outcome;
		bool told;
	} cases[] = {
		{ABSENT_GFN, GPTE_RW, WRITE | ACCESS_AC, UMBRA_MMIO, true},
		{ROM_GFN, GPTE_RW, WRITE | ACCESS_AC, UMBRA_MMIO, true},
		{FIRST_TABLE_GFN, GPTE_RW, WRITE | ACCESS_AC, UMBRA_EMULATE, true},
		{DATA_GFN, GPTE_RO, WRITE | ACCESS_AC, UMBRA_EMULATE, true}, /* CR0.WP=0 */
		{ABSENT_GFN, X86_PTE_P | X86_PTE_W, WRITE | ACCESS_AC, UMBRA_MMIO, false},
		{FIRST_TABLE_GFN, X86_PTE_P | X86_PTE_W, WRITE, UMBRA_EMULATE, false},
		{ABSENT_GFN, GPTE_RW, WRITE | USER, UMBRA_MMIO, false},
		{FIRST_TABLE_GFN, GPTE_RW, WRITE | USER, UMBRA_EMULATE, false},
	};
	struct host *h = *state;

	h->vm->policy.write = UMBRA_WRITE_EMULATE;
	for (unsigned k = 0; k < 2 * sizeof(cases) / sizeof(cases[0]); k++) {
		struct host_result result;
		bool wp = k & 1;
		unsigned i = k / 2;

		if (wp && cases[i].gfn == DATA_GFN)
			continue;
		host_regs(h, wp ? X86_CR0_WP : 0, X86_CR4_SMAP);
		print_message("  case %u\n", i);
		host_map(h, h->root, page(i), 1, gpte_of(cases[i].gfn, cases[i].bits));
		/* Also where the way is known. */
		for (unsigned n = 0; n < 3; n++) {
			result = host_access(h, page(i) + 0x28, cases[i].access);
			assert_int_equal(result.outcome, cases[i].outcome);
			assert_int_equal(result.exit.gpa, cases[i].gfn << 12 | 0x28);
			assert_int_equal(result.exit.vector, cases[i].told ? X86_PF : 0);
			if (cases[i].told) {
				assert_int_equal(result.exit.error_code, WRITE | X86_PF_P);
				assert_int_equal(result.exit.gva, page(i) + 0x28);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
		T(keys_are_judged_as_the_manual_says),
		T(each_key_has_its_own_rights),
		T(a_change_of_the_key_registers_needs_no_fault_of_ours),
		T(only_the_key_of_the_last_entry_counts_and_only_where_it_is_on),
		T(a_users_page_below_an_entry_of_the_supervisor_is_the_supervisors),
		cmocka_unit_test(large_pages_keep_their_key_whole_and_in_parts),
		T(a_key_that_changes_is_taken_over),
		T(a_denied_access_leaves_no_trace),
		T(without_long_mode_there_are_no_keys),
		T(five_levels_have_keys_too),
		T(stores_that_no_entry_may_let_through_are_emulated),
		T(no_entry_of_before_passes_by_keys_or_smap),
		T(a_store_of_an_instruction_into_its_own_page_gets_through_under_smep),
		T(an_implicit_access_to_a_users_page_is_injected_in_spite_of_ac),
		T(an_explicit_access_is_never_injected),
		T(what_is_handed_over_tells_the_fault_of_an_implicit_access),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
