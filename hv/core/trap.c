/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own IDT. All gates run on the current stack, without an IST and without any
 * segment register, since TR, FS and GS are the guest's between #VMEXIT and VMRUN.
 */
#include "hv/core/init.h"
#include "hv/core/trap.h"
#include "x86/x86.h"

/* A 64-bit gate. SDM 3A "64-Bit Mode IDT". */
struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t attributes;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t unused;
};
_Static_assert(sizeof(struct gate) == 16, "a 64-bit gate has 16 bytes");

struct __attribute__((packed)) descriptor_table {
	uint16_t limit;
	uint64_t base;
};

#define CODE_SELECTOR     0x08u   /* hv/boot/entry.S */
#define PRESENT_INTERRUPT 0x8e00u /* present, DPL 0, 64-bit interrupt gate, IST 0 */
#define VECTORS           256u
#define STUB_BYTES        16u

/* hv/core/trap_entry.S */
extern char trap_stubs[];
extern char trap_debug[];
extern char trap_nmi[];

static struct gate idt[VECTORS] __attribute__((aligned(16)));

static void gate_set(unsigned vector, const char *handler)
{
	uint64_t offset = (uintptr_t)handler;

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)offset,
		.selector = CODE_SELECTOR,
		.attributes = PRESENT_INTERRUPT,
		.offset_middle = (uint16_t)(offset >> 16),
		.offset_high = (uint32_t)(offset >> 32),
	};
}

void traps_init(void)
{
	struct descriptor_table idtr = {sizeof(idt) - 1, (uintptr_t)idt};

	for (unsigned vector = 0; vector < VECTORS; vector++)
		gate_set(vector, trap_stubs + vector * STUB_BYTES);
	gate_set(X86_DB, trap_debug);
	gate_set(X86_NMI, trap_nmi);
	__asm__ volatile("lidt %0" : : "m"(idtr) : "memory");
}
