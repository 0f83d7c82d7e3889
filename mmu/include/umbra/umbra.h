/* SPDX-License-Identifier: MIT */
/*
 * libumbra: the x86 MMU in software. Events of a guest go in, outcomes come out.
 *
 * Use: give memory (umbra_vm_create), grant memory to the guest (umbra_add_slot), make vCPUs
 * (umbra_vcpu_create), then for each exit of the virtual CPU call the function of that event and do
 * what its outcome says. Before entering the guest load umbra_root() into the hardware CR3 and run
 * in umbra_shadow_mode(), with CR0.WP=1 and EFER.NXE=1 (a processor without NX will not do).
 *
 * Locks: the library takes the VM's MMU lock itself; every function may be called from any CPU, a
 * vCPU's functions only by whoever runs that vCPU. Context: may not sleep, never blocks, no
 * recursion from host callbacks. Nothing here can fail because of what a guest does.
 *
 * Source of the behaviour: Intel SDM 3A "Paging", AMD APM 2 "Page Translation and Protection".
 */
#ifndef UMBRA_UMBRA_H
#define UMBRA_UMBRA_H

#include "umbra/host.h"
#include "umbra/policy.h"
#include "umbra/stats.h"
#include "umbra/types.h"

#define UMBRA_VERSION "0.1.0"

struct umbra_vm;
struct umbra_vcpu;

struct umbra_config {
	struct umbra_policy policy; /* begin from umbra_policy_default */
	unsigned max_vcpus;         /* at least 1 */
	unsigned maxphyaddr;        /* guest-physical address width, 32 to 52 */
	bool no_1g;                 /* PDPTE.PS is reserved (no 1G pages); zero means it has them */
	unsigned tags; /* address-space tags (ASIDs) for each vCPU, see umbra_tag(); zero means one,
			  at most UMBRA_TAGS_MAX */
	/*
	 * The shadow tables themselves: @pool_pages pages of 4 KiB, page-aligned, zeroed,
	 * contiguous for the CPU and in physical memory from @tables_hpa, below 4 GiB. Kept until
	 * destroy.
	 */
	void *tables;
	umbra_hpa tables_hpa;
	unsigned pool_pages; /* at least UMBRA_POOL_MIN */
	/* Everything else: umbra_vm_meta_bytes(), 64-byte aligned, zeroed. Kept until destroy. */
	void *meta;
	size_t meta_bytes;
	/*
	 * The host frame that guest accesses outside all slots read from (the embedder fills it
	 * with 0xff); it is only ever mapped read-only, and writes are UMBRA_MMIO outcomes. Zero:
	 * every access outside the slots is an UMBRA_MMIO outcome.
	 */
	umbra_hpa absent_page;
	const struct umbra_host *host; /* kept */
	void *host_ctx;                /* kept; first argument of every host call */
};

#define UMBRA_POOL_MIN 64u
#define UMBRA_TAGS_MAX 64u

size_t umbra_vm_meta_bytes(unsigned pool_pages, unsigned max_vcpus);
size_t umbra_slot_meta_bytes(umbra_gfn first, uint64_t n_frames);

/* BAD_ARG: a required field is missing, misaligned or out of range. NO_MEMORY: @meta_bytes too
 * small. There is no destroy: the VM owns nothing but the memory it was given; take that back when
 * no CPU uses the tables any more. */
UMBRA_MUST_CHECK enum umbra_status umbra_vm_create(
	const struct umbra_config *config, struct umbra_vm **vm);

/* BAD_ARG, OVERLAP, TOO_MANY. Copies @slot. Only before the first vCPU runs. */
UMBRA_MUST_CHECK enum umbra_status umbra_add_slot(
	struct umbra_vm *vm, const struct umbra_slot *slot);

/* A vCPU in the state after reset: paging off (CR0=0x60000010). TOO_MANY. */
UMBRA_MUST_CHECK enum umbra_status umbra_vcpu_create(struct umbra_vm *vm, struct umbra_vcpu **vcpu);

/* Change policy at run time; shadows are forgotten. BAD_ARG (a value out of range, another pool
 * size): nothing changed. */
UMBRA_MUST_CHECK enum umbra_status umbra_set_policy(
	struct umbra_vm *vm, const struct umbra_policy *policy);

/* ---- what the hardware must run with ---- */

/* Physical address of the root for the hardware CR3; may change in every event function. */
umbra_hpa umbra_root(const struct umbra_vcpu *vcpu);
enum umbra_shadow_mode umbra_shadow_mode(const struct umbra_vcpu *vcpu);

/*
 * The address-space tag, below umbra_config.tags, that the vCPU has to run under (an ASID of SVM, a
 * VPID of VMX): what was translated under one tag must not be used under another. May change in
 * every event function.
 */
