/* SPDX-License-Identifier: MIT */
/* What compilers call on their own account. */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n_bytes);
void *memset(void *to, int byte, size_t n_bytes);

void *memcpy(void *to, const void *from, size_t n_bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n_bytes) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t n_bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n_bytes) : "a"(byte) : "memory");
	return to;
}
