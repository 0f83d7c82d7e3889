/* SPDX-License-Identifier: MIT */
/*
 * The MSRs that are not the guest's to use as they are. All others it reads and writes directly.
 * APM 2 "Model-Specific Registers (MSRs)".
 */
#include "hv/arch/cpu.h"
#include "hv/vm/apic.h"
#include "hv/vm/control.h"
#include "hv/vm/vcpu.h"

enum msr_rule {
	MSR_HIDDEN,    /* #GP, as on a processor without it */
	MSR_FIXED,     /* reads pass; the only value that may be written is the present one */
	MSR_EFER,      /* virtual */
	MSR_APIC_BASE, /* reads pass; it cannot be moved */
};

struct msr_row {
	uint32_t first, last;
	enum msr_rule rule;
	const char *why;
};

static const struct msr_row rows[] = {
	{X86_MSR_EFER, X86_MSR_EFER, MSR_EFER,
		"SVME is ours; LME, LMA and NXE belong to the shadow tables"},
	{X86_MSR_APIC_BASE, X86_MSR_APIC_BASE, MSR_APIC_BASE,
		"the local APIC stays where it is, and in xAPIC mode"},
	{X86_MSR_X2APIC, X86_MSR_X2APIC + 0xff, MSR_HIDDEN, "x2APIC is hidden"},
	{X86_MSR_SYSCFG, X86_MSR_SYSCFG, MSR_FIXED, "routes memory accesses"},
	{X86_MSR_IORR0, X86_MSR_IORR3, MSR_FIXED, "route memory accesses"},
	{X86_MSR_TOP_MEM, X86_MSR_TOP_MEM, MSR_FIXED, "routes memory accesses"},
	{X86_MSR_TOP_MEM2, X86_MSR_TOP_MEM2, MSR_FIXED, "routes memory accesses"},
	{X86_MSR_SMM_BASE, X86_MSR_SMM_MASK, MSR_FIXED, "SMM sees all memory"},
	{X86_MSR_VM_CR, X86_MSR_VM_IGNNE, MSR_HIDDEN, "SVM is hidden"},
	{X86_MSR_SMM_CTL, X86_MSR_SMM_CTL, MSR_FIXED, "SMM sees all memory"},
	{X86_MSR_VM_HSAVE, X86_MSR_SVM_KEY, MSR_HIDDEN, "SVM is hidden"},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

void msr_intercept_all(void)
{
	for (unsigned i = 0; i < N_ROWS; i++) {
		bool reads = rows[i].rule == MSR_HIDDEN || rows[i].rule == MSR_EFER;

		for (uint32_t msr = rows[i].first; msr <= rows[i].last; msr++)
			vendor_intercept_msr(msr, reads, true);
	}
}

/* The bitmap has no place for most MSRs, so they exit too: unknown ones, and unknown is hidden. */
static enum msr_rule rule_of(uint32_t msr)
{
	for (unsigned i = 0; i < N_ROWS; i++) {
		if (msr >= rows[i].first && msr <= rows[i].last)
			return rows[i].rule;
	}
	return MSR_HIDDEN;
}

/* Returns false for #GP, here and below. */
static bool write_efer(struct vcpu *vcpu, uint64_t efer)
{
	struct umbra_paging_regs next;

	if (!control_write_efer(&vcpu->regs, efer, vcpu->vm->efer_mask, &next))
		return false;
	return paging_change(vcpu, &next);
}

static bool write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	switch (rule_of(msr)) {
	case MSR_EFER:
		return write_efer(vcpu, value);
	case MSR_APIC_BASE:
		return apic_write_base(vcpu->vm, value);
	case MSR_FIXED:
		return value == rdmsr(msr);
	case MSR_HIDDEN:
		break;
	}
	return false;
}

/* Only EFER exits on reads and may be read. */
static bool read_msr(struct vcpu *vcpu, uint32_t msr)
{
	if (rule_of(msr) != MSR_EFER)
		return false;
	vcpu->gpr[X86_RAX] = (uint32_t)vcpu->regs.efer;
	vcpu->gpr[X86_RDX] = vcpu->regs.efer >> 32;
	return true;
}

void exit_msr(struct vcpu *vcpu)
{
	uint32_t msr = (uint32_t)vcpu->gpr[X86_RCX];
	uint64_t value = vcpu->gpr[X86_RDX] << 32 | (uint32_t)vcpu->gpr[X86_RAX];
	bool done = vendor_msr_is_write(vcpu) ? write_msr(vcpu, msr, value) : read_msr(vcpu, msr);

	if (done)
		insn_skip(vcpu);
	else
		inject_exception(vcpu, X86_GP, 0);
}
