/* SPDX-License-Identifier: MIT */
/*
 * void vector_read_mmx(unsigned number, void *bytes), and so on: a vector register, chosen at run
 * time. One instruction for each register, SLOT bytes apart.
 */
#define SLOT 8

	.macro	one insn, class, number
	.balign	SLOT
	\insn	%\class\number, (%rsi)
	ret
	.endm

	.macro	read name, insn, class, last
	.globl	\name
	.balign	16
\name:
	mov	%edi, %edi
	lea	1f(%rip), %rax
	lea	(%rax,%rdi,SLOT), %rax
	jmp	*%rax
	.balign	SLOT
1:
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7
	one	\insn, \class, \number
	.endr
	.if	\last > 7
	.irp	number, 8, 9, 10, 11, 12, 13, 14, 15
	one	\insn, \class, \number
	.endr
	.endif
	.endm

	.text
	read	vector_read_mmx, movq, mm, 7
	read	vector_read_xmm, movups, xmm, 15
	read	vector_read_ymm, vmovups, ymm, 15

	.section .note.GNU-stack, "", @progbits
