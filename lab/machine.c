/* SPDX-License-Identifier: MIT */
/* The lab's machine: making it, and the steps that are not memory accesses of the guest. */
#include "lab/machine.h"

#include "lab/access.h"
#include "lab/emulate.h"
#include "lab/host.h"
#include "lab/sabotage.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CR0 after reset. SDM 3A "Processor State After Reset". */
#define RESET_CR0 0x60000010ull

static void must(struct machine *machine, enum umbra_status status, const char *what)
{
	if (status != UMBRA_OK)
		lab_fail(machine->fail, "%s returns status %d", what, (int)status);
}

static void create_vm(struct machine *machine)
{
	const struct lab_config *config = &machine->config;
	size_t meta_bytes = umbra_vm_meta_bytes(config->pool, config->vcpus);
	struct umbra_config umbra = {
		.policy = machine->policy,
		.max_vcpus = config->vcpus,
		.maxphyaddr = config->maxphyaddr,
		.no_1g = config->no_1g,
		.tags = config->tags,
		.tables = machine->memory.tables,
		.tables_hpa = MEMORY_TABLES_HFN << X86_PAGE_SHIFT,
		.pool_pages = config->pool,
		.meta_bytes = meta_bytes,
		.absent_page = config->absent_page ? MEMORY_ABSENT_HFN << X86_PAGE_SHIFT : 0,
		.host = &machine->host,
		.host_ctx = machine,
	};

	machine->vm_meta = aligned_alloc(64, (meta_bytes + 63) / 64 * 64);
	if (!machine->vm_meta) {
		fprintf(stderr, "umbra-lab: out of memory (%zu bytes)\n", meta_bytes);
		exit(1);
	}
	memset(machine->vm_meta, 0, meta_bytes);
	umbra.meta = machine->vm_meta;
	must(machine, umbra_vm_create(&umbra, &machine->vm), "umbra_vm_create");
}

static void add_slots(struct machine *machine)
{
	for (unsigned i = 0; i < MEMORY_N_RANGES; i++) {
		const struct memory_range *range = &memory_layout[i];
		bool device = range->kind == MEMORY_DEVICE;
		struct umbra_slot slot = {
			.kind = device ? UMBRA_SLOT_DEVICE : UMBRA_SLOT_RAM,
			.gfn = {range->gfn},
			.hfn = {range->hfn},
			.n_frames = range->n_frames,
			.read_only = range->kind == MEMORY_READ_ONLY,
			.host_va = device ? NULL : machine->memory.backing[i],
			.meta = device ? NULL : machine->memory.meta[i],
		};

		must(machine, umbra_add_slot(machine->vm, &slot), "umbra_add_slot");
	}
}

static void create_vcpus(struct machine *machine)
{
	for (unsigned i = 0; i < machine->config.vcpus; i++) {
		struct machine_vcpu *vcpu = &machine->vcpus[i];

		machine->calling = i;
		must(machine, umbra_vcpu_create(machine->vm, &vcpu->umbra), "umbra_vcpu_create");
		vcpu->regs.cr0 = RESET_CR0;
		check_reset(&machine->check, i, &vcpu->regs);
		vcpu->hw.memory = &machine->memory;
		vcpu->hw.fail = machine->fail;
		vcpu->hw.maxphyaddr = MACHINE_MAXPHYADDR;
		sabotage_cpu(machine, &vcpu->hw);
		machine_enter(machine, vcpu);
	}
}

void machine_init(struct machine *machine, const struct lab_config *config, struct lab_fail *fail)
{
	char why[160];

	machine->config = *config;
	machine->fail = fail;
	machine->host = host_services(config);
	machine->policy = umbra_policy_default;
	if (umbra_policy_parse(&machine->policy, config->policy, why, sizeof(why)) != UMBRA_OK)
		lab_fail(fail, "policy: %s", why);
	memory_init(&machine->memory, config->pool);
	check_init(&machine->check, config, &machine->memory, fail);
	create_vm(machine);
	add_slots(machine);
	create_vcpus(machine);
}

void machine_free(struct machine *machine)
{
	check_free(&machine->check);
	memory_free(&machine->memory);
	free(machine->vm_meta);
	machine->vm_meta = NULL;
}

