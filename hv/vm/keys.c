/* SPDX-License-Identifier: MIT */
/*
 * RDPKRU and WRPKRU of a guest that has CR4.PKE=1 where the hardware cannot have it (hv/arch/svm/
 * shadow_regs.c): they are #UD there. PKRU itself is always the guest's own. SDM 2 "RDPKRU",
 * "WRPKRU".
 */
#include "hv/core/insn.h"
#include "hv/vm/vcpu.h"

void exit_ud(struct vcpu *vcpu)
{
	uint32_t ecx = (uint32_t)vcpu->gpr[X86_RCX];
	uint32_t edx = (uint32_t)vcpu->gpr[X86_RDX];
	enum insn_status status;
	struct x86_insn insn;

	status = insn_decode(vcpu, &insn);
	if (status == INSN_RETRY)
		return;
	if (status != INSN_OK || (insn.op != X86_OP_RDPKRU && insn.op != X86_OP_WRPKRU)) {
		inject_exception(vcpu, X86_UD, 0);
		return;
	}
	if (ecx != 0 || (insn.op == X86_OP_WRPKRU && edx != 0)) {
		inject_exception(vcpu, X86_GP, 0);
		return;
	}
	if (insn.op == X86_OP_WRPKRU) {
		wrpkru((uint32_t)vcpu->gpr[X86_RAX]);
	} else {
		vcpu->gpr[X86_RAX] = rdpkru();
		vcpu->gpr[X86_RDX] = 0;
	}
	vendor_advance(vcpu, insn.length);
}
