/* SPDX-License-Identifier: MIT */
/* Words on the first serial port, and the end of the machine. */
#include "tests/guest/guest.h"

#define COM1         0x3f8
#define COM1_STATUS  (COM1 + 5)
#define CAN_SEND     0x20
#define DEBUG_EXIT   0xf4
#define ACPI_CONTROL 0x604 /* PM1a_CNT of QEMU's PC */
#define ACPI_OFF     0x2000
#define BOCHS_ACPI   0xb004
#define POST_CODES   0x80 /* writing here only takes time */
#define OFF_WAIT     5000000u

enum {
	CODE_NOT_OFF = 21, /* all is well, but power-off did not work */
	CODE_FAILED = 22,
};

void console_begin(void)
{
	port_out8(COM1 + 3, 0x80); /* the divisor's turn */
	port_out8(COM1, 1);
	port_out8(COM1 + 1, 0);
	port_out8(COM1 + 3, 0x03); /* 8 bits, no parity */
}

void print(const char *text)
{
	for (; *text; text++) {
		while (!(port_in8(COM1_STATUS) & CAN_SEND))
			continue;
		port_out8(COM1, (uint8_t)*text);
	}
}

void print_hex(uint64_t number)
{
	char text[17];
	char *at = text + sizeof(text) - 1;

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[number & 15];
		number >>= 4;
	} while (number);
	print(at);
}

void print_number(uint32_t number)
{
	char text[11];
	char *at = text + sizeof(text) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	print(at);
}

bool text_same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

_Noreturn void leave(bool well)
{
	if (well) {
		port_out16(ACPI_CONTROL, ACPI_OFF);
		port_out16(BOCHS_ACPI, ACPI_OFF);
		for (unsigned i = 0; i < OFF_WAIT; i++)
			port_out8(POST_CODES, 0);
	}
	for (;;)
		port_out8(DEBUG_EXIT, well ? CODE_NOT_OFF : CODE_FAILED);
}
