/* SPDX-License-Identifier: MIT */
/*
 * Time, out of the time stamp counter.
 */
#ifndef HV_VM_CLOCK_H
#define HV_VM_CLOCK_H

#include <stdint.h>

/* Find the counter's frequency: takes 2 ms. Boot only; uses channel 2 of the PIT. */
void clock_init(void);

/* @ticks of the counter in nanoseconds; 0 if the frequency could not be found. */
uint64_t clock_ns(uint64_t ticks);

#endif
