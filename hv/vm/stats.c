/* SPDX-License-Identifier: MIT */
/*
 * The monitor's lines with counters.
 */
#include "hv/arch/cpu.h"
#include "hv/vm/clock.h"
#include "hv/vm/measure.h"

const char *const exit_kind_names[EXIT_KINDS] = {
	[EXIT_PF] = "pf",
	[EXIT_UD] = "ud",
	[EXIT_EXCEPTION] = "exception",
	[EXIT_CR0] = "cr0",
	[EXIT_CR3] = "cr3",
	[EXIT_CR4] = "cr4",
	[EXIT_INVLPG] = "invlpg",
	[EXIT_INVPCID] = "invpcid",
	[EXIT_CPUID] = "cpuid",
	[EXIT_MSR] = "msr",
	[EXIT_IO] = "io",
	[EXIT_VMMCALL] = "vmmcall",
	[EXIT_SVM_INSN] = "svm_insn",
	[EXIT_NMI] = "nmi",
	[EXIT_SMI] = "smi",
	[EXIT_INTR] = "intr",
	[EXIT_NPF] = "npf",
	[EXIT_SHUTDOWN] = "shutdown",
	[EXIT_TASK_SWITCH] = "task_switch",
	[EXIT_OTHER] = "other",
};

static void write_counter(const char *name, uint64_t value)
{
	char text[64];

	format(text, sizeof(text), "\"%s\":%lu", name, value);
	monitor_write(text);
}

/* "exits":{...},"mmu":{...} */
static void write_counters(const struct vcpu *vcpu)
{
	static const struct umbra_stats none;
	const void *stats = vcpu->vm->mmu ? umbra_stats(vcpu->vm->mmu) : &none;
	uint64_t total = 0;

	monitor_write("\"exits\":{");
	for (unsigned kind = 0; kind < EXIT_KINDS; kind++) {
		write_counter(exit_kind_names[kind], vcpu->exits[kind]);
		monitor_write(",");
		total += vcpu->exits[kind];
	}
	write_counter("total", total);
	monitor_write("},\"mmu\":{");
	for (const struct umbra_stat_name *row = umbra_stat_names; row->name; row++) {
		uint64_t value;

		memcpy(&value, (const char *)stats + row->offset_bytes, sizeof(value));
		if (row != umbra_stat_names)
			monitor_write(",");
		write_counter(row->name, value);
	}
	monitor_write("}");
}

void stats_mark(struct vcpu *vcpu, uint32_t id)
{
	monitor_write("{\"type\":\"mark\",");
	write_counter("id", id);
	monitor_write(",");
	write_counters(vcpu);
	monitor_write(",");
	write_counter("tsc", rdtsc());
	monitor_write("}\n");
}

void stats_report(struct vcpu *vcpu, const char *reason)
{
	monitor_write("{\"type\":\"stats\",\"reason\":\"");
	monitor_write(reason);
	monitor_write("\",");
	write_counters(vcpu);
	monitor_write(",");
	write_counter("guest_ns", clock_ns(rdtsc() - vcpu->vm->start_tsc));
	measure_report(vcpu);
	monitor_write("}\n");
}
