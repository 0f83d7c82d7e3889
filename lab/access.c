/* SPDX-License-Identifier: MIT */
/* One access of the guest until it lands in memory, is absent, or faults. */
#include "lab/access.h"

#include "x86/x86.h"

#include <inttypes.h>
#include <string.h>

/* So many exits for one access are a livelock: every RESUME must bring it forward. */
#define EXITS_MAX 24u

/* An access under way. */
struct access {
	struct machine *machine;
	struct machine_vcpu *vcpu;
	const struct step *step;
	struct hw_access hw;
};

static enum umbra_access kind_of(const struct step *step)
{
	if (step->kind == STEP_STORE)
		return UMBRA_WRITE;
	return step->kind == STEP_FETCH ? UMBRA_FETCH : UMBRA_READ;
}

static void count(struct access *access)
{
	access->machine->counts.accesses++;
	access->machine->counts.in_mode[paging_of(&access->vcpu->regs)]++;
}

/* The guest saw this access go to @gpa: is that legal? */
static void check_target(struct access *access, uint64_t gpa, unsigned pat)
{
	const struct step *step = access->step;

	check_translation(&access->machine->check, step->vcpu, &access->hw, gpa, pat);
	count(access);
}

static void end_absent(struct access *access)
{
	access->machine->counts.absent++;
	access->machine->last.seen = MACHINE_SEEN_ABSENT;
	access->machine->last.value = UINT64_MAX;
}

/* The hardware translated: is it what the guest should reach? Then do it. */
static void land(struct access *access, const struct hw_result *result)
{
	struct machine *machine = access->machine;
	const struct step *step = access->step;
	bool write = access->hw.kind == UMBRA_WRITE;
	uint64_t hpa = result->hpa;
	uint64_t gpa;

	if (hpa >> X86_PAGE_SHIFT == MEMORY_ABSENT_HFN && machine->config.absent_page && !write) {
		check_absent(&machine->check, step->vcpu, &access->hw);
		count(access);
		end_absent(access);
		return;
	}
	if (!memory_gpa_of_hpa(hpa, &gpa))
		lab_fail(machine->fail,
			"gva 0x%" PRIx64 " reaches host memory 0x%" PRIx64 " that is no guest's",
			access->hw.gva, hpa);
	if (write && memory_range_of(gpa)->kind == MEMORY_READ_ONLY)
		lab_fail(machine->fail, "a store reaches read-only memory at gpa 0x%" PRIx64, gpa);
	check_target(access, gpa, result->pat);
	machine->counts.translated++;
	machine->last.seen = MACHINE_SEEN_MEMORY;
	if (write) {
		memcpy(memory_at(&machine->memory, gpa), &step->value, step->bytes);
		check_wrote(&machine->check, gpa, &step->value, step->bytes);
	} else if (step->kind == STEP_LOAD) {
		machine->last.value = 0;
		memcpy(&machine->last.value, memory_at(&machine->memory, gpa), step->bytes);
	}
}

static void end_mmio(struct access *access, const struct umbra_exit *out)
{
	struct machine *machine = access->machine;
	const struct memory_range *range = memory_range_of(out->gpa);
	bool dropped = range && range->kind == MEMORY_READ_ONLY && access->hw.kind == UMBRA_WRITE;

	if (range && !dropped)
		lab_fail(machine->fail, "MMIO at gpa 0x%" PRIx64 ", which is %s memory", out->gpa,
			range->name);
	check_target(access, out->gpa, CHECK_NO_PAT);
	end_absent(access);
}

static void end_inject(struct access *access, const struct umbra_exit *out)
{
	struct machine *machine = access->machine;

	if (out->vector != X86_PF || out->gva != access->hw.gva)
		lab_fail(machine->fail,
			"injects vector %u at 0x%" PRIx64 " for a fault at 0x%" PRIx64, out->vector,
			out->gva, access->hw.gva);
	check_fault(&machine->check, access->step->vcpu, &access->hw, out->error_code);
	count(access);
	machine->counts.keys += (out->error_code & X86_PF_PK) != 0;
	if (out->error_code & X86_PF_RSVD)
		machine->counts.reserved++;
	else if (out->error_code & X86_PF_P)
		machine->counts.denied++;
	else
		machine->counts.not_present++;
	machine->last.seen = MACHINE_SEEN_FAULT;
	machine->last.error_code = out->error_code;
}

/* The library wants a store performed. Does that, or gives the table up; true: the access is over.
 */
