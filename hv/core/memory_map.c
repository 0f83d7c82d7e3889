/* SPDX-License-Identifier: MIT */
/*
 * The map of physical memory: made canonical from what the loader said, cut, and searched. Pure
 * computation on memory_map; must not touch the memory it speaks of.
 */
#include "hv/core/init.h"

struct memory_map_entry memory_map[MEMORY_MAP_MAX];
unsigned memory_map_entries;
struct phys_range hv_reserved;

#define RAW_MAX  (MEMORY_MAP_MAX + 1u)
#define BYTES_4G (1ull << 32)

/* One past the last byte. An entry that claims to pass the end of the address space is cut there.
 */
static uint64_t entry_end(const struct memory_map_entry *entry)
{
	uint64_t end = entry->base_bytes + entry->size_bytes;

	return end < entry->base_bytes ? UINT64_MAX : end;
}

static uint64_t range_end(struct phys_range range)
{
	uint64_t end = range.base_bytes + range.size_bytes;

	return end < range.base_bytes ? UINT64_MAX : end;
}

/* Insertion sort: a map has a few dozen ends. */
static void sort(uint64_t *points, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		uint64_t point = points[i];
		unsigned at = i;

		for (; at > 0 && points[at - 1] > point; at--)
			points[at] = points[at - 1];
		points[at] = point;
	}
}

/* The type that counts from @from to the next end, 0 when no entry covers it. */
static uint32_t type_at(const struct memory_map_entry *raw, unsigned n_raw, uint64_t from)
{
	uint32_t winner = 0;

	for (unsigned i = 0; i < n_raw; i++) {
		uint32_t type = raw[i].type ? raw[i].type : MEMORY_RESERVED;

		if (from >= raw[i].base_bytes && from < entry_end(&raw[i]) && type > winner)
			winner = type;
	}
	return winner;
}

bool memory_map_build(const struct memory_map_entry *raw, unsigned n_raw)
{
	struct memory_map_entry made[MEMORY_MAP_MAX];
	uint64_t points[2 * RAW_MAX];
	unsigned n_made = 0;

	HV_ASSERT(n_raw <= RAW_MAX);
	for (unsigned i = 0; i < n_raw; i++) {
		points[2 * i] = raw[i].base_bytes;
		points[2 * i + 1] = entry_end(&raw[i]);
	}
	sort(points, 2 * n_raw);

	for (unsigned i = 0; i + 1 < 2 * n_raw; i++) {
		uint64_t base = points[i];
		uint64_t size = points[i + 1] - base;
		uint32_t type = size ? type_at(raw, n_raw, base) : 0;
		struct memory_map_entry *last = n_made ? &made[n_made - 1] : NULL;

		if (!type)
			continue;
		if (last && last->type == type && entry_end(last) == base) {
			last->size_bytes += size;
			continue;
		}
		if (n_made == MEMORY_MAP_MAX)
			return false;
		made[n_made++] = (struct memory_map_entry){base, size, type};
	}
	memcpy(memory_map, made, n_made * sizeof(made[0]));
	memory_map_entries = n_made;
	return true;
}

bool memory_map_reserve(struct phys_range range)
{
	struct memory_map_entry raw[RAW_MAX];

	memcpy(raw, memory_map, memory_map_entries * sizeof(raw[0]));
	raw[memory_map_entries] = (struct memory_map_entry){
		range.base_bytes,
		range.size_bytes,
		MEMORY_RESERVED,
	};
	return memory_map_build(raw, memory_map_entries + 1);
}

bool memory_map_is_ram(struct phys_range range)
{
	if (!range.size_bytes || range_end(range) == UINT64_MAX)
		return false;
	for (unsigned i = 0; i < memory_map_entries; i++) {
		const struct memory_map_entry *entry = &memory_map[i];

		if (entry->type == MEMORY_RAM && range.base_bytes >= entry->base_bytes &&
			range_end(range) <= entry_end(entry))
			return true;
	}
	return false;
}

/* The range of @avoid that [base, base + size) touches, or NULL. */
static const struct phys_range *touched(
	uint64_t base, uint64_t size, const struct phys_range *avoid, unsigned n_avoid)
{
	for (unsigned i = 0; i < n_avoid; i++) {
		if (avoid[i].size_bytes && base < range_end(avoid[i]) &&
			avoid[i].base_bytes < base + size)
			return &avoid[i];
	}
	return NULL;
}

bool memory_map_highest(uint64_t size_bytes, uint64_t align_bytes, uint64_t limit_bytes,
	const struct phys_range *avoid, unsigned n_avoid, uint64_t *base_bytes)
{
	for (unsigned i = memory_map_entries; i-- > 0;) {
		const struct memory_map_entry *entry = &memory_map[i];
		uint64_t end = entry_end(entry) < limit_bytes ? entry_end(entry) : limit_bytes;

		/* Each turn ends lower than the one before, so this ends. */
		while (entry->type == MEMORY_RAM && end >= size_bytes) {
			uint64_t base = (end - size_bytes) & ~(align_bytes - 1);
			const struct phys_range *obstacle =
				touched(base, size_bytes, avoid, n_avoid);

			if (base < entry->base_bytes)
				break;
			if (!obstacle) {
				*base_bytes = base;
				return true;
			}
			end = obstacle->base_bytes;
		}
	}
	return false;
}

bool memory_map_lowest(uint64_t size_bytes, uint64_t align_bytes, uint64_t from_bytes,
	const struct phys_range *avoid, unsigned n_avoid, uint64_t *base_bytes)
{
	for (unsigned i = 0; i < memory_map_entries; i++) {
		const struct memory_map_entry *entry = &memory_map[i];
		uint64_t end = entry_end(entry) < BYTES_4G ? entry_end(entry) : BYTES_4G;
		uint64_t base = entry->base_bytes > from_bytes ? entry->base_bytes : from_bytes;

		/* Each turn starts higher than the one before, so this ends. */
		while (entry->type == MEMORY_RAM && base < end) {
			const struct phys_range *obstacle;

			base = (base + align_bytes - 1) & ~(align_bytes - 1);
			if (base >= end || size_bytes > end - base)
				break;
			obstacle = touched(base, size_bytes, avoid, n_avoid);
			if (!obstacle) {
				*base_bytes = base;
				return true;
			}
			base = range_end(*obstacle);
		}
	}
	return false;
}
