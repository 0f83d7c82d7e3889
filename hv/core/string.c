/* SPDX-License-Identifier: MIT */
/*
 * The functions of <string.h> that the compiler and the hypervisor call.
 */
#include "hv/core/core.h"

void *memset(void *to, int byte, size_t n_bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n_bytes) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n_bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n_bytes) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t n_bytes)
{
	char *last_to = (char *)to + n_bytes - 1;
	const char *last_from = (const char *)from + n_bytes - 1;

	/* Forward is right unless @to lies inside the source. */
	if ((uintptr_t)to - (uintptr_t)from >= n_bytes)
		return memcpy(to, from, n_bytes);
	__asm__ volatile("std\n\trep movsb\n\tcld"
			 : "+D"(last_to), "+S"(last_from), "+c"(n_bytes)
			 :
			 : "memory", "cc");
	return to;
}

int memcmp(const void *a, const void *b, size_t n_bytes)
{
	const unsigned char *x = a;
	const unsigned char *y = b;

	for (size_t i = 0; i < n_bytes; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}

size_t strlen(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t n_bytes)
{
	for (size_t i = 0; i < n_bytes; i++) {
		if (a[i] != b[i] || !a[i])
			return (unsigned char)a[i] - (unsigned char)b[i];
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}
