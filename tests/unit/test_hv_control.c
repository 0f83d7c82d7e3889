/* SPDX-License-Identifier: MIT */
/*
 * What instructions may make of CR0, CR4 and EFER, and what the hardware runs with: rule by rule,
 * and for all states that a guest can come to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hv/arch/svm/shadow_regs.h"
#include "hv/vm/control.h"
#include "x86/x86.h"

#define PE    X86_CR0_PE
#define CD    X86_CR0_CD
#define NW    X86_CR0_NW
#define WP    X86_CR0_WP
#define PG    X86_CR0_PG
#define ET    X86_CR0_ET
#define PAE   X86_CR4_PAE
#define LA57  X86_CR4_LA57
#define PCIDE X86_CR4_PCIDE
#define PGE   X86_CR4_PGE
#define SMEP  X86_CR4_SMEP
#define PKE   X86_CR4_PKE
#define LME   X86_EFER_LME
#define LMA   X86_EFER_LMA
#define NXE   X86_EFER_NXE
#define ALL   UINT64_MAX

#define N(array) (sizeof(array) / sizeof((array)[0]))

enum target {
	CR0,
	CR0_IN_64, /* by 64-bit code */
	CR4,
	EFER,
};

static bool write_to(enum target target, const struct umbra_paging_regs *now, uint64_t value,
	uint64_t mask, struct umbra_paging_regs *next)
{
	switch (target) {
	case CR0:
	case CR0_IN_64:
		return control_write_cr0(now, value, target == CR0_IN_64, next);
	case CR4:
		return control_write_cr4(now, value, mask, next);
	default:
		return control_write_efer(now, value, mask, next);
	}
}

