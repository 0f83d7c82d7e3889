/* SPDX-License-Identifier: MIT */
/*
 * Reports of the guest's state on the monitor.
 */
#include "hv/vm/report.h"

#define REPORT_EXITS 32u

static void report_registers(struct vcpu *vcpu, const char *type)
{
	const uint64_t *g = vcpu->gpr;

	if (vcpu->n_described != vcpu->n_exits) {
		vendor_describe_exit(vcpu);
		log_line(type,
			"of the guest's registers rbx, rbp and r12 to r15 are those of exit %ld",
			(long)vcpu->n_described - 1);
	}
	log_line(type, "guest rip %lx rflags %lx cpl %u cr0 %lx cr3 %lx cr4 %lx efer %lx",
		vcpu->exit.rip, vcpu->exit.rflags, vcpu->exit.cpl, vcpu->regs.cr0, vcpu->regs.cr3,
		vcpu->regs.cr4, vcpu->regs.efer);
	log_line(type, "guest rax %lx rcx %lx rdx %lx rbx %lx rsp %lx rbp %lx rsi %lx rdi %lx",
		g[X86_RAX], g[X86_RCX], g[X86_RDX], g[X86_RBX], g[X86_RSP], g[X86_RBP], g[X86_RSI],
		g[X86_RDI]);
	log_line(type, "guest r8 %lx r9 %lx r10 %lx r11 %lx r12 %lx r13 %lx r14 %lx r15 %lx", g[8],
		g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

void report_guest(struct vcpu *vcpu, const char *type, unsigned n_exits)
{
	uint64_t n = vcpu->n_exits < n_exits ? vcpu->n_exits : n_exits;

	if (vcpu->n_exits == 0)
		return;
	report_registers(vcpu, type);
	for (uint64_t i = vcpu->n_exits - n; i < vcpu->n_exits; i++) {
		unsigned at = i % EXIT_RING;
		uint32_t code = vcpu->ring.code[at];

		log_line(type, "exit %lu: %s (%x) info %lx %lx rip %lx", i,
			exit_kind_names[vendor_exit_kind(code)], code, vcpu->ring.info1[at],
			vcpu->ring.info2[at], vcpu->ring.rip[at]);
	}
}

/* Last, since a library in disorder may not survive its own audit. */
static void report_audit(void)
{
	char why[256];
	unsigned broken;

	if (!the_vm.mmu)
		return;
	broken = umbra_audit(the_vm.mmu, why, sizeof(why));
	if (broken == UMBRA_AUDIT_BUSY)
		log_line("panic", "audit: %s", why);
	else if (broken)
		log_line("panic", "audit: invariant I%u is broken: %s", broken, why);
	else
		log_line("panic", "audit: no invariant is broken");
}

static void report_panic(void)
{
	report_guest(&the_vcpu, "panic", REPORT_EXITS);
}

void report_init(void)
{
	panic_register(report_panic);
	panic_register(report_audit);
}
