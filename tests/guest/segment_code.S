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

	/* With the stack in DS's segment, up to 8 bytes behind the offset. */
	.macro to_segment
	mov	%ss, %bp
	mov	%es, %bx
	mov	%esp, %edx
	mov	%bx, %ss
	mov	$0x818, %esp
	.endm
	.macro back
	mov	%bp, %ss
	mov	%edx, %esp
	.endm
	.macro onto_stack pushes
	piece	"to_segment; \pushes; back"
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
	piece	"subw %dx, (%di)"
	piece	"adcl %eax, (%di)"
	piece	"sbbb $7, (%di)"
	piece	"lock andw $0x1f1f, (%di)"
	piece	"incl (%di)"
	piece	"decb (%di)"
	piece	"notw (%di)"
	piece	"lock negl (%di)"
	piece	"cmp %al, %dl; setl (%di); setge 1(%di)"
	piece	"xchg %ax, (%di)"
	piece	"xchg %eax, (%di)"
	piece	"lock xaddl %eax, (%di)"
	piece	"mov (%di), %eax; lock cmpxchgl %edx, (%di)"
	piece	"mov (%di), %ax; cmpxchgw %dx, (%di)"
	piece	"mov (%di), %eax; mov 4(%di), %edx; mov $1, %ebx; lock cmpxchg8b (%di)"
	piece	"btcl $5, (%di)"
	piece	"mov $9, %cx; lock btsw %cx, (%di)"
	piece	"mov $2, %cx; lock btrw %cx, (%di)"
	onto_stack "pushw %ax; pushl %eax; push $-2"
	onto_stack "push %cs; pushw $0x1234; pushl $0x5678"
	piece	"movl %eax, %es:0x810; movl %edx, %es:0xffe"
	piece	"mov $0xffd, %bx; incw 0x810; lock xaddl %eax, (%bx)"
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
	piece	"subl %edx, (%edi)"
	piece	"lock andb $0x1f, (%edi)"
	piece	"incw (%edi)"
	piece	"lock decl (%edi)"
	piece	"notb (%edi)"
	piece	"negl (%edi)"
	piece	"cmp %al, %dl; setl (%edi); setge 1(%edi)"
	piece	"xchg %eax, (%edi)"
	piece	"lock xaddl %eax, (%edi)"
	piece	"mov (%edi), %eax; lock cmpxchgl %edx, (%edi)"
	piece	"mov (%edi), %eax; mov 4(%edi), %edx; mov $1, %ebx; lock cmpxchg8b (%edi)"
	piece	"btcl $5, (%edi)"
	piece	"lock btsl $9, (%edi)"
	piece	"lock btrl $2, (%edi)"
	onto_stack "pushw %ax; pushl %eax; push $-2"
	onto_stack "push %cs; pushw (%edi)"
	piece	"movl %eax, %es:0x810; movl %edx, %es:0xffe"
	piece	"mov $0xffd, %ecx; incw 0x810; lock xaddl %eax, (%ecx); mov $3, %ecx"
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
	piece	"movabsq %rax, %fs:0x810"
	piece	"movabsb %al, %gs:0x810"
	/* Relative to the instruction's end: with an immediate operand behind the displacement. */
	.set	target, probe_code - USER_CODE + 0x810
	piece	"movq %rax, %fs:target(%rip)"
	piece	"movl %edx, %gs:target(%eip)"
	piece	"movl $0x41424344, %fs:target(%rip)"
	piece	"movw $0x4142, %gs:target(%rip)"
	piece	"andb $0x1f, %fs:target(%rip)"
	piece	"addq $0x41424344, %fs:target(%rip)"
	piece	"lock btsq $9, %gs:target(%rip)"
	piece	"lock notl %fs:target(%rip)"
	piece	"mov $3, %cl; shlq %cl, %fs:target(%rip); mov $3, %ecx"
	piece	"setne %gs:target(%rip); setne %gs:target + 1(%rip)"
	piece	"mov %fs:0x810, %rax; lock cmpxchgq %rdx, %fs:target(%rip)"
	piece	"mov %gs:0x810, %rax; mov %gs:0x818, %rdx; lock cmpxchg16b %gs:(%rdi)"
	piece	"movl %eax, %fs:0x810; movq %rdx, %fs:0xffb"
	piece	"movl %eax, %fs:0x810; lock xaddq %rdx, %gs:0xffb"
	end
#endif
	.section .note.GNU-stack, "", @progbits
