/* SPDX-License-Identifier: MIT */
/*
 * Entering the guest, and everything that is done on every exit: this is the path whose
 * instructions are counted.
 */
#include "hv/arch/svm/shadow_regs.h"
#include "hv/arch/svm/svm.h"
#include "hv/core/insn.h"
#include "hv/vm/measure.h"

/* Exit codes below 256 to kinds; those that are not KNOWN are EXIT_OTHER. */
#define KNOWN 0x80u

static const uint8_t kinds[256] = {
	[SVM_EXIT_CR0_READ + 0] = KNOWN | EXIT_CR0,
	[SVM_EXIT_CR0_READ + 3] = KNOWN | EXIT_CR3,
	[SVM_EXIT_CR0_READ + 4] = KNOWN | EXIT_CR4,
	[SVM_EXIT_CR0_WRITE + 0] = KNOWN | EXIT_CR0,
	[SVM_EXIT_CR0_WRITE + 3] = KNOWN | EXIT_CR3,
	[SVM_EXIT_CR0_WRITE + 4] = KNOWN | EXIT_CR4,
	[SVM_EXIT_EXCEPTION + X86_UD] = KNOWN | EXIT_UD,
	[SVM_EXIT_EXCEPTION + X86_TS] = KNOWN | EXIT_EXCEPTION,
	[SVM_EXIT_EXCEPTION + X86_NP] = KNOWN | EXIT_EXCEPTION,
	[SVM_EXIT_EXCEPTION + X86_SS] = KNOWN | EXIT_EXCEPTION,
	[SVM_EXIT_EXCEPTION + X86_GP] = KNOWN | EXIT_EXCEPTION,
	[SVM_EXIT_INTR] = KNOWN | EXIT_INTR,
	[SVM_EXIT_NMI] = KNOWN | EXIT_NMI,
	[SVM_EXIT_SMI] = KNOWN | EXIT_SMI,
	[SVM_EXIT_IRET] = KNOWN | EXIT_NMI,
	[SVM_EXIT_CR0_SEL_WRITE] = KNOWN | EXIT_CR0,
	[SVM_EXIT_CPUID] = KNOWN | EXIT_CPUID,
	[SVM_EXIT_INVLPG] = KNOWN | EXIT_INVLPG,
	[SVM_EXIT_INVLPGA] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_IOIO] = KNOWN | EXIT_IO,
	[SVM_EXIT_MSR] = KNOWN | EXIT_MSR,
	[SVM_EXIT_TASK_SWITCH] = KNOWN | EXIT_TASK_SWITCH,
	[SVM_EXIT_SHUTDOWN] = KNOWN | EXIT_SHUTDOWN,
	[SVM_EXIT_VMRUN] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_VMMCALL] = KNOWN | EXIT_VMMCALL,
	[SVM_EXIT_VMLOAD] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_VMSAVE] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_STGI] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_CLGI] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_SKINIT] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_INVLPGB] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_INVPCID] = KNOWN | EXIT_INVPCID,
	[SVM_EXIT_TLBSYNC] = KNOWN | EXIT_SVM_INSN,
};

/* TCG says this also where a nested guest writes reserved bits to CR3, which is not intercepted: it
 * should have been #GP(0). If VMRUN itself did not like the VMCB, our own state was saved there. */
static bool was_refused_bits(const struct vcpu *vcpu)
{
	return svm_features.nested && svm_features.needs_control &&
	       (uint32_t)vcpu->exit->code == SVM_EXIT_INVALID_32 &&
	       vcpu->arch->vmcb->save.cr3 != read_cr3();
}

static enum exit_kind kind_of(struct vcpu *vcpu, uint64_t code)
{
	if (likely(code < sizeof(kinds) && kinds[code] & KNOWN))
		return (enum exit_kind)(kinds[code] & ~KNOWN);
	if (code == SVM_EXIT_NPF)
		return EXIT_NPF;
	if (!was_refused_bits(vcpu))
		return EXIT_OTHER;
	vcpu->exit->code = SVM_EXIT_EXCEPTION + X86_GP;
	vcpu->exit->info1 = 0;
	return EXIT_EXCEPTION;
}

static __attribute__((noinline)) void read_nested_paging(struct vcpu *vcpu)
{
	const struct vmcb_save *save = &vcpu->arch->vmcb->save;

	vcpu->regs = (struct umbra_paging_regs){
		.cr0 = save->cr0,
		.cr3 = save->cr3,
		.cr4 = save->cr4,
		.efer = (save->efer & ~X86_EFER_SVME) | vcpu->arch->nested_lme,
	};
	vcpu->root = save->cr3;
}

