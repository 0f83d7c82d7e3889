/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a page table that is written: given up when nobody uses what is written, kept
 * while somebody does, never back and forth. Scenes with counts, for every policy.
 */
#ifndef LAB_FLOODING_H
#define LAB_FLOODING_H

#include "lab/report.h"

/* Run and print the scenes; @tries searches for what makes tables go and come back most often.
 * Returns the exit status: 1 if a count is not what it must be. */
int flooding_print(struct report *report, unsigned tries);

/* ---- flooding_search.c ---- */

/* The search alone. */
int flooding_search(struct report *report, unsigned tries);

#endif
