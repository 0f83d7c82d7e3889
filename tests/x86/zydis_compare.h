/* SPDX-License-Identifier: MIT */
/*
 * Does x86/ say the same of an instruction as Zydis does?
 */
#ifndef TESTS_X86_ZYDIS_COMPARE_H
#define TESTS_X86_ZYDIS_COMPARE_H

#include "tests/x86/zydis_view.h"

/* Compare the description @insn with @view. Returns what differs, NULL if nothing
 * does. The length is not looked at. */
const char *zydis_compare(const struct x86_insn *insn, const struct zydis_view *view);

#endif
