/* SPDX-License-Identifier: MIT */
/*
 * Numbers that C, assembler and both worlds must agree on: the memory map, the selectors, the
 * fields of a probe. Must not hold anything that an assembler cannot read.
 */
#ifndef TESTS_GUEST_LAYOUT_H
#define TESTS_GUEST_LAYOUT_H

/* Mapped in every mode at its physical address, for the supervisor only: code, data, tables. */
#define LIFE_BASE  0x2000000
#define LIFE_END   0x4800000
#define WORLD64    0x2400000 /* where the 64-bit world lies */
#define ARENA_BASE 0x2800000 /* the frames that tests take; all free again before each test */
#define ARENA_END  0x3000000
#define SPARE_BASE 0x4000000 /* 8 MiB for large pages */
#define SPARE_END  0x4800000

/* Mapped for the user in every mode: section .probes, to execute; his stack. */
#define USER_CODE       0x30000000
#define USER_CODE_PAGES 4
#define USER_STACK      0x30004000

/* Real mode: its code, its stack's end, words that it exchanges with its caller, an interrupt. */
#define REAL_CODE   0x7000
#define REAL_STACK  0x7f00
#define REAL_MAIL   0x6000
#define REAL_VECTOR 0x60

/* Selectors, the same in both worlds. From GDT_SPARE on they are a test's own. */
#define GDT_CODE32    0x08
#define GDT_DATA      0x10
#define GDT_CODE64    0x18
#define GDT_USER_DATA 0x23
#define GDT_USER_32   0x2b
#define GDT_USER_64   0x33
#define GDT_CODE16    0x38
#define GDT_DATA16    0x40
#define GDT_TSS       0x48
#define GDT_SPARE     0x58
#define GDT_ENTRIES   32

#ifdef __x86_64__
#define GDT_KERNEL GDT_CODE64
#define GDT_USER   GDT_USER_64
#else
#define GDT_KERNEL GDT_CODE32
#define GDT_USER   GDT_USER_32
#endif

/* The trap that ends a probe. */
#define TRAP_DONE 0x30

/* Words of struct probe. */
#define PROBE_IP     0
#define PROBE_CS     1
#define PROBE_FLAGS  2
#define PROBE_SP     3
#define PROBE_SS     4
#define PROBE_AX     5
#define PROBE_BX     6
#define PROBE_CX     7
#define PROBE_DX     8
#define PROBE_SI     9
#define PROBE_DI     10
#define PROBE_VECTOR 11
#define PROBE_ERROR  12
#define PROBE_CR2    13
#define PROBE_SEGS   14

#endif
