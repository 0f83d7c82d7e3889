/* SPDX-License-Identifier: MIT */
/* Translation caches of one lab CPU. Owns replacement and the kinds of flush. */
#include "lab/tlb.h"

#include <stddef.h>
#include <string.h>

#define FRAGMENT_SHIFT 12u

static bool same_region(uint64_t gva, uint64_t base, unsigned shift)
{
	return gva >> shift == base >> shift;
}

static bool is_of(const struct tlb *tlb, unsigned tag)
{
	return tlb->tag == tag || tlb->untagged;
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

		if (entry->valid && is_of(tlb, entry->tag) &&
			same_region(gva, entry->base, reach(entry)))
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

		if (upper->valid && is_of(tlb, upper->tag) &&
			same_region(gva, upper->base, upper->shift))
			return upper;
	}
	return NULL;
}

void tlb_insert(struct tlb *tlb, struct rng *rng, const struct tlb_entry *entry)
{
	struct tlb_entry *slot = &tlb->entries[rng_below(rng, TLB_ENTRIES)];

	*slot = *entry;
	slot->tag = tlb->tag;
}

void tlb_insert_upper(struct tlb *tlb, struct rng *rng, const struct tlb_upper *upper)
{
	struct tlb_upper *slot = &tlb->uppers[rng_below(rng, TLB_UPPER_CACHE)];

	*slot = *upper;
	slot->tag = tlb->tag;
}

static void drop(struct tlb *tlb, struct tlb_entry *entry)
{
	if (!tlb->keeps_dirty || !entry->dirty || !entry->rights.write)
		entry->valid = false;
}

void tlb_flush(struct tlb *tlb)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		drop(tlb, &tlb->entries[i]);
	memset(tlb->uppers, 0, sizeof(tlb->uppers));
}

static void flush_uppers(struct tlb *tlb)
{
	for (unsigned i = 0; i < TLB_UPPER_CACHE; i++)
		if (tlb->uppers[i].tag == tlb->tag)
			tlb->uppers[i].valid = false;
}

void tlb_flush_tag(struct tlb *tlb)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		if (tlb->entries[i].tag == tlb->tag)
			drop(tlb, &tlb->entries[i]);
	flush_uppers(tlb);
}

static void flush_pages(struct tlb *tlb, uint64_t gva)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		struct tlb_entry *entry = &tlb->entries[i];

		if (entry->tag == tlb->tag && same_region(gva, entry->base, entry->shift))
			drop(tlb, entry);
	}
}

void tlb_flush_gva(struct tlb *tlb, uint64_t gva)
{
	flush_pages(tlb, gva);
	flush_uppers(tlb);
}

void tlb_fault(struct tlb *tlb, uint64_t gva)
{
	flush_pages(tlb, gva);
	for (unsigned i = 0; i < TLB_UPPER_CACHE; i++) {
		struct tlb_upper *upper = &tlb->uppers[i];

		if (upper->tag == tlb->tag && same_region(gva, upper->base, upper->shift))
			upper->valid = false;
	}
}

void tlb_decay(struct tlb *tlb, struct rng *rng)
{
	tlb->entries[rng_below(rng, TLB_ENTRIES)].valid = false;
	tlb->uppers[rng_below(rng, TLB_UPPER_CACHE)].valid = false;
}
