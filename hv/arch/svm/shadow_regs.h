/* SPDX-License-Identifier: MIT */
/*
 * The control registers of the VMCB under shadow paging. Pure.
 */
#ifndef HV_ARCH_SVM_SHADOW_REGS_H
#define HV_ARCH_SVM_SHADOW_REGS_H

#include "umbra/umbra.h"

struct svm_shadow_regs {
	uint64_t cr0, cr4, efer;
};

/* For a guest that sees @guest and runs on shadow tables of @mode. They pass VMRUN's checks for
 * every state that the library takes. APM 2 "Canonicalization and Consistency Checks". */
struct svm_shadow_regs svm_shadow_regs(
	const struct umbra_paging_regs *guest, enum umbra_shadow_mode mode);

#endif
