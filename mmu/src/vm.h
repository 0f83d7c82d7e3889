/* SPDX-License-Identifier: MIT */
/*
 * The library's data: a VM, its vCPUs, shadow pages, guest frames, slots; and how to get from one
 * to the other. docs/MMU.md explains the fields. No policy here and no algorithm.
 *
 * Shadow pages are numbered from 1; 0 is "none". One entry of a shadow page is named by a *ref*:
 * number * 512 + index, so 0 is "none" here too. All lists are intrusive and made of such numbers:
 * nothing is ever allocated to record a mapping, so nothing but a shadow page can run out.
 */
#ifndef MMU_VM_H
#define MMU_VM_H

#include <assert.h>
#include <stdatomic.h>

#include "umbra/umbra.h"
#include "x86/x86.h"

#define ENTRIES       512u
#define LARGE_FRAMES  512u /* 4K frames in a 2M page */
#define MAX_LEVEL     5u
#define MAX_SLOTS     32u
#define GROUP_SHIFT   3u /* a group is 8 entries, one cache line of a guest table */
#define GROUP_ENTRIES (1u << GROUP_SHIFT)
#define UNSYNC_MAX    1024u /* tables in one list after a flush */
#define GAVE_UP_MAX   4u
#define ORPHANS_MAX   ENTRIES /* all that one table can leave behind */
#define MERGES_MAX    32u
/* A fault needs at most one page per level below the root, and one more where a large page is
 * split. */
#define RESERVE_PAGES 5u
/* Page numbers fit a ref (32 bits, 9 of them index) and the tag of a descent (64 bits, 43 of them
 * 2M number). */
#define POOL_MAX (1u << 21)

/* ---- guest memory ---- */

/* What is known of a 4K guest frame of a RAM slot. */
struct frame {
	uint32_t rmap;  /* first ref of the 4K leaves that map it */
	uint32_t state; /* as below */
};
/* Writable although it has shadows; or it has none, and its churn is remembered: so what is
 * negative or 0 as a signed number may be written. */
#define FRAME_UNSYNC  0x80000000u
#define FRAME_WRITTEN 0x40000000u /* unsync: a leaf that mapped it has gone, with its D bit set */
#define FRAME_TRACKED 0x20000000u /* umbra_track_write(): never unsync */
/* Shadow pages made from it as a table: so many times FRAME_SHADOW. */
#define FRAME_SHADOWS 0x1ffffff8u
#define FRAME_SHADOW  8u
/* How often it was given up as a table because it was written: flood.h. */
#define FRAME_CHURN 3u
static_assert(FRAME_SHADOWS / FRAME_SHADOW >= POOL_MAX, "a page may have all shadows");

/* Of an aligned 2M range that a RAM slot touches. */
struct region {
	uint32_t rmap;     /* first ref of the 2M leaves that map it */
	uint32_t n_tables; /* frames in it with shadows, or tracked: while not 0 it is not mapped
			      large */
};

struct slot {
	uint64_t first; /* gfn */
	uint64_t n_frames;
	uint64_t hfn;
	uint8_t *va;            /* NULL: device */
	struct frame *frames;   /* NULL: device */
	struct region *regions; /* by (gfn >> 9) - (first >> 9) */
	bool writable;
	uint32_t n_tracked; /* of a device: frames that are tracked, by whom so ever */
};

/* ---- shadow pages ---- */

/* Role: what besides the guest frame decides about a shadow page's content. */
#define ROLE_LEVEL  0x7u
#define ROLE_DIRECT (1u << 3)  /* maps guest frames linearly; no guest table behind it */
#define ROLE_WP0    (1u << 4)  /* built for CR0.WP=0 */
#define ROLE_ACC_W  (1u << 5)  /* WP0: every guest entry above grants W (else always set) */
#define ROLE_SMEP   (1u << 7)  /* WP0: built for CR4.SMEP=1 */
#define ROLE_KEEP_U (1u << 13) /* WP0: built for SMAP=1, PKE=1 or PKS=1; see vcpu->keep_u */
/* Four PDPTEs, which have no rights bits. Unless it is direct it is made from the PDPTEs of one
 * vCPU, not from memory; its gfn is that vCPU's number. */
