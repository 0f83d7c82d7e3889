/* SPDX-License-Identifier: MIT */
/*
 * Who is told of stores (umbra_track_write) and writes down what it was told.
 */
#ifndef TESTS_UNIT_MMU_TELLER_H
#define TESTS_UNIT_MMU_TELLER_H

#include <string.h>

#include "tests/unit/mmu_host.h"

struct teller {
	struct umbra_track track;
	struct host *h;
	enum umbra_track_answer answer;
	unsigned n; /* times */
	/* The last: */
	unsigned order; /* among all tellers */
	umbra_gpa gpa;
	size_t n_bytes;
	uint8_t bytes[X86_PAGE_SIZE];
	uint8_t memory[X86_PAGE_SIZE]; /* as it was there then; of RAM */
};

static inline enum umbra_track_answer teller_written(
	void *ctx, struct umbra_vcpu *vcpu, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	static unsigned order;
	struct teller *t = ctx;

	assert_ptr_equal(vcpu, t->h->vcpu);
	assert_int_equal(t->h->vm->lock, 1);
	assert_true(n_bytes && gpa % X86_PAGE_SIZE + n_bytes <= X86_PAGE_SIZE);
	assert_int_equal(gpa >> X86_PAGE_SHIFT, t->track.gfn.n);
	t->n++;
	t->order = ++order;
	t->gpa = gpa;
	t->n_bytes = n_bytes;
	memcpy(t->bytes, bytes, n_bytes);
	/* This may be called. */
	(void)umbra_read_guest(t->h->vm, gpa, t->memory, n_bytes);
	assert_true(umbra_root(vcpu) && umbra_tag(vcpu) < UMBRA_TAGS_MAX);
	return t->answer;
}

/* Be told of @gfn. */
static inline void teller_begin(
	struct host *h, struct teller *t, enum umbra_track_when when, uint64_t gfn)
{
	*t = (struct teller){.track = {.when = when, .written = teller_written, .ctx = t}, .h = h};
	assert_int_equal(umbra_track_write(h->vm, (umbra_gfn){gfn}, &t->track), UMBRA_OK);
	host_check(h);
}

static inline void teller_end(struct teller *t)
{
	umbra_untrack_write(t->h->vm, &t->track);
	host_check(t->h);
}

/* It was told @n times, the last time of a store of @n_bytes @bytes at @gpa. */
static inline void teller_was_told(
	const struct teller *t, unsigned n, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	assert_int_equal(t->n, n);
	assert_int_equal(t->gpa, gpa);
	assert_int_equal(t->n_bytes, n_bytes);
	assert_memory_equal(t->bytes, bytes, n_bytes);
}

#endif
