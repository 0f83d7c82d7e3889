/* SPDX-License-Identifier: MIT */
/*
 * A small machine for the library's unit tests: guest memory, slots, a processor that walks the
 * shadow tables and raises page faults, and helpers to build guest tables. What has to be flushed
 * is counted; the processor caches nothing, or everything until then. After every event here the
 * audit runs.
 */
#ifndef TESTS_UNIT_MMU_HOST_H
#define TESTS_UNIT_MMU_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mmu/src/vm.h"

/* Guest frames. Nothing else is in a slot. Host frames differ from guest ones, 2M alignment is the
 * same. */
#define RAM_GFN       0ull
#define RAM_FRAMES    8192ull /* 32 MiB */
#define RAM_HFN       0x80000ull
#define DEVICE_GFN    0x20000ull
#define DEVICE_FRAMES 1024ull
#define DEVICE_HFN    0x90000ull
#define ROM_GFN       0x30000ull
#define ROM_FRAMES    1024ull
#define ROM_HFN       0xa0000ull
#define ABSENT_GFN    0x40000ull
#define ABSENT_HPA    0x7000000ull

#define TABLES_HPA 0x10000000ull

/* Frames for guest tables are handed out from here up; data of tests lies above DATA_GFN. */
#define FIRST_TABLE_GFN 16ull
#define DATA_GFN        2048ull

/* Guest entries: present for all, present and writable for all. */
#define GPTE_RO (X86_PTE_P | X86_PTE_U)
#define GPTE_RW (GPTE_RO | X86_PTE_W)
#define GPTE_AD (X86_PTE_A | X86_PTE_D)

/* A bit of host_access() beside those of access_bits: EFLAGS.AC is 1, but the supervisor's access
 * is an implicit one, to which SMAP applies all the same. */
#define HOST_IMPLICIT (1u << 9)

enum host_mode {
	HOST_UNPAGED,
	HOST_2LEVEL,
	HOST_PAE,
	HOST_4LEVEL,
	HOST_5LEVEL,
};

struct host_config {
	struct umbra_policy policy;
	unsigned pool_pages; /* zero means 128 */
	unsigned max_vcpus;  /* zero means 1 */
	unsigned maxphyaddr; /* zero means 40 */
	bool no_1g;
	bool no_absent_page;
	unsigned tags;     /* zero means one */
	bool no_flush_gva; /* the host has no such service */
	bool flush_tag;    /* the host has it */
	bool caches;       /* the processor keeps every translation and upper entry until it is told
			      to forget it, or faults there */
};

struct host {
	struct host *next;
	struct umbra_vm *vm;
	struct umbra_vcpu *vcpu; /* that all below is done on: at first the first */
	struct umbra_host services;
	struct host_config config;

	uint8_t *ram, *rom;
	uint64_t (*tables)[ENTRIES];
	void *meta, *ram_meta, *rom_meta;
	size_t meta_bytes;

	uint64_t root; /* gfn of the guest's first root */
	uint64_t next_table;
	unsigned levels;     /* of tables with 8-byte entries, as host_map() makes them */
	uint32_t pkru, pkrs; /* the processor's */

	struct caches *caches; /* NULL: none */
	bool unchecked;        /* no audit after events: for what a test does many times */

	unsigned flush_all, flush_vcpu, flush_tag, flush_gva; /* calls */
	uint64_t created_before_flush; /* shadow pages, when the first of them was asked for */
	umbra_gva flushed_gva;         /* the last */
	char panicked[240];            /* what the last panic said */
	jmp_buf *on_panic;             /* where a panic goes on; NULL: it fails the test */
};

/* What became of a memory access after all page faults it took. RESUME: it was done at @hpa. */
struct host_result {
	enum umbra_outcome outcome;
	struct umbra_exit exit;
	umbra_hpa hpa;
	unsigned faults;
};

/* A policy with all optimisations off: each guest table is protected, nothing is looked at before
 * its time. */
