/* SPDX-License-Identifier: MIT */
/*
 * The time stamp counter against channel 2 of the PIT, the one that interrupts nobody.
 * Source: Intel 8254 data sheet, mode 0; port 61h of the PC.
 */
#include "hv/vm/clock.h"

#include "hv/arch/cpu.h"
#include "hv/core/core.h"
#include "hv/core/insn.h"

#define PIT_HZ          1193182u
#define PIT_CHANNEL_2   0x42u
#define PIT_COMMAND     0x43u
#define PIT_ONE_SHOT    0xb0u /* channel 2, both bytes, mode 0: the output rises at the end */
#define PORT_B          0x61u
#define PORT_B_GATE     0x01u
#define PORT_B_SPEAKER  0x02u
#define PORT_B_OUTPUT   0x20u
#define CALIBRATE_TICKS (PIT_HZ / 500u) /* 2 ms */
#define MAX_TURNS       1000000u        /* a port access takes about 1 us */

static uint64_t tsc_hz;

void clock_init(void)
{
	uint8_t port_b = inb(PORT_B);
	unsigned turns = 0;
	uint64_t start;

	outb(PORT_B, (uint8_t)((port_b & ~PORT_B_SPEAKER) | PORT_B_GATE));
	outb(PIT_COMMAND, PIT_ONE_SHOT);
	outb(PIT_CHANNEL_2, CALIBRATE_TICKS & 0xff);
	outb(PIT_CHANNEL_2, CALIBRATE_TICKS >> 8);
	start = rdtsc();
	while (!(inb(PORT_B) & PORT_B_OUTPUT) && turns < MAX_TURNS)
		turns++;
	if (turns < MAX_TURNS)
		tsc_hz = (rdtsc() - start) * PIT_HZ / CALIBRATE_TICKS;
	else
		log_line("log", "no PIT: the time stamp counter's frequency is unknown and times "
				"are reported as 0");
	outb(PORT_B, port_b);
}

uint64_t clock_ns(uint64_t ticks)
{
	if (!tsc_hz)
		return 0;
	return ticks / tsc_hz * 1000000000u + ticks % tsc_hz * 1000000000u / tsc_hz;
}
