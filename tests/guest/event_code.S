/* SPDX-License-Identifier: MIT */
/*
 * Code for probes of events, position-independent; and handlers that return.
 */
#include "tests/guest/layout.h"
#include "tests/guest/registers.h"

	.macro piece name
	.globl	event_\name
event_\name:
	.endm
	.macro done
	int	$TRAP_DONE
	.endm

	.section .probes, "ax"
	piece nop
	nop
	piece done
	done
	piece int
	int	$0x31
	done
	piece int3
	int3
	done
	piece into
#ifndef __x86_64__
	into
#endif
	done
	piece undefined
	ud2
	piece divide
	div	%cl		/* by zero */
	done
	piece load_null
	mov	%si, %ss	/* #GP at any privilege when SI is null with RPL 1 */
	done
	piece nmi
	mov	%esi, (DI)
1:	pause
	jmp	1b
	piece read
	mov	(DI), AX
	done

	piece cpuid
	cpuid
	done
	piece read_cr0
	mov	%cr0, AX
	done
	piece write_cr3
	mov	SI, %cr3
	done
	piece in
	in	$0x64, %al
	done
	piece out
	out	%al, $0x92
	done
	piece invlpg
	invlpg	(DI)
	done
	piece smsw
	smsw	(DI)
	done
	piece stos
	rep STOS
	done
	piece store
	mov	SI, (DI)
	done
	piece vmmcall
	vmmcall
	done

	.text
	.macro	handler name, hook
	.globl	\name
\name:
	push	BP
	mov	SP, BP
	push	AX
	push	CX
	push	DX
	push	SI
	push	DI
#ifdef __x86_64__
	push	%r8
	push	%r9
	push	%r10
	push	%r11
#endif
	cld
	and	$-16, SP
	call	*\hook
#ifdef __x86_64__
	lea	-9 * WORD(BP), SP
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
#else
	lea	-5 * WORD(BP), SP
#endif
	pop	DI
	pop	SI
	pop	DX
	pop	CX
	pop	AX
	pop	BP
	.endm

	handler event_nmi_entry, event_on_nmi
	IRET

	handler event_fault_entry, event_on_fault
	lea	WORD(SP), SP
	IRET

	.bss
	.balign	8
	.globl	event_on_nmi, event_on_fault
event_on_nmi:
	.fill	8
event_on_fault:
	.fill	8

	.section .note.GNU-stack, "", @progbits
