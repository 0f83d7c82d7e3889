/* SPDX-License-Identifier: MIT */
/*
 * What any boot loader tells, in one neutral form: the loader's own structures are copied into this
 * first, and never looked at again.
 */
#ifndef HV_BOOT_BOOT_INFO_H
#define HV_BOOT_BOOT_INFO_H

#include "hv/core/core.h"
#include "hv/guest/guest.h"

#define BOOT_COMMAND_LINE_MAX 4096u /* with the final NUL */

struct boot_info {
	char text[BOOT_COMMAND_LINE_MAX];
	char *command_line; /* in text: options only, without the name of the image */
	struct memory_map_entry map[MEMORY_MAP_MAX]; /* in any order, may overlap */
	unsigned map_entries;
	struct boot_module modules[BOOT_MODULES_MAX];
	char module_texts[BOOT_MODULES_MAX][BOOT_COMMAND_LINE_MAX];
	unsigned n_modules;
};

/* Physical memory that the loader's parsers can see; above it, nothing is mapped yet. */
#define BOOT_MAPPED_BYTES (4ull << 30)

#endif
