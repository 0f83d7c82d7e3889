/* SPDX-License-Identifier: MIT */
/*
 * The program that mmubench's fork_exec_full executes: exits with status 0 and does nothing else,
 * so that what is measured is the kernel. No libc.
 */
#include <sys/syscall.h>

_Noreturn void _start(void);

_Noreturn void _start(void)
{
#ifdef __x86_64__
	__asm__ volatile("syscall" : : "a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
#else
	__asm__ volatile("int $0x80" : : "a"(SYS_exit), "b"(0) : "memory");
#endif
	__builtin_unreachable();
}