static void record_exit(struct vcpu *vcpu, const struct vmcb *vmcb)
{
	struct exit_record *record = vcpu->exit + 1;

	if (record == &vcpu->ring[EXIT_RING])
		record = vcpu->ring;
	vcpu->exit = record;
	vcpu->n_exits++;
	record->code = vmcb->exit_code;
	record->info1 = vmcb->exit_info1;
	record->info2 = vmcb->exit_info2;
	record->rip = vmcb->save.rip;
	record->rflags = vmcb->save.rflags;
	record->cpl = vmcb->save.cpl;
}

umbra_hpa svm_exit(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu->arch->vmcb;

	vcpu->gpr[X86_RAX] = vmcb->save.rax;
	vcpu->gpr[X86_RSP] = vmcb->save.rsp;
	vmcb->tlb_control = 0;
	record_exit(vcpu, vmcb);
	if (unlikely(svm_features.nested))
		read_nested_paging(vcpu);
	if (unlikely(vmcb->exit_int_info & SVM_EVENT_VALID))
		svm_redeliver(vcpu);
	/* TCG does a task switch without the exit: the guest then runs on its own tables, which
	 * must not last. */
	if (unlikely(vmcb->save.cr3 != vcpu->root))
		vm_stop(vcpu,
			"a task switch through a TSS, which this processor (TCG) does not let "
			"the hypervisor do");
	vm_exit(vcpu,
		likely(vmcb->exit_code == SVM_EXIT_PF) ? EXIT_PF : kind_of(vcpu, vmcb->exit_code));
	vmcb->save.rax = vcpu->gpr[X86_RAX];
	vmcb->save.rsp = vcpu->gpr[X86_RSP];
	vmcb->save.cr3 = vcpu->root;
	return vcpu->arch->vmcb_phys | (vmcb->int_state & SVM_INT_STATE_SHADOW);
}

_Noreturn void vendor_loop(struct vcpu *vcpu)
{
	struct vendor_vcpu *arch = vcpu->arch;

	vcpu->exit = &vcpu->ring[EXIT_RING - 1];
	arch->vmcb->save.rax = vcpu->gpr[X86_RAX];
	arch->vmcb->save.rsp = vcpu->gpr[X86_RSP];
	arch->vmcb->save.cr3 = vcpu->root;
	if (vcpu->measure)
		svm_loop_measured(vcpu, arch->vmcb_phys, vcpu->measure->tsc);
	svm_loop(vcpu, arch->vmcb_phys);
}

void vendor_set_paging(
	struct vcpu *vcpu, const struct umbra_paging_regs *guest, enum umbra_shadow_mode mode)
{
	struct vmcb *vmcb = vcpu->arch->vmcb;
	struct svm_shadow_regs regs = svm_shadow_regs(guest, mode);

	vmcb->save.cr0 = regs.cr0;
	vmcb->save.cr4 = regs.cr4;
	vmcb->save.efer = regs.efer;
	/* RDPKRU and WRPKRU are done for the guest then. */
	vmcb->intercept_exceptions &= ~(1u << X86_UD);
	if (guest->cr4 & ~regs.cr4 & X86_CR4_PKE)
		vmcb->intercept_exceptions |= 1u << X86_UD;
}

void vendor_set_nested_root(struct vcpu *vcpu, umbra_hpa root)
{
	vcpu->arch->vmcb->nested_control = SVM_NESTED_ENABLE;
	vcpu->arch->vmcb->nested_cr3 = root;
}

void vendor_nested_set_control(struct vcpu *vcpu, const struct umbra_paging_regs *regs)
{
	struct vmcb_save *save = &vcpu->arch->vmcb->save;

	vcpu->arch->nested_lme = regs->efer & X86_EFER_LME;
	save->cr0 = regs->cr0;
	save->cr4 = regs->cr4;
	save->efer = regs->efer | X86_EFER_SVME;
	if (svm_features.needs_control && !(regs->efer & X86_EFER_LMA))
		save->efer &= ~X86_EFER_LME;
	vendor_flush_tlb(vcpu);
}

void vendor_flush_tlb(struct vcpu *vcpu)
{
	vcpu->arch->vmcb->tlb_control =
		svm_features.flush_by_asid ? SVM_TLB_FLUSH_ASID : SVM_TLB_FLUSH_ALL;
}

void vendor_flush_gva(struct vcpu *vcpu, umbra_gva gva)
{
	(void)vcpu;
	/* One tag for the whole guest, and INVLPGA minds no G bit: this is all address spaces at
	 * once. */
	__asm__ volatile("invlpga %0, %1" : : "a"(gva), "c"(SVM_ASID) : "memory");
}
