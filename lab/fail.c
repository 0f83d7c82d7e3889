/* SPDX-License-Identifier: MIT */
/* Failures of a run: one sentence, then back to the driver. Knows nothing of machines. */
#include "lab/fail.h"

#include <stdarg.h>
#include <stdio.h>

void lab_fail(struct lab_fail *fail, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fail->text, sizeof(fail->text), format, args);
	va_end(args);
	longjmp(fail->unwind, 1);
}
