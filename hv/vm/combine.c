/* SPDX-License-Identifier: MIT */
/*
 * The classes of exceptions. SDM 3A "Interrupt 8 - Double Fault Exception (#DF)", tables "Interrupt
 * and Exception Classes" and "Conditions for Generating a Double Fault". AMD's tables are the same;
 * #VE is Intel's alone.
 */
#include "hv/vm/combine.h"

#include "x86/x86.h"

/* Vectors that nothing else in Umbra speaks of. */
#define OVERFLOW           4
#define ALIGNMENT_CHECK    17
#define VIRTUALIZATION     20
#define CONTROL_PROTECTION 21

/* Traps (#BP, #OF), aborts (#DF, #MC), both (#DB) and what is no exception (NMI). */
#define NO_FAULT                                                                                   \
	(1u << X86_DB | 1u << X86_NMI | 1u << X86_BP | 1u << OVERFLOW | 1u << X86_DF | 1u << X86_MC)
#define WITH_ERROR_CODE                                                                            \
	(1u << X86_DF | 1u << X86_TS | 1u << X86_NP | 1u << X86_SS | 1u << X86_GP | 1u << X86_PF | \
		1u << ALIGNMENT_CHECK | 1u << CONTROL_PROTECTION)

enum exception_class {
	CLASS_BENIGN,
	CLASS_CONTRIBUTORY,
	CLASS_PAGE_FAULT,
	CLASS_DOUBLE_FAULT,
};

static enum exception_class class_of(uint8_t vector)
{
	switch (vector) {
	case X86_DE:
	case X86_TS:
	case X86_NP:
	case X86_SS:
	case X86_GP:
	case CONTROL_PROTECTION:
		return CLASS_CONTRIBUTORY;
	case X86_PF:
	case VIRTUALIZATION:
		return CLASS_PAGE_FAULT;
	case X86_DF:
		return CLASS_DOUBLE_FAULT;
	default:
		return CLASS_BENIGN;
	}
}

enum combined combine(const struct vendor_event *first, uint8_t second)
{
	enum exception_class then = class_of(second);

	/* Interrupts of every kind are benign, whatever their vector. */
	if (first->type != EVENT_EXCEPTION || then == CLASS_BENIGN)
		return COMBINED_SECOND;
	switch (class_of(first->vector)) {
	case CLASS_BENIGN:
		return COMBINED_SECOND;
	case CLASS_CONTRIBUTORY:
		return then == CLASS_PAGE_FAULT ? COMBINED_SECOND : COMBINED_DOUBLE_FAULT;
	case CLASS_PAGE_FAULT:
		return COMBINED_DOUBLE_FAULT;
	case CLASS_DOUBLE_FAULT:
		break;
	}
	return COMBINED_SHUTDOWN;
}

#define ERROR_EXT       1u
#define ERROR_IDT       2u
#define ERROR_IDT_SHIFT 3

uint32_t error_during(const struct vendor_event *first, uint32_t error_code)
{
	if (error_code & ERROR_IDT)
		error_code = (uint32_t)first->vector << ERROR_IDT_SHIFT | ERROR_IDT;
	return first->type == EVENT_SOFTWARE ? error_code : error_code | ERROR_EXT;
}

bool exception_has_error(uint8_t vector)
{
	return vector < 32 && WITH_ERROR_CODE >> vector & 1;
}

bool exception_is_fault(uint8_t vector)
{
	return vector < 32 && !(NO_FAULT >> vector & 1);
}
