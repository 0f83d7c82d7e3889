/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches. Rules: SDM 3A "Task Switching" and its tables.
 */
#include "tests/unit/task_world.h"

/* ---- tasks are saved and loaded ---- */

static void the_old_task_is_saved(void **state)
{
	(void)state;
	exit_task_switch(&vcpu);
	expect_fault(0, 0);
	assert_int_equal(world_load(OLD_TSS + 0x20, 4), 0x8007);
	assert_int_equal(world_load(OLD_TSS + 0x24, 4), 0x4202);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(world_load(OLD_TSS + 0x28 + 4 * i, 4), 0x01010101u * (i + 1));
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(world_load(OLD_TSS + 0x48 + 4 * i, 4), 0x100 + 8 * i);
	/* CR3, LDT, T and what lies around are not written. */
	assert_int_equal(world_load(OLD_TSS + 0x1c, 4), 0);
	assert_int_equal(world_load(OLD_TSS + 0x60, 4), 0);
}

static void upper_halves_of_saved_selectors_stay(void **state)
{
	(void)state;
	world_store(OLD_TSS + 0x4a, 0xabcd, 2);
	exit_task_switch(&vcpu);
	assert_int_equal(world_load(OLD_TSS + 0x48, 4), 0xabcd0100);
}

static void the_new_task_is_loaded(void **state)
{
	(void)state;
	exit_task_switch(&vcpu);
	assert_int_equal(world.task.rip, 0x401000);
	assert_int_equal(world.task.rflags, 0x4206);
	assert_int_equal(world.task.dr7, 0x6aa);
	assert_int_equal(world.task.cpl, 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(vcpu.gpr[i], i == X86_RSP ? STACK : 0x20202020u * (i + 1));
	assert_int_equal(world.task.segments[X86_SEG_CS].selector, CODE);
	assert_int_equal(world.task.segments[X86_SEG_CS].attributes, 0xc9b);
	assert_int_equal(world.task.segments[X86_SEG_CS].limit, UINT32_MAX);
	assert_int_equal(world.task.segments[X86_SEG_GS].attributes, 0xc93);
	assert_int_equal(world.task.tr.selector, NEW);
	assert_int_equal(world.task.tr.attributes, BUSY_32);
	assert_int_equal(world.task.tr.base, NEW_TSS);
	assert_int_equal(world.root, 0x7000);
	assert_int_equal(vcpu.regs.cr3, 0x7000);
	assert_true(vcpu.regs.cr0 & X86_CR0_TS);
	assert_true(world.done);
}

static void a_16_bit_task_is_loaded(void **state)
{
	(void)state;
	world_make_new_tss_16();
	exit_task_switch(&vcpu);
	assert_int_equal(world.task.rip, 0x1234);
	assert_int_equal(world.task.rflags, 0x4206);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(vcpu.gpr[i],
			i == X86_RSP ? 0xffff0000u | STACK : 0xffff0000u | 0x2020u * (i + 1));
	assert_int_equal(world.task.segments[X86_SEG_FS].selector, 0);
	assert_int_equal(world.task.segments[X86_SEG_GS].attributes, 0);
	assert_int_equal(world.task.tr.attributes, BUSY_16);
	assert_int_equal(world_load(NEW_TSS, 2), OLD);
	assert_int_equal(world.root, 0);
}

static void a_16_bit_task_is_saved(void **state)
{
	(void)state;
	world.task.tr = (struct vendor_segment){OLD, BUSY_16, 0x2b, OLD_TSS};
	exit_task_switch(&vcpu);
	assert_int_equal(world_load(OLD_TSS + 0x0e, 2), 0x8007);
	assert_int_equal(world_load(OLD_TSS + 0x10, 2), 0x4202);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(
			world_load(OLD_TSS + 0x12 + 2 * i, 2), (0x0101u * (i + 1)) & 0xffff);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(world_load(OLD_TSS + 0x22 + 2 * i, 2), 0x100 + 8 * i);
	assert_int_equal(world_load(OLD_TSS + 0x2a, 2), 0);
}

/* SDM 3A "Effect of a Task Switch on Busy Flag, NT Flag, Previous Task Link Field, and TS Flag". */
static void busy_nt_and_link_by_cause(void **state)
{
	static const struct {
		enum vendor_task_cause cause;
		bool old_busy, links, nt, old_nt;
	} rows[] = {
		{TASK_JMP, false, false, false, true},
		{TASK_CALL, true, true, true, true},
		{TASK_GATE, true, true, true, true},
		{TASK_IRET, false, false, false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_reset(state);
		if (rows[i].cause == TASK_IRET)
			world_iret();
		if (rows[i].cause == TASK_GATE)
			world_gate(EVENT_INTERRUPT, 0x41);
		world.asked.cause = rows[i].cause;
		exit_task_switch(&vcpu);
		expect_fault(0, 0);
		assert_int_equal(world_access_byte(OLD) & BUSY, rows[i].old_busy ? BUSY : 0);
		assert_int_equal(world_access_byte(NEW) & BUSY, BUSY);
		assert_int_equal(world_load(NEW_TSS, 2), rows[i].links ? OLD : 0);
		assert_int_equal(!!(world.task.rflags & X86_RFLAGS_NT), rows[i].nt);
		assert_int_equal(!!(world_load(OLD_TSS + 0x24, 4) & X86_RFLAGS_NT), rows[i].old_nt);
		assert_int_equal(world.unblocked, rows[i].cause == TASK_IRET);
	}
}

/* ---- where the old task goes on ---- */

static void events_save_the_interrupted_place(void **state)
{
	(void)state;
	world_gate(EVENT_EXCEPTION, X86_PF);
	world.asked.rf = true;
	exit_task_switch(&vcpu);
	assert_int_equal(world_load(OLD_TSS + 0x20, 4), 0x8000);
	assert_true(world_load(OLD_TSS + 0x24, 4) & X86_RFLAGS_RF);
}

static void int_n_saves_the_next_instruction(void **state)
{
	(void)state;
	world_gate(EVENT_SOFTWARE, 0x80);
	world.insn_length = 2;
	exit_task_switch(&vcpu);
	assert_int_equal(world_load(OLD_TSS + 0x20, 4), 0x8002);
}

/* ---- error codes of exceptions ---- */

static void an_error_code_is_pushed(void **state)
{
	(void)state;
	world_gate(EVENT_EXCEPTION, X86_PF);
	world.asked.has_error = true;
	world.asked.error_code = 0x12345678;
	exit_task_switch(&vcpu);
	assert_int_equal(vcpu.gpr[X86_RSP], STACK - 4);
	assert_int_equal(world_load(STACK - 4, 4), 0x12345678);
	world_reset(state);
	world_make_new_tss_16();
	world_describe(DATA, 0, 0xffff, 0x93, 0);
	world_gate(EVENT_EXCEPTION, X86_PF);
	world.asked.has_error = true;
	world.asked.error_code = 0x12345678;
	exit_task_switch(&vcpu);
	assert_int_equal(vcpu.gpr[X86_RSP], 0xffff0000u | (STACK - 2));
	assert_int_equal(world_load(STACK - 2, 2), 0x5678);
	assert_int_equal(world_load(STACK - 4, 2), 0);
}

static void a_stack_without_room_is_ss(void **state)
{
	(void)state;
	world_gate(EVENT_EXCEPTION, X86_PF);
	world.asked.has_error = true;
	world_describe(DATA, 0, STACK - 2, 0x93, 4);
	exit_task_switch(&vcpu);
	expect_fault(X86_SS, 1);
	assert_int_equal(world.task.tr.selector, NEW);
	/* An expand-down segment has its bytes above the limit. */
	world_reset(state);
	world_gate(EVENT_EXCEPTION, X86_PF);
	world.asked.has_error = true;
	world_describe(DATA, 0, STACK - 4, 0x97, 4);
	exit_task_switch(&vcpu);
	expect_fault(X86_SS, 1);
	world_reset(state);
	world_gate(EVENT_EXCEPTION, X86_PF);
	world.asked.has_error = true;
	world_describe(DATA, 0, STACK - 5, 0x97, 4);
	exit_task_switch(&vcpu);
	expect_fault(0, 0);
}

static void a_user_task_pushes_as_user(void **state)
{
	(void)state;
	world_gate(EVENT_EXCEPTION, X86_PF);
	world.asked.has_error = true;
	for (unsigned i = 0; i < 6; i++)
		world_store(NEW_TSS + 0x48 + 4 * i, i == X86_SEG_CS ? CODE_3 : DATA_3, 2);
	world.missing[(STACK - 4) >> X86_PAGE_SHIFT] = true;
	exit_task_switch(&vcpu);
	expect_fault(X86_PF, X86_PF_U | X86_PF_W);
	assert_int_equal(world.injected.gva, STACK - 4);
	assert_int_equal(world.task.cpl, 3);
}

/* ---- nothing changes before the commit point ---- */

static void a_fault_before_the_commit_point_changes_nothing(void **state)
{
	static const struct {
		unsigned page;
		bool missing;
		enum vendor_task_cause cause;
		uint32_t error;
	} rows[] = {
		{GDT >> 12, true, TASK_CALL, 0},
		{GDT >> 12, false, TASK_JMP, X86_PF_W | X86_PF_P},
		{OLD_TSS >> 12, true, TASK_CALL, X86_PF_W},
		{OLD_TSS >> 12, false, TASK_IRET, X86_PF_W | X86_PF_P},
		{NEW_TSS >> 12, true, TASK_JMP, 0},
		{NEW_TSS >> 12, false, TASK_CALL, X86_PF_W | X86_PF_P},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static uint8_t before[RAM_BYTES];
		struct vendor_task task;

		world_reset(state);
		if (rows[i].cause == TASK_IRET)
			world_iret();
		world.asked.cause = rows[i].cause;
		memcpy(before, world.ram, RAM_BYTES);
		task = world.task;
		if (rows[i].missing)
			world.missing[rows[i].page] = true;
		else
			world.read_only[rows[i].page] = true;
		exit_task_switch(&vcpu);
		expect_fault(X86_PF, rows[i].error);
		assert_int_equal(world.injected.gva >> 12, rows[i].page);
		assert_memory_equal(before, world.ram, RAM_BYTES);
		assert_memory_equal(&task, &world.task, sizeof(task));
		assert_int_equal(vcpu.gpr[0], 0x01010101u);
		assert_int_equal(world.root, 0);
		assert_false(world.done);
	}
}

static void a_read_only_new_tss_will_do_for_jmp_and_iret(void **state)
{
	(void)state;
	world.asked.cause = TASK_JMP;
	world.read_only[NEW_TSS >> 12] = true;
	exit_task_switch(&vcpu);
	expect_fault(0, 0);
}

/* Its stacks and CR3, before the fields that are saved, are in a page that is not even there. */
static void only_what_is_saved_must_be_writable(void **state)
{
	(void)state;
	world.task.tr.base = OLD_TSS - 0x20;
	world.missing[(OLD_TSS >> 12) - 1] = true;
	/* The GDT is in that page too: move it. */
	world.gdt = 0x4000;
	memcpy(world.ram + world.gdt, world.ram + GDT, 0x50);
	exit_task_switch(&vcpu);
	expect_fault(0, 0);
	assert_int_equal(world_load(OLD_TSS, 4), 0x8007);
}

static void tables_that_are_refused_change_nothing(void **state)
{
	(void)state;
	world.bad_root = true;
	exit_task_switch(&vcpu);
	expect_fault(X86_GP, 0);
	assert_int_equal(world.task.tr.selector, OLD);
	assert_int_equal(world_access_byte(NEW), AVAILABLE_32);
	assert_int_equal(world_load(OLD_TSS + 0x20, 4), 0);
}

static void equal_tables_are_not_loaded(void **state)
{
	(void)state;
	world_store(NEW_TSS + 0x1c, 0x6000, 4);
	exit_task_switch(&vcpu);
	assert_int_equal(world.root, 0);
	world_reset(state);
	vcpu.regs.cr0 = X86_CR0_PE;
	exit_task_switch(&vcpu);
	assert_int_equal(world.root, 0);
	assert_int_equal(vcpu.regs.cr3, 0x6000);
}

/* ---- the descriptor of the TSS ---- */

static void the_tss_is_checked(void **state)
{
	static const struct {
		enum vendor_task_cause cause;
		unsigned selector, access, limit;
		unsigned vector, error;
	} rows[] = {
		{TASK_CALL, NEW, BUSY_32, 0x67, X86_GP, NEW},
		{TASK_JMP, NEW, BUSY_32, 0x67, X86_GP, NEW},
		{TASK_GATE, NEW, BUSY_32, 0x67, X86_GP, NEW | 1},
		{TASK_IRET, NEW, AVAILABLE_32, 0x67, X86_TS, NEW},
		{TASK_CALL, NEW, 0x82, 0x67, X86_GP, NEW}, /* an LDT */
		{TASK_CALL, NEW, 0x99, 0x67, X86_GP, NEW}, /* code */
		{TASK_CALL, NEW, 0x09, 0x67, X86_NP, NEW},
		{TASK_IRET, NEW, 0x0b, 0x67, X86_NP, NEW},
		{TASK_CALL, NEW, AVAILABLE_32, 0x66, X86_TS, NEW},
		{TASK_CALL, NEW, AVAILABLE_16, 0x2a, X86_TS, NEW},
		{TASK_CALL, NEW | 4, AVAILABLE_32, 0x67, X86_GP, NEW | 4},
		{TASK_CALL, 0x50, AVAILABLE_32, 0x67, X86_GP, 0x50},
		{TASK_IRET, 0x50, AVAILABLE_32, 0x67, X86_TS, 0x50},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_reset(state);
		if (rows[i].cause == TASK_GATE)
			world_gate(EVENT_EXCEPTION, X86_UD);
		world.asked.cause = rows[i].cause;
		world.asked.selector = (uint16_t)rows[i].selector;
		world_describe(NEW, NEW_TSS, rows[i].limit, rows[i].access, 0);
		exit_task_switch(&vcpu);
		expect_fault(rows[i].vector, rows[i].error);
		assert_int_equal(world.task.tr.selector, OLD);
		assert_int_equal(world_access_byte(NEW), rows[i].access);
	}
}

static void a_short_old_tss_is_ts(void **state)
{
	(void)state;
	world.task.tr.limit = 0x5c;
	exit_task_switch(&vcpu);
	expect_fault(X86_TS, OLD);
	assert_int_equal(world.task.tr.selector, OLD);
}

/* ---- the new task's segments ---- */

static void segments_are_checked_in_the_new_task(void **state)
{
	static const struct {
		unsigned field; /* offset in the TSS */
		unsigned selector, access;
		unsigned vector, error;
	} rows[] = {
		{0x60, SPARE, 0x93, X86_TS, SPARE}, /* LDT: data */
		{0x60, SPARE, 0x02, X86_TS, SPARE}, /* LDT: not present */
		{0x60, SPARE | 4, 0x82, X86_TS, SPARE | 4}, {0x4c, 0, 0, X86_TS, 0}, /* CS */
		{0x4c, SPARE, 0x93, X86_TS, SPARE}, {0x4c, SPARE, 0xfb, X86_TS, SPARE},
		{0x4c, SPARE, 0xff, X86_TS, SPARE}, /* conforming, DPL 3 */
		{0x4c, SPARE, 0x1b, X86_NP, SPARE}, {0x4c, 0x50, 0, X86_TS, 0x50},
		{0x4c, SPARE | 4, 0, X86_TS, SPARE | 4}, {0x50, 0, 0, X86_TS, 0}, /* SS */
		{0x50, SPARE, 0x91, X86_TS, SPARE}, {0x50, SPARE, 0x9b, X86_TS, SPARE},
		{0x50, SPARE, 0xf3, X86_TS, SPARE}, {0x50, SPARE | 3, 0x93, X86_TS, SPARE},
		{0x50, SPARE, 0x13, X86_SS, SPARE}, {0x48, SPARE, 0x89, X86_TS, SPARE},     /* ES */
		{0x54, SPARE, 0x99, X86_TS, SPARE},                                         /* DS */
		{0x54, SPARE | 3, 0x93, X86_TS, SPARE}, {0x58, SPARE, 0x13, X86_NP, SPARE}, /* FS */
		{0x5c, 0x50, 0, X86_TS, 0x50},                                              /* GS */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_reset(state);
		world_store(NEW_TSS + rows[i].field, rows[i].selector, 2);
		world_describe(SPARE, 0, 0xfffff, rows[i].access, 0xc);
		exit_task_switch(&vcpu);
		expect_fault(rows[i].vector, rows[i].error);
		assert_int_equal(world.task.tr.selector, NEW);
		assert_int_equal(world.task.rip, 0x401000);
		assert_int_equal(world_access_byte(NEW), BUSY_32);
		assert_int_equal(world.root, 0x7000);
	}
}

static void a_task_without_code_or_stack_gets_one_for_its_exception(void **state)
{
	(void)state;
	world_store(NEW_TSS + 0x50, 0, 2);
	exit_task_switch(&vcpu);
	assert_int_equal(world.task.cpl, 3);
	assert_int_equal(SEGMENT_DPL(world.task.segments[X86_SEG_CS].attributes), 3);
	assert_int_equal(world.task.segments[X86_SEG_CS].selector, CODE);
	assert_false(world.task.segments[X86_SEG_SS].attributes & SEGMENT_PRESENT);
}

static void some_segments_need_not_match(void **state)
{
	static const struct {
		unsigned field, selector, access;
	} rows[] = {
		{0x54, 0, 0},            /* DS null */
		{0x58, 3, 0},            /* FS null with an RPL */
		{0x54, SPARE, 0x9b},     /* readable code */
		{0x54, SPARE | 3, 0x9f}, /* conforming: any RPL */
		{0x4c, SPARE, 0x9f},     /* conforming code */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_reset(state);
		world_store(NEW_TSS + rows[i].field, rows[i].selector, 2);
		world_describe(SPARE, 0, 0xfffff, rows[i].access, 0xc);
		exit_task_switch(&vcpu);
		expect_fault(0, 0);
	}
}

static void accessed_bits_are_set(void **state)
{
	(void)state;
	world_describe(CODE, 0, 0xfffff, 0x9a, 0xc);
	world_describe(DATA, 0, 0xfffff, 0x92, 0xc);
	exit_task_switch(&vcpu);
	assert_int_equal(world_access_byte(CODE), 0x9b);
	assert_int_equal(world_access_byte(DATA), 0x93);
	assert_int_equal(world.task.segments[X86_SEG_CS].attributes, 0xc9b);
	assert_int_equal(world.task.segments[X86_SEG_SS].attributes, 0xc93);
}

static void segments_come_from_the_new_ldt(void **state)
{
	(void)state;
	world_describe(LDT, 0x4000, 0x0f, 0x82, 0);
	world_store(NEW_TSS + 0x60, LDT, 2);
	world_store(0x4008, 0x00cf9b000000ffffull, 8);
	world_store(NEW_TSS + 0x4c, 1 << 3 | 4, 2);
	exit_task_switch(&vcpu);
	expect_fault(0, 0);
	assert_int_equal(world.task.ldtr.selector, LDT);
	assert_int_equal(world.task.ldtr.base, 0x4000);
	assert_int_equal(world.task.segments[X86_SEG_CS].selector, 1 << 3 | 4);
	world_reset(state);
	world_describe(LDT, 0x4000, 0x0e, 0x82, 0); /* one byte too short */
	world_store(0x4008, 0x00cf9b000000ffffull, 8);
	world_store(NEW_TSS + 0x60, LDT, 2);
	world_store(NEW_TSS + 0x4c, 1 << 3 | 4, 2);
	exit_task_switch(&vcpu);
	expect_fault(X86_TS, 1 << 3 | 4);
}

static void virtual_8086_segments_have_no_descriptors(void **state)
{
	(void)state;
	world_store(NEW_TSS + 0x24, X86_RFLAGS_VM | 2, 4);
	world_store(NEW_TSS + 0x20, 0x100, 4);
	world_store(NEW_TSS + 0x4c, 0x1234, 2);
	exit_task_switch(&vcpu);
	expect_fault(0, 0);
	assert_int_equal(world.task.cpl, 3);
	assert_int_equal(world.task.segments[X86_SEG_CS].base, 0x12340);
	assert_int_equal(world.task.segments[X86_SEG_CS].limit, 0xffff);
	assert_int_equal(world.task.segments[X86_SEG_CS].attributes, 0xf3);
}

static void eip_is_within_its_segment(void **state)
{
	(void)state;
	world_describe(CODE, 0, 0x1000, 0x9b, 4);
	world_store(NEW_TSS + 0x20, 0x1000, 4);
	exit_task_switch(&vcpu);
	expect_fault(0, 0);
	world_reset(state);
	world_describe(CODE, 0, 0xfff, 0x9b, 4);
	world_store(NEW_TSS + 0x20, 0x1000, 4);
	exit_task_switch(&vcpu);
	expect_fault(X86_GP, 0);
	assert_int_equal(world.task.tr.selector, NEW);
}

static void the_trap_bit_is_reported(void **state)
{
	(void)state;
	world_store(NEW_TSS + 0x64, 1, 2);
	exit_task_switch(&vcpu);
	assert_int_equal(world.dr6, X86_DR6_BT);
	world_reset(state);
	exit_task_switch(&vcpu);
	assert_int_equal(world.dr6, 0);
}

#define T(test) cmocka_unit_test_setup(test, world_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_old_task_is_saved),
		T(upper_halves_of_saved_selectors_stay),
		T(the_new_task_is_loaded),
		T(a_16_bit_task_is_loaded),
		T(a_16_bit_task_is_saved),
		T(busy_nt_and_link_by_cause),
		T(events_save_the_interrupted_place),
		T(int_n_saves_the_next_instruction),
		T(an_error_code_is_pushed),
		T(a_stack_without_room_is_ss),
		T(a_user_task_pushes_as_user),
		T(a_fault_before_the_commit_point_changes_nothing),
		T(a_read_only_new_tss_will_do_for_jmp_and_iret),
		T(only_what_is_saved_must_be_writable),
		T(tables_that_are_refused_change_nothing),
		T(equal_tables_are_not_loaded),
		T(the_tss_is_checked),
		T(a_short_old_tss_is_ts),
		T(segments_are_checked_in_the_new_task),
		T(a_task_without_code_or_stack_gets_one_for_its_exception),
		T(some_segments_need_not_match),
		T(accessed_bits_are_set),
		T(segments_come_from_the_new_ldt),
		T(virtual_8086_segments_have_no_descriptors),
		T(eip_is_within_its_segment),
		T(the_trap_bit_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
