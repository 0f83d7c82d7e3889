/* SPDX-License-Identifier: MIT */
/*
 * A processor, a library and a guest of 64 KiB, as hardware task switches see them: one page for
 * the GDT and one for each TSS, and pages can be missing or read-only.
 */
#ifndef TESTS_UNIT_TASK_WORLD_H
#define TESTS_UNIT_TASK_WORLD_H

#include "tests/unit/hv_fake.h"

#include "hv/vm/task.h"

#define RAM_BYTES 0x10000u
#define GDT       0x1000u
#define OLD_TSS   0x2000u
#define NEW_TSS   0x3000u
#define STACK     0x5000u /* its first byte above */
#define OLD       0x08u   /* selectors */
#define NEW       0x10u
#define CODE      0x18u
#define DATA      0x20u
#define CODE_3    0x2bu
#define DATA_3    0x33u
#define LDT       0x38u
#define SPARE     0x40u

#define AVAILABLE_32 0x89u
#define BUSY_32      0x8bu
#define AVAILABLE_16 0x81u
#define BUSY_16      0x83u
#define BUSY         2u

struct task_world {
	uint8_t ram[RAM_BYTES];
	bool missing[16], read_only[16]; /* by page */
	struct vendor_task task;
	struct vendor_task_switch asked;
	struct vendor_event event; /* that is being delivered */
	bool delivering, done, unblocked;
	uint64_t dr6;
	struct umbra_exit injected;
	bool bad_root;
	uint64_t root;
	unsigned insn_length;
	unsigned gdt; /* its base */
};

extern struct task_world world;
extern struct vcpu vcpu;

/* Two tasks of 32 bits, the old one about to CALL the new one at 0x8000. A cmocka setup. */
int world_reset(void **state);
/* The new task's TSS has 16 bits. */
void world_make_new_tss_16(void);
/* What asks for the switch is IRET; or an event by way of a task gate. */
void world_iret(void);
void world_gate(enum event_type type, unsigned vector);

/* Guest memory, and the GDT: access is the descriptor's sixth byte, flags the upper half of its
 * seventh. */
void world_store(unsigned at, uint64_t value, size_t n_bytes);
uint32_t world_load(unsigned at, size_t n_bytes);
void world_describe(
	unsigned selector, uint32_t base, uint32_t limit, unsigned access, unsigned flags);
unsigned world_access_byte(unsigned selector);

/* That was injected; vector 0: nothing. */
void expect_fault(unsigned vector, uint32_t error);

#endif
