/* SPDX-License-Identifier: MIT */
/*
 * Descriptors: GDT, IDT, TSS of this world; and the report of a trap that no probe expected. Must
 * not know what tests do with them.
 */
#include "tests/guest/guest.h"

struct __attribute__((packed)) table_register {
	uint16_t limit;
	word base;
};

/* As entry.S leaves them when no probe is running. SP and SS only from another level, or in 64-bit
 * code. */
struct trap_frame {
	word vector, error, ip, cs, flags, sp, ss;
};

#define GATE_PRESENT_INTERRUPT 0x8e00u
#define GATE_WORDS             (sizeof(word) == 8 ? 4u : 2u)
#define STACK_BYTES            8192u
#define N_VECTORS              256u

uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(16)));
uint32_t idt[N_VECTORS * GATE_WORDS] __attribute__((aligned(16)));
uint8_t tss[104] __attribute__((aligned(128)));

uint8_t trap_stack[STACK_BYTES] __attribute__((aligned(16)));

extern void (*const trap_stubs[N_VECTORS])(void);

void (*trap_stub(unsigned vector))(void)
{
	return trap_stubs[vector];
}

void trap_set(unsigned vector, void (*handler)(void), unsigned dpl, unsigned ist)
{
	uint32_t *gate = &idt[vector * GATE_WORDS];
	uint64_t to = (uintptr_t)handler;

	gate[0] = (uint32_t)(to & 0xffff) | GDT_KERNEL << 16;
	gate[1] = (uint32_t)(to & 0xffff0000) | GATE_PRESENT_INTERRUPT | dpl << 13;
	if (GATE_WORDS == 4) {
		gate[1] |= ist;
		gate[2] = (uint32_t)(to >> 32);
		gate[3] = 0;
	}
}

void gdt_set(unsigned selector, uint64_t descriptor)
{
	gdt[selector / 8] = descriptor;
}

static void tss_store(unsigned offset, uint64_t value, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		tss[offset + i] = (uint8_t)(value >> (8 * i));
}

/* SDM 3A "Task-State Segment (TSS)", "TSS in 64-bit mode". */
static void tss_make(void)
{
	uint64_t stack = (uintptr_t)trap_stack + sizeof(trap_stack);
	uint64_t at = (uintptr_t)tss;

	for (unsigned i = 0; i < sizeof(tss); i++)
		tss[i] = 0;
	if (sizeof(word) == 8) {
		tss_store(4, stack, 8);
		tss_store(36, stack, 8); /* IST1 */
	} else {
		tss_store(4, stack, 4);
		tss_store(8, GDT_DATA, 2);
	}
	tss_store(102, sizeof(tss), 2); /* no I/O permission bitmap */
	gdt_set(GDT_TSS, (sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 |
				 (at >> 24 & 0xff) << 56);
	gdt_set(GDT_TSS + 8, at >> 32);
}

void descriptors_make(void)
{
	static const uint64_t fixed[] = {0, 0x00cf9b000000ffffull, 0x00cf93000000ffffull,
		0x00af9b000000ffffull, 0x00cff3000000ffffull, 0x00cffb000000ffffull,
		0x00affb000000ffffull, 0x00009b000000ffffull, 0x000093000000ffffull};

	for (unsigned i = 0; i < GDT_ENTRIES; i++)
		gdt[i] = i < sizeof(fixed) / sizeof(*fixed) ? fixed[i] : 0;
	tss_make();
	for (unsigned i = 0; i < N_VECTORS; i++)
		trap_set(i, trap_stubs[i], i == TRAP_DONE ? 3 : 0, 1);
}

void descriptors_load(void)
{
	struct table_register gdtr = {sizeof(gdt) - 1, (uintptr_t)gdt};
	struct table_register idtr = {sizeof(idt) - 1, (uintptr_t)idt};

	__asm__ volatile("lgdt %0\n\t"
			 "lidt %1\n\t"
#ifdef __x86_64__
			 "pushq %q2\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
#else
			 "ljmp %2, $1f\n"
#endif
			 "1:\tmov %3, %%ss\n\t"
			 "mov %4, %%ds\n\t"
			 "mov %4, %%es\n\t"
			 "mov %4, %%fs\n\t"
			 "mov %4, %%gs\n\t"
			 "ltr %w5"
			 :
			 : "m"(gdtr), "m"(idtr), "i"(GDT_KERNEL), "r"(GDT_DATA), "r"(GDT_USER_DATA),
			 "r"(GDT_TSS)
			 : "eax", "memory");
}

static void report(const char *name, uint64_t value)
{
	print(name);
	print_hex(value);
}

/* Called from entry.S. */
_Noreturn void trap_astray(const struct trap_frame *frame);

_Noreturn void trap_astray(const struct trap_frame *frame)
{
	report("unexpected exception vector=0x", frame->vector);
	report(" error=0x", frame->error);
	report(" cr2=0x", read_cr2());
	report(" ip=0x", frame->ip);
	report(" cs=0x", frame->cs);
	report(" cr3=0x", read_cr3());
	print("\n");
	guard_leave();
}
