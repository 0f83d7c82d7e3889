/* SPDX-License-Identifier: MIT */
/*
 * What kind of kernel a file holds, told from its first bytes.
 */
#ifndef TOOLS_KERNEL_H
#define TOOLS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A multiboot header lies within the first 8 KiB of a file, a Linux one within the first. */
#define KERNEL_HEAD_BYTES 8192u

enum kernel_kind {
	KERNEL_NONE,      /* no kernel we know */
	KERNEL_LINUX,     /* a bzImage: magic "HdrS" */
	KERNEL_MULTIBOOT, /* multiboot1 */
};

struct kernel {
	enum kernel_kind kind;
	uint64_t end_bytes; /* KERNEL_LINUX: physical memory up to here is its own while it starts;
			       0 unknown */
	bool is_32_bit;     /* KERNEL_LINUX: it runs 32-bit programs only */
	bool elf64;         /* KERNEL_MULTIBOOT: a 64-bit ELF, which QEMU's own loader refuses */
};

/* @head: the first @n_bytes of the file, KERNEL_HEAD_BYTES or all of a shorter one. */
struct kernel kernel_identify(const uint8_t *head, size_t n_bytes);

#endif
