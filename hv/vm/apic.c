/* SPDX-License-Identifier: MIT */
/*
 * See apic.h. SDM 3A "Advanced Programmable Interrupt Controller (APIC)": "APIC Register Address
 * Map", "Interrupt Command Register (ICR)", "Local Vector Table"; APM 2 "Local APIC".
 */
#include "hv/vm/apic.h"

#include "hv/arch/cpu.h"
#include "hv/vm/vcpu.h"

#define REGISTER_STEP  16u /* a register is the first four bytes of these */
#define REGISTER_BYTES 4u

/* The first register. Stores below it some machines take for interrupt messages. */
#define ID 0x020u

/* Registers with a delivery mode in bits 10:8. Some of the vector table's have none; there these
 * bits are reserved. */
#define LVT_CMCI      0x2f0u
#define ICR_LOW       0x300u
#define LVT_FIRST     0x320u
#define LVT_LAST      0x370u
#define LVT_AMD_FIRST 0x500u
#define LVT_AMD_LAST  0x530u

/* APM 2 "APIC Base Address Register". */
#define APIC_BASE_EXTD (1ull << 10)
#define APIC_BASE_EN   (1ull << 11)

#define MODE(value) ((value) >> 8 & 7)
#define MODE_INIT   5u
#define MODE_START  6u

static bool has_mode(unsigned offset)
{
	return offset == ICR_LOW || offset == LVT_CMCI ||
	       (offset >= LVT_FIRST && offset <= LVT_LAST) ||
	       (offset >= LVT_AMD_FIRST && offset <= LVT_AMD_LAST);
}

/*
 * INIT is dropped to whomever it is sent, and with either level: to this processor it is a reset
 * under the hypervisor, and others, like those that a start-up interrupt sets going, would run
 * without it. An interrupt of the vector table may be INIT too, and a message that is stored like a
 * device's: so is any store to the page while the APIC is off. Everything else, NMI and SMI among
 * it, is the guest's.
 */
bool apic_allows(unsigned offset, const void *bytes, size_t n_bytes)
{
	unsigned at = offset % REGISTER_STEP;
	uint32_t value;

	/* "Must not be executed": what a processor then does is not said. */
	if (at + n_bytes > REGISTER_BYTES || offset < ID)
		return false;
	if (!has_mode(offset - at))
		return true;
	if (n_bytes != REGISTER_BYTES)
		return false;
	__builtin_memcpy(&value, bytes, sizeof(value));
	return MODE(value) != MODE_INIT && MODE(value) != MODE_START;
}

static enum umbra_track_answer written(
	void *ctx, struct umbra_vcpu *vcpu, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	const struct vm *vm = ctx;

	(void)vcpu;
	if (vm->apic_on && apic_allows(gpa % X86_PAGE_SIZE, bytes, n_bytes))
		memory_put_device(gpa, bytes, n_bytes);
	return UMBRA_TRACK_STORE;
}

void apic_watch(struct vm *vm, uint64_t base)
{
	static struct umbra_track track = {.when = UMBRA_TRACK_BEFORE, .written = written};
	umbra_gfn gfn = {(base & X86_PTE_FRAME) >> X86_PAGE_SHIFT};

	if (base & APIC_BASE_EXTD)
		fatal_config(
			"the firmware has switched the local APIC to x2APIC mode, which is not "
			"supported; switch it off in the firmware's setup");
	vm->apic_on = base & APIC_BASE_EN;
	track.ctx = vm;
	if (umbra_track_write(vm->mmu, gfn, &track) != UMBRA_OK)
		panic("the local APIC at %lx cannot be watched", base);
}

bool apic_write_base(struct vm *vm, uint64_t value)
{
	uint64_t now = rdmsr(X86_MSR_APIC_BASE);

	if ((value ^ now) & X86_PTE_FRAME || value & APIC_BASE_EXTD)
		return false;
	wrmsr(X86_MSR_APIC_BASE, value);
	vm->apic_on = value & APIC_BASE_EN;
	return true;
}
