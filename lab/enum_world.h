/* SPDX-License-Identifier: MIT */
/*
 * The world of the enumeration: guest memory, a VM of the library with two vCPUs, and a strict
 * processor for each. vCPU 0 makes the accesses; vCPU 1 never pages, and stores into tables where
 * that is the manner. Changes tables from one picture to the next, performs accesses, and judges
 * nothing (enum_check.h does).
 */
#ifndef LAB_ENUM_WORLD_H
#define LAB_ENUM_WORLD_H

#include "lab/enum.h"
#include "lab/enum_hw.h"
#include "lab/fail.h"

enum {
	ENUM_RANGE_LOW, /* the tables */
	ENUM_RANGE_DATA,
	ENUM_RANGE_ROM,
	ENUM_RANGE_DEVICE,
	ENUM_RANGE_HIGH,
	ENUM_N_RANGES,
};

struct enum_range {
	uint64_t gfn;
	uint64_t hfn;
	uint64_t n_frames;
	bool read_only;
	bool device;
};

extern const struct enum_range enum_ranges[ENUM_N_RANGES];

/* The range of @gpa, or NULL: the memory is absent. */
const struct enum_range *enum_range_of(uint64_t gpa);

/* The frame of the table of @level: 0x15 for level 1, the frame number in the test's addresses. */
uint64_t enum_table_gfn(unsigned level);

struct enum_vcpu {
	struct umbra_vcpu *umbra;
	struct enum_hw hw;
	bool kicked;
};

struct enum_world {
	struct lab_fail *fail;
	const struct enum_row *row;
	struct umbra_vm *vm;
	struct enum_vcpu vcpus[2];
	unsigned maxphyaddr;
	bool no_1g;
	bool absent_page;
	uint8_t *backing[ENUM_N_RANGES]; /* NULL for the device */
	void *meta[ENUM_N_RANGES];
	size_t meta_bytes[ENUM_N_RANGES];
	uint8_t *tables;
	void *vm_meta;
	size_t vm_meta_bytes;

	struct picture picture; /* what the tables hold, but for A and D */
	uint64_t pdpte[4];      /* of vCPU 0, as the manual says they were loaded last */
	unsigned turn;          /* counts answers to UMBRA_EMULATE, to give each in turn */
	uint64_t n_exits;
};

/* How an access ended. */
enum enum_end {
	END_MEMORY,
	END_FAULT,
	END_ABSENT,
	END_ABSENT_PAGE, /* the page that stands for all absent memory was read */
	END_GP,          /* the registers were refused */
	END_LIVELOCK,
	END_STRANGE, /* an outcome that makes no sense */
};

struct enum_seen {
	enum enum_end end;
	uint32_t error_code;
	uint64_t gva;  /* of a fault */
	uint64_t gpa;  /* of memory and absent memory */
	unsigned pat;  /* of memory: index into the PAT */
	bool emulated; /* the host made the access */
};

/* Memory for a world, once; enum_world_begin() makes a new VM in it for @row. Failures from then on
 * go to @fail. */
void enum_world_init(struct enum_world *world, struct lab_fail *fail);
void enum_world_begin(struct enum_world *world, const struct enum_row *row);
void enum_world_free(struct enum_world *world);

/* The word at @gpa as a processor's walk reads it: all ones where there is no memory. */
uint64_t enum_world_word(const struct enum_world *world, uint64_t gpa, unsigned n_bytes);

/* vCPU 0 as the oracle sees it. */
struct oracle_cpu enum_world_cpu(const struct enum_world *world, const struct picture *picture);

/* Change tables and registers to @picture in @manner. false: the registers were refused, and the
 * vCPU is what it was. */
bool enum_world_show(
	struct enum_world *world, const struct picture *picture, enum enum_manner manner);

/* The parts of that: registers alone, without and with a load of CR3; one store for the guest. */
bool enum_world_set_regs(struct enum_world *world, const struct umbra_paging_regs *regs);
bool enum_world_load(struct enum_world *world, const struct picture *picture);
void enum_world_poke(struct enum_world *world, const struct enum_word *word, unsigned n_bytes);

/* One access of vCPU 0 at the picture's address. */
void enum_world_access(
	struct enum_world *world, const struct enum_who *who, struct enum_seen *seen);

#endif
