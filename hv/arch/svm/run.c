/* SPDX-License-Identifier: MIT */
/*
 * Entering the guest, and everything that is done on every exit: this is the path whose
 * instructions are counted.
 */
#include "hv/arch/svm/svm.h"
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
	[SVM_EXIT_INTR] = KNOWN | EXIT_INTR,
	[SVM_EXIT_NMI] = KNOWN | EXIT_NMI,
	[SVM_EXIT_SMI] = KNOWN | EXIT_SMI,
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
	[SVM_EXIT_INVPCID] = KNOWN | EXIT_SVM_INSN,
	[SVM_EXIT_TLBSYNC] = KNOWN | EXIT_SVM_INSN,
};

static enum exit_kind kind_of(uint64_t code)
{
	if (code == SVM_EXIT_NPF)
		return EXIT_NPF;
	if (code >= sizeof(kinds) || !(kinds[code] & KNOWN))
		return EXIT_OTHER;
	return (enum exit_kind)(kinds[code] & ~KNOWN);
}

/* The exit came while an event was being delivered: deliver it again, except INT n, which executes
 * again. */
static __attribute__((noinline)) void redeliver(struct vcpu *vcpu)
{
	struct vendor_event event;

	if (vendor_vectoring(vcpu, &event) && event.type != EVENT_SOFTWARE)
		vendor_inject(vcpu, &event);
}

static __attribute__((noinline)) void read_nested_paging(struct vcpu *vcpu)
{
	const struct vmcb_save *save = &vcpu->arch->vmcb->save;

	vcpu->regs = (struct umbra_paging_regs){
		.cr0 = save->cr0,
		.cr3 = save->cr3,
		.cr4 = save->cr4,
		.efer = save->efer & ~X86_EFER_SVME,
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
		redeliver(vcpu);
	/* TCG does a task switch without the exit: the guest then runs on its own tables, which
	 * must not last. */
	if (unlikely(vmcb->save.cr3 != vcpu->root))
		vm_stop(vcpu, "the guest loaded CR3 by a task switch, which is not supported");
	vm_exit(vcpu, likely(vmcb->exit_code == SVM_EXIT_PF) ? EXIT_PF : kind_of(vmcb->exit_code));
	vmcb->save.rax = vcpu->gpr[X86_RAX];
	vmcb->save.rsp = vcpu->gpr[X86_RSP];
	vmcb->save.cr3 = vcpu->root;
	return vcpu->arch->vmcb_phys;
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

void vendor_window(void)
{
	/* An intercepted NMI or SMI stays pending. With GIF set and IF clear it arrives here: the
	 * NMI gate of the hypervisor's IDT returns at once, SMM does its work. */
	__asm__ volatile("stgi\n\tnop\n\tnop\n\tclgi" : : : "memory");
}

void vendor_set_paging(
	struct vcpu *vcpu, const struct umbra_paging_regs *guest, enum umbra_shadow_mode mode)
{
	struct vmcb_save *save = &vcpu->arch->vmcb->save;
	uint64_t cr4 = guest->cr4 | X86_CR4_PAE;
	bool is_long = mode != UMBRA_SHADOW_PAE;

	/* The tables of an unpaged guest are user pages. */
	if (!(guest->cr0 & X86_CR0_PG))
		cr4 &= ~(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_PKS | X86_CR4_PCIDE);
	/* LA57 is reserved outside long mode by some processors. */
	cr4 &= ~X86_CR4_LA57;
	if (mode == UMBRA_SHADOW_5LEVEL)
		cr4 |= X86_CR4_LA57;
	save->cr4 = cr4;
	/* PG without PE ("paged real mode") is legal here. CD and NW are ours: NW alone is illegal,
	 * and a guest without caches would only be slow. */
	save->cr0 =
		(guest->cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | X86_CR0_PG | X86_CR0_WP | X86_CR0_ET;
	/* LME without LMA never appears in the VMCB: with PG set it would be long mode, or an
	 * invalid state. */
	save->efer = (guest->efer & ~(X86_EFER_LME | X86_EFER_LMA)) | X86_EFER_SVME | X86_EFER_NXE;
	if (is_long)
		save->efer |= X86_EFER_LME | X86_EFER_LMA;
}

void vendor_set_nested_root(struct vcpu *vcpu, umbra_hpa root)
{
	vcpu->arch->vmcb->nested_control = SVM_NESTED_ENABLE;
	vcpu->arch->vmcb->nested_cr3 = root;
}

void vendor_nested_set_efer(struct vcpu *vcpu, uint64_t efer)
{
	vcpu->arch->vmcb->save.efer = efer | X86_EFER_SVME;
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
