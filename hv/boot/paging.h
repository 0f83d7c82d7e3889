/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own page tables.
 */
#ifndef HV_BOOT_PAGING_H
#define HV_BOOT_PAGING_H

#include <stdint.h>

/* Build, out of frames_alloc(), tables that map the image lying at physical @image (text read and
 * execute, constants read, data read and write, a hole below each stack) and, for read and write,
 * the first 4 GiB and all RAM of memory_map at DIRECT_MAP. Returns the physical address for CR3. */
uint64_t paging_build(uint64_t image);

#endif
