/* SPDX-License-Identifier: MIT */
/* One access of the guest until it lands in memory, is absent, or faults. */
#include "lab/access.h"

#include "lab/store.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <string.h>

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

void access_check_target(struct access *access, uint64_t gpa, unsigned pat)
{
	const struct step *step = access->step;

	check_translation(&access->machine->check, step->vcpu, &access->hw, gpa, pat);
	count(access);
}

void access_absent(struct access *access)
{
	access->machine->counts.absent++;
	access->machine->last.seen = MACHINE_SEEN_ABSENT;
	access->machine->last.value = UINT64_MAX;
}

uint64_t access_gpa(struct access *access, uint64_t hpa)
{
	uint64_t gpa;

	if (!memory_gpa_of_hpa(hpa, &gpa))
		lab_fail(access->machine->fail,
			"gva 0x%" PRIx64 " reaches host memory 0x%" PRIx64 " that is no guest's",
			access->hw.gva, hpa);
	return gpa;
}

/* The hardware translated: is it what the guest should reach? Then do it. */
static void land(struct access *access, const struct hw_result *result)
{
	struct machine *machine = access->machine;
	const struct step *step = access->step;
	uint64_t gpa;

	if (result->hpa >> X86_PAGE_SHIFT == MEMORY_ABSENT_HFN && machine->config.absent_page) {
		check_absent(&machine->check, step->vcpu, &access->hw);
		count(access);
		access_absent(access);
		return;
	}
	gpa = access_gpa(access, result->hpa);
	access_check_target(access, gpa, result->pat);
	machine->counts.translated++;
	machine->last.seen = MACHINE_SEEN_MEMORY;
	if (step->kind == STEP_LOAD) {
		machine->last.value = 0;
		memcpy(&machine->last.value, memory_at(&machine->memory, gpa), step->bytes);
	}
}

void access_check_mmio(struct access *access, uint64_t gpa)
{
	const struct memory_range *range = memory_range_of(gpa);
	bool dropped = range && range->kind == MEMORY_READ_ONLY && access->hw.kind == UMBRA_WRITE;

	if (range && !dropped)
		lab_fail(access->machine->fail, "MMIO at gpa 0x%" PRIx64 ", which is %s memory",
			gpa, range->name);
}

void access_inject(struct access *access, const struct umbra_exit *out)
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

struct umbra_page_fault access_fault(const struct access *access, uint32_t error_code, bool ac)
{
	return (struct umbra_page_fault){
		.gva = access->hw.gva,
		.error_code = error_code,
		.cpl = (unsigned)access->step->cpl,
		.ac = ac,
		.pkru = access->vcpu->hw.pkru,
		.pkrs = access->vcpu->hw.pkrs,
	};
}

uint32_t access_error_code(const struct access *access)
{
	return (access->hw.kind == UMBRA_WRITE ? X86_PF_W : 0) |
	       (access->hw.kind == UMBRA_FETCH ? X86_PF_I : 0) |
	       (access->hw.supervisor ? 0 : X86_PF_U);
}

enum umbra_outcome access_exit(struct access *access, uint32_t error_code, struct umbra_exit *out)
{
	const struct umbra_page_fault fault = access_fault(access, error_code, access->hw.ac);
	enum umbra_outcome outcome;

	access->machine->counts.exits++;
	outcome = umbra_page_fault(access->vcpu->umbra, &fault, out);
	/* Who is to perform the access sees from the instruction that it was implicit. */
	if ((outcome == UMBRA_EMULATE || outcome == UMBRA_MMIO) && access->hw.implicit &&
		out->vector == X86_PF)
		outcome = UMBRA_INJECT;
	return outcome;
}

/* Report the hardware's page fault of a load or fetch. true: the access is over. */
static bool take_exit(struct access *access, uint32_t error_code)
{
	struct umbra_exit out = {0};
	bool over = true;

	switch (access_exit(access, error_code, &out)) {
	case UMBRA_RESUME:
		over = false;
		break;
	case UMBRA_INJECT:
		access_inject(access, &out);
		break;
	case UMBRA_EMULATE:
		lab_fail(access->machine->fail, "asks to emulate what is no store, gpa 0x%" PRIx64,
			out.gpa);
	case UMBRA_MMIO:
		access_check_mmio(access, out.gpa);
		access_check_target(access, out.gpa, CHECK_NO_PAT);
		access_absent(access);
		break;
	}
	machine_enter(access->machine, access->vcpu);
	return over;
}

/* Ask the library, for some accesses, what they would do: as an embedder does that decodes. */
static void try_translate(struct access *access)
{
	const struct step *step = access->step;
	struct umbra_page_fault what = access_fault(
		access, access_error_code(access), access->hw.ac && !access->hw.implicit);
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

bool access_begin(
	struct access *access, struct machine *machine, const struct step *step, unsigned offset)
{
	*access = (struct access){
		.machine = machine,
		.vcpu = &machine->vcpus[step->vcpu],
		.step = step,
		.hw =
			{
				.part = offset != 0,
				.kind = kind_of(step),
				.supervisor = step->cpl < 3 || step->implicit,
				.implicit = step->implicit,
				.ac = step->ac,
				.disguised = step->implicit && step->ac && step->cpl < 3,
			},
	};
	if (!machine_linear(access->vcpu, step->gva + offset, &access->hw.gva))
		return false;
	try_translate(access);
	return true;
}

static void load_or_fetch(struct machine *machine, const struct step *step)
{
	struct access access;

	if (!access_begin(&access, machine, step, 0)) {
		machine->last.seen = MACHINE_SEEN_GP;
		return;
	}
	for (unsigned i = 0; i < ACCESS_EXITS_MAX; i++) {
		struct hw_result result = hw_translate(&access.vcpu->hw, &machine->rng, &access.hw);

		if (!result.fault) {
			land(&access, &result);
			return;
		}
		if (take_exit(&access, result.error_code))
			return;
	}
	lab_fail(machine->fail, "livelock: %u exits for one access to gva 0x%" PRIx64,
		ACCESS_EXITS_MAX, access.hw.gva);
}

void access_step(struct machine *machine, const struct step *step)
{
	check_begin(&machine->check);
	if (step->kind == STEP_STORE)
		store_step(machine, step);
	else
		load_or_fetch(machine, step);
}
