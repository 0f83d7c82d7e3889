/* SPDX-License-Identifier: MIT */
/*
 * The well-behaved guest's parts: its memory (gen_os_tables.c), its processes (gen_os_process.c),
 * the kernel's own mappings (gen_os_kernel.c), and what happens when (gen_os.c). Internal to
 * gen*.c.
 */
#ifndef LAB_GEN_OS_H
#define LAB_GEN_OS_H

#include "lab/gen_guest.h"

#define OS_PROCESSES    40u
#define OS_PAGES        40u /* of a process: two areas, so two branches of its tables */
#define OS_AREA_PAGES   24u /* in the first */
#define OS_KERNEL_PAGES 32u
#define OS_FRAMES_MAX   1200u

/* Where guest and host memory are aligned, so that without tables in it it is one large page. */
#define OS_ALIGNED_FIRST 0x200u
#define OS_ALIGNED_END   0x400u

struct os_page {
	bool mapped;
	bool writable; /* what the process may do, not what the entry says just now */
	uint64_t key;  /* in its place in an entry */
};

struct os_process {
	bool alive;
	unsigned fresh; /* a bit for each vCPU on which its PCID may have something stale cached */
	uint64_t root;  /* gfn; tables below are found in memory */
	struct os_page pages[OS_PAGES];
};

/* All processes end but one, and that one's tables move to other memory. */
enum os_moving {
	OS_SETTLED,
	OS_ENDING,
	OS_MOVED,
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
	enum lab_life life;
	unsigned n_vcpus;
	unsigned n_processes; /* at most */
	enum paging mode;
	const struct os_layout *layout;
	uint64_t cr4;
	uint64_t efer;
	bool booted;
	bool waiting; /* an access is under way that may need the fault handler */
	struct step access;
	unsigned handled; /* faults taken for it */
	enum os_moving moving;
	bool aligned; /* tables go, if possible, where memory can be one large page */
	unsigned current[LAB_MAX_VCPUS];
	struct os_process processes[OS_PROCESSES];
	bool kernel_mapped[OS_KERNEL_PAGES];
	uint64_t free_frames[OS_FRAMES_MAX];
	unsigned n_free;
	uint8_t shares[0x1000]; /* by gfn: user mappings of a data frame */
};

struct os_plan {
	struct os_guest *guest;
	const struct machine *machine;
	struct rng *rng;
	struct queue *queue;
	unsigned vcpu;
};

/* Tables made in a plan, which memory does not show yet: [area][level] their gfn, 0 for none. */
struct os_made {
	uint64_t gfn[2][6];
};

/* ---- memory ---- */

uint64_t os_page_gva(const struct os_guest *guest, unsigned page);
uint64_t os_kernel_gva(const struct os_guest *guest, unsigned page);

/* The number of the page that @gva is in. */
unsigned os_page_at(const struct os_guest *guest, uint64_t gva);

/* Stores of the kernel, through its direct map; an entry has the mode's size. */
void os_store(struct os_plan *plan, uint64_t gpa, uint64_t value, unsigned n_bytes);
void os_store_entry(struct os_plan *plan, uint64_t gpa, uint64_t entry);

/* Clear @bits, some of the low byte, of the @entry at @gpa: never the whole of it. */
void os_clear_bits(struct os_plan *plan, uint64_t gpa, uint64_t entry, uint64_t bits);

/* The entry at @gpa, and the frame it names. */
uint64_t os_entry(const struct os_plan *plan, uint64_t gpa);
uint64_t os_gfn(uint64_t entry);

/* What a frame is for. */
enum os_use {
	OS_DATA,
	OS_TABLE,        /* of a process: where os_guest.aligned says */
	OS_KERNEL_TABLE, /* where no large page can be */
};

/* A frame that is free; false if there are too few left. */
bool os_take_frame(struct os_plan *plan, enum os_use use, uint64_t *gfn);
void os_give_frame(struct os_plan *plan, uint64_t gfn);

/* The gpa of @gva's entry of @level under @root; false if a table above it is missing. */
bool os_find_entry(
	struct os_plan *plan, uint64_t root, uint64_t gva, unsigned level, uint64_t *gpa);

/* The last-level entry of @page under @root; 0 if there is none. */
uint64_t os_page_entry(struct os_plan *plan, uint64_t root, unsigned page);

/* Set the last-level entry of @gva, making tables; @made is of its branch. false: out of frames. */
bool os_set_entry(struct os_plan *plan, uint64_t root, uint64_t gva, uint64_t entry, bool user,
	uint64_t made[6]);

/* A root with nothing but the kernel in it. */
bool os_new_root(struct os_plan *plan, uint64_t *root);

/* Give the frames of the table @gfn of @level back, and of all tables that its first @n_entries
 * lead to; of all tables of a root. They keep their garbage. */
void os_free_tables(struct os_plan *plan, uint64_t gfn, unsigned level, unsigned n_entries);
void os_free_root(struct os_plan *plan, uint64_t root);

/* The loader: direct map and first root in physical memory. Fills the list of frames. */
uint64_t os_load_kernel(struct os_plan *plan);

/* ---- processes ---- */

struct os_process *os_current(struct os_plan *plan);

/* INVLPG on every vCPU. */
void os_invlpg(struct os_plan *plan, uint64_t gva);

/* Go on with @process. @keep: what its PCID has cached is good. */
void os_load_cr3(struct os_plan *plan, struct os_process *process, bool keep);

/* What anybody has cached of @process is no good any more. */
void os_flush_process(struct os_plan *plan, struct os_process *process);

void os_switch(struct os_plan *plan);
void os_reload(struct os_plan *plan);
void os_exit(struct os_plan *plan);
void os_fork(struct os_plan *plan);
void os_unmap(struct os_plan *plan);
void os_protect(struct os_plan *plan);
void os_scan(struct os_plan *plan);

/* INVLPG of pages of which nothing was taken. */
void os_invlpg_in_vain(struct os_plan *plan);

/* The next step of enum os_moving. */
void os_move(struct os_plan *plan);

/* ---- the kernel's mappings, which all roots share ---- */

void os_kernel(struct os_plan *plan);

/* Memory that can be one large page loses the right to be written, or its whole mapping, for a
 * while: all of it goes with one INVLPG anywhere in it. */
void os_direct(struct os_plan *plan);

#endif