static void each_write_is_refused_or_done_as_the_manual_says(void **state)
{
	static const struct {
		const char *rule;
		struct umbra_paging_regs now;
		enum target target;
		uint64_t value;
		bool done;
		uint64_t efer; /* after it, if it is done */
	} rows[] = {
		{"bits 63:32 of CR0", {ET, 0, 0, 0}, CR0, 1ull << 32, false, 0},
		{"PG without PE", {ET, 0, 0, 0}, CR0, PG, false, 0},
		{"PE away under PG", {PG | PE | ET, 0, 0, 0}, CR0, PG, false, 0},
		{"NW without CD", {ET, 0, 0, 0}, CR0, NW, false, 0},
		{"NW and CD", {ET, 0, 0, 0}, CR0, NW | CD, true, 0},
		{"2-level", {PE | ET, 0, 0, 0}, CR0, PE | PG, true, 0},
		{"long mode without PAE", {PE | ET, 0, 0, LME}, CR0, PE | PG, false, 0},
		{"long mode begins", {PE | ET, 0, PAE, LME}, CR0, PE | PG, true, LME | LMA},
		{"PAE is no long mode", {PE | ET, 0, PAE, 0}, CR0, PE | PG, true, 0},
		{"long mode goes on", {PG | PE | ET, 0, PAE, LME | LMA}, CR0_IN_64, PG | PE | WP,
			true, LME | LMA},
		{"64-bit code does not end it", {PG | PE | ET, 0, PAE, LME | LMA}, CR0_IN_64, PE,
			false, 0},
		{"32-bit code does", {PG | PE | ET, 0, PAE, LME | LMA}, CR0, PE, true, LME},
		{"and even goes to real mode", {PG | PE | ET, 0, PAE, LME | LMA}, CR0, 0, true,
			LME},
		{"but not with PCIDs", {PG | PE | ET, 0, PAE | PCIDE, LME | LMA}, CR0, PE, false,
			0},
		{"PAE away in long mode", {PG | PE | ET, 0, PAE, LME | LMA}, CR4, 0, false, 0},
		{"PAE away before", {PE | ET, 0, PAE, LME}, CR4, 0, true, LME},
		{"PAE away elsewhere", {PG | PE | ET, 0, PAE, 0}, CR4, 0, true, 0},
		{"LA57 on in long mode", {PG | PE | ET, 0, PAE, LME | LMA}, CR4, PAE | LA57, false,
			0},
		{"LA57 off in long mode", {PG | PE | ET, 0, PAE | LA57, LME | LMA}, CR4, PAE, false,
			0},
		{"LA57 stays", {PG | PE | ET, 0, PAE | LA57, LME | LMA}, CR4, PAE | LA57 | PGE,
			true, LME | LMA},
		{"LA57 on elsewhere", {PG | PE | ET, 0, PAE, 0}, CR4, PAE | LA57, true, 0},
		{"PCIDs outside long mode", {PG | PE | ET, 0, PAE, 0}, CR4, PAE | PCIDE, false, 0},
		{"PCIDs in long mode", {PG | PE | ET, 0x5000, PAE, LME | LMA}, CR4, PAE | PCIDE,
			true, LME | LMA},
		{"PCIDs with low bits of CR3", {PG | PE | ET, 0x5018, PAE, LME | LMA}, CR4,
			PAE | PCIDE, false, 0},
		{"PCIDs stay with them", {PG | PE | ET, 0x5018, PAE | PCIDE, LME | LMA}, CR4,
			PAE | PCIDE | PGE, true, LME | LMA},
		{"PCIDs go with them", {PG | PE | ET, 0x5018, PAE | PCIDE, LME | LMA}, CR4, PAE,
			true, LME | LMA},
		{"a bit that is not there", {ET, 0, 0, 0}, CR4, X86_CR4_CET, false, 0},
		{"bits 63:32 of CR4", {ET, 0, 0, 0}, CR4, 1ull << 32, false, 0},
		{"LME on under paging", {PG | PE | ET, 0, PAE, 0}, EFER, LME, false, 0},
		{"LME off in long mode", {PG | PE | ET, 0, PAE, LME | LMA}, EFER, LMA, false, 0},
		{"LMA cannot be written", {PG | PE | ET, 0, PAE, LME | LMA}, EFER, LME | NXE, true,
			LME | LMA | NXE},
		{"nor set", {PE | ET, 0, PAE, 0}, EFER, LMA | NXE, true, NXE},
		{"LME before paging", {PE | ET, 0, 0, 0}, EFER, LME, true, LME},
		{"SVME is not there", {PE | ET, 0, 0, 0}, EFER, X86_EFER_SVME, false, 0},
	};
	uint64_t cr4_mask = PAE | LA57 | PCIDE | PGE;
	uint64_t efer_mask = LME | NXE;

	(void)state;
	for (unsigned i = 0; i < N(rows); i++) {
		uint64_t mask = rows[i].target == CR4 ? cr4_mask : efer_mask;
		struct umbra_paging_regs next;
		bool done = write_to(rows[i].target, &rows[i].now, rows[i].value, mask, &next);

		if (done != rows[i].done || (done && next.efer != rows[i].efer))
			fail_msg("%s: done %d, efer %llx", rows[i].rule, done,
				(unsigned long long)(done ? next.efer : 0));
		if (done && rows[i].target == CR4)
			assert_int_equal(next.cr4, rows[i].value);
		if (done && rows[i].target <= CR0_IN_64)
			assert_int_equal(next.cr0, rows[i].value | ET);
	}
}

static void undefined_bits_of_cr0_are_dropped_and_et_stays(void **state)
{
	struct umbra_paging_regs now = {.cr0 = ET};
	struct umbra_paging_regs next;

	(void)state;
	assert_true(control_write_cr0(&now, 0x1ff8ffc0u | X86_CR0_AM, false, &next));
	assert_int_equal(next.cr0, X86_CR0_AM | ET);
	assert_true(control_write_cr0(&now, 0, false, &next));
	assert_int_equal(next.cr0, ET);
}

static void only_the_step_into_long_mode_enters_it(void **state)
{
	struct umbra_paging_regs legacy = {.cr0 = PE, .cr4 = PAE, .efer = LME};
	struct umbra_paging_regs is_long = {.cr0 = PE | PG, .cr4 = PAE, .efer = LME | LMA};

	(void)state;
	assert_true(control_enters_long_mode(&legacy, &is_long));
	assert_false(control_enters_long_mode(&is_long, &is_long));
	assert_false(control_enters_long_mode(&is_long, &legacy));
}

