/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 (QEMU -kernel, GRUB's "multiboot").
 */
#ifndef HV_BOOT_MULTIBOOT1_H
#define HV_BOOT_MULTIBOOT1_H

#include <stdint.h>

#include "hv/boot/boot_info.h"
#include "hv/boot/multiboot1_info.h"

/* Copy what the loader left at physical @info into @boot, which is zero. Words that name a file
 * (the image, a module) are dropped from the command lines where the loader puts them.
 * fatal_config() when there is no memory map or something is too large. */
void multiboot1_parse(uint32_t info, struct boot_info *boot);

#endif
