/* SPDX-License-Identifier: MIT */
/*
 * The same instruction by x86/: decoded, its operand found, and executed on a copy of the buffer.
 */
#ifndef TESTS_X86_NATIVE_MODEL_H
#define TESTS_X86_NATIVE_MODEL_H

#include "tests/x86/native_case.h"

/* Do @test on @state and on @buffer, the copy of the native one. Returns what x86/ says that cannot
 * be right, NULL if nothing. */
const char *native_model(const struct native_case *test, const struct native_segments *segments,
	struct native_state *state, uint8_t *buffer);

#endif
