/* SPDX-License-Identifier: MIT */
/*
 * A trip from 64-bit code through every mode of the processor and back: compatibility mode, no
 * paging, 2-level paging, PAE paging, 16-bit code with segment bases, real mode. On the way it
 * writes down 32-bit words, which trip.c knows.
 *
 * The code runs where trip_start has been copied to, below 1 MiB. FS is flat wherever it counts.
 */
#include "tests/system/chaos/trip.h"

/* Linear address, and offset in segments that begin at TRIP_CODE, of what is in this section. */
#define LINEAR(symbol)	TRIP_CODE + symbol - trip_start
#define NEAR(symbol)	symbol - trip_start

#define CODE_64	0x08
#define DATA_32	0x10
#define CODE_32	0x18
#define CODE_16	0x20
#define DATA_16	0x28		/* begins at TRIP_CODE */
#define CODE_L	0x30		/* 16-bit code, and 64-bit code once long mode is on */

#define CR0_PE	0x00000001
#define CR0_PG	0x80000000
#define CR4_PSE	0x10
#define CR4_PAE	0x20
#define CR4_CET	0x800000
#define EFER	0xc0000080
#define EFER_LME	0x100
#define EFER_LMA	0x400
#define EFER_NXE	0x800

/* Write down EAX. ECX is lost. */
	.macro	note_32
	mov	TRIP_NOTES, %ecx
	mov	%eax, TRIP_NOTES + 4(, %ecx, 4)
	incl	TRIP_NOTES
	.endm
	.macro	note_16
	addr32 movl	%fs:TRIP_NOTES, %ecx
	addr32 movl	%eax, %fs:TRIP_NOTES + 4(, %ecx, 4)
	addr32 incl	%fs:TRIP_NOTES
	.endm

	.text
	.globl	trip_run
	.code64
/* void trip_run(void): C has made the tables, and said with which CR3 and CR4 to come back. */
trip_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, saved_rsp(%rip)
	sgdt	saved_gdt(%rip)
	sidt	saved_idt(%rip)
	mov	%ds, saved_ds(%rip)
	mov	$TRIP_CODE, %eax
	lgdt	gdt_pointer - trip_start(%rax)
	lidt	idt_pointer - trip_start(%rax)
	pushq	$CODE_32
	pushq	$LINEAR(compatibility)
	lretq

back_in_64:
	mov	saved_rsp(%rip), %rsp
	lgdt	saved_gdt(%rip)
	lidt	saved_idt(%rip)
	mov	saved_ds(%rip), %ds
	mov	saved_ds(%rip), %es
	mov	saved_ds(%rip), %ss
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .trip, "ax"
	.globl	trip_start, trip_end
	.balign	16
trip_start:

/* ---- 32-bit code ---- */

	.code32
compatibility:
	mov	$DATA_32, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	$TRIP_STACK_TOP, %esp
	mov	%cr0, %eax
	and	$(CR0_PG | CR0_PE), %eax
	note_32
	/* A register's upper half does not count here. */
	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0

	/* Protected mode without paging. */
	mov	$EFER, %ecx
	rdmsr
	and	$(EFER_LME | EFER_LMA), %eax
	note_32
	mov	$EFER, %ecx
	xor	%edx, %edx
	xor	%eax, %eax
	wrmsr
	smsw	%eax
	and	$(CR0_PG | CR0_PE), %eax
	note_32
	xor	%eax, %eax
	mov	%eax, %cr4
	/* LME may be set without PAE as long as nothing comes of it. */
	mov	$EFER, %ecx
	xor	%edx, %edx
	mov	$EFER_LME, %eax
	wrmsr
	cpuid
	mov	$EFER, %ecx
	rdmsr
	and	$(EFER_LME | EFER_LMA), %eax
	note_32
	mov	$EFER, %ecx
	xor	%edx, %edx
	xor	%eax, %eax
	wrmsr
	mov	TRIP_WORD_1, %eax
	note_32

	/* 2-level paging. */
	mov	$CR4_PSE, %eax
	mov	%eax, %cr4
	mov	$TRIP_DIRECTORY, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	mov	$TRIP_TABLE, %esi
	mov	$4, %ebp
	call	tables_32
	mov	$TRIP_TABLE - TRIP_CODE, %esi
	lcall	$CODE_16, $NEAR(tables_16)
	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0

	/* PAE paging. */
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$TRIP_POINTERS, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	mov	$TRIP_PAE_TABLE, %esi
	mov	$8, %ebp
	call	tables_32
	mov	$TRIP_PAE_TABLE - TRIP_CODE, %esi
	lcall	$CODE_16, $NEAR(tables_16)
	/* A reserved bit in a PDPTE is seen by MOV to CR3, and that changes nothing. */
	cmpl	$0, TRIP_STRICT
	je	1f
	orl	$0x20, TRIP_POINTERS + 16
	movl	$LINEAR(1f), TRIP_RESUME
	mov	$TRIP_POINTERS, %eax
	mov	%eax, %cr3
