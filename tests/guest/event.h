/* SPDX-License-Identifier: MIT */
/*
 * Events: what causes them, handlers that return, and descriptor tables and stacks that the
 * processor has not used yet, so that their first use faults in a shadow table. For both worlds.
 */
#ifndef TESTS_GUEST_EVENT_H
#define TESTS_GUEST_EVENT_H

#include "tests/guest/guest.h"

/* Pieces of code for probes, in event_code.S. */
extern char event_nop[], event_int[], event_int3[], event_into[], event_undefined[], event_divide[],
	event_load_null[], event_read[], event_nmi[], event_done[];
extern char event_cpuid[], event_read_cr0[], event_write_cr3[], event_in[], event_out[],
	event_invlpg[], event_smsw[], event_stos[], event_store[], event_vmmcall[];

/* A probe of @code by @who. */
struct probe event_probe(const char *code, enum who who);

/* The vector of event_int, and one for interrupts from the local APIC. */
#define EVENT_INT 0x31
#define EVENT_IRQ 0x41

/* The local APIC: once a test. */
void apic_begin(void);
/* Send an interrupt of EVENT_IRQ, or an NMI, to this processor; and end the interrupt. */
void apic_interrupt(void);
void apic_nmi(void);
void apic_end(void);
/* Let @probe, of event_nmi, send the NMI. */
void apic_nmi_probe(struct probe *probe);

/* ---- handlers that return ---- */

/* Gates for them: trap_set(). */
void event_nmi_entry(void);
void event_fault_entry(void); /* of an exception with an error code */
/* What they call. */
extern void (*event_on_nmi)(void);
extern void (*event_on_fault)(void);

/* ---- unused memory for delivery ---- */

enum fresh {
	FRESH_IDT = 1,
	FRESH_STACK = 2, /* for USER in the 32-bit world, always in the 64-bit one */
	FRESH_TSS = 4,
	FRESH_GDT = 8,
	FRESH_ALL = 15,
};

/* Put the tables of @which and the stack at addresses of their own. Once a test, in a paged mode.
 */
void fresh_begin(unsigned which);
/* Let the hypervisor forget them. The stack of KERNEL in the 32-bit world is *@sp. */
void fresh_again(word *sp);
/* Take the guest's page away: of the stack, or of the IDT from vector 0x20 on. */
void fresh_remove_stack(void);
void fresh_remove_idt(void);
word fresh_stack_page(void);
word fresh_idt_entry(unsigned vector);

#endif
