/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches that succeed. SDM 3A "Task Management"; APM 2 "Hardware Multitasking".
 */
#include "tests/guest/task.h"

#define CR0_TS X86_CR0_TS
/* Of a mode of 32 bits. */
#define TEST_VA ((word)mode->test_va)

/* The other task ran once, with the registers of its TSS. */
static void expect_ran(unsigned tr)
{
	expect_equal("activations", 1, task_seen.count);
	for (unsigned i = 0; i < 8; i++) {
		given("register", i);
		expect_equal("loaded", task_register(i), task_seen.gpr[i]);
	}
	expect_equal("TR", tr, task_seen.tr);
	expect_true("CR0.TS is set", task_seen.cr0 & CR0_TS);
	expect_equal("CR3", read_cr3(), task_seen.cr3);
}

static void expect_busy(const char *what, unsigned selector, bool busy)
{
	expect_equal(what, busy ? ACCESS_BUSY : 0, task_access(selector) & ACCESS_BUSY);
}

static void calls(void)
{
	task_begin();
	task_call(TASK_OTHER);
	expect_ran(TASK_OTHER);
	expect_true("the new task has NT", task_seen.eflags & X86_RFLAGS_NT);
	expect_equal("link", GDT_TSS, task_other->link);
	expect_busy("the caller is busy", GDT_TSS, true);
	expect_busy("the called is free again", TASK_OTHER, false);
	expect_true(
		"NT is cleared in the task that returned", !(task_other->eflags & X86_RFLAGS_NT));
	expect_equal("its EBX", task_register(TASK_EBX), task_other->gpr[TASK_EBX]);
	/* The second activation goes on after IRET. */
	task_call(TASK_OTHER);
	expect_equal("activations", 2, task_seen.count);
}

static void jumps(void)
{
	task_begin();
	task_jumps = 1;
	task_jmp(TASK_OTHER);
	expect_ran(TASK_OTHER);
	expect_true("the new task has no NT", !(task_seen.eflags & X86_RFLAGS_NT));
	expect_equal("link", 0, task_other->link);
	expect_busy("main is busy", GDT_TSS, true);
	expect_busy("other is free", TASK_OTHER, false);
}

static void returns(void)
{
	task_begin();
	task_main()->link = TASK_OTHER;
	gdt_set(TASK_OTHER, task_descriptor((word)task_other, sizeof(*task_other) - 1,
				    ACCESS_TSS32 | ACCESS_BUSY, 0));
	task_jumps = 1;
	task_iret();
	expect_ran(TASK_OTHER);
	expect_true("NT as in its TSS", !(task_seen.eflags & X86_RFLAGS_NT));
	expect_equal("link", 0, task_other->link);
}

static struct {
	unsigned main_busy, other_busy;
	uint32_t eflags, eip;
} between;

static void look_between(void)
{
	between.main_busy = task_access(GDT_TSS) & ACCESS_BUSY;
	between.other_busy = task_access(TASK_OTHER) & ACCESS_BUSY;
	between.eflags = task_main()->eflags;
	between.eip = task_main()->eip;
}

static void busy_bits(void)
{
	task_begin();
	task_work = look_between;
	task_call(TASK_OTHER);
	expect_equal("CALL: the old task stays busy", ACCESS_BUSY, between.main_busy);
	expect_equal("CALL: the new task becomes busy", ACCESS_BUSY, between.other_busy);
	expect_equal("CALL: where it goes on", task_resume, between.eip);
	task_begin();
	task_work = look_between;
	task_jumps = 1;
	task_jmp(TASK_OTHER);
	expect_equal("JMP: the old task is free", 0, between.main_busy);
	expect_equal("JMP: the new task becomes busy", ACCESS_BUSY, between.other_busy);
	expect_equal("JMP: where it goes on", task_resume, between.eip);
}

static void gates(void)
{
	task_begin();
	task_call(TASK_GATE);
	expect_ran(TASK_OTHER);
	expect_equal("link", GDT_TSS, task_other->link);
}

static void software_interrupts(void)
{
	task_begin();
	if (task_under_bochs())
		skip("Bochs leaves an older event in EXITINTINFO for INT n");
	task_work = look_between;
	task_gate(TASK_VECTOR, TASK_OTHER, 0);
	task_int();
	expect_ran(TASK_OTHER);
	expect_equal("where it goes on", task_resume, between.eip);
	task_int();
	expect_equal("activations", 2, task_seen.count);
}

/* ---- exceptions ---- */

static struct path broken;
static word seen_cr2;

static void mend(void)
{
	seen_cr2 = (word)read_cr2();
	look_between();
	path_set(&broken, 1, path_get(&broken, 1) | X86_PTE_P);
}

