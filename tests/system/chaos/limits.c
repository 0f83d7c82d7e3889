/* SPDX-License-Identifier: MIT */
/* The limits of a guest: what it must not be able to do, and the ways in which it can only harm
 * itself. */
#include "tests/system/chaos/chaos.h"

#define MONITOR_PORT 0x2f8
#define ONES         (~0ull)

static void expect(
	const char *what, enum operation op, uint64_t gva, uint64_t value, uint64_t vector)
{
	struct attempt attempt;

	attempt_make(&attempt, op, gva, value, false, false);
	if (attempt.vector == vector)
		return;
	print("chaos: ");
	print(what);
	print(" ends with vector ");
	print_number(attempt.vector);
	fail("");
}

static void expect_ones(const struct boot_facts *facts)
{
	const volatile uint64_t *word = (const volatile uint64_t *)(uintptr_t)facts->hidden_base;

	for (uint64_t i = 0; i < facts->hidden_bytes / sizeof(*word); i += WORDS + 1) {
		if (word[i] != ONES)
			fail("the hypervisor's memory can be read");
	}
}

/* Memory of the hypervisor, through the identity mapping: it reads as absent and cannot be
 * written. */
static void forbid_memory(const struct boot_facts *facts)
{
	static const enum operation stores[] = {
		OP_STORE, OP_STORE4, OP_STORE1, OP_ADD, OP_XCHG, OP_LOCK_OR, OP_STOS, OP_MOVS};

	expect_ones(facts);
	for (uint64_t at = 0; at < facts->hidden_bytes; at += X86_PAGE_SIZE) {
		enum operation op = stores[random_below(sizeof(stores) / sizeof(stores[0]))];

		expect("a store to the hypervisor's memory", op, facts->hidden_base + at,
			random_word(), TRAP_DONE);
	}
	write_cr4(read_cr4() | X86_CR4_OSFXSR);
	expect("a store of a vector", OP_SSE_STORE, facts->hidden_base, 0, TRAP_DONE);
	expect_ones(facts);
	expect("code in the hypervisor's memory", OP_JUMP, facts->hidden_base, 0, X86_UD);
}

void run_forbidden(const struct boot_facts *facts)
{
	static const enum operation svm[] = {
		OP_VMRUN, OP_VMLOAD, OP_VMSAVE, OP_STGI, OP_CLGI, OP_INVLPGA, OP_VMMCALL};

	if (facts->hidden_bytes == 0)
		fail("no reserved memory: is there a hypervisor?");
	for (unsigned i = 0; i < sizeof(svm) / sizeof(svm[0]); i++)
		expect("an SVM instruction", svm[i], facts->hidden_base, 0, X86_UD);
	expect("EFER.SVME", OP_WRMSR, X86_MSR_EFER, read_efer() | X86_EFER_SVME, X86_GP);
	expect("a read of VM_HSAVE_PA", OP_RDMSR, X86_MSR_VM_HSAVE, 0, X86_GP);
	expect("a write of VM_HSAVE_PA", OP_WRMSR, X86_MSR_VM_HSAVE, 0, X86_GP);
	expect("a write of VM_CR", OP_WRMSR, X86_MSR_VM_CR, 0, X86_GP);
	if (read_efer() & X86_EFER_SVME)
		fail("EFER shows SVME");
	for (uint16_t i = 0; i < 8; i++) {
		port_out8((uint16_t)(MONITOR_PORT + i), 0x5a);
		if (port_in8((uint16_t)(MONITOR_PORT + i)) != 0xff)
			fail("the monitor's port can be read");
	}
	forbid_memory(facts);
	print("chaos: nothing forbidden was done\n");
}

/* ---- deaths ---- */

static void random_root(const struct boot_facts *facts)
{
	(void)facts;
	for (unsigned i = 0; i < WORDS; i++)
		((volatile uint64_t *)root_of(0))[i] = random_word() & ~X86_PTE_P;
	flush_all();
}

static void root_in_hypervisor(const struct boot_facts *facts)
{
	write_cr3(facts->hidden_base);
}

static void root_nowhere(const struct boot_facts *facts)
{
	(void)facts;
	write_cr3(NOWHERE << 4);
}

static void no_handlers(const struct boot_facts *facts)
{
	(void)facts;
	lose_idt();
}

static void stack_in_hypervisor(const struct boot_facts *facts)
{
	lose_stack(facts->hidden_base + X86_PAGE_SIZE);
}

/* What the hypervisor does not emulate, where it would have to. */
static void unknown_store(const struct boot_facts *facts)
{
	struct attempt attempt;

	attempt_make(&attempt, OP_SGDT, facts->hidden_base, 0, false, false);
}

void run_death(const struct boot_facts *facts, const char *way)
{
	static const struct {
		const char *name;
		void (*die)(const struct boot_facts *facts);
	} deaths[] = {
		{"random-root", random_root},
		{"root-in-hypervisor", root_in_hypervisor},
		{"root-nowhere", root_nowhere},
		{"no-handlers", no_handlers},
		{"stack-in-hypervisor", stack_in_hypervisor},
		{"unknown-store", unknown_store},
	};

	for (unsigned i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		if (!text_same(deaths[i].name, way))
			continue;
		deaths[i].die(facts);
		fail("still alive");
	}
}
