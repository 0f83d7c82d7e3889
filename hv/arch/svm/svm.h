/* SPDX-License-Identifier: MIT */
/*
 * What the files of the SVM port share. Nobody else may include it.
 */
#ifndef HV_ARCH_SVM_SVM_H
#define HV_ARCH_SVM_SVM_H

#include "hv/arch/svm/vmcb.h"
#include "hv/vm/vcpu.h"

struct vendor_vcpu {
	struct vmcb *vmcb;
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

/* All of the guest runs under one address space tag. Not 0, which is the hypervisor's. */
#define SVM_ASID 1u

/* enter.S: run @vcpu for ever, first with the VMCB at @vmcb_phys. The second form calls
 * measure_exit() after every #VMEXIT and stores the time stamps before and after svm_exit() in
 * tsc[0] and tsc[1]. */
_Noreturn void svm_loop(struct vcpu *vcpu, umbra_hpa vmcb_phys);
_Noreturn void svm_loop_measured(struct vcpu *vcpu, umbra_hpa vmcb_phys, uint64_t *tsc);

/* run.c, called by enter.S: all between #VMEXIT and VMRUN. Returns the physical address of the
 * VMCB; bit 0 says that the guest goes on in the shadow of STI or MOV SS. */
umbra_hpa svm_exit(struct vcpu *vcpu);

/* event.c: the exit came while an event was being delivered. Deliver it again, except what executes
 * again by itself; handlers may then decide otherwise. */
void svm_redeliver(struct vcpu *vcpu);

#endif
