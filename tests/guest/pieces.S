/* SPDX-License-Identifier: MIT */
/*
 * Instructions that store, each as a piece of code for test_pieces.c: the address is in DI, values
 * in AX, SI and DX, a small index in BX, a small count in CX; XMM0 and ST0 hold something. A piece
 * ends by INT TRAP_DONE.
 */
#include "tests/guest/layout.h"
#include "tests/guest/piece.h"

	/* Registers of the world's width, by names that the assembler knows inside strings too. */
#ifdef __x86_64__
	.set	AX, %rax
	.set	BX, %rbx
	.set	CX, %rcx
	.set	DX, %rdx
	.set	SI, %rsi
	.set	DI, %rdi
	.set	SP, %rsp
#else
	.set	AX, %eax
	.set	BX, %ebx
	.set	CX, %ecx
	.set	DX, %edx
	.set	SI, %esi
	.set	DI, %edi
	.set	SP, %esp
#endif

	.section .rodata
	.balign	8
	.globl	pieces
pieces:
	.section .probes, "ax"

	/* MOV in its forms. */
	piece	"movb %al, (DI)"
	piece	"movw %ax, (DI)"
	piece	"movl %eax, (DI)"
	piece	"mov SI, (DI)"
	piece	"movb %dh, (DI)"
	piece	"movb $0x41, (DI)"
	piece	"movw $0x4142, (DI)"
	piece	"movl $0x41424344, (DI)"
	piece	"mov AX, 8(DI)"
	piece	"mov AX, -8(DI)"
	piece	"mov AX, 0x80(DI)"
	piece	"mov AX, (DI, BX, 1)"
	piece	"mov AX, (DI, BX, 8)"
	piece	"mov SI, 4(DI, CX, 4)"
	piece	"movnti AX, (DI)"
	piece	"movl %eax, %es:(DI)"
	piece	"movl %eax, %ds:(DI)"

	/* Arithmetic. Not RCL and RCR: in TCG they change CF even if their store then faults. */
	piece	"addb %al, (DI)"
	piece	"addw %ax, (DI)"
	piece	"add SI, (DI)"
	piece	"addl $0x7f, (DI)"
	piece	"addl $0x12345678, (DI)"
	piece	"adcl %eax, (DI)"
	piece	"sub SI, (DI)"
	piece	"subb $1, (DI)"
	piece	"sbbw %ax, (DI)"
	piece	"andb $0xfe, (DI)"
	piece	"and SI, (DI)"
	piece	"orb $2, (DI)"
	piece	"or SI, (DI)"
	piece	"xorl %eax, (DI)"
	piece	"xorw $0x55, (DI)"
	piece	"incb (DI)"
	piece	"incl (DI)"
	piece	"decw (DI)"
	piece	"negl (DI)"
	piece	"notl (DI)"
	piece	"notb (DI)"
	piece	"lock addl %eax, (DI)"
	piece	"lock andb $0xdf, (DI)"
	piece	"lock or SI, (DI)"
	piece	"lock incl (DI)"
	piece	"lock notl (DI)"
	piece	"lock adcl %eax, (DI)"
	piece	"lock sub SI, (DI)"
	piece	"lock sbbl $3, (DI)"
	piece	"lock xorw $0x55, (DI)"
	piece	"lock decl (DI)"
	piece	"lock negl (DI)"
	piece	"shll $1, (DI)"
	piece	"shrw $1, (DI)"
	piece	"sarb $1, (DI)"
	piece	"roll $1, (DI)"
	piece	"rorl $1, (DI)"
	piece	"cmpl %eax, (DI)"
	piece	"test SI, (DI)"

	/* Exchange. */
	piece	"xchgb %al, (DI)"
	piece	"xchgl %eax, (DI)"
	piece	"xchg SI, (DI)"
	piece	"lock xchg SI, (DI)"
	piece	"xaddb %al, (DI)"
	piece	"xaddw %ax, (DI)"
	piece	"xadd SI, (DI)"
	piece	"lock xadd SI, (DI)"
	piece	"cmpxchgb %dl, (DI)"
	piece	"cmpxchgl %edx, (DI)"
	piece	"cmpxchg SI, (DI)"
	piece	"lock cmpxchg SI, (DI)"
	piece	"mov (DI), AX; lock cmpxchg SI, (DI)"
	piece	"mov (DI), AX; cmpxchg SI, (DI)"
	piece	"lock cmpxchg8b (DI)"
	piece	"movl (DI), %eax; movl 4(DI), %edx; cmpxchg8b (DI)"
	piece	"movl (DI), %eax; movl 4(DI), %edx; lock cmpxchg8b (DI)"
	piece	"movb (DI), %al; lock cmpxchgb %dl, (DI)"

	/* Bits. */
	piece	"btsl $1, (DI)"
	piece	"btsl %ecx, (DI)"
	piece	"btrl $2, (DI)"
	piece	"btr SI, (DI)"
	piece	"btcl $3, (DI)"
	piece	"lock btsl $31, (DI)"
	piece	"lock btcl %ecx, (DI)"
	piece	"lock btrl $2, (DI)"
	piece	"sete (DI)"
	piece	"setne (DI)"
	piece	"cmp SI, AX; setb (DI); setge 1(DI); seto 2(DI); sets 3(DI); setp 4(DI)"
	piece	"cmp AX, SI; setbe (DI); setle 1(DI); setno 2(DI); setns 3(DI); setg 4(DI)"

	/* Strings. */
	piece	"stosb"
	piece	"stosw"
	piece	"rep stosb"
	piece	"rep stosl"
	piece	"std; rep stosl"
	piece	"lea 64(DI), SI; movsb"
	piece	"lea 64(DI), SI; rep movsb"
	piece	"lea 64(DI), SI; rep movsw"
	piece	"lea 64(DI), SI; rep movsl"
	piece	"lea 3(DI), SI; rep movsb"
	piece	"lea -5(DI), SI; rep movsb"
	piece	"mov $40, %ecx; lea 256(DI), SI; rep movsl"
	piece	"mov $0, %ecx; rep stosl"

	/* The stack. */
	piece	"mov SP, DX; lea 16(DI), SP; push SI; mov DX, SP"
	piece	"mov SP, DX; lea 16(DI), SP; push $-2; mov DX, SP"
	piece	"mov SP, DX; lea 16(DI), SP; push $0x12345678; mov DX, SP"
	piece	"mov SP, DX; lea 16(DI), SP; pushw $0x1234; pushw %si; mov DX, SP"
	piece	"mov SP, DX; lea 16(DI), SP; pushw 8(DI); mov DX, SP"
	piece	"mov SP, DX; lea 16(DI), SP; push %fs; mov DX, SP"
	piece	"mov SP, DX; lea 16(DI), SP; push 8(DI); mov DX, SP"

	/* SSE and AVX. */
	piece	"movups %xmm0, (DI)"
	piece	"movdqu %xmm0, (DI)"
	piece	"movss %xmm0, (DI)"
	piece	"movlps %xmm0, (DI)"
	piece	"movhps %xmm0, (DI)"
	piece	"movd %xmm0, (DI)"
	piece	"movq %xmm0, (DI)"
	piece	"pextrw $1, %xmm0, %eax; movw %ax, (DI)"
	/* 16-byte alignment is there or is not. */
	piece	"movaps %xmm0, (DI)"
	piece	"movntps %xmm0, (DI)"
	piece	"movntdq %xmm0, (DI)"
	piece	"vmovups %ymm0, (DI)"
	piece	"vmovss %xmm0, (DI)"
	piece	"clflush (DI)"
	piece	"prefetchw (DI)"

	/* The system's. */
	piece	"smsw (DI)"
	piece	"movw %ds, (DI)"

