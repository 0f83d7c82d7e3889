/* SPDX-License-Identifier: MIT */
/*
 * A guest that has just faulted with a store, for tests of what is done for it: registers, a few
 * pages at linear addresses, and a fake library that says what each page is.
 */
#ifndef TESTS_UNIT_EMUL_WORLD_H
#define TESTS_UNIT_EMUL_WORLD_H

#include "hv/emul/emul.h"
#include "tests/unit/hv_fake.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* What a page is. */
enum {
	PAGE_READ_ONLY = 1,
	PAGE_TABLE = 2,   /* the guest's; stores are emulated until it is given up */
	PAGE_TRACKED = 4, /* not even that helps */
	PAGE_DEVICE = 8,
	PAGE_ABSENT = 16, /* mapped, where no memory is */
};

#define RAM_END  0x800000ull /* devices from here on */
#define HV_BASE  0xf00000ull /* the hypervisor, one page */
#define CODE_GVA 0x400000ull
#define CODE_GPA 0x100000ull

/* Where tests store: linear addresses, and where their pages lie. */
#define AT    0x500000ull
#define TABLE 0x200000ull
#define NEXT  0x202000ull /* of the page behind AT: not the one behind TABLE */
#define FAR   0x600000ull
#define OTHER 0x300000ull

extern struct vcpu guest;

struct emul_world {
	enum x86_code_size size;
	struct vendor_segment segments[8];
	uint64_t dr7, dr[4];
	bool vectoring;
	/* What the library answers to the next exchange, once. */
	bool differs;
	/* What came of it. */
	unsigned n_unshadowed, n_exchanged, n_written, n_faults;
	uint64_t written_at;
	size_t written_bytes;
	umbra_gva forgotten; /* by the last umbra_invlpg() */
	unsigned advanced;   /* vendor_advance() calls */
	int vector;          /* injected, or -1 */
	uint32_t error_code;
	uint64_t cr2;
	uint64_t dr6;
	bool stopped;
};
extern struct emul_world world;

/* Map the page of @gva to that of @gpa. */
void world_page(umbra_gva gva, umbra_gpa gpa, unsigned kind);
/* Its bytes; eight of them. */
uint8_t *world_at(umbra_gpa gpa);
uint64_t word_at(umbra_gpa gpa);
void set_word(umbra_gpa gpa, uint64_t word);

/* Map RIP's page to @gpa in the shadow tables, by new tables from @level on down (1 is the last).
 */
void world_map_code(umbra_gpa gpa, unsigned level);
/* The instruction of @bytes at RIP. */
void world_code(const void *bytes, size_t n_bytes);
#define CODE(...)                                                                                  \
	do {                                                                                       \
		static const uint8_t code_bytes[] = {__VA_ARGS__};                                 \
		world_code(code_bytes, sizeof(code_bytes));                                        \
	} while (0)

/* It faults by a store at @gva: what the hypervisor does. Stops of the guest come back here. */
void world_store(umbra_gva gva);
void world_absent(umbra_gva gva);

/* Done: RIP is behind it and nothing was injected. Left to the guest: nothing has changed. */
void expect_done(void);
void expect_left(void);
/* A page fault was injected, and nothing has changed. */
void expect_page_fault(umbra_gva gva, uint32_t error_code);

int world_map_memory(void **state);
int world_reset(void **state);
/* The same, with a table at AT, where RDI points, and in other registers something to store. */
int world_table(void **state);

#endif
