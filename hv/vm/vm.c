/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine's beginning and its end by the guest's own fault.
 */
#include "hv/vm/vm.h"

#include "hv/arch/cpu.h"
#include "hv/emul/vector.h"
#include "hv/host.h"
#include "hv/vm/apic.h"
#include "hv/vm/clock.h"
#include "hv/vm/cpuid.h"
#include "hv/vm/measure.h"
#include "hv/vm/nested.h"
#include "hv/vm/report.h"

/* machine_exit() value for a guest that cannot go on: QEMU ends with 67. */
#define EXIT_GUEST_STOPPED 33

/* Last exits in the report on such a guest. */
#define STOP_EXITS 8u

struct vm the_vm;
struct vcpu the_vcpu;

_Noreturn void vm_stop(struct vcpu *vcpu, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line("log", "the guest was stopped: %s", text);
	report_guest(vcpu, "log", STOP_EXITS);
	stats_report(vcpu, "shutdown");
	machine_exit(EXIT_GUEST_STOPPED);
}

static bool wants_nested(void)
{
	const char *paging = option("paging");

	if (!paging || strcmp(paging, "shadow") == 0)
		return false;
	if (strcmp(paging, "npt") == 0)
		return true;
	fatal_config("option paging=%s: there is paging=shadow and paging=npt", paging);
}

/* The processor's name as CPUID spells it, without the quotes and backslashes that JSON could not
 * bear. */
static void cpu_name(char name[49])
{
	unsigned n = 0;

	for (uint32_t leaf = 0x80000002u; leaf <= 0x80000004u; leaf++) {
		struct cpuid_result r = cpuid(leaf, 0);

		memcpy(name + n, &r, sizeof(r));
		n += (unsigned)sizeof(r);
	}
	name[n] = '\0';
	for (unsigned i = 0; i < n && name[i]; i++) {
		if (name[i] < ' ' || name[i] > '~' || name[i] == '"' || name[i] == '\\')
			name[i] = '_';
	}
}

static void say_hello(bool nested)
{
	char text[256];
	char name[49];

	cpu_name(name);
	format(text, sizeof(text),
		"{\"type\":\"hello\",\"version\":\"%s\",\"paging\":\"%s\",\"cpu\":\"%s\",\"reserve_"
		"base\":%lu,"
		"\"reserve_bytes\":%lu}\n",
		UMBRA_VERSION, nested ? "npt" : "shadow", name, hv_reserved.base_bytes,
		hv_reserved.size_bytes);
	monitor_write(text);
}

static void start_shadow(struct vcpu *vcpu, const struct guest_entry *entry)
{
	struct umbra_paging_regs regs = {entry->cr0, entry->cr3, entry->cr4, entry->efer};

	host_mmu_create(vcpu->vm, vcpu);
	apic_watch(vcpu->vm, rdmsr(X86_MSR_APIC_BASE));
	if (!paging_change(vcpu, &regs))
		panic("the MMU library does not take the guest's first CR3, %lx", entry->cr3);
}

_Noreturn void vm_run(const struct guest_entry *entry)
{
	struct vcpu *vcpu = &the_vcpu;
	bool nested = wants_nested();

	vcpu->vm = &the_vm;
	clock_init();
	vendor_init(nested);
	host_memory_init(&the_vm);
	paging_init(&the_vm);
	vector_init();
	msr_intercept_all();
	io_intercept_all();
	vendor_vcpu_create(vcpu, entry);
	measure_init(vcpu);
	if (nested)
		vendor_set_nested_root(vcpu, nested_create(&the_vm));
	else
		start_shadow(vcpu, entry);
	report_init();
	say_hello(nested);
	the_vm.start_tsc = rdtsc();
	vendor_loop(vcpu);
}
