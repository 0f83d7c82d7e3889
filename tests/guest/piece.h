/* SPDX-License-Identifier: MIT */
/* For the assembler: tables of pieces of code that a test runs one by one. */
#ifndef TESTS_GUEST_PIECE_H
#define TESTS_GUEST_PIECE_H

#ifdef __x86_64__
#define DATA .quad
#else
#define DATA .long
#endif

	/* A row of the table, {name, code}, and the code. */
	.macro piece text
	.section .rodata.str1, "aMS", @progbits, 1
77:	.asciz	"\text"
	.section .rodata
	DATA	77b, 88f
	.section .probes, "ax"
88:	\text
	int	$TRAP_DONE
	.endm

#endif
