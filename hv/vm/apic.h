/* SPDX-License-Identifier: MIT */
/*
 * The local APIC. It is the guest's but for what would take the processor away from the hypervisor:
 * its page is watched, and stores that ask for INIT, or start another processor, are dropped.
 */
#ifndef HV_VM_APIC_H
#define HV_VM_APIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;

/* May the guest store the @n_bytes at @offset of the APIC's page? Pure. */
bool apic_allows(unsigned offset, const void *bytes, size_t n_bytes);

/* Watch the page that APIC_BASE, which is @base, tells of, from here on. With shadow paging, boot
 * only. fatal_config() if the firmware left the APIC in x2APIC mode, where it has no page. */
void apic_watch(struct vm *vm, uint64_t base);

/* WRMSR of APIC_BASE: the page stays where it is, and in xAPIC mode. Returns false for #GP. */
bool apic_write_base(struct vm *vm, uint64_t value);

#endif
