/* SPDX-License-Identifier: MIT */
/*
 * VMMCALL: how a program in the guest, of any privilege, marks a point in time for whoever reads
 * the monitor.
 */
#include "hv/vm/vcpu.h"

#define CALL_UMBRA 0x554d4252u /* EAX: "UMBR" */
#define CALL_MARK  1u          /* EBX; ECX is the mark's number */

void exit_vmmcall(struct vcpu *vcpu)
{
	if ((uint32_t)vcpu->gpr[X86_RAX] != CALL_UMBRA ||
		(uint32_t)vcpu->gpr[X86_RBX] != CALL_MARK) {
		inject_exception(vcpu, X86_UD, 0);
		return;
	}
	/* Marks are not part of what is measured between them. */
	vcpu->exits[EXIT_VMMCALL]--;
	stats_mark(vcpu, (uint32_t)vcpu->gpr[X86_RCX]);
	vcpu->gpr[X86_RAX] = 0;
	insn_skip(vcpu);
}
