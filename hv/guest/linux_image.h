/* SPDX-License-Identifier: MIT */
/*
 * The header of a Linux bzImage. Source: Linux, Documentation/arch/x86/boot.rst.
 */
#ifndef HV_GUEST_LINUX_IMAGE_H
#define HV_GUEST_LINUX_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The setup header inside the first sectors of the file and, at the same offset, inside
 * boot_params. */
#define LINUX_HEADER_OFFSET 0x1f1u
#define LINUX_HEADER_END    0x290u /* no header of any version reaches farther */

/* Offsets of the mark "HdrS" and of the fields the loader writes. */
enum linux_header_field {
	LINUX_MAGIC = 0x202,
	LINUX_TYPE_OF_LOADER = 0x210,
	LINUX_RAMDISK_IMAGE = 0x218,
	LINUX_RAMDISK_SIZE = 0x21c,
	LINUX_CMD_LINE_PTR = 0x228,
	LINUX_SETUP_DATA = 0x250,
};

/* What the loader needs to know of a bzImage. */
struct linux_image {
	bool is_64_bit;          /* it has a 64-bit entry; else it is entered without paging */
	uint64_t payload_offset; /* the kernel proper inside the file */
	uint64_t payload_bytes;
	uint64_t pref_address;           /* where it wants to be, physical */
	uint64_t init_bytes;             /* RAM it needs there before it reads the memory map */
	uint64_t initrd_limit;           /* one past the highest byte an initrd may have */
	uint32_t command_line_max_bytes; /* without the final NUL */
	uint32_t header_end;             /* offset of the first byte behind the setup header */
};

/* Read the header of the @n_bytes at @file (borrows) into @image.
 * Returns NULL, or why the file cannot be booted ("it is ..."), with @image then undefined. */
const char *linux_image_read(const void *file, uint64_t n_bytes, struct linux_image *image);

#endif
