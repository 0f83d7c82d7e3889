/* SPDX-License-Identifier: MIT */
/*
 * What a loader hands to the virtual machine: the first vCPU's state at its first instruction.
 */
#ifndef HV_GUEST_GUEST_H
#define HV_GUEST_GUEST_H

#include <stdbool.h>
#include <stdint.h>

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
 * direct map. */
struct boot_module {
	uint64_t base_bytes;
	uint64_t size_bytes;
	const char *command_line; /* never NULL */
};

/*
 * Lay out a Linux bzImage in guest memory (boot protocol 2.12 or later, 64-bit entry), with the
 * memory map of core.h as its e820. fatal_config() if @kernel is no bzImage or memory is too small.
 */
void linux_load(const struct boot_module *kernel,
	const struct boot_module *initrd /* may be NULL */, struct guest_entry *entry);

/* Is this a bzImage? */
bool linux_recognise(const struct boot_module *kernel);

#endif
