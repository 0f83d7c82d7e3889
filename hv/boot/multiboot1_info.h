/* SPDX-License-Identifier: MIT */
/*
 * The layout of what a multiboot 1 loader tells: one told us, and we tell our guest. Source:
 * Multiboot Specification 0.6.96, "Machine state" and "Boot information format".
 */
#ifndef HV_BOOT_MULTIBOOT1_INFO_H
#define HV_BOOT_MULTIBOOT1_INFO_H

#include <stdint.h>

#define MULTIBOOT1_MAGIC 0x2badb002u /* in EAX at entry; EBX has the address of the structure */

/* Which fields are there. */
enum multiboot1_has {
	MULTIBOOT1_HAS_MEMORY = 1 << 0,
	MULTIBOOT1_HAS_COMMAND_LINE = 1 << 2,
	MULTIBOOT1_HAS_MODULES = 1 << 3,
	MULTIBOOT1_HAS_MAP = 1 << 6,
	MULTIBOOT1_HAS_LOADER_NAME = 1 << 9,
};

/* Addresses are physical; command lines and names end with NUL. */
struct multiboot1_info {
	uint32_t flags; /* enum multiboot1_has */
	uint32_t mem_lower_kib;
	uint32_t mem_upper_kib; /* from 1 MiB to the first hole */
	uint32_t boot_device;
	uint32_t command_line;
	uint32_t n_modules;
	uint32_t modules;
	uint32_t symbols[4];
	uint32_t map_bytes;
	uint32_t map;
	uint32_t drives_bytes;
	uint32_t drives;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
};

struct multiboot1_module {
	uint32_t start;
	uint32_t end;
	uint32_t command_line;
	uint32_t reserved;
};

/* Entries follow each other at @entry_bytes + 4. */
struct __attribute__((packed)) multiboot1_map_entry {
	uint32_t entry_bytes;
	uint64_t base;
	uint64_t size;
	uint32_t type; /* as E820's */
};

#endif
