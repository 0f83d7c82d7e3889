/* SPDX-License-Identifier: MIT */
/*
 * Address-space tags, which are ASIDs here, and what is forgotten under them. APM 2 "TLB Control",
 * "INVLPGA", "Address Space Identifiers (ASIDs)".
 */
#include "hv/arch/svm/svm.h"

unsigned vendor_tags(void)
{
	return svm_features.n_asids > svm_asid(0) ? svm_features.n_asids - svm_asid(0) : 1;
}

void vendor_flush_tlb(struct vcpu *vcpu)
{
	vcpu->arch->vmcb.tlb_control = SVM_TLB_FLUSH_ALL;
}

void vendor_flush_tag(struct vcpu *vcpu)
{
	struct vmcb *vmcb = &vcpu->arch->vmcb;

	/* The processor takes the ASID that the VMCB has at VMRUN. */
	if (vmcb->tlb_control != SVM_TLB_FLUSH_ALL)
		vmcb->tlb_control =
			svm_features.flush_by_asid ? SVM_TLB_FLUSH_ASID : SVM_TLB_FLUSH_ALL;
}

void vendor_flush_gva(struct vcpu *vcpu, unsigned tag, umbra_gva gva)
{
	(void)vcpu;
	/* It minds no G bit, and without EFER.TCE, which the hypervisor does not set, it forgets
	 * the upper entries too. */
	__asm__ volatile("invlpga %0, %1" : : "a"(gva), "c"(svm_asid(tag)) : "memory");
}
