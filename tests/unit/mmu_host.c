/* SPDX-License-Identifier: MIT */
/* The machine of the library's unit tests; see mmu_host.h. */
#include "tests/unit/mmu_processor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mmu/src/page.h"
#include "mmu/src/slot.h"
#include "mmu/src/spte.h"
#include "mmu/src/unsync.h"

/* All hosts there are: what a failed test left behind is not reported as a leak on top. */
static struct host *hosts;

/* ---- services ---- */

static void flush_tlb(void *ctx, struct umbra_vcpu *vcpu)
{
	struct host *h = ctx;

	if (!host_flushes(h))
		h->created_before_flush = umbra_stats(h->vm)->mmu_shadow_created;
	if (vcpu)
		h->flush_vcpu++;
	else
		h->flush_all++;
	processor_forget(h, vcpu, false);
}

static void flush_tag(void *ctx, struct umbra_vcpu *vcpu)
{
	struct host *h = ctx;

	h->flush_tag++;
	processor_forget(h, vcpu, true);
}

static void flush_gva(void *ctx, struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct host *h = ctx;

	h->flush_gva++;
	h->flushed_gva = gva;
	processor_forget_gva(h, vcpu, gva);
}

static void panic(void *ctx, const char *text)
{
	struct host *h = ctx;

	snprintf(h->panicked, sizeof(h->panicked), "%s", text);
	if (h->on_panic)
		longjmp(*h->on_panic, 1);
	fail_msg("the library panicked: %s", text);
}

void host_reset_flushes(struct host *h)
{
	h->flush_all = h->flush_vcpu = h->flush_tag = h->flush_gva = 0;
}

unsigned host_flushes(const struct host *h)
{
	return h->flush_all + h->flush_vcpu + h->flush_tag;
}

void host_check(struct host *h)
{
	char why[240];
	unsigned broken = h->unchecked ? 0 : umbra_audit(h->vm, why, sizeof(why));

	if (broken)
		fail_msg("I%u is broken: %s", broken, why);
}

/* ---- the machine ---- */

struct umbra_policy host_plain_policy(void)
{
	struct umbra_policy policy = umbra_policy_default;

	policy.oos = UMBRA_OOS_OFF;
	policy.prefetch = 0;
	policy.elide = false;
	policy.sticky = 1;
	return policy;
}

static void *zeroed(size_t n_bytes)
{
	size_t whole = (n_bytes + X86_PAGE_SIZE - 1) & ~(size_t)(X86_PAGE_SIZE - 1);
	void *memory = aligned_alloc(X86_PAGE_SIZE, whole);

	assert_non_null(memory);
	return memset(memory, 0, whole);
}

