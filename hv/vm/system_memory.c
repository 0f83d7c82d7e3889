/* SPDX-License-Identifier: MIT */
/*
 * See system_memory.h.
 */
#include "hv/vm/system_memory.h"

static bool translate(struct vcpu *vcpu, umbra_gva gva, struct system_access access, umbra_gpa *gpa,
	struct umbra_exit *fault)
{
	struct umbra_page_fault try = {
		.gva = gva,
		.error_code = access.write ? X86_PF_W : 0,
		/* CPL 3 without U says that the access is implicit. */
		.cpl = 3,
	};

	if (access.is_explicit) {
		try.error_code |= access.cpl == 3 ? X86_PF_U : 0;
		try.cpl = access.cpl;
		try.ac = access.ac;
	}
	/* Sets A and D; what it says beside a #PF is for instructions. */
	if (umbra_page_fault(vcpu->mmu, &try, fault) == UMBRA_INJECT)
		return false;
	return umbra_translate(vcpu->mmu, &try, gpa, fault);
}

bool system_prepare(struct vcpu *vcpu, umbra_gva gva, size_t n_bytes, struct system_access access,
	struct system_span *span, struct umbra_exit *fault)
{
	size_t left = X86_PAGE_SIZE - gva % X86_PAGE_SIZE;
	size_t first = n_bytes < left ? n_bytes : left;

	*span = (struct system_span){.n_bytes = {first, n_bytes - first}};
	if (!translate(vcpu, gva, access, &span->gpas[0], fault))
		return false;
	return first == n_bytes ||
	       translate(vcpu, (uint32_t)(gva + first), access, &span->gpas[1], fault);
}

/* Readable without a guest's instruction: RAM, and the ROMs and devices below 4 GiB. */
static const void *readable(const struct vm *vm, umbra_gpa gpa)
{
	const void *ram = memory_ram(vm, gpa);

	if (ram || gpa >> 32 || gpa - hv_reserved.base_bytes < hv_reserved.size_bytes)
		return ram;
	return phys_to_virt(gpa);
}

void system_read(struct vcpu *vcpu, const struct system_span *span, void *bytes)
{
	uint8_t *to = bytes;

	for (unsigned i = 0; i < 2; to += span->n_bytes[i++]) {
		const void *from = span->n_bytes[i] ? readable(vcpu->vm, span->gpas[i]) : NULL;

		if (from)
			memcpy(to, from, span->n_bytes[i]);
		else
			memset(to, 0xff, span->n_bytes[i]);
	}
}

void system_write(struct vcpu *vcpu, const struct system_span *span, const void *bytes)
{
	const uint8_t *from = bytes;

	for (unsigned i = 0; i < 2; from += span->n_bytes[i++]) {
		if (span->n_bytes[i])
			(void)umbra_guest_write(vcpu->mmu, span->gpas[i], from, span->n_bytes[i]);
	}
}
