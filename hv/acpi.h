/* SPDX-License-Identifier: MIT */
/*
 * What the hypervisor must know of ACPI: which port writes switch the machine off, put it to sleep
 * or reset it.
 */
#ifndef HV_ACPI_H
#define HV_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A port of 0 does not exist. A sleep type goes to bits 12:10 of a PM1 control register, together
 * with bit 13 (SLP_EN), to enter the state. */
struct acpi_power {
	bool found;        /* a valid FADT was there; otherwise all else is 0 */
	uint16_t pm1a_cnt; /* I/O ports of the PM1 control registers */
	uint16_t pm1b_cnt;
	bool has_s5; /* the sleep types for soft off are known */
	uint8_t s5_typ_a;
	uint8_t s5_typ_b;
	uint16_t reset_port; /* a write of @reset_value here resets the machine */
	uint8_t reset_value;
};

/* This machine's, from acpi_init() on. */
extern struct acpi_power acpi_machine;

/* How the parser reads memory: zero-copy access to @n_bytes at @phys, or NULL when they are not all
 * memory. */
struct acpi_memory {
	const void *(*map)(void *context, uint64_t phys, size_t n_bytes);
	void *context;
};

/* Find RSDP, FADT and the \_S5 package in @memory (borrows). Tables are believed only as far as
 * their lengths and checksums hold: no content of @memory makes this read outside what map() gave.
 * Cannot fail: what is not found stays zero. */
void acpi_power_find(const struct acpi_memory *memory, struct acpi_power *power);

/* Fill acpi_machine. Context: boot, memory_map is ready, the direct map has the first 4 GiB. */
void acpi_init(void);

#endif
