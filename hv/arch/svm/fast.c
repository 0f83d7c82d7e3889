/* SPDX-License-Identifier: MIT */
/*
 * The exits that decide how fast a guest is, from the VMCB to the library and back: page faults,
 * MOV to and from CR3, INVLPG. Each instruction counts here, so nothing is copied that nobody asks
 * for, and what is rare is left to svm_exit().
 */
#include "hv/arch/svm/svm.h"

/* The processor keeps RAX and RSP in the VMCB; of the others those are in memory that C functions
 * may change. */
uint64_t *vendor_gpr_home(struct vcpu *vcpu, unsigned gpr)
{
	switch (gpr) {
	case X86_RAX:
		return &vcpu->arch->vmcb.save.rax;
	case X86_RSP:
		return &vcpu->arch->vmcb.save.rsp;
	case X86_RBX:
	case X86_RBP:
	case 12:
	case 13:
	case 14:
	case 15:
		return NULL;
	default:
		return &vcpu->gpr[gpr];
	}
}

/* ---- the way back ---- */

/* Run on the library's root, under its tag. The check is the one of svm_exit(). */
static inline void follow(struct vcpu *vcpu, struct vmcb *vmcb)
{
	umbra_hpa root = umbra_root(vcpu->mmu);

	if (unlikely(vmcb->save.cr3 != vcpu->root))
		svm_foreign_tables(vcpu);
	vcpu->root = root;
	vmcb->save.cr3 = root;
	vmcb->asid = svm_asid(umbra_tag(vcpu->mmu));
}

static __attribute__((cold)) void follow_cold(struct vcpu *vcpu, struct vmcb *vmcb)
{
	follow(vcpu, vmcb);
}

/* The same where the root hardly ever changes, with a single comparison: as long as the root is the
 * same, so is the tag. */
static inline void follow_if_changed(struct vcpu *vcpu, struct vmcb *vmcb)
{
	if (unlikely(umbra_root(vcpu->mmu) != vmcb->save.cr3))
		follow_cold(vcpu, vmcb);
}

/* ---- page faults ---- */

/* Only a guest that pages has page faults of its own, so this is protected mode: there is an error
 * code. It came while nothing else was being delivered. */
static inline void inject_page_fault(struct vcpu *vcpu, struct vendor_vcpu *arch)
{
	struct vmcb *vmcb = &arch->vmcb;
	uint64_t inject = SVM_EVENT_VALID | SVM_EVENT_ERROR_VALID |
			  SVM_TYPE_EXCEPTION << SVM_EVENT_TYPE_SHIFT | X86_PF;

	inject |= (uint64_t)vcpu->out.error_code << SVM_EVENT_ERROR_SHIFT;
	svm_set_cr2(vmcb, vcpu->out.gva);
	vmcb->event_inject = inject;
	arch->injected = inject;
	vmcb->save.rflags |= X86_RFLAGS_RF;
	vmcb->int_state &= ~SVM_INT_STATE_SHADOW;
}

static __attribute__((noinline)) umbra_hpa page_fault(struct vcpu *vcpu, struct vendor_vcpu *arch)
{
	struct vmcb *vmcb = &arch->vmcb;
	uint64_t error_code = vmcb->exit_info1;
	umbra_gva gva = vmcb->exit_info2;
	struct umbra_page_fault fault;
	enum umbra_outcome outcome;

	if (unlikely(vmcb->exit_int_info & SVM_EVENT_VALID))
		return SVM_GENERAL;
	vmcb->tlb_control = 0;
	exit_note(vcpu, SVM_EXIT_PF, error_code, gva, vmcb->save.rip);
	vcpu->exits[EXIT_PF]++;
	fault.gva = gva;
	fault.error_code = (uint32_t)error_code;
	fault.cpl = vmcb->save.cpl;
	fault.ac = vmcb->save.rflags & X86_RFLAGS_AC;
	if (unlikely(memory_has_keys(vcpu)))
		memory_keys(vcpu, &fault);
	outcome = umbra_page_fault(vcpu->mmu, &fault, &vcpu->out);
	if (likely(outcome == UMBRA_RESUME)) {
		follow_if_changed(vcpu, vmcb);
		return svm_resume(arch);
	}
	if (unlikely(outcome != UMBRA_INJECT)) {
		vcpu->outcome = outcome;
		return SVM_GENERAL | SVM_UNFINISHED;
	}
	inject_page_fault(vcpu, arch);
	follow_if_changed(vcpu, vmcb);
	return arch->vmcb_phys;
}

/* ---- instructions, of 64-bit code ---- */

/* EFER.LMA is as it was when a site was learnt. A single step has more to report. */
static inline bool is_plain(const struct vmcb *vmcb)
{
	return vmcb->save.cs.attributes & SEGMENT_L && !(vmcb->save.rflags & X86_RFLAGS_TF);
}

