/* SPDX-License-Identifier: MIT */
/*
 * Runs in a Linux guest, as root (and with iomem=relaxed): asks the local APIC by every kind of
 * store for INIT and start-up interrupts, which no guest may have under shadow paging; then for an
 * NMI, which it may. Usage: attack-apic
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* SDM 3A "Advanced Programmable Interrupt Controller (APIC)". */
#define APIC_BASE     0xfee00000
#define APIC_BYTES    0x100000 /* interrupt messages go to the addresses behind its page */
#define APIC_EVERYONE 0xff000
#define APIC_ICR_LOW  0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_LINT 0x350
#define LVT_MASKED    0x10000u
#define ICR_SELF      0x40000u
#define ICR_NMI       0x400u

static volatile uint8_t *apic;

static volatile uint32_t *apic_register(unsigned offset)
{
	return (volatile uint32_t *)(apic + offset);
}

static void store_in_every_way(volatile uint32_t *to, uint32_t value)
{
	volatile uint8_t *second_byte = (volatile uint8_t *)to + 1;
	volatile uint64_t *wide = (volatile uint64_t *)(volatile void *)to;
	void *at = (void *)(uintptr_t)to;
	const void *from = &value;
	unsigned long n = 1;

	*to = value;
	__asm__ volatile("xchg %0, %1" : "+m"(*to) : "r"(value));
	__asm__ volatile("orl %1, %0" : "+m"(*to) : "r"(value));
	__asm__ volatile("lock addl %1, %0" : "+m"(*to) : "r"(value - *to));
	*wide = value;
	*second_byte = (uint8_t)(value >> 8);
	__asm__ volatile("movd %1, %%xmm3; movups %%xmm3, %0" : "=m"(*to) : "r"(value) : "xmm3");
	__asm__ volatile("movd %1, %%xmm3; movss %%xmm3, %0" : "=m"(*to) : "r"(value) : "xmm3");
	__asm__ volatile("rep stosl" : "+D"(at), "+c"(n) : "a"(value) : "memory");
	at = (void *)(uintptr_t)to;
	__asm__ volatile("movsl" : "+D"(at), "+S"(from) : : "memory");
}

int main(void)
{
	/* INIT and start-up interrupts: to this CPU, to itself, to all, to all but itself. */
	static const uint32_t requests[] = {
		0x4500, 0xc500, 0x8500, 0x44500, 0x84500, 0xc4500, 0x4607, 0x44607, 0xc4607};
	int fd = open("/dev/mem", O_RDWR | O_SYNC);

	apic = mmap(NULL, APIC_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, APIC_BASE);
	if (fd < 0 || apic == MAP_FAILED) {
		perror("/dev/mem");
		return 2;
	}
	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		*apic_register(APIC_ICR_HIGH) = 0;
		store_in_every_way(apic_register(APIC_ICR_LOW), requests[i]);
	}
	/* By messages like a device's: some machines take such stores of a CPU for them. */
	store_in_every_way(apic_register(0), 0x500);
	store_in_every_way(apic_register(APIC_EVERYONE), 0x500);
	/* By an entry of the local vector table, too. */
	store_in_every_way(apic_register(APIC_LVT_LINT), LVT_MASKED | 0x500);
	*apic_register(APIC_ICR_LOW) = ICR_SELF | ICR_NMI;
	puts("alive");
	return 0;
}