#define ROLE_PAE_ROOT (1u << 8)
/* Direct: the bits that a leaf needs and an entry above cannot carry, as they stand in a 4K leaf.
 */
#define ROLE_LEAF_PWT      (1u << 9)
#define ROLE_LEAF_PCD      (1u << 10)
#define ROLE_LEAF_PAT      (1u << 11)
#define ROLE_LEAF_G        (1u << 12)
#define ROLE_LEAF_PK_SHIFT 16
/* Indirect: the format of the guest's tables; PAE and NARROW are not that of 4-level and 5-level
 * paging. */
#define ROLE_NXE            (1u << 20) /* built for EFER.NXE=1 */
#define ROLE_PAE            (1u << 21)
#define ROLE_NARROW         (1u << 22) /* 2-level paging */
#define ROLE_PSE            (1u << 23) /* 2-level: built for CR4.PSE=1 */
#define ROLE_QUADRANT_SHIFT 24
#define ROLE_QUADRANT       (3u << ROLE_QUADRANT_SHIFT) /* 2-level: the part of the guest's table */

/* Shadow pages of unsync tables, in the order in which they came: mostly from the root down. */
struct unsync_list {
	uint32_t first, last;
};
enum { UNSYNC_UPPER, UNSYNC_LEAF, UNSYNC_LISTS };

struct shadow_page {
	uint64_t gfn;        /* the guest table, or the first frame that a direct page maps */
	uint64_t touched;    /* a bit per group in which an entry or snapshot may be other than 0 */
	const void *guest;   /* the guest table for us (all ones if it is absent); NULL: direct */
	struct frame *frame; /* of the guest table; NULL: it is not in RAM, or there is none */
	uint32_t role;
	uint32_t hash_next;
	uint32_t parents; /* first ref of the entries that link here */
	uint32_t roots;   /* vCPUs that run on it */
	/* The only page with lists of its own (a root, or under PAE roots a page directory) through
	 * which this page was ever reached; 0: several, whose lists are page 0's. See unsync.h. */
	uint32_t owner;
	uint32_t unsync_next, unsync_prev; /* in a list of the owner */
	uint32_t idle; /* flushes in a row that found it unwritten or unchanged */
	struct unsync_list unsync[UNSYNC_LISTS]; /* if it owns: UPPER, LEAF */
	/* If it owns, of what it owns: when an entry lost something last (flush.h), and a link. */
	uint64_t lost, unlinked;
	uint16_t n_present;
	bool guest_ro; /* the table is in memory that cannot be written: A and D get lost */
	bool in_use;
	bool used;   /* second chance for roots; for others the A bit of the parents serves */
	bool listed; /* in a list of unsync tables */
	/* Unsync: written since the last compare, for all that D bits tell or could
	 * not tell. */
	bool written;
	bool was_used;      /* since flood_begin(), as A bits said that are cleared now */
	uint8_t tag;        /* that it had as root on some vCPU, perhaps still has */
	uint16_t flooded;   /* changes in a row of what was not used: flood.h */
	uint32_t emulated;  /* synced: stores emulated since it was protected */
	uint8_t unused[10]; /* a power of two is quick to index */
};
static_assert(sizeof(struct shadow_page) == 128, "a shift to index");

/* Neighbours of an entry in the one list it is in: leaf: the frame's rmap; link: the child's
 * parents. */
struct link {
	uint32_t next;
	uint32_t prev; /* 0: it is the first */
};

/* ---- the VM ---- */

/* Reserved bits of guest entries in normal form (gpte.h), by [level][PS]. */
struct format {
	uint64_t reserved[MAX_LEVEL + 1][2];
};

/* By role_format(). */
#define FORMATS 5u

struct mode;

/*
 * What a descent from a root to a last-level table found, for the next fault in the same 2M: our
 * paging-structure cache. Good while no link that the root reaches has changed or gone since
 * (`unlinked` of the root and of page 0) and the guest's entries passed are what they were.
 */
struct descent {
	uint64_t tag;  /* tree_descent_tag() */
	uint64_t made; /* vm->clock */
	uint64_t all, any;
	uint32_t page; /* of the last-level table */
	bool sure;     /* in the making: nothing has changed that was passed */
	/* The entries above, from level 2 up; where there is no such level, at[] is was[]. */
	const uint64_t *at[MAX_LEVEL - 1];
	uint64_t was[MAX_LEVEL - 1];
};
#define DESCENTS 16u

