/* SPDX-License-Identifier: MIT */
/*
 * What the stubs of hv/core/trap_entry.S leave on the stack when the hypervisor itself is
 * interrupted.
 */
#ifndef HV_CORE_TRAP_H
#define HV_CORE_TRAP_H

#include <stdint.h>

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error_code; /* 0 where the vector has none */
	uint64_t rip, cs, rflags, rsp, ss;
};

/* NMIs that arrived in the hypervisor, which happens only where it lets them. */
extern uint32_t trap_nmis;

/* panic() with the registers of @frame. */
_Noreturn void panic_trap(const struct trap_frame *frame);

#endif
