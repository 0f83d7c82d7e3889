/* SPDX-License-Identifier: MIT */
/*
 * The first instructions: the multiboot1 header, 32-bit protected mode as a multiboot loader leaves
 * it, provisional page tables, long mode, boot_main(). Also the GDT and the boot CPU's stack, which
 * stay in use.
 */

#include "hv/core/stack.h"

#define HV_VIRT	0xffffffff80000000
/* Only while the image is where it was loaded. */
#define PHYS(symbol) ((symbol) - HV_VIRT)

/* Multiboot 1: "The layout of Multiboot header". Flags: address fields are valid; memory map
 * wanted; modules page-aligned. */
#define MULTIBOOT_MAGIC	0x1badb002
#define MULTIBOOT_FLAGS	0x00010003

#define CODE	0x08
#define DATA	0x10

#define CR0	0x80010033		/* PG WP NE ET MP PE, caches on */
#define CR0_PG	0x80000000
#define CR4	0x20			/* PAE */
#define EFER	0xc0000080
#define EFER_LME_NXE	0x900
#define TABLE	0x3			/* present, writable */
#define LARGE	0x83			/* present, writable, 2 MiB */

	.section .boot.header, "a", @progbits
	.balign	4
header:
	.long	MULTIBOOT_MAGIC
	.long	MULTIBOOT_FLAGS
	.long	-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	.long	PHYS(header)
	.long	PHYS(image_start)
	.long	PHYS(image_load_end)
	.long	PHYS(image_end)
	.long	PHYS(entry32)

	.text
	.code32
	.globl	entry32
entry32:
	cli
	cld
	mov	$PHYS(boot_stack_top), %esp
	mov	%eax, %ebp		/* the loader's magic number */
	mov	%ebx, %esi		/* its information */

	mov	$0x80000000, %eax
	cpuid
	cmp	$0x80000001, %eax
	jb	no_long_mode
	mov	$0x80000001, %eax
	cpuid
	and	$0x20100000, %edx	/* long mode, NX */
	cmp	$0x20100000, %edx
	jne	no_long_mode

	/* Four directories map the first 4 GiB: at 0, at DIRECT_MAP, and (the first) at HV_VIRT. */
	mov	$PHYS(directories), %edi
	mov	$LARGE, %eax
	mov	$2048, %ecx
1:	mov	%eax, (%edi)
	movl	$0, 4(%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	1b

	movl	$PHYS(directories) + 0x0000 + TABLE, PHYS(low_pointers)
	movl	$PHYS(directories) + 0x1000 + TABLE, PHYS(low_pointers) + 8
	movl	$PHYS(directories) + 0x2000 + TABLE, PHYS(low_pointers) + 16
	movl	$PHYS(directories) + 0x3000 + TABLE, PHYS(low_pointers) + 24
	movl	$PHYS(directories) + TABLE, PHYS(high_pointers) + 510 * 8
	movl	$PHYS(low_pointers) + TABLE, PHYS(root)
	movl	$PHYS(low_pointers) + TABLE, PHYS(root) + 256 * 8
	movl	$PHYS(high_pointers) + TABLE, PHYS(root) + 511 * 8

	mov	$CR4, %eax
	mov	%eax, %cr4
	mov	$PHYS(root), %eax
	mov	%eax, %cr3
	mov	$EFER, %ecx
	rdmsr
	or	$EFER_LME_NXE, %eax
	wrmsr
	mov	$CR0, %eax
	mov	%eax, %cr0
	lgdt	PHYS(gdt_low)
	ljmp	$CODE, $PHYS(entry64_low)

/* Say why on COM2, the monitor's default, and end like fatal_config() does. */
no_long_mode:
	mov	$PHYS(no_long_mode_text), %esi
1:	mov	$0x2fd, %dx		/* line status: wait for room, but not for ever */
	mov	$1000000, %ecx
2:	in	%dx, %al
	test	$0x20, %al
	loopz	2b
	mov	$0x2f8, %dx
	lodsb
	out	%al, %dx
	cmp	$'\n', %al
	jne	1b
	mov	$32, %al
	out	%al, $0xf4
3:	hlt
	jmp	3b

	.code64
entry64_low:
	movabs	$entry64, %rax
	jmp	*%rax
entry64:
	lgdt	gdt_high(%rip)
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$boot_stack_top, %rsp
	mov	%ebp, %edi
	mov	%esi, %esi
	call	boot_main
	ud2

	.section .rodata
	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 64-bit code, accessed */
	.quad	0x00cf93000000ffff	/* data, accessed */
gdt_end:
gdt_low:
	.word	gdt_end - gdt - 1
	.long	PHYS(gdt)
gdt_high:
	.word	gdt_end - gdt - 1
	.quad	gdt

no_long_mode_text:
	.ascii	"{\"type\":\"error\",\"text\":\"this processor has no 64-bit mode with "
	.ascii	"no-execute pages; the hypervisor needs both; choose another processor "
	.ascii	"(QEMU: -cpu EPYC,+svm)\"}\n"

	.bss
	.balign	4096
directories:
	.skip	4 * 4096
root:
	.skip	4096
low_pointers:
	.skip	4096
high_pointers:
	.skip	4096

	.section .stacks, "aw", @nobits
	.balign	CPU_STACK_BYTES
	.globl	boot_stack
boot_stack:
	.skip	CPU_STACK_BYTES - CPU_STATE_BYTES
boot_stack_top:
	.skip	CPU_STATE_BYTES

	.section .note.GNU-stack, "", @progbits
