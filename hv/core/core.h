/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's ground: text out, panic, memory, per-CPU state, locks, the options it was
 * started with.
 *
 * The hypervisor runs with interrupts off (GIF=0 once SVM is on) at a high virtual address, and
 * sees all physical memory at DIRECT_MAP. Nothing here knows of guests or of the MMU library. What
 * only the boot code calls stands in hv/core/init.h.
 */
#ifndef HV_CORE_CORE_H
#define HV_CORE_CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- memory ---- */

#ifndef DIRECT_MAP                       /* hosted tests have theirs */
#define DIRECT_MAP 0xffff800000000000ull /* physical memory from 0, at least 4 GiB and all RAM */
#endif
#define HV_VIRT 0xffffffff80000000ull /* the image itself, wherever it was moved to */

static inline void *phys_to_virt(uint64_t phys)
{
	return (void *)(uintptr_t)(DIRECT_MAP + phys);
}

/* Physical address of anything in the direct map or in the image. */
uint64_t virt_to_phys(const void *virt);

/* Size 0: nothing. */
struct phys_range {
	uint64_t base_bytes;
	uint64_t size_bytes;
};

/* The range of physical memory that belongs to the hypervisor and is hidden from the guest. */
extern struct phys_range hv_reserved;

/* Physical memory as the loader described it (E820 types), sorted, not overlapping, neighbours of
 * one type joined; as the guest may see it, so hv_reserved is cut out of it as type 2. */
#define MEMORY_MAP_MAX 64
enum memory_type {
	MEMORY_RAM = 1,
	MEMORY_RESERVED = 2,
	MEMORY_ACPI = 3,
	MEMORY_NVS = 4,
};
struct memory_map_entry {
	uint64_t base_bytes;
	uint64_t size_bytes;
	uint32_t type; /* enum memory_type, or any other E820 number the firmware knows */
};
extern struct memory_map_entry memory_map[MEMORY_MAP_MAX];
extern unsigned memory_map_entries;

/* Does @range lie wholly in RAM that the guest may use? An empty range does not. */
bool memory_map_is_ram(struct phys_range range);

/* The highest place for @size_bytes in RAM that ends at or below @limit_bytes, starts at a multiple
 * of @align_bytes (a power of two) and touches none of the @n_avoid ranges @avoid.
 * Returns false when there is none (*base_bytes is then unchanged). */
bool memory_map_highest(uint64_t size_bytes, uint64_t align_bytes, uint64_t limit_bytes,
	const struct phys_range *avoid, unsigned n_avoid, uint64_t *base_bytes);

/* The lowest place that starts at or above @from_bytes and ends at or below 4 GiB; the rest as
 * memory_map_highest. */
bool memory_map_lowest(uint64_t size_bytes, uint64_t align_bytes, uint64_t from_bytes,
	const struct phys_range *avoid, unsigned n_avoid, uint64_t *base_bytes);

/* Zeroed, page-aligned, physically contiguous pages out of hv_reserved. Boot only: fatal_config()
 * with advice (reserve=) when there are none left. Never freed. */
void *frames_alloc(size_t n_pages);
size_t frames_left(void); /* pages */

void *memset(void *to, int byte, size_t n_bytes);
void *memcpy(void *restrict to, const void *restrict from, size_t n_bytes);
void *memmove(void *to, const void *from, size_t n_bytes);
int memcmp(const void *a, const void *b, size_t n_bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n_bytes);

/* ---- text ---- */

/* printf for %s %c %d %u %x %% with the lengths l, ll and z, width, zero fill ("%016lx") and
 * left-justified strings ("%-8s"); always ends with NUL (when @to_bytes is not 0); returns what
 * would have been written, like C's. Anything else in @fmt is copied as it stands. */
int format(char *to, size_t to_bytes, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int vformat(char *to, size_t to_bytes, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/* One JSON line on the monitor: {"type":TYPE,"text":...}, the text escaped and cut at 1023 bytes.
 */
void log_line(const char *type, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void monitor_write(const char *text); /* raw, for callers that compose a JSON line themselves */
/* A line the host sent, without its end, or NULL when there is none yet. Never waits. Borrowed
 * until the next call. A line too long for any request is dropped. */
const char *monitor_poll(void);

/* ---- the end ---- */

/* Registers, what panic hooks have to say, halt through isa-debug-exit (71). */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* At most 8 functions that panic() calls, once and in order, to print more (last exits, audit). */
void panic_register(void (*report)(void));
/* The configuration cannot work: "error" line (what; why; what to do), exit code 65. */
_Noreturn void fatal_config(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* End of the machine by isa-debug-exit with @value (QEMU exits with value*2+1); without that
 * device: halt for ever. */
_Noreturn void machine_exit(uint8_t value);

#define HV_ASSERT(x)                                                                               \
	do {                                                                                       \
		if (!(x))                                                                          \
			panic("assertion failed: %s (%s:%d)", #x, __FILE__, __LINE__);             \
	} while (0)

/* ---- options: the words of the loader's command line ---- */

/* The value of "key=value", or NULL. Borrowed for ever. Of several the last counts. */
const char *option(const char *key);
/* The same as a number (decimal or 0x...); @absent when the option was not given. fatal_config()
 * when it is no number from @min to @max. */
uint64_t option_number(const char *key, uint64_t absent, uint64_t min, uint64_t max);

/* ---- CPUs and locks ---- */

struct spinlock {
	_Atomic uint32_t held;
};

void spin_lock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);

#define MAX_CPUS 1u

/* State of one physical CPU; found through its stack (hv/core/stack.h), so no segment register is
 * used. */
struct cpu {
	unsigned index;
	unsigned apic_id;
};

/* The CPU this runs on. */
struct cpu *cpu_self(void);

#endif
