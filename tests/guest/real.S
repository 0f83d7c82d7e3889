/* SPDX-License-Identifier: MIT */
/*
 * A visit to real mode: from the 32-bit world without paging and back. The 16-bit code is copied to
 * REAL_CODE before, and lies there at segment 0.
 */
#include "tests/guest/layout.h"

	/* Address, in segment 0, of something in the copied code. */
#define AT(label) (label - real_begin + REAL_CODE)
#define MAIL(n)   (REAL_MAIL + 4 * n)

	.text
	/* void real_visit(void) */
	.globl	real_visit
real_visit:
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	mov	%esp, saved_esp
	sidt	saved_idt
	ljmp	$GDT_CODE16, $AT(real_from_32)
	.globl	real_back
real_back:
	mov	$GDT_DATA, %eax
	mov	%eax, %ss
	mov	$GDT_USER_DATA, %eax
	mov	%eax, %ds
	mov	saved_esp, %esp
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	lidt	saved_idt
	pop	%ebp
	pop	%edi
	pop	%esi
	pop	%ebx
	ret

	.section .rodata
	.code16
	.globl	real_begin
real_begin:
real_from_32:
	mov	$GDT_DATA16, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	%ax, %gs
	/* FS keeps a limit of 4 GiB in real mode. */
	mov	$GDT_DATA, %ax
	mov	%ax, %fs
	lidtl	AT(real_idt)
	mov	%cr0, %eax
	and	$~1, %eax
	mov	%eax, %cr0
	ljmp	$0, $AT(real_mode)
real_mode:
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$REAL_STACK, %sp
	/* Mail: 0 in: a marker; 1 out: the marker plus 1, through another segment. */
	mov	$REAL_MAIL >> 4, %ax
	mov	%ax, %es
	mov	MAIL(0), %eax
	inc	%eax
	mov	%eax, %es:4
	/* 2 out: what an interrupt handler counted. */
	movl	$0, MAIL(2)
	int	$REAL_VECTOR
	int	$REAL_VECTOR
	/* 3 out: CR0. */
	mov	%cr0, %eax
	mov	%eax, MAIL(3)
	/* 4 in: an address anywhere, of which 5 out is the contents, replaced by 6 in. */
	mov	MAIL(4), %ebx
	mov	%fs:(%ebx), %eax
	mov	%eax, MAIL(5)
	mov	MAIL(6), %eax
	mov	%eax, %fs:(%ebx)
	/* 7 out: how often the privileged refusal of paging without protection came. */
	movl	$0, MAIL(7)
	cmpl	$0, MAIL(8)
	je	1f
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
real_refused:
1:	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$GDT_CODE32, $real_back

real_count:
	incl	%cs:MAIL(2)
	iret

	/* #GP: count it and step over the instruction, MOV to CR0 of 3 bytes. */
real_gp:
	incl	%cs:MAIL(7)
	push	%bp
	mov	%sp, %bp
	addw	$3, 2(%bp)
	pop	%bp
	iret

	.balign	4
real_idt:
	.word	0x3ff
	.long	0
	.globl	real_end
real_end:
	.globl	real_count_offset
real_count_offset:
	.word	AT(real_count)
	.globl	real_gp_offset
real_gp_offset:
	.word	AT(real_gp)

	.bss
	.balign	8
saved_esp:	.fill	4
saved_idt:	.fill	8
	.section .note.GNU-stack, "", @progbits
