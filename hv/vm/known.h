/* SPDX-License-Identifier: MIT */
/*
 * Instructions that were decoded before, so that one that exits again and again is decoded once.
 * What an instruction means depends on nothing but its bytes and the size of the code; both are
 * compared at each use, so an entry is never wrong, whatever the guest maps or writes at RIP. Where
 * the bytes are is known, too, as long as the way there through the shadow tables has not changed:
 * path.h.
 */
#ifndef HV_VM_KNOWN_H
#define HV_VM_KNOWN_H

#include "hv/vm/path.h"
#include "x86/decode.h"

#define KNOWN_INSNS 64u /* a power of two; found by some bits of RIP */

/* What a store emulated again and again asks about its instruction. */
#define KNOWN_STORES 1u /* into its explicit memory operand, as x86_execute() tells */
#define KNOWN_READS  2u /* that operand before */
#define KNOWN_ATOMIC 4u
#define KNOWN_COPIES 8u  /* the immediate, or the low bytes of a general register: MOV */
#define KNOWN_SWAPS  16u /* with all of a general register: XCHG */
#define KNOWN_NEAR   32u /* at a base register and a displacement, in 64-bit code */

typedef const volatile uint64_t __attribute__((aligned(1), may_alias)) known_word;

/* Not canonical. */
#define KNOWN_NOWHERE (1ull << 63)

struct known_insn {
	umbra_gva gva;     /* where it was seen last, by @path; or KNOWN_NOWHERE */
	known_word *bytes; /* what the path leads to: of the page, 16 bytes */
	struct code_path path;
	uint64_t words[2]; /* the bytes of the instruction, others 0 */
	uint64_t masks[2]; /* which bytes these are */
	uint8_t is_known;
	uint8_t size; /* enum x86_code_size */
	uint8_t traits;
	struct x86_insn insn;
};

#endif