static void exceptions(void)
{
	struct probe probe = probe_of(OP_WRITE, USER, TEST_VA, 0x77);

	task_begin();
	broken = path_make(TEST_VA, 1, phys(frame_new()) | X86_PTE_W | X86_PTE_U);
	task_gate(X86_PF, TASK_OTHER, 0);
	task_pops = 1;
	task_work = mend;
	probe_run(&probe);
	expect_done("the instruction, executed again", probe_outcome(&probe));
	expect_equal("activations", 1, task_seen.count);
	expect_equal("error code", X86_PF_W | X86_PF_U, task_seen.error);
	expect_equal("the stack without it", task_register(TASK_ESP) - 4, task_seen.gpr[TASK_ESP]);
	expect_equal("CR2", TEST_VA, seen_cr2);
	expect_equal("link", GDT_TSS, task_other->link);
	expect_true("RF is set in the old task's EFLAGS", between.eflags & X86_RFLAGS_RF);
	expect_true("the store was done", path_get(&broken, 1) & X86_PTE_D);
}

static void no_error_code(void)
{
	task_begin();
	task_catch(X86_UD);
	task_undefined();
	task_expect_caught("#UD", X86_UD, 0, GDT_TSS);
}

/* As Linux for 32 bits has it: #DF alone has a task. */
static void double_fault(void)
{
	task_begin();
	task_catch(X86_DF);
	idt[X86_GP * 2 + 1] &= ~0x8000u; /* not present: #NP while #GP is delivered */
	task_load_es(0xfff8);
	task_expect_caught("#DF", X86_DF, 0, GDT_TSS);
}

/* ---- what a TSS brings with it ---- */

static void sixteen_bits(void)
{
	task_begin();
	task_call(TASK_OTHER16);
	expect_equal("activations", 1, task_seen.count);
	for (unsigned i = 0; i < 8; i++) {
		uint16_t low = i == TASK_ESP ? TASK_STACK_BYTES : (uint16_t)task_register(i);

		given("register", i);
		expect_equal("low half", low, task_seen.gpr[i] & 0xffff);
	}
	expect_equal("FS is null", 0, task_seen.segments[TASK_FS]);
	expect_equal("GS is null", 0, task_seen.segments[TASK_GS]);
	expect_equal("CR3 stays", read_cr3(), task_seen.cr3);
	expect_equal("TR", TASK_OTHER16, task_seen.tr);
	expect_equal("link", GDT_TSS, task_other16->link);
	task_call(TASK_OTHER16);
	expect_equal("activations", 2, task_seen.count);
}

static uint32_t found;

static void read_test_va(void)
{
	found = *(volatile uint32_t *)TEST_VA;
}

static void tables(void)
{
	uint32_t *page = frame_new();
	uint8_t *root = frame_new();
	struct path path;

	task_begin();
	*page = 0x600d;
	path = path_make(TEST_VA, 1, phys(page) | X86_PTE_P | X86_PTE_W);
	memory_copy(root, table_root(), mode->id == PAE ? 32 : X86_PAGE_SIZE);
	path_set(&path, mode->levels, 0);
	write_cr3(read_cr3());
	task_other->cr3 = (uint32_t)phys(root);
	task_work = read_test_va;
	found = 0;
	task_call(TASK_OTHER);
	expect_equal("read in the other task", 0x600d, found);
	expect_equal("its CR3", phys(root), task_seen.cr3);
	expect_equal("CR3 of main again", phys(table_root()), read_cr3());
	expect_fault("read in main", attempt(OP_READ, KERNEL, TEST_VA, 0), 0, TEST_VA);
}

static void pdptes(void)
{
	uint8_t *root = frame_new();

	task_begin();
	if (shared->row != ROW_SHADOW)
		skip("TCG checks no PDPTE; Bochs raises #TS(0)");
	memory_copy(root, table_root(), 32);
	root[24] = 1 | 2; /* the last one: R/W is reserved in a PDPTE */
	task_catch(X86_GP);
	task_other->cr3 = (uint32_t)phys(root);
	task_call(TASK_OTHER);
	task_expect_caught("a reserved bit in a PDPTE", X86_GP, 0, GDT_TSS);
	expect_equal("activations", 0, task_seen.count);
}

static void local_descriptors(void)
{
	uint64_t *ldt = frame_new();

	task_begin();
	ldt[1] = task_descriptor(0, 0xfffff, ACCESS_CODE & ~1, FLAGS_FLAT);
	ldt[2] = task_descriptor(0, 0xfffff, ACCESS_DATA & ~1, FLAGS_FLAT);
	gdt_set(TASK_LDT, task_descriptor((word)ldt, 23, ACCESS_LDT, 0));
	task_other->ldt = TASK_LDT;
	task_other->segments[TASK_CS] = 1 << 3 | 4;
	task_other->segments[TASK_SS] = 2 << 3 | 4;
	task_other->segments[TASK_DS] = 2 << 3 | 4;
	task_call(TASK_OTHER);
	expect_equal("activations", 1, task_seen.count);
	expect_equal("LDTR", TASK_LDT, task_seen.ldt);
	expect_equal("CS", 1 << 3 | 4, task_seen.segments[TASK_CS]);
	expect_equal("DS", 2 << 3 | 4, task_seen.segments[TASK_DS]);
	expect_true("the code descriptor was accessed", ldt[1] >> 40 & 1);
	expect_true("the data descriptor was accessed", ldt[2] >> 40 & 1);
}

