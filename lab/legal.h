/* SPDX-License-Identifier: MIT */
/*
 * The outcomes that the architecture allows for a memory access of one of several vCPUs, whose TLBs
 * and paging-structure caches may hold what the tables said earlier.
 *
 * The embedder reports every change of a table word, every invalidation, and then asks of each
 * access whether what happened may happen. The rules (SDM 3A "Caching Translation Information"; APM
 * 2 "Translation-Lookaside Buffer (TLB)"):
 *
 * - Cached entries come only from entries that were present, had no reserved bit set and A=1 at
 *   some time since the last invalidation that covers them. So a present entry where there was none
 *   is seen at once, at every level.
 * - Each level may be as old as that, but never older than the level above it (see lab/stale.h).
 * - A write through a cached leaf with D=0 reads the tables again, from a cached upper entry or the
 *   root, to set D: its leaf is memory's present one.
 * - A fault because of cached rights, or a cached table, that memory no longer has is legal, but it
 *   drops what is cached for its address: the next access there sees memory.
 * - What is cached belongs to the PCID that was current and is used under that PCID only, but for
 *   global complete translations, which are used under all.
 * - INVLPG drops the page's complete translations of the current PCID and global ones, and all
 *   partial translations of that PCID, whatever their address; with EFER.TCE=1 only those that lead
 *   to the page. INVPCID of an address does the same in its PCID but for global ones. APM 2
 *   "Translation Cache Extension"; SDM 3A leaves INVPCID's other partial ones alone, and we take
 *   the one who drops more.
 * - Global complete translations survive a load of CR3 while CR4.PGE is on, and INVPCID of all
 *   types but one.
 *
 * Not modelled: the rights that changed with a write of EFER or CR4 without a flush (the present
 * registers judge cached entries). Not for several threads at once.
 */
#ifndef LAB_LEGAL_H
#define LAB_LEGAL_H

#include "lab/oracle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct legal;

enum legal_flush {
	/* CR3 was loaded with its no-flush bit, or PDPTEs without CR3, or EFER.TCE was written:
	 * nothing. */
	LEGAL_FLUSH_NOTHING,
	/* CR3 was loaded while CR4.PGE or CR4.PCIDE was on: of its PCID all but global
	 * translations. */
	LEGAL_FLUSH_KEEP_GLOBAL,
	/* CR3 was loaded while both were off; or CR0.PG, CR4 or EFER changed how tables are read.
	 */
	LEGAL_FLUSH_ALL,
};

/* The types of INVPCID by their numbers. SDM 2 "INVPCID". */
enum legal_invpcid {
	LEGAL_INVPCID_ADDRESS = 0,
	LEGAL_INVPCID_CONTEXT = 1,
	LEGAL_INVPCID_ALL = 2,
	LEGAL_INVPCID_ALL_BUT_GLOBAL = 3,
};

/* One access. Memory is as it stands after the access has set A and D, and, if it is a write,
 * before its own data is stored. */
struct legal_access {
	unsigned vcpu;
	const struct oracle_cpu *cpu;
	const struct oracle_memory *memory;
	struct oracle_access access;
	/* legal_time() when it began, if others changed tables meanwhile; 0: it was atomic. */
	uint64_t began;
};

struct legal_outcome {
	enum oracle_outcome outcome;
	uint64_t gpa; /* of ORACLE_OK: of the byte accessed */
	/* of ORACLE_OK: not NULL: nobody knows @gpa, but it is one that this accepts */
	bool (*is_gpa)(uint64_t gpa);
	uint32_t error_code; /* of ORACLE_PAGE_FAULT */
	bool typed;          /* of ORACLE_OK: @pat is known */
	uint8_t pat;         /* index into the PAT that decided about the memory type */
};

/* Is @gpa where @outcome, an ORACLE_OK, went? */
static inline bool legal_is_gpa(const struct legal_outcome *outcome, uint64_t gpa)
{
	return outcome->is_gpa ? outcome->is_gpa(gpa) : outcome->gpa == gpa;
}

/* A change of the aligned 8-byte word at @gpa. */
struct legal_change {
	uint64_t gpa;
	uint64_t before;
	uint64_t after;
};

struct legal_why {
	char text[320]; /* one line, empty if there is nothing to say */
};

/* A model of @n_vcpus that remembers @n_changes table changes (0: about a million). Memory use is
 * bounded by that. NULL without memory. */
struct legal *legal_new(unsigned n_vcpus, size_t n_changes);
void legal_free(struct legal *legal);

/* The word at @gpa (aligned to 8) changed from @before to @after, by whomsoever: stores of a
 * guest, A and D bits set by the implementation, DMA. Must be told of each word that is or ever
 * was in a table; words of other memory may be reported too. A word never reported has always
 * been what it is. */
void legal_note_write(struct legal *legal, uint64_t gpa, uint64_t before, uint64_t after);

/* @vcpu dropped cached translations; @after is its state now, with the CR3 and the EFER.TCE that it
 * uses from here on. Must be called before the first legal_check() of a vCPU. Changes before the
 * LEGAL_FLUSH_ALL of all vCPUs are forgotten, so one of each vCPU now and then keeps the model
 * fast and exact. */
void legal_flush(
	struct legal *legal, unsigned vcpu, enum legal_flush kind, const struct oracle_cpu *after);
void legal_invlpg(struct legal *legal, unsigned vcpu, uint64_t gva);

/* INVPCID of @pcid (types ADDRESS and CONTEXT) and @gva (ADDRESS; in the mode's width). */
void legal_invpcid(
	struct legal *legal, unsigned vcpu, enum legal_invpcid type, unsigned pcid, uint64_t gva);

/* Table changes so far. */
uint64_t legal_time(const struct legal *legal);

/* May @what have the outcome @observed? Also records the invalidation by a page fault, which
 * takes effect with the next call that is not legal_check_ad(). If not, *@why tells. */
bool legal_check(struct legal *legal, const struct legal_access *what,
	const struct legal_outcome *observed, struct legal_why *why);

/* Are the @n @changes that the implementation made to memory during @what, with the legal
 * outcome @observed, what the architecture asks for? Allowed: A in an entry that the access may
 * have read from memory and used, whether or not it faulted; D in the leaf of a successful
 * write. Demanded of a success: a path to @observed, cached or in memory, whose entries all have
 * A and, for a write, whose leaf has D. */
bool legal_check_ad(struct legal *legal, const struct legal_access *what,
	const struct legal_outcome *observed, const struct legal_change *changes, size_t n,
	struct legal_why *why);

/* Checks passed only because what could decide them had been forgotten. A run that means to prove
 * something ends with 0 here. */
uint64_t legal_undecided(const struct legal *legal);

#endif
