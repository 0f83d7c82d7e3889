/* SPDX-License-Identifier: MIT */
/* Single instructions as functions, for both widths, and what CPUID says. Keeps no state. */
#ifndef TESTS_GUEST_CPU_H
#define TESTS_GUEST_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/x86.h"

/* As wide as a register. */
typedef uintptr_t word;

/* Control registers as 64 bits, so that the constants of x86.h can be used in both worlds. */

static inline uint64_t read_cr0(void)
{
	word value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_cr2(void)
{
	word value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_cr3(void)
{
	word value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_cr4(void)
{
	word value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline void write_cr0(uint64_t cr0)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"((word)cr0) : "memory");
}

static inline void write_cr2(uint64_t cr2)
{
	__asm__ volatile("mov %0, %%cr2" : : "r"((word)cr2) : "memory");
}

static inline void write_cr3(uint64_t cr3)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"((word)cr3) : "memory");
}

static inline void write_cr4(uint64_t cr4)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"((word)cr4) : "memory");
}

static inline void invlpg(word gva)
{
	__asm__ volatile("invlpg (%0)" : : "r"(gva) : "memory");
}

static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

/* With CR4.OSXSAVE=1 only. */
static inline void write_xcr0(uint32_t xcr0)
{
	__asm__ volatile("xsetbv" : : "a"(xcr0), "c"(0), "d"(0) : "memory");
}

/* With CR4.PKE=1 only. */
static inline void write_pkru(uint32_t pkru)
{
	__asm__ volatile("wrpkru" : : "a"(pkru), "c"(0), "d"(0) : "memory");
}

static inline uint8_t port_in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void port_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void port_out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

/* One string instruction each: what a kernel uses, and one event for who watches its tables. */
static inline void memory_fill(void *to, uint32_t value, unsigned n_bytes)
{
	unsigned n = n_bytes / 4;

	__asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(value) : "memory");
}

static inline void memory_copy(void *to, const void *from, unsigned n_bytes)
{
	unsigned n = n_bytes / 4;

	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid out;

	__asm__ volatile("cpuid"
			 : "=a"(out.eax), "=b"(out.ebx), "=c"(out.ecx), "=d"(out.edx)
			 : "a"(leaf), "c"(subleaf));
	return out;
}

/* What the processor has, of what matters for paging. */
struct cpu {
	unsigned maxphyaddr;
	bool pse, pae, pge, pat, pse36, nx, gb_pages, smep, smap, umip;
	bool pku, pks, la57, pcid, invpcid, long_mode, cx16, xsave, avx;
};

extern struct cpu cpu;

void cpu_detect(void);

#endif
