/* SPDX-License-Identifier: MIT */
/*
 * The multiboot 1 information structure, read. Must not know what is done with what it says.
 */
#include "hv/boot/multiboot1.h"

/* Bytes of @text before the arguments. QEMU and the specification's first loader put the name of
 * the file there; GRUB 2 hands on only what follows the name. */
static size_t name_bytes(const struct multiboot1_info *info, const char *text)
{
	const char *loader = phys_to_virt(info->loader_name);
	size_t n = 0;

	if (info->flags & MULTIBOOT1_HAS_LOADER_NAME && strncmp(loader, "GRUB 2", 6) == 0)
		return 0;
	while (text[n] && text[n] != ' ')
		n++;
	while (text[n] == ' ')
		n++;
	return n;
}

static void copy_text(char *to, uint32_t from, const char *what)
{
	const char *text = phys_to_virt(from);

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
	const char *text;

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
			copy_text(boot->module_texts[i], module.command_line, "a boot module");
		text = boot->module_texts[i];
		boot->modules[i] = (struct boot_module){
			.base_bytes = module.start,
			.size_bytes = module.end - module.start,
			.text = text,
			.command_line = text + name_bytes(info, text),
		};
	}
	boot->n_modules = info->n_modules;
}

void multiboot1_parse(uint32_t info_phys, struct boot_info *boot)
{
	const struct multiboot1_info *info = phys_to_virt(info_phys);

	if (info->flags & MULTIBOOT1_HAS_COMMAND_LINE)
		copy_text(boot->text, info->command_line, "the hypervisor");
	boot->command_line = boot->text + name_bytes(info, boot->text);
	if (!(info->flags & MULTIBOOT1_HAS_MAP))
		fatal_config("the boot loader gives no memory map; load with one that does (QEMU "
			     "-kernel, GRUB)");
	copy_map(info, boot);
	if (info->flags & MULTIBOOT1_HAS_MODULES)
		copy_modules(info, boot);
}
