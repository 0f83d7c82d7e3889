/* SPDX-License-Identifier: MIT */
/*
 * The shape of a CPU's stack, for C and assembly: it lies at a multiple of its size, its lowest
 * page is not mapped, and the CPU's struct cpu is at its top.
 */
#ifndef HV_CORE_STACK_H
#define HV_CORE_STACK_H

#define CPU_STACK_BYTES 0x8000
#define CPU_STATE_BYTES 0x40

#endif
