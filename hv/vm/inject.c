/* SPDX-License-Identifier: MIT */
/*
 * Exceptions for the guest, with what happens when one comes while another is being delivered.
 */
#include "hv/vm/combine.h"
#include "hv/vm/vcpu.h"

static inline void deliver(struct vcpu *vcpu, uint8_t vector, uint32_t error_code)
{
	/* SDM 3A "Exceptions and Interrupts" of real-address mode: no error codes there. */
	bool has_error = vcpu->regs.cr0 & X86_CR0_PE && exception_has_error(vector);

	vendor_inject_exception(vcpu, vector, has_error, error_code);
}

/* @first was being delivered. */
static __attribute__((noinline)) void deliver_second(
	struct vcpu *vcpu, const struct vendor_event *first, uint8_t vector, uint32_t error_code)
{
	switch (combine(first, vector)) {
	case COMBINED_SECOND:
		deliver(vcpu, vector, error_code);
		break;
	case COMBINED_DOUBLE_FAULT:
		deliver(vcpu, X86_DF, 0);
		break;
	case COMBINED_SHUTDOWN:
		vm_stop(vcpu,
			"triple fault, at or after rip %lx: exception %u while delivering a double "
			"fault",
			vcpu->exit.rip, vector);
	}
}

void inject_exception(struct vcpu *vcpu, enum x86_vector vector, uint32_t error_code)
{
	struct vendor_event first;

	if (unlikely(vendor_vectoring(vcpu, &first)))
		deliver_second(vcpu, &first, (uint8_t)vector, error_code);
	else
		deliver(vcpu, (uint8_t)vector, error_code);
}

void inject_outcome(struct vcpu *vcpu, const struct umbra_exit *out)
{
	/* The fault that made the exit left the guest's CR2 alone. */
	if (out->vector == X86_PF)
		vendor_set_cr2(vcpu, out->gva);
	inject_exception(vcpu, (enum x86_vector)out->vector, out->error_code);
}

/* The guest's own, and only here to be combined with what was being delivered. TCG counts the gates
 * of 64-bit code by 16 and sets no EXT. */
void exit_exception(struct vcpu *vcpu)
{
	uint32_t error_code = (uint32_t)vcpu->exit.info1;
	struct vendor_event first;

	if (vendor_vectoring(vcpu, &first))
		error_code = error_during(&first, error_code);
	inject_exception(vcpu, (enum x86_vector)vendor_exception(vcpu), error_code);
}
