/* SPDX-License-Identifier: MIT */
/* Damage to the shadow tables behind the library's back. */
#include "lab/sabotage.h"

#include "x86/x86.h"

#define TRIES 4096u

/* Some entry of the tables that is present and has all bits of @with and none of @without. */
static uint64_t *pick_entry(struct machine *machine, uint64_t with, uint64_t without)
{
	uint64_t *entries = (uint64_t *)(void *)machine->memory.tables;
	unsigned n_entries = machine->memory.table_pages * 512;

	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t *entry = &entries[rng_below(&machine->rng, n_entries)];

		if ((*entry & with) == with && !(*entry & without))
			return entry;
	}
	return NULL;
}

void sabotage_cpu(const struct machine *machine, struct hw *hw)
{
	enum lab_sabotage kind = machine->config.sabotage;

	hw->stuck_pdptes = kind == LAB_SABOTAGE_STUCK_PDPTES;
	hw->never_dirty = kind == LAB_SABOTAGE_NEVER_DIRTY;
	hw->tlb.untagged = kind == LAB_SABOTAGE_IGNORE_TAGS;
	hw->tlb.keeps_dirty = kind == LAB_SABOTAGE_KEEP_DIRTY;
}

void sabotage_stored(struct machine *machine, uint64_t gpa, uint64_t n_bytes)
{
	unsigned index = gpa % X86_PAGE_SIZE / 8;

	if (machine->config.sabotage != LAB_SABOTAGE_NEIGHBOUR || n_bytes >= 8 || index == 511)
		return;
	for (unsigned page = 0; page < machine->memory.table_pages; page++) {
		uint64_t *entry = (uint64_t *)(void *)machine->memory.tables + page * 512 + index;

		if ((entry[0] & X86_PTE_P) && (entry[1] & X86_PTE_P))
			entry[1] = (entry[1] & ~X86_PTE_FRAME) | (entry[0] & X86_PTE_FRAME);
	}
}

void sabotage_step(struct machine *machine)
{
	uint64_t *entry;

	switch (machine->config.sabotage) {
	case LAB_SABOTAGE_STRAY_WRITE:
		entry = pick_entry(machine, X86_PTE_P, X86_PTE_W);
		if (entry)
			*entry |= X86_PTE_W;
		break;
	case LAB_SABOTAGE_WRONG_FRAME:
		entry = pick_entry(machine, X86_PTE_P | X86_PTE_D, X86_PTE_PS);
		if (entry)
			*entry ^= X86_PAGE_SIZE;
		break;
	case LAB_SABOTAGE_WRONG_KEY:
		/* In PAE tables it would be a reserved bit, which is too easy. */
		entry = pick_entry(machine, X86_PTE_P | X86_PTE_D, X86_PTE_PS);
		if (entry && machine->vcpus[0].hw.mode != UMBRA_SHADOW_PAE)
			*entry ^= 1ull << X86_PTE_PK_SHIFT;
		break;
	default:
		break;
	}
}
