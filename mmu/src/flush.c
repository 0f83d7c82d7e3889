/* SPDX-License-Identifier: MIT */
/* TLB flushes asked of the host; see flush.h. */
#include "flush.h"

#include "set.h"
#include "spte.h"

/* What a vCPU could hold under the tag that it runs with is gone. Other tags need no such care:
 * whatever was lost makes them unclean. */
static void settle_debts(struct umbra_vm *vm)
{
	vm->dirty_cleared = false;
	vm->stale_writable = false;
	vm->stale_parts = false;
}

void flush_now(struct umbra_vm *vm)
{
	vm->flush_all = false;
	vm->freed = false;
	vm->all_flushed = vm->clock;
	settle_debts(vm);
	vm->stats.tlb_flush++;
	vm->host->flush_tlb(vm->host_ctx, NULL);
}

static bool owner_clean(const struct umbra_vm *vm, uint32_t owner, uint64_t flushed)
{
	return vm->pages[owner].lost <= flushed;
}

static bool tag_clean(const struct umbra_vm *vm, const struct tlb_tag *tag)
{
	uint64_t flushed = tag->flushed > vm->all_flushed ? tag->flushed : vm->all_flushed;

	if (!vm->policy.elide || !owner_clean(vm, 0, flushed) ||
		!owner_clean(vm, tag->root, flushed))
		return false;
	if (UNLIKELY(vm->pages[tag->root].role & ROLE_PAE_ROOT)) {
		for (unsigned i = 0; i < 4; i++) {
			uint64_t spte = set_read(vm, tag->root, i);

			if (spte && !owner_clean(vm, spte_child(vm, spte), flushed))
				return false;
		}
	}
	return true;
}

/* The tag of @root; of another root, if it has none. */
static unsigned choose_tag(struct umbra_vcpu *vcpu, uint32_t root)
{
	struct umbra_vm *vm = vcpu->vm;
	struct shadow_page *sp = &vm->pages[root];

	if (vcpu->tags[sp->tag].root == root)
		return sp->tag;
	for (unsigned i = 0; i < vm->n_tags; i++) {
		if (vcpu->tags[i].root == root)
			return i;
	}
	vcpu->next_tag = vcpu->next_tag + 1 < vm->n_tags ? vcpu->next_tag + 1 : 0;
	sp->tag = (uint8_t)vcpu->next_tag;
	return vcpu->next_tag;
}

void flush_nothing(struct umbra_vcpu *vcpu)
{
	vcpu->tags[vcpu->tag] = (struct tlb_tag){.root = vcpu->root, .flushed = vcpu->vm->clock};
}

/* Everything under the tag that @vcpu runs with. */
static void flush_tag(struct umbra_vcpu *vcpu)
{
	struct umbra_vm *vm = vcpu->vm;

	flush_nothing(vcpu);
	if (vm->n_vcpus == 1)
		settle_debts(vm);
	vm->stats.tlb_flush++;
	if (vm->host->flush_tag)
		vm->host->flush_tag(vm->host_ctx, vcpu);
	else
		vm->host->flush_tlb(vm->host_ctx, vcpu);
}

void flush_enter(struct umbra_vcpu *vcpu, bool always)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct tlb_tag *tag;

	/* What the other tags hold may depend on more than tables just as well. */
	for (unsigned i = 0; always && i < vm->n_tags; i++)
		vcpu->tags[i].root = 0;
	vcpu->tag = choose_tag(vcpu, vcpu->root);
	tag = &vcpu->tags[vcpu->tag];
	if (tag->root != vcpu->root || !tag_clean(vm, tag)) {
		flush_tag(vcpu);
		return;
	}
	vm->stats.tlb_elided++;
	if (vm->n_vcpus == 1)
		settle_debts(vm);
}

void flush_gva(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct umbra_vm *vm = vcpu->vm;

	if (tag_clean(vm, &vcpu->tags[vcpu->tag])) {
		vm->stats.tlb_elided++;
	} else if (vm->stale_parts) {
		flush_now(vm);
	} else if (vm->dirty_cleared || !vm->host->flush_gva) {
		flush_tag(vcpu);
	} else {
		vm->stats.tlb_flush_gva++;
		vm->host->flush_gva(vm->host_ctx, vcpu, gva);
	}
}
