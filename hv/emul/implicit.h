/* SPDX-License-Identifier: MIT */
/*
 * Accesses that the processor makes by itself, to descriptor tables and TSS.
 */
#ifndef HV_EMUL_IMPLICIT_H
#define HV_EMUL_IMPLICIT_H

#include "hv/vm/vcpu.h"

/* The library's answer in @out is about an access at @gva that is no operand of the instruction at
 * RIP. If it says that SMAP refuses the access but for EFLAGS.AC, which means nothing for accesses
 * of this kind, and it was one, the #PF is injected. */
bool implicit_inject(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out);

#endif
