/* SPDX-License-Identifier: MIT */
/*
 * Counters. Names are KVM's where the meaning is the same.
 */
#ifndef UMBRA_STATS_H
#define UMBRA_STATS_H

#include "umbra/types.h"

struct umbra_stats {
	uint64_t pf_taken;         /* umbra_page_fault() calls */
	uint64_t pf_fixed;         /* ended by installing or upgrading a shadow entry */
	uint64_t pf_guest;         /* the guest's own faults, injected */
	uint64_t pf_emulate;       /* stores handed to the host for emulation */
	uint64_t pf_write_table;   /* write faults on a shadowed table (any answer) */
	uint64_t pf_spurious;      /* nothing to do when looked at */
	uint64_t pf_mmio;          /* accesses to memory that no slot grants */
	uint64_t mmu_pte_write;    /* guest table writes applied by umbra_guest_write() */
	uint64_t mmu_unsync;       /* tables let out of sync (times) */
	uint64_t mmu_sync;         /* tables compared (times) */
	uint64_t mmu_sync_skipped; /* tables not compared since nothing was written (times) */
	uint64_t mmu_sync_changed; /* entries a resync found changed */
	uint64_t mmu_prefetch;     /* leaf entries installed before the guest asked */
	uint64_t mmu_unshadow;     /* frames given up as tables because of one store */
	uint64_t mmu_flooded;      /* frames or pages given up: written again and again, not used */
	uint64_t mmu_tracked;      /* stores told to a struct umbra_track */
	uint64_t mmu_shadow_created;
	uint64_t mmu_shadow_zapped;
	uint64_t mmu_recycled;    /* shadow pages taken from another use because the pool was dry */
	uint64_t mmu_cache_miss;  /* roots that had to be made at a CR3 load */
	uint64_t mmu_cache_hit;   /* roots found at a CR3 load */
	uint64_t mmu_large_split; /* 2M mappings taken away for a table under them */
	uint64_t mmu_large_merge; /* 2M mappings that came back */
	uint64_t invlpg;          /* umbra_invlpg() and umbra_invpcid() calls */
	uint64_t tlb_flush;       /* flush_tlb() and flush_tag() asked of the host */
	uint64_t tlb_flush_gva;   /* flush_gva() asked of the host */
	uint64_t tlb_elided;      /* the guest's flushes that needed none of these */
	uint64_t audit_events;    /* that ended while the policy `audit` was on */
	uint64_t audits;          /* run after one of them */
	uint64_t shadow_pages;    /* in use now (a level, not a count) */
};

struct umbra_stat_name {
	const char *name;
	size_t offset_bytes; /* into struct umbra_stats */
};

/* Every field of struct umbra_stats by name; the row after the last has a NULL name. */
extern const struct umbra_stat_name umbra_stat_names[];

#endif
