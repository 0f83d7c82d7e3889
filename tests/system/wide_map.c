/* SPDX-License-Identifier: MIT */
/*
 * Runs in a Linux guest: memory beyond what four levels of page tables reach, which only five can
 * give. Prints "wide: N bits" with the highest bit of the addresses that work.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

/* One page near @hint, written and read. Returns where, or 0. */
static uintptr_t try_page(uintptr_t hint)
{
	volatile unsigned char *page = mmap((void *)hint, PAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 0;
	page[5] = (unsigned char)(hint >> 40);
	return page[5] == (unsigned char)(hint >> 40) ? (uintptr_t)page : 0;
}

int main(void)
{
	unsigned n_bits = 0;

	for (unsigned bit = 30; bit < 56; bit++) {
		uintptr_t at = try_page((uintptr_t)1 << bit);

		if (at >> bit == 1)
			n_bits = bit + 1;
	}
	printf("wide: %u bits\n", n_bits);
	return 0;
}
