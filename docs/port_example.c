/* SPDX-License-Identifier: MIT */
/*
 * A port of libumbra, whole: a machine with 2 MiB of memory and a processor that walks shadow
 * tables and caches nothing. docs/PORTING.md explains it; `make test` builds and runs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "umbra/umbra.h"
#include "x86/x86.h"

/* ---- memory: where the guest's frames and the shadow tables lie in this machine ---- */

#define RAM_FRAMES   512u
#define RAM_HPA      0x40000000ull
#define TABLES_HPA   0x100000ull
#define TABLE_PAGES  UMBRA_POOL_MIN
#define PAGE_WORDS   512u

static _Alignas(4096) uint8_t ram[RAM_FRAMES * 4096];
static _Alignas(4096) uint64_t tables[TABLE_PAGES * PAGE_WORDS];
static _Alignas(64) uint8_t vm_meta[1u << 20];
static _Alignas(64) uint8_t slot_meta[1u << 14];

/* ---- what the library asks of us ---- */

static void flush_tlb(void *host_ctx, struct umbra_vcpu *vcpu)
{
	/* This processor remembers no translations. A real one is flushed before it goes on. */
	(void)host_ctx;
	(void)vcpu;
}

static void panic(void *host_ctx, const char *text)
{
	(void)host_ctx;
	fprintf(stderr, "port_example: %s\n", text);
	abort();
}

static const struct umbra_host host = {.flush_tlb = flush_tlb, .panic = panic};

static void check(bool good, const char *what)
{
	if (!good)
		panic(NULL, what);
}

/* ---- making the machine ---- */

static struct umbra_vcpu *make_vcpu(void)
{
	struct umbra_config config = {
		.policy = umbra_policy_default,
		.max_vcpus = 1,
		.maxphyaddr = 40,
		.tables = tables,
		.tables_hpa = TABLES_HPA,
		.pool_pages = TABLE_PAGES,
		.meta = vm_meta,
		.meta_bytes = sizeof(vm_meta), /* umbra_vm_meta_bytes() says how much is needed */
		.host = &host,
	};
	struct umbra_slot slot = {
		.kind = UMBRA_SLOT_RAM,
		.hfn = {RAM_HPA >> X86_PAGE_SHIFT},
		.n_frames = RAM_FRAMES,
		.host_va = ram,
		.meta = slot_meta,
	};
	struct umbra_vcpu *vcpu;
	struct umbra_vm *vm;

	check(umbra_slot_meta_bytes(slot.gfn, slot.n_frames) <= sizeof(slot_meta), "slot_meta");
	check(umbra_vm_create(&config, &vm) == UMBRA_OK, "umbra_vm_create");
	check(umbra_add_slot(vm, &slot) == UMBRA_OK, "umbra_add_slot");
	check(umbra_vcpu_create(vm, &vcpu) == UMBRA_OK, "umbra_vcpu_create");
	return vcpu;
}

/* ---- the processor: in 4-level mode, at CPL 0 ---- */

/* Where @gva is, by the shadow tables; NULL is a page fault with *error_code. */
static uint8_t *cpu_walk(const struct umbra_vcpu *vcpu, umbra_gva gva, bool write,
		uint32_t *error_code)
{
	uint64_t entry = umbra_root(vcpu);
	uint64_t rights = X86_PTE_W;

	for (unsigned shift = 39; shift >= 12; shift -= 9) {
		uint64_t page = ((entry & X86_PTE_FRAME) - TABLES_HPA) / sizeof(uint64_t);
		uint64_t offset_mask = (1ull << shift) - 1;

		entry = tables[page + (gva >> shift) % PAGE_WORDS];
		rights &= entry;
		*error_code = (write ? X86_PF_W : 0) | (entry & X86_PTE_P ? X86_PF_P : 0);
		if (!(entry & X86_PTE_P) || (write && !(rights & X86_PTE_W)))
			return NULL;
		if (shift == 12 || (entry & X86_PTE_PS))
			return &ram[(entry & X86_PTE_FRAME & ~offset_mask) - RAM_HPA +
				    (gva & offset_mask)];
	}
	return NULL;
}

