/* SPDX-License-Identifier: MIT */
/*
 * Into a probe and out of it again; the stubs of all vectors; the way out of a test that has gone
 * wrong. For both worlds.
 */
#include "tests/guest/layout.h"
#include "tests/guest/registers.h"

	/* Back to the caller of probe_run(), whose registers are on the stack. */
	.macro leave_probe
	pop	BP
	pop	BX
#ifdef __x86_64__
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
#else
	pop	%edi
	pop	%esi
#endif
	ret
	.endm

	.text

	/* void probe_run(struct probe *probe) */
	.globl	probe_run
probe_run:
#ifdef __x86_64__
	mov	%rdi, %rax
	push	%r12
	push	%r13
	push	%r14
	push	%r15
#else
	mov	4(%esp), %eax
	push	%esi
	push	%edi
#endif
	push	BX
	push	BP
	mov	AX, current
	mov	SP, resume_sp
	incl	n_probes
#ifdef __x86_64__
	pushq	FIELD(SS)(%rax)
	pushq	FIELD(SP)(%rax)
#else
	testl	$0x20000, FIELD(FLAGS)(%eax)
	jz	3f
	pushl	FIELD(SEGS)(%eax)
	pushl	FIELD(SEGS)(%eax)
	pushl	FIELD(SEGS)(%eax)
	pushl	FIELD(SEGS)(%eax)
	jmp	1f
3:	testb	$3, FIELD(CS)(%eax)
	jnz	1f
	mov	FIELD(SP)(%eax), %esp
	jmp	2f
1:	pushl	FIELD(SS)(%eax)
	pushl	FIELD(SP)(%eax)
2:
#endif
	PUSH	FIELD(FLAGS)(AX)
	PUSH	FIELD(CS)(AX)
	PUSH	FIELD(IP)(AX)
	mov	FIELD(BX)(AX), BX
	mov	FIELD(CX)(AX), CX
	mov	FIELD(DX)(AX), DX
	mov	FIELD(SI)(AX), SI
	mov	FIELD(DI)(AX), DI
	mov	FIELD(AX)(AX), AX
	IRET

	/* Here with vector, error code and the processor's frame on the stack. */
trapped:
	push	BX
#ifndef __x86_64__
	mov	$GDT_USER_DATA, %ebx
	mov	%ebx, %ds
#endif
	mov	current, BX
	test	BX, BX
	jz	astray
	mov	AX, FIELD(AX)(BX)
	mov	CX, FIELD(CX)(BX)
	mov	DX, FIELD(DX)(BX)
	mov	SI, FIELD(SI)(BX)
	mov	DI, FIELD(DI)(BX)
	pop	AX
	mov	AX, FIELD(BX)(BX)
	pop	AX
	mov	AX, FIELD(VECTOR)(BX)
	pop	AX
	mov	AX, FIELD(ERROR)(BX)
	pop	AX
	mov	AX, FIELD(IP)(BX)
	pop	AX
	mov	AX, FIELD(CS)(BX)
	mov	AX, CX		/* whence, for below */
	pop	AX
	mov	AX, FIELD(FLAGS)(BX)
#ifdef __x86_64__
	pop	%rax
	mov	%rax, FIELD(SP)(%rbx)
	pop	%rax
	mov	%rax, FIELD(SS)(%rbx)
#else
	/* From the same level no stack pointer was pushed: it is what it is now. */
	mov	%esp, FIELD(SP)(%ebx)
	mov	%ss, FIELD(SS)(%ebx)
	testl	$0x20000, FIELD(FLAGS)(%ebx)
	jnz	2f
	test	$3, %cl
	jz	1f
2:	pop	%eax
	mov	%eax, FIELD(SP)(%ebx)
	pop	%eax
	mov	%eax, FIELD(SS)(%ebx)
1:
#endif
	mov	%cr2, AX
	mov	AX, FIELD(CR2)(BX)
	xor	%eax, %eax
	mov	AX, current
	mov	resume_sp, SP
	mov	$GDT_USER_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	PUSH	$2
	POPF
	cld
	leave_probe

	/* A trap while no probe was running: a defect of the guest, or of what it runs on. */
astray:
	pop	BX
	mov	$GDT_USER_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	SP, DI
	and	$-16, SP
#ifndef __x86_64__
	sub	$12, %esp
	push	%edi
#endif
	call	trap_astray
	ud2

	/* Vectors with an error code: 8, 10 to 14, 17, 21, 29, 30. */
	.altmacro
	.macro stub vector
	.balign	16
stub_\vector:
	.set	has_error, 0
	.irp	v, 8, 10, 11, 12, 13, 14, 17, 21, 29, 30
	.if	\vector == \v
	.set	has_error, 1
	.endif
	.endr
	.if	!has_error
	PUSH	$0
	.endif
	PUSH	$\vector
	jmp	trapped
	.endm
	.set	i, 0
	.rept	256
	stub	%i
	.set	i, i + 1
	.endr

	.section .rodata
	.balign	8
	.globl	trap_stubs
trap_stubs:
	.macro stub_address vector
	DATA	stub_\vector
	.endm
	.set	i, 0
	.rept	256
	stub_address %i
	.set	i, i + 1
	.endr

	.text
	/* bool guard_call(void (*function)(void)) */
	.globl	guard_call
guard_call:
#ifdef __x86_64__
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rbx
	push	%rbp
	mov	%rsp, guard_sp
	sub	$8, %rsp
	call	*%rdi
#else
	mov	4(%esp), %eax
	push	%esi
	push	%edi
	push	%ebx
	push	%ebp
	mov	%esp, guard_sp
	sub	$12, %esp
	call	*%eax
#endif
	mov	$1, %ecx
	jmp	1f

	.globl	guard_leave
guard_leave:
	xor	%ecx, %ecx
1:	mov	guard_sp, SP
	PUSH	$2
	POPF
	cld
	mov	%ecx, %eax
	leave_probe

	.bss
	.balign	8
current:	.fill	8
	.globl	n_probes
n_probes:	.fill	8
resume_sp:	.fill	8
guard_sp:	.fill	8
	.section .note.GNU-stack, "", @progbits
