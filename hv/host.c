/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as slots, and the library's own memory. Guest-physical is host-physical, so that
 * devices' DMA goes where the guest means it; the hypervisor's range is in no slot.
 */
#include "hv/host.h"

#include "hv/arch/cpu.h"
#include "hv/core/insn.h"
#include "hv/vm/cpuid.h"

#define LOW_RAM_END       0xa0000u /* below the video memory and ROMs of the PC */
#define LOW_END           0x100000u
#define CPUID_EDX_PAGE1GB (1u << 26)

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static size_t pages_of(size_t n_bytes)
{
	return (size_t)round_up(n_bytes, X86_PAGE_SIZE) / X86_PAGE_SIZE;
}

/* ---- the guest's memory ---- */

/* ACPI tables and NVS are memory that the guest reads, and may write, like any other. */
static bool is_ram(const struct memory_map_entry *entry)
{
	return entry->type == MEMORY_RAM || entry->type == MEMORY_ACPI || entry->type == MEMORY_NVS;
}

static void add_ram(struct vm *vm, uint64_t base, uint64_t end)
{
	struct vm_ram *last = vm->n_ram ? &vm->ram[vm->n_ram - 1] : NULL;

	if (base >= end)
		return;
	if (last && last->base_bytes + last->size_bytes == base) {
		last->size_bytes = end - last->base_bytes;
		return;
	}
	if (vm->n_ram == VM_RAM_MAX)
		fatal_config("the memory map of this machine has more than %u pieces of RAM",
			VM_RAM_MAX);
	vm->ram[vm->n_ram++] = (struct vm_ram){base, end - base};
}

/* Largest first: nearly every search ends at the first. */
static void sort_ram(struct vm *vm)
{
	for (unsigned i = 1; i < vm->n_ram; i++) {
		struct vm_ram piece = vm->ram[i];
		unsigned at = i;

		for (; at > 0 && vm->ram[at - 1].size_bytes < piece.size_bytes; at--)
			vm->ram[at] = vm->ram[at - 1];
		vm->ram[at] = piece;
	}
}

void host_memory_init(struct vm *vm)
{
	void *absent = frames_alloc(1);

	memset(absent, 0xff, X86_PAGE_SIZE);
	vm->absent_page = virt_to_phys(absent);
	vm->apic_page = rdmsr(X86_MSR_APIC_BASE) & X86_PTE_FRAME;
	vm->maxphyaddr = cpuid_guest(0x80000008u, 0).eax & 0xff;
	/* Below 1 MiB the map speaks of parts of pages; all of it is there. */
	add_ram(vm, 0, LOW_RAM_END);
	for (unsigned i = 0; i < memory_map_entries; i++) {
		const struct memory_map_entry *entry = &memory_map[i];
		uint64_t base = entry->base_bytes < LOW_END ? LOW_END : entry->base_bytes;
		uint64_t end = entry->base_bytes + entry->size_bytes;

		if (is_ram(entry))
			add_ram(vm, round_up(base, X86_PAGE_SIZE),
				end & ~(uint64_t)(X86_PAGE_SIZE - 1));
	}
	sort_ram(vm);
}

/* The end of the RAM, or of the hypervisor, that @at lies in; @at itself if in none. *@next is
 * where the next one begins, at most @limit. */
static uint64_t end_of_memory(const struct vm *vm, uint64_t at, uint64_t limit, uint64_t *next)
{
	uint64_t end = at;

	*next = limit;
	for (unsigned i = 0; i <= vm->n_ram; i++) {
		uint64_t base = i < vm->n_ram ? vm->ram[i].base_bytes : hv_reserved.base_bytes;
		uint64_t size = i < vm->n_ram ? vm->ram[i].size_bytes : hv_reserved.size_bytes;

		if (at - base < size)
			end = base + size;
		else if (base > at && base < *next)
			*next = base;
	}
	return end;
}

void host_for_each_device(const struct vm *vm,
	void (*each)(void *ctx, uint64_t base_bytes, uint64_t end_bytes), void *ctx)
{
	uint64_t limit = 1ull << vm->maxphyaddr;
	uint64_t at = 0;

	while (at < limit) {
		uint64_t next;
		uint64_t end = end_of_memory(vm, at, limit, &next);

		if (end == at) {
			each(ctx, at, next);
			end = next;
		}
		at = end;
	}
}

/* ---- services ---- */

static void flush_tlb(void *host_ctx, struct umbra_vcpu *vcpu)
{
	(void)host_ctx;
	(void)vcpu;
	vendor_flush_tlb(&the_vcpu);
}

static void flush_tag(void *host_ctx, struct umbra_vcpu *vcpu)
{
	(void)host_ctx;
	(void)vcpu;
	vendor_flush_tag(&the_vcpu);
}

static void flush_gva(void *host_ctx, struct umbra_vcpu *vcpu, umbra_gva gva)
{
	(void)host_ctx;
	vendor_flush_gva(&the_vcpu, umbra_tag(vcpu), gva);
}

static void library_panic(void *host_ctx, const char *text)
{
	(void)host_ctx;
	panic("MMU library: %s", text);
}

static const struct umbra_host host = {
	.flush_tlb = flush_tlb,
	.flush_tag = flush_tag,
	.flush_gva = flush_gva,
	.panic = library_panic,
};

/* ---- the library's memory ---- */

