/* SPDX-License-Identifier: MIT */
/*
 * The host performs a store for the guest, as an embedder does: it decodes the instruction, works
 * out what it does, and hands that to the library. All of it is checked: the instruction against
 * the lab's own idea of it, memory against its mirror, and who was told of it.
 */
#ifndef LAB_EMULATE_H
#define LAB_EMULATE_H

#include "lab/insn.h"
#include "lab/machine.h"

/* Hand over a store of @bytes at @gpa, which may go on in a second page. false: the library does
 * not take it, as some of that is no memory for it. */
bool emulate_write(
	struct machine *machine, unsigned vcpu, uint64_t gpa, const uint8_t *bytes, size_t n_bytes);

/* The same for an aligned one, where memory holds @old. false: the instruction has to be begun
 * again. */
bool emulate_exchange(struct machine *machine, unsigned vcpu, uint64_t gpa, const uint8_t *old,
	const uint8_t *bytes, size_t n_bytes);

/* Can an exchange be of such a store? */
bool emulate_has_exchange(uint64_t gpa, size_t n_bytes);

/* Decode @insn and do it where it finds @old, step->bytes at @gva. false: that cannot be done. */
bool emulate_execute(struct machine *machine, const struct step *step, const struct insn *insn,
	uint64_t gva, const uint8_t *old, uint8_t *result, bool *atomic);

#endif
