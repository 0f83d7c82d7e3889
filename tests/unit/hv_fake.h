/* SPDX-License-Identifier: MIT */
/*
 * The parts of hv/core that hosted tests replace: fatal_config() and panic() come back to the test.
 */
#ifndef TESTS_UNIT_HV_FAKE_H
#define TESTS_UNIT_HV_FAKE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern jmp_buf hv_fake_return;
extern char hv_fake_text[1024];

/* What @statement said by fatal_config() or panic(); "" when it came to its end. */
#define FATAL_TEXT_OF(statement)                                                                   \
	(setjmp(hv_fake_return) == 0 ? ((statement), (const char *)"") : (const char *)hv_fake_text)

/* Does @text contain @part? Prints both if not. */
void assert_says(const char *text, const char *part);

/* A small generator with a fixed seed: the same run every time. */
uint32_t fake_random(void);

#endif