/* Guest memory: zeroes that cost nothing until they are touched, with nothing on either side. */
static uint8_t *guest_memory(size_t n_bytes)
{
	uint8_t *memory = mmap(NULL, n_bytes + 2 * X86_PAGE_SIZE, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(memory != MAP_FAILED);
	memory += X86_PAGE_SIZE;
	assert_int_equal(mprotect(memory, n_bytes, PROT_READ | PROT_WRITE), 0);
	return memory;
}

static void free_guest_memory(uint8_t *memory, size_t n_bytes)
{
	munmap(memory - X86_PAGE_SIZE, n_bytes + 2 * X86_PAGE_SIZE);
}

static void add_slots(struct host *h)
{
	const struct umbra_slot slots[] = {
		{.kind = UMBRA_SLOT_RAM,
			.gfn = {RAM_GFN},
			.hfn = {RAM_HFN},
			.n_frames = RAM_FRAMES,
			.host_va = h->ram,
			.meta = h->ram_meta},
		{.kind = UMBRA_SLOT_DEVICE,
			.gfn = {DEVICE_GFN},
			.hfn = {DEVICE_HFN},
			.n_frames = DEVICE_FRAMES},
		{.kind = UMBRA_SLOT_RAM,
			.gfn = {ROM_GFN},
			.hfn = {ROM_HFN},
			.n_frames = ROM_FRAMES,
			.read_only = true,
			.host_va = h->rom,
			.meta = h->rom_meta},
	};

	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		assert_int_equal(umbra_add_slot(h->vm, &slots[i]), UMBRA_OK);
}

static void create_vm(struct host *h)
{
	const struct host_config *config = &h->config;
	struct umbra_config umbra = {
		.policy = config->policy,
		.max_vcpus = config->max_vcpus,
		.maxphyaddr = config->maxphyaddr,
		.no_1g = config->no_1g,
		.tags = config->tags,
		.tables = h->tables,
		.tables_hpa = TABLES_HPA,
		.pool_pages = config->pool_pages,
		.meta = h->meta,
		.meta_bytes = h->meta_bytes,
		.absent_page = config->no_absent_page ? 0 : ABSENT_HPA,
		.host = &h->services,
		.host_ctx = h,
	};

	assert_int_equal(umbra_vm_create(&umbra, &h->vm), UMBRA_OK);
}

struct host *host_new(const struct host_config *config)
{
	struct host *h = zeroed(sizeof(*h));

	h->next = hosts;
	hosts = h;
	h->config = *config;
	if (!h->config.pool_pages)
		h->config.pool_pages = 128;
	if (!h->config.max_vcpus)
		h->config.max_vcpus = 1;
	if (!h->config.maxphyaddr)
		h->config.maxphyaddr = 40;
	h->services = (struct umbra_host){
		.flush_tlb = flush_tlb,
		.flush_tag = config->flush_tag ? flush_tag : NULL,
		.flush_gva = config->no_flush_gva ? NULL : flush_gva,
		.panic = panic,
	};
	h->meta_bytes = umbra_vm_meta_bytes(h->config.pool_pages, h->config.max_vcpus);
	h->ram = guest_memory(RAM_FRAMES * X86_PAGE_SIZE);
	h->rom = guest_memory(ROM_FRAMES * X86_PAGE_SIZE);
	h->tables = zeroed((size_t)h->config.pool_pages * X86_PAGE_SIZE);
	h->meta = zeroed(h->meta_bytes);
	h->ram_meta = zeroed(umbra_slot_meta_bytes((umbra_gfn){RAM_GFN}, RAM_FRAMES));
	h->rom_meta = zeroed(umbra_slot_meta_bytes((umbra_gfn){ROM_GFN}, ROM_FRAMES));
	h->next_table = FIRST_TABLE_GFN;
	h->levels = 4;
	if (config->caches)
		h->caches = zeroed(processor_caches_bytes());
	create_vm(h);
	add_slots(h);
	assert_int_equal(umbra_vcpu_create(h->vm, &h->vcpu), UMBRA_OK);
	h->root = host_new_table(h);
	host_check(h);
	return h;
}

struct host *host_new_policy(const struct umbra_policy *policy)
{
	return host_new(&(struct host_config){.policy = *policy});
}

void host_free(struct host *h)
{
	struct host **at = &hosts;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	free_guest_memory(h->ram, RAM_FRAMES * X86_PAGE_SIZE);
	free_guest_memory(h->rom, ROM_FRAMES * X86_PAGE_SIZE);
	free(h->tables);
	free(h->meta);
	free(h->ram_meta);
	free(h->rom_meta);
	free(h->caches);
	free(h);
}

int host_setup(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h = host_new_policy(&policy);

	host_start(h, h->root);
	*state = h;
	return 0;
}

int host_teardown(void **state)
{
	host_free(*state);
	return 0;
}

/* ---- guest memory ---- */

uint64_t *host_words(struct host *h, uint64_t gfn)
{
	if (gfn - RAM_GFN < RAM_FRAMES)
		return (uint64_t *)(void *)(h->ram + (gfn - RAM_GFN) * X86_PAGE_SIZE);
	if (gfn - ROM_GFN < ROM_FRAMES)
		return (uint64_t *)(void *)(h->rom + (gfn - ROM_GFN) * X86_PAGE_SIZE);
	fail_msg("no guest memory at frame %#llx", (unsigned long long)gfn);
	return NULL;
}

umbra_gpa host_gpa(const struct host *h, const void *entry)
{
	return (umbra_gpa)((const uint8_t *)entry - h->ram);
}

uint64_t host_new_table(struct host *h)
{
	assert_true(h->next_table < DATA_GFN);
	memset(host_words(h, h->next_table), 0, X86_PAGE_SIZE);
	return h->next_table++;
}

uint64_t gpte_of(uint64_t gfn, uint64_t bits)
{
	return gfn << X86_PAGE_SHIFT | bits;
}

uint64_t *host_gpte(struct host *h, uint64_t root, umbra_gva gva, unsigned level)
{
	uint64_t gfn = root;

	for (unsigned at = h->levels; at > level; at--) {
		uint64_t gpte = host_words(h, gfn)[gva_index(gva, at)];

		if (!(gpte & X86_PTE_P) || (gpte & X86_PTE_PS))
			return NULL;
		gfn = (gpte & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	}
	return &host_words(h, gfn)[gva_index(gva, level)];
}

uint64_t host_map(struct host *h, uint64_t root, umbra_gva gva, unsigned level, uint64_t gpte)
{
	uint64_t gfn = root;

	for (unsigned at = h->levels; at > level; at--) {
		uint64_t *entry = &host_words(h, gfn)[gva_index(gva, at)];

		/* PDPTEs have no rights. */
		if (!(*entry & X86_PTE_P))
			*entry = gpte_of(
				host_new_table(h), h->levels == 3 && at == 3 ? X86_PTE_P : GPTE_RW);
		gfn = (*entry & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	}
	host_words(h, gfn)[gva_index(gva, level)] = gpte;
	return gfn;
}

uint32_t *host_gpte32(struct host *h, uint64_t root, umbra_gva gva, unsigned level)
{
	uint32_t *entry = (uint32_t *)(void *)host_words(h, root) + (gva >> 22);

	if (level == 2)
		return entry;
	if (!(*entry & X86_PTE_P))
		return NULL;
	return (uint32_t *)(void *)host_words(h, *entry >> X86_PAGE_SHIFT) + (gva >> 12 & 1023);
}

uint64_t host_map32(struct host *h, uint64_t root, umbra_gva gva, unsigned level, uint64_t gpte)
{
	uint32_t *entry = host_gpte32(h, root, gva, 2);

	if (level == 1 && !(*entry & X86_PTE_P))
		*entry = (uint32_t)gpte_of(host_new_table(h), GPTE_RW);
	*host_gpte32(h, root, gva, level) = (uint32_t)gpte;
	return level == 2 ? root : *entry >> X86_PAGE_SHIFT;
}

/* ---- events ---- */

void host_set_regs(struct host *h, const struct umbra_paging_regs *regs)
{
	struct umbra_exit out;

	assert_int_equal(umbra_set_paging_regs(h->vcpu, regs, &out), UMBRA_RESUME);
	host_check(h);
}

struct umbra_paging_regs host_mode_regs(enum host_mode mode, uint64_t root)
{
	struct umbra_paging_regs regs = {
		.cr0 = X86_CR0_PE | X86_CR0_WP,
		.cr3 = root << X86_PAGE_SHIFT,
		.cr4 = X86_CR4_PSE,
		.efer = X86_EFER_NXE,
	};

	if (mode != HOST_UNPAGED)
		regs.cr0 |= X86_CR0_PG;
	if (mode >= HOST_PAE)
		regs.cr4 |= X86_CR4_PAE;
	if (mode >= HOST_4LEVEL)
		regs.efer |= X86_EFER_LME | X86_EFER_LMA;
	if (mode == HOST_5LEVEL)
		regs.cr4 |= X86_CR4_LA57;
	return regs;
}

void host_start_mode(struct host *h, enum host_mode mode, uint64_t root)
{
	struct umbra_paging_regs regs = host_mode_regs(mode, root);

	h->levels = mode == HOST_PAE ? 3 : mode == HOST_5LEVEL ? 5 : 4;
	host_set_regs(h, &regs);
}

void host_start(struct host *h, uint64_t root)
{
	host_start_mode(h, HOST_4LEVEL, root);
}

void host_regs(struct host *h, uint64_t cr0, uint64_t cr4)
{
	struct umbra_paging_regs regs = h->vcpu->regs;

	regs.cr0 = X86_CR0_PG | X86_CR0_PE | cr0;
	regs.cr4 = (regs.cr4 & (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_LA57)) | cr4;
	host_set_regs(h, &regs);
}

void host_cr3(struct host *h, uint64_t root)
{
	struct umbra_exit out;

	assert_int_equal(umbra_load_cr3(h->vcpu, root << X86_PAGE_SHIFT, &out), UMBRA_RESUME);
	host_check(h);
}

void host_invlpg(struct host *h, umbra_gva gva)
{
	umbra_invlpg(h->vcpu, gva);
	host_check(h);
}

void host_write(struct host *h, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	assert_true(umbra_guest_write(h->vcpu, gpa, bytes, n_bytes));
	host_check(h);
}

void host_write_word(struct host *h, umbra_gpa gpa, uint64_t word)
{
	host_write(h, gpa, &word, sizeof(word));
}

uint64_t host_read_gfn(struct host *h, umbra_gva gva)
{
	struct host_result result = host_access(h, gva, 0);
	uint64_t hfn = result.hpa >> X86_PAGE_SHIFT;

	assert_int_equal(result.outcome, UMBRA_RESUME);
	if (hfn - RAM_HFN < RAM_FRAMES)
		return hfn - RAM_HFN + RAM_GFN;
	if (hfn - DEVICE_HFN < DEVICE_FRAMES)
		return hfn - DEVICE_HFN + DEVICE_GFN;
	if (hfn - ROM_HFN < ROM_FRAMES)
		return hfn - ROM_HFN + ROM_GFN;
	assert_int_equal(hfn, ABSENT_HPA >> X86_PAGE_SHIFT);
	return ABSENT_GFN;
}

struct host_result host_store(struct host *h, umbra_gva gva, uint64_t word)
{
	struct host_result result = host_access(h, gva, X86_PF_W);

	if (result.outcome == UMBRA_RESUME)
		host_words(h, (result.hpa >> X86_PAGE_SHIFT) - RAM_HFN)[gva % X86_PAGE_SIZE / 8] =
			word;
	else if (result.outcome == UMBRA_EMULATE)
		host_write_word(h, result.exit.gpa, word);
	return result;
}

/* ---- the shadow ---- */

uint64_t host_spte(struct host *h, umbra_gva gva, unsigned level)
{
	uint32_t page = h->vcpu->root;

	for (unsigned at = page_level(&h->vm->pages[page]); at > level; at--) {
		uint64_t spte = h->vm->tables[page][gva_index(gva, at)];

		if (!spte_present(spte) || spte_is_leaf(spte, at))
			return 0;
		page = spte_child(h->vm, spte);
	}
	return h->vm->tables[page][gva_index(gva, level)];
}

unsigned host_shadows(struct host *h, uint64_t gfn)
{
	unsigned n = 0;

	for (uint32_t page = page_of_table(h->vm, gfn, 0); page;
		page = page_of_table(h->vm, gfn, page))
		n++;
	return n;
}

bool host_is_unsync(struct host *h, uint64_t gfn)
{
	const struct frame *frame = frame_of(h->vm, gfn);

	return frame_tables(frame) && (frame->state & FRAME_UNSYNC);
}

unsigned host_n_unsync(struct host *h)
{
	unsigned n = 0;

	for (uint32_t page = 1; page < h->vm->n_pages; page++)
		n += h->vm->pages[page].in_use && unsync_page(&h->vm->pages[page]);
	return n;
}
