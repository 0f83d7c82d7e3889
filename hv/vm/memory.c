/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory as one of its instructions sees it.
 */
#include "hv/arch/cpu.h"
#include "hv/core/insn.h"
#include "hv/vm/shadow_walk.h"
#include "hv/vm/walk.h"

void *memory_ram(const struct vm *vm, umbra_gpa gpa)
{
	for (unsigned i = 0; i < vm->n_ram; i++) {
		if (gpa - vm->ram[i].base_bytes < vm->ram[i].size_bytes)
			return phys_to_virt(gpa);
	}
	return NULL;
}

static bool is_user(const struct vcpu *vcpu)
{
	return vcpu->exit.cpl == 3;
}

/*
 * Where the processor has just fetched an instruction, at a fraction of the cost of asking the
 * library. Returns false if the entry is gone meanwhile, and with nested paging.
 */
static inline bool shadow_translate(const struct vcpu *vcpu, umbra_gva gva, umbra_gpa *gpa)
{
	/* The library's root, which may have changed since the exit. */
	return vcpu->mmu && shadow_walk(umbra_root(vcpu->mmu), vcpu->shadow_shift, gva, gpa);
}

__attribute__((cold)) void memory_keys(const struct vcpu *vcpu, struct umbra_page_fault *access)
{
	if (vcpu->regs.cr4 & X86_CR4_PKE)
		access->pkru = rdpkru();
	if (vcpu->regs.cr4 & X86_CR4_PKS)
		access->pkrs = (uint32_t)rdmsr(X86_MSR_PKRS);
}

struct umbra_page_fault access_of(const struct vcpu *vcpu, umbra_gva gva, uint32_t error_code)
{
	struct umbra_page_fault access = {
		.gva = gva,
		.error_code = error_code,
		.cpl = vcpu->exit.cpl,
		.ac = vcpu->exit.rflags & X86_RFLAGS_AC,
	};

	if (memory_has_keys(vcpu))
		memory_keys(vcpu, &access);
	return access;
}

bool memory_translate(struct vcpu *vcpu, umbra_gva gva, enum umbra_access access, umbra_gpa *gpa,
	struct umbra_exit *out)
{
	uint32_t error_code = (access == UMBRA_WRITE ? X86_PF_W : 0) |
			      (access == UMBRA_FETCH ? X86_PF_I : 0) |
			      (is_user(vcpu) ? X86_PF_U : 0);
	struct umbra_page_fault fault;

	if (!vcpu->mmu)
		return walk_translate(vcpu, gva, access, gpa, out);
	fault = access_of(vcpu, gva, error_code);
	return umbra_translate(vcpu->mmu, &fault, gpa, out);
}

static unsigned page_left(umbra_gva gva)
{
	return X86_PAGE_SIZE - (unsigned)(gva % X86_PAGE_SIZE);
}

static void copy(uint8_t *to, const uint8_t *from, size_t n_bytes)
{
	for (size_t i = 0; i < n_bytes; i++)
		to[i] = from[i];
}

/* Where an instruction can be read: RAM, or what lies below 4 GiB beside it, ROMs above all, of
 * which the processor has just read the same. */
static const uint8_t *code_at(const struct vm *vm, umbra_gpa gpa)
{
	const uint8_t *ram = memory_ram(vm, gpa);

	if (ram || gpa - hv_reserved.base_bytes < hv_reserved.size_bytes || gpa >> 32)
		return ram;
	return phys_to_virt(gpa);
}

/* One page's part of a fetch. Returns false if it cannot be read; then @out holds a #PF, if .vector
 * says so. */
static bool fetch_part(
	struct vcpu *vcpu, umbra_gva gva, uint8_t *bytes, size_t n_bytes, struct umbra_exit *out)
{
	const uint8_t *from;
	umbra_gpa gpa;

	if (!shadow_translate(vcpu, gva, &gpa) &&
		!memory_translate(vcpu, gva, UMBRA_FETCH, &gpa, out))
		return false;
	from = code_at(vcpu->vm, gpa);
	if (!from) {
		out->vector = 0;
		return false;
	}
	/* Two words where it can be, for speed. */
	if (page_left(gva) > X86_INSN_MAX && n_bytes == X86_INSN_MAX)
		__builtin_memcpy(bytes, from, X86_INSN_MAX + 1);
	else
		copy(bytes, from, n_bytes);
	return true;
}

