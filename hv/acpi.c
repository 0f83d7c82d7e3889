/* SPDX-License-Identifier: MIT */
/*
 * A reader of the few ACPI tables that say how the machine is switched off and reset. No AML
 * interpreter: the \_S5 package is constant in practice and is found by its encoding.
 *
 * Source: ACPI Specification 6.4, "ACPI Software Programming Model" (tables) and "AML
 * Specification".
 */
#include "hv/acpi.h"

#include "hv/core/core.h"

struct acpi_power acpi_machine;

#define LOW_MEMORY_BYTES 0x100000u
#define DIRECT_BYTES     (4ull << 30)
#define TABLE_MAX_BYTES  (4u << 20)
#define TABLES_MAX       256u

#define HEADER_BYTES 36u

/* Where the RSDP may be. "Finding the RSDP on IA-PC Systems". */
#define EBDA_SEGMENT_AT 0x40eu
#define EBDA_BYTES      1024u
#define BIOS_AT         0xe0000u
#define BIOS_BYTES      0x20000u
#define RSDP_ALIGN      16u

/* Offsets in the RSDP, and its lengths in version 1 and later. */
enum {
	RSDP_REVISION = 15,
	RSDP_RSDT = 16,
	RSDP_V1_BYTES = 20,
	RSDP_XSDT = 24,
	RSDP_V2_BYTES = 36,
};

/* Offsets in the FADT. "Fixed ACPI Description Table (FADT)". */
enum {
	FADT_DSDT = 40,
	FADT_PM1A_CNT = 64,
	FADT_PM1B_CNT = 68,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM1B_CNT = 184,
	FADT_FLAG_RESET_REG = 1 << 10,
};

/* Generic address structure: a space, three bytes of shape, a 64-bit address. */
#define GAS_ADDRESS  4u
#define GAS_SPACE_IO 1u

/* AML encodings. "AML Byte Stream Byte Values". */
enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_PACKAGE = 0x12,
	AML_ROOT = '\\',
};

#define SLEEP_TYPE_MAX 7u

/* A piece of memory with its length: reads past its end give 0. */
struct bytes {
	const uint8_t *at;
	size_t n;
};

static uint64_t little_endian(struct bytes b, size_t offset, size_t n_bytes)
{
	uint64_t value = 0;

	if (offset > b.n || b.n - offset < n_bytes)
		return 0;
	for (size_t i = 0; i < n_bytes; i++)
		value |= (uint64_t)b.at[offset + i] << (8 * i);
	return value;
}

static bool has_sum_zero(struct bytes b, size_t n_bytes)
{
	uint8_t sum = 0;

	if (n_bytes > b.n)
		return false;
	for (size_t i = 0; i < n_bytes; i++)
		sum = (uint8_t)(sum + b.at[i]);
	return sum == 0;
}

static struct bytes memory_bytes(const struct acpi_memory *memory, uint64_t phys, size_t n_bytes)
{
	const void *at = phys ? memory->map(memory->context, phys, n_bytes) : NULL;

	return (struct bytes){at, at ? n_bytes : 0};
}

static bool has_signature(struct bytes b, const char *signature)
{
	return b.n >= strlen(signature) && memcmp(b.at, signature, strlen(signature)) == 0;
}

/* The whole table at @phys; empty if it is not there, not whole or not @signature's. */
static struct bytes table_at(const struct acpi_memory *memory, uint64_t phys, const char *signature)
{
	const struct bytes none = {NULL, 0};
	struct bytes table = memory_bytes(memory, phys, HEADER_BYTES);
	size_t n_bytes = (size_t)little_endian(table, 4, 4);

	if (!has_signature(table, signature) || n_bytes < HEADER_BYTES || n_bytes > TABLE_MAX_BYTES)
		return none;
	table = memory_bytes(memory, phys, n_bytes);
	return has_sum_zero(table, n_bytes) ? table : none;
}

static struct bytes rsdp_in(const struct acpi_memory *memory, uint64_t phys, size_t n_bytes)
{
	for (size_t at = 0; at + RSDP_V1_BYTES <= n_bytes; at += RSDP_ALIGN) {
		struct bytes rsdp = memory_bytes(memory, phys + at, RSDP_V1_BYTES);

		if (!has_signature(rsdp, "RSD PTR ") || !has_sum_zero(rsdp, RSDP_V1_BYTES))
			continue;
		if (rsdp.at[RSDP_REVISION] >= 2) {
			struct bytes v2 = memory_bytes(memory, phys + at, RSDP_V2_BYTES);

			if (has_sum_zero(v2, RSDP_V2_BYTES))
				return v2;
		}
		return rsdp;
	}
	return (struct bytes){NULL, 0};
}

static struct bytes rsdp_find(const struct acpi_memory *memory)
{
	uint64_t ebda = little_endian(memory_bytes(memory, EBDA_SEGMENT_AT, 2), 0, 2) << 4;
	struct bytes rsdp = rsdp_in(memory, ebda, EBDA_BYTES);

	return rsdp.at ? rsdp : rsdp_in(memory, BIOS_AT, BIOS_BYTES);
}

/* The list of tables, and how long an entry of it is. Cut to what a machine can have, so that a
 * wrong length cannot keep the boot busy. */
static struct bytes root_table(const struct acpi_memory *memory, size_t *entry_bytes)
{
	struct bytes rsdp = rsdp_find(memory);
	struct bytes list = table_at(memory, little_endian(rsdp, RSDP_XSDT, 8), "XSDT");

