/* SPDX-License-Identifier: MIT */
/*
 * Memory that stands for the machine's, where the build says DIRECT_MAP is.
 */
#ifndef TESTS_UNIT_HV_MACHINE_H
#define TESTS_UNIT_HV_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "hv/core/init.h"

static uint8_t *const machine = (uint8_t *)(uintptr_t)DIRECT_MAP;

/* Once a program. */
static inline bool machine_map(uint64_t n_bytes)
{
	return mmap(machine, n_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		       0) == machine;
}

/* The memory map of a PC whose RAM ends at @end. */
static inline bool machine_ram(uint64_t end)
{
	const uint64_t mib = 1 << 20;
	const struct memory_map_entry ram[] = {
		{0, 0x9fc00, MEMORY_RAM},
		{0x9fc00, 0x400, MEMORY_RESERVED},
		{mib, end - mib, MEMORY_RAM},
	};

	return memory_map_build(ram, 3);
}

#endif
