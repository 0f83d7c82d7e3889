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
};

/* What CPUID Fn8000_000A reports. Zero without it: TCG has none of them. */
struct svm_features {
	bool nested_paging;
	bool next_rip;
	bool decode_assists;
	bool flush_by_asid;
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
 * VMCB. */
umbra_hpa svm_exit(struct vcpu *vcpu);

#endif