unsigned umbra_tag(const struct umbra_vcpu *vcpu);

/* ---- events ---- */

/*
 * More about an outcome other than UMBRA_RESUME. EMULATE and MMIO have a vector too, X86_PF, when
 * SMAP allows the access by EFLAGS.AC alone: if the host finds that the instruction made it
 * implicitly (to a descriptor table, say: it is none of its operands), it has to deliver that #PF.
 */
struct umbra_exit {
	unsigned vector;     /* INJECT: X86_PF or X86_GP; else X86_PF or 0 */
	uint32_t error_code; /* with a vector */
	umbra_gva gva;       /* with X86_PF: the address for CR2 */
	umbra_gpa gpa;       /* EMULATE, MMIO: guest-physical address of the access */
};

/* The registers that decide about translation, as the guest sees them. */
struct umbra_paging_regs {
	uint64_t cr0, cr3, cr4, efer; /* EFER.LMA as the guest would read it */
};

/* An access of the guest, and what decides about it besides its tables and control registers. */
struct umbra_page_fault {
	umbra_gva gva;       /* canonical: of another address the processor reports #GP or #SS */
	uint32_t error_code; /* as the hardware reported it, running on the shadow tables */
	unsigned cpl;        /* current privilege level; 3 with U=0 in the error code is an implicit
				supervisor access */
	bool ac;             /* EFLAGS.AC */
	uint32_t pkru;       /* looked at only with CR4.PKE=1 */
	uint32_t pkrs;       /* IA32_PKRS; looked at only with CR4.PKS=1 */
};

/* A page fault of the hardware on the shadow tables. RESUME, INJECT (#PF), EMULATE, MMIO. */
UMBRA_MUST_CHECK enum umbra_outcome umbra_page_fault(
	struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, struct umbra_exit *out);

/*
 * MOV to CR3: new value as written, with PCID and the no-flush bit 63 where CR4.PCIDE=1. RESUME, or
 * nothing changed: INJECT #GP(0) if a reserved bit is set, in a present PDPTE too (PAE). What
 * the hardware must forget before the guest runs the library asks for through the host; a load that
 * asks for no flush is as any other. The guest reads CR3 back without bit 63.
 */
UMBRA_MUST_CHECK enum umbra_outcome umbra_load_cr3(
	struct umbra_vcpu *vcpu, uint64_t cr3, struct umbra_exit *out);

/*
 * Any change of CR0, CR4 or EFER (and CR3 with them: reset, start of a guest, task switch). RESUME,
 * or nothing changed: INJECT #GP(0) if no processor could be in the state of @regs: PG without PE;
 * LMA other than PG and LME; LMA without PAE; PCIDE without LMA; reserved bits of CR3 or, where PAE
 * has them loaded now, of a present PDPTE. What a MOV may not change on the way from one such state
 * to another (PCIDE while CR3 has a PCID; LA57, PAE and LME in long mode) and what is not about
 * paging, the embedder has checked. PDPTEs are loaded again exactly where the manual says.
 * SDM 3A "PDPTE Registers", "Control Registers".
 */
UMBRA_MUST_CHECK enum umbra_outcome umbra_set_paging_regs(
	struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs, struct umbra_exit *out);

/* INVLPG. Of an address that is not canonical it does nothing, as the instruction. */
void umbra_invlpg(struct umbra_vcpu *vcpu, umbra_gva gva);

/* SDM 2 "INVPCID - Invalidate Process-Context Identifier": types. */
enum umbra_invpcid_type {
	UMBRA_INVPCID_ADDRESS = 0,
	UMBRA_INVPCID_CONTEXT = 1,
	UMBRA_INVPCID_ALL = 2, /* global translations too */
	UMBRA_INVPCID_ALL_BUT_GLOBAL = 3,
};

/* Its descriptor. */
struct umbra_invpcid {
	uint64_t pcid; /* the first quadword as it is: bits 63:12 are reserved */
	umbra_gva gva;
};

/* INVPCID at CPL 0. RESUME, or nothing happened: INJECT #GP(0) for what the manual refuses. */
UMBRA_MUST_CHECK enum umbra_outcome umbra_invpcid(struct umbra_vcpu *vcpu, uint64_t type,
	const struct umbra_invpcid *descriptor, struct umbra_exit *out);

/* ---- stores that the host makes for the guest ---- */

/*
 * The guest stores the @n_bytes, at most a page of them, at @gpa, aligned or not: write guest
 * memory, bring the shadows of what was written up to date, and tell who tracks the frames. For
 * stores that the host performs (UMBRA_EMULATE; devices). Whole entries, and whatever else is
 * aligned to its size of up to 8 bytes, change at once. Returns false, and nothing happened, unless
 * all of it is writable RAM, or a device's frame that is tracked: there it is only told.
 */
