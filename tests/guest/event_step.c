/* SPDX-License-Identifier: MIT */
/*
 * Single steps and breakpoints over instructions that a hypervisor may do for the guest; and the
 * interrupt shadow. SDM 3B "Debug Exceptions"; SDM 3A "Masking Exceptions and Interrupts When
 * Switching Stacks"; SDM 2 "STI - Set Interrupt Flag".
 */
#include "tests/guest/event.h"

#define DR6_NOTHING 0xffff0ff0u
#define DR7_NOTHING 0x400u
#define B0          1u
/* DR7 with L0 and breakpoint 0 on these. */
#define DR7_ON(rw, len) (DR7_NOTHING | 1u | (rw) << 16 | (len) << 18)
#define ON_WRITE        1u
#define ON_PORT         2u
#define ON_ACCESS       3u
#define LEN_1           0u
#define LEN_4           3u

/* Where the hypervisor lies above a guest of 128 MiB: for the guest there is no memory there, and
 * its stores are done for it. */
#define ABSENT 0x8100000u

#define SYSTEM_PORT 0x92
#define LONG        (sizeof(word) == 8)

static void write_dr0(word address)
{
	__asm__ volatile("mov %0, %%db0" : : "r"(address));
}

static void write_dr7(word dr7)
{
	__asm__ volatile("mov %0, %%db7" : : "r"(dr7));
}

static void write_dr6(word dr6)
{
	__asm__ volatile("mov %0, %%db6" : : "r"(dr6));
}

static word read_dr6(void)
{
	word dr6;

	__asm__ volatile("mov %%db6, %0" : "=r"(dr6));
	return dr6;
}

/* What a store of DI goes to. */
enum target { TO_RAM, TO_TABLE, TO_ABSENT };

static word target_gva(enum target target)
{
	struct path path;

	switch (target) {
	case TO_TABLE:
		/* An entry that says nothing, of an upper table in use, by another mapping. */
		path = path_make(test_gva(0), 1, phys(frame_new()) | X86_PTE_P | X86_PTE_W);
		expect_done("use", attempt(OP_READ, KERNEL, test_gva(0), 0));
		path_make(test_gva(1), 1,
			((word)path.entry[2] & ~(word)(X86_PAGE_SIZE - 1)) | X86_PTE_P | X86_PTE_W);
		return test_gva(1) + (((word)path.entry[2] + 64) & (X86_PAGE_SIZE - 1));
	case TO_ABSENT:
		path_make(test_gva(2), 1, (uint64_t)ABSENT | X86_PTE_P | X86_PTE_W);
		return test_gva(2);
	case TO_RAM:
		break;
	}
	path_make(test_gva(3), 1, phys(frame_new()) | X86_PTE_P | X86_PTE_W);
	return test_gva(3);
}

/* ---- TF ---- */

struct step {
	const char *what;
	const char *code;
	unsigned n_bytes; /* of the instruction; 0: it repeats */
	unsigned modes;
	enum target target;
};

static const struct step steps[] = {
	{"NOP", event_nop, 1, IN_ALL, TO_RAM},
	{"CPUID", event_cpuid, 2, IN_ALL, TO_RAM},
	{"MOV from CR0", event_read_cr0, 3, IN_ALL, TO_RAM},
	{"MOV to CR3", event_write_cr3, 3, IN_PAGED, TO_RAM},
	{"IN", event_in, 2, IN_ALL, TO_RAM},
	{"OUT", event_out, 2, IN_ALL, TO_RAM},
	{"INVLPG", event_invlpg, 3, IN_PAGED, TO_RAM},
	{"SMSW", event_smsw, 3, IN_PAGED, TO_RAM},
	{"store to RAM", event_store, LONG ? 3 : 2, IN_PAGED, TO_RAM},
	{"store to a table", event_store, LONG ? 3 : 2, IN_PAGED, TO_TABLE},
	{"store to nothing", event_store, LONG ? 3 : 2, IN_PAGED, TO_ABSENT},
	{"REP STOS to RAM", event_stos, 0, IN_PAGED, TO_RAM},
	{"REP STOS to a table", event_stos, 0, IN_PAGED, TO_TABLE},
	{"REP STOS to nothing", event_stos, 0, IN_PAGED, TO_ABSENT},
};

static struct probe step_probe(const struct step *step)
{
	struct probe probe = event_probe(step->code, KERNEL);

	probe.ax = port_in8(SYSTEM_PORT) & ~1u;
	probe.cx = 3;
	probe.si = (word)read_cr3();
	if (mode->levels > 0)
		probe.di = target_gva(step->target);
	return probe;
}

static void single_steps(void)
{
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *step = &steps[i];
		struct probe probe;
		word start;

		if (!(step->modes & IN(mode->id)))
			continue;
		mode_reset();
		probe = step_probe(step);
		probe.flags |= X86_RFLAGS_TF;
		start = probe.ip;
		write_dr6(DR6_NOTHING);
		given("step", i);
		probe_run(&probe);
		expect_equal(step->what, X86_DB, probe.vector);
		expect_equal("IP", start + step->n_bytes, probe.ip);
		expect_equal("DR6", DR6_NOTHING | X86_DR6_BS, read_dr6());
		/* Between two rounds it is set; TCG clears it there, too. */
		if (step->n_bytes > 0)
			expect_true("RF is clear", !(probe.flags & X86_RFLAGS_RF));
		expect_true("TF is set", probe.flags & X86_RFLAGS_TF);
		if (step->n_bytes == 0)
			expect_equal("rounds that are left", 2, probe.cx);
	}
}

