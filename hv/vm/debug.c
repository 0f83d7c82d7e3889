/* SPDX-License-Identifier: MIT */
/*
 * See debug.h.
 */
#include "hv/vm/debug.h"

#define N_BREAKPOINTS 4u
/* DR7.R/Wn. */
#define ON_WRITE  1u
#define ON_PORT   2u
#define ON_ACCESS 3u

/* DR7.LENn. */
static uint64_t length_of(unsigned len)
{
	static const uint8_t lengths[] = {1, 2, 8, 4};

	return lengths[len];
}

static bool concerns(unsigned on, enum debug_kind kind)
{
	switch (kind) {
	case DEBUG_PORT:
		return on == ON_PORT;
	case DEBUG_WRITE:
		return on == ON_WRITE || on == ON_ACCESS;
	case DEBUG_READ:
		return on == ON_ACCESS;
	}
	return false;
}

uint64_t debug_hits(
	uint64_t dr7, const uint64_t dr[4], enum debug_kind kind, uint64_t address, size_t n_bytes)
{
	uint64_t hits = 0;

	for (unsigned i = 0; i < N_BREAKPOINTS; i++) {
		unsigned enabled = dr7 >> 2 * i & 3;
		unsigned control = dr7 >> (16 + 4 * i) & 15;
		uint64_t length = length_of(control >> 2);
		uint64_t first = dr[i] & ~(length - 1);

		if (enabled && concerns(control & 3, kind) &&
			(address - first < length || first - address < n_bytes))
			hits |= 1ull << i;
	}
	return hits;
}

static __attribute__((noinline)) void check(
	struct vcpu *vcpu, enum debug_kind kind, uint64_t address, size_t n_bytes)
{
	uint64_t dr[N_BREAKPOINTS];
	uint64_t hits;

	/* Without DE this kind of breakpoint does not exist. */
	if (kind == DEBUG_PORT && !(vcpu->regs.cr4 & X86_CR4_DE))
		return;
	vendor_debug_addresses(dr);
	hits = debug_hits(vendor_dr7(vcpu), dr, kind, address, n_bytes);
	if (hits)
		vendor_debug_trap(vcpu, hits);
}

void debug_access(struct vcpu *vcpu, enum debug_kind kind, uint64_t address, size_t n_bytes)
{
	if (unlikely(debug_armed(vcpu)))
		check(vcpu, kind, address, n_bytes);
}
