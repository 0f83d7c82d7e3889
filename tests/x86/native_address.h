/* SPDX-License-Identifier: MIT */
/*
 * Random addressing forms, and registers and displacements that make them point where they should.
 * Effective addresses are worked out here by the manual, independently of x86/.
 */
#ifndef TESTS_X86_NATIVE_ADDRESS_H
#define TESTS_X86_NATIVE_ADDRESS_H

#include "tests/x86/native_case.h"

/* Choose ModRM, SIB and a displacement for @test, whose prefixes are chosen, in code of @mode.
 * The segment is the default one. SDM 2 "Addressing-Mode Encoding of ModR/M and SIB Bytes". */
void native_choose_address(struct native_case *test, enum native_mode mode, uint64_t *seed);

/* Offset of the memory operand in its segment. */
uint64_t native_offset(const struct native_case *test);

/* Change a register or the displacement so that the operand's offset becomes @offset, or about it.
 * False if none may be changed. RSP is left alone in a PUSH. */
bool native_aim(struct native_case *test, uint64_t offset);

#endif
