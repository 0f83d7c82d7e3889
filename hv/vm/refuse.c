/* SPDX-License-Identifier: MIT */
/*
 * Exits whose answer is no: for the guest (#UD), or to the guest's going on at all.
 */
#include "hv/vm/vcpu.h"

void exit_svm_insn(struct vcpu *vcpu)
{
	inject_exception(vcpu, X86_UD, 0);
}

void exit_shutdown(struct vcpu *vcpu)
{
	vm_stop(vcpu, "triple fault, at or after rip %lx", vcpu->exit.rip);
}

void exit_other(struct vcpu *vcpu)
{
	panic("exit %lx (%lx, %lx) that nobody asked for, at guest rip %lx", vcpu->exit.code,
		vcpu->exit.info1, vcpu->exit.info2, vcpu->exit.rip);
}
