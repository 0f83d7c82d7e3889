/* SPDX-License-Identifier: MIT */
/*
 * Histograms of exit costs.
 */
#include "hv/vm/measure.h"

/* Instructions of svm_loop() from #VMEXIT on and up to VMRUN that lie outside the two time stamps
 * of svm_loop_measured(): 9 and 9. It has 6 of its own between them. */
#define MEASURE_UNSEEN (9u + 9u - 6u)

static const char *const class_names[MEASURE_CLASSES] = {
	[MEASURE_LEAF_FIX] = "leaf_fix",
	[MEASURE_TREE_FIX] = "tree_fix",
	[MEASURE_PF_GUEST] = "pf_guest",
	[MEASURE_PF_EMULATE] = "pf_emulate",
	[MEASURE_PF_TRACKED] = "pf_tracked",
	[MEASURE_CR3] = "cr3",
	[MEASURE_CR3_SYNC] = "cr3_sync",
	[MEASURE_INVLPG] = "invlpg",
	[MEASURE_INVLPG_SYNC] = "invlpg_sync",
};

void measure_init(struct vcpu *vcpu)
{
	const size_t n_pages = (sizeof(struct measure) + X86_PAGE_SIZE - 1) / X86_PAGE_SIZE;

	if (!option_number("measure", 0, 0, 1))
		return;
	vcpu->measure = frames_alloc(n_pages);
}

static enum measure_class classify_fault(
	const struct umbra_stats *was, const struct umbra_stats *now)
{
	if (now->pf_guest != was->pf_guest)
		return MEASURE_PF_GUEST;
	if (now->mmu_tracked != was->mmu_tracked)
		return MEASURE_PF_TRACKED;
	if (now->pf_emulate != was->pf_emulate)
		return MEASURE_PF_EMULATE;
	if (now->pf_fixed == was->pf_fixed)
		return MEASURE_NONE;
	return now->mmu_shadow_created == was->mmu_shadow_created &&
			       now->mmu_prefetch == was->mmu_prefetch &&
			       now->mmu_unsync == was->mmu_unsync && now->mmu_sync == was->mmu_sync
		       ? MEASURE_LEAF_FIX
		       : MEASURE_TREE_FIX;
}

static enum measure_class classify(
	const struct vcpu *vcpu, const struct umbra_stats *was, const struct umbra_stats *now)
{
	bool synced = now->mmu_sync != was->mmu_sync || now->mmu_prefetch != was->mmu_prefetch;

	uint32_t code = vcpu->ring.code[(vcpu->n_exits - 1) % EXIT_RING];

	switch (vendor_exit_kind(code)) {
	case EXIT_PF:
		return classify_fault(was, now);
	case EXIT_CR3:
		if (!vendor_exit_is_cr_write(code))
			return MEASURE_NONE;
		return synced || now->mmu_cache_miss != was->mmu_cache_miss ? MEASURE_CR3_SYNC
									    : MEASURE_CR3;
	case EXIT_INVLPG:
		return synced ? MEASURE_INVLPG_SYNC : MEASURE_INVLPG;
	default:
		return MEASURE_NONE;
	}
}

static void book(struct measure_histogram *histogram, uint64_t ticks)
{
	uint64_t bucket = ticks / MEASURE_BUCKET_TICKS;

	if (histogram->n++ == 0 || ticks < histogram->min)
		histogram->min = ticks;
	if (ticks > histogram->max)
		histogram->max = ticks;
	histogram->buckets[bucket < MEASURE_BUCKETS ? bucket : MEASURE_BUCKETS - 1]++;
}

void measure_exit(struct vcpu *vcpu)
{
	struct measure *measure = vcpu->measure;
	const struct umbra_stats *stats;
	enum measure_class class;

	if (vcpu->n_exits == 0 || !vcpu->vm->mmu)
		return;
	stats = umbra_stats(vcpu->vm->mmu);
	class = classify(vcpu, &measure->before, stats);
	if (class != MEASURE_NONE)
		book(&measure->classes[class], measure->tsc[1] - measure->tsc[0] + MEASURE_UNSEEN);
	measure->before = *stats;
}

static uint64_t median(const struct measure_histogram *histogram)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < MEASURE_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (2 * seen >= histogram->n)
			return (uint64_t)i * MEASURE_BUCKET_TICKS;
	}
	return histogram->max;
}

void measure_report(const struct vcpu *vcpu)
{
	char text[160];

	if (!vcpu->measure)
		return;
	monitor_write(",\"exit_cost\":{");
	for (unsigned i = 0; i < MEASURE_CLASSES; i++) {
		const struct measure_histogram *h = &vcpu->measure->classes[i];

		format(text, sizeof(text),
			"%s\"%s\":{\"n\":%lu,\"min\":%lu,\"median\":%lu,\"max\":%lu}", i ? "," : "",
			class_names[i], h->n, h->min, median(h), h->max);
		monitor_write(text);
	}
	monitor_write("}");
}
