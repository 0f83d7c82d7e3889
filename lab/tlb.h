/* SPDX-License-Identifier: MIT */
/*
 * The translation caches of one CPU of the lab: a TLB for pages of every size and caches of the
 * upper levels of the (shadow) tables. Everything in them stays until it is flushed or pushed out
 * by chance: what a real CPU may remember, this one does. Knows nothing of the library, and
 * nothing flushes by itself, not even a change of the root: the library must ask.
 *
 * Every entry belongs to the address-space tag (ASID, VPID) that the CPU ran under when it was
 * made, and is of use under that tag only.
 *
 * SDM 3A "Caching Translation Information".
 */
#ifndef LAB_TLB_H
#define LAB_TLB_H

#include "lab/rng.h"

#include <stdbool.h>
#include <stdint.h>

#define TLB_ENTRIES     48u
#define TLB_UPPER_CACHE 12u

/* What the levels walked so far grant together. */
struct tlb_rights {
	bool write;
	bool user;
	bool no_execute;
	unsigned key; /* of the leaf, as is the index into the PAT */
	unsigned pat;
};

/* A translation of 2^@shift bytes, or of a 4K fragment of it, from gva @base to hpa @frame. */
struct tlb_entry {
	bool valid;
	unsigned tag;
	bool dirty;     /* a write needs no walk */
	unsigned shift; /* of the page it came from: 12, 21 or 30 */
	bool fragment;  /* holds only 4K of that page */
	uint64_t base;  /* first byte this entry translates */
	uint64_t frame; /* host-physical address of that byte */
	struct tlb_rights rights;
};

/* An upper-level entry: addresses that agree from bit @shift up go on at @table. */
struct tlb_upper {
	bool valid;
	unsigned tag;
	unsigned shift;
	uint64_t base;
	uint64_t table;
	struct tlb_rights rights;
};

struct tlb {
	unsigned tag;     /* the present one */
	bool untagged;    /* sabotage: tags do not count */
	bool keeps_dirty; /* sabotage: flushes spare what can be written through */
	struct tlb_entry entries[TLB_ENTRIES];
	struct tlb_upper uppers[TLB_UPPER_CACHE];
};

/* An entry that translates @gva, by chance one of several; NULL if none does. */
struct tlb_entry *tlb_find(struct tlb *tlb, struct rng *rng, uint64_t gva);

/* By chance one of the upper entries for @gva, or NULL even if some are there. */
const struct tlb_upper *tlb_find_upper(const struct tlb *tlb, struct rng *rng, uint64_t gva);

/* Remember under the present tag; pushes something out by chance. */
void tlb_insert(struct tlb *tlb, struct rng *rng, const struct tlb_entry *entry);
void tlb_insert_upper(struct tlb *tlb, struct rng *rng, const struct tlb_upper *upper);

/* Forget all of every tag; all of the present one. */
void tlb_flush(struct tlb *tlb);
void tlb_flush_tag(struct tlb *tlb);

/* Like INVLPG: forget all of the pages that hold @gva, and every upper entry, of the present tag.
 */
void tlb_flush_gva(struct tlb *tlb, uint64_t gva);

/* What a page fault does: forget, of the present tag, @gva's translations and the upper entries
 * used for it. */
void tlb_fault(struct tlb *tlb, uint64_t gva);

/* Forget something by chance. */
void tlb_decay(struct tlb *tlb, struct rng *rng);

#endif
