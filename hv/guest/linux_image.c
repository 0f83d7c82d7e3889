/* SPDX-License-Identifier: MIT */
/*
 * Reading the header of a bzImage. Pure; the file may be anything.
 */
#include "hv/guest/linux_image.h"

#include "hv/core/core.h"

/* Offsets in the file; boot.rst, "The Real-Mode Kernel Header". */
enum {
	SETUP_SECTORS = 0x1f1,
	SYSTEM_SIZE = 0x1f4, /* of the protected-mode part, in units of SIZE_UNIT */
	BOOT_FLAG = 0x1fe,
	JUMP_DISTANCE = 0x201, /* from the next byte to the end of the header */
	VERSION = 0x206,
	LOAD_FLAGS = 0x211,
	INITRD_MAX = 0x22c,
	XLOAD_FLAGS = 0x236,
	COMMAND_LINE_SIZE = 0x238,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_MIN_END = 0x264, /* of version 2.12, which all that is read here is part of */

	BOOT_FLAG_VALUE = 0xaa55,
	VERSION_MIN = 0x20c,
	LOADED_HIGH = 1 << 0,
	XLF_KERNEL_64 = 1 << 0,
	SECTOR_BYTES = 512,
	SIZE_UNIT = 16,
	SETUP_SECTORS_IF_ZERO = 4,
};

static uint64_t field(const uint8_t *file, unsigned offset, unsigned n_bytes)
{
	uint64_t value = 0;

	memcpy(&value, file + offset, n_bytes);
	return value;
}

const char *linux_image_read(const void *at, uint64_t n_bytes, struct linux_image *image)
{
	const uint8_t *file = at;
	uint64_t sectors;

	if (n_bytes < LINUX_HEADER_END || field(file, BOOT_FLAG, 2) != BOOT_FLAG_VALUE ||
		memcmp(file + LINUX_MAGIC, "HdrS", 4) != 0)
		return "it is not a Linux bzImage";
	if (field(file, VERSION, 2) < VERSION_MIN)
		return "it is too old: boot protocol 2.12 (Linux 3.8) or later is needed";
	if (!(field(file, LOAD_FLAGS, 1) & LOADED_HIGH))
		return "it is a zImage; a bzImage is needed";

	sectors = field(file, SETUP_SECTORS, 1);
	*image = (struct linux_image){
		.is_64_bit = field(file, XLOAD_FLAGS, 2) & XLF_KERNEL_64,
		.payload_offset = ((sectors ? sectors : SETUP_SECTORS_IF_ZERO) + 1) * SECTOR_BYTES,
		.payload_bytes = field(file, SYSTEM_SIZE, 4) * SIZE_UNIT,
		.pref_address = field(file, PREF_ADDRESS, 8),
		.init_bytes = field(file, INIT_SIZE, 4),
		.initrd_limit = field(file, INITRD_MAX, 4) + 1,
		.command_line_max_bytes = (uint32_t)field(file, COMMAND_LINE_SIZE, 4),
		.header_end = (uint32_t)(LINUX_MAGIC + field(file, JUMP_DISTANCE, 1)),
	};
	if (image->payload_offset > n_bytes ||
		image->payload_bytes >= n_bytes - image->payload_offset + SIZE_UNIT)
		return "it is cut short: the file is smaller than its header says";
	/* The last unit may be a part of one: not every linker fills it up. */
	if (image->payload_bytes > n_bytes - image->payload_offset)
		image->payload_bytes = n_bytes - image->payload_offset;
	if (image->header_end < HEADER_MIN_END || image->header_end > LINUX_HEADER_END ||
		image->payload_bytes == 0 || image->init_bytes < image->payload_bytes)
		return "it is damaged: its header contradicts itself";
	return NULL;
}
