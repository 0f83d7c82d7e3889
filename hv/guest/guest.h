/* SPDX-License-Identifier: MIT */
/*
 * What a loader hands to the virtual machine: the first vCPU's state at its first instruction.
 */
#ifndef HV_GUEST_GUEST_H
#define HV_GUEST_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#define BOOT_MODULES_MAX 16u

struct guest_entry {
	uint64_t rip, rsp, rax, rbx, rsi, rflags;
	uint64_t cr0, cr3, cr4, efer; /* as the guest sees them */
	uint16_t cs_selector, ds_selector;
	uint16_t cs_attributes; /* VMCB format: 0xa9b = 64-bit code, 0xc9b = 32-bit code */
	uint16_t ds_attributes; /* for DS, ES, FS, GS, SS: 0xc93 */
	uint64_t gdt_base;
	uint16_t gdt_limit;
	const char *kind; /* for logs: "Linux 64-bit" */
};

/* A module the boot loader left in memory (kernel, initrd). Physical; host virtual through the
 * direct map. The strings are never NULL. */
struct boot_module {
	uint64_t base_bytes;
	uint64_t size_bytes;
	const char *text;         /* as the loader gave it */
	const char *command_line; /* the part of it behind the name of the file */
};

/*
 * Lay out a Linux bzImage in guest memory (boot protocol 2.12 or later), with the
 * memory map of core.h as its e820. fatal_config() if @kernel is no bzImage or memory is too small.
 */
void linux_load(const struct boot_module *kernel,
	const struct boot_module *initrd /* may be NULL */, struct guest_entry *entry);

/* Is this a bzImage? */
bool linux_recognise(const struct boot_module *kernel);

/*
 * Lay out a multiboot 1 kernel, the first of @modules, in guest memory, with the others as its
 * modules and the memory map of core.h as its own. All strings are handed on as the loader gave
 * them. fatal_config() if the kernel cannot be loaded or memory is too small.
 */
void multiboot_load(
	const struct boot_module *modules, unsigned n_modules, struct guest_entry *entry);

/* Is this a multiboot 1 kernel? */
bool multiboot_recognise(const struct boot_module *kernel);

#endif
