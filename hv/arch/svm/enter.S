/* SPDX-License-Identifier: MIT */
/*
 * VMRUN and what must surround it. RAX, RSP, RIP, RFLAGS, segments and control registers are
 * switched by the processor; the other fourteen general registers here. FS, GS, TR, LDTR and the
 * system call MSRs stay the guest's all the time, since the hypervisor uses none of them: no
 * VMSAVE, no VMLOAD.
 */

/* Offsets into vcpu->gpr[], by register number (x86/decode.h). RDI is the vCPU and comes last. */
	.macro	load_guest
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rbx
	mov	40(%rdi), %rbp
	mov	48(%rdi), %rsi
	mov	64(%rdi), %r8
	mov	72(%rdi), %r9
	mov	80(%rdi), %r10
	mov	88(%rdi), %r11
	mov	96(%rdi), %r12
	mov	104(%rdi), %r13
	mov	112(%rdi), %r14
	mov	120(%rdi), %r15
	mov	56(%rdi), %rdi
	.endm

/* RAX is the vCPU. RDX comes first. */
	.macro	save_guest_but_rdx
	mov	%rcx, 8(%rax)
	mov	%rbx, 24(%rax)
	mov	%rbp, 40(%rax)
	mov	%rsi, 48(%rax)
	mov	%rdi, 56(%rax)
	mov	%r8, 64(%rax)
	mov	%r9, 72(%rax)
	mov	%r10, 80(%rax)
	mov	%r11, 88(%rax)
	mov	%r12, 96(%rax)
	mov	%r13, 104(%rax)
	mov	%r14, 112(%rax)
	mov	%r15, 120(%rax)
	.endm

/*
 * VMRUN of a guest in the shadow of STI or MOV SS, where RAX has bit 0 set. A processor takes that
 * from the VMCB. TCG does not, but there the shadow of an STI right before VMRUN falls on the first
 * instruction of the guest. Nothing comes through here: the global interrupt flag is clear.
 */
	.macro	enter_in_shadow
	and	$-2, %rax
	load_guest
	sti
	vmrun	%rax
	cli
	.endm

	.text

/*
 * _Noreturn void svm_loop(struct vcpu *vcpu, umbra_hpa vmcb_phys)
 *
 * The vCPU stays at the top of the stack, the only thing of ours that survives the guest.
 */
	.balign	16
	.globl	svm_loop
svm_loop:
	push	%rdi
	mov	%rsi, %rax
1:	load_guest
	vmrun	%rax
2:	mov	(%rsp), %rax
	mov	%rdx, 16(%rax)
	save_guest_but_rdx
	mov	%rax, %rdi
	call	svm_exit
	mov	(%rsp), %rdi
	test	$1, %al
	jz	1b
	enter_in_shadow
	jmp	2b

/*
 * _Noreturn void svm_loop_measured(struct vcpu *vcpu, umbra_hpa vmcb_phys, uint64_t *tsc)
 *
 * What lies outside its two time stamps, or inside but only here, stands at MEASURE_UNSEEN in
 * hv/vm/measure.c.
 */
	.balign	16
	.globl	svm_loop_measured
svm_loop_measured:
	push	%rdx
	push	%rdi
	sub	$8, %rsp
	mov	%rsi, %rax
1:	load_guest
	vmrun	%rax
2:	mov	8(%rsp), %rax
	mov	%rdx, 16(%rax)
	save_guest_but_rdx
	mov	%rax, %rdi
	call	measure_exit
	mov	16(%rsp), %rcx
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, (%rcx)
	mov	8(%rsp), %rdi
	call	svm_exit
	mov	%rax, %rsi
	mov	16(%rsp), %rcx
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, 8(%rcx)
	mov	%rsi, %rax
	mov	8(%rsp), %rdi
	test	$1, %al
	jz	1b
	enter_in_shadow
	jmp	2b

	.section .note.GNU-stack, "", @progbits
