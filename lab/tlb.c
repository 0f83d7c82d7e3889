/* SPDX-License-Identifier: MIT */
/* Translation caches of one lab CPU. Owns replacement and the three kinds of flush. */
#include "lab/tlb.h"

#include <stddef.h>
#include <string.h>

#define FRAGMENT_SHIFT 12u

static bool same_region(uint64_t gva, uint64_t base, unsigned shift)
{
	return gva >> shift == base >> shift;
}

static unsigned reach(const struct tlb_entry *entry)
{
	return entry->fragment ? FRAGMENT_SHIFT : entry->shift;
}

struct tlb_entry *tlb_find(struct tlb *tlb, struct rng *rng, uint64_t gva)
{
	unsigned start = rng_below(rng, TLB_ENTRIES);

	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		struct tlb_entry *entry = &tlb->entries[(start + i) % TLB_ENTRIES];

		if (entry->valid && same_region(gva, entry->base, reach(entry)))
			return entry;
	}
	return NULL;
}

const struct tlb_upper *tlb_find_upper(const struct tlb *tlb, struct rng *rng, uint64_t gva)
{
	unsigned start;

	if (rng_percent(rng, 25))
		return NULL;
	start = rng_below(rng, TLB_UPPER_CACHE);
	for (unsigned i = 0; i < TLB_UPPER_CACHE; i++) {
		const struct tlb_upper *upper = &tlb->uppers[(start + i) % TLB_UPPER_CACHE];

		if (upper->valid && same_region(gva, upper->base, upper->shift))
			return upper;
	}
	return NULL;
}

void tlb_insert(struct tlb *tlb, struct rng *rng, const struct tlb_entry *entry)
{
	tlb->entries[rng_below(rng, TLB_ENTRIES)] = *entry;
}

void tlb_insert_upper(struct tlb *tlb, struct rng *rng, const struct tlb_upper *upper)
{
	tlb->uppers[rng_below(rng, TLB_UPPER_CACHE)] = *upper;
}

void tlb_flush(struct tlb *tlb)
{
	memset(tlb, 0, sizeof(*tlb));
}

static void flush_pages(struct tlb *tlb, uint64_t gva)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		struct tlb_entry *entry = &tlb->entries[i];

		if (entry->valid && same_region(gva, entry->base, entry->shift))
			entry->valid = false;
	}
}

void tlb_flush_gva(struct tlb *tlb, uint64_t gva)
{
	flush_pages(tlb, gva);
	memset(tlb->uppers, 0, sizeof(tlb->uppers));
}

void tlb_fault(struct tlb *tlb, uint64_t gva)
{
	flush_pages(tlb, gva);
	for (unsigned i = 0; i < TLB_UPPER_CACHE; i++) {
		struct tlb_upper *upper = &tlb->uppers[i];

		if (upper->valid && same_region(gva, upper->base, upper->shift))
			upper->valid = false;
	}
}

void tlb_decay(struct tlb *tlb, struct rng *rng)
{
	tlb->entries[rng_below(rng, TLB_ENTRIES)].valid = false;
	tlb->uppers[rng_below(rng, TLB_UPPER_CACHE)].valid = false;
}
