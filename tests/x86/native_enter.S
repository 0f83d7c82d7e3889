/* SPDX-License-Identifier: MIT */
/*
 * Execution of one native instruction with all registers and flags given: native_enter64() in
 * 64-bit code, native_enter32() in a 16- or 32-bit code segment. The registers come from struct
 * native_live and go back there. The code is copied to NATIVE_GLUE and runs there.
 */
#include "tests/x86/native_layout.h"

#define LIVE(offset)  (NATIVE_LIVE + offset)
#define GPR(number)   LIVE(LIVE_GPR + 8 * number)
#define COPY(label)   (NATIVE_GLUE + label - native_glue)
#define ARCH_SET_FS   0x1002
#define SYS_ARCH_PRCTL 158

	.section .rodata
	.globl native_glue, native_glue_end
	.globl native_enter64, native_leave64, native_enter32, native_leave32, native_start32

native_glue:

	.code64
.macro save_host
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, LIVE(LIVE_HOST_RSP)
.endm

.macro restore_host
	mov LIVE(LIVE_HOST_RSP), %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
.endm

/* Nothing from POPF to the instruction, and from it to PUSHF, changes a flag. */
native_enter64:
	save_host
	cmpb $0, LIVE(LIVE_SET_BASES)
	je 1f
	mov LIVE(LIVE_FS_BASE), %rax
	wrfsbase %rax
	mov LIVE(LIVE_GS_BASE), %rax
	wrgsbase %rax
1:	mov $LIVE(LIVE_RFLAGS), %esp
	popfq
	mov GPR(0), %rax
	mov GPR(1), %rcx
	mov GPR(2), %rdx
	mov GPR(3), %rbx
	mov GPR(4), %rsp
	mov GPR(5), %rbp
	mov GPR(6), %rsi
	mov GPR(7), %rdi
	mov GPR(8), %r8
	mov GPR(9), %r9
	mov GPR(10), %r10
	mov GPR(11), %r11
	mov GPR(12), %r12
	mov GPR(13), %r13
	mov GPR(14), %r14
	mov GPR(15), %r15
	jmp *LIVE(LIVE_TARGET64)

native_leave64:
	mov %rax, GPR(0)
	mov %rcx, GPR(1)
	mov %rdx, GPR(2)
	mov %rbx, GPR(3)
	mov %rsp, GPR(4)
	mov %rbp, GPR(5)
	mov %rsi, GPR(6)
	mov %rdi, GPR(7)
	mov %r8, GPR(8)
	mov %r9, GPR(9)
	mov %r10, GPR(10)
	mov %r11, GPR(11)
	mov %r12, GPR(12)
	mov %r13, GPR(13)
	mov %r14, GPR(14)
	mov %r15, GPR(15)
	mov $(LIVE(LIVE_RFLAGS) + 8), %esp
	pushfq
	cld
	cmpb $0, LIVE(LIVE_SET_BASES)
	je 1f
	mov LIVE(LIVE_HOST_FS), %rax
	wrfsbase %rax
1:	restore_host
	ret

native_enter32:
	save_host
	ljmpl *LIVE(LIVE_GLUE32)

/* GS is flat: the glue's own. SS is, too, until the flags are loaded. */
	.code32
native_start32:
	mov $NATIVE_DATA, %eax
	mov %eax, %gs
	mov %eax, %ss
	mov %gs:(LIVE(LIVE_SELECTORS) + 0), %es
	mov %gs:(LIVE(LIVE_SELECTORS) + 6), %ds
	mov %gs:(LIVE(LIVE_SELECTORS) + 8), %fs
	mov $LIVE(LIVE_RFLAGS), %esp
	popfl
	mov %gs:(LIVE(LIVE_SELECTORS) + 4), %ss
	mov %gs:GPR(4), %esp
	mov %gs:GPR(0), %eax
	mov %gs:GPR(1), %ecx
	mov %gs:GPR(2), %edx
	mov %gs:GPR(3), %ebx
	mov %gs:GPR(5), %ebp
	mov %gs:GPR(6), %esi
	mov %gs:GPR(7), %edi
	ljmpl *%gs:LIVE(LIVE_TARGET)

native_leave32:
	mov %eax, %gs:GPR(0)
	mov %ecx, %gs:GPR(1)
	mov %edx, %gs:GPR(2)
	mov %ebx, %gs:GPR(3)
	mov %esp, %gs:GPR(4)
	mov %ebp, %gs:GPR(5)
	mov %esi, %gs:GPR(6)
	mov %edi, %gs:GPR(7)
	mov $NATIVE_DATA, %eax
	mov %eax, %ss
	mov $(LIVE(LIVE_RFLAGS) + 4), %esp
	pushfl
	cld
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	ljmpl $NATIVE_CS64, $COPY(native_back64)

/* Loading FS has changed its base, which the C library needs. */
	.code64
native_back64:
	mov $SYS_ARCH_PRCTL, %eax
	mov $ARCH_SET_FS, %edi
	mov LIVE(LIVE_HOST_FS), %rsi
	syscall
	restore_host
	ret

native_glue_end:

	.section .note.GNU-stack, "", @progbits
