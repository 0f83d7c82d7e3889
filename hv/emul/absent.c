/* SPDX-License-Identifier: MIT */
/*
 * Accesses to memory that is not there, the hypervisor's among it: all ones are read, writes do
 * nothing. An instruction that is not known cannot be done here, and nobody else can do it.
 */
#include "hv/emul/emul.h"
#include "hv/emul/implicit.h"
#include "hv/emul/operand.h"
#include "hv/emul/string.h"
#include "hv/emul/vector.h"

static _Noreturn void refuse(struct vcpu *vcpu, umbra_gpa gpa, const char *why)
{
	vm_stop(vcpu,
		"access to physical address %lx, where there is no memory for the guest, at rip "
		"%lx: %s",
		gpa, vcpu->exit.rip, why);
}

void emulate_absent(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out)
{
	struct memory_fault fault = {
		.gva = gva,
		.gpa = out->gpa,
		.granted = vcpu->mmu && vcpu->exit.info1 & X86_PF_W,
	};
	const struct x86_insn *insn;
	const struct known_insn *known;
	enum insn_status status;
	struct vendor_event event;

	if (vendor_vectoring(vcpu, &event)) {
		if (implicit_inject(vcpu, gva, out))
			return;
		refuse(vcpu, out->gpa, "while an interrupt or exception was being delivered");
	}
	known = insn_at_rip(vcpu, &status);
	if (status == INSN_RETRY)
		return;
	if (status == INSN_UNKNOWN)
		refuse(vcpu, out->gpa, "an instruction that cannot be decoded");
	insn = &known->insn;
	if (!operand_is_at(vcpu, insn, gva)) {
		if (implicit_inject(vcpu, gva, out))
			return;
		refuse(vcpu, out->gpa, "not by an operand of the instruction there");
	}
	if (string_is(insn)) {
		string_do(vcpu, insn, &fault);
		return;
	}
	if (!operand_do(vcpu, insn, &fault, true) && !vector_store(vcpu, insn, &fault))
		refuse(vcpu, out->gpa, "by an instruction that is not emulated");
}
