/* SPDX-License-Identifier: MIT */
/*
 * Where x86/ and Zydis differ and both are right, or Zydis is wrong: the complete list.
 */
#ifndef TESTS_X86_ZYDIS_MAKERS_H
#define TESTS_X86_ZYDIS_MAKERS_H

#include "tests/x86/zydis_view.h"

/* Why the verdict @difference on the instruction @view is no fault of x86/; NULL if it is one. */
const char *zydis_excuse(const struct zydis_view *view, const char *difference);

#endif