struct umbra_policy host_plain_policy(void);

/* A machine with one vCPU, paging off, and an empty guest root. The caller frees it by host_free().
 */
struct host *host_new(const struct host_config *config);
struct host *host_new_policy(const struct umbra_policy *policy);
void host_free(struct host *h);

/* ---- guest memory, behind the library's back ---- */

/* The guest table (or data page) @gfn of RAM or ROM, as words. */
uint64_t *host_words(struct host *h, uint64_t gfn);
/* Where a word of RAM is for the guest. */
umbra_gpa host_gpa(const struct host *h, const void *entry);
/* A zeroed frame. */
uint64_t host_new_table(struct host *h);
/* The guest entry for @gva at @level below @root; NULL if the tables do not reach there. */
uint64_t *host_gpte(struct host *h, uint64_t root, umbra_gva gva, unsigned level);
/* Write @gpte there, making the tables above (P, W, U, and A=0) as needed. Returns the gfn of the
 * table. */
uint64_t host_map(struct host *h, uint64_t root, umbra_gva gva, unsigned level, uint64_t gpte);
uint64_t gpte_of(uint64_t gfn, uint64_t bits);
/* The same for the 4-byte entries of 2-level paging: levels 2 and 1. */
uint32_t *host_gpte32(struct host *h, uint64_t root, umbra_gva gva, unsigned level);
uint64_t host_map32(struct host *h, uint64_t root, umbra_gva gva, unsigned level, uint64_t gpte);

/* ---- events ---- */

/* The registers of @mode with @root, CR0.WP=1, EFER.NXE=1, CR4.PSE=1 and no protection features. */
struct umbra_paging_regs host_mode_regs(enum host_mode mode, uint64_t root);
/* Load them; host_map() and host_gpte() are about tables of @mode from here on. */
void host_start_mode(struct host *h, enum host_mode mode, uint64_t root);
/* 4-level; then changes of single registers within a mode. */
void host_start(struct host *h, uint64_t root);
void host_set_regs(struct host *h, const struct umbra_paging_regs *regs);
void host_regs(struct host *h, uint64_t cr0, uint64_t cr4);
void host_cr3(struct host *h, uint64_t root);
void host_invlpg(struct host *h, umbra_gva gva);

/* One access by the processor, with its protection keys; a test that makes no progress fails. */
struct host_result host_access(struct host *h, umbra_gva gva, access_bits access);
/* As host_access() of a supervisor, but it has to succeed. Returns the guest frame. */
uint64_t host_read_gfn(struct host *h, umbra_gva gva);
/* Store a word as the guest, emulating it if the library asks for that. Returns what the access
 * said. */
struct host_result host_store(struct host *h, umbra_gva gva, uint64_t word);
/* umbra_guest_write(), of an aligned word or of @n_bytes. */
void host_write_word(struct host *h, umbra_gpa gpa, uint64_t word);
void host_write(struct host *h, umbra_gpa gpa, const void *bytes, size_t n_bytes);

/* Fail if an invariant is broken. Every event above does this itself, but where h->unchecked. */
void host_check(struct host *h);
void host_reset_flushes(struct host *h);
unsigned host_flushes(const struct host *h); /* of more than an address */

/* ---- the shadow, for tests that look into it ---- */

/* The shadow entry for @gva at @level, or 0 if the tree does not reach there. */
uint64_t host_spte(struct host *h, umbra_gva gva, unsigned level);
/* How many shadow pages are made from guest table @gfn. */
unsigned host_shadows(struct host *h, uint64_t gfn);
bool host_is_unsync(struct host *h, uint64_t gfn);
/* How many shadow pages are made from unsync tables. */
unsigned host_n_unsync(struct host *h);

/* setup and teardown for cmocka: *state is the host; plain policy, 4-level paging, empty tables. */
int host_setup(void **state);
int host_teardown(void **state);

#endif