static void write_dr7(word dr7)
{
	__asm__ volatile("mov %0, %%db7" : : "r"(dr7));
}

static word read_dr7(void)
{
	word dr7;

	__asm__ volatile("mov %%db7, %0" : "=r"(dr7));
	return dr7;
}

static void breakpoints(void)
{
	word after;

	task_begin();
	__asm__ volatile("mov %0, %%db0" : : "r"((word)LIFE_BASE));
	write_dr7(0x400 | 1 << 8 | 3);
	task_call(TASK_OTHER);
	after = read_dr7();
	write_dr7(0x400);
	expect_equal("L0 and LE are cleared, G0 is not", 0x402, after);
}

static void debug_trap(void)
{
	word dr6;

	task_begin();
	task_catch(X86_DB);
	task_other->trap = 1;
	__asm__ volatile("mov %0, %%db6" : : "r"((word)0));
	task_call(TASK_OTHER);
	__asm__ volatile("mov %%db6, %0" : "=r"(dr6));
	task_expect_caught("T bit", X86_DB, 0, TASK_OTHER);
	expect_true("DR6.BT", dr6 & X86_DR6_BT);
	expect_equal("no instruction of the task was executed", 0, task_seen.count);
	expect_equal("where it goes on", (word)task_body, task_other->eip);
}

#define V86_BYTES 16u /* of code, generously */

/* A task of virtual-8086 mode is left by an interrupt gate, so by a probe. */
static void virtual_8086(void)
{
	struct probe probe = probe_of(OP_READ, KERNEL, 0, TASK_OTHER);
	uint8_t *low = (uint8_t *)0x7000;

	task_begin();
	if (task_under_bochs())
		skip("Bochs panics at VMRUN in virtual-8086 mode");
	if (mode->levels > 0) {
		low = frame_new();
		path_make(0x7000, 1, phys(low) | PTE_ALL);
	}
	memory_copy(low, task_v86, V86_BYTES);
	task_other->eip = 0;
	task_other->eflags = (uint32_t)X86_RFLAGS_VM | 3 << 12 | 2;
	task_other->segments[TASK_CS] = 0x700;
	task_other->segments[TASK_SS] = 0x710;
	task_other->segments[TASK_DS] = 0x720;
	task_other->stacks[0] = task_main()->stacks[0];
	task_other->stacks[1] = GDT_DATA;
	task_v86_stub = trap_stub(TRAP_DONE);
	trap_set(TRAP_DONE, task_v86_left, 3, 0);
	probe.ip = (word)task_probe_jmp;
	probe_run(&probe);
	expect_equal("it came to its end", TRAP_DONE, probe.vector);
	expect_true("in virtual-8086 mode", probe.flags & X86_RFLAGS_VM);
	expect_equal("CS", 0x700, probe.cs);
	expect_equal("SS", 0x710, probe.bx & 0xffff);
	expect_equal("DS", 0x720, probe.cx & 0xffff);
}

#define IN_PAGED_32 (IN(TWO_LEVEL) | IN(PAE))

static const struct test tests[] = {
	{.name = "task_call", .modes = IN_32, .run = calls},
	{.name = "task_jmp", .modes = IN_32, .run = jumps},
	{.name = "task_iret", .modes = IN_32, .run = returns},
	{.name = "task_busy", .modes = IN_32, .run = busy_bits},
	{.name = "task_gate", .modes = IN_32, .run = gates},
	{.name = "task_int", .modes = IN_32, .run = software_interrupts},
	{.name = "task_page_fault",
		.modes = IN_PAGED_32,
		.run = exceptions,
		.departs_in = ROWS_EMULATOR,
		.departs = "TCG saves EFLAGS without RF in a TSS"},
	{.name = "task_no_error_code", .modes = IN_32, .run = no_error_code},
	{.name = "task_double_fault", .modes = IN_32, .run = double_fault},
	{.name = "task_16", .modes = IN_32, .run = sixteen_bits},
	{.name = "task_tables", .modes = IN_PAGED_32, .run = tables},
	{.name = "task_pdptes", .modes = IN(PAE), .run = pdptes},
	{.name = "task_ldt",
		.modes = IN_32,
		.run = local_descriptors,
		.departs_in = ROWS_EMULATOR,
		.departs = "TCG sets no accessed bits in a task switch"},
	{.name = "task_dr7",
		.modes = IN_32,
		.run = breakpoints,
		.departs_in = ROWS_EMULATOR,
		.departs = "TCG leaves DR7.LE"},
	{.name = "task_trap_bit",
		.modes = IN_32,
		.run = debug_trap,
		.departs_in = ROWS_EMULATOR,
		.departs = "TCG ignores the T bit"},
	{.name = "task_v86", .modes = IN_32, .run = virtual_8086},
};
GROUP(group_task, tests);
