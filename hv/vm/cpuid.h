/* SPDX-License-Identifier: MIT */
/*
 * What the guest's processor is.
 */
#ifndef HV_VM_CPUID_H
#define HV_VM_CPUID_H

#include "hv/core/insn.h"

/* CPUID as the guest sees it, except for what depends on its control registers (OSXSAVE). */
struct cpuid_result cpuid_guest(uint32_t leaf, uint32_t subleaf);

#endif
