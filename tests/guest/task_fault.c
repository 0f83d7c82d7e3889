/* SPDX-License-Identifier: MIT */
/*
 * Task switches that end in an exception: which, with which error code, and in which task. SDM 3A
 * "Exception Conditions Checked During a Task Switch".
 */
#include "tests/guest/task.h"

enum way { BY_CALL, BY_JMP, BY_IRET, BY_INT, BY_UD };

/* How TASK_OTHER or its TSS is spoilt before the switch. */
enum spoil {
	TSS_ACCESS, /* its descriptor's access byte is .access */
	TSS_LIMIT,  /* its limit is .value */
	LINK,       /* main's link is .value */
	LDT,        /* LDT is TASK_BAD */
	SEGMENT,    /* segment .which is TASK_BAD with RPL .value */
	SELECTOR,   /* segment .which is .value */
	EIP,        /* EIP is .value, in TASK_BAD */
};

struct check {
	const char *what;
	enum way way;
	enum spoil spoil;
	unsigned which;
	uint32_t value;
	unsigned access; /* of TASK_BAD or of the TSS's descriptor */
	unsigned vector;
	uint32_t error;
	unsigned task; /* whose exception it is */
};

#define BUSY_TSS (ACCESS_TSS32 | ACCESS_BUSY)

static const struct check rows[] = {
	{"TSS not present", BY_CALL, TSS_ACCESS, 0, 0, 0x09, X86_NP, TASK_OTHER, GDT_TSS},
	{"TSS not present", BY_JMP, TSS_ACCESS, 0, 0, 0x09, X86_NP, TASK_OTHER, GDT_TSS},
	{"TSS busy", BY_CALL, TSS_ACCESS, 0, 0, BUSY_TSS, X86_GP, TASK_OTHER, GDT_TSS},
	{"TSS busy", BY_JMP, TSS_ACCESS, 0, 0, BUSY_TSS, X86_GP, TASK_OTHER, GDT_TSS},
	{"TSS too short", BY_CALL, TSS_LIMIT, 0, 0x66, 0, X86_TS, TASK_OTHER, GDT_TSS},
	{"IRET to a free TSS", BY_IRET, LINK, 0, TASK_OTHER, 0, X86_TS, TASK_OTHER, GDT_TSS},
	{"IRET to the LDT", BY_IRET, LINK, 0, 0x0c, 0, X86_TS, 0x0c, GDT_TSS},
	{"IRET beyond the GDT", BY_IRET, LINK, 0, 0x7ff8, 0, X86_TS, 0x7ff8, GDT_TSS},
	{"INT n to a TSS not present", BY_INT, TSS_ACCESS, 0, 0, 0x09, X86_NP, TASK_OTHER, GDT_TSS},
	{"LDT that is data", BY_CALL, LDT, 0, 0, ACCESS_DATA, X86_TS, TASK_BAD, TASK_OTHER},
	{"LDT not present", BY_CALL, LDT, 0, 0, 0x02, X86_TS, TASK_BAD, TASK_OTHER},
	{"CS null", BY_CALL, SELECTOR, TASK_CS, 0, 0, X86_TS, 0, TASK_OTHER},
	{"CS beyond the GDT", BY_CALL, SELECTOR, TASK_CS, 0x7ff8, 0, X86_TS, 0x7ff8, TASK_OTHER},
	{"CS in no LDT", BY_CALL, SELECTOR, TASK_CS, 0x0c, 0, X86_TS, 0x0c, TASK_OTHER},
	{"CS that is data", BY_CALL, SEGMENT, TASK_CS, 0, ACCESS_DATA, X86_TS, TASK_BAD,
		TASK_OTHER},
	{"CS not present", BY_CALL, SEGMENT, TASK_CS, 0, 0x1b, X86_NP, TASK_BAD, TASK_OTHER},
	{"CS.DPL is not RPL", BY_CALL, SEGMENT, TASK_CS, 0, 0xfb, X86_TS, TASK_BAD, TASK_OTHER},
	{"SS null", BY_CALL, SELECTOR, TASK_SS, 0, 0, X86_TS, 0, TASK_OTHER},
	{"SS read-only", BY_CALL, SEGMENT, TASK_SS, 0, 0x91, X86_TS, TASK_BAD, TASK_OTHER},
	{"SS that is code", BY_CALL, SEGMENT, TASK_SS, 0, ACCESS_CODE, X86_TS, TASK_BAD,
		TASK_OTHER},
	{"SS.DPL is not CPL", BY_CALL, SEGMENT, TASK_SS, 0, 0xf3, X86_TS, TASK_BAD, TASK_OTHER},
	{"SS.RPL is not CPL", BY_JMP, SEGMENT, TASK_SS, 3, ACCESS_DATA, X86_TS, TASK_BAD,
		TASK_OTHER},
	{"ES that is a TSS", BY_CALL, SELECTOR, TASK_ES, GDT_TSS, 0, X86_TS, GDT_TSS, TASK_OTHER},
	{"DS only to execute", BY_CALL, SEGMENT, TASK_DS, 0, 0x99, X86_TS, TASK_BAD, TASK_OTHER},
	{"DS.DPL below RPL", BY_CALL, SEGMENT, TASK_DS, 3, ACCESS_DATA, X86_TS, TASK_BAD,
		TASK_OTHER},
	{"FS not present", BY_CALL, SEGMENT, TASK_FS, 0, 0x13, X86_NP, TASK_BAD, TASK_OTHER},
	{"GS beyond the GDT", BY_CALL, SELECTOR, TASK_GS, 0x7ff8, 0, X86_TS, 0x7ff8, TASK_OTHER},
	{"EIP beyond the limit", BY_CALL, EIP, 0, 0x1000, ACCESS_CODE, X86_GP, 0, TASK_OTHER},
};