static bool emulate(struct access *access, const struct umbra_exit *out)
{
	struct machine *machine = access->machine;
	const struct step *step = access->step;
	const struct memory_range *range = memory_range_of(out->gpa);

	if (access->hw.kind != UMBRA_WRITE || !range || range->kind == MEMORY_READ_ONLY)
		lab_fail(machine->fail,
			"asks to emulate what is no store to memory, gpa 0x%" PRIx64, out->gpa);
	if (range->kind == MEMORY_RAM && rng_percent(&machine->rng, 40)) {
		umbra_unshadow(access->vcpu->umbra, out->gpa);
		machine->counts.unshadowed++;
		return false;
	}
	check_target(access, out->gpa, CHECK_NO_PAT);
	if (range->kind == MEMORY_DEVICE)
		memcpy(memory_at(&machine->memory, out->gpa), &step->value, step->bytes);
	else if (!umbra_guest_write(access->vcpu->umbra, out->gpa, &step->value, step->bytes))
		lab_fail(machine->fail,
			"umbra_guest_write refuses gpa 0x%" PRIx64 " after asking for it",
			out->gpa);
	check_wrote(&machine->check, out->gpa, &step->value, step->bytes);
	machine->counts.emulated++;
	machine->last.seen = MACHINE_SEEN_MEMORY;
	return true;
}

/* Report the hardware's page fault to the library. true: the access is over. */
static bool take_exit(struct access *access, uint32_t error_code)
{
	struct machine *machine = access->machine;
	struct umbra_exit out = {0};
	const struct umbra_page_fault fault = {
		.gva = access->hw.gva,
		.error_code = error_code,
		.cpl = (unsigned)access->step->cpl,
		.ac = access->hw.ac,
		.pkru = access->vcpu->hw.pkru,
		.pkrs = access->vcpu->hw.pkrs,
	};
	enum umbra_outcome outcome;
	bool over = true;

	machine->counts.exits++;
	outcome = umbra_page_fault(access->vcpu->umbra, &fault, &out);
	/* Who is to perform the access sees from the instruction that it was implicit. */
	if ((outcome == UMBRA_EMULATE || outcome == UMBRA_MMIO) && access->hw.implicit &&
		out.vector == X86_PF)
		outcome = UMBRA_INJECT;
	switch (outcome) {
	case UMBRA_RESUME:
		over = false;
		break;
	case UMBRA_INJECT:
		end_inject(access, &out);
		break;
	case UMBRA_EMULATE:
		over = emulate(access, &out);
		break;
	case UMBRA_MMIO:
		end_mmio(access, &out);
		break;
	}
	machine_enter(machine, access->vcpu);
	return over;
}

/* Ask the library, for some accesses, what they would do: as an embedder does that decodes. */
static void try_translate(struct access *access)
{
	const struct step *step = access->step;
	struct umbra_page_fault what = {
		.gva = access->hw.gva,
		.error_code = (access->hw.kind == UMBRA_WRITE ? X86_PF_W : 0) |
			      (access->hw.kind == UMBRA_FETCH ? X86_PF_I : 0) |
			      (access->hw.supervisor ? 0 : X86_PF_U),
		.cpl = (unsigned)step->cpl,
		.ac = access->hw.ac && !access->hw.implicit,
		.pkru = access->vcpu->hw.pkru,
		.pkrs = access->vcpu->hw.pkrs,
	};
	struct umbra_exit out = {0};
	struct check_answer answer;

	if (step->nonce % 8 != 0)
		return;
	answer.translated = umbra_translate(access->vcpu->umbra, &what, &answer.gpa, &out);
	answer.error_code = out.error_code;
	if (!answer.translated && (out.vector != X86_PF || out.gva != what.gva))
		lab_fail(access->machine->fail, "umbra_translate gives vector %u at 0x%" PRIx64,
			out.vector, out.gva);
	check_translate(&access->machine->check, step->vcpu, &access->hw, &answer);
}

void access_step(struct machine *machine, const struct step *step)
{
	struct access access = {
		.machine = machine,
		.vcpu = &machine->vcpus[step->vcpu],
		.step = step,
		.hw =
			{
				.kind = kind_of(step),
				.supervisor = step->cpl < 3 || step->implicit,
				.implicit = step->implicit,
				.ac = step->ac,
				.disguised = step->implicit && step->ac && step->cpl < 3,
			},
	};

	if (!machine_linear(access.vcpu, step->gva, &access.hw.gva)) {
		machine->last.seen = MACHINE_SEEN_GP;
		return;
	}
	try_translate(&access);
	for (unsigned i = 0; i < EXITS_MAX; i++) {
		struct hw_result result = hw_translate(&access.vcpu->hw, &machine->rng, &access.hw);

		if (!result.fault) {
			land(&access, &result);
			return;
		}
		if (take_exit(&access, result.error_code))
			return;
	}
	lab_fail(machine->fail, "livelock: %u exits for one access to gva 0x%" PRIx64, EXITS_MAX,
		access.hw.gva);
}
