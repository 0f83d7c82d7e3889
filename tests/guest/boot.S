/* SPDX-License-Identifier: MIT */
/*
 * The 32-bit world's beginning, as the multiboot specification (version 0.6.96, "Machine state")
 * leaves the machine; and its way into the 64-bit world and back.
 */
#include "tests/guest/layout.h"

#define MAGIC 0x1badb002
#define FLAGS 0x2		/* memory information */

	.section .multiboot, "a"
	.balign	4
	.long	MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.globl	start
start:
	mov	$stack_end, %esp
	mov	%eax, %edx
	mov	$bss_start, %edi
	mov	$bss_end, %ecx
	sub	%edi, %ecx
	xor	%eax, %eax
	cld
	rep stosb
	sub	$8, %esp
	push	%ebx		/* multiboot information */
	push	%edx		/* the loader's magic */
	call	main
	ud2

	/* void long_call(uint32_t cr3, uint32_t cr4, void *argument): the 64-bit world's entry, in
	 * the mode of these registers; from and to the unpaged mode. */
	.globl	long_call
long_call:
	push	%ebp
	push	%ebx
	push	%esi
	push	%edi
	mov	20(%esp), %eax
	mov	24(%esp), %ebx
	mov	28(%esp), %edi
	mov	%cr4, %esi
	push	%esi
	mov	%esp, saved_esp
	mov	%ebx, %cr4
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax	/* LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80010000, %eax
	mov	%eax, %cr0
	ljmp	$GDT_CODE64, $1f
	.code64
1:	mov	$world64, %eax
	call	*%rax
	pushq	$GDT_CODE32
	mov	$2f, %eax
	push	%rax
	lretq
	.code32
2:	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	mov	$0xc0000080, %ecx
	rdmsr
	and	$~0x100, %eax
	wrmsr
	mov	$GDT_DATA, %eax
	mov	%eax, %ss
	mov	saved_esp, %esp
	pop	%esi
	mov	%esi, %cr4
	call	descriptors_make
	call	descriptors_load
	pop	%edi
	pop	%esi
	pop	%ebx
	pop	%ebp
	ret

	.section .world64, "ax"
	.globl	world64
world64:
	.incbin	WORLD64_IMAGE

	.bss
	.balign	16
saved_esp:
	.fill	16
	.fill	0x4000
stack_end:
	.section .note.GNU-stack, "", @progbits