static void add_slot(struct vm *vm, const struct umbra_slot *slot)
{
	enum umbra_status status = umbra_add_slot(vm->mmu, slot);

	if (status == UMBRA_TOO_MANY)
		fatal_config("the memory map of this machine has more pieces than the MMU library "
			     "has slots");
	if (status != UMBRA_OK)
		panic("umbra_add_slot: status %d for frame %lx", (int)status, slot->gfn.n);
}

static struct umbra_slot slot_of(enum umbra_slot_kind kind, uint64_t base, uint64_t end)
{
	return (struct umbra_slot){
		.kind = kind,
		.gfn = {base / X86_PAGE_SIZE},
		.hfn = {base / X86_PAGE_SIZE},
		.n_frames = (end - base) / X86_PAGE_SIZE,
	};
}

/* The APIC's page is a slot of its own, and where stores are messages there is nothing to write. */
static void add_device_slots(void *ctx, uint64_t base, uint64_t end)
{
	struct vm *vm = ctx;
	const uint64_t edges[] = {
		VM_MESSAGES_BASE, VM_MESSAGES_END, vm->apic_page, vm->apic_page + X86_PAGE_SIZE};

	while (base < end) {
		struct umbra_slot slot;
		uint64_t next = end;

		for (unsigned i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
			if (edges[i] > base && edges[i] < next)
				next = edges[i];
		}
		slot = slot_of(UMBRA_SLOT_DEVICE, base, next);
		slot.read_only = vm_is_message(vm, base);
		add_slot(vm, &slot);
		base = next;
	}
}

static size_t slot_meta_pages(const struct vm_ram *ram)
{
	struct umbra_slot slot =
		slot_of(UMBRA_SLOT_RAM, ram->base_bytes, ram->base_bytes + ram->size_bytes);

	return pages_of(umbra_slot_meta_bytes(slot.gfn, slot.n_frames));
}

/* The library looks slots up in the order they were added: RAM first. */
static void add_slots(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_ram; i++) {
		const struct vm_ram *ram = &vm->ram[i];
		struct umbra_slot slot =
			slot_of(UMBRA_SLOT_RAM, ram->base_bytes, ram->base_bytes + ram->size_bytes);

		slot.host_va = phys_to_virt(ram->base_bytes);
		slot.meta = frames_alloc(slot_meta_pages(ram));
		add_slot(vm, &slot);
	}
	host_for_each_device(vm, add_device_slots, vm);
}

/* The largest pool that fits into @n_pages together with what the library keeps about it; 0 if none
 * does. */
static unsigned largest_pool(size_t n_pages)
{
	unsigned fits = 0;
	unsigned too_many = (unsigned)n_pages + 1;

	while (too_many - fits > 1) {
		unsigned pool = fits + (too_many - fits) / 2;

		if (pool + pages_of(umbra_vm_meta_bytes(pool, MAX_CPUS)) <= n_pages)
			fits = pool;
		else
			too_many = pool;
	}
	return fits;
}

static unsigned choose_pool(const struct vm *vm)
{
	size_t left = frames_left();
	size_t slots = 0;
	unsigned pool;

	for (unsigned i = 0; i < vm->n_ram; i++)
		slots += slot_meta_pages(&vm->ram[i]);
	pool = slots < left ? largest_pool(left - slots) : 0;
	if (pool < UMBRA_POOL_MIN)
		fatal_config("not enough memory for shadow tables: the hypervisor has %zu KiB "
			     "left, and %zu KiB of that go "
			     "to records of the guest's memory; give it more with reserve=MIB, or "
			     "the guest less",
			left * X86_PAGE_SIZE / 1024, slots * X86_PAGE_SIZE / 1024);
	return pool;
}

static struct umbra_policy choose_policy(void)
{
	struct umbra_policy policy = umbra_policy_default;
	const char *text = option("policy");
	char why[256];

	if (text && umbra_policy_parse(&policy, text, why, sizeof(why)) != UMBRA_OK)
		fatal_config("option policy=%s: %s", text, why);
	return policy;
}

void host_mmu_create(struct vm *vm, struct vcpu *vcpu)
{
	uint32_t features = cpuid_guest(0x80000001u, 0).edx;
	struct umbra_config config = {
		.policy = choose_policy(),
		.max_vcpus = MAX_CPUS,
		.maxphyaddr = vm->maxphyaddr,
		.no_1g = !(features & CPUID_EDX_PAGE1GB),
		.tags = vendor_tags() < UMBRA_TAGS_MAX ? vendor_tags() : UMBRA_TAGS_MAX,
		.pool_pages = choose_pool(vm),
		.absent_page = vm->absent_page,
		.host = &host,
	};
	enum umbra_status status;

	config.tables = frames_alloc(config.pool_pages);
	config.tables_hpa = virt_to_phys(config.tables);
	config.meta_bytes = umbra_vm_meta_bytes(config.pool_pages, MAX_CPUS);
	config.meta = frames_alloc(pages_of(config.meta_bytes));
	status = umbra_vm_create(&config, &vm->mmu);
	if (status != UMBRA_OK)
		fatal_config("the MMU library refuses this configuration (status %d, %u shadow "
			     "pages); see policy= and "
			     "reserve=",
			(int)status, config.pool_pages);
	add_slots(vm);
	if (umbra_vcpu_create(vm->mmu, &vcpu->mmu) != UMBRA_OK)
		panic("umbra_vcpu_create");
}
