/* SPDX-License-Identifier: MIT */
/*
 * The 64-bit world's entry: at its first byte, with struct shared in EDI, on whatever stack. Its
 * memory of zeros was made so by the first call; later ones find it as it was left.
 */
	.section .head, "ax"
	.globl	start
start:
	push	%rbx
	push	%rbp
	mov	%rsp, %rbx
	mov	%edi, %ebp
	cmpb	$0, begun
	jne	1f
	mov	$bss_start, %edi
	mov	$bss_end, %ecx
	sub	%edi, %ecx
	xor	%eax, %eax
	cld
	rep stosb
	movb	$1, begun
1:	mov	$stack_end, %esp
	mov	%ebp, %edi
	call	main64
	mov	%rbx, %rsp
	pop	%rbp
	pop	%rbx
	ret

	.data
begun:	.byte	0

	.bss
	.balign	16
	.fill	0x4000
stack_end:
	.section .note.GNU-stack, "", @progbits
