/* SPDX-License-Identifier: MIT */
/*
 * Where the differential test against the processor keeps what native instructions need: below
 * 2 GiB, at fixed addresses, so that 32-bit code reaches it and 64-bit code by absolute addresses.
 * Included by assembly, too.
 */
#ifndef TESTS_X86_NATIVE_LAYOUT_H
#define TESTS_X86_NATIVE_LAYOUT_H

#define NATIVE_GLUE  0x20000000 /* the code of native_enter.S */
#define NATIVE_LIVE  0x20010000 /* struct native_live */
#define NATIVE_SLOTS 0x20100000 /* one instruction and a jump each */
/* The buffer that instructions work on; the pages before and behind it are not mapped. It lies less
 * than 64 KiB behind the slots, so that one 16-bit segment can hold both. */
#define NATIVE_BUFFER       0x20109000
#define NATIVE_BUFFER_BYTES 0x2000
#define NATIVE_SLOT_BYTES   32
#define NATIVE_SLOTS_BYTES  0x4000
#define NATIVE_SLOT_COUNT   (NATIVE_SLOTS_BYTES / NATIVE_SLOT_BYTES)

/* Offsets in struct native_live. */
#define LIVE_GPR       0
#define LIVE_RFLAGS    128
#define LIVE_TARGET    136 /* far pointer: offset 32, selector 16 */
#define LIVE_TARGET_CS 140
#define LIVE_GLUE32    144 /* far pointer to the 32-bit glue */
#define LIVE_SELECTORS 152 /* ES CS SS DS FS GS */
#define LIVE_FS_BASE   168
#define LIVE_GS_BASE   176
#define LIVE_HOST_FS   184
#define LIVE_HOST_RSP  192
#define LIVE_SET_BASES 200
#define LIVE_TARGET64  208

/* Selectors of Linux' flat user segments. Linux, arch/x86/include/asm/segment.h, __USER32_CS,
 * __USER_DS, __USER_CS. */
#define NATIVE_CS32 0x23
#define NATIVE_DATA 0x2b
#define NATIVE_CS64 0x33

#endif
