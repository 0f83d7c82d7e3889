/* SPDX-License-Identifier: MIT */
/*
 * The boot, from the first C function to the guest's first instruction: the order in which things
 * come up.
 */
#include "hv/acpi.h"
#include "hv/boot/multiboot1.h"
#include "hv/boot/relocate.h"
#include "hv/core/init.h"
#include "hv/vm/vm.h"

#define RESERVE_DEFAULT_MIB 40u
#define RESERVE_MIN_MIB     4u
#define RESERVE_MAX_MIB     2048u

/* The linker's: hv/boot/image.ld. */
extern char image_start[];

static const char *const known_options[] = {
	"paging", "reserve", "policy", "monitor", "measure", NULL};

/* Static, so that it moves with the image, and modules' command lines can be borrowed for ever. */
static struct boot_info boot;

static void find_memory(void)
{
	if (!memory_map_build(boot.map, boot.map_entries))
		fatal_config("the memory map of this machine has too many entries (more than %u)",
			MEMORY_MAP_MAX);
}

static uint64_t reserve_bytes(void)
{
	return option_number("reserve", RESERVE_DEFAULT_MIB, RESERVE_MIN_MIB, RESERVE_MAX_MIB)
	       << 20;
}

static void load_guest(struct guest_entry *entry)
{
	if (boot.n_modules == 0)
		fatal_config("no guest kernel: start with -initrd 'bzImage cmdline' (or bzImage "
			     "and initrd: -initrd 'bzImage cmdline,initrd')");
	if (linux_recognise(&boot.modules[0])) {
		if (boot.n_modules > 2)
			fatal_config("%u boot modules; a Linux guest takes two, kernel and initrd; "
				     "join several initrds into one file",
				boot.n_modules);
		linux_load(&boot.modules[0], boot.n_modules > 1 ? &boot.modules[1] : NULL, entry);
	} else if (multiboot_recognise(&boot.modules[0])) {
		multiboot_load(boot.modules, boot.n_modules, entry);
	} else {
		fatal_config("the guest kernel is neither a Linux bzImage nor a multiboot 1 "
			     "kernel; give one of these as the first module");
	}
}

_Noreturn void boot_main(uint32_t magic, uint32_t info);

/* Called by hv/boot/entry.S with the loader's magic number and where its information is. */
_Noreturn void boot_main(uint32_t magic, uint32_t info)
{
	static struct guest_entry entry;

	image_moved_to((uintptr_t)image_start - HV_VIRT);
	monitor_init(MONITOR_DEFAULT_PORT);
	traps_init();
	if (magic != MULTIBOOT1_MAGIC)
		fatal_config("the boot loader's magic number is %x, not multiboot 1's; load the "
			     "hypervisor with QEMU -kernel or GRUB's 'multiboot'",
			magic);
	multiboot1_parse(info, &boot);
	options_init(boot.command_line);
	monitor_init((uint16_t)option_number("monitor", MONITOR_DEFAULT_PORT, 0x100, 0xfff8));
	options_check(known_options);
	find_memory();
	relocate(&boot, reserve_bytes());
	acpi_init();
	load_guest(&entry);
	vm_run(&entry);
}
