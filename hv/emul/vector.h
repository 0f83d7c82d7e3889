/* SPDX-License-Identifier: MIT */
/*
 * Stores of vector registers, where only doing them here helps. The hypervisor has no use for these
 * registers, so during an exit the processor still holds the guest's.
 */
#ifndef HV_EMUL_VECTOR_H
#define HV_EMUL_VECTOR_H

#include "hv/vm/vcpu.h"

/* Switch on in CR4 what reading these registers needs. Boot only. */
void vector_init(void);

/* Do the store of the instruction at RIP, if it is one whose register and width are known: up to 32
 * bytes of MMX, XMM or YMM registers. Returns false, and nothing happened, if not. */
bool vector_store(struct vcpu *vcpu, const struct x86_insn *insn, const struct memory_fault *fault);

/* vector_read.S: the register as the processor holds it, into 8, 16 or 32 bytes. */
void vector_read_mmx(unsigned number, void *bytes);
void vector_read_xmm(unsigned number, void *bytes);
void vector_read_ymm(unsigned number, void *bytes);

#endif
