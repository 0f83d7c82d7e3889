/* SPDX-License-Identifier: MIT */
/*
 * What an embedder supplies: memory at creation, slots, and a handful of services.
 *
 * The library never allocates: all its memory is given once, by size functions (umbra.h). What it
 * needs on every fault is therefore data (slots, the table pool); only rare things are calls.
 */
#ifndef UMBRA_HOST_H
#define UMBRA_HOST_H

#include "umbra/types.h"

struct umbra_vcpu;

/*
 * Services. All are called with the VM's MMU lock held and must not call back into the library, but
 * for what takes no lock: umbra_tag(), umbra_root(), umbra_shadow_mode().
 */
struct umbra_host {
	/*
	 * Make every physical CPU that runs, or ran, @vcpu forget all translations made through its
	 * shadow tables, under whatever tag, before it executes another guest instruction; return
	 * when that is assured (for the calling vCPU it is enough to flush at the next entry, which
	 * it has not left yet).
	 * @vcpu NULL means all of the VM. Required.
	 */
	void (*flush_tlb)(void *host_ctx, struct umbra_vcpu *vcpu);
	/*
	 * Make @vcpu, which is the one that called into the library, forget all translations made
	 * under its present tag (umbra_tag()) before its next guest instruction. NULL: the library
	 * calls flush_tlb.
	 */
	void (*flush_tag)(void *host_ctx, struct umbra_vcpu *vcpu);
	/*
	 * The same for the translation of @gva under its present tag, and all cached upper entries.
	 * NULL: the library flushes the tag.
	 */
	void (*flush_gva)(void *host_ctx, struct umbra_vcpu *vcpu, umbra_gva gva);
	/* A library bug was found (UMBRA_ASSERT, audit). Must not return. Required. */
	void (*panic)(void *host_ctx, const char *text);
};

enum umbra_slot_kind {
	UMBRA_SLOT_RAM, /* ordinary memory: may hold page tables; @host_va and @meta are required */
	UMBRA_SLOT_DEVICE, /* mapped when the guest asks; never read by the library; no @meta */
};

/*
 * A range of guest frames and what backs it. Slots overlap neither in guest nor in host frames: a
 * table written through another gfn would not be seen. Memory in no slot is absent.
 */
struct umbra_slot {
	enum umbra_slot_kind kind;
	umbra_gfn gfn; /* first guest frame */
	umbra_hfn hfn; /* first host frame; the range is physically contiguous */
	uint64_t n_frames;
	bool read_only; /* writes are UMBRA_MMIO outcomes; zero means writable */
	void *host_va;  /* RAM: the library's own mapping, page-aligned; kept until destroy */
	void *meta;     /* RAM: umbra_slot_meta_bytes() of zeroed memory; kept until destroy */
};

#endif