/* What a tag of the host's TLB holds: translations of @root, none older than @flushed (flush.h). */
struct tlb_tag {
	uint64_t flushed;
	uint32_t root;
};

/*
 * An access as far as translation cares, in one word: W, U and I as in a page fault's error code;
 * ACCESS_AC for a supervisor's data access with EFLAGS.AC=1 that is not known to be implicit; and a
 * bit for each protection key that forbids it: of user pages and of supervisor pages.
 */
#define ACCESS_AC              (1u << 3)
#define ACCESS_USER_KEYS       32
#define ACCESS_SUPERVISOR_KEYS 48
typedef uint64_t access_bits;

/* What an access asks of the guest entries on its way, their AND (all) and OR (any). */
struct permission {
	uint64_t need; /* all of these in all entries */
	uint64_t deny; /* none of these in all entries (U, for SMEP and SMAP) */
};
#define PERMISSIONS 16u

struct umbra_vcpu {
	struct umbra_vm *vm;
	const struct mode *mode;
	const struct format *format;
	struct umbra_paging_regs regs;
	struct permission permissions[PERMISSIONS]; /* by permission_index() */
	uint32_t report; /* error code bits that faults report: I only with NXE or SMEP */
	uint32_t root_role;
	uint32_t root; /* shadow page */
	umbra_hpa root_hpa;
	umbra_gva linear_mask; /* 32 bits outside of long mode */
	bool nxe, wp, smep, smap, pke, pks;
	/*
	 * With CR0.WP=0 a supervisor's store to a read-only user page is let through by an entry
	 * without U. Not with SMAP, PKE or PKS, which such an entry would pass by.
	 */
	bool keep_u;
	/* PAE: the registers; 2-level: four times the guest's only table. As normal gptes; the
	 * second half is empty. */
	uint64_t pdpte[GROUP_ENTRIES];
	/* The last fault that found nothing to do though EFLAGS.AC was needed to allow it, and
	 * vm->changes then (0: none): see fault.c. */
	umbra_gva suspect;
	uint64_t suspect_changes;
	struct descent descents[DESCENTS]; /* by tree_descent_at() */
	/* The same to a large page of the guest's that is mapped in parts: at[0] is its entry, and
	 * .page has the parts. For stores into tables, which mostly come that way. */
	struct descent large[DESCENTS];
	/* Frames whose stores the host could not emulate lately: the next one goes unsync, see
	 * write.c. */
	uint64_t gave_up[GAVE_UP_MAX];
	unsigned n_gave_up; /* since the last switch of roots */
	unsigned tag;       /* in use, of tags */
	unsigned next_tag;
	struct tlb_tag tags[UMBRA_TAGS_MAX];
};

struct umbra_vm {
	_Atomic uint32_t lock;
	bool flush_all; /* rights were removed: flush every vCPU before unlocking */
	bool freed;     /* a shadow page was freed since the last full flush */
	/*
	 * What the guest owes a flush for, where the entries no longer tell: a leaf that lost W may
	 * live on in a TLB (so that protecting a frame must flush although no entry is writable),
	 * and so may the parts of what was one large page to the guest (so that INVLPG of, or a
	 * fault at, one of its addresses must flush them all).
	 */
	bool stale_writable;
	bool stale_parts;
	struct umbra_policy policy;
	struct umbra_stats stats;

	uint64_t (*tables)[ENTRIES]; /* all four arrays by shadow page number */
	uint64_t (*snapshots)[ENTRIES];
	struct link (*links)[ENTRIES];
	struct shadow_page *pages;
	umbra_hpa tables_hpa;
	unsigned n_pages; /* numbers 1 .. n_pages - 1 */
	unsigned n_free;
	uint32_t free_list; /* through hash_next */
	uint32_t clock_hand;
	uint32_t *hash;
	unsigned hash_shift;

