/* SPDX-License-Identifier: MIT */
/*
 * Delivery of events: nothing is lost, nothing repeated when a shadow table faults on the way; and
 * what comes of a guest's own fault on the way. SDM 3A "Interrupt and Exception Handling".
 */
#include "tests/guest/event.h"

#define SELECTOR_BAD 0xfff8u
#define FLAG_OF      (1u << 11)
#define OVERFLOW     4u
#define IN_IDT       2u /* of an error code */

enum cause { BY_CODE, BY_INTERRUPT, BY_NMI };

struct event {
	const char *what;
	const char *code;
	enum cause cause;
	unsigned vector;
	uint32_t error;
	unsigned n_bytes; /* that the instruction is done with: traps */
	word flags;
	word si;
};

static const struct event events[] = {
	{"INT n", event_int, BY_CODE, EVENT_INT, 0, 2, 0, 0},
	{"INT3", event_int3, BY_CODE, X86_BP, 0, 1, 0, 0},
#ifndef __x86_64__
	{"INTO", event_into, BY_CODE, OVERFLOW, 0, 1, FLAG_OF, 0},
#endif
	{"#UD", event_undefined, BY_CODE, X86_UD, 0, 0, 0, 0},
	{"#DE", event_divide, BY_CODE, X86_DE, 0, 0, 0, 0},
	{"#GP", event_load_null, BY_CODE, X86_GP, SELECTOR_BAD, 0, 0, SELECTOR_BAD},
	{"#PF", event_read, BY_CODE, X86_PF, 0, 0, 0, 0},
	{"#DB", event_nop, BY_CODE, X86_DB, 0, 1, X86_RFLAGS_TF, 0},
	{"interrupt", event_nop, BY_INTERRUPT, EVENT_IRQ, 0, 0, X86_RFLAGS_IF, 0},
	{"NMI", event_nmi, BY_NMI, X86_NMI, 0, 0, 0, 0},
};
#define N_EVENTS (sizeof(events) / sizeof(events[0]))

/* Where no event leaves anything: an address without a page. */
#define NOWHERE test_gva(60)

static struct probe probe_event(const struct event *event, enum who who)
{
	struct probe probe = event_probe(event->code, who);

	probe.flags |= event->flags;
	probe.si = event->si;
	probe.di = NOWHERE;
	probe.cx = 0;
	probe.ax = 1;
	if (event->cause == BY_NMI)
		apic_nmi_probe(&probe);
	return probe;
}

static void open_gates(void)
{
	trap_set(EVENT_INT, trap_stub(EVENT_INT), 3, 1);
	trap_set(X86_BP, trap_stub(X86_BP), 3, 1);
	trap_set(OVERFLOW, trap_stub(OVERFLOW), 3, 1);
}

static void expect_event(const struct event *event, enum who who, const struct probe *before,
	const struct probe *after)
{
	uint32_t error = event->error;

	if (event->vector == X86_PF)
		error = who == USER ? X86_PF_U : 0;
	expect_equal(event->what, event->vector, after->vector);
	expect_equal("error code", error, after->error);
	/* An NMI comes when it comes. */
	if (event->cause != BY_NMI)
		expect_equal("IP", before->ip + event->n_bytes, after->ip);
	expect_equal("SP", before->sp, after->sp);
	if (event->vector == X86_PF)
		expect_equal("CR2", NOWHERE, after->cr2);
}

/* No event is left: code with interrupts enabled runs to its end. */
static void expect_nothing_left(void)
{
	struct probe probe = event_probe(event_done, KERNEL);

	probe.flags |= X86_RFLAGS_IF;
	probe_run(&probe);
	expect_equal("a second event", TRAP_DONE, probe.vector);
}

/* @who is interrupted on memory of @which that the shadow tables do not have. */
static void deliver(const struct event *event, enum who who, unsigned which)
{
	struct probe probe = probe_event(event, who);
	struct probe before;

	/* In the 32-bit world a stack of the user's own is not used for delivery. */
	if (who == KERNEL)
		fresh_again(&probe.sp);
	else
		fresh_again(&(word){0});
	before = probe;
	given("event", (uint64_t)(event - events));
	given("user", who == USER);
	given("fresh", which);
	if (event->cause == BY_INTERRUPT)
		apic_interrupt();
	probe_run(&probe);
	if (event->cause == BY_INTERRUPT)
		apic_end();
	expect_event(event, who, &before, &probe);
	expect_nothing_left();
}

static void shadow_faults(void)
{
	for (unsigned which = 1; which <= FRESH_ALL; which++) {
		mode_reset();
		apic_begin();
		open_gates();
		fresh_begin(which);
		for (unsigned i = 0; i < N_EVENTS; i++) {
			/* The user has no access to the APIC. */
			deliver(&events[i], KERNEL, which);
			if (events[i].cause != BY_NMI)
				deliver(&events[i], USER, which);
		}
	}
}

