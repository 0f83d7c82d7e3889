/* SPDX-License-Identifier: MIT */
/*
 * The reference walker: what one memory access does on an x86 processor that caches nothing.
 *
 * Written from the manuals alone. It includes nothing of Umbra, not even x86/x86.h, so that a wrong
 * constant or a wrong rule cannot stand on both sides of a comparison. Clarity before speed.
 *
 * Sources: Intel SDM volume 3A, chapter "Paging"; AMD APM volume 2, chapter "Page Translation and
 * Protection". Citations name section titles. Where the two manuals differ the difference is
 * stated at the rule, together with the side taken.
 */
#ifndef LAB_ORACLE_H
#define LAB_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

/* SDM 3A "Control Registers" and "Extended Feature Enable Register"; APM 2 "System-Control
 * Registers". */
#define ORACLE_CR0_PE    (1ull << 0)
#define ORACLE_CR0_WP    (1ull << 16)
#define ORACLE_CR0_PG    (1ull << 31)
#define ORACLE_CR4_PSE   (1ull << 4)
#define ORACLE_CR4_PAE   (1ull << 5)
#define ORACLE_CR4_PGE   (1ull << 7)
#define ORACLE_CR4_LA57  (1ull << 12)
#define ORACLE_CR4_PCIDE (1ull << 17)
#define ORACLE_CR4_SMEP  (1ull << 20)
#define ORACLE_CR4_SMAP  (1ull << 21)
#define ORACLE_CR4_PKE   (1ull << 22)
#define ORACLE_CR4_PKS   (1ull << 24)
#define ORACLE_EFER_LME  (1ull << 8)
#define ORACLE_EFER_NXE  (1ull << 11)
#define ORACLE_EFER_TCE  (1ull << 15)

/* SDM 3A "Page-Fault Exceptions"; APM 2 "#PF - Page-Fault Exception (Vector 14)". */
#define ORACLE_PF_P    (1u << 0)
#define ORACLE_PF_W    (1u << 1)
#define ORACLE_PF_U    (1u << 2)
#define ORACLE_PF_RSVD (1u << 3)
#define ORACLE_PF_I    (1u << 4)
#define ORACLE_PF_PK   (1u << 5)

/* SDM 3A "Paging", the formats of entries; APM 2 "Page-Translation-Table Entry Fields". */
#define ORACLE_P         (1ull << 0)
#define ORACLE_W         (1ull << 1)
#define ORACLE_U         (1ull << 2)
#define ORACLE_PWT       (1ull << 3)
#define ORACLE_PCD       (1ull << 4)
#define ORACLE_A         (1ull << 5)
#define ORACLE_D         (1ull << 6)
#define ORACLE_PS        (1ull << 7) /* above level 1: maps a page */
#define ORACLE_PAT_4K    (1ull << 7) /* at level 1 */
#define ORACLE_G         (1ull << 8)
#define ORACLE_PAT_LARGE (1ull << 12) /* in a large leaf */
#define ORACLE_NX        (1ull << 63)
#define ORACLE_KEY_SHIFT 59

/* The paging modes, by the number of levels of the tables: SDM 3A "Four Paging Modes" (now
 * five). */
enum oracle_mode {
	ORACLE_UNPAGED = 0,
	ORACLE_32BIT = 2,
	ORACLE_PAE = 3, /* the third level is the four PDPTE registers */
	ORACLE_4LEVEL = 4,
	ORACLE_5LEVEL = 5,
};

/* The processor's state as far as translation depends on it. */
struct oracle_cpu {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer; /* LME counts, with CR0.PG it implies LMA; TCE only in lab/legal.h */
	uint32_t pkru;
	uint32_t pkrs;
	bool ac;             /* RFLAGS.AC */
	uint64_t pdpte[4];   /* the registers, as the last load of CR3 filled them; PAE mode only */
	unsigned maxphyaddr; /* 32 to 52 */
	bool has_1g_pages;
	bool has_pse36;       /* 4M pages reach above 4 GiB */
	bool upper_bit8_rsvd; /* bit 8 of PML4E and PML5E: must be 0 (AMD); false: ignored (Intel)
			       */
};

enum oracle_kind {
	ORACLE_READ,
	ORACLE_WRITE,
	ORACLE_FETCH,
};

struct oracle_access {
	uint64_t gva;
	enum oracle_kind kind;
	bool user;     /* CPL is 3 */
	bool implicit; /* to a descriptor table, TSS ...: supervisor at any CPL, whatever AC is */
};

