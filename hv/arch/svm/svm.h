/* SPDX-License-Identifier: MIT */
/*
 * What the files of the SVM port share. Nobody else may include it.
 */
#ifndef HV_ARCH_SVM_SVM_H
#define HV_ARCH_SVM_SVM_H

#include "hv/arch/svm/vmcb.h"
#include "hv/vm/vcpu.h"

struct vendor_vcpu {
	struct vmcb vmcb; /* first: on a page of its own */
	umbra_hpa vmcb_phys;
	uint64_t injected;   /* EVENTINJ as it was set last */
	uint64_t nested_lme; /* nested paging: the guest's EFER.LME; the hardware's only goes with
				LMA */
};

/* What CPUID Fn8000_000A reports. Zero without it: TCG has none of them. */
struct svm_features {
	bool nested_paging;
	bool next_rip;
	bool decode_assists;
	bool flush_by_asid;
	uint32_t n_asids; /* with the hypervisor's own */
	/* Not told by the processor: a fault while an injected exception is delivered does not
	 * become a double fault, so such faults are intercepted. With TCG, not with nested paging.
	 */
	bool injects_alone;
	/* Nor this: with LME=1, PG=0 and PAE=0 in a nested guest #VMEXIT leaves the host without
	 * paging, and reserved bits in a control register that is not intercepted are no #GP but
	 * VMEXIT_INVALID. So with TCG. */
	bool needs_control;
	bool nested; /* the mode chosen by vendor_init() */
};
extern struct svm_features svm_features;

/* The guest's address-space identifier for a tag. 0 is the hypervisor's. */
static inline uint32_t svm_asid(unsigned tag)
{
	return tag + 1;
}

/* enter.S: run @vcpu for ever with the VMCB of @arch, which lies at @vmcb_phys. The second form
 * calls measure_exit() after every #VMEXIT and stores the time stamps before and after the handling
 * of the exit in tsc[0] and tsc[1]. */
_Noreturn void svm_loop(struct vcpu *vcpu, struct vendor_vcpu *arch, umbra_hpa vmcb_phys);
_Noreturn void svm_loop_measured(
	struct vcpu *vcpu, struct vendor_vcpu *arch, umbra_hpa vmcb_phys, uint64_t *tsc);

/*
 * Called by enter.S between #VMEXIT and VMRUN. svm_fast() (fast.c) does the commonest exits; of the
 * general registers vcpu->gpr then has only those that C functions may change, without RAX. If it
 * says SVM_GENERAL, vcpu->gpr gets the others, and svm_exit() (run.c) does the exit, or the rest.
 * Both return the physical address of the VMCB with these bits.
 */
umbra_hpa svm_fast(struct vcpu *vcpu, struct vendor_vcpu *arch);
umbra_hpa svm_exit(struct vcpu *vcpu, umbra_hpa from_fast);

#define SVM_IN_SHADOW  1u /* the guest goes on in the shadow of STI or MOV SS */
#define SVM_GENERAL    2u
#define SVM_UNFINISHED 4u /* with it: a page fault that was counted; the answer is in the vCPU */

/* What svm_fast() and svm_exit() return to run the guest. */
static inline umbra_hpa svm_resume(const struct vendor_vcpu *arch)
{
	_Static_assert(SVM_INT_STATE_SHADOW == SVM_IN_SHADOW, "one bit for both");
	return arch->vmcb_phys | (arch->vmcb.int_state & SVM_INT_STATE_SHADOW);
}

/* exit.c: the guest's. */
void svm_set_cr2(struct vmcb *vmcb, umbra_gva gva);

/* run.c: the guest runs on other tables than it was given. */
_Noreturn void svm_foreign_tables(struct vcpu *vcpu);

/* event.c: the exit came while an event was being delivered. Deliver it again, except what executes
 * again by itself; handlers may then decide otherwise. */
void svm_redeliver(struct vcpu *vcpu);

#endif