	*entry_bytes = 8;
	if (!list.at) {
		list = table_at(memory, little_endian(rsdp, RSDP_RSDT, 4), "RSDT");
		*entry_bytes = 4;
	}
	if (list.n > HEADER_BYTES + TABLES_MAX * *entry_bytes)
		list.n = HEADER_BYTES + TABLES_MAX * *entry_bytes;
	return list;
}

/* A register's I/O port: the extended address if it is one, else the old field's, else 0. */
static uint16_t io_port(struct bytes fadt, size_t gas_at, size_t old_at)
{
	uint64_t port = little_endian(fadt, gas_at + GAS_ADDRESS, 8);

	if (little_endian(fadt, gas_at, 1) != GAS_SPACE_IO || port == 0)
		port = old_at ? little_endian(fadt, old_at, 4) : 0;
	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* Take one small integer constant of a package at *@offset. */
static bool take_integer(struct bytes aml, size_t *offset, uint64_t *value)
{
	uint8_t op = (uint8_t)little_endian(aml, *offset, 1);
	size_t n_bytes = op == AML_BYTE ? 1 : op == AML_WORD ? 2 : op == AML_DWORD ? 4 : 0;

	if (*offset >= aml.n || (n_bytes == 0 && op != AML_ZERO && op != AML_ONE))
		return false;
	if (aml.n - *offset - 1 < n_bytes)
		return false;
	*value = n_bytes ? little_endian(aml, *offset + 1, n_bytes) : op;
	*offset += 1 + n_bytes;
	return true;
}

/* The package that starts at @offset with its opcode, if its first one or two elements are sleep
 * types. */
static bool s5_package(struct bytes aml, size_t offset, struct acpi_power *power)
{
	uint64_t lead = little_endian(aml, offset + 1, 1);
	size_t n_length_bytes = 1 + (size_t)(lead >> 6); /* "Package Length Encoding" */
	uint64_t n_elements = little_endian(aml, offset + 1 + n_length_bytes, 1);
	uint64_t a;
	uint64_t b = 0;

	if (little_endian(aml, offset, 1) != AML_PACKAGE || n_elements == 0)
		return false;
	offset += 2 + n_length_bytes;
	if (!take_integer(aml, &offset, &a) || (n_elements > 1 && !take_integer(aml, &offset, &b)))
		return false;
	if (a > SLEEP_TYPE_MAX || b > SLEEP_TYPE_MAX)
		return false;
	power->s5_typ_a = (uint8_t)a;
	power->s5_typ_b = (uint8_t)b;
	power->has_s5 = true;
	return true;
}

/* Look for Name (\_S5, Package ...) in the AML of @table. */
static void s5_find(struct bytes table, struct acpi_power *power)
{
	for (size_t at = HEADER_BYTES + 1; at + 4 < table.n; at++) {
		const uint8_t *name = table.at + at;
		bool named = name[-1] == AML_NAME || (name[-1] == AML_ROOT && name[-2] == AML_NAME);

		if (named && memcmp(name, "_S5_", 4) == 0 && s5_package(table, at + 4, power))
			return;
	}
}

void acpi_power_find(const struct acpi_memory *memory, struct acpi_power *power)
{
	size_t entry_bytes;
	struct bytes list = root_table(memory, &entry_bytes);
	struct bytes fadt = {NULL, 0};
	struct bytes dsdt;

	*power = (struct acpi_power){0};
	for (size_t at = HEADER_BYTES; at + entry_bytes <= list.n && !fadt.at; at += entry_bytes)
		fadt = table_at(memory, little_endian(list, at, entry_bytes), "FACP");
	if (!fadt.at)
		return;
	power->found = true;
	power->pm1a_cnt = io_port(fadt, FADT_X_PM1A_CNT, FADT_PM1A_CNT);
	power->pm1b_cnt = io_port(fadt, FADT_X_PM1B_CNT, FADT_PM1B_CNT);
	if (little_endian(fadt, FADT_FLAGS, 4) & FADT_FLAG_RESET_REG) {
		power->reset_port = io_port(fadt, FADT_RESET_REG, 0);
		power->reset_value = (uint8_t)little_endian(fadt, FADT_RESET_VALUE, 1);
	}
	dsdt = table_at(memory, little_endian(fadt, FADT_X_DSDT, 8), "DSDT");
	if (!dsdt.at)
		dsdt = table_at(memory, little_endian(fadt, FADT_DSDT, 4), "DSDT");
	s5_find(dsdt, power);

	/* Some firmware keeps the sleep states in a secondary table. */
	for (size_t at = HEADER_BYTES; at + entry_bytes <= list.n && !power->has_s5;
		at += entry_bytes)
		s5_find(table_at(memory, little_endian(list, at, entry_bytes), "SSDT"), power);
}

/* The first MiB, where the BIOS is, and whatever the memory map knows below 4 GiB. */
static const void *machine_map(void *context, uint64_t phys, size_t n_bytes)
{
	(void)context;
	if (phys < LOW_MEMORY_BYTES && n_bytes <= LOW_MEMORY_BYTES - phys)
		return phys_to_virt(phys);
	for (unsigned i = 0; i < memory_map_entries; i++) {
		const struct memory_map_entry *entry = &memory_map[i];

		if (phys >= entry->base_bytes && phys < DIRECT_BYTES &&
			n_bytes <= DIRECT_BYTES - phys &&
			phys - entry->base_bytes < entry->size_bytes &&
			n_bytes <= entry->size_bytes - (phys - entry->base_bytes))
			return phys_to_virt(phys);
	}
	return NULL;
}

void acpi_init(void)
{
	const struct acpi_memory machine = {.map = machine_map};

	acpi_power_find(&machine, &acpi_machine);
}
