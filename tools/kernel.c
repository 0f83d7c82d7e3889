/* SPDX-License-Identifier: MIT */
/* Recognises kernels. Reads no files. */
#include "tools/kernel.h"

#include <string.h>

/* Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */
enum {
	LINUX_BOOT_FLAG = 0x1fe,    /* 0xaa55 */
	LINUX_MAGIC = 0x202,        /* "HdrS" */
	LINUX_VERSION = 0x206,      /* 2.10 and later know the last two, 2.12 the flags */
	LINUX_XLOAD_FLAGS = 0x236,  /* 2 bytes; bit 0: there is a 64-bit kernel in it */
	LINUX_PREF_ADDRESS = 0x258, /* 8 bytes */
	LINUX_INIT_SIZE = 0x260,    /* 4 bytes */
	LINUX_HEADER_END = 0x264,
};

/* Multiboot Specification 0.6.96, "The layout of Multiboot header". */
#define MULTIBOOT_MAGIC        0x1badb002u
#define MULTIBOOT_HEADER_BYTES 12u
#define MULTIBOOT_ADDRESSES    (1u << 16) /* the header says what goes where, ELF or not */

static uint64_t little_endian(const uint8_t *from, unsigned n_bytes)
{
	uint64_t value = 0;

	while (n_bytes-- > 0)
		value = value << 8 | from[n_bytes];
	return value;
}

static bool is_linux(const uint8_t *head, size_t n_bytes)
{
	return n_bytes >= LINUX_HEADER_END && little_endian(head + LINUX_BOOT_FLAG, 2) == 0xaa55 &&
	       memcmp(head + LINUX_MAGIC, "HdrS", 4) == 0;
}

/* Offset of the multiboot header; @n_bytes if there is none. */
static size_t find_multiboot(const uint8_t *head, size_t n_bytes)
{
	for (size_t at = 0; at + MULTIBOOT_HEADER_BYTES <= n_bytes; at += 4) {
		uint64_t sum = little_endian(head + at, 4) + little_endian(head + at + 4, 4) +
			       little_endian(head + at + 8, 4);

		if (little_endian(head + at, 4) == MULTIBOOT_MAGIC && (uint32_t)sum == 0)
			return at;
	}
	return n_bytes;
}

static struct kernel identify_linux(const uint8_t *head)
{
	struct kernel kernel = {.kind = KERNEL_LINUX};
	uint64_t version = little_endian(head + LINUX_VERSION, 2);

	if (version >= 0x20a)
		kernel.end_bytes = little_endian(head + LINUX_PREF_ADDRESS, 8) +
				   little_endian(head + LINUX_INIT_SIZE, 4);
	if (version >= 0x20c)
		kernel.is_32_bit = !(little_endian(head + LINUX_XLOAD_FLAGS, 2) & 1);
	return kernel;
}

struct kernel kernel_identify(const uint8_t *head, size_t n_bytes)
{
	struct kernel kernel = {.kind = KERNEL_NONE};
	size_t header = find_multiboot(head, n_bytes);

	if (is_linux(head, n_bytes))
		return identify_linux(head);
	if (header < n_bytes) {
		kernel.kind = KERNEL_MULTIBOOT;
		kernel.elf64 = memcmp(head, "\177ELF\002", 5) == 0 &&
			       !(little_endian(head + header + 4, 4) & MULTIBOOT_ADDRESSES);
	}
	return kernel;
}