bool umbra_guest_write(struct umbra_vcpu *vcpu, umbra_gpa gpa, const void *bytes, size_t n_bytes);

enum umbra_exchange {
	UMBRA_EXCHANGE_DONE,
	UMBRA_EXCHANGE_DIFFERS, /* nothing was stored: begin the instruction again */
	UMBRA_EXCHANGE_REFUSED, /* not writable RAM, or not 1, 2, 4, 8 or 16 bytes, aligned */
};

/* The same for an instruction that reads and writes at once (LOCK, XCHG): the store is made only if
 * the bytes are @expected. No other vCPU writes them in between. */
UMBRA_MUST_CHECK enum umbra_exchange umbra_guest_exchange(struct umbra_vcpu *vcpu, umbra_gpa gpa,
	const void *expected, const void *bytes, size_t n_bytes);

/* Let the guest write the frame of @gpa freely: forget every shadow of it, or, where that cannot be
 * or came too often, let it go out of sync. Returns false if the guest may not: the frame is
 * tracked, or not writable RAM. Then only performing the store helps, or ending the guest. */
bool umbra_unshadow(struct umbra_vcpu *vcpu, umbra_gpa gpa);

/* ---- telling of stores ---- */

enum umbra_track_when {
	UMBRA_TRACK_BEFORE, /* memory still holds what was there */
	UMBRA_TRACK_AFTER,
};

enum umbra_track_answer {
	UMBRA_TRACK_STORE,
	UMBRA_TRACK_DROP, /* BEFORE: do not make the store; who is told afterwards is not told */
	UMBRA_TRACK_STOP, /* as STORE, and tell of no more: as umbra_untrack_write() */
};

/*
 * Who is told of the guest's stores into a frame. @n_bytes at @gpa, in one page, are or will be
 * @bytes. Into a device's frame the library stores nothing: whoever tracks it does, if it is to be
 * done. Called with the MMU lock held, so it must not call back but for what takes no lock:
 * umbra_read_guest(), umbra_root(), umbra_tag(), umbra_stats().
 */
struct umbra_track {
	enum umbra_track_when when;
	enum umbra_track_answer (*written)(void *ctx, struct umbra_vcpu *vcpu, umbra_gpa gpa,
		const void *bytes, size_t n_bytes);
	void *ctx;
	/* The library's; zero before the first use. */
	umbra_gfn gfn;
	struct umbra_track *next;
};

/*
 * Tell @track of every store into @gfn from here on. The guest's stores there are UMBRA_EMULATE, so
 * the host has to decode them (umbra_unshadow() does not help), and are told when it hands them to
 * umbra_guest_write() or umbra_guest_exchange(). Not told of: A and D bits that the processor sets,
 * and DMA. Several may track one frame. Keeps @track until it is untracked or stops. BAD_ARG: no
 * writable slot has @gfn, @track has no function, or it tracks another frame. Any time, by any CPU.
 */
UMBRA_MUST_CHECK enum umbra_status umbra_track_write(
	struct umbra_vm *vm, umbra_gfn gfn, struct umbra_track *track);

/* The end of it. @track was given to umbra_track_write(); it may have stopped since. */
void umbra_untrack_write(struct umbra_vm *vm, struct umbra_track *track);

/* ---- looking ---- */

/*
 * Translate as the vCPU would for @access (of its error code W, U and I count), without setting A
 * or D and without touching shadows: for fetching and decoding a guest instruction. true: *@gpa is
 * set. false: @out holds the #PF the access would raise.
 */
bool umbra_translate(struct umbra_vcpu *vcpu, const struct umbra_page_fault *access, umbra_gpa *gpa,
	struct umbra_exit *out);

/* Copy guest-physical memory; false (nothing copied) where a byte is in no RAM slot. May cross
 * pages. */
bool umbra_read_guest(struct umbra_vm *vm, umbra_gpa gpa, void *bytes, size_t n_bytes);

const struct umbra_stats *umbra_stats(const struct umbra_vm *vm);

/*
 * Check the invariants of docs/INVARIANTS.md over the whole state. Returns 0, or the number N of a
 * broken invariant I<N>, with a sentence in @why; UMBRA_AUDIT_BUSY if the MMU lock is held and
 * stays so, as in a panic inside the library. Slow: for tests, panics and the policy `audit`.
 */
#define UMBRA_AUDIT_BUSY (~0u)
unsigned umbra_audit(struct umbra_vm *vm, char *why, size_t why_bytes);

#endif
