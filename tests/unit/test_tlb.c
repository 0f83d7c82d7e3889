/* SPDX-License-Identifier: MIT */
/*
 * The lab's translation caches forget what they are told to forget, and nothing else: a cache that
 * forgets more would hide a flush that is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lab/tlb.h"

#define GVA       0x401000ull
#define NEIGHBOUR 0x402000ull
#define SHIFT_PD  21u
#define TRIES     400u /* so many, because chance decides where things go and what is found */

struct world {
	struct tlb tlb;
	struct rng rng;
};

/* Under @tag remember both pages and the upper entry they share. */
static void fill(struct world *world, unsigned tag)
{
	world->tlb.tag = tag;
	for (unsigned i = 0; i < 8; i++) {
		struct tlb_entry entry = {
			.valid = true, .shift = 12, .base = i % 2 ? GVA : NEIGHBOUR, .frame = tag};
		struct tlb_upper upper = {
			.valid = true, .shift = SHIFT_PD, .base = 0x400000, .table = tag};

		tlb_insert(&world->tlb, &world->rng, &entry);
		tlb_insert_upper(&world->tlb, &world->rng, &upper);
	}
}

static bool has(struct world *world, unsigned tag, uint64_t gva)
{
	struct tlb_entry *entry;

	world->tlb.tag = tag;
	entry = tlb_find(&world->tlb, &world->rng, gva);
	assert_true(!entry || entry->frame == tag);
	return entry != NULL;
}

static bool has_upper(struct world *world, unsigned tag)
{
	world->tlb.tag = tag;
	for (unsigned i = 0; i < 100; i++) {
		const struct tlb_upper *upper = tlb_find_upper(&world->tlb, &world->rng, GVA);

		assert_true(!upper || upper->table == tag);
		if (upper)
			return true;
	}
	return false;
}

/* What is there of two tags after an event under the second: in so many tries, or always 0. */
struct left {
	unsigned gva[2];
	unsigned neighbour[2];
	unsigned upper[2];
};

enum event { NOTHING, FLUSH, FLUSH_TAG, FLUSH_GVA, FAULT };

static void do_event(struct tlb *tlb, enum event event)
{
	switch (event) {
	case NOTHING:
		break;
	case FLUSH:
		tlb_flush(tlb);
		break;
	case FLUSH_TAG:
		tlb_flush_tag(tlb);
		break;
	case FLUSH_GVA:
		tlb_flush_gva(tlb, GVA);
		break;
	case FAULT:
		tlb_fault(tlb, GVA);
		break;
	}
}

static struct left after(enum event event)
{
	struct left left = {.gva = {0}};

	for (unsigned i = 0; i < TRIES; i++) {
		struct world world = {.rng = rng_seed(i)};

		fill(&world, 1);
		fill(&world, 2);
		do_event(&world.tlb, event);
		for (unsigned tag = 1; tag <= 2; tag++) {
			left.gva[tag - 1] += has(&world, tag, GVA);
			left.neighbour[tag - 1] += has(&world, tag, NEIGHBOUR);
			left.upper[tag - 1] += has_upper(&world, tag);
		}
		assert_false(has(&world, 3, GVA));
		assert_false(has_upper(&world, 3));
	}
	return left;
}

static void each_event_forgets_what_it_says(void **state)
{
	static const struct {
		enum event event;
		bool other_tag; /* is left, of the tag that is not the present one */
		bool gva;
		bool neighbour;
		bool upper;
	} cases[] = {
		{NOTHING, true, true, true, true},
		{FLUSH, false, false, false, false},
		{FLUSH_TAG, true, false, false, false},
		{FLUSH_GVA, true, false, true, false},
		{FAULT, true, false, true, false},
	};
	const struct left all = after(NOTHING);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct left left = after(cases[i].event);

		assert_int_equal(left.gva[0], cases[i].other_tag ? all.gva[0] : 0);
		assert_int_equal(left.neighbour[0], cases[i].other_tag ? all.neighbour[0] : 0);
		assert_int_equal(left.upper[0], cases[i].other_tag ? all.upper[0] : 0);
		assert_int_equal(left.gva[1], cases[i].gva ? all.gva[1] : 0);
		assert_int_equal(left.neighbour[1], cases[i].neighbour ? all.neighbour[1] : 0);
		assert_int_equal(left.upper[1], cases[i].upper ? all.upper[1] : 0);
	}
	assert_true(all.gva[0] > TRIES / 2 && all.neighbour[0] > TRIES / 2);
	assert_true(all.upper[0] > TRIES / 4 && all.upper[1] > TRIES / 2);
}

/* A large page goes by any of its addresses, whole or in pieces. */
static void all_pieces_of_a_large_page_go_together(void **state)
{
	struct world world = {.rng = rng_seed(1)};

	(void)state;
	for (uint64_t i = 0; i < 8; i++) {
		struct tlb_entry piece = {.valid = true,
			.shift = 21,
			.fragment = true,
			.base = 0x400000 + i * 0x1000};

		tlb_insert(&world.tlb, &world.rng, &piece);
	}
	tlb_flush_gva(&world.tlb, 0x5ff000);
	for (uint64_t i = 0; i < 8; i++)
		assert_false(has(&world, 0, 0x400000 + i * 0x1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_event_forgets_what_it_says),
		cmocka_unit_test(all_pieces_of_a_large_page_go_together),
	};

	return cmocka_run_group_tests_name("the lab's TLB", tests, NULL, NULL);
}
