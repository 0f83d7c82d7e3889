/* SPDX-License-Identifier: MIT */
/*
 * A strict processor for the enumeration: a walk of the shadow tables from the manual, with
 * CR0.WP=1 and EFER.NXE=1, every entry checked for reserved bits. It caches nothing, or exactly one
 * translation, which it uses for as long as nobody flushes it.
 *
 * SDM 3A "Paging". Knows nothing of guest tables, nor of the lab's other processor (hw.h).
 */
#ifndef LAB_ENUM_HW_H
#define LAB_ENUM_HW_H

#include "lab/fail.h"
#include "umbra/umbra.h"

#include <stdbool.h>
#include <stdint.h>

struct enum_rights {
	bool write;
	bool user;
	bool no_execute;
	unsigned key;
	unsigned pat; /* index into the PAT */
};

struct enum_hw {
	struct lab_fail *fail;
	/* The shadow tables: @n_tables pages from host-physical @tables_hpa on. */
	uint64_t *tables;
	uint64_t tables_hpa;
	unsigned n_tables;

	enum umbra_shadow_mode mode;
	uint64_t root;
	uint64_t pdpte[4]; /* PAE: as of the last entry to the guest */
	bool smep;
	bool smap;
	bool pke;
	bool pks;

	bool stale; /* keep a translation */
	struct {
		bool valid;
		bool dirty;
		uint64_t page; /* gva >> 12 */
		uint64_t hpa;
		struct enum_rights rights;
	} kept;
};

struct enum_hw_access {
	uint64_t gva;
	enum umbra_access kind;
	bool supervisor;
	bool open; /* EFLAGS.AC=1 and the access is explicit */
	uint32_t pkru;
	uint32_t pkrs;
};

struct enum_hw_result {
	bool fault;
	uint32_t error_code;
	uint64_t hpa;
	unsigned pat;
};

/* VMRUN: takes the root and, in PAE mode, the PDPTEs. Forgets nothing. */
void enum_hw_enter(struct enum_hw *hw, enum umbra_shadow_mode mode, uint64_t root);

/* One access. What no processor would take in a table is a failure. */
struct enum_hw_result enum_hw_translate(struct enum_hw *hw, const struct enum_hw_access *access);

#endif
