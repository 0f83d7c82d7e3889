/* SPDX-License-Identifier: MIT */
/*
 * How old the entries in one vCPU's TLBs and paging-structure caches may be.
 *
 * Caches are tagged with PCIDs, and each PCID has its own life (a *context*), cut into epochs at
 * each invalidation. A translation, complete or partial, is made by walks that read from the root
 * down and start from a partial one made the same way, so the entries it is made of were read at
 * times that never decrease from the root to the leaf, all within one epoch and while the PCID was
 * the current one. Complete translations outlive the end of an epoch that only ended the
 * paging-structure caches; global ones are used under every PCID. SDM 3A "Caching Translation
 * Information"; APM 2 "Translation-Lookaside Buffer (TLB)".
 *
 * Where exactness would cost much the answer is "older": a wrong outcome may pass, a right one
 * never fails.
 */
#ifndef LAB_STALE_H
#define LAB_STALE_H

#include "lab/oracle.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	STALE_MAX_PCIDS = 8,       /* in use since the last full flush */
	STALE_MAX_BOUNDARIES = 16, /* beyond these, older epochs are taken as one */
	STALE_MAX_ROOTS = 64,      /* left behind since the last full flush */
	STALE_MAX_EPOCHS = STALE_MAX_BOUNDARIES + 2 + 2 * STALE_MAX_ROOTS + STALE_MAX_PCIDS,
};

/* What CR3 and the PDPTE registers point at. */
struct stale_root {
	enum oracle_mode mode;
	uint64_t cr3; /* the table; 0 in PAE mode and with paging off */
	uint64_t pdpte[4];
};

/* What a load of a root leaves in the caches. */
enum stale_keep {
	STALE_KEEP_ALL,    /* everything: the context goes on where it was left */
	STALE_KEEP_GLOBAL, /* of the root's context only global translations; others stay */
	STALE_KEEP_NONE,   /* nothing in any context */
};

/* Entries may have been read at times from..to, both included, where stale_awake() agrees. */
struct stale_epoch {
	const struct stale_root *root;
	unsigned context; /* for stale_awake() */
	uint64_t from;
	uint64_t to;
	bool live;        /* still going on: walks go on now from partial translations */
	bool global_only; /* only global complete translations are left */
};

struct stale;

/* NULL without memory. Nothing is cached before the first stale_load(). */
struct stale *stale_new(void);
void stale_free(struct stale *stale);

/* At @time @root was loaded for @pcid (0 where there are none). */
void stale_load(struct stale *stale, const struct stale_root *root, unsigned pcid,
	enum stale_keep keep, uint64_t time);

/* INVLPG: drops complete translations of the page of @gva, global ones under any PCID, and partial
 * ones of the current PCID: all, or (@tce) those of @gva. APM 2 "Translation Cache Extension". */
void stale_invlpg(struct stale *stale, uint64_t gva, bool tce, uint64_t time);

/* A page fault drops complete and partial translations of @gva. */
void stale_fault(struct stale *stale, uint64_t gva, uint64_t time);

/* INVPCID: what @pcid has of @gva but global translations, and partial ones as INVLPG; all it has
 * but global ones. */
void stale_drop_address(struct stale *stale, unsigned pcid, uint64_t gva, bool tce, uint64_t time);
void stale_drop_context(struct stale *stale, unsigned pcid, uint64_t time);
/* Of every PCID all but global translations, or everything. */
void stale_drop_contexts(struct stale *stale, uint64_t time);
void stale_drop_all(struct stale *stale, uint64_t time);

/* The root loaded; NULL before the first stale_load(). Borrowed until the next one. */
const struct stale_root *stale_root(const struct stale *stale);
unsigned stale_pcid(const struct stale *stale);

/* Time of the last flush of everything. */
uint64_t stale_full_flush(const struct stale *stale);

/* The epochs that can matter for @gva, the live one first. Returns how many (at least one). */
unsigned stale_epochs(
	const struct stale *stale, uint64_t gva, struct stale_epoch epochs[STALE_MAX_EPOCHS]);

/* The first time from @time on at which @context was the current one. */
uint64_t stale_awake(const struct stale *stale, unsigned context, uint64_t time);

/* Complete translations of @gva by a page of 1 << @page_shift bytes, usable under the current PCID,
 * global ones or others, are at least this young. */
uint64_t stale_page_since(
	const struct stale *stale, uint64_t gva, unsigned page_shift, bool global);

/* Roots or PCIDs were forgotten for lack of room, the last of them in use at this time. 0: none. */
uint64_t stale_forgotten(const struct stale *stale);

#endif
