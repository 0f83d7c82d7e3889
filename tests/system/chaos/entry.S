/* SPDX-License-Identifier: MIT */
/*
 * The boot header of a Linux bzImage, the 64-bit entry, the traps, and the single instructions that
 * are tried. Header: Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
 */

/* Offsets in struct attempt. */
#define RIP	0
#define CS	8
#define RFLAGS	16
#define RSP	24
#define SS	32
#define GVA	40
#define VALUE	48
#define VECTOR	56
#define ERROR	64
#define CR2	72
#define RESULT	80

	.section .setup, "a"
	.fill	0x1f1
	.byte	1		/* one sector of setup code behind this one */
	.word	0
	.long	payload_paragraphs
	.fill	0x1fe - 0x1f8
	.word	0xaa55
	.byte	0xeb, 0x66	/* the header ends at 0x268 */
	.ascii	"HdrS"
	.word	0x20c
	.fill	0x211 - 0x208
	.byte	1		/* loaded high */
	.fill	0x22c - 0x212
	.long	0x7fffffff	/* the initrd may be anywhere */
	.fill	0x236 - 0x230
	.word	1		/* it has a 64-bit entry */
	.long	0x7ff		/* bytes of command line */
	.fill	0x258 - 0x23c
	.quad	0x1000000	/* where it wants to be */
	.long	24 << 20	/* with so much memory */
	.fill	0x400 - 0x264

	.section .head, "ax"
	.fill	0x200		/* the 32-bit entry, which nobody uses */
	.globl	start
start:
	mov	%rsi, %rbx
	lea	bss_start(%rip), %rdi
	lea	bss_end(%rip), %rcx
	sub	%rdi, %rcx
	xor	%eax, %eax
	cld
	rep stosb
	lea	stack_end(%rip), %rsp
	mov	%rbx, %rdi
	xor	%ebp, %ebp
	call	main
	ud2

	.text
	.globl	attempt_run
attempt_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rdi, current(%rip)
	mov	%rsp, resume_rsp(%rip)
	mov	%rdi, %rbx
	pushq	SS(%rbx)
	pushq	RSP(%rbx)
	pushq	RFLAGS(%rbx)
	pushq	CS(%rbx)
	pushq	RIP(%rbx)
	mov	GVA(%rbx), %rdi
	mov	VALUE(%rbx), %rsi
	xor	%eax, %eax
	iretq

	/* Here with vector and error code on the stack, from either privilege. */
trapped:
	mov	current(%rip), %rbx
	mov	%rax, RESULT(%rbx)
	pop	%rax
	mov	%rax, VECTOR(%rbx)
	pop	%rax
	mov	%rax, ERROR(%rbx)
	mov	%cr2, %rax
	mov	%rax, CR2(%rbx)
	mov	resume_rsp(%rip), %rsp
	pushq	$2		/* no AC, no TF */
	popfq
	cld
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/* Traps with an error code: 8, 10 to 14, 17. */
	.altmacro
	.macro trap vector
	.balign	8
trap_\vector:
	.if	(0x27d00 >> \vector) & 1 && \vector < 32
	.else
	pushq	$0
	.endif
	pushq	$\vector
	jmp	trapped
	.endm
	.macro trap_address vector
	.quad	trap_\vector
	.endm

	.set	i, 0
	.rept	0x31
	trap	%i
	.set	i, i + 1
	.endr

	.section .rodata
	.balign	8
	.globl	trap_entries
trap_entries:
	.set	i, 0
	.rept	0x31
	trap_address %i
	.set	i, i + 1
	.endr

/* The page of operations. The user has it at another address, so nothing in it may depend on where it
 * is. */
	.section .operations, "ax"
	.balign	4096
	.globl	operations
operations:
	.set	n_operations, 0
	.macro operation number, text:vararg
op_\number:
	\text
	int	$0x30
	.endm

	operation 0, mov (%rdi), %rax
	operation 1, movzbl (%rdi), %eax
	operation 2, mov %rsi, (%rdi)
	operation 3, mov %esi, (%rdi)
	operation 4, mov %sil, (%rdi)
	operation 5, add %rsi, (%rdi)
op_6:	xchg	%rsi, (%rdi)
	mov	%rsi, %rax
	int	$0x30
	operation 7, lock or %rsi, (%rdi)
op_8:	mov	%rsi, %rax
	mov	$24, %ecx
	rep stosq
	int	$0x30
op_9:	mov	%rdi, %rsi
	xor	$0x1000, %rsi
	mov	$24, %ecx
	rep movsq
	int	$0x30
	operation 10, invlpg (%rdi)
	operation 11, jmp *%rdi
op_12:	mov	%rdi, %rax
	vmrun	%rax
	int	$0x30
op_13:	mov	%rdi, %rax
	vmload	%rax
	int	$0x30
op_14:	mov	%rdi, %rax
	vmsave	%rax
	int	$0x30
	operation 15, stgi
	operation 16, clgi
op_17:	mov	%rdi, %rax
	xor	%ecx, %ecx
	invlpga	%rax, %ecx
	int	$0x30
	operation 18, vmmcall
op_19:	mov	%edi, %ecx
	rdmsr
	int	$0x30
op_20:	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	wrmsr
	int	$0x30
	operation 21, movups %xmm0, (%rdi)
	operation 22, sgdt (%rdi)
	.balign	4096

	.section .rodata
	.balign	4
	.globl	operation_offsets
operation_offsets:
	.macro operation_offset number
	.long	op_\number - operations
	.endm
	.set	i, 0
	.rept	23
	operation_offset %i
	.set	i, i + 1
	.endr

	.text
	.globl	lose_stack
lose_stack:
	mov	%rdi, %rsp
	ud2

	.globl	lose_idt
lose_idt:
	lidt	no_idt(%rip)
	ud2

	.section .rodata
	.balign	8
no_idt:	.fill	10

	.bss
	.balign	16
	.lcomm	current, 8
	.lcomm	resume_rsp, 8
	.fill	0x4000
stack_end:
	.section .note.GNU-stack, "", @progbits
