/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor moves out of the guest's way.
 */
#ifndef HV_BOOT_RELOCATE_H
#define HV_BOOT_RELOCATE_H

#include "hv/boot/boot_info.h"

/* Take @reserve_bytes of RAM, 2 MiB-aligned and as high as possible below 4 GiB but outside the
 * modules of @boot, as hv_reserved; cut them out of memory_map, start frames_alloc() on them, copy
 * the image there and run the copy from now on, at the same virtual addresses, under the final page
 * tables. What is at the place the loader chose is not used any more. fatal_config() when there is
 * no room. */
void relocate(const struct boot_info *boot, uint64_t reserve_bytes);

#endif
