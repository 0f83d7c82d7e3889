/* SPDX-License-Identifier: MIT */
/*
 * The multiboot 1 information structure. Knows only its layout ("Boot information format" of the
 * Multiboot Specification 0.6.96), not what is done with what it says.
 */
#include "hv/boot/multiboot1.h"

enum {
	HAS_COMMAND_LINE = 1 << 2,
	HAS_MODULES = 1 << 3,
	HAS_MAP = 1 << 6,
	HAS_LOADER_NAME = 1 << 9,
};

struct multiboot1_info {
	uint32_t flags;
	uint32_t mem_lower_kib;
	uint32_t mem_upper_kib;
	uint32_t boot_device;
	uint32_t command_line;
	uint32_t n_modules;
	uint32_t modules;
	uint32_t symbols[4];
	uint32_t map_bytes;
	uint32_t map;
	uint32_t drives_bytes;
	uint32_t drives;
	uint32_t config_table;
	uint32_t loader_name;
};

struct multiboot1_module {
	uint32_t start;
	uint32_t end;
	uint32_t command_line;
	uint32_t reserved;
};

/* Entries follow each other at @entry_bytes + 4. */
struct __attribute__((packed)) multiboot1_map_entry {
	uint32_t entry_bytes;
	uint64_t base;
	uint64_t size;
	uint32_t type;
};

/* Does the loader put the name of the file before the arguments? QEMU and the specification's first
 * loader do; GRUB 2 hands on only what follows the name. */
static bool names_files(const struct multiboot1_info *info)
{
	const char *name = phys_to_virt(info->loader_name);

	return !(info->flags & HAS_LOADER_NAME) || strncmp(name, "GRUB 2", 6) != 0;
}

static const char *without_first_word(const char *text)
{
	while (*text && *text != ' ')
		text++;
	while (*text == ' ')
		text++;
	return text;
}

static void copy_text(char *to, uint32_t from, bool first_is_name, const char *what)
{
	const char *text = phys_to_virt(from);

	if (first_is_name)
		text = without_first_word(text);
	if (strlen(text) >= BOOT_COMMAND_LINE_MAX)
		fatal_config(
			"the command line of %s has %zu bytes; at most %u are possible; shorten it",
			what, strlen(text), BOOT_COMMAND_LINE_MAX - 1);
	memcpy(to, text, strlen(text) + 1);
}

static void copy_map(const struct multiboot1_info *info, struct boot_info *boot)
{
	uint64_t at = info->map;
	uint64_t end = at + info->map_bytes;
	struct multiboot1_map_entry entry;

	while (at + sizeof(entry) <= end) {
		memcpy(&entry, phys_to_virt(at), sizeof(entry));
		if (boot->map_entries == MEMORY_MAP_MAX)
			fatal_config("the memory map of the boot loader has more than %u entries; "
				     "the hypervisor cannot keep them apart",
				MEMORY_MAP_MAX);
		boot->map[boot->map_entries++] =
			(struct memory_map_entry){entry.base, entry.size, entry.type};
		at += (uint64_t)entry.entry_bytes + sizeof(entry.entry_bytes);
	}
}

static void copy_modules(const struct multiboot1_info *info, struct boot_info *boot)
{
	struct multiboot1_module module;

	if (info->n_modules > BOOT_MODULES_MAX)
		fatal_config("%u boot modules; at most %u are possible; load fewer",
			info->n_modules, BOOT_MODULES_MAX);
	for (unsigned i = 0; i < info->n_modules; i++) {
		memcpy(&module, phys_to_virt(info->modules + i * sizeof(module)), sizeof(module));
		if (module.end < module.start)
			fatal_config(
				"boot module %u ends before it starts; the boot loader is broken",
				i);
		if (module.command_line)
			copy_text(boot->module_command_lines[i], module.command_line,
				names_files(info), "a boot module");
		boot->modules[i] = (struct boot_module){
			.base_bytes = module.start,
			.size_bytes = module.end - module.start,
			.command_line = boot->module_command_lines[i],
		};
	}
	boot->n_modules = info->n_modules;
}

void multiboot1_parse(uint32_t info_phys, struct boot_info *boot)
{
	const struct multiboot1_info *info = phys_to_virt(info_phys);

	if (info->flags & HAS_COMMAND_LINE)
		copy_text(boot->command_line, info->command_line, names_files(info),
			"the hypervisor");
	if (!(info->flags & HAS_MAP))
		fatal_config("the boot loader gives no memory map; load with one that does (QEMU "
			     "-kernel, GRUB)");
	copy_map(info, boot);
	if (info->flags & HAS_MODULES)
		copy_modules(info, boot);
}
