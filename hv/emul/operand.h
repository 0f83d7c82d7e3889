/* SPDX-License-Identifier: MIT */
/*
 * Instructions with one memory operand, and PUSH, done for the guest wherever that operand is.
 */
#ifndef HV_EMUL_OPERAND_H
#define HV_EMUL_OPERAND_H

#include "hv/vm/vcpu.h"

/* Do the store of the instruction at RIP if it lies at @gva in one page, which the guest may write
 * and which is at @gpa: the library has just said so. Returns false, and nothing happened, if it is
 * another kind of store. The commonest: each instruction counts. */
bool operand_store(struct vcpu *vcpu, const struct known_insn *known, umbra_gva gva, umbra_gpa gpa);

/* Load, change and store what @insn does to memory anywhere, @fault in it: in two pages, in a
 * device, in nothing. With @must also where it cannot be atomic though it was asked to be, as it is
 * not aligned. Returns false, and nothing happened, if @insn is not of this kind or does not touch
 * @fault. */
bool operand_do(struct vcpu *vcpu, const struct x86_insn *insn, const struct memory_fault *fault,
	bool must);

/* Does @insn touch @gva with an operand, or with what it pushes? */
bool operand_is_at(struct vcpu *vcpu, const struct x86_insn *insn, umbra_gva gva);

#endif
