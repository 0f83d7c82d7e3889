/* SPDX-License-Identifier: MIT */
/*
 * The model's registers: which a processor takes, what it loads with them (PDPTEs), and what it
 * forgets. Must not look at the library.
 */
#include "lab/check_model.h"

#include "lab/legal.h"
#include "x86/x86.h"

#define CR3_NO_FLUSH (1ull << 63)
#define PCID_BITS    0xfffull

static bool is_pae(const struct umbra_paging_regs *regs)
{
	return (regs->cr0 & X86_CR0_PG) && (regs->cr4 & X86_CR4_PAE) &&
	       !(regs->efer & X86_EFER_LMA);
}

/* Can a processor be in this state, whatever memory holds? SDM 3A "Paging-Mode Enabling",
 * "Process-Context Identifiers (PCIDs)", "Control Registers" (CR3). */
static bool is_possible(const struct check *check, const struct umbra_paging_regs *regs)
{
	bool paged = regs->cr0 & X86_CR0_PG;
	bool lma = regs->efer & X86_EFER_LMA;

	if (paged && !(regs->cr0 & X86_CR0_PE))
		return false;
	if (lma != (paged && (regs->efer & X86_EFER_LME)))
		return false;
	if (lma && !(regs->cr4 & X86_CR4_PAE))
		return false;
	if ((regs->cr4 & X86_CR4_PCIDE) && !lma)
		return false;
	return !lma || !(regs->cr3 >> check->maxphyaddr);
}

/* Load the PDPTE registers of @state from the table that its CR3 points at; false: #GP.
 * SDM 3A "PDPTE Registers". */
static bool load_pdptes(const struct check *check, struct check_vcpu *state)
{
	const struct oracle_cpu cpu = check_cpu_in(check, state, false);
	uint64_t table = state->regs.cr3 & 0xffffffe0;

	for (unsigned i = 0; i < 4; i++) {
		state->pdpte[i] = check_word(check, table + i * 8);
		if (!oracle_pdpte_loadable(&cpu, state->pdpte[i]))
			return false;
	}
	return true;
}

/* Does the change from @old to @now load PDPTEs? SDM 3A "PDPTE Registers", and "Task Management"
 * for CR3. */
static bool loads_pdptes(const struct umbra_paging_regs *old, const struct umbra_paging_regs *now)
{
	const uint64_t cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_PG;
	const uint64_t cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;

	if (!is_pae(now))
		return false;
	return !is_pae(old) || ((old->cr0 ^ now->cr0) & cr0) || ((old->cr4 ^ now->cr4) & cr4) ||
	       old->cr3 != now->cr3;
}

static void flush(struct check *check, unsigned vcpu, enum legal_flush kind)
{
	const struct oracle_cpu cpu = check_cpu(check, vcpu, false);

	legal_flush(check->legal, vcpu, kind, &cpu);
}

void check_reset(struct check *check, unsigned vcpu, const struct umbra_paging_regs *regs)
{
	check->vcpus[vcpu] = (struct check_vcpu){.regs = *regs};
	flush(check, vcpu, LEGAL_FLUSH_ALL);
}

/* SDM 3A "Operations that Invalidate TLBs and Paging-Structure Caches": MOV to CR3. */
static enum legal_flush cr3_flush(const struct umbra_paging_regs *regs, bool no_flush)
{
	if (no_flush)
		return LEGAL_FLUSH_NOTHING;
	return regs->cr4 & (X86_CR4_PGE | X86_CR4_PCIDE) ? LEGAL_FLUSH_KEEP_GLOBAL
							 : LEGAL_FLUSH_ALL;
}