#ifdef __x86_64__
	piece	"stosq"
	piece	"rep stosq"
	piece	"std; rep stosq"
	piece	"lea 64(%rdi), %rsi; rep movsq"
	piece	"movq $-2, (%rdi)"
	piece	"movl %eax, (%edi)"
	piece	"mov %r9, (%rdi)"
	piece	"mov %r9b, (%rdi)"
	piece	"mov %rdi, %r13; mov %rsi, (%r13)"
	piece	"mov %rdi, %r12; mov %rsi, (%r12)"
	piece	"mov %rdi, %r12; mov %rsi, 8(%r12, %rbx, 2)"
	piece	"movq %rsi, (%rdi)"
	piece	"addq $-1, (%rdi)"
	piece	"lock cmpxchg16b (%rdi)"
	piece	"mov (%rdi), %rax; mov 8(%rdi), %rdx; lock cmpxchg16b (%rdi)"
	piece	".byte 0x67; stosl"
	piece	".byte 0x67; rep stosb"
#else
	piece	"movl %eax, %ss:(%edi)"
	piece	"mov %esp, %edx; lea 16(%edi), %esp; pushw %si; mov %edx, %esp"
	piece	"mov %esp, %edx; lea 16(%edi), %esp; push %ds; mov %edx, %esp"
#endif

	/* From here on, what nobody but the processor does. */
	.section .rodata
	.globl	pieces_rare
pieces_rare:
	.section .probes, "ax"

	piece	"movbe AX, (DI)"
	piece	"shldl $4, %eax, (DI)"
	piece	"shrdl %cl, %eax, (DI)"
	piece	"pop (DI)"
	piece	"popw (DI)"
	piece	"mov SP, DX; lea 16(DI), SP; pushf; mov DX, SP"
	piece	"mov SP, DX; lea 32(DI), SP; enter $8, $0; mov DX, SP; mov $0, %ebp"

	/* The x87; state of the processor, some of it aligned to 64 bytes. */
	piece	"fsts (DI)"
	piece	"fstl (DI)"
	piece	"fnstcw (DI)"
	piece	"fnstsw (DI)"
	piece	"fistl (DI)"
	piece	"stmxcsr (DI)"
	piece	"fxsave (DI)"
	piece	"xsave (DI)"
	piece	"xsaveopt (DI)"
	piece	"fnsave (DI)"
	piece	"fnstenv (DI)"
	piece	"fbstp (DI)"
	piece	"fistpll (DI)"
	piece	"fstpt (DI)"

	/* From ports, for who may: one gives what was written to it, one has nothing behind it. */
	piece	"mov $0x3ff, %edx; mov $0x5a, %al; outb %al, %dx; insb"
	piece	"mov $0x3ff, %edx; mov $0x5b, %al; outb %al, %dx; rep insb"
	piece	"mov $0xd00, %edx; insl"
	piece	"mov $0xd00, %edx; std; rep insw"

	/* The system's. */
	piece	"sldt (DI)"
	piece	"str (DI)"
	piece	"sgdt (DI)"

#ifndef __x86_64__
	piece	"push %edi; pusha; popa; pop %edi"
	piece	"arpl %ax, (%edi)"
#endif

	.section .rodata
	DATA	0, 0
	.section .note.GNU-stack, "", @progbits
