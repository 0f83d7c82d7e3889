/* SPDX-License-Identifier: MIT */
/*
 * The monitor: a 16550 serial port that belongs to the hypervisor. Lines of JSON go out, request
 * lines come in. Owns the port; must not know what the lines mean.
 */
#include "hv/core/init.h"
#include "hv/core/insn.h"

/* 16550 registers, as offsets from the port, and their bits. */
enum {
	UART_DATA = 0,
	UART_DIVISOR_LOW = 0, /* while LCR_DLAB is set */
	UART_IER = 1,
	UART_DIVISOR_HIGH = 1, /* while LCR_DLAB is set */
	UART_FCR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,

	FCR_ENABLE_AND_CLEAR = 0xc7,
	LCR_8N1 = 0x03,
	LCR_DLAB = 0x80,
	MCR_DTR_RTS = 0x03, /* OUT2 clear: the port's interrupt line stays off */
	LSR_DATA = 0x01,
	LSR_ROOM = 0x20,
	LSR_EMPTY = 0x40,
	LSR_NO_PORT = 0xff,
	DIVISOR_115200 = 1,
};

/* A reader that stalls must not stop the machine for ever: a port access takes about 1 us. */
#define WAIT_TURNS 2000000u

static uint16_t port = MONITOR_DEFAULT_PORT;

static uint8_t uart_read(unsigned reg)
{
	return inb((uint16_t)(port + reg));
}

static void uart_write(unsigned reg, uint8_t value)
{
	outb((uint16_t)(port + reg), value);
}

static void wait_for(uint8_t lsr_bit)
{
	for (unsigned i = 0; i < WAIT_TURNS && !(uart_read(UART_LSR) & lsr_bit); i++)
		cpu_relax();
}

static void put(char c)
{
	wait_for(LSR_ROOM);
	uart_write(UART_DATA, (uint8_t)c);
}

static void put_escaped(const char *text)
{
	char escape[8];

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			put('\\');
			put(*text);
		} else if (c == '\n') {
			monitor_write("\\n");
		} else if (c < 0x20 || c >= 0x7f) {
			/* Bytes of any origin: as Latin-1, so that the line is valid UTF-8 whatever
			 * they are. */
			format(escape, sizeof(escape), "\\u%04x", c);
			monitor_write(escape);
		} else {
			put(*text);
		}
	}
}

void monitor_init(uint16_t io_port)
{
	port = io_port;
	uart_write(UART_IER, 0);
	uart_write(UART_LCR, LCR_DLAB);
	uart_write(UART_DIVISOR_LOW, DIVISOR_115200);
	uart_write(UART_DIVISOR_HIGH, 0);
	uart_write(UART_LCR, LCR_8N1);
	uart_write(UART_FCR, FCR_ENABLE_AND_CLEAR);
	uart_write(UART_MCR, MCR_DTR_RTS);
}

void monitor_drain(void)
{
	wait_for(LSR_EMPTY);
}

void monitor_write(const char *text)
{
	for (; *text; text++)
		put(*text);
}

void log_line(const char *type, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	monitor_write("{\"type\":\"");
	monitor_write(type);
	monitor_write("\",\"text\":\"");
	put_escaped(text);
	monitor_write("\"}\n");
}

const char *monitor_poll(void)
{
	static char line[64];
	static size_t n_chars; /* may pass the line's end: then the line is dropped */

	for (;;) {
		uint8_t lsr = uart_read(UART_LSR);
		char c;

		if (lsr == LSR_NO_PORT || !(lsr & LSR_DATA))
			return NULL;
		c = (char)uart_read(UART_DATA);
		if (c == '\n') {
			bool whole = n_chars < sizeof(line);

			line[whole ? n_chars : 0] = '\0';
			n_chars = 0;
			if (whole)
				return line;
		} else if (c != '\r') {
			if (n_chars < sizeof(line))
				line[n_chars] = c;
			n_chars += n_chars < sizeof(line);
		}
	}
}
