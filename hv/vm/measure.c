/* SPDX-License-Identifier: MIT */
/*
 * Histograms of exit costs. Adds nothing to what it measures but two time stamp reads and the
 * instructions that store them.
 */
#include "hv/vm/measure.h"

#include "hv/arch/cpu.h"

/* Instructions of svm_loop_measured() that lie outside its two time stamps, VMRUN included: 2
 * after, 16 before. */
#define MEASURE_UNSEEN 18u

static const char *const class_names[MEASURE_CLASSES] = {
	[MEASURE_PF_FIXED] = "pf_fixed",
	[MEASURE_PF_GUEST] = "pf_guest",
	[MEASURE_CR3] = "cr3",
	[MEASURE_INVLPG] = "invlpg",
};

void measure_init(struct vcpu *vcpu)
{
	const size_t n_pages = (sizeof(struct measure) + X86_PAGE_SIZE - 1) / X86_PAGE_SIZE;

	if (!option_number("measure", 0, 0, 1))
		return;
	vcpu->measure = frames_alloc(n_pages);
	vcpu->measure->kind = EXIT_OTHER;
}

static enum measure_class classify(const struct measure *measure, const struct umbra_stats *now)
{
	switch (measure->kind) {
	case EXIT_PF:
		if (now->pf_fixed != measure->pf_fixed)
			return MEASURE_PF_FIXED;
		return now->pf_guest != measure->pf_guest ? MEASURE_PF_GUEST : MEASURE_NONE;
	case EXIT_CR3:
		return measure->is_write ? MEASURE_CR3 : MEASURE_NONE;
	case EXIT_INVLPG:
		return MEASURE_INVLPG;
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

void measure_exit(struct vcpu *vcpu, enum exit_kind kind)
{
	uint64_t began = rdtsc();
	struct measure *measure = vcpu->measure;
	const struct umbra_stats *stats = vcpu->vm->mmu ? umbra_stats(vcpu->vm->mmu) : NULL;

	if (stats) {
		enum measure_class class = classify(measure, stats);

		if (class != MEASURE_NONE)
			book(&measure->classes[class],
				measure->tsc[0] - measure->start + MEASURE_UNSEEN);
		measure->pf_fixed = stats->pf_fixed;
		measure->pf_guest = stats->pf_guest;
	}
	measure->kind = kind;
	measure->is_write = vendor_cr_is_write(vcpu);
	/* Time stands still while this function works. */
	measure->start = measure->tsc[1] + (rdtsc() - began);
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