static __attribute__((noinline)) struct insn_site *learn(
	struct vcpu *vcpu, struct insn_site *site, enum site_kind kind)
{
	const struct vmcb *vmcb = &vcpu->arch->vmcb;

	if (is_plain(vmcb) && vendor_code_size(vcpu) == X86_CODE_64 &&
		vmcb->save.cr3 == vcpu->root && site_learn(vcpu, site, kind, vmcb->save.rip))
		return site;
	return NULL;
}

/* What stands at RIP. NULL: it has to be found out by svm_exit(). */
static inline const struct insn_site *site_of(
	struct vcpu *vcpu, const struct vmcb *vmcb, enum site_kind kind)
{
	uint64_t rip = vmcb->save.rip;
	struct insn_site *site = site_place(vcpu->sites, kind, rip);

	if (likely(is_plain(vmcb) && site_holds(site, vcpu->root, rip)))
		return site;
	return learn(vcpu, site, kind);
}

/* Note the exit, and step over its instruction as vendor_advance() does, before anything is asked
 * of the library: so little has to be kept meanwhile. */
static inline void begin(struct vcpu *vcpu, struct vmcb *vmcb, enum exit_kind kind, uint32_t code,
	const struct insn_site *site, uint64_t operand)
{
	vmcb->tlb_control = 0;
	exit_note(vcpu, code, operand, 0, vmcb->save.rip);
	vcpu->exits[kind]++;
	vmcb->save.rip += site->length;
	vmcb->save.rflags &= ~X86_RFLAGS_RF;
	vmcb->int_state &= ~SVM_INT_STATE_SHADOW;
}

/* The library refused: the instruction has not been executed. */
static __attribute__((cold)) umbra_hpa refused(struct vcpu *vcpu, struct vendor_vcpu *arch)
{
	arch->vmcb.save.rip = vcpu->ring.rip[(vcpu->n_exits - 1) % EXIT_RING];
	inject_outcome(vcpu, &vcpu->out);
	follow(vcpu, &arch->vmcb);
	return arch->vmcb_phys;
}

static __attribute__((noinline)) umbra_hpa write_cr3(struct vcpu *vcpu, struct vendor_vcpu *arch)
{
	struct vmcb *vmcb = &arch->vmcb;
	const struct insn_site *site = site_of(vcpu, vmcb, SITE_CR3_WRITE);
	uint64_t cr3;

	if (unlikely(!site))
		return SVM_GENERAL;
	cr3 = *site->operand;
	begin(vcpu, vmcb, EXIT_CR3, SVM_EXIT_CR0_WRITE + 3, site, cr3);
	if (unlikely(umbra_load_cr3(vcpu->mmu, cr3, &vcpu->out) != UMBRA_RESUME))
		return refused(vcpu, arch);
	/* Without CR4.PCIDE the library would have refused the bit. */
	vcpu->regs.cr3 = cr3 & ~X86_CR3_NO_FLUSH;
	follow(vcpu, vmcb);
	return arch->vmcb_phys;
}

static __attribute__((noinline)) umbra_hpa read_cr3_for(struct vcpu *vcpu, struct vendor_vcpu *arch)
{
	struct vmcb *vmcb = &arch->vmcb;
	const struct insn_site *site = site_of(vcpu, vmcb, SITE_CR3_READ);

	if (unlikely(!site))
		return SVM_GENERAL;
	begin(vcpu, vmcb, EXIT_CR3, SVM_EXIT_CR0_READ + 3, site, vcpu->regs.cr3);
	*site->operand = vcpu->regs.cr3;
	return arch->vmcb_phys;
}

static __attribute__((noinline)) umbra_hpa invlpg(struct vcpu *vcpu, struct vendor_vcpu *arch)
{
	struct vmcb *vmcb = &arch->vmcb;
	const struct insn_site *site = site_of(vcpu, vmcb, SITE_INVLPG);
	umbra_gva gva;

	if (unlikely(!site))
		return SVM_GENERAL;
	gva = *site->operand;
	begin(vcpu, vmcb, EXIT_INVLPG, SVM_EXIT_INVLPG, site, gva);
	umbra_invlpg(vcpu->mmu, gva);
	follow_if_changed(vcpu, vmcb);
	return arch->vmcb_phys;
}

/* Each has a frame of its own: what one keeps in registers costs the others nothing. */
umbra_hpa svm_fast(struct vcpu *vcpu, struct vendor_vcpu *arch)
{
	uint64_t code = arch->vmcb.exit_code;

	if (likely(code == SVM_EXIT_PF))
		return page_fault(vcpu, arch);
	if (code == SVM_EXIT_INVLPG)
		return invlpg(vcpu, arch);
	if (code == SVM_EXIT_CR0_WRITE + 3)
		return write_cr3(vcpu, arch);
	if (code == SVM_EXIT_CR0_READ + 3)
		return read_cr3_for(vcpu, arch);
	return SVM_GENERAL;
}