/* Inject the #PF that was found here, not by the processor, which would have forgotten what it had
 * cached for the address. SDM 3A "Operations that Invalidate TLBs and Paging-Structure Caches". */
static void inject_found(struct vcpu *vcpu, umbra_gva gva, const struct umbra_exit *out)
{
	if (vcpu->mmu)
		umbra_invlpg(vcpu->mmu, gva);
	inject_outcome(vcpu, out);
}

size_t memory_fetch(struct vcpu *vcpu, uint8_t bytes[X86_INSN_MAX + 1])
{
	umbra_gva gva = insn_linear_at(vcpu, X86_SEG_CS, vcpu->exit.rip);
	size_t first = page_left(gva) < X86_INSN_MAX ? page_left(gva) : X86_INSN_MAX;
	struct umbra_exit out;

	if (!fetch_part(vcpu, gva, bytes, first, &out)) {
		if (out.vector != X86_PF)
			vm_stop(vcpu, "the instruction at rip %lx cannot be read", vcpu->exit.rip);
		inject_found(vcpu, gva, &out);
		return 0;
	}
	/* The instruction may end in the first page, so a second one that cannot be read is no
	 * fault yet. */
	if (first < X86_INSN_MAX && fetch_part(vcpu, insn_linear_add(vcpu, gva, first),
					    bytes + first, X86_INSN_MAX - first, &out))
		return X86_INSN_MAX;
	return first;
}

/*
 * Do the shadow tables map @gva to @gpa, and for writing? Then A, and D, are set in the guest's
 * table, and there is nothing to ask the library for: what it is asked for over and over although
 * nothing has to be changed it may take for an implicit access.
 */
static bool is_mapped(struct vcpu *vcpu, umbra_gva gva, enum umbra_access access, umbra_gpa gpa)
{
	umbra_gpa at;
	uint64_t entry = shadow_last(umbra_root(vcpu->mmu), vcpu->shadow_shift, gva, &at);

	return entry && at == gpa && (access != UMBRA_WRITE || entry & X86_PTE_W);
}

/*
 * Make A and D bits such that an access at @gva would be done, as a fault of the hardware does.
 * Returns false if a fault was injected.
 */
static bool touch(struct vcpu *vcpu, umbra_gva gva, enum umbra_access access, umbra_gpa *gpa)
{
	uint32_t error_code =
		(access == UMBRA_WRITE ? X86_PF_W : 0) | (is_user(vcpu) ? X86_PF_U : 0);
	struct umbra_page_fault fault;
	struct umbra_exit out;
	bool allowed = memory_translate(vcpu, gva, access, gpa, &out);

	if (vcpu->mmu && !(allowed && is_mapped(vcpu, gva, access, *gpa))) {
		fault = access_of(vcpu, gva, error_code);
		if (umbra_page_fault(vcpu->mmu, &fault, &out) != UMBRA_INJECT || allowed)
			allowed = memory_translate(vcpu, gva, access, gpa, &out);
	}
	if (!allowed)
		inject_found(vcpu, gva, &out);
	return allowed;
}

/* What lies beside the RAM at @gpa, where the direct map has it: devices, ROMs, nothing. NULL for
 * RAM and the hypervisor. */
static const volatile void *device_at(const struct vm *vm, umbra_gpa gpa)
{
	if (gpa >> 32 || memory_ram(vm, gpa) ||
		gpa - hv_reserved.base_bytes < hv_reserved.size_bytes)
		return NULL;
	return phys_to_virt(gpa);
}

/* A device sees one access of the size that the instruction has. */
static void device_read(const volatile void *device, uint8_t *bytes, size_t n_bytes)
{
	uint64_t value;

	switch (n_bytes) {
	case 8:
		value = *(const volatile uint64_t *)device;
		break;
	case 4:
		value = *(const volatile uint32_t *)device;
		break;
	case 2:
		value = *(const volatile uint16_t *)device;
		break;
	default:
		for (size_t i = 0; i < n_bytes; i++)
			bytes[i] = ((const volatile uint8_t *)device)[i];
		return;
	}
	memcpy(bytes, &value, n_bytes);
}