/* ---- all states that a guest can come to ---- */

static const uint64_t cr0_bits[] = {PE, WP, CD, NW, PG};
static const uint64_t cr4_bits[] = {PAE, LA57, PCIDE, SMEP, X86_CR4_SMAP, PKE, X86_CR4_PKS};
static const uint64_t efer_bits[] = {LME, NXE, X86_EFER_TCE};

#define N_CR0    (1u << N(cr0_bits))
#define N_CR4    (1u << N(cr4_bits))
#define N_EFER   (1u << N(efer_bits))
#define N_STATES (N_CR0 * N_CR4 * N_EFER)

static uint64_t bits_of(const uint64_t *bits, unsigned n, unsigned number)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value |= number >> i & 1 ? bits[i] : 0;
	return value;
}

static unsigned number_of(const uint64_t *bits, unsigned n, uint64_t value)
{
	unsigned number = 0;

	for (unsigned i = 0; i < n; i++)
		number |= value & bits[i] ? 1u << i : 0;
	return number;
}

static struct umbra_paging_regs regs_of(unsigned number)
{
	struct umbra_paging_regs regs = {
		.cr0 = bits_of(cr0_bits, N(cr0_bits), number % N_CR0) | ET,
		.cr4 = bits_of(cr4_bits, N(cr4_bits), number / N_CR0 % N_CR4),
		.efer = bits_of(efer_bits, N(efer_bits), number / N_CR0 / N_CR4),
	};

	if (regs.cr0 & PG && regs.efer & LME)
		regs.efer |= LMA;
	return regs;
}

static unsigned state_of(const struct umbra_paging_regs *regs)
{
	return number_of(cr0_bits, N(cr0_bits), regs->cr0) +
	       N_CR0 * (number_of(cr4_bits, N(cr4_bits), regs->cr4) +
			       N_CR4 * number_of(efer_bits, N(efer_bits), regs->efer));
}

/* Could a processor be in this state? SDM 3A "Paging-Mode Enabling", "Enabling PCIDs". */
static bool is_possible(const struct umbra_paging_regs *regs)
{
	bool pages = regs->cr0 & PG;
	bool is_long = pages && regs->efer & LME;

	if (pages && !(regs->cr0 & PE))
		return false;
	if (regs->cr0 & NW && !(regs->cr0 & CD))
		return false;
	if (is_long && !(regs->cr4 & PAE))
		return false;
	if (regs->cr4 & PCIDE && !is_long)
		return false;
	return !(regs->efer & LMA) == !is_long;
}

/* Note where every write in the state @from leads. Returns how many states are new. */
static unsigned explore(unsigned from, bool *reached)
{
	static const unsigned n_values[] = {
		[CR0] = N_CR0, [CR0_IN_64] = N_CR0, [CR4] = N_CR4, [EFER] = N_EFER};
	struct umbra_paging_regs now = regs_of(from);
	unsigned n_new = 0;

	for (enum target target = CR0; target <= EFER; target++) {
		for (unsigned i = 0; i < n_values[target]; i++) {
			uint64_t value = target == CR4    ? bits_of(cr4_bits, N(cr4_bits), i)
					 : target == EFER ? bits_of(efer_bits, N(efer_bits), i)
							  : bits_of(cr0_bits, N(cr0_bits), i);
			struct umbra_paging_regs next;

			if (!write_to(target, &now, value, ALL, &next))
				continue;
			if (!is_possible(&next))
				fail_msg("from cr0 %llx cr4 %llx efer %llx: value %llx to %d",
					(unsigned long long)now.cr0, (unsigned long long)now.cr4,
					(unsigned long long)now.efer, (unsigned long long)value,
					(int)target);
			n_new += !reached[state_of(&next)];
			reached[state_of(&next)] = true;
		}
	}
	return n_new;
}

static bool reached[N_STATES];

