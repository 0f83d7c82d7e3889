/* SPDX-License-Identifier: MIT */
/*
 * Which flags the manuals leave undefined after an instruction: these are not compared.
 */
#ifndef TESTS_X86_NATIVE_FLAGS_H
#define TESTS_X86_NATIVE_FLAGS_H

#include "tests/x86/native_case.h"

#define FLAG_CF 0x001u
#define FLAG_PF 0x004u
#define FLAG_AF 0x010u
#define FLAG_ZF 0x040u
#define FLAG_SF 0x080u
#define FLAG_OF 0x800u

/* Of @test, with the registers as they are before it. */
uint64_t native_undefined_flags(const struct native_case *test);

#endif
