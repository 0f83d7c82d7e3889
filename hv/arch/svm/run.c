/* SPDX-License-Identifier: MIT */
/*
 * Entering the guest, and every exit that fast.c does not do: the guest's state and the exit's
 * details are brought to where everybody finds them.
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
	[SVM_EXIT_PF] = KNOWN | EXIT_PF,
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
	       (uint32_t)vcpu->exit.code == SVM_EXIT_INVALID_32 &&
	       vcpu->arch->vmcb.save.cr3 != read_cr3();
}

enum exit_kind vendor_exit_kind(uint64_t code)
{
	if (code < sizeof(kinds) && kinds[code] & KNOWN)
		return (enum exit_kind)(kinds[code] & ~KNOWN);
	return code == SVM_EXIT_NPF ? EXIT_NPF : EXIT_OTHER;
}

bool vendor_exit_is_cr_write(uint64_t code)
{
	return code - SVM_EXIT_CR0_WRITE < 16 || code == SVM_EXIT_CR0_SEL_WRITE;
}

static void read_nested_paging(struct vcpu *vcpu)
{
	const struct vmcb_save *save = &vcpu->arch->vmcb.save;

	vcpu->regs = (struct umbra_paging_regs){
		.cr0 = save->cr0,
		.cr3 = save->cr3,
		.cr4 = save->cr4,
		.efer = (save->efer & ~X86_EFER_SVME) | vcpu->arch->nested_lme,
	};
	vcpu->root = save->cr3;
}

/* TCG does a task switch without the exit: the guest then runs on its own tables, which must not
 * last. */
_Noreturn void svm_foreign_tables(struct vcpu *vcpu)
{
	vm_stop(vcpu, "a task switch through a TSS, which this processor (TCG) does not let the "
		      "hypervisor do");
}

void vendor_describe_exit(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = &vcpu->arch->vmcb;

	vcpu->gpr[X86_RAX] = vmcb->save.rax;
	vcpu->gpr[X86_RSP] = vmcb->save.rsp;
	vcpu->exit = (struct exit_record){
		.code = vmcb->exit_code,
		.info1 = vmcb->exit_info1,
		.info2 = vmcb->exit_info2,
		.rip = vmcb->save.rip,
		.rflags = vmcb->save.rflags,
		.cpl = vmcb->save.cpl,
	};
}

/* From the beginning, unlike what the fast path gave up half way. */
static void whole_exit(struct vcpu *vcpu)
{
	struct vmcb *vmcb = &vcpu->arch->vmcb;
	enum exit_kind kind;

	vmcb->tlb_control = 0;
	if (svm_features.nested)
		read_nested_paging(vcpu);
	if (unlikely(vmcb->exit_int_info & SVM_EVENT_VALID))
		svm_redeliver(vcpu);
	if (unlikely(vmcb->save.cr3 != vcpu->root))
		svm_foreign_tables(vcpu);
	kind = vendor_exit_kind(vmcb->exit_code);
	if (unlikely(kind == EXIT_OTHER) && was_refused_bits(vcpu)) {
		vcpu->exit.code = SVM_EXIT_EXCEPTION + X86_GP;
		vcpu->exit.info1 = 0;
		kind = EXIT_EXCEPTION;
	}
	vm_exit(vcpu, kind);
}

umbra_hpa svm_exit(struct vcpu *vcpu, umbra_hpa from_fast)
{
	struct vendor_vcpu *arch = vcpu->arch;
	struct vmcb *vmcb = &arch->vmcb;

	vendor_describe_exit(vcpu);
	if (!(from_fast & SVM_UNFINISHED))
		exit_note(vcpu, (uint32_t)vcpu->exit.code, vcpu->exit.info1, vcpu->exit.info2,
			vcpu->exit.rip);
	vcpu->n_described = vcpu->n_exits;
	if (from_fast & SVM_UNFINISHED)
		vm_finish_pf(vcpu);
	else
		whole_exit(vcpu);
	vmcb->save.rax = vcpu->gpr[X86_RAX];
	vmcb->save.rsp = vcpu->gpr[X86_RSP];
	vmcb->save.cr3 = vcpu->root;
	vmcb->asid = svm_asid(vcpu->tag);
	return svm_resume(arch);
}

_Noreturn void vendor_loop(struct vcpu *vcpu)
{
	struct vendor_vcpu *arch = vcpu->arch;

	arch->vmcb.save.rax = vcpu->gpr[X86_RAX];
	arch->vmcb.save.rsp = vcpu->gpr[X86_RSP];
	arch->vmcb.save.cr3 = vcpu->root;
	arch->vmcb.asid = svm_asid(vcpu->tag);
	if (vcpu->measure)
		svm_loop_measured(vcpu, arch, arch->vmcb_phys, vcpu->measure->tsc);
	svm_loop(vcpu, arch, arch->vmcb_phys);
}

void vendor_set_paging(
	struct vcpu *vcpu, const struct umbra_paging_regs *guest, enum umbra_shadow_mode mode)
{
	struct vmcb *vmcb = &vcpu->arch->vmcb;
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
	vcpu->arch->vmcb.nested_control = SVM_NESTED_ENABLE;
	vcpu->arch->vmcb.nested_cr3 = root;
}

void vendor_nested_set_control(struct vcpu *vcpu, const struct umbra_paging_regs *regs)
{
	struct vmcb_save *save = &vcpu->arch->vmcb.save;

	vcpu->arch->nested_lme = regs->efer & X86_EFER_LME;
	save->cr0 = regs->cr0;
	save->cr4 = regs->cr4;
	save->efer = regs->efer | X86_EFER_SVME;
	if (svm_features.needs_control && !(regs->efer & X86_EFER_LMA))
		save->efer &= ~X86_EFER_LME;
	vendor_flush_tlb(vcpu);
}
