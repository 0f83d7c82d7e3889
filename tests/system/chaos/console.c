/* SPDX-License-Identifier: MIT */
/* The guest's words, on the first serial port, and its end. */
#include "tests/system/chaos/chaos.h"

#define COM1        0x3f8
#define COM1_STATUS (COM1 + 5)
#define CAN_SEND    0x20
#define DEBUG_EXIT  0xf4

void print(const char *text)
{
	for (; *text; text++) {
		while (!(port_in8(COM1_STATUS) & CAN_SEND))
			continue;
		port_out8(COM1, (uint8_t)*text);
	}
}

static void print_in_base(uint64_t number, unsigned base)
{
	char text[21];
	char *at = text + sizeof(text) - 1;

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	print(at);
}

void print_number(uint64_t number)
{
	print_in_base(number, 10);
}

void print_hex(uint64_t number)
{
	print_in_base(number, 16);
}

bool text_same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

_Noreturn void leave(uint8_t code)
{
	for (;;)
		port_out8(DEBUG_EXIT, code);
}

_Noreturn void fail(const char *text)
{
	print("chaos: FAILED: ");
	print(text);
	print("\n");
	leave(LEAVE_FAILED);
}
