/* SPDX-License-Identifier: MIT */
/*
 * Runs inside the guest, before the benchmark: prints how far the processor's time stamp counter
 * has come since the machine was switched on, then becomes the command in its arguments, if there
 * is one.
 *
 * Under instruction counting that is what the boot cost, in every row alike. No libc, so that it
 * runs on any Linux guest and adds next to nothing itself.
 */
#include <stddef.h>
#include <stdint.h>

/* How Linux is called, and where it starts us: its stack is begin()'s argument. */
#ifdef __x86_64__
enum {
	SYSTEM_WRITE = 1,
	SYSTEM_EXECVE = 59,
	SYSTEM_EXIT = 60,
};

static long system_call(long number, long a, const void *b, const void *c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

__asm__(".globl _start\n"
	"_start: mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call begin\n");
#else
enum {
	SYSTEM_EXIT = 1,
	SYSTEM_WRITE = 4,
	SYSTEM_EXECVE = 11,
};

static long system_call(long number, long a, const void *b, const void *c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

__asm__(".globl _start\n"
	"_start: mov %esp, %eax\n"
	"	and $-16, %esp\n"
	"	sub $12, %esp\n"
	"	push %eax\n"
	"	call begin\n");
#endif

static uint64_t read_clock(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void print(const char *text)
{
	size_t n_bytes = 0;

	while (text[n_bytes])
		n_bytes++;
	system_call(SYSTEM_WRITE, 1, text, (const void *)n_bytes);
}

/* @stack: argc, then the words and the environment, as the kernel lays them. */
__attribute__((used)) static void begin(long *stack)
{
	uint64_t clock = read_clock();
	char **argv = (char **)(stack + 1);
	char digits[24];
	char *digit = digits + sizeof(digits) - 1;

	*digit = '\0';
	do {
		*--digit = (char)('0' + clock % 10);
		clock /= 10;
	} while (clock);
	print("boot ");
	print(digit);
	print(" instructions\n");
	if (stack[0] > 1)
		system_call(SYSTEM_EXECVE, (long)argv[1], argv + 1, argv + stack[0] + 1);
	system_call(SYSTEM_EXIT, stack[0] > 1 ? 127 : 0, NULL, NULL);
}
