/* SPDX-License-Identifier: MIT */
/*
 * Exceptions for the guest, with what happens when one comes while another is being delivered.
 */
#include "hv/vm/vcpu.h"

/* Vectors that push an error code. SDM 3A "Exception and Interrupt Vectors". */
#define ALIGNMENT_CHECK 17
#define WITH_ERROR_CODE                                                                            \
	(1u << X86_DF | 1u << X86_TS | 1u << X86_NP | 1u << X86_SS | 1u << X86_GP | 1u << X86_PF | \
		1u << ALIGNMENT_CHECK)

enum class {
	BENIGN,
	CONTRIBUTORY,
	PAGE_FAULT,
	DOUBLE_FAULT,
};

/* SDM 3A "Interrupt 8 - Double Fault Exception (#DF)", Interrupt and Exception Classes. */
static enum class class_of(unsigned vector) {
	switch (vector){
		case X86_DE : case X86_TS : case X86_NP : case X86_SS : case
		X86_GP : return CONTRIBUTORY;
		case X86_PF : return PAGE_FAULT;
		case X86_DF : return DOUBLE_FAULT;
		default : return BENIGN;
	}
}

static bool makes_double(enum class first, enum class second)
{
	if (first == CONTRIBUTORY)
		return second == CONTRIBUTORY;
	return first == PAGE_FAULT && second != BENIGN;
}

void inject_exception(struct vcpu *vcpu, enum x86_vector vector, uint32_t error_code)
{
	struct vendor_event event = {
		.type = EVENT_EXCEPTION, .vector = (uint8_t)vector, .error_code = error_code};
	struct vendor_event first;

	if (vendor_vectoring(vcpu, &first) && first.type == EVENT_EXCEPTION) {
		if (class_of(first.vector) == DOUBLE_FAULT && class_of(vector) != BENIGN)
			vm_stop(vcpu,
				"triple fault: exception %u while delivering a double fault, at "
				"rip %lx",
				(unsigned)vector, vcpu->exit->rip);
		if (makes_double(class_of(first.vector), class_of(vector))) {
			event.vector = X86_DF;
			event.error_code = 0;
		}
	}
	event.has_error = WITH_ERROR_CODE >> event.vector & 1;
	vendor_inject(vcpu, &event);
}

void inject_outcome(struct vcpu *vcpu, const struct umbra_exit *out)
{
	/* The fault that made the exit left the guest's CR2 alone. */
	if (out->vector == X86_PF)
		vendor_set_cr2(vcpu, out->gva);
	inject_exception(vcpu, (enum x86_vector)out->vector, out->error_code);
}
