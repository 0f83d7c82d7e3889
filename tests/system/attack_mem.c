/* SPDX-License-Identifier: MIT */
/*
 * Runs in a Linux guest, as root: maps physical memory that is the hypervisor's and attacks it. It
 * must read as all ones, before and after everything that is written there.
 * Usage: attack-mem BASE BYTES
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ONES       UINT64_MAX
#define PAGE_BYTES 4096u

static void expect_ones(const volatile uint64_t *memory, size_t n_words, const char *when)
{
	for (size_t i = 0; i < n_words; i++) {
		if (memory[i] == ONES)
			continue;
		printf("%s writing, word %zu is %llx\n", when, i, (unsigned long long)memory[i]);
		exit(1);
	}
}

/* A page in every way a compiler and a C library know. */
static void attack(volatile uint8_t *page, unsigned n)
{
	volatile uint64_t *words = (volatile uint64_t *)page;

	switch (n % 8) {
	case 0:
		words[n % 512] = 0;
		break;
	case 1:
		page[n % PAGE_BYTES] = 0;
		break;
	case 2:
		((volatile uint32_t *)page)[n % 1024] = 0;
		break;
	case 3:
		((volatile uint16_t *)page)[n % 2048] = 0;
		break;
	case 4:
		__atomic_fetch_and(&words[n % 512], 0, __ATOMIC_SEQ_CST);
		break;
	case 5:
		__atomic_exchange_n(&words[n % 512], 0, __ATOMIC_SEQ_CST);
		break;
	case 6:
		__asm__ volatile("rep stosq" : "+D"(page) : "c"(PAGE_BYTES / 8), "a"(0) : "memory");
		break;
	default:
		words[n % 512] += n;
		break;
	}
}

int main(int argc, char **argv)
{
	uint64_t base = argc == 3 ? strtoull(argv[1], NULL, 0) : 0;
	size_t n_bytes = argc == 3 ? strtoull(argv[2], NULL, 0) : 0;
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	uint64_t word = 0;
	uint8_t *memory;

	if (n_bytes == 0 || fd < 0) {
		perror("/dev/mem");
		return 2;
	}
	memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)base);
	if (memory == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	expect_ones((uint64_t *)memory, n_bytes / sizeof(word), "before");
	for (unsigned n = 0; n < n_bytes / PAGE_BYTES; n++)
		attack(memory + (size_t)n * PAGE_BYTES, n);
	expect_ones((uint64_t *)memory, n_bytes / sizeof(word), "after");
	if (pread(fd, &word, sizeof(word), (off_t)base) != sizeof(word) || word != ONES) {
		printf("read() gives %llx\n", (unsigned long long)word);
		return 1;
	}
	puts("nothing to see, nothing changed");
	return 0;
}