/* One 8-byte load or store of the guest. Returns what it came to: UMBRA_RESUME is "done". */
static enum umbra_outcome cpu_access(struct umbra_vcpu *vcpu, umbra_gva gva, bool write,
		uint64_t *value, struct umbra_exit *out)
{
	struct umbra_page_fault fault = {.gva = gva};
	enum umbra_outcome outcome = UMBRA_RESUME;
	uint8_t *at;

	while (!(at = cpu_walk(vcpu, gva, write, &fault.error_code))) {
		outcome = umbra_page_fault(vcpu, &fault, out);
		if (outcome == UMBRA_EMULATE) {
			/* The store is known here. Elsewhere: decode it, or umbra_unshadow(). */
			check(umbra_guest_write(vcpu, out->gpa, value, sizeof(*value)), "store");
			return UMBRA_RESUME;
		}
		/* UMBRA_INJECT: @out holds the #PF. UMBRA_MMIO: no memory is at out->gpa. */
		if (outcome != UMBRA_RESUME)
			return outcome;
	}
	if (write)
		memcpy(at, value, sizeof(*value));
	else
		memcpy(value, at, sizeof(*value));
	return UMBRA_RESUME;
}

/* ---- the guest ---- */

#define DATA_GVA  0x400000ull /* maps to frame 16 */
#define TABLE_GVA 0x401000ull /* maps to frame 4: the guest's last-level table itself */

static uint64_t *guest_entry(unsigned frame, unsigned index)
{
	return (uint64_t *)(void *)(ram + frame * 4096u) + index;
}

/* Frames 1 to 4 become tables of four levels. */
static void guest_make_tables(void)
{
	const uint64_t flags = X86_PTE_P | X86_PTE_W;

	*guest_entry(1, 0) = 2 * 4096 | flags;
	*guest_entry(2, 0) = 3 * 4096 | flags;
	*guest_entry(3, 2) = 4 * 4096 | flags;
	*guest_entry(4, 0) = 16 * 4096 | flags;
	*guest_entry(4, 1) = 4 * 4096 | flags;
}

int main(void)
{
	struct umbra_paging_regs regs = {
		.cr0 = X86_CR0_PG | X86_CR0_WP | X86_CR0_PE,
		.cr3 = 1 * 4096,
		.cr4 = X86_CR4_PAE,
		.efer = X86_EFER_LME | X86_EFER_LMA,
	};
	struct umbra_vcpu *vcpu = make_vcpu();
	struct umbra_exit out;
	uint64_t value = 42;

	guest_make_tables();
	check(umbra_set_paging_regs(vcpu, &regs, &out) == UMBRA_RESUME, "umbra_set_paging_regs");
	check(umbra_shadow_mode(vcpu) == UMBRA_SHADOW_4LEVEL, "shadow mode");

	check(cpu_access(vcpu, DATA_GVA, true, &value, &out) == UMBRA_RESUME, "store");
	check(*guest_entry(16, 0) == 42, "the store is not where the guest's tables say");
	check(*guest_entry(4, 0) & X86_PTE_D, "the guest's D bit is not set");

	/* The guest maps DATA_GVA to frame 17, by its own mapping of the table, and flushes. */
	value = 17 * 4096 | X86_PTE_P | X86_PTE_W;
	check(cpu_access(vcpu, TABLE_GVA, true, &value, &out) == UMBRA_RESUME, "table store");
	umbra_invlpg(vcpu, DATA_GVA);
	check(cpu_access(vcpu, DATA_GVA, false, &value, &out) == UMBRA_RESUME, "load");
	check(value == 0, "the old mapping is still there");

	/* What the guest does not map is the guest's own page fault. */
	check(cpu_access(vcpu, DATA_GVA + 0x2000, true, &value, &out) == UMBRA_INJECT, "fault");
	check(out.vector == X86_PF && out.error_code == X86_PF_W, "error code");
	puts("port_example: ok");
	return 0;
}
