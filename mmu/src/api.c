/* SPDX-License-Identifier: MIT */
/*
 * Creation, looking, and policy: the parts of the API that are not events of a guest.
 */
#include "audit.h"
#include "lock.h"
#include "mode.h"
#include "page.h"
#include "root.h"
#include "slot.h"
#include "tree.h"
#include "walk.h"

/* ---- memory layout of the metadata ---- */

/* The arrays that follow struct umbra_vm, as offsets in bytes. */
struct layout {
	size_t vcpus, pages, snapshots, links, tracks, hash, end;
	unsigned hash_bits;
};

static size_t aligned(size_t n_bytes)
{
	return (n_bytes + 63) & ~(size_t)63;
}

static struct layout layout_of(unsigned pool_pages, unsigned max_vcpus)
{
	struct layout at = {.hash_bits = 6};
	size_t n = pool_pages;

	while (at.hash_bits < 24 && 1u << at.hash_bits < pool_pages)
		at.hash_bits++;
	at.vcpus = aligned(sizeof(struct umbra_vm));
	at.pages = at.vcpus + aligned(max_vcpus * sizeof(struct umbra_vcpu));
	at.snapshots = at.pages + aligned(n * sizeof(struct shadow_page));
	at.links = at.snapshots + n * ENTRIES * sizeof(uint64_t);
	at.tracks = at.links + n * ENTRIES * sizeof(struct link);
	at.hash = at.tracks + (sizeof(struct umbra_track *) << at.hash_bits);
	at.end = at.hash + (sizeof(uint32_t) << at.hash_bits);
	return at;
}

size_t umbra_vm_meta_bytes(unsigned pool_pages, unsigned max_vcpus)
{
	return layout_of(pool_pages, max_vcpus).end;
}

/* ---- creation ---- */

static bool policy_valid(const struct umbra_policy *policy)
{
	return policy->oos <= UMBRA_OOS_ALL && policy->write <= UMBRA_WRITE_ZAP &&
	       policy->replace <= UMBRA_REPLACE_FIFO && policy->prefetch <= ENTRIES &&
	       !(policy->prefetch & (policy->prefetch - 1)) &&
	       (!policy->pool || policy->pool >= UMBRA_POOL_MIN);
}

/* CR3 has 32 bits outside of long mode, and every guest can leave that. */
#define TABLES_END (1ull << 32)

static bool config_valid(const struct umbra_config *config)
{
	return config->max_vcpus && config->max_vcpus <= UMBRA_POOL_MIN / 2 &&
	       config->maxphyaddr >= 32 && config->maxphyaddr <= 52 && config->tables &&
	       (uintptr_t)config->tables % X86_PAGE_SIZE == 0 &&
	       config->tables_hpa % X86_PAGE_SIZE == 0 && config->tables_hpa < TABLES_END &&
	       config->pool_pages < POOL_MAX &&
	       config->tables_hpa + (uint64_t)config->pool_pages * X86_PAGE_SIZE <= TABLES_END &&
	       config->pool_pages >= UMBRA_POOL_MIN && config->meta &&
	       (uintptr_t)config->meta % 64 == 0 && config->absent_page % X86_PAGE_SIZE == 0 &&
	       config->tags <= UMBRA_TAGS_MAX && config->host && config->host->flush_tlb &&
	       config->host->panic && policy_valid(&config->policy);
}

enum umbra_status umbra_vm_create(const struct umbra_config *config, struct umbra_vm **out)
{
	uint8_t *meta = config->meta;
	struct umbra_vm *vm = config->meta;
	struct layout at;

	if (!config_valid(config))
		return UMBRA_BAD_ARG;
	at = layout_of(config->pool_pages, config->max_vcpus);
	if (config->meta_bytes < at.end)
		return UMBRA_NO_MEMORY;