/* TCG raises #NP for the second and sets EXT in none. */
static const struct check more_rows[] = {
	{"exception to a TSS not present", BY_UD, TSS_ACCESS, 0, 0, 0x09, X86_NP, TASK_OTHER | 1,
		GDT_TSS},
	{"SS not present", BY_CALL, SEGMENT, TASK_SS, 0, 0x13, X86_SS, TASK_BAD, TASK_OTHER},
	{"DS of an exception's task", BY_UD, SEGMENT, TASK_DS, 0, 0x13, X86_NP, TASK_BAD | 1,
		TASK_OTHER},
};

static void spoil(const struct check *row)
{
	gdt_set(TASK_BAD, task_descriptor(0, row->spoil == EIP ? 0xfff : 0xfffff, row->access,
				  row->spoil == EIP ? 4 : FLAGS_FLAT));
	switch (row->spoil) {
	case TSS_ACCESS:
		gdt_set(TASK_OTHER,
			task_descriptor((word)task_other, sizeof(*task_other) - 1, row->access, 0));
		break;
	case TSS_LIMIT:
		gdt_set(TASK_OTHER, task_descriptor((word)task_other, row->value, ACCESS_TSS32, 0));
		break;
	case LINK:
		task_main()->link = row->value;
		break;
	case LDT:
		task_other->ldt = TASK_BAD;
		break;
	case SEGMENT:
		task_other->segments[row->which] = TASK_BAD | row->value;
		break;
	case SELECTOR:
		task_other->segments[row->which] = row->value;
		break;
	case EIP:
		task_other->segments[TASK_CS] = TASK_BAD;
		task_other->eip = row->value;
		break;
	}
}

static void go(enum way way)
{
	switch (way) {
	case BY_CALL:
		task_call(TASK_OTHER);
		break;
	case BY_JMP:
		task_jmp(TASK_OTHER);
		break;
	case BY_IRET:
		task_iret();
		break;
	case BY_INT:
		task_gate(TASK_VECTOR, TASK_OTHER, 0);
		task_int();
		break;
	case BY_UD:
		task_gate(X86_UD, TASK_OTHER, 0);
		task_undefined();
		break;
	}
}

static void check_all(const struct check *table, unsigned n_rows)
{
	for (unsigned i = 0; i < n_rows; i++) {
		const struct check *row = &table[i];
		bool committed = row->task == TASK_OTHER;

		if (row->way == BY_INT && task_under_bochs())
			continue;
		mode_reset();
		task_begin();
		task_catch(X86_TS);
		task_catch(X86_NP);
		task_catch(X86_SS);
		task_catch(X86_GP);
		spoil(row);
		given("row", i);
		go(row->way);
		task_expect_caught(row->what, row->vector, row->error, row->task);
		expect_equal("no instruction of the task was executed", 0, task_seen.count);
		if (committed)
			expect_equal("the new task is busy", ACCESS_BUSY,
				task_access(TASK_OTHER) & ACCESS_BUSY);
	}
}

