/* SPDX-License-Identifier: MIT */
/*
 * STOS and MOVS, once or repeated, done for the guest by as many elements as lie in one page.
 */
#ifndef HV_EMUL_STRING_H
#define HV_EMUL_STRING_H

#include "hv/vm/vcpu.h"

static inline bool string_is(const struct x86_insn *insn)
{
	return insn->op == X86_OP_STOS || insn->op == X86_OP_MOVS;
}

umbra_gva string_destination(struct vcpu *vcpu, const struct x86_insn *insn);

/* Is so much left to be stored into the page of its destination that it is no table any more, or
 * soon will be none? */
bool string_is_long(struct vcpu *vcpu, const struct x86_insn *insn);

/* Do some of what is left, in at most one page; the guest goes on with the rest. Faults of its
 * operands are injected. @fault as memory_prepare() takes it. */
void string_do(struct vcpu *vcpu, const struct x86_insn *insn, const struct memory_fault *fault);

#endif
