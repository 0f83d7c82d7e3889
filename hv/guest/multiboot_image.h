/* SPDX-License-Identifier: MIT */
/*
 * A multiboot 1 kernel as a file: its header, and what of it goes where. Source: Multiboot
 * Specification 0.6.96, "OS image format"; System V ABI, "Object Files".
 */
#ifndef HV_GUEST_MULTIBOOT_IMAGE_H
#define HV_GUEST_MULTIBOOT_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define MULTIBOOT_SEGMENTS_MAX 16u

/* Bits of the header's flags that a loader has to know. */
enum multiboot_flag {
	MULTIBOOT_ALIGN_MODULES = 1 << 0,
	MULTIBOOT_MEMORY_INFO = 1 << 1,
	MULTIBOOT_VIDEO = 1 << 2,
	MULTIBOOT_ADDRESSES = 1 << 16, /* the header says what goes where, not the ELF headers */
};

/* A piece of the file and its place in memory, below 4 GiB; memory beyond the piece is zero. */
struct multiboot_segment {
	uint64_t base_bytes; /* physical */
	uint64_t size_bytes; /* in memory; never 0 */
	uint64_t file_offset;
	uint64_t file_bytes; /* at most size_bytes */
};

struct multiboot_image {
	uint32_t flags; /* enum multiboot_flag */
	uint32_t entry; /* physical; inside a segment */
	unsigned n_segments;
	struct multiboot_segment segments[MULTIBOOT_SEGMENTS_MAX];
};

/* Do the @n_bytes at @file (borrows) hold a multiboot 1 header? */
bool multiboot_image_recognise(const void *file, uint64_t n_bytes);

/* Read the @n_bytes at @file (borrows), anything at all, into @image.
 * Returns NULL, or why the file cannot be booted ("it ..."), with @image then undefined. */
const char *multiboot_image_read(const void *file, uint64_t n_bytes, struct multiboot_image *image);

#endif
