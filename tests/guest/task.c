/* SPDX-License-Identifier: MIT */
/* See task.h. */
#include "tests/guest/task.h"

#define STACK_BYTES TASK_STACK_BYTES
#define N_CATCHERS  6u

/* CPUID 40000000h EBX: "TCGT". */
#define LEAF_HYPERVISOR 0x40000000u
#define NAME_TCG        0x54474354u
/* CPUID 80000002h EBX: "Turi", of "AMD Turion(tm) 64", which Bochs calls itself. */
#define LEAF_NAME   0x80000002u
#define NAME_TURION 0x69727554u

struct tss32 *task_other;
struct tss16 *task_other16;

static struct tss32 catchers[N_CATCHERS] __attribute__((aligned(128)));
static uint8_t catcher_stacks[N_CATCHERS][STACK_BYTES] __attribute__((aligned(16)));
static uint8_t other_stack[STACK_BYTES] __attribute__((aligned(16)));
static unsigned n_catchers;

uint64_t task_descriptor(word base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffffu) | (uint64_t)(base & 0xffffffu) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit & 0xf0000u) << 32 | (uint64_t)flags << 52 |
	       (uint64_t)(base & 0xff000000u) << 32;
}

unsigned task_access(unsigned selector)
{
	/* The processor writes it behind the compiler's back. */
	return ((volatile uint8_t *)&gdt[selector / 8])[5];
}

uint32_t task_register(unsigned number)
{
	if (number == TASK_ESP)
		return (uint32_t)(uintptr_t)other_stack + STACK_BYTES;
	return 0x11112222u * (number + 1);
}

static struct tss32 task_of(char *entry, uint8_t *stack_end)
{
	return (struct tss32){
		.cr3 = (uint32_t)read_cr3(),
		.eip = (uint32_t)(uintptr_t)entry,
		.eflags = 2,
		.gpr[TASK_ESP] = (uint32_t)(uintptr_t)stack_end,
		.segments = {GDT_USER_DATA, GDT_KERNEL, GDT_DATA, GDT_USER_DATA, GDT_USER_DATA,
			GDT_USER_DATA},
		.io_map = sizeof(struct tss32),
	};
}

static void make_other(void)
{
	*task_other = task_of(task_body, other_stack + sizeof(other_stack));
	for (unsigned i = 0; i < 8; i++)
		task_other->gpr[i] = task_register(i);
	gdt_set(TASK_OTHER,
		task_descriptor((word)task_other, sizeof(*task_other) - 1, ACCESS_TSS32, 0));
	gdt_set(TASK_GATE, (uint64_t)TASK_OTHER << 16 | (uint64_t)ACCESS_GATE << 40);
}

static void make_other16(void)
{
	*task_other16 = (struct tss16){
		.flags = 2,
		.segments = {GDT_USER_DATA, TASK_CODE, TASK_STACK, GDT_USER_DATA},
	};
	for (unsigned i = 0; i < 8; i++)
		task_other16->gpr[i] = (uint16_t)task_register(i);
	task_other16->gpr[TASK_ESP] = sizeof(other_stack);
	gdt_set(TASK_OTHER16,
		task_descriptor((word)task_other16, sizeof(*task_other16) - 1, ACCESS_TSS16, 0));
	gdt_set(TASK_CODE, task_descriptor((word)task_body, 0xffff, ACCESS_CODE, 4));
	gdt_set(TASK_STACK, task_descriptor((word)other_stack, 0xffff, ACCESS_DATA, 0));
}

void task_begin(void)
{
	/* There the hypervisor cannot know of a task switch before it has happened, and stops the
	 * guest. */
	if (shared->row == ROW_SHADOW && cpuid(LEAF_HYPERVISOR, 0).ebx == NAME_TCG)
		skip("TCG does not raise the task switch intercept");
	task_work = NULL;
	task_seen = (struct task_seen){0};
	task_caught = (struct task_caught){0};
	task_pops = 0;
	task_jumps = 0;
	n_catchers = 0;
	task_other = frame_new();
	task_other16 = frame_new();
	make_other();
	make_other16();
	task_main()->cr3 = (uint32_t)read_cr3();
}

bool task_under_bochs(void)
{
	return shared->row == ROW_SHADOW && cpuid(LEAF_NAME, 0).ebx == NAME_TURION;
}

void task_gate(unsigned vector, unsigned selector, unsigned dpl)
{
	idt[vector * 2] = selector << 16;
	idt[vector * 2 + 1] = (ACCESS_GATE | dpl << 5) << 8;
}

void task_catch(unsigned vector)
{
	/* #DB and #UD have no error code. */
	char *entry = vector < X86_DF ? task_catcher_plain : task_catcher;
	unsigned selector = TASK_CATCH + 8 * n_catchers;
	struct tss32 *catcher = &catchers[n_catchers];

	*catcher = task_of(entry, catcher_stacks[n_catchers] + STACK_BYTES);
	catcher->gpr[TASK_EBX] = vector;
	catcher->gpr[TASK_EBP] = (uint32_t)(uintptr_t)catcher;
	gdt_set(selector, task_descriptor((word)catcher, sizeof(*catcher) - 1, ACCESS_TSS32, 0));
	task_gate(vector, selector, 0);
	n_catchers++;
}

void task_expect_caught(const char *what, unsigned vector, uint32_t error, unsigned link)
{
	given("vector", task_caught.vector);
	expect_equal(what, 1, task_caught.count);
	expect_equal("vector", vector, task_caught.vector);
	expect_equal("error code", error, task_caught.error);
	expect_equal("task of the fault", link, task_caught.link);
}