void machine_enter(struct machine *machine, struct machine_vcpu *vcpu)
{
	unsigned tag = umbra_tag(vcpu->umbra);

	if (tag >= machine->config.tags)
		lab_fail(machine->fail, "tag %u, but there are %u", tag, machine->config.tags);
	if (vcpu->owed && vcpu->owed_tag != tag)
		lab_fail(machine->fail, "a flush under tag %u, but then the vCPU has tag %u",
			vcpu->owed_tag, tag);
	vcpu->kicked = false;
	vcpu->owed = false;
	hw_enter(&vcpu->hw, umbra_shadow_mode(vcpu->umbra), umbra_root(vcpu->umbra), tag);
}

bool machine_linear(const struct machine_vcpu *vcpu, uint64_t gva, uint64_t *linear)
{
	enum paging mode = paging_of(&vcpu->regs);

	*linear = paging_canonical(mode, gva);
	return !paging_is_long(mode) || *linear == gva;
}

void machine_audit(struct machine *machine)
{
	char why[256] = "";
	unsigned broken = umbra_audit(machine->vm, why, sizeof(why));

	machine->counts.audits++;
	if (broken)
		lab_fail(machine->fail, "audit: I%u is broken: %s", broken, why);
}

/* The CPU's own state for paging follows the guest's; unpaged guests run without what denies
 * anything. */
static void set_hw_regs(struct machine_vcpu *vcpu)
{
	uint64_t cr4 = vcpu->regs.cr0 & X86_CR0_PG ? vcpu->regs.cr4 : 0;

	vcpu->hw.smep = cr4 & X86_CR4_SMEP;
	vcpu->hw.smap = cr4 & X86_CR4_SMAP;
	vcpu->hw.pke = cr4 & X86_CR4_PKE;
	vcpu->hw.pks = cr4 & X86_CR4_PKS;
}

/* Did the library take what the guest wrote, as a processor would (@legal)? */
static bool accepted(struct machine *machine, enum umbra_outcome outcome,
	const struct umbra_exit *out, bool legal)
{
	bool refused = outcome == UMBRA_INJECT && out->vector == X86_GP && out->error_code == 0;

	if (outcome != UMBRA_RESUME && !refused)
		lab_fail(machine->fail, "a register write ends with outcome %d", (int)outcome);
	if (refused == legal)
		lab_fail(machine->fail, "a register write is %s", legal ? "refused" : "taken");
	machine->counts.refused += refused;
	machine->last.seen = refused ? MACHINE_SEEN_GP : MACHINE_SEEN_MEMORY;
	return !refused;
}

/* MOV to CR3: has 32 bits outside of long mode. SDM 2 "MOV - Move to/from Control Registers". */
static void step_cr3(struct machine *machine, struct machine_vcpu *vcpu, const struct step *step)
{
	bool wide = paging_is_long(paging_of(&vcpu->regs));
	uint64_t cr3 = wide ? step->value : (uint32_t)step->value;
	struct umbra_exit out = {0};
	enum umbra_outcome outcome = umbra_load_cr3(vcpu->umbra, cr3, &out);

	if (!accepted(machine, outcome, &out, check_load_cr3(&machine->check, step->vcpu, cr3)))
		return;
	vcpu->regs.cr3 = cr3;
	if (vcpu->regs.cr4 & X86_CR4_PCIDE)
		vcpu->regs.cr3 &= ~(1ull << 63);
}

static void step_regs(struct machine *machine, struct machine_vcpu *vcpu, const struct step *step)
{
	const struct umbra_paging_regs regs = {step->cr0, step->cr3, step->cr4, step->efer};
	struct umbra_exit out = {0};
	enum umbra_outcome outcome = umbra_set_paging_regs(vcpu->umbra, &regs, &out);

	if (!accepted(machine, outcome, &out, check_set_regs(&machine->check, step->vcpu, &regs)))
		return;
	vcpu->regs = regs;
	set_hw_regs(vcpu);
}

static void step_invpcid(
	struct machine *machine, struct machine_vcpu *vcpu, const struct step *step)
{
	const struct umbra_invpcid descriptor = {step->pcid, step->gva};
	struct umbra_exit out = {0};
	enum umbra_outcome outcome = umbra_invpcid(vcpu->umbra, step->type, &descriptor, &out);
	bool legal = check_invpcid(&machine->check, step->vcpu, step->type, step->pcid, step->gva);

	accepted(machine, outcome, &out, legal);
}