/* ---- faults of the guest's own tables during delivery ---- */

/* Gates from vector 0x20 on are in a page that is not there. */
static void no_idt(void)
{
	static const unsigned which[] = {0, N_EVENTS - 2};

	apic_begin();
	open_gates();
	fresh_begin(FRESH_IDT);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned user = 0; user < 2; user++) {
			const struct event *event = &events[which[i]];
			struct probe probe = probe_event(event, user ? USER : KERNEL);
			struct probe before = probe;

			fresh_remove_idt();
			if (event->cause == BY_INTERRUPT)
				apic_interrupt();
			given("event", which[i]);
			given("user", user);
			probe_run(&probe);
			if (event->cause == BY_INTERRUPT)
				apic_end();
			expect_equal("vector", X86_PF, probe.vector);
			expect_equal("a read by the processor", 0, probe.error);
			expect_equal("CR2", fresh_idt_entry(event->vector), probe.cr2);
			expect_equal("IP", before.ip, probe.ip);
		}
	}
}

/* The stack of the first handler is missing, that of #PF and #DF is not: IST2. */
#define IST2_OFFSET 44u

static void no_stack(void)
{
	for (unsigned i = 0; i < N_EVENTS; i++) {
		const struct event *event = &events[i];
		bool is_fault = event->vector == X86_PF;
		word good;
		struct probe probe;

		/* An NMI that is not delivered blocks the next one. */
		if (event->cause == BY_NMI)
			continue;
		mode_reset();
		apic_begin();
		open_gates();
		good = (word)frame_new() + X86_PAGE_SIZE;
		memory_copy(tss + IST2_OFFSET, &good, sizeof(good));
		trap_set(is_fault ? X86_DF : X86_PF, trap_stub(is_fault ? X86_DF : X86_PF), 0, 2);
		fresh_begin(FRESH_STACK);
		fresh_remove_stack();
		probe = probe_event(event, USER);
		if (event->cause == BY_INTERRUPT)
			apic_interrupt();
		given("event", i);
		probe_run(&probe);
		if (event->cause == BY_INTERRUPT)
			apic_end();
		expect_equal("vector", is_fault ? X86_DF : X86_PF, probe.vector);
		expect_equal("error code", is_fault ? 0 : X86_PF_W, probe.error);
		expect_equal("CR2", fresh_stack_page() + X86_PAGE_SIZE - sizeof(word), probe.cr2);
	}
}

static void close_gate(unsigned vector)
{
	idt[vector * (sizeof(word) * 2 / 4) + 1] &= ~0x8000u;
}

/* #NP by a gate that is not present, while an event is delivered. */
static void bad_gate(void)
{
	static const struct {
		unsigned event; /* row of events[], by its vector */
		unsigned expected;
	} rows[] = {
		{EVENT_INT, X86_NP},
		{X86_UD, X86_NP},
		{X86_DE, X86_DF},
		{X86_GP, X86_DF},
		{X86_PF, X86_DF},
		{EVENT_IRQ, X86_NP},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct event *event = events;
		struct probe probe;

		while (event->vector != rows[i].event)
			event++;
		mode_reset();
		apic_begin();
		open_gates();
		close_gate(event->vector);
		fresh_begin(mode->levels > 0 ? FRESH_ALL & ~FRESH_IDT : 0);
		probe = probe_event(event, USER);
		if (mode->levels == 0)
			probe = probe_event(event, KERNEL);
		else
			fresh_again(&(word){0});
		if (event->cause == BY_INTERRUPT)
			apic_interrupt();
		given("event", (uint64_t)(event - events));
		probe_run(&probe);
		if (event->cause == BY_INTERRUPT)
			apic_end();
		expect_equal("vector", rows[i].expected, probe.vector);
		if (rows[i].expected == X86_DF)
			expect_equal("error code", 0, probe.error);
		/* TCG counts by 16 in 64-bit code, and has no EXT. */
		else if (row_in(ROWS(ROW_SHADOW)))
			expect_equal("error code",
				event->vector << 3 | IN_IDT | (event->code != event_int),
				probe.error);
	}
}

static const struct test tests[] = {
	{.name = "event_shadow_faults", .modes = IN_PAGED, .run = shadow_faults},
	{.name = "event_no_idt", .modes = IN_PAGED, .run = no_idt},
	{.name = "event_no_stack", .modes = IN_LONG, .run = no_stack},
	{.name = "event_bad_gate", .modes = IN_PAGED, .run = bad_gate},
};
GROUP(group_event_delivery, tests);