/* Guest-physical memory. @read gives the 4 or 8 bytes at @gpa, which is aligned to that size;
 * absent memory reads as all ones, and that is the callback's duty. */
struct oracle_memory {
	uint64_t (*read)(void *context, uint64_t gpa, unsigned n_bytes);
	void *context;
};

/* What all entries of a path grant together. */
struct oracle_rights {
	bool write;
	bool user;
	bool execute;
	bool global; /* leaf G, and CR4.PGE */
	uint8_t key; /* of the leaf; 0 outside 4-level and 5-level paging */
	uint8_t pat; /* of the leaf: index into the PAT, PAT:PCD:PWT */
};

enum oracle_outcome {
	ORACLE_OK,
	ORACLE_PAGE_FAULT,
	ORACLE_NONCANONICAL, /* #GP, or #SS for a reference through SS; no entry was visited */
};

/* An entry read on the way. On success the processor leaves @after in memory. On a fault @after
 * is what was there, and the bits @may_set may be set besides: Intel sets A in each entry as it
 * uses it, also if a lower level faults ("Accessed and Dirty Flags"); in a leaf that lacks the
 * right asked for that is model specific ("Interrupt 14"); the APM ties A to an access and
 * leaves faults open. So to set it and not to set it are both legal. */
struct oracle_entry {
	uint64_t gpa;
	uint64_t value;
	uint64_t after;
	uint64_t may_set;
	unsigned level; /* 1: page table */
};

struct oracle_result {
	enum oracle_outcome outcome;
	uint32_t error_code;         /* of ORACLE_PAGE_FAULT */
	uint64_t gpa;                /* of ORACLE_OK: of the byte accessed */
	unsigned page_shift;         /* of ORACLE_OK: 12, 21, 22 or 30; 12 if unpaged */
	struct oracle_rights rights; /* of ORACLE_OK */
	unsigned n_entries;
	struct oracle_entry entries[5]; /* from the root down */
};

/* Perform @access on @cpu with empty caches. Memory is only read: the caller stores the A and D
 * bits if it wants them stored. In modes without 64-bit addresses bits 63:32 of the gva are
 * dropped. */
void oracle_access(const struct oracle_cpu *cpu, const struct oracle_memory *memory,
	const struct oracle_access *access, struct oracle_result *result);

/* The parts of a walk, for those who choose the value of each entry themselves: oracle_begin(),
 * then oracle_advance() with the content of oracle_slot() for as long as ORACLE_STEP_TABLE comes
 * back. */
enum oracle_step {
	ORACLE_STEP_TABLE, /* go on with the entry at oracle_slot() */
	ORACLE_STEP_LEAF,  /* gpa, page_shift, rights are final; ask oracle_permits() */
	ORACLE_STEP_FAULT, /* not present or reserved: error_code */
	ORACLE_STEP_NONCANONICAL,
};

struct oracle_walk {
	unsigned level; /* of the entry to read next */
	uint64_t table; /* that holds it */
	struct oracle_rights rights;
	uint64_t gpa;
	unsigned page_shift;
	uint32_t error_code;
};

enum oracle_mode oracle_mode(const struct oracle_cpu *cpu);

/* Size of an entry in memory: 4 or 8. */
unsigned oracle_entry_bytes(const struct oracle_cpu *cpu);

/* The linear address that is translated: @gva, or its low half in modes of 32-bit addresses. */
uint64_t oracle_linear(const struct oracle_cpu *cpu, uint64_t gva);

enum oracle_step oracle_begin(
	const struct oracle_cpu *cpu, const struct oracle_access *access, struct oracle_walk *walk);
uint64_t oracle_slot(const struct oracle_cpu *cpu, const struct oracle_access *access,
	const struct oracle_walk *walk);
enum oracle_step oracle_advance(const struct oracle_cpu *cpu, const struct oracle_access *access,
	struct oracle_walk *walk, uint64_t value);

/* Do @rights allow @access? If not, *@error_code is the fault's. */
bool oracle_permits(const struct oracle_cpu *cpu, const struct oracle_access *access,
	const struct oracle_rights *rights, uint32_t *error_code);

/* May @pdpte be loaded into a PDPTE register? If not, the load of CR3 is #GP. */
bool oracle_pdpte_loadable(const struct oracle_cpu *cpu, uint64_t pdpte);

#endif