static void find_reachable(void)
{
	static bool explored[N_STATES];
	unsigned n_new = 1;

	reached[0] = true;
	while (n_new) {
		n_new = 0;
		for (unsigned i = 0; i < N_STATES; i++) {
			if (!reached[i] || explored[i])
				continue;
			explored[i] = true;
			n_new += explore(i, reached);
		}
	}
}

static void every_possible_state_can_be_reached_and_no_other(void **state)
{
	unsigned n_possible = 0;

	(void)state;
	find_reachable();
	for (unsigned i = 0; i < N_STATES; i++) {
		struct umbra_paging_regs regs = regs_of(i);

		n_possible += is_possible(&regs);
		if (reached[i] != is_possible(&regs))
			fail_msg("cr0 %llx cr4 %llx efer %llx: reached %d",
				(unsigned long long)regs.cr0, (unsigned long long)regs.cr4,
				(unsigned long long)regs.efer, reached[i]);
	}
	assert_true(n_possible > 1000);
}

/* ---- what the hardware runs with ---- */

static enum umbra_shadow_mode shadow_mode(const struct umbra_paging_regs *guest)
{
	if (!(guest->efer & LMA))
		return UMBRA_SHADOW_PAE;
	return guest->cr4 & LA57 ? UMBRA_SHADOW_5LEVEL : UMBRA_SHADOW_4LEVEL;
}

/* APM 2 "Canonicalization and Consistency Checks", as far as these registers are concerned. */
static bool vmrun_takes(const struct svm_shadow_regs *hw)
{
	bool is_long = hw->efer & LME && hw->cr0 & PG;

	if (!(hw->efer & X86_EFER_SVME) || hw->cr0 >> 32)
		return false;
	if (hw->cr0 & NW && !(hw->cr0 & CD))
		return false;
	if (is_long && (!(hw->cr4 & PAE) || !(hw->cr0 & PE)))
		return false;
	return !(hw->efer & LMA) == !is_long;
}

static void the_hardware_runs_the_shadow_in_every_state(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N_STATES; i++) {
		struct umbra_paging_regs guest = regs_of(i);
		enum umbra_shadow_mode mode = shadow_mode(&guest);
		struct svm_shadow_regs hw;
		uint64_t shared = SMEP | X86_CR4_SMAP;
		bool pages = guest.cr0 & PG;

		if (!is_possible(&guest))
			continue;
		hw = svm_shadow_regs(&guest, mode);
		assert_true(vmrun_takes(&hw));
		assert_int_equal(hw.cr0 & (PG | WP | CD | NW), PG | WP);
		assert_int_equal(hw.cr0 & PE, guest.cr0 & PE);
		assert_int_equal(hw.cr4 & (PAE | PCIDE), PAE);
		assert_int_equal(!!(hw.cr4 & LA57), mode == UMBRA_SHADOW_5LEVEL);
		assert_int_equal(!!(hw.efer & LMA), mode != UMBRA_SHADOW_PAE);
		assert_int_equal(hw.efer & (NXE | X86_EFER_TCE), NXE);
		assert_int_equal(hw.cr4 & shared, pages ? guest.cr4 & shared : 0);
		shared = PKE | X86_CR4_PKS;
		assert_int_equal(hw.cr4 & shared, guest.efer & LMA ? guest.cr4 & shared : 0);
	}
}

static void what_is_not_about_paging_passes_through(void **state)
{
	struct umbra_paging_regs guest = {
		.cr0 = PE | PG | X86_CR0_TS | X86_CR0_AM,
		.cr4 = PAE | X86_CR4_OSXSAVE | X86_CR4_TSD,
		.efer = LME | LMA | X86_EFER_SCE,
	};
	struct svm_shadow_regs hw = svm_shadow_regs(&guest, UMBRA_SHADOW_4LEVEL);

	(void)state;
	assert_int_equal(hw.cr0 & (X86_CR0_TS | X86_CR0_AM), X86_CR0_TS | X86_CR0_AM);
	assert_int_equal(hw.cr4, guest.cr4);
	assert_true(hw.efer & X86_EFER_SCE);
}

