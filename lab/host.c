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

/* The TLB of @vcpu, which must be the one that called, under the tag that it will enter with: a
 * host may do as it was asked when it enters. */
static struct tlb *own_tlb(struct machine *machine, struct umbra_vcpu *vcpu)
{
	struct machine_vcpu *own = &machine->vcpus[machine->calling];

	machine->counts.flushes++;
	/* Before umbra_vcpu_create() returns nobody can know its vCPU. */
	if (own->umbra && vcpu != own->umbra)
		lab_fail(machine->fail, "a flush of one tag or address is for another vCPU");
	own->owed = true;
	own->owed_tag = umbra_tag(vcpu);
	own->hw.tlb.tag = own->owed_tag;
	return &own->hw.tlb;
}

static void flush_tag(void *host_ctx, struct umbra_vcpu *vcpu)
{
	struct machine *machine = host_ctx;
	struct tlb *tlb = own_tlb(machine, vcpu);

	if (machine->config.sabotage != LAB_SABOTAGE_DROP_FLUSH_TAG)
		tlb_flush_tag(tlb);
}

static void flush_gva(void *host_ctx, struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct machine *machine = host_ctx;
	struct tlb *tlb = own_tlb(machine, vcpu);

	if (machine->config.sabotage != LAB_SABOTAGE_DROP_FLUSH_GVA)
		tlb_flush_gva(tlb, gva);
}

static void panic(void *host_ctx, const char *text)
{
	struct machine *machine = host_ctx;

	lab_fail(machine->fail, "the library panicked: %s", text);
}

struct umbra_host host_services(const struct lab_config *config)
{
	return (struct umbra_host){
		.flush_tlb = flush_tlb,
		.flush_tag = config->flush_tag ? flush_tag : NULL,
		.flush_gva = config->flush_gva ? flush_gva : NULL,
		.panic = panic,
	};
}
