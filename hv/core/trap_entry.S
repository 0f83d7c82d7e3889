/* SPDX-License-Identifier: MIT */
/*
 * Where the processor arrives when the hypervisor itself is interrupted: 256 stubs of 16 bytes that
 * make a struct trap_frame, and the two vectors that simply go on.
 */

	.text

/* Vectors that push an error code. SDM 3A "Exception and Interrupt Vectors"; 29 and 30 are AMD's
 * #VC and #SX. */
#define ERROR_CODE_VECTORS 0x60227d00

	.macro	stub has_error_code
	.balign	16
	.if	!(\has_error_code)
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endm

	.globl	trap_stubs
	.balign	16
	.set	vector, 0
trap_stubs:
	.rept	32
	stub	(ERROR_CODE_VECTORS >> vector) & 1
	.endr
	.rept	224
	stub	0
	.endr

	.balign	16
trap_common:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	and	$-16, %rsp
	call	panic_trap
	ud2

/*
 * The guest's breakpoints can stay armed while the hypervisor runs and then hit one of its
 * addresses. RF lets the instruction run. SDM 3B "Instruction-Breakpoint Exception Condition".
 */
	.globl	trap_debug
trap_debug:
	orl	$0x10000, 16(%rsp)
	iretq

/* An NMI that arrives here was let in on purpose, to take it from the pending ones. */
	.globl	trap_nmi
trap_nmi:
	incl	trap_nmis(%rip)
	iretq

	.bss
	.balign	4
	.globl	trap_nmis
trap_nmis:
	.skip	4

	.section .note.GNU-stack, "", @progbits