	struct slot slots[MAX_SLOTS]; /* largest first */
	unsigned n_slots;
	unsigned reserved;             /* pages that this event may still make: page_reserve() */
	bool use_seen;                 /* an entry that changed had been used: flood.h */
	struct umbra_track **tracks;   /* by the hash of gfns, as the pages */
	uint32_t unsync_next;          /* of the list that is being passed */
	uint64_t changes;              /* of entries */
	uint32_t orphans[ORPHANS_MAX]; /* to be looked at before the event ends */
	unsigned n_orphans;
	/* 2M of guest memory in which there are no tables any more: a ring, see large.c. */
	uint64_t merges[MERGES_MAX]; /* first gfn */
	unsigned merge_first, n_merges;
	uint32_t visit; /* page that was looked at last for an idle root, see root.c */
	unsigned visit_wait;
	unsigned merge_wait; /* switches of roots until the next is merged */

	bool dirty_cleared;   /* D bits were, or `written`: INVLPG has to flush the whole tag */
	uint64_t clock;       /* of losses and of links that went, see flush.h; begins at 1 */
	uint64_t all_flushed; /* when every vCPU was flushed, all tags */
	unsigned n_tags;

	struct format formats[FORMATS];
	uint64_t maxphyaddr_mask; /* address bits that exist */
	umbra_hpa absent_page;
	const struct umbra_host *host;
	void *host_ctx;
	struct umbra_vcpu *vcpus;
	unsigned n_vcpus;
	unsigned max_vcpus;
};

/* ---- from one to the other ---- */

static inline uint32_t ref_make(uint32_t page, unsigned index)
{
	return page * ENTRIES + index;
}

static inline uint32_t ref_page(uint32_t ref)
{
	return ref / ENTRIES;
}

static inline unsigned ref_index(uint32_t ref)
{
	return ref % ENTRIES;
}

static inline struct link *ref_link(struct umbra_vm *vm, uint32_t ref)
{
	return &vm->links[ref_page(ref)][ref_index(ref)];
}

static inline unsigned page_level(const struct shadow_page *page)
{
	return page->role & ROLE_LEVEL;
}

static inline bool page_direct(const struct shadow_page *page)
{
	return page->role & ROLE_DIRECT;
}

/* Made from a guest table in memory, which may be protected, unsync, unshadowed. */
static inline bool page_has_table(const struct shadow_page *page)
{
	return !(page->role & (ROLE_DIRECT | ROLE_PAE_ROOT));
}

/* Made from 4-byte entries. */
static inline bool page_narrow(const struct shadow_page *page)
{
	return (page->role & (ROLE_NARROW | ROLE_PAE_ROOT)) == ROLE_NARROW;
}

static inline unsigned page_quadrant(const struct shadow_page *page)
{
	return (page->role & ROLE_QUADRANT) >> ROLE_QUADRANT_SHIFT;
}

static inline unsigned role_format(uint32_t role)
{
	return role / ROLE_NXE & 7; /* NXE, PAE, NARROW */
}

static inline umbra_hpa page_hpa(const struct umbra_vm *vm, uint32_t page)
{
	return vm->tables_hpa + ((uint64_t)page << X86_PAGE_SHIFT);
}

static inline unsigned gva_index(umbra_gva gva, unsigned level)
{
	return (unsigned)(gva >> (X86_PAGE_SHIFT + 9 * (level - 1))) % ENTRIES;
}

/* An entry or snapshot of @page at @index may be other than 0 from here on. */
static inline void page_touch(struct shadow_page *page, unsigned index)
{
	page->touched |= 1ull << (index >> GROUP_SHIFT);
}

/* 4K frames that one entry at @level maps. */
static inline uint64_t level_frames(unsigned level)
{
	return 1ull << (9 * (level - 1));
}

static inline unsigned permission_index(access_bits access)
{
	return (unsigned)((access >> 1 & 7) | (access & X86_PF_I) >> 1);
}

static_assert(X86_PF_W == 2 && X86_PF_U == 4 && ACCESS_AC == 8 && X86_PF_I == 16,
	"permission_index() packs these four bits");

/* ---- hints for what every guest of today does on hot paths ---- */

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- assertions: library bugs only, never what a guest or host does ---- */

#ifndef UMBRA_DEBUG
#define UMBRA_DEBUG 0
#endif

#define UMBRA_ASSERT(vm, x)                                                                        \
	do {                                                                                       \
		if (UMBRA_DEBUG && !(x))                                                           \
			(vm)->host->panic((vm)->host_ctx, "umbra: assertion failed: " #x);         \
	} while (0)

#endif
