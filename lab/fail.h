/* SPDX-License-Identifier: MIT */
/*
 * How the lab says that the library (or the lab's own machine) did something wrong. A failure
 * unwinds to whoever drives the run, which owns everything that was allocated.
 */
#ifndef LAB_FAIL_H
#define LAB_FAIL_H

#include <setjmp.h>

#define LAB_FAIL_BYTES 1024u

struct lab_fail {
	jmp_buf unwind;
	char text[LAB_FAIL_BYTES];
};

/* Format the reason into @fail->text and jump to @fail->unwind (a setjmp of the driver). */
__attribute__((noreturn, format(printf, 2, 3))) void lab_fail(
	struct lab_fail *fail, const char *format, ...);

#endif
