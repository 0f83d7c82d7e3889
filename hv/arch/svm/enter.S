/* SPDX-License-Identifier: MIT */
/*
 * VMRUN and what must surround it. RAX, RSP, RIP, RFLAGS, segments and control registers are
 * switched by the processor; the other fourteen general registers here. FS, GS, TR, LDTR and the
 * system call MSRs stay the guest's all the time, since the hypervisor uses none of them: no
 * VMSAVE, no VMLOAD.
 *
 * On the fast path the six registers that C functions preserve stay where they are: the guest's.
 */

/* Offsets into vcpu->gpr[], by register number (x86/decode.h). First, those that C functions may
 * change; RDI is the vCPU and comes last. */
	.macro	load_changed
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	48(%rdi), %rsi
	mov	64(%rdi), %r8
	mov	72(%rdi), %r9
	mov	80(%rdi), %r10
	mov	88(%rdi), %r11
	mov	56(%rdi), %rdi
	.endm

/* RAX is the vCPU. */
	.macro	save_changed
	mov	%rcx, 8(%rax)
	mov	%rdx, 16(%rax)
	mov	%rsi, 48(%rax)
	mov	%rdi, 56(%rax)
	mov	%r8, 64(%rax)
	mov	%r9, 72(%rax)
	mov	%r10, 80(%rax)
	mov	%r11, 88(%rax)
	.endm

/* Those that C functions preserve. RDI is the vCPU. */
	.macro	load_preserved
	mov	24(%rdi), %rbx
	mov	40(%rdi), %rbp
	mov	96(%rdi), %r12
	mov	104(%rdi), %r13
	mov	112(%rdi), %r14
	mov	120(%rdi), %r15
	.endm

	.macro	save_preserved
	mov	%rbx, 24(%rdi)
	mov	%rbp, 40(%rdi)
	mov	%r12, 96(%rdi)
	mov	%r13, 104(%rdi)
	mov	%r14, 112(%rdi)
	mov	%r15, 120(%rdi)
	.endm

/* On our stack, which is all that survives the guest: the vCPU, its struct vendor_vcpu and, for
 * measuring, the two time stamps. */
#define VCPU   (%rsp)
#define ARCH   8(%rsp)
#define STAMPS 16(%rsp)

/* The fast path did not do it: RDI is the vCPU, RAX its answer. */
	.macro	general_exit
	save_preserved
	mov	%rax, %rsi
	call	svm_exit
	mov	VCPU, %rdi
	load_preserved
	.endm

/*
 * VMRUN of a guest in the shadow of STI or MOV SS, where RAX has bit 0 set. A processor takes that
 * from the VMCB. TCG does not, but there the shadow of an STI right before VMRUN falls on the first
 * instruction of the guest. Nothing comes through here: the global interrupt flag is clear.
 */
	.macro	enter_in_shadow
	and	$-2, %rax
	load_changed
	sti
	vmrun	%rax
	cli
	.endm

	.text

/* _Noreturn void svm_loop(struct vcpu *vcpu, struct vendor_vcpu *arch, umbra_hpa vmcb_phys) */
	.balign	16
	.globl	svm_loop
svm_loop:
	sub	$24, %rsp
	mov	%rdi, VCPU
	mov	%rsi, ARCH
	mov	%rdx, %rax
	load_preserved
1:	load_changed
	vmrun	%rax
2:	mov	VCPU, %rax
	save_changed
	mov	%rax, %rdi
	mov	ARCH, %rsi
	call	svm_fast
	mov	VCPU, %rdi
	test	$3, %al
	jz	1b
	test	$2, %al
	jz	3f
	general_exit
	test	$1, %al
	jz	1b
3:	enter_in_shadow
	jmp	2b

/*
 * _Noreturn void svm_loop_measured(
 *	struct vcpu *vcpu, struct vendor_vcpu *arch, umbra_hpa vmcb_phys, uint64_t *tsc)
 *
 * What lies outside its two time stamps, or inside but only here, stands at MEASURE_UNSEEN in
 * hv/vm/measure.c.
 */
	.balign	16
	.globl	svm_loop_measured
svm_loop_measured:
	sub	$24, %rsp
	mov	%rdi, VCPU
	mov	%rsi, ARCH
	mov	%rcx, STAMPS
	mov	%rdx, %rax
	load_preserved
1:	mov	%rax, %rsi
	mov	STAMPS, %rcx
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, 8(%rcx)
	mov	%rsi, %rax
	test	$1, %al
	jnz	3f
	load_changed
	vmrun	%rax
2:	mov	VCPU, %rax
	save_changed
	mov	%rax, %rdi
	call	measure_exit
	mov	STAMPS, %rcx
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, (%rcx)
	mov	VCPU, %rdi
	mov	ARCH, %rsi
	call	svm_fast
	mov	VCPU, %rdi
	test	$3, %al
	jz	1b
	test	$2, %al
	jz	1b
	general_exit
	test	$1, %al
	jz	1b
	jmp	1b
3:	enter_in_shadow
	jmp	2b

	.section .note.GNU-stack, "", @progbits