1:	andl	$~0x20, TRIP_POINTERS + 16
	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0
	ljmp	$CODE_16, $NEAR(protected_16)

/* Change the entries of the window in the table at ESI, each of EBP bytes, and look. */
tables_32:
	movl	$(TRIP_DATA_1 | 3), (%esi)
	mov	TRIP_WINDOW, %eax
	note_32
	movw	$((TRIP_DATA_2 | 3) & 0xffff), (%esi)
	invlpg	TRIP_WINDOW
	mov	TRIP_WINDOW, %eax
	note_32
	/* Not present: the handler writes down the address and repairs it. */
	mov	%esi, TRIP_BROKEN
	andb	$0xfe, (%esi)
	invlpg	TRIP_WINDOW
	mov	TRIP_WINDOW + 4, %eax
	note_32
	/* The next entry, by REP STOS. */
	lea	(%esi, %ebp), %edi
	mov	$(TRIP_DATA_1 | 3), %eax
	mov	$1, %ecx
	cld
	rep stosl
	mov	TRIP_WINDOW + 0x1000, %eax
	note_32
	/* What the window writes is there. */
	mov	%ebp, TRIP_WINDOW + 8
	mov	TRIP_DATA_2 + 8, %eax
	note_32
	ret

/* From real mode: PE is on. */
from_real:
	mov	$DATA_32, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	$TRIP_STACK_TOP, %esp
	lidt	LINEAR(idt_pointer)
	mov	TRIP_CR4, %eax
	mov	%eax, %cr4
	mov	TRIP_CR3, %eax
	mov	%eax, %cr3
	mov	$EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	/* Code that would be 64-bit code at once cannot enter long mode. */
	cmpl	$0, TRIP_STRICT
	je	1f
	ljmp	$CODE_L, $LINEAR(enter_from_l)
1:	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	mov	$EFER, %ecx
	rdmsr
	and	$(EFER_LME | EFER_LMA), %eax
	note_32
	ljmp	$CODE_64, $LINEAR(in_64)

	.code64
in_64:	movabs	$back_in_64, %rax
	jmp	*%rax

	.code16
enter_from_l:
	addr32 movl	$LINEAR(1b), %fs:TRIP_RESUME
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	ud2

/* ---- 16-bit code, protected ---- */

/* Like tables_32, with everything at an offset: SI in DATA_16. */
tables_16:
	push	%es
	mov	$DATA_16, %ax
	mov	%ax, %es
	mov	%ax, %gs
	movl	$TRIP_WINDOW, %ebx
	movl	$(TRIP_DATA_2 | 3), %es:(%si)
	addr32 invlpg	%fs:(%ebx)
	addr32 movl	%fs:(%ebx), %eax
	note_16
	movw	$((TRIP_DATA_1 | 3) & 0xffff), %gs:(%si)
	/* The base is added here too. */
	movl	$TRIP_WINDOW - TRIP_CODE, %edi
	addr32 invlpg	%gs:(%edi)
	addr32 movl	%fs:(%ebx), %eax
	note_16
	addr32 movl	%esi, %fs:TRIP_BROKEN
	addr32 addl	$TRIP_CODE, %fs:TRIP_BROKEN
	lock andb	$0xfe, %es:(%si)
	addr32 invlpg	%fs:(%ebx)
	addr32 movl	%fs:4(%ebx), %eax
	note_16
	/* The next entry by REP STOS, with the direction down. */
	mov	%si, %di
	add	%bp, %di
	movl	$(TRIP_DATA_2 | 3), %eax
	mov	$1, %cx
	std
	rep stosl
	cld
	addr32 invlpg	%fs:0x1000(%ebx)
	addr32 movl	%fs:0x1000(%ebx), %eax
	note_16
	movl	%cr3, %eax
	note_16
	pop	%es
	lretl

protected_16:
	mov	$DATA_16, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$TRIP_STACK_TOP - TRIP_CODE, %sp
	lidtl	NEAR(vectors_pointer)
	movl	%cr0, %eax
	andb	$~CR0_PE, %al
	movl	%eax, %cr0
	ljmp	$TRIP_CODE >> 4, $NEAR(real)

/* ---- real mode: FS has kept its limit ---- */

