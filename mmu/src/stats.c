/* SPDX-License-Identifier: MIT */
/* Names of the counters; see umbra/stats.h. */
#include "umbra/stats.h"

#define ROW(field)                                                                                 \
	{                                                                                          \
		.name = #field, .offset_bytes = offsetof(struct umbra_stats, field)                \
	}

const struct umbra_stat_name umbra_stat_names[] = {
	ROW(pf_taken),
	ROW(pf_fixed),
	ROW(pf_guest),
	ROW(pf_emulate),
	ROW(pf_write_table),
	ROW(pf_spurious),
	ROW(pf_mmio),
	ROW(mmu_pte_write),
	ROW(mmu_unsync),
	ROW(mmu_sync),
	ROW(mmu_sync_skipped),
	ROW(mmu_sync_changed),
	ROW(mmu_prefetch),
	ROW(mmu_unshadow),
	ROW(mmu_flooded),
	ROW(mmu_tracked),
	ROW(mmu_shadow_created),
	ROW(mmu_shadow_zapped),
	ROW(mmu_recycled),
	ROW(mmu_cache_miss),
	ROW(mmu_cache_hit),
	ROW(mmu_large_split),
	ROW(mmu_large_merge),
	ROW(invlpg),
	ROW(tlb_flush),
	ROW(tlb_flush_gva),
	ROW(tlb_elided),
	ROW(audit_events),
	ROW(audits),
	ROW(shadow_pages),
	{.name = NULL},
};