/* WRPKRU, and WRMSR to IA32_PKRS: the guest does not leave the CPU for them. */
static void step_keys(struct machine *machine, struct machine_vcpu *vcpu, const struct step *step)
{
	if (step->kind == STEP_PKRU)
		vcpu->hw.pkru = (uint32_t)step->value;
	else
		vcpu->hw.pkrs = (uint32_t)step->value;
	check_set_keys(&machine->check, step->vcpu, vcpu->hw.pkru, vcpu->hw.pkrs);
}

/* INVLPG of an address that is not canonical does nothing. SDM 2 "INVLPG". The library is told as
 * it is. */
static void step_invlpg(struct machine *machine, struct machine_vcpu *vcpu, const struct step *step)
{
	uint64_t linear;

	umbra_invlpg(vcpu->umbra, step->gva);
	if (machine_linear(vcpu, step->gva, &linear))
		check_invlpg(&machine->check, step->vcpu, linear);
}

static void step_poke(struct machine *machine, const struct step *step)
{
	uint8_t bytes[STEP_BYTES_MAX];

	step_operand(step, bytes);
	emulate_write(machine, step->vcpu, step->gpa, bytes, step->bytes);
}

/* Only memory that somebody tracks, or that is none, cannot be given up. */
static void step_unshadow(
	struct machine *machine, struct machine_vcpu *vcpu, const struct step *step)
{
	const struct memory_range *range = memory_range_of(step->gpa);
	bool expected = range && range->kind == MEMORY_RAM && !track_has(machine, step->gpa);

	if (umbra_unshadow(vcpu->umbra, step->gpa) != expected)
		lab_fail(machine->fail, "umbra_unshadow %s gpa 0x%" PRIx64,
			expected ? "refuses" : "takes", step->gpa);
}

static void step_policy(struct machine *machine, const struct step *step)
{
	struct umbra_policy policy = machine->policy;
	char why[160];

	if (umbra_policy_parse(&policy, step->policy, why, sizeof(why)) != UMBRA_OK)
		lab_fail(machine->fail, "policy step: %s", why);
	must(machine, umbra_set_policy(machine->vm, &policy), "umbra_set_policy");
}

/* Steps in which the guest leaves the CPU for the library. */
static void do_event(struct machine *machine, struct machine_vcpu *vcpu, const struct step *step)
{
	switch (step->kind) {
	case STEP_CR3:
		step_cr3(machine, vcpu, step);
		break;
	case STEP_REGS:
		step_regs(machine, vcpu, step);
		break;
	case STEP_INVLPG:
		step_invlpg(machine, vcpu, step);
		break;
	case STEP_POKE:
		step_poke(machine, step);
		break;
	case STEP_UNSHADOW:
		step_unshadow(machine, vcpu, step);
		break;
	case STEP_POLICY:
		step_policy(machine, step);
		break;
	case STEP_INVPCID:
		step_invpcid(machine, vcpu, step);
		break;
	case STEP_TRACK:
	case STEP_UNTRACK:
		track_step(machine, step);
		break;
	case STEP_LOAD:
	case STEP_STORE:
	case STEP_FETCH:
	case STEP_SPECULATE:
	case STEP_PKRU:
	case STEP_PKRS:
		break;
	}
	machine_enter(machine, vcpu);
}

void machine_step(struct machine *machine, const struct step *step)
{
	struct machine_vcpu *vcpu = &machine->vcpus[step->vcpu];
	uint64_t misses = vcpu->hw.misses;
	uint64_t linear;

	machine->rng = rng_seed(step->nonce);
	machine->host_rng = rng_seed(step->nonce ^ 0x7ac4);
	machine->calling = step->vcpu;
	if (vcpu->kicked)
		machine_enter(machine, vcpu);
	if (rng_percent(&machine->rng, 20))
		tlb_decay(&vcpu->hw.tlb, &machine->rng);
	sabotage_step(machine);
	switch (step->kind) {
	case STEP_LOAD:
	case STEP_STORE:
	case STEP_FETCH:
		access_step(machine, step);
		break;
	case STEP_SPECULATE:
		if (machine_linear(vcpu, step->gva, &linear))
			hw_speculate(&vcpu->hw, &machine->rng, linear);
		break;
	case STEP_PKRU:
	case STEP_PKRS:
		step_keys(machine, vcpu, step);
		break;
	default:
		do_event(machine, vcpu, step);
		break;
	}
	machine->counts.steps++;
	machine->counts.misses += vcpu->hw.misses - misses;
	if (machine->config.audit_every && machine->counts.steps % machine->config.audit_every == 0)
		machine_audit(machine);
}
