/* SPDX-License-Identifier: MIT */
/* The library's host services in the lab: flushes reach the TLBs at once, a panic ends the run. */
#include "lab/host.h"

#include "lab/machine.h"

static void flush_tlb(void *host_ctx, struct umbra_vcpu *vcpu)
{
	struct machine *machine = host_ctx;

	machine->counts.flushes++;
	if (machine->config.sabotage == LAB_SABOTAGE_DROP_FLUSH)
		return;
	for (unsigned i = 0; i < machine->config.vcpus; i++) {
		if (!vcpu || vcpu == machine->vcpus[i].umbra) {
			tlb_flush(&machine->vcpus[i].hw.tlb);
			machine->vcpus[i].kicked = true;
		}
	}
}

static void flush_gva(void *host_ctx, struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct machine *machine = host_ctx;

	machine->counts.flushes++;
	if (machine->config.sabotage == LAB_SABOTAGE_DROP_FLUSH_GVA)
		return;
	for (unsigned i = 0; i < machine->config.vcpus; i++)
		if (vcpu == machine->vcpus[i].umbra)
			tlb_flush_gva(&machine->vcpus[i].hw.tlb, gva);
}

static void panic(void *host_ctx, const char *text)
{
	struct machine *machine = host_ctx;

	lab_fail(machine->fail, "the library panicked: %s", text);
}

const struct umbra_host lab_host = {
	.flush_tlb = flush_tlb,
	.flush_gva = flush_gva,
	.panic = panic,
};