	vm->policy = config->policy;
	vm->tables = config->tables;
	vm->tables_hpa = config->tables_hpa;
	vm->vcpus = (struct umbra_vcpu *)(meta + at.vcpus);
	vm->pages = (struct shadow_page *)(meta + at.pages);
	vm->snapshots = (uint64_t(*)[ENTRIES])(meta + at.snapshots);
	vm->links = (struct link(*)[ENTRIES])(meta + at.links);
	vm->tracks = (struct umbra_track **)(meta + at.tracks);
	vm->hash = (uint32_t *)(meta + at.hash);
	vm->hash_shift = 64 - at.hash_bits;
	vm->n_pages = config->pool_pages;
	if (config->policy.pool && config->policy.pool < vm->n_pages)
		vm->n_pages = config->policy.pool;
	vm->max_vcpus = config->max_vcpus;
	vm->absent_page = config->absent_page;
	vm->host = config->host;
	vm->host_ctx = config->host_ctx;
	vm->n_tags = config->tags ? config->tags : 1;
	vm->clock = 1;
	mode_init_formats(vm, config->maxphyaddr, config->no_1g);
	page_init(vm);
	*out = vm;
	return UMBRA_OK;
}

enum umbra_status umbra_add_slot(struct umbra_vm *vm, const struct umbra_slot *slot)
{
	return slot_add(vm, slot);
}

enum umbra_status umbra_vcpu_create(struct umbra_vm *vm, struct umbra_vcpu **out)
{
	struct umbra_vcpu *vcpu;

	if (vm->n_vcpus == vm->max_vcpus)
		return UMBRA_TOO_MANY;
	vcpu = &vm->vcpus[vm->n_vcpus++];
	*vcpu = (struct umbra_vcpu){.vm = vm};
	root_init(vcpu);
	*out = vcpu;
	return UMBRA_OK;
}

enum umbra_status umbra_set_policy(struct umbra_vm *vm, const struct umbra_policy *policy)
{
	if (!policy_valid(policy) || policy->pool != vm->policy.pool)
		return UMBRA_BAD_ARG;
	mmu_lock(vm);
	vm->policy = *policy;
	page_zap_all(vm);
	mmu_unlock(vm);
	audit_event(vm);
	return UMBRA_OK;
}

/* ---- looking ---- */

umbra_hpa umbra_root(const struct umbra_vcpu *vcpu)
{
	return vcpu->root_hpa;
}

unsigned umbra_tag(const struct umbra_vcpu *vcpu)
{
	return vcpu->tag;
}

enum umbra_shadow_mode umbra_shadow_mode(const struct umbra_vcpu *vcpu)
{
	return vcpu->mode->shadow;
}

bool umbra_translate(struct umbra_vcpu *vcpu, const struct umbra_page_fault *access, umbra_gpa *gpa,
	struct umbra_exit *out)
{
	umbra_gva gva = access->gva & vcpu->linear_mask;
	struct walk walk;
	bool allowed;

	mmu_lock(vcpu->vm);
	tree_descend(vcpu, gva, &walk);
	allowed = walk_guest(vcpu, gva, mode_access(vcpu, access), &walk);
	mmu_unlock(vcpu->vm);
	if (!allowed) {
		*out = (struct umbra_exit){
			.vector = X86_PF, .error_code = walk.error_code, .gva = gva};
		return false;
	}
	*gpa = walk.gfn << X86_PAGE_SHIFT | gva % X86_PAGE_SIZE;
	return true;
}

bool umbra_read_guest(struct umbra_vm *vm, umbra_gpa gpa, void *bytes, size_t n_bytes)
{
	uint8_t *to = bytes;
	uint64_t first = gpa >> X86_PAGE_SHIFT;
	uint64_t last = (gpa + n_bytes - 1) >> X86_PAGE_SHIFT;

	if (!n_bytes)
		return true;
	if (gpa + n_bytes - 1 < gpa)
		return false;
	for (uint64_t gfn = first; gfn <= last; gfn++) {
		if (!frame_of(vm, gfn))
			return false;
	}
	for (uint64_t gfn = first; gfn <= last; gfn++) {
		umbra_gpa at = gfn == first ? gpa : gfn << X86_PAGE_SHIFT;
		umbra_gpa end = gfn == last ? gpa + n_bytes : (gfn + 1) << X86_PAGE_SHIFT;
		const volatile uint8_t *from = slot_pointer(slot_find(vm, gfn), at);

		while (at++ < end)
			*to++ = *from++;
	}
	return true;
}

const struct umbra_stats *umbra_stats(const struct umbra_vm *vm)
{
	return &vm->stats;
}
