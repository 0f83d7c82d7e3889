/* SPDX-License-Identifier: MIT */
/* Recognises kernels. Reads no files. */
#include "tools/kernel.h"

#include <string.h>

/* Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */
enum {
	LINUX_BOOT_FLAG = 0x1fe,    /* 0xaa55 */
	LINUX_MAGIC = 0x202,        /* "HdrS" */
	LINUX_VERSION = 0x206,      /* 2.10 and later know the two below */
	LINUX_PREF_ADDRESS = 0x258, /* 8 bytes */
	LINUX_INIT_SIZE = 0x260,    /* 4 bytes */
	LINUX_HEADER_END = 0x264,
};

/* Multiboot Specification 0.6.96, "The layout of Multiboot header". */
#define MULTIBOOT_MAGIC        0x1badb002u
#define MULTIBOOT_HEADER_BYTES 12u

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

static bool is_multiboot(const uint8_t *head, size_t n_bytes)
{
	for (size_t at = 0; at + MULTIBOOT_HEADER_BYTES <= n_bytes; at += 4) {
		uint64_t sum = little_endian(head + at, 4) + little_endian(head + at + 4, 4) +
			       little_endian(head + at + 8, 4);

		if (little_endian(head + at, 4) == MULTIBOOT_MAGIC && (uint32_t)sum == 0)
			return true;
	}
	return false;
}

struct kernel kernel_identify(const uint8_t *head, size_t n_bytes)
{
	struct kernel kernel = {.kind = KERNEL_NONE};

	if (is_linux(head, n_bytes)) {
		kernel.kind = KERNEL_LINUX;
		if (little_endian(head + LINUX_VERSION, 2) >= 0x20a)
			kernel.end_bytes = little_endian(head + LINUX_PREF_ADDRESS, 8) +
					   little_endian(head + LINUX_INIT_SIZE, 4);
	} else if (is_multiboot(head, n_bytes)) {
		kernel.kind = KERNEL_MULTIBOOT;
		kernel.elf64 = memcmp(head, "\177ELF\002", 5) == 0;
	}
	return kernel;
}
