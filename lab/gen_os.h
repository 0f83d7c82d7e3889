/* SPDX-License-Identifier: MIT */
/*
 * The well-behaved guest's parts: its memory (gen_os_tables.c) and its life (gen_os.c). Internal to
 * gen*.c.
 */
#ifndef LAB_GEN_OS_H
#define LAB_GEN_OS_H

#include "lab/gen_guest.h"

#define OS_PROCESSES  5u
#define OS_PAGES      40u /* of a process: two areas, so two branches of its tables */
#define OS_AREA_PAGES 24u /* in the first */
#define OS_FRAMES_MAX 160u

struct os_page {
	bool mapped;
	bool writable; /* what the process may do, not what the entry says just now */
	uint64_t key;  /* in its place in an entry */
};

struct os_process {
	bool alive;
	bool fresh;    /* what its PCID has cached may be of another process */
	uint64_t root; /* gfn; tables below are found in memory */
	struct os_page pages[OS_PAGES];
};

/* Where things are in the address space of a mode. */
struct os_layout {
	uint64_t area_low;
	uint64_t area_high;
	uint64_t direct_map;   /* of all memory below 8M, by large pages */
	unsigned user_entries; /* of a root */
};

struct os_guest {
	enum lab_mode config_mode;
	enum paging mode;
	const struct os_layout *layout;
	uint64_t cr4;
	bool booted;
	bool waiting; /* an access is under way that may need the fault handler */
	struct step access;
	unsigned handled; /* faults taken for it */
	unsigned current;
	struct os_process processes[OS_PROCESSES];
	uint64_t free_frames[OS_FRAMES_MAX];
	unsigned n_free;
	uint8_t shares[0x1000]; /* by gfn: user mappings of a data frame */
};

struct os_plan {
	struct os_guest *guest;
	const struct machine *machine;
	struct rng *rng;
	struct queue *queue;
};

/* Tables made in a plan, which memory does not show yet: [area][level] their gfn, 0 for none. */
struct os_made {
	uint64_t gfn[2][6];
};

uint64_t os_page_gva(const struct os_guest *guest, unsigned page);

/* The number of the page that @gva is in. */
unsigned os_page_at(const struct os_guest *guest, uint64_t gva);

/* Stores of the kernel, through its direct map; an entry has the mode's size. */
void os_store(struct os_plan *plan, uint64_t gpa, uint64_t value, unsigned n_bytes);
void os_store_entry(struct os_plan *plan, uint64_t gpa, uint64_t entry);

/* The entry at @gpa, and whether it leads anywhere. */
uint64_t os_entry(const struct os_plan *plan, uint64_t gpa);

/* Frames that are free; false if there are too few left. */
bool os_take_frame(struct os_plan *plan, uint64_t *gfn);
void os_give_frame(struct os_plan *plan, uint64_t gfn);

/* The gpa of @gva's last-level entry under @root; false if a table above it is missing. */
bool os_find_entry(struct os_plan *plan, uint64_t root, uint64_t gva, uint64_t *gpa);

/* The last-level entry of @page under @root; 0 if there is none. */
uint64_t os_page_entry(struct os_plan *plan, uint64_t root, unsigned page);

/* Set it, making tables. false: out of frames. */
bool os_set_entry(
	struct os_plan *plan, uint64_t root, unsigned page, uint64_t entry, struct os_made *made);

/* A root with nothing but the kernel in it. */
bool os_new_root(struct os_plan *plan, uint64_t *root);

/* Give the frames of all tables of a root back; they keep their garbage. */
void os_free_root(struct os_plan *plan, uint64_t root);

/* The loader: direct map and first root in physical memory. Fills the list of frames. */
uint64_t os_load_kernel(struct os_plan *plan);

#endif
