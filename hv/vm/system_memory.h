/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory as the processor itself uses it beside instructions: descriptors and task
 * states. Two phases: what may fault comes first, and what was prepared cannot fail.
 */
#ifndef HV_VM_SYSTEM_MEMORY_H
#define HV_VM_SYSTEM_MEMORY_H

#include "hv/vm/vcpu.h"

/* Guest-physical pieces of one access, which may lie in two pages. */
struct system_span {
	umbra_gpa gpas[2];
	size_t n_bytes[2];
};

/* What kind of access: an implicit one of the supervisor, to read or write, or a write at the
 * privilege @cpl with EFLAGS.AC=@ac, as onto a stack. SDM 3A "Access Rights". */
struct system_access {
	bool write;
	bool is_explicit;
	unsigned cpl; /* if explicit */
	bool ac;
};

/* Translate @n_bytes (at most a page) at linear address @gva for @access, with A and D bits, as the
 * processor would. Returns false: @fault holds the #PF, nothing was injected. Shadow paging only.
 */
bool system_prepare(struct vcpu *vcpu, umbra_gva gva, size_t n_bytes, struct system_access access,
	struct system_span *span, struct umbra_exit *fault);

/* Copy what was prepared. Memory that is not there reads as ones; writes to it are dropped. */
void system_read(struct vcpu *vcpu, const struct system_span *span, void *bytes);
void system_write(struct vcpu *vcpu, const struct system_span *span, const void *bytes);

#endif