static void checks(void)
{
	check_all(rows, sizeof(rows) / sizeof(rows[0]));
}

static void more_checks(void)
{
	check_all(more_rows, sizeof(more_rows) / sizeof(more_rows[0]));
}

/* ---- page faults ---- */

#define AWAY 0x7000u /* offset of the page that is missing, from the test addresses on */

static struct probe switch_by(char *entry)
{
	struct probe probe = probe_of(OP_READ, KERNEL, 0, TASK_OTHER);

	probe.ip = (word)entry;
	return probe;
}

/* The old task goes on as if nothing had happened. */
static void new_tss_missing(void)
{
	word at = (word)mode->test_va + AWAY;
	struct probe probe = switch_by(task_probe_jmp);

	task_begin();
	path_make(at, 1, phys(task_other) | X86_PTE_W);
	gdt_set(TASK_OTHER, task_descriptor(at, sizeof(*task_other) - 1, ACCESS_TSS32, 0));
	probe_run(&probe);
	expect_equal("vector", X86_PF, probe.vector);
	expect_equal("not present", 0, probe.error & ~X86_PF_W);
	expect_equal("page", at, probe.cr2 & ~(word)(X86_PAGE_SIZE - 1));
	expect_equal("main is busy", ACCESS_BUSY, task_access(GDT_TSS) & ACCESS_BUSY);
	expect_equal("other is free", 0, task_access(TASK_OTHER) & ACCESS_BUSY);
}

static void old_tss_read_only(void)
{
	word at = (word)mode->test_va + AWAY;
	struct probe probe = switch_by(task_probe_jmp);
	struct tss32 *old = frame_new();
	struct path path;

	task_begin();
	*old = *task_main();
	path = path_make(at, 1, phys(old) | X86_PTE_P | X86_PTE_W);
	gdt_set(TASK_BAD, task_descriptor(at, sizeof(*old) - 1, ACCESS_TSS32, 0));
	__asm__ volatile("ltr %w0" : : "r"(TASK_BAD));
	path_set(&path, 1, phys(old) | X86_PTE_P);
	invlpg(at);
	probe_run(&probe);
	expect_equal("vector", X86_PF, probe.vector);
	expect_equal("a write to what is present", X86_PF_P | X86_PF_W, probe.error);
	expect_equal("page", at, probe.cr2 & ~(word)(X86_PAGE_SIZE - 1));
	expect_equal("other is free", 0, task_access(TASK_OTHER) & ACCESS_BUSY);
	expect_equal("nothing was saved", 0, old->eip);
}

/* An error code that cannot be pushed: #PF in the new task, or #DF if the first was one too. */
static void stack_missing(void)
{
	word at = (word)mode->test_va + AWAY;

	task_begin();
	task_catch(X86_PF);
	task_gate(X86_GP, TASK_OTHER, 0);
	task_other->gpr[TASK_ESP] = at + 16;
	task_load_es(0xfff8);
	task_expect_caught("#GP, then #PF", X86_PF, X86_PF_W, TASK_OTHER);
	expect_equal("CR2", at + 12, task_caught.cr2);
	task_begin();
	task_catch(X86_DF);
	task_gate(X86_PF, TASK_OTHER, 0);
	task_other->gpr[TASK_ESP] = at + 16;
	task_read(at);
	task_expect_caught("#PF, then #PF", X86_DF, 0, TASK_OTHER);
}

#define IN_PAGED_32 (IN(TWO_LEVEL) | IN(PAE))

static const struct test tests[] = {
	{.name = "task_checks", .modes = IN_32, .run = checks},
	{.name = "task_more_checks",
		.modes = IN_32,
		.run = more_checks,
		.departs_in = ROWS_EMULATOR,
		.departs = "TCG: no EXT bit, #NP for a stack that is not present"},
	{.name = "task_new_tss_missing", .modes = IN_PAGED_32, .run = new_tss_missing},
	{.name = "task_old_tss_read_only", .modes = IN_PAGED_32, .run = old_tss_read_only},
	{.name = "task_stack_missing", .modes = IN_PAGED_32, .run = stack_missing},
};
GROUP(group_task_fault, tests);
