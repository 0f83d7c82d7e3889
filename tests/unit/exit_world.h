/* SPDX-License-Identifier: MIT */
/*
 * A processor at an exit, for tests of the fast path: a VMCB, shadow tables in memory that stands
 * for the machine's, and a fake library that says what the test wants it to say.
 */
#ifndef TESTS_UNIT_EXIT_WORLD_H
#define TESTS_UNIT_EXIT_WORLD_H

#include "hv/arch/svm/svm.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define VMCB_PHYS 0x5000ull
#define ROOT      0x10000ull /* the tables from here on, level by level */
#define ROOT_2    0x20000ull /* another address space with the same lower tables */
#define CODE      0x30000ull
#define CODE_2    0x31000ull
#define RIP       0xffffffff81234560ull
#define PRESENT   (X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A)

#define CR3_READ  ((uint64_t)SVM_EXIT_CR0_READ + 3)
#define CR3_WRITE ((uint64_t)SVM_EXIT_CR0_WRITE + 3)

extern struct vcpu vcpu;
extern struct vendor_vcpu arch;
extern struct vmcb *const vmcb;

struct exit_world {
	/* What the library says, and whether it asks for a flush. */
	umbra_hpa root;
	unsigned tag;
	enum umbra_outcome outcome;
	struct umbra_exit out;
	bool flushes;
	/* What it was told, and what came of it. */
	unsigned n_calls;
	struct umbra_page_fault fault;
	uint64_t cr3;
	umbra_gva gva;
	bool stopped;
};
extern struct exit_world world;

/* The entry for RIP of a table of entries for the bits from @shift on. */
uint64_t *world_entry(umbra_hpa table, unsigned shift);
/* At RIP's offset in @page. */
void world_store_code(umbra_hpa page, const uint8_t *bytes, size_t n_bytes);

/* A page fault; the instruction of @bytes at RIP makes its exit: what svm_fast() returns. */
umbra_hpa world_page_fault(uint32_t error_code, umbra_gva gva);
umbra_hpa world_execute(uint64_t exit_code, const char *bytes);

/* Once a program; before every test: 64-bit code at RIP, which both roots map to CODE. */
int world_map_memory(void **state);
int world_reset(void **state);

#endif
