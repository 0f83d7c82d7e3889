/* SPDX-License-Identifier: MIT */
/*
 * An exception while another event is being delivered: which of the two, or what else, the
 * processor goes on with. A pure function.
 */
#ifndef HV_VM_COMBINE_H
#define HV_VM_COMBINE_H

#include "hv/arch/vendor.h"

enum combined {
	COMBINED_SECOND,       /* one after the other: now the second; the first is not repeated */
	COMBINED_DOUBLE_FAULT, /* #DF(0) in place of both */
	COMBINED_SHUTDOWN,     /* triple fault */
};

/* Exception @second arises while @first is being delivered. SDM 3A "Interrupt 8 - Double Fault
 * Exception (#DF)"; APM 2 "#DF - Double-Fault Exception (Vector 8)". */
enum combined combine(const struct vendor_event *first, uint8_t second);

/* The error code of #TS, #NP, #SS or #GP that arises while @first is being delivered, from one that
 * lacks EXT and may name the gate otherwise. SDM 3A "Error Code". */
uint32_t error_during(const struct vendor_event *first, uint32_t error_code);

/* Does exception @vector push an error code, in protected mode? SDM 3A "Exception and Interrupt
 * Vectors". */
bool exception_has_error(uint8_t vector);

/* Is it a fault, so that RF is set in the EFLAGS that its handler returns to? Not #DB, which can be
 * both. SDM 3A "Exception and Interrupt Vectors"; SDM 3B "Instruction-Breakpoint Exception
 * Condition". */
bool exception_is_fault(uint8_t vector);

#endif
