/* SPDX-License-Identifier: MIT */
/*
 * Code for test_segment.c: stores through segments, in 16-, 32- and 64-bit code. Values in AX and
 * DX, a small count in CX, the offset in DI. At first SI has a selector for DS and ES, and BX the
 * code to go to, where there is a prelude.
 */
#include "tests/guest/layout.h"
#include "tests/guest/piece.h"

#ifdef __x86_64__
#define CODE  .code64
#else
#define CODE  .code32
#endif

	.section .probes, "ax"
	.globl	prelude_16
	.globl	prelude_32
	.code16
prelude_16:
	mov	%si, %ds
	mov	%si, %es
	jmp	*%bx
	.code32
prelude_32:
	mov	%esi, %ds
	mov	%esi, %es
	jmp	*%ebx

	.macro table name
	.section .rodata
	.balign	8
	.globl	\name
\name:
	.section .probes, "ax"
	.endm

	.macro end
	.section .rodata
	DATA	0, 0
	.section .probes, "ax"
	.endm

	.code16
	table	segment_code_16
	piece	"movb %al, (%di)"
	piece	"movw %ax, (%di)"
	piece	"movl %eax, (%di)"
	piece	"movw $0x4142, (%di)"
	piece	"movl $0x41424344, (%di)"
	piece	"movl %eax, %es:(%di)"
	piece	"movl %eax, (%edi)"
	piece	"movl %edx, %es:(%edi)"
	piece	"mov $3, %bx; movl %eax, -3(%bx, %di)"
	piece	"mov %di, %bp; movl %eax, %ds:(%bp)"
	piece	"mov %di, %bp; mov $8, %si; movl %eax, %es:-8(%bp, %si)"
	piece	"movl %eax, 0x810"
	piece	"movw %ax, %es:0x810"
	piece	"addw %ax, (%di)"
	piece	"addl %eax, (%di)"
	piece	"orb $0x18, (%di)"
	piece	"xorl $0x7f, (%di)"
	piece	"incl (%di)"
	piece	"xchg %ax, (%di)"
	piece	"xchg %eax, (%di)"
	piece	"lock xaddl %eax, (%di)"
	piece	"mov (%di), %eax; lock cmpxchgl %edx, (%di)"
	piece	"btcl $5, (%di)"
	piece	"stosb"
	piece	"stosw"
	piece	"stosl"
	piece	"rep stosw"
	piece	"rep stosl"
	piece	".byte 0x67; rep stosl"
	piece	"lea 64(%di), %si; notl (%si); rep movsw"
	piece	"lea 64(%di), %si; notl (%si); rep movsl"
	end

	.code32
	table	segment_code_32
	piece	"movb %al, (%edi)"
	piece	"movl %eax, (%edi)"
	piece	"movw %ax, %es:(%edi)"
	piece	"movl %eax, (%di)"
	piece	"movl %eax, 0x810"
	piece	"movl %edx, %es:0x810"
	piece	"mov $2, %ecx; movl %eax, -8(%edi, %ecx, 4)"
	piece	"addl %eax, (%edi)"
	piece	"orb $0x18, (%edi)"
	piece	"xorl $0x7f, (%edi)"
	piece	"incw (%edi)"
	piece	"xchg %eax, (%edi)"
	piece	"lock xaddl %eax, (%edi)"
	piece	"mov (%edi), %eax; lock cmpxchgl %edx, (%edi)"
	piece	"mov (%edi), %eax; mov 4(%edi), %edx; mov $1, %ebx; lock cmpxchg8b (%edi)"
	piece	"btcl $5, (%edi)"
	piece	"stosb"
	piece	"stosl"
	piece	"rep stosl"
	piece	".byte 0x67; rep stosl"
	piece	"lea 64(%edi), %esi; notl (%esi); rep movsl"
	piece	"movups %xmm0, (%edi); notl (%edi)"
	end

	CODE
#ifdef __x86_64__
	table	segment_code_64
	piece	"movb %al, %fs:(%rdi)"
	piece	"movq %rax, %fs:(%rdi)"
	piece	"movq %rdx, %gs:(%rdi)"
	piece	"movl %eax, %gs:(%edi)"
	piece	"movl %eax, %fs:0x810"
	piece	"addq %rax, %gs:(%rdi)"
	piece	"lock xaddq %rax, %fs:(%rdi)"
	piece	"xchg %rax, %gs:(%rdi)"
	piece	"mov %fs:(%rdi), %rax; lock cmpxchgq %rdx, %fs:(%rdi)"
	piece	"btcq $5, %gs:(%rdi)"
	piece	"mov $2, %ecx; movq %rax, %gs:-16(%rdi, %rcx, 8)"
	end
#endif
	.section .note.GNU-stack, "", @progbits