/* ---- breakpoints ---- */

static void data_breakpoints(void)
{
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *step = &steps[i];
		struct probe probe;
		word start;

		if (step->code != event_store && step->code != event_stos &&
			step->code != event_smsw)
			continue;
		mode_reset();
		probe = step_probe(step);
		start = probe.ip;
		write_dr0(probe.di);
		write_dr6(DR6_NOTHING);
		write_dr7(DR7_ON(ON_WRITE, LEN_1));
		given("step", i);
		probe_run(&probe);
		write_dr7(DR7_NOTHING);
		expect_equal(step->what, X86_DB, probe.vector);
		expect_equal("IP", start + step->n_bytes, probe.ip);
		expect_equal("DR6", DR6_NOTHING | B0, read_dr6());
	}
}

static void port_breakpoints(void)
{
	struct probe probe = event_probe(event_in, KERNEL);
	word start = probe.ip;

	write_cr4(read_cr4() | X86_CR4_DE);
	write_dr0(0x64);
	write_dr6(DR6_NOTHING);
	write_dr7(DR7_ON(ON_PORT, LEN_1));
	probe_run(&probe);
	write_dr7(DR7_NOTHING);
	expect_equal("IN", X86_DB, probe.vector);
	expect_equal("IP", start + 2, probe.ip);
	expect_equal("DR6", DR6_NOTHING | B0, read_dr6());
}

/* A breakpoint on an instruction comes before it, and not again with RF. */
static void code_breakpoints(void)
{
	struct probe probe = event_probe(event_cpuid, KERNEL);
	word start = probe.ip;

	write_dr0(start);
	write_dr6(DR6_NOTHING);
	write_dr7(DR7_ON(0u, LEN_1));
	probe_run(&probe);
	expect_equal("CPUID", X86_DB, probe.vector);
	expect_equal("IP", start, probe.ip);
	expect_equal("DR6", DR6_NOTHING | B0, read_dr6());
	probe = event_probe(event_cpuid, KERNEL);
	probe.flags |= X86_RFLAGS_RF;
	probe_run(&probe);
	write_dr7(DR7_NOTHING);
	expect_equal("with RF", TRAP_DONE, probe.vector);
}

static void resume_flag(void)
{
	struct probe probe = event_probe(event_cpuid, KERNEL);

	probe.flags |= X86_RFLAGS_RF;
	probe_run(&probe);
	expect_equal("it came to its end", TRAP_DONE, probe.vector);
	expect_true("RF is clear after an instruction", !(probe.flags & X86_RFLAGS_RF));
}

/* ---- the shadow of STI ---- */

#define STI      0xfb
#define NOP      0x90
#define CPUID_0F 0x0f
#define CPUID_A2 0xa2
#define PAGE_0   10 /* of test_gva() */

/* Code that ends its first page with @first; then @second in a page that is new to the hypervisor.
 */
static word shadow_code(const uint8_t *first, unsigned n_first, const uint8_t *second)
{
	uint8_t *frames[2];
	struct path path;

	for (unsigned i = 0; i < 2; i++) {
		frames[i] = frame_new();
		memory_fill(frames[i], NOP * 0x01010101u, X86_PAGE_SIZE);
		path = path_make(test_gva(PAGE_0 + i), 1, phys(frames[i]) | X86_PTE_P);
	}
	for (unsigned i = 0; i < n_first; i++)
		frames[0][X86_PAGE_SIZE - n_first + i] = first[i];
	frames[1][0] = second[0];
	frames[1][1] = second[1];
	path_set(&path, 1, 0);
	invlpg(test_gva(PAGE_0 + 1));
	path_set(&path, 1, phys(frames[1]) | X86_PTE_P);
	return test_gva(PAGE_0 + 1);
}

static void expect_shadow(const char *what, const uint8_t *first, unsigned n_first,
	const uint8_t *second, unsigned n_second, word flags)
{
	struct probe probe = event_probe(event_nop, KERNEL);
	word next = shadow_code(first, n_first, second);

	/* The interrupt waits from the beginning on, if IF is set only by STI. */
	probe.ip = next - n_first;
	probe.flags |= flags;
	probe.ax = 0;
	apic_interrupt();
	probe_run(&probe);
	apic_end();
	expect_equal(what, EVENT_IRQ, probe.vector);
	expect_equal("IP", next + n_second, probe.ip);
}

static void interrupt_shadow(void)
{
	static const uint8_t sti[] = {STI};
	static const uint8_t nop[] = {NOP, NOP};
	static const uint8_t cpuid_code[] = {CPUID_0F, CPUID_A2};

	apic_begin();
	expect_shadow("STI, then a page that is new", sti, 1, nop, 1, 0);
	expect_shadow("STI, then CPUID", sti, 1, cpuid_code, 2, 0);
}

static const struct test tests[] = {
	{.name = "event_single_step", .modes = IN_ALL, .run = single_steps},
	{.name = "event_data_breakpoint", .modes = IN_PAGED, .run = data_breakpoints},
	{.name = "event_port_breakpoint", .modes = IN_ALL, .run = port_breakpoints},
	{.name = "event_code_breakpoint", .modes = IN_ALL, .run = code_breakpoints},
	{.name = "event_resume_flag",
		.modes = IN_ALL,
		.run = resume_flag,
		.departs_in = ROWS_EMULATOR,
		.departs = "TCG keeps RF to the end of its translated block"},
	{.name = "event_interrupt_shadow", .modes = IN_PAGED, .run = interrupt_shadow},
};
GROUP(group_event_step, tests);
