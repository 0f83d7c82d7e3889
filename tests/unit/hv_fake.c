/* SPDX-License-Identifier: MIT */
/*
 * See hv_fake.h.
 */
#include "tests/unit/hv_fake.h"

#include <stdio.h>

#include "hv/core/core.h"

jmp_buf hv_fake_return;
char hv_fake_text[1024];

_Noreturn void fatal_config(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(hv_fake_text, sizeof(hv_fake_text), fmt, ap);
	va_end(ap);
	longjmp(hv_fake_return, 1);
}

_Noreturn void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(hv_fake_text, sizeof(hv_fake_text), fmt, ap);
	va_end(ap);
	longjmp(hv_fake_return, 1);
}

void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

uint32_t fake_random(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33);
}