real:
	mov	%cs, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	movl	%cr0, %eax
	andl	$(CR0_PG | CR0_PE), %eax
	note_16
	/* Words stored and loaded by SMSW and LMSW. */
	movl	$0x55555555, NEAR(word)
	smsw	NEAR(word)
	movl	NEAR(word), %eax
	andl	$0xffff0001, %eax
	note_16
	movw	$8, NEAR(word)
	lmsw	NEAR(word)
	movl	%cr0, %eax
	andl	$8, %eax
	note_16
	clts
	movl	%cr0, %eax
	andl	$8, %eax
	note_16
	/* CR3 is a register like others. */
	movl	$0x12345000, %eax
	movl	%eax, %cr3
	xorl	%eax, %eax
	movl	%cr3, %eax
	note_16
	addr32 cmpl	$0, %fs:TRIP_STRICT
	je	1f
	call	refused
1:	movl	$EFER, %ecx
	rdmsr
	xorl	$EFER_NXE, %eax
	wrmsr
	rdmsr
	andl	$(EFER_NXE | EFER_LME), %eax
	note_16
	xorl	%eax, %eax
	cpuid
	/* Memory above 1 MiB, and where there is none. */
	movl	$TRIP_HIGH, %ebx
	addr32 movl	$0x12345678, %fs:(%ebx)
	addr32 addw	$0x1111, %fs:2(%ebx)
	addr32 movl	%fs:(%ebx), %eax
	note_16
	addr32 movl	%fs:TRIP_HIDDEN, %ebx
	addr32 movl	%fs:(%ebx), %eax
	note_16
	addr32 movl	$0, %fs:(%ebx)
	addr32 andb	$0xfe, %fs:(%ebx)
	addr32 movw	%fs:(%ebx), %ax
	note_16
	/* An interrupt through the vector table; code that is changed. */
	xorl	%eax, %eax
	int	$0x21
	note_16
	movb	$0x5a, NEAR(changed) + 1
	xorl	%eax, %eax
changed: mov	$0, %al
	note_16
	/* And back, by LMSW. */
	smsw	%ax
	or	$CR0_PE, %ax
	lmsw	%ax
	ljmpl	$CODE_32, $LINEAR(from_real)

/* What real mode refuses too: operands beyond the segment, paging, bits that are not there. */
refused:
	movw	$NEAR(1f), NEAR(resume)
	lmsw	0xffff
1:	movw	$NEAR(1f), NEAR(resume)
	smsw	0xffff
1:	movw	$NEAR(1f), NEAR(resume)
	movl	$CR0_PG, %eax
	movl	%eax, %cr0
1:	movw	$NEAR(1f), NEAR(resume)
	movl	$CR4_CET, %eax
	movl	%eax, %cr4
1:	ret

vector_13:
	movl	$13, %eax
	note_16
	add	$6, %sp
	jmp	*%cs:NEAR(resume)
vector_33:
	movl	$0x21, %eax
	iret

/* ---- faults in protected mode, in 16-bit code through 32-bit gates ---- */

/* Repair the entry at TRIP_BROKEN. */
page_fault:
	pushal
	movl	%cr2, %eax
	note_16
	addr32 movl	32(%esp), %eax
	note_16
	addr32 movl	%fs:TRIP_BROKEN, %ebx
	addr32 orb	$1, %fs:(%ebx)
	popal
	addl	$4, %esp
	iretl

/* Go on at TRIP_RESUME, as 32-bit code. */
protection:
	movl	$0x13, %eax
	note_16
	addr32 movl	%fs:TRIP_RESUME, %eax
	movl	$TRIP_STACK_TOP, %esp
	mov	$DATA_32, %bx
	mov	%bx, %ds
	mov	%bx, %es
	mov	%bx, %ss
	pushl	$CODE_32
	pushl	%eax
	lretl

	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x00cf9b000000ffff
	.quad	0x00009b000000ffff | TRIP_CODE << 16
	.quad	0x000093000000ffff | TRIP_CODE << 16
	.quad	0x00af9b000000ffff
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	LINEAR(gdt)
idt_pointer:
	.word	15 * 8 - 1
	.quad	LINEAR(idt)
vectors_pointer:
	.word	0x3ff
	.long	TRIP_VECTORS
	.balign	8
idt:
	.fill	13 * 8
	.word	NEAR(protection), CODE_16, 0x8e00, 0
	.word	NEAR(page_fault), CODE_16, 0x8e00, 0
word:	.long	0
resume:	.word	0
	.globl	trip_vectors
/* For the vector table of real mode. */
trip_vectors:
	.word	NEAR(vector_13)
	.word	NEAR(vector_33)
trip_end:

	.bss
	.balign	8
	.lcomm	saved_rsp, 8
	.lcomm	saved_gdt, 16
	.lcomm	saved_idt, 16
	.lcomm	saved_ds, 8
	.section .note.GNU-stack, "", @progbits
