/* SPDX-License-Identifier: MIT */
/*
 * A multiboot 1 kernel that says, on the first serial port, in which state it was entered and what
 * it was told, and ends the machine with the code its command line asks for ("exit=N").
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1             0x3f8u
#define COM1_LINE_STATUS (COM1 + 5)
#define TRANSMITTER_FREE 0x20u
#define DEBUG_EXIT       0xf4u

/* Pushed by entry.S, last first. */
struct entry_state {
	uint32_t eflags, cr0, cr4, eax, ebx;
};

struct module {
	uint32_t start, end, command_line, reserved;
};

struct information {
	uint32_t flags, lower_kib, upper_kib, boot_device, command_line;
	uint32_t n_modules, modules, symbols[4], map_bytes, map;
};

struct __attribute__((packed)) map_entry {
	uint32_t entry_bytes;
	uint64_t base, size;
	uint32_t type;
};

void main(const struct entry_state *state);

/* Not zero in the file: what must be loaded was. In bss: what must be cleared was. */
static volatile uint32_t loaded[2] = {0x600dda7a, 0x600dda7a};
static volatile uint32_t cleared[1024];

static void port_out(uint16_t port, uint8_t byte)
{
	__asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port));
}

static uint8_t port_in(uint16_t port)
{
	uint8_t byte;

	__asm__ volatile("inb %1, %0" : "=a"(byte) : "Nd"(port));
	return byte;
}

static void say(const char *text)
{
	for (; *text; text++) {
		while (!(port_in(COM1_LINE_STATUS) & TRANSMITTER_FREE))
			continue;
		port_out(COM1, (uint8_t)*text);
	}
}

static void say_number(uint64_t number)
{
	char digits[17];
	char *at = &digits[16];

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[number & 15];
		number >>= 4;
	} while (number);
	say(at);
}

static void say_pair(const char *name, uint64_t number)
{
	say(" ");
	say(name);
	say("=");
	say_number(number);
}

/* Two addresses that differ in bit 20 only: one word if that line is held low. */
static bool a20_is_on(void)
{
	volatile uint32_t *odd = &cleared[0];
	volatile uint32_t *even = (volatile uint32_t *)((uintptr_t)odd ^ (1u << 20));
	uint32_t was = *even;
	bool on;

	*odd = 0x12345678;
	*even = 0x87654321;
	on = *odd == 0x12345678;
	*even = was;
	*odd = 0;
	return on;
}

static bool bss_is_zero(void)
{
	for (size_t i = 0; i < sizeof(cleared) / sizeof(cleared[0]); i++) {
		if (cleared[i])
			return false;
	}
	return true;
}

static void say_modules(const struct information *info)
{
	const struct module *modules = (const struct module *)info->modules;

	for (uint32_t i = 0; i < info->n_modules; i++) {
		uint32_t sum = 0;

		for (uint32_t at = modules[i].start; at < modules[i].end; at++)
			sum = sum * 31 + *(const uint8_t *)at;
		say("module");
		say_pair("bytes", modules[i].end - modules[i].start);
		say_pair("sum", sum);
		say_pair("aligned", modules[i].start % 4096 == 0);
		say(" text=");
		say((const char *)modules[i].command_line);
		say("\n");
	}
}

static void say_map(const struct information *info)
{
	uint32_t at = info->map;

	while (at < info->map + info->map_bytes) {
		const struct map_entry *entry = (const struct map_entry *)at;

		say("memory");
		say_pair("base", entry->base);
		say_pair("size", entry->size);
		say_pair("type", entry->type);
		say("\n");
		at += entry->entry_bytes + 4;
	}
}

/* The number behind "exit=", decimal; 0 if there is none. */
static uint8_t exit_code(const char *line)
{
	static const char key[] = "exit=";
	uint8_t code = 0;
	size_t n;

	for (; *line; line++) {
		for (n = 0; key[n] && line[n] == key[n]; n++)
			continue;
		if (key[n])
			continue;
		for (line += n; *line >= '0' && *line <= '9'; line++)
			code = (uint8_t)(code * 10 + (*line - '0'));
		break;
	}
	return code;
}

void main(const struct entry_state *state)
{
	const struct information *info = (const struct information *)state->ebx;

	say("state");
	say_pair("eax", state->eax);
	say_pair("pe", state->cr0 & 1);
	say_pair("pg", state->cr0 >> 31);
	say_pair("cr4", state->cr4);
	say_pair("vm", state->eflags >> 17 & 1);
	say_pair("if", state->eflags >> 9 & 1);
	say_pair("bss", bss_is_zero());
	say_pair("data", loaded[1]);
	say_pair("a20", a20_is_on());
	say("\n");
	say("told");
	say_pair("flags", info->flags & 0x4d);
	say_pair("lower", info->lower_kib);
	say_pair("upper", info->upper_kib);
	say_pair("modules", info->n_modules);
	say(" line=");
	say((const char *)info->command_line);
	say("\n");
	say_modules(info);
	say_map(info);
	port_out(DEBUG_EXIT, exit_code((const char *)info->command_line));
	say("no debug-exit device\n");
}