void memory_put_device(umbra_gpa gpa, const void *from, size_t n_bytes)
{
	volatile void *device = phys_to_virt(gpa);
	const uint8_t *bytes = from;
	uint64_t value = 0;

	if (n_bytes <= sizeof(value))
		memcpy(&value, bytes, n_bytes);
	switch (n_bytes) {
	case 8:
		*(volatile uint64_t *)device = value;
		break;
	case 4:
		*(volatile uint32_t *)device = (uint32_t)value;
		break;
	case 2:
		*(volatile uint16_t *)device = (uint16_t)value;
		break;
	default:
		for (size_t i = 0; i < n_bytes; i++)
			((volatile uint8_t *)device)[i] = bytes[i];
		break;
	}
}

static void read_part(const struct vm *vm, umbra_gpa gpa, uint8_t *bytes, size_t n_bytes)
{
	const uint8_t *ram = memory_ram(vm, gpa);
	const volatile void *device = device_at(vm, gpa);

	if (ram)
		copy(bytes, ram, n_bytes);
	else if (device)
		device_read(device, bytes, n_bytes);
	else
		memset(bytes, 0xff, n_bytes);
}

static void write_part(struct vcpu *vcpu, umbra_gpa gpa, const uint8_t *bytes, size_t n_bytes)
{
	uint8_t *ram = memory_ram(vcpu->vm, gpa);

	/* The library has it too if it is a device that somebody watches. */
	if (vcpu->mmu && umbra_guest_write(vcpu->mmu, gpa, bytes, n_bytes))
		return;
	if (vm_is_message(vcpu->vm, gpa))
		return;
	if (device_at(vcpu->vm, gpa))
		memory_put_device(gpa, bytes, n_bytes);
	else if (ram && vcpu->mmu)
		panic("the MMU library refuses a store to RAM at %lx", gpa);
	else if (ram)
		copy(ram, bytes, n_bytes);
}

/* The same, if it is not known. */
static bool find(struct vcpu *vcpu, umbra_gva gva, enum umbra_access access,
	const struct memory_fault *fault, umbra_gpa *gpa)
{
	if (fault && fault->granted && access == UMBRA_WRITE &&
		gva / X86_PAGE_SIZE == fault->gva / X86_PAGE_SIZE) {
		*gpa = (fault->gpa & ~(uint64_t)(X86_PAGE_SIZE - 1)) | gva % X86_PAGE_SIZE;
		return true;
	}
	return touch(vcpu, gva, access, gpa);
}

bool memory_prepare(struct vcpu *vcpu, umbra_gva gva, size_t n_bytes, struct memory_place *place,
	enum umbra_access access, const struct memory_fault *fault)
{
	umbra_gva second;

	place->n_bytes = n_bytes;
	place->first = n_bytes < page_left(gva) ? n_bytes : page_left(gva);
	if (place->first == n_bytes)
		return find(vcpu, gva, access, fault, &place->gpas[0]);
	/* A processor finds this out before it looks for the first page; TCG does not. */
	second = insn_linear_add(vcpu, gva, place->first);
	if (!insn_is_canonical(vcpu, second)) {
		inject_exception(vcpu, X86_GP, 0);
		return false;
	}
	return find(vcpu, gva, access, fault, &place->gpas[0]) &&
	       find(vcpu, second, access, fault, &place->gpas[1]);
}

void memory_get(struct vcpu *vcpu, const struct memory_place *place, void *bytes)
{
	read_part(vcpu->vm, place->gpas[0], bytes, place->first);
	if (place->first < place->n_bytes)
		read_part(vcpu->vm, place->gpas[1], (uint8_t *)bytes + place->first,
			place->n_bytes - place->first);
}

void memory_put(struct vcpu *vcpu, const struct memory_place *place, const void *bytes)
{
	write_part(vcpu, place->gpas[0], bytes, place->first);
	if (place->first < place->n_bytes)
		write_part(vcpu, place->gpas[1], (const uint8_t *)bytes + place->first,
			place->n_bytes - place->first);
}

bool memory_read(struct vcpu *vcpu, umbra_gva gva, void *bytes, size_t n_bytes)
{
	struct memory_place place;

	if (!memory_prepare(vcpu, gva, n_bytes, &place, UMBRA_READ, NULL))
		return false;
	memory_get(vcpu, &place, bytes);
	return true;
}

bool memory_write(struct vcpu *vcpu, umbra_gva gva, const void *bytes, size_t n_bytes)
{
	struct memory_place place;

	if (!memory_prepare(vcpu, gva, n_bytes, &place, UMBRA_WRITE, NULL))
		return false;
	memory_put(vcpu, &place, bytes);
	return true;
}
