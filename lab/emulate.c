/* SPDX-License-Identifier: MIT */
/* The lab's host as an emulator of stores. */
#include "lab/emulate.h"

#include "x86/execute.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <string.h>

/* ---- handing over ---- */

/* Will the library take a store there? */
static bool takes(const struct machine *machine, uint64_t gpa)
{
	const struct memory_range *range = memory_range_of(gpa);

	return range && (range->kind == MEMORY_RAM ||
				(range->kind == MEMORY_DEVICE && track_has(machine, gpa)));
}

/* One page's part of a store that the library has dealt with. */
static void settle(struct machine *machine, uint64_t gpa, const uint8_t *bytes, size_t n_bytes)
{
	if (!track_wanted(machine, gpa)) {
		machine->counts.dropped++;
		return;
	}
	/* Who tracks a device makes its stores. */
	if (memory_range_of(gpa)->kind == MEMORY_DEVICE)
		memcpy(memory_at(&machine->memory, gpa), bytes, n_bytes);
	check_wrote(&machine->check, gpa, bytes, n_bytes);
}

bool emulate_write(
	struct machine *machine, unsigned vcpu, uint64_t gpa, const uint8_t *bytes, size_t n_bytes)
{
	size_t left = X86_PAGE_SIZE - gpa % X86_PAGE_SIZE;
	size_t first = n_bytes < left ? n_bytes : left;
	bool expected = takes(machine, gpa) && takes(machine, gpa + n_bytes - 1);
	bool done;

	track_begin(machine, gpa, bytes, n_bytes);
	done = umbra_guest_write(machine->vcpus[vcpu].umbra, gpa, bytes, n_bytes);
	track_end(machine, done);
	if (done != expected)
		lab_fail(machine->fail, "umbra_guest_write %s %zu bytes at gpa 0x%" PRIx64,
			expected ? "refuses" : "takes", n_bytes, gpa);
	if (!done)
		return false;
	settle(machine, gpa, bytes, first);
	if (first < n_bytes)
		settle(machine, gpa + first, bytes + first, n_bytes - first);
	return true;
}

bool emulate_has_exchange(uint64_t gpa, size_t n_bytes)
{
	return n_bytes <= 16 && (n_bytes & (n_bytes - 1)) == 0 && gpa % n_bytes == 0;
}

/* What an exchange must not do if memory does not hold what is expected. */
static void try_wrong_exchange(struct machine *machine, unsigned vcpu, uint64_t gpa,
	const uint8_t *old, const uint8_t *bytes, size_t n_bytes)
{
	uint8_t wrong[16];

	memcpy(wrong, old, n_bytes);
	wrong[rng_below(&machine->host_rng, (unsigned)n_bytes)] ^= 0x10;
	track_begin(machine, gpa, bytes, n_bytes);
	if (umbra_guest_exchange(machine->vcpus[vcpu].umbra, gpa, wrong, bytes, n_bytes) !=
			UMBRA_EXCHANGE_DIFFERS ||
		memcmp(memory_at(&machine->memory, gpa), old, n_bytes) != 0)
		lab_fail(machine->fail,
			"an exchange at gpa 0x%" PRIx64 " does not see that memory differs", gpa);
	track_end(machine, false);
}

bool emulate_exchange(struct machine *machine, unsigned vcpu, uint64_t gpa, const uint8_t *old,
	const uint8_t *bytes, size_t n_bytes)
{
	struct umbra_vcpu *umbra = machine->vcpus[vcpu].umbra;

	if (!emulate_has_exchange(gpa, n_bytes))
		lab_fail(machine->fail, "the lab's own exchange is not aligned");
	if (rng_percent(&machine->host_rng, 15)) {
		try_wrong_exchange(machine, vcpu, gpa, old, bytes, n_bytes);
		return false;
	}
	track_begin(machine, gpa, bytes, n_bytes);
	if (umbra_guest_exchange(umbra, gpa, old, bytes, n_bytes) != UMBRA_EXCHANGE_DONE)
		lab_fail(machine->fail, "umbra_guest_exchange at gpa 0x%" PRIx64 " is not done",
			gpa);
	track_end(machine, true);
	settle(machine, gpa, bytes, n_bytes);
	machine->counts.exchanged++;
	return true;
}

/* ---- executing ---- */

static bool is_string(const struct x86_insn *what)
{
	return what->op == X86_OP_STOS || what->op == X86_OP_MOVS;
}

/* Where the instruction stores. Bases of segments are 0. */
static uint64_t destination(const struct insn *insn, const struct x86_insn *what)
{
	if (what->op == X86_OP_PUSH)
		return x86_push_offset(what, insn->gpr, insn->stack_bytes);
	if (is_string(what))
		return what->address_bytes == 8 ? insn->gpr[X86_RDI] : (uint32_t)insn->gpr[X86_RDI];
	return x86_operand_offset(what, insn->gpr, insn->rip);
}

static bool execute(const struct insn *insn, const struct x86_insn *what, uint64_t memory[2])
{
	uint64_t gpr[X86_GPRS];
	struct x86_state state = {
		.gpr = gpr, .rflags = insn->rflags, .stack_bytes = insn->stack_bytes};
	bool stores = false;

	memcpy(gpr, insn->gpr, sizeof(gpr));
	if (!is_string(what))
		return x86_execute(what, &state, memory, &stores) && stores;
	memory[0] = gpr[X86_RAX];
	return true;
}

bool emulate_execute(struct machine *machine, const struct step *step, const struct insn *insn,
	uint64_t gva, const uint8_t *old, uint8_t *result, bool *atomic)
{
	uint8_t code[X86_INSN_MAX];
	uint64_t memory[2] = {0};
	struct x86_insn what;

	memset(code, 0xcc, sizeof(code));
	memcpy(code, insn->bytes, insn->n_bytes);
	if (x86_decode(&what, insn->size, code, sizeof(code)) != X86_DECODE_OK ||
		what.length != insn->n_bytes)
		lab_fail(machine->fail, "the decoder does not know an instruction");
	if (what.op == X86_OP_OTHER || what.op == X86_OP_STORE) {
		if (insn->understood)
			lab_fail(machine->fail, "the decoder does not describe an instruction");
		return false;
	}
	if (what.operand_bytes != step->bytes || destination(insn, &what) != gva)
		lab_fail(machine->fail,
			"the decoder takes an instruction for a store of %u bytes at 0x%" PRIx64,
			what.operand_bytes, destination(insn, &what));
	memcpy(memory, old, step->bytes);
	if (!execute(insn, &what, memory))
		lab_fail(machine->fail, "a store cannot be executed");
	memcpy(result, memory, step->bytes);
	*atomic = x86_is_atomic(&what);
	return true;
}
