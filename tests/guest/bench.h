/* SPDX-License-Identifier: MIT */
/*
 * Measured operations: what kernels do to their own tables, without a kernel around it. An
 * operation is run with fresh tables in each mode of its mask; it encloses what is measured in
 * bench_begin() and bench_end(), and returns how many times the thing it is named after happened
 * between them.
 */
#ifndef TESTS_GUEST_BENCH_H
#define TESTS_GUEST_BENCH_H

#include "tests/guest/guest.h"

struct measured {
	const char *name;
	unsigned modes; /* mask of IN() */
	uint32_t (*run)(void);
};

/* In bench_ops.c. */
extern const struct measured bench_ops[];
extern const unsigned n_bench_ops;

/* Enclose a timed part. An operation may have several: their times are added. */
void bench_begin(void);
void bench_end(void);

#endif
