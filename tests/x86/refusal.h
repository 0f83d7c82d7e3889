/* SPDX-License-Identifier: MIT */
/*
 * Does the executor of x86/ refuse what it says it refuses, and nothing else, and leave the
 * registers alone then?
 */
#ifndef TESTS_X86_REFUSAL_H
#define TESTS_X86_REFUSAL_H

#include "x86/decode.h"

/* Try @insn, described by the decoder, on some state. Returns what is wrong, NULL if nothing is. */
const char *refusal_check(const struct x86_insn *insn);

#endif
