/* SPDX-License-Identifier: MIT */
/*
 * What tasks run, and the instructions that switch to them. 32-bit world.
 */
#include "tests/guest/layout.h"

#define TSS_LINK 0
#define TSS_EIP  32

	.text
	.globl	task_body
task_body:
	mov	%eax, task_seen
	mov	%ecx, task_seen + 4
	mov	%edx, task_seen + 8
	mov	%ebx, task_seen + 12
	mov	%esp, task_seen + 16
	mov	%ebp, task_seen + 20
	mov	%esi, task_seen + 24
	mov	%edi, task_seen + 28
	mov	%es, %eax
	mov	%eax, task_seen + 32
	mov	%cs, %eax
	mov	%eax, task_seen + 36
	mov	%ss, %eax
	mov	%eax, task_seen + 40
	mov	%ds, %eax
	mov	%eax, task_seen + 44
	mov	%fs, %eax
	mov	%eax, task_seen + 48
	mov	%gs, %eax
	mov	%eax, task_seen + 52
	cmpl	$0, task_pops
	je	1f
	popl	task_seen + 76
1:	pushfl
	popl	task_seen + 56
	mov	%cr0, %eax
	mov	%eax, task_seen + 60
	mov	%cr3, %eax
	mov	%eax, task_seen + 64
	xor	%eax, %eax
	str	%ax
	mov	%eax, task_seen + 68
	sldt	%ax
	mov	%eax, task_seen + 72
	incl	task_seen + 80
	mov	task_work, %eax
	test	%eax, %eax
	jz	3f
	call	*%eax
3:	cmpl	$0, task_jumps
	jne	2f
	iretl
	jmp	task_body
2:	ljmp	*task_back
	jmp	task_body

	/*
	 * EBX is the vector, EBP the TSS this runs in. Goes back to the main task, to after the
	 * instruction that it was at.
	 */
	.globl	task_catcher
	.globl	task_catcher_plain
task_catcher:
	popl	task_caught + 4
task_catcher_plain:
	mov	%ebx, task_caught
	movzwl	TSS_LINK(%ebp), %eax
	mov	%eax, task_caught + 8
	mov	%cr2, %ecx
	mov	%ecx, task_caught + 12
	incl	task_caught + 16
	mov	task_resume, %eax
	mov	%eax, tss + TSS_EIP
	andb	$~2, gdt + GDT_TSS + 5
	ljmp	*task_back
	ud2

	/* Each leaves the address behind its instruction for a catcher; the TSS keeps registers. */
	.globl	task_call
task_call:
	movl	$1f, task_resume
	movl	$0, task_to
	mov	4(%esp), %eax
	mov	%ax, task_to + 4
	lcall	*task_to
1:	clts
	ret

	.globl	task_jmp
task_jmp:
	movl	$1f, task_resume
	movl	$0, task_to
	mov	4(%esp), %eax
	mov	%ax, task_to + 4
	ljmp	*task_to
1:	clts
	ret

	.globl	task_int
task_int:
	movl	$1f, task_resume
	int	$0x31
1:	clts
	ret

	.globl	task_iret
task_iret:
	movl	$1f, task_resume
	pushfl
	orl	$0x4000, (%esp)
	popfl
	iretl
1:	clts
	pushfl
	andl	$~0x4000, (%esp)
	popfl
	ret

	.globl	task_load_es
task_load_es:
	movl	$1f, task_resume
	mov	4(%esp), %eax
	mov	%ax, %es
1:	mov	$GDT_USER_DATA, %eax
	mov	%eax, %es
	ret

	.globl	task_read
task_read:
	movl	$1f, task_resume
	mov	4(%esp), %eax
	mov	(%eax), %eax
1:	ret

	.globl	task_undefined
task_undefined:
	movl	$1f, task_resume
	ud2
1:	ret

	/* The same as task_jmp and task_call, for a probe: ESI is the selector. */
	.globl	task_probe_jmp, task_probe_call
task_probe_jmp:
	movl	$0, task_to
	mov	%si, task_to + 4
	ljmp	*task_to
	int	$TRAP_DONE
task_probe_call:
	movl	$0, task_to
	mov	%si, task_to + 4
	lcall	*task_to
	int	$TRAP_DONE

	/* In virtual-8086 mode, at CS:0. */
	.code16
	.globl	task_v86
task_v86:
	mov	%ss, %bx
	mov	%ds, %cx
	int	$TRAP_DONE
	.code32

	/* The data segments are null after an interrupt in that mode. */
	.globl	task_v86_left
task_v86_left:
	push	%eax
	mov	$GDT_USER_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	pop	%eax
	jmp	*task_v86_stub

	.data
	.balign	4
task_back:
	.long	0
	.word	GDT_TSS
	.balign	4
task_to:
	.long	0
	.word	0

	.bss
	.balign	4
	.globl	task_seen, task_caught, task_pops, task_jumps, task_resume, task_work, task_v86_stub
task_seen:
	.fill	84
task_caught:
	.fill	20
task_pops:
	.fill	4
task_jumps:
	.fill	4
task_resume:
	.fill	4
task_work:
	.fill	4
task_v86_stub:
	.fill	4

	.section .note.GNU-stack, "", @progbits
