/* SPDX-License-Identifier: MIT */
/*
 * Exits that are not done on the vendor's fast path: count, hand over to the exit's family, take
 * over what became of the shadow tables.
 */
#include "hv/vm/vcpu.h"

static exit_handler *const handlers[EXIT_KINDS] = {
	[EXIT_PF] = exit_pf,
	[EXIT_UD] = exit_ud,
	[EXIT_EXCEPTION] = exit_exception,
	[EXIT_CR0] = exit_cr0,
	[EXIT_CR3] = exit_cr3,
	[EXIT_CR4] = exit_cr4,
	[EXIT_INVLPG] = exit_invlpg,
	[EXIT_INVPCID] = exit_invpcid,
	[EXIT_CPUID] = exit_cpuid,
	[EXIT_MSR] = exit_msr,
	[EXIT_IO] = exit_io,
	[EXIT_VMMCALL] = exit_vmmcall,
	[EXIT_SVM_INSN] = exit_svm_insn,
	[EXIT_NMI] = exit_nmi,
	[EXIT_SMI] = exit_smi,
	[EXIT_INTR] = exit_other,
	[EXIT_NPF] = exit_npf,
	[EXIT_SHUTDOWN] = exit_shutdown,
	[EXIT_TASK_SWITCH] = exit_task_switch,
	[EXIT_OTHER] = exit_other,
};

void vm_exit(struct vcpu *vcpu, enum exit_kind kind)
{
	vcpu->exits[kind]++;
	handlers[kind](vcpu);
	if (vcpu->mmu)
		vcpu_follow(vcpu);
}

void vm_finish_pf(struct vcpu *vcpu)
{
	exit_pf_finish(vcpu);
	vcpu_follow(vcpu);
}
