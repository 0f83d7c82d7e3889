/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches in the 32-bit world: task-state segments, the code that tasks run, and
 * what it saw. Shared by the tests of switches and of their faults.
 */
#ifndef TESTS_GUEST_TASK_H
#define TESTS_GUEST_TASK_H

#include "tests/guest/guest.h"

/* SDM 3A "Task-State Segment (TSS)". */
struct tss32 {
	uint32_t link;
	uint32_t stacks[6];
	uint32_t cr3, eip, eflags;
	uint32_t gpr[8];      /* EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI */
	uint32_t segments[6]; /* ES, CS, SS, DS, FS, GS */
	uint32_t ldt;
	uint16_t trap;
	uint16_t io_map;
};

/* SDM 3A "16-Bit Task-State Segment (TSS)". */
struct tss16 {
	uint16_t link;
	uint16_t stacks[6];
	uint16_t ip, flags;
	uint16_t gpr[8];
	uint16_t segments[4];
	uint16_t ldt;
};

enum { TASK_EAX, TASK_ECX, TASK_EDX, TASK_EBX, TASK_ESP, TASK_EBP, TASK_ESI, TASK_EDI };
enum { TASK_ES, TASK_CS, TASK_SS, TASK_DS, TASK_FS, TASK_GS };

/* Selectors of the GDT. The main task is the framework's: GDT_TSS. */
#define TASK_OTHER   0x60 /* the task under test, with a TSS of 32 bits */
#define TASK_OTHER16 0x68 /* the same, of 16 bits */
#define TASK_GATE    0x70 /* a task gate to TASK_OTHER */
#define TASK_LDT     0x78
#define TASK_CODE    0x80 /* 32-bit code from task_body on, for a TSS with an IP of 16 bits */
#define TASK_STACK   0x88 /* a stack of 16 bits */
#define TASK_BAD     0x90 /* a descriptor that a test spoils */
#define TASK_CATCH   0x98 /* the tasks that catch exceptions, one for each vector in turn */

/* Descriptor access bytes. */
#define ACCESS_TSS32 0x89
#define ACCESS_TSS16 0x81
#define ACCESS_LDT   0x82
#define ACCESS_GATE  0x85
#define ACCESS_DATA  0x93
#define ACCESS_CODE  0x9b
#define ACCESS_BUSY  0x02
#define ACCESS_P     0x80
/* With bits 23:20 of a descriptor's upper half. */
#define FLAGS_FLAT 0xc

/* What a task saw when it began, in task_body.S. */
struct task_seen {
	uint32_t gpr[8];
	uint32_t segments[6];
	uint32_t eflags, cr0, cr3, tr, ldt;
	uint32_t error; /* if task_pops */
	uint32_t count; /* activations */
};

extern struct task_seen task_seen;
extern uint32_t task_pops;      /* it finds an error code on its stack */
extern uint32_t task_jumps;     /* it goes back by JMP, not by IRET */
extern void (*task_work)(void); /* what it calls when it has seen all; may be NULL */
extern char task_body[];

/* What a catcher saw. */
struct task_caught {
	uint32_t vector, error, link, cr2, count;
};
extern struct task_caught task_caught;
extern char task_catcher[], task_catcher_plain[];

/* Where the main task goes on when the instruction that asks for a switch faults. */
extern uint32_t task_resume;

/* The main task's TSS. */
static inline struct tss32 *task_main(void)
{
	return (struct tss32 *)(void *)tss;
}

/* Far CALL and JMP to @selector, from the main task; comes back here whatever happens. */
void task_call(uint16_t selector);
void task_jmp(uint16_t selector);
/* INT @TASK_VECTOR, and IRET with NT set. */
#define TASK_VECTOR 0x31
void task_int(void);
void task_iret(void);
/* A #GP or #NP of @selector, a #PF at @address, a #UD. They return if a catcher took them. */
void task_load_es(uint16_t selector);
void task_read(word address);
void task_undefined(void);
/* JMP and CALL by a probe: to selector SI. */
extern char task_probe_jmp[], task_probe_call[];
/* 16-bit code that asks for TRAP_DONE with SS in BX and DS in CX. */
extern char task_v86[];
/* The handler for that: goes on to task_v86_stub. */
void task_v86_left(void);
extern void (*task_v86_stub)(void);

/* A descriptor of @limit and @base. */
uint64_t task_descriptor(word base, uint32_t limit, unsigned access, unsigned flags);
/* The access byte of a GDT entry, now. */
unsigned task_access(unsigned selector);

/* The TSSs of TASK_OTHER and TASK_OTHER16, in pages of their own, as made by task_begin(). */
extern struct tss32 *task_other;
extern struct tss16 *task_other16;

/* The stack of TASK_OTHER, and its size. */
#define TASK_STACK_BYTES 512u

/* Everything above as a test may expect it: TASK_OTHER runs task_body at CPL 0 with registers that
 * are known (task_register), on the tables in force. */
void task_begin(void);
uint32_t task_register(unsigned number);
/* Under the hypervisor under Bochs, whose SVM cannot do all? */
bool task_under_bochs(void);
/* Let exception @vector be caught by a task of its own. */
void task_catch(unsigned vector);
/* Give @vector a task gate to @selector. */
void task_gate(unsigned vector, unsigned selector, unsigned dpl);
/* The last fault was @vector with @error, in the task @link. */
void task_expect_caught(const char *what, unsigned vector, uint32_t error, unsigned link);

#endif
