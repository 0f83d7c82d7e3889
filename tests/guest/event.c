/* SPDX-License-Identifier: MIT */
/* See event.h. */
#include "tests/guest/event.h"

struct __attribute__((packed)) table_register {
	uint16_t limit;
	word base;
};

/* ---- local APIC: SDM 3A "Advanced Programmable Interrupt Controller (APIC)" ---- */

#define APIC_BASE     0xfee00000u
#define APIC_ID       0x20u
#define APIC_EOI      0xb0u
#define APIC_SPURIOUS 0xf0u
#define APIC_ICR_LOW  0x300u
#define APIC_ICR_HIGH 0x310u
#define APIC_ENABLE   0x100u
#define ICR_ASSERT    0x4000u
#define ICR_NMI       0x400u
#define ICR_PENDING   0x1000u

#define PIC_MASK   0x21
#define PIC_MASK_2 0xa1

/* Pages of test_gva() that these helpers take. */
enum { PAGE_APIC = 40, PAGE_IDT, PAGE_IDT_END, PAGE_STACK, PAGE_TSS, PAGE_GDT };

#define GATE_BYTES   (sizeof(word) * 2)
#define SPLIT_VECTOR 0x20u /* the first whose gate is in the IDT's second page */

static volatile uint32_t *apic;

void apic_begin(void)
{
	uintptr_t at = APIC_BASE;

	if (mode->levels > 0) {
		at = test_gva(PAGE_APIC);
		path_make(test_gva(PAGE_APIC), 1,
			APIC_BASE | X86_PTE_P | X86_PTE_W | X86_PTE_PCD | X86_PTE_PWT);
	}
	/* The firmware leaves the timer's interrupt enabled. */
	port_out8(PIC_MASK, 0xff);
	port_out8(PIC_MASK_2, 0xff);
	apic = (volatile uint32_t *)at;
	apic[APIC_SPURIOUS / 4] = APIC_ENABLE | 0xff;
}

static void send(uint32_t command)
{
	apic[APIC_ICR_HIGH / 4] = apic[APIC_ID / 4];
	apic[APIC_ICR_LOW / 4] = ICR_ASSERT | command;
	while (apic[APIC_ICR_LOW / 4] & ICR_PENDING)
		;
}

void apic_interrupt(void)
{
	send(EVENT_IRQ);
}

void apic_nmi(void)
{
	send(ICR_NMI);
}

void apic_nmi_probe(struct probe *probe)
{
	apic[APIC_ICR_HIGH / 4] = apic[APIC_ID / 4];
	probe->di = (word)&apic[APIC_ICR_LOW / 4];
	probe->si = ICR_ASSERT | ICR_NMI;
}

void apic_end(void)
{
	apic[APIC_EOI / 4] = 0;
}

/* ---- probes ---- */

struct probe event_probe(const char *code, enum who who)
{
	struct probe probe = probe_of(OP_READ, who, 0, 0);

	probe.ip = who == USER ? USER_CODE + (word)(code - probe_code) : (word)code;
	return probe;
}

/* ---- unused memory ---- */

static unsigned fresh_which;
static uint8_t *idt_frames[2];
static struct path paths[PAGE_GDT + 1];
static uint64_t leaves[PAGE_GDT + 1];

static void map(unsigned page, const void *frame)
{
	leaves[page] = phys(frame) | X86_PTE_P | X86_PTE_W;
	paths[page] = path_make(test_gva(page), 1, leaves[page]);
}

word fresh_stack_page(void)
{
	return test_gva(PAGE_STACK);
}

static word stack_top(void)
{
	return fresh_stack_page() + X86_PAGE_SIZE;
}

static word idt_base(void)
{
	return test_gva(PAGE_IDT_END) - SPLIT_VECTOR * GATE_BYTES;
}

word fresh_idt_entry(unsigned vector)
{
	return idt_base() + vector * GATE_BYTES;
}

/* A copy of the IDT, in two pages. */
static void make_idt(void)
{
	struct table_register idtr = {sizeof(idt) - 1, idt_base()};
	const uint8_t *from = (const uint8_t *)idt;
	unsigned first = SPLIT_VECTOR * GATE_BYTES;

	for (unsigned i = 0; i < 2; i++) {
		idt_frames[i] = frame_new();
		map(PAGE_IDT + i, idt_frames[i]);
	}
	memory_copy(idt_frames[0] + X86_PAGE_SIZE - first, from, first);
	memory_copy(idt_frames[1], from + first, sizeof(idt) - first);
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static void make_stack(void)
{
	word top = stack_top();

	map(PAGE_STACK, frame_new());
	/* ESP0 or RSP0, and IST1. */
	memory_copy(tss + 4, &top, sizeof(top));
	if (sizeof(word) == 8)
		memory_copy(tss + 36, &top, sizeof(top));
}

static void make_gdt(void)
{
	uint64_t *copy = frame_new();
	struct table_register gdtr = {sizeof(gdt) - 1, test_gva(PAGE_GDT)};

	memory_copy(copy, gdt, sizeof(gdt));
	map(PAGE_GDT, copy);
	__asm__ volatile("lgdt %0" : : "m"(gdtr));
}

static void make_tss(void)
{
	uint8_t *copy = frame_new();
	uint64_t at = test_gva(PAGE_TSS);

	memory_copy(copy, tss, sizeof(tss));
	map(PAGE_TSS, copy);
	gdt_set(GDT_TSS, (sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 |
				 (at >> 24 & 0xff) << 56);
	gdt_set(GDT_TSS + 8, at >> 32);
	__asm__ volatile("ltr %w0" : : "r"(GDT_TSS));
}

void fresh_begin(unsigned which)
{
	fresh_which = which;
	for (unsigned i = 0; i <= PAGE_GDT; i++)
		leaves[i] = 0;
	if (which & FRESH_STACK)
		make_stack();
	if (which & FRESH_TSS)
		make_tss();
	if (which & FRESH_GDT)
		make_gdt();
	if (which & FRESH_IDT)
		make_idt();
}

static void forget(unsigned page)
{
	path_set(&paths[page], 1, 0);
	invlpg(test_gva(page));
}

/* GDT and IDT last: nothing may load a segment in between. */
void fresh_again(word *sp)
{
	if (fresh_which & FRESH_STACK && sizeof(word) == 4)
		*sp = stack_top();
	for (unsigned i = PAGE_IDT; i <= PAGE_GDT; i++) {
		if (leaves[i]) {
			forget(i);
			path_set(&paths[i], 1, leaves[i]);
		}
	}
}

void fresh_remove_stack(void)
{
	forget(PAGE_STACK);
}

void fresh_remove_idt(void)
{
	forget(PAGE_IDT_END);
}
