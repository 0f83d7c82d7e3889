/* SPDX-License-Identifier: MIT */
/*
 * What address-space tags and flushes not passed on are worth: TLB misses of the little operating
 * system, in lives in which most flushes find nothing that anybody lost.
 */
#ifndef LAB_MISSES_H
#define LAB_MISSES_H

#include "lab/report.h"

/* Run and print them. Returns 0, or 1: a run failed, or there are not less misses where there have
 * to be. */
int misses_print(struct report *report);

#endif
