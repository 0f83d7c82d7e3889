/* SPDX-License-Identifier: MIT */
/*
 * The first instructions: keep the state the loader must provide, before anything changes it, for
 * main.c. With ADDRESSES the header says what goes where, for a file that is no ELF.
 */
#define HEADER_MAGIC 0x1badb002
#define HEADER_ALIGN_MODULES 1
#define HEADER_MEMORY_INFO 2
#define HEADER_ADDRESSES 0x10000
#ifdef ADDRESSES
#define HEADER_FLAGS (HEADER_ALIGN_MODULES | HEADER_MEMORY_INFO | HEADER_ADDRESSES)
#else
#define HEADER_FLAGS (HEADER_ALIGN_MODULES | HEADER_MEMORY_INFO)
#endif

	.section .header, "a"
	.balign 4
header:
	.long HEADER_MAGIC, HEADER_FLAGS, -(HEADER_MAGIC + HEADER_FLAGS)
#ifdef ADDRESSES
	.long header, image_start, image_data_end, image_bss_end, start
#endif

	.text
	.globl start
start:
	mov $stack_top, %esp
	push %ebx
	push %eax
	mov %cr4, %eax
	push %eax
	mov %cr0, %eax
	push %eax
	pushf
	push %esp
	call main
1:	cli
	hlt
	jmp 1b

	.bss
	.balign 16
	.skip 8192
stack_top:

	.section .note.GNU-stack, "", @progbits
