/* SPDX-License-Identifier: MIT */
/*
 * Out-of-sync guest tables: written without exits, brought back in sync when the architecture says
 * that the change must be visible. The rules are at the top of sync.c. Keeps I2, I5, I6, I7.
 * Lock: MMU lock held, everywhere here.
 */
#ifndef MMU_SYNC_H
#define MMU_SYNC_H

#include "vm.h"
#include "walk.h"

/* ---- entries ---- */

/*
 * The guest entry behind @index of the indirect @page is now @gpte: make the shadow entry grant no
 * more than it does and, where that needs no new page, no less. Whoever changed the entry owes the
 * flush.
 */
void sync_entry(struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte);

/* Read the guest entry behind @index and sync_entry() it. */
void sync_entry_now(struct umbra_vm *vm, uint32_t page, unsigned index);

/* The entry behind @index of a narrow @page has changed: bring the other entry that stands for it
 * up to date, if there is one. */
void sync_other_half(struct umbra_vm *vm, uint32_t page, unsigned index);

/* @n_bytes at @offset of the guest table @gfn were written: look at the entries touched, in each of
 * its @n_tables pages. */
void sync_written(
	struct umbra_vm *vm, uint64_t gfn, unsigned n_tables, unsigned offset, size_t n_bytes);

/* A and D were set in narrow tables. Where such a table has shadows as a wide one too, these bits
 * are others there: bring the entries up to date. */
void sync_wide_views(struct umbra_vm *vm, const struct walk *walk);

/* Install what can be of the empty entries of the group at @first of @page, at level 1. Returns how
 * many. */
unsigned sync_fill_group(struct umbra_vm *vm, uint32_t page, unsigned first);

/* Compare all that @page ever looked at with the guest table. Returns true if something had
 * changed; no page goes. */
bool sync_page(struct umbra_vm *vm, uint32_t page);

/* ---- tables ---- */

/* Take W from every leaf that maps @gfn. */
void sync_write_protect(struct umbra_vm *vm, uint64_t gfn);

/* Trap writes of @gfn, which was unsync or has just begun to be tracked, from here on. */
void sync_protect(struct umbra_vm *vm, uint64_t gfn);

/* Let the shadowed, synced table @gfn be written from now on. */
void sync_unsync(struct umbra_vm *vm, uint64_t gfn);

/* @page was found by lookup and is about to be linked below something of
 * @owner: bring what is unsync in it or below up to date. */
void sync_attach(struct umbra_vm *vm, uint32_t page, uint32_t owner);

/* ---- events ---- */

/* The guest flushed everything (CR3 load and the like) and goes on with @root: bring what that
 * reaches up to date. The caller then flushes the hardware (flush_enter). */
void sync_root(struct umbra_vm *vm, uint32_t root);

/* The same for the tables of one owner only. */
void sync_owner(struct umbra_vm *vm, uint32_t owner);

/* Bring the shadow entries on the way of @gva, from @page down as far as they are linked, to what
 * the guest's say now. */
void sync_path(struct umbra_vm *vm, umbra_gva gva, uint32_t page);

/* INVLPG of @gva on @vcpu: its entries, and every unsync table above the last level that it may
 * have cached. */
void sync_gva(struct umbra_vcpu *vcpu, umbra_gva gva);

/* ---- orphans ---- */

/* Zap the tables that lost their last parent by the guest's own doing in this event: they were
 * freed, most likely. */
void sync_reap_orphans(struct umbra_vm *vm);

#endif