bool check_load_cr3(struct check *check, unsigned vcpu, uint64_t cr3)
{
	struct check_vcpu state = check->vcpus[vcpu];
	bool no_flush = (state.regs.cr4 & X86_CR4_PCIDE) && (cr3 & CR3_NO_FLUSH);

	state.regs.cr3 = no_flush ? cr3 & ~CR3_NO_FLUSH : cr3;
	if (!is_possible(check, &state.regs))
		return false;
	if (is_pae(&state.regs) && !load_pdptes(check, &state))
		return false;
	check->vcpus[vcpu] = state;
	flush(check, vcpu, cr3_flush(&state.regs, no_flush));
	return true;
}

/* What a change of registers forgets. CR0.PG, CR4.PGE and leaving PCIDE drop everything. Of the
 * other bits that decide how tables are read some drop less by the manual (CR4.SMEP only when it
 * is set, EFER nothing), but software does not rely on that, and the library does not. CR0.WP,
 * CR4.SMAP, PKE and PKS change what is allowed, EFER.TCE what INVLPG drops, not what is
 * remembered. */
static enum legal_flush regs_flush(
	const struct umbra_paging_regs *old, const struct umbra_paging_regs *now)
{
	const uint64_t cr4 = X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE | X86_CR4_SMEP | X86_CR4_LA57;

	if (((old->cr0 ^ now->cr0) & X86_CR0_PG) || ((old->cr4 ^ now->cr4) & cr4) ||
		((old->efer ^ now->efer) & ~(uint64_t)X86_EFER_TCE) ||
		(old->cr4 & ~now->cr4 & X86_CR4_PCIDE))
		return LEGAL_FLUSH_ALL;
	return old->cr3 != now->cr3 ? cr3_flush(now, false) : LEGAL_FLUSH_NOTHING;
}

bool check_set_regs(struct check *check, unsigned vcpu, const struct umbra_paging_regs *regs)
{
	const struct umbra_paging_regs old = check->vcpus[vcpu].regs;
	struct check_vcpu state = check->vcpus[vcpu];

	state.regs = *regs;
	if (!is_possible(check, regs))
		return false;
	if (loads_pdptes(&old, regs) && !load_pdptes(check, &state))
		return false;
	check->vcpus[vcpu] = state;
	flush(check, vcpu, regs_flush(&old, regs));
	return true;
}

void check_set_keys(struct check *check, unsigned vcpu, uint32_t pkru, uint32_t pkrs)
{
	check->vcpus[vcpu].pkru = pkru;
	check->vcpus[vcpu].pkrs = pkrs;
}

void check_invlpg(struct check *check, unsigned vcpu, uint64_t gva)
{
	legal_invlpg(check->legal, vcpu, gva);
}

/* Canonical for the width that CR4.LA57 gives; the manual asks for it in every mode. */
static bool is_canonical(const struct umbra_paging_regs *regs, uint64_t gva)
{
	uint64_t sign = gva >> (regs->cr4 & X86_CR4_LA57 ? 56 : 47);

	return sign == 0 || sign == UINT64_MAX >> (regs->cr4 & X86_CR4_LA57 ? 56 : 47);
}

bool check_invpcid(struct check *check, unsigned vcpu, uint64_t type, uint64_t pcid, uint64_t gva)
{
	const struct umbra_paging_regs *regs = &check->vcpus[vcpu].regs;
	bool has_pcids = regs->cr4 & X86_CR4_PCIDE;
	bool long_mode = regs->efer & X86_EFER_LMA;

	/* SDM 2 "INVPCID", exceptions in every mode. */
	if (type > LEGAL_INVPCID_ALL_BUT_GLOBAL || (pcid & ~PCID_BITS) ||
		(type <= LEGAL_INVPCID_CONTEXT && !has_pcids && pcid) ||
		(type == LEGAL_INVPCID_ADDRESS && !is_canonical(regs, gva)))
		return false;
	/* All 64 bits of the address count, so in 32-bit modes there may be nothing there. */
	if (type == LEGAL_INVPCID_ADDRESS && !long_mode && gva >> 32)
		return true;
	legal_invpcid(check->legal, vcpu, (enum legal_invpcid)type, (unsigned)pcid, gva);
	return true;
}
