/* SPDX-License-Identifier: MIT */
/*
 * Tables that are written and not used: *flooding*. Mostly they are none any more.
 *
 * Use is what the processor's A bits tell of: of the entries that were written, and of the links to
 * the table. Where flushes find a table changed, or its stores are emulated, again and again
 * without any use in between, that soon costs as much as making its shadow again: then it is given
 * up.
 *
 * A workload may use a table just after that each time. So a frame counts how often it was given up
 * (FRAME_CHURN), and each time doubles what it takes for the next, up to 3 times: then its shadow
 * is made in vain at most once in 16 flushes that find the table changed, or 16 stores, which cost
 * more than that. What is given up for other reasons is counted too, and no more than 3 times.
 *
 * Lock: MMU lock held, everywhere here.
 */
#ifndef MMU_FLOOD_H
#define MMU_FLOOD_H

#include "vm.h"

/* The table of @page has been protected: what happens to it is counted from here on. */
void flood_begin(struct umbra_vm *vm, uint32_t page);

/* A flush found the unsync table of @page changed; vm->use_seen: and something that changed had
 * been used. @page may go. */
void flood_flush(struct umbra_vm *vm, uint32_t page);

/* A store was emulated in the synced table @gfn; vm->use_seen as above. Returns true if it is to be
 * given up. */
bool flood_store(struct umbra_vm *vm, uint64_t gfn);

/* Was the protected @page used since flood_begin()? */
bool flood_used(struct umbra_vm *vm, uint32_t page);

/* @frame is given up for another reason. Returns false if that happened too often. */
bool flood_note_given_up(struct frame *frame);

#endif
