/* SPDX-License-Identifier: MIT */
/*
 * What the processor's instructions may make of CR0, CR4 and EFER. Pure: registers in, registers
 * out. Everything here is about a guest's own registers; the hardware runs with others.
 *
 * Sources: SDM 2 "MOV - Move to/from Control Registers", "WRMSR"; SDM 3A "Control Registers",
 * "Paging-Mode Enabling"; APM 2 "Long-Mode Consistency Checks".
 */
#ifndef HV_VM_CONTROL_H
#define HV_VM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/insn.h"
#include "umbra/umbra.h"

/* MOV to CR0, CLTS, LMSW: @next is what @now becomes. Returns false for #GP(0). Whether long mode
 * can be entered from this code segment is not asked here. @in_64: executed by 64-bit code. */
bool control_write_cr0(const struct umbra_paging_regs *now, uint64_t cr0, bool in_64,
	struct umbra_paging_regs *next);
/* Does the step from @now to @next enter long mode? */
bool control_enters_long_mode(
	const struct umbra_paging_regs *now, const struct umbra_paging_regs *next);

/* MOV to CR4 and WRMSR of EFER: the same. The masks are the bits that the guest may set. */
bool control_write_cr4(const struct umbra_paging_regs *now, uint64_t cr4, uint64_t mask,
	struct umbra_paging_regs *next);
bool control_write_efer(const struct umbra_paging_regs *now, uint64_t efer, uint64_t mask,
	struct umbra_paging_regs *next);

/* May the MMU answer differently, or has it PDPTEs to load again? */
bool control_concerns_mmu(const struct umbra_paging_regs *a, const struct umbra_paging_regs *b);

/* The bits that exist, from what CPUID shows the guest in leaf 1, leaf 7 and 0x80000001 (with
 * 0x80000021). */
uint64_t control_cr4_mask(struct cpuid_result leaf_1, struct cpuid_result leaf_7);
uint64_t control_efer_mask(struct cpuid_result extended_1, struct cpuid_result extended_21);

#endif
