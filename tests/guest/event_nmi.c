/* SPDX-License-Identifier: MIT */
/*
 * NMI: once, not nested before an IRET, whatever exits the hypervisor has meanwhile; and SMI. SDM
 * 3A "Nonmaskable Interrupt (NMI)", "Handling Multiple NMIs".
 */
#include "tests/guest/event.h"

#define WAIT      10000u
#define SMI_PORT  0xb2u
#define SMI_CHECK 0x5ac3a55cu

static volatile unsigned n_nmis;
static volatile unsigned depth;
static volatile unsigned deepest;
static volatile unsigned early; /* NMIs seen while one was being handled */
/* What the first of them does after it has sent another. */
static void (*volatile meanwhile)(void);

static void wait(void)
{
	for (volatile unsigned i = 0; i < WAIT; i++)
		;
}

static void on_nmi(void)
{
	n_nmis++;
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (n_nmis == 1 && meanwhile) {
		apic_nmi();
		meanwhile();
		wait();
		early = n_nmis - 1;
	}
	depth--;
}

static void begin(void (*then)(void))
{
	apic_begin();
	n_nmis = 0;
	depth = 0;
	deepest = 0;
	early = 0;
	meanwhile = then;
	event_on_nmi = on_nmi;
	trap_set(X86_NMI, event_nmi_entry, 0, 0);
}

static void send(void)
{
	apic_nmi();
	wait();
}

static void expect_nmis(const char *what, unsigned n)
{
	wait();
	expect_equal(what, n, n_nmis);
	expect_equal("depth", 1, deepest);
	expect_equal("NMIs before IRET", 0, early);
}

static void once(void)
{
	begin(NULL);
	send();
	expect_nmis("one NMI", 1);
	send();
	expect_nmis("another", 2);
}

static void blocked(void)
{
	begin(wait);
	send();
	expect_nmis("the second comes after IRET", 2);
	send();
	expect_nmis("a third", 3);
}

/* Instructions that the hypervisor does. */
static void exits(void)
{
	cpuid(0, 0);
	write_cr3(read_cr3());
	write_cr0(read_cr0());
}

static void blocked_over_exits(void)
{
	begin(exits);
	send();
	expect_nmis("the second comes after IRET", 2);
}

/* ---- with page faults ---- */

static struct path page;

static void touch(void)
{
	*(volatile uint32_t *)page.gva = 1;
}

/* A fault of the shadow tables, which the guest does not see. */
static void blocked_over_shadow_fault(void)
{
	page = path_make(test_gva(0), 1, phys(frame_new()) | X86_PTE_P | X86_PTE_W);
	begin(touch);
	send();
	expect_nmis("the second comes after IRET", 2);
}

static void mend(void)
{
	path_set(&page, 1, path_get(&page, 1) | X86_PTE_P);
}

/* The IRET of the guest's own page fault ends the blocking. */
static void unblocked_by_nested_iret(void)
{
	page = path_make(test_gva(0), 1, phys(frame_new()) | X86_PTE_W);
	event_on_fault = mend;
	trap_set(X86_PF, event_fault_entry, 0, 0);
	begin(touch);
	send();
	expect_equal("NMIs", 2, n_nmis);
	expect_equal("nested", 2, deepest);
	expect_equal("before the first one's IRET", 1, early);
}

/* ---- SMI ---- */

static void smi(void)
{
	word kept = (word)SMI_CHECK;

	begin(NULL);
	for (unsigned i = 0; i < 4; i++) {
		word bx = kept;

		/* A command that no firmware knows. */
		__asm__ volatile("outb %%al, %w2" : "+b"(bx) : "a"(0x7e), "d"(SMI_PORT) : "memory");
		expect_equal("a register", kept, bx);
		send();
	}
	expect_nmis("NMIs", 4);
}

static const struct test tests[] = {
	{.name = "event_nmi", .modes = IN_ALL, .run = once},
	{.name = "event_nmi_blocked", .modes = IN_ALL, .run = blocked},
	{.name = "event_nmi_exits", .modes = IN_ALL, .run = blocked_over_exits},
	{.name = "event_nmi_shadow_fault", .modes = IN_PAGED, .run = blocked_over_shadow_fault},
	{.name = "event_nmi_page_fault", .modes = IN_PAGED, .run = unblocked_by_nested_iret},
	{.name = "event_smi", .modes = IN_ALL, .run = smi},
};
GROUP(group_event_nmi, tests);