/* ---- which bits exist ---- */

static void bits_exist_with_their_cpuid_bit(void **state)
{
	static const struct {
		unsigned leaf; /* 1, 7: of CR4; 0: of EFER */
		char where;
		unsigned cpuid_bit;
		uint64_t bits;
	} rows[] = {
		{1, 'd', 3, X86_CR4_PSE}, {1, 'd', 6, PAE}, {1, 'd', 13, PGE}, {1, 'c', 17, PCIDE},
		{1, 'c', 26, X86_CR4_OSXSAVE}, {7, 'b', 7, SMEP}, {7, 'b', 20, X86_CR4_SMAP},
		{7, 'c', 3, PKE}, {7, 'c', 16, LA57}, {7, 'c', 31, X86_CR4_PKS}, {0, 'd', 20, NXE},
		{0, 'd', 29, LME}, {0, 'c', 17, X86_EFER_TCE},
		{0, 'a', 8, X86_EFER_AIBRSE}, /* leaf 0x80000021 */
	};

	(void)state;
	for (unsigned i = 0; i < N(rows); i++) {
		uint32_t bit = 1u << rows[i].cpuid_bit;
		struct cpuid_result with = {
			.ebx = rows[i].where == 'b' ? bit : 0,
			.ecx = rows[i].where == 'c' ? bit : 0,
			.edx = rows[i].where == 'd' ? bit : 0,
		};
		struct cpuid_result eax = {.eax = rows[i].where == 'a' ? bit : 0};
		struct cpuid_result none = {0};

		if (rows[i].leaf == 0)
			assert_int_equal(control_efer_mask(with, eax), rows[i].bits);
		else
			assert_int_equal(control_cr4_mask(rows[i].leaf == 1 ? with : none,
						 rows[i].leaf == 7 ? with : none),
				rows[i].bits | X86_CR4_PCE);
	}
}

static void what_loads_pdptes_or_decides_about_translation_concerns_the_mmu(void **state)
{
	static const struct umbra_paging_regs concerned[] = {{PE, 0, 0, 0}, {WP, 0, 0, 0},
		{PG, 0, 0, 0}, {CD, 0, 0, 0}, {NW, 0, 0, 0}, {0, 0x1000, 0, 0},
		{0, 0, X86_CR4_PSE, 0}, {0, 0, PAE, 0}, {0, 0, PGE, 0}, {0, 0, LA57, 0},
		{0, 0, PCIDE, 0}, {0, 0, SMEP, 0}, {0, 0, X86_CR4_SMAP, 0}, {0, 0, PKE, 0},
		{0, 0, X86_CR4_PKS, 0}, {0, 0, 0, LME}, {0, 0, 0, NXE}, {0, 0, 0, X86_EFER_TCE}};
	static const struct umbra_paging_regs other[] = {{X86_CR0_TS, 0, 0, 0},
		{X86_CR0_AM, 0, 0, 0}, {0, 0, X86_CR4_OSXSAVE, 0}, {0, 0, X86_CR4_UMIP, 0},
		{0, 0, 0, X86_EFER_SCE}};
	struct umbra_paging_regs zero = {0};

	(void)state;
	for (unsigned i = 0; i < N(concerned); i++)
		assert_true(control_concerns_mmu(&zero, &concerned[i]));
	for (unsigned i = 0; i < N(other); i++)
		assert_false(control_concerns_mmu(&zero, &other[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_write_is_refused_or_done_as_the_manual_says),
		cmocka_unit_test(undefined_bits_of_cr0_are_dropped_and_et_stays),
		cmocka_unit_test(only_the_step_into_long_mode_enters_it),
		cmocka_unit_test(every_possible_state_can_be_reached_and_no_other),
		cmocka_unit_test(the_hardware_runs_the_shadow_in_every_state),
		cmocka_unit_test(what_is_not_about_paging_passes_through),
		cmocka_unit_test(bits_exist_with_their_cpuid_bit),
		cmocka_unit_test(what_loads_pdptes_or_decides_about_translation_concerns_the_mmu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
