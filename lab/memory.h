/* SPDX-License-Identifier: MIT */
/*
 * The physical memory of the lab's machine: what a guest frame is, which host frame backs it, and
 * what the host has besides (the library's tables, the absent page). No guest frame has its own
 * number as host frame, so that a mixup of the two shows. Knows nothing of paging.
 *
 * The layout is fixed: traces depend on it. It can get more where nothing was.
 */
#ifndef LAB_MEMORY_H
#define LAB_MEMORY_H

#include "umbra/umbra.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum memory_kind {
	MEMORY_RAM,
	MEMORY_READ_ONLY,
	MEMORY_DEVICE,
};

/* A row of the layout: a slot of the guest. */
struct memory_range {
	const char *name;
	enum memory_kind kind;
	uint64_t gfn;
	uint64_t hfn;
	uint64_t n_frames;
};

#define MEMORY_N_RANGES 7u
extern const struct memory_range memory_layout[MEMORY_N_RANGES];

/* Host frames that are no guest's. Tables lie below 4 GiB, as unpaged guests need. */
#define MEMORY_TABLES_HFN 0x3000ull
#define MEMORY_ABSENT_HFN 0xa0000ull

struct memory {
	uint8_t *backing[MEMORY_N_RANGES]; /* what the machine sees */
	uint8_t *mirror[MEMORY_N_RANGES];  /* what the lab knows to be there; see memory_mirror() */
	void *meta[MEMORY_N_RANGES];       /* the library's */
	uint8_t *tables;
	unsigned table_pages;
	uint8_t *absent; /* one page of 0xff */
};

/* Allocates everything, zeroed; exits the program when the host has no memory. */
void memory_init(struct memory *memory, unsigned table_pages);
void memory_free(struct memory *memory);

/* The range that holds guest address @gpa, or NULL: the memory is absent. */
const struct memory_range *memory_range_of(uint64_t gpa);

/* Guest address backed by host address @hpa; false if no guest frame is. */
bool memory_gpa_of_hpa(uint64_t hpa, uint64_t *gpa);

/* Where the byte at @gpa is; NULL if absent. The page is contiguous. */
uint8_t *memory_at(const struct memory *memory, uint64_t gpa);

/* The lab's own copy of that byte: what the guest and the lab wrote, without what the library did.
 */
uint8_t *memory_mirror(const struct memory *memory, uint64_t gpa);

/* The shadow table at @hpa as 512 entries; NULL if @hpa is no page of the tables. */
uint64_t *memory_table(const struct memory *memory, uint64_t hpa);

#endif
