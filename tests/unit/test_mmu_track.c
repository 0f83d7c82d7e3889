/* SPDX-License-Identifier: MIT */
/*
 * Frames whose stores the embedder is told of: none is missed, whatever mapped the frame before and
 * whatever it is besides; who is told when; and what the answers do. Devices and tables:
 * test_mmu_track_kinds.c.
 */
#include "tests/unit/mmu_guest.h"
#include "tests/unit/mmu_patchwork.h"
#include "tests/unit/mmu_teller.h"

#include "mmu/src/page.h"

#define GFN  (DATA_GFN + 5)
#define GPA  (GFN << X86_PAGE_SHIFT)
#define AT   (GVA + 5 * X86_PAGE_SIZE)
#define FAR  (GVA + (1ull << 30))
#define ONES 0x1111111111111111ull

static void map(struct host *h, umbra_gva gva)
{
	host_map(h, h->root, gva, 1, gpte_of(GFN, LEAF));
}

static uint64_t word(struct host *h)
{
	return host_words(h, GFN)[1];
}

/* The guest stores @value at GPA + 8; it has to be emulated, and is. */
static void guest_stores(struct host *h, uint64_t value)
{
	struct host_result result = host_store(h, AT + 8, value);

	assert_int_equal(result.outcome, UMBRA_EMULATE);
	assert_int_equal(result.exit.gpa, GPA + 8);
	assert_int_equal(result.exit.vector, 0);
}

static int setup(void **state)
{
	struct umbra_policy policy = umbra_policy_default;
	struct host *h = host_new_policy(&policy);

	map(h, AT);
	host_start(h, h->root);
	*state = h;
	return 0;
}

/* The @n-th frame after GFN that falls into the same list. */
static uint64_t twin(struct host *h, unsigned n)
{
	uint64_t gfn = GFN;

	while (n)
		n -= page_hash(h->vm, ++gfn) == page_hash(h->vm, GFN);
	assert_true(gfn < RAM_FRAMES);
	return gfn;
}

/* ---- who is told ---- */

static void each_store_is_told_before_and_after(void **state)
{
	struct host *h = *state;
	struct teller before, after;

	teller_begin(h, &after, UMBRA_TRACK_AFTER, GFN);
	teller_begin(h, &before, UMBRA_TRACK_BEFORE, GFN);
	for (uint64_t i = 1; i < 40; i++) {
		uint64_t was = word(h), value = ONES * i;

		guest_stores(h, value);
		teller_was_told(&before, (unsigned)i, GPA + 8, &value, 8);
		teller_was_told(&after, (unsigned)i, GPA + 8, &value, 8);
		assert_memory_equal(before.memory, &was, 8);
		assert_memory_equal(after.memory, &value, 8);
		assert_true(before.order < after.order);
		assert_int_equal(word(h), value);
		if (i == 20)
			host_cr3(h, h->root);
	}
	assert_int_equal(umbra_stats(h->vm)->mmu_tracked, 2 * 39);
	/* Reading is free, and nobody's business. */
	assert_int_equal(host_access(h, AT, 0).faults, 0);
	assert_int_equal(before.n, 39);
}

/* Any number of bytes; over two frames each is told its own part. */
static void who_is_told_gets_his_part_of_it(void **state)
{
	struct host *h = *state;
	struct teller low, high, other;
	uint8_t bytes[X86_PAGE_SIZE];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 3 + 1);
	teller_begin(h, &low, UMBRA_TRACK_AFTER, GFN);
	teller_begin(h, &high, UMBRA_TRACK_BEFORE, GFN + 1);
	teller_begin(h, &other, UMBRA_TRACK_AFTER, GFN + 2);
	for (unsigned n = 1; n <= 64; n++) {
		for (unsigned head = 0; head <= n; head++) {
			unsigned lows = low.n, highs = high.n;

			host_write(h, GPA + X86_PAGE_SIZE - head, bytes, n);
			if (head)
				teller_was_told(
					&low, ++lows, GPA + X86_PAGE_SIZE - head, bytes, head);
			if (head < n)
				teller_was_told(&high, ++highs, GPA + X86_PAGE_SIZE, bytes + head,
					n - head);
			assert_int_equal(low.n, lows);
			assert_int_equal(high.n, highs);
			h->unchecked = true;
		}
	}
	host_write(h, GPA, bytes, sizeof(bytes));
	assert_int_equal(low.n_bytes, sizeof(bytes));
	assert_memory_equal(low.bytes, bytes, sizeof(bytes));
	/* Nothing is no store. */
	low.n = 0;
	host_write(h, GPA, bytes, 0);
	assert_int_equal(low.n, 0);
	/* Of one that is refused nobody is told. */
	teller_end(&other);
	teller_begin(h, &other, UMBRA_TRACK_BEFORE, RAM_FRAMES - 1);
	assert_false(umbra_guest_write(h->vcpu, (RAM_FRAMES << X86_PAGE_SHIFT) - 4, bytes, 8));
	assert_int_equal(other.n, 0);
}

/* Frames that fall into one list. */
static void only_who_tracks_the_frame_is_told(void **state)
{
	struct host *h = *state;
	struct teller t[6];

	for (unsigned i = 0; i < 6; i++)
		teller_begin(h, &t[i], i & 1, twin(h, i / 2));
	for (unsigned i = 0; i < 3; i++) {
		host_write_word(h, twin(h, i) << X86_PAGE_SHIFT, ONES);
		for (unsigned k = 0; k < 6; k++)
			assert_int_equal(t[k].n, k / 2 <= i);
	}
	teller_end(&t[2]);
	teller_end(&t[3]);
	host_write_word(h, twin(h, 1) << X86_PAGE_SHIFT, ONES);
	assert_int_equal(t[2].n + t[3].n, 2);
	host_write_word(h, GPA, ONES);
	assert_int_equal(t[0].n + t[1].n, 4);
}

/* (who goes first) x (who goes next) of three. */
static void several_track_a_frame_and_go_in_any_order(void **state)
{
	struct host *h = *state;

	for (unsigned first = 0; first < 3; first++) {
		for (unsigned next = 0; next < 3; next++) {
			struct teller t[3];

			if (first == next)
				continue;
			for (unsigned i = 0; i < 3; i++)
				teller_begin(h, &t[i], UMBRA_TRACK_BEFORE, GFN);
			guest_stores(h, ONES);
			teller_end(&t[first]);
			guest_stores(h, ONES);
			teller_end(&t[next]);
			guest_stores(h, ONES);
			for (unsigned i = 0; i < 3; i++)
				assert_int_equal(t[i].n, i == first ? 1 : i == next ? 2 : 3);
			teller_end(&t[3 - first - next]);
			assert_int_equal(host_store(h, AT, 0).outcome, UMBRA_RESUME);
			assert_int_equal(t[3 - first - next].n, 3);
		}
	}
}

/* To ask twice is to be told once; to go twice does no harm. */
static void who_asks_twice_is_told_once(void **state)
{
	struct host *h = *state;
	struct teller a, b;

	teller_begin(h, &a, UMBRA_TRACK_AFTER, GFN);
	teller_begin(h, &b, UMBRA_TRACK_AFTER, GFN);
	assert_int_equal(umbra_track_write(h->vm, (umbra_gfn){GFN}, &a.track), UMBRA_OK);
	/* Two frames are two to be told. */
	assert_int_equal(umbra_track_write(h->vm, (umbra_gfn){GFN + 1}, &a.track), UMBRA_BAD_ARG);
	assert_int_equal(
		umbra_track_write(h->vm, (umbra_gfn){twin(h, 1)}, &a.track), UMBRA_BAD_ARG);
	host_check(h);
	host_write_word(h, GPA + X86_PAGE_SIZE, ONES);
	assert_int_equal(a.n, 0);
	guest_stores(h, ONES);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 1);
	teller_end(&a);
	teller_end(&a);
	guest_stores(h, ONES);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 2);
	/* He may come again, for another frame. */
	teller_end(&b);
	assert_int_equal(umbra_track_write(h->vm, (umbra_gfn){GFN + 1}, &b.track), UMBRA_OK);
	host_write_word(h, GPA, ONES);
	assert_int_equal(b.n, 2);
	host_write_word(h, GPA + X86_PAGE_SIZE, ONES);
	assert_int_equal(b.n, 3);
}

/* ---- answers ---- */

static void a_store_is_dropped_if_one_who_is_told_before_wants_it(void **state)
{
	for (unsigned who = 0; who < 3; who++) {
		struct host *h = *state;
		struct teller t[4];

		for (unsigned i = 0; i < 3; i++)
			teller_begin(h, &t[i], UMBRA_TRACK_BEFORE, GFN);
		teller_begin(h, &t[3], UMBRA_TRACK_AFTER, GFN);
		host_words(h, GFN)[1] = 7;
		t[who].answer = UMBRA_TRACK_DROP;
		guest_stores(h, ONES);
		assert_int_equal(word(h), 7);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(t[i].n, 1);
		assert_int_equal(t[3].n, 0);
		t[who].answer = UMBRA_TRACK_STORE;
		guest_stores(h, ONES);
		assert_int_equal(word(h), ONES);
		assert_int_equal(t[3].n, 1);
		for (unsigned i = 0; i < 4; i++)
			teller_end(&t[i]);
	}
}

/* Of a store over two frames the parts are dropped one by one. */
static void each_part_is_dropped_by_itself(void **state)
{
	struct host *h = *state;
	struct teller low, high;
	uint64_t value = ONES;

	teller_begin(h, &low, UMBRA_TRACK_BEFORE, GFN);
	teller_begin(h, &high, UMBRA_TRACK_BEFORE, GFN + 1);
	low.answer = UMBRA_TRACK_DROP;
	host_write(h, GPA + X86_PAGE_SIZE - 4, &value, 8);
	assert_int_equal(host_words(h, GFN)[511], 0);
	assert_int_equal(host_words(h, GFN + 1)[0], 0x11111111);
	low.answer = UMBRA_TRACK_STORE;
	high.answer = UMBRA_TRACK_DROP;
	value = 0x2222222222222222;
	host_write(h, GPA + X86_PAGE_SIZE - 4, &value, 8);
	assert_int_equal(host_words(h, GFN)[511], 0x2222222200000000);
	assert_int_equal(host_words(h, GFN + 1)[0], 0x11111111);
}

/* (told before or after) x (alone or not). */
static void who_stops_is_told_no_more_and_the_store_is_made(void **state)
{
	for (unsigned when = UMBRA_TRACK_BEFORE; when <= UMBRA_TRACK_AFTER; when++) {
		for (unsigned others = 0; others < 2; others++) {
			struct host *h = *state;
			struct teller t, other;

			if (others)
				teller_begin(h, &other, UMBRA_TRACK_AFTER, GFN);
			teller_begin(h, &t, when, GFN);
			t.answer = UMBRA_TRACK_STOP;
			host_words(h, GFN)[1] = 0;
			guest_stores(h, ONES);
			assert_int_equal(word(h), ONES);
			assert_int_equal(t.n, 1);
			if (others) {
				guest_stores(h, 3);
				assert_int_equal(other.n, 2);
				teller_end(&other);
			}
			/* Free, and without an exit from the second on. */
			assert_int_equal(host_store(h, AT + 8, 5).outcome, UMBRA_RESUME);
			assert_int_equal(host_store(h, AT + 8, 6).faults, 0);
			assert_int_equal(word(h), 6);
			assert_int_equal(t.n, 1);
			teller_end(&t);
		}
	}
}

/* All stop at one store: the list is passed while it is made shorter. */
static void all_may_stop_at_once(void **state)
{
	struct host *h = *state;
	struct teller t[5];

	for (unsigned i = 0; i < 5; i++) {
		teller_begin(h, &t[i], i > 2, i == 2 ? twin(h, 1) : GFN);
		t[i].answer = UMBRA_TRACK_STOP;
	}
	guest_stores(h, ONES);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(t[i].n, i != 2);
	assert_int_equal(host_store(h, AT, 0).outcome, UMBRA_RESUME);
	host_write_word(h, twin(h, 1) << X86_PAGE_SHIFT, 0);
	assert_int_equal(t[2].n, 1);
}

/* ---- what mapped the frame before ---- */

/* The processor keeps what it has until it is told: (4K, 2M; 1 or 2 vCPUs). */
static void no_store_gets_by_through_what_was_cached(void **state)
{
	(void)state;
	for (unsigned large = 0; large < 2; large++) {
		for (unsigned vcpus = 1; vcpus < 3; vcpus++) {
			struct host_config config = {.policy = umbra_policy_default,
				.caches = true,
				.flush_tag = true,
				.tags = 4,
				.max_vcpus = vcpus};
			struct host *h = host_new(&config);
			struct umbra_vcpu *first = h->vcpu;
			struct teller t;

			if (large)
				host_map(h, h->root, AT, 2, gpte_of(DATA_GFN, LEAF | X86_PTE_PS));
			else
				map(h, AT);
			for (unsigned i = 0; i < vcpus; i++) {
				if (i)
					assert_int_equal(
						umbra_vcpu_create(h->vm, &h->vcpu), UMBRA_OK);
				host_start(h, h->root);
				assert_int_equal(
					host_access(h, AT, X86_PF_W).outcome, UMBRA_RESUME);
				assert_int_equal(host_access(h, AT, X86_PF_W).faults, 0);
			}
			assert_int_equal(
				!!(host_spte(h, AT, 2) & X86_PTE_PS), large); /* as it was meant */
			host_reset_flushes(h);
			teller_begin(h, &t, UMBRA_TRACK_BEFORE, GFN);
			assert_true(h->flush_all > 0);
			for (unsigned i = 0; i < vcpus; i++, h->vcpu = first) {
				t.h = h;
				assert_int_equal(
					host_access(h, AT + 8, X86_PF_W).outcome, UMBRA_EMULATE);
				/* Its neighbours are free. */
				if (large)
					assert_int_equal(
						host_access(h, AT + X86_PAGE_SIZE, X86_PF_W)
							.outcome,
						UMBRA_RESUME);
			}
			host_free(h);
		}
	}
}

/* Several mappings, one after another, in several roots and sizes; before and after. */
static void every_mapping_is_protected(void **state)
{
	struct host *h = *state;
	uint64_t second = host_new_table(h);
	const uint64_t roots[] = {h->root, second};
	struct teller t;

	host_map(h, second, AT, 1, gpte_of(GFN, LEAF));
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned n = 0; n < 20; n++)
			host_map(h, roots[i], FAR + n * X86_PAGE_SIZE, 1, gpte_of(GFN, LEAF));
		host_map(h, roots[i], 2 * FAR + (AT & 0x1fffff), 2,
			gpte_of(DATA_GFN, LEAF | X86_PTE_PS));
		host_map(h, roots[i], 4 * FAR, 3, gpte_of(0, LEAF | X86_PTE_PS));
	}
	for (unsigned tracked = 0; tracked < 2; tracked++) {
		enum umbra_outcome expect = tracked ? UMBRA_EMULATE : UMBRA_RESUME;

		if (tracked)
			teller_begin(h, &t, UMBRA_TRACK_AFTER, GFN);
		for (unsigned i = 0; i < 2; i++) {
			host_cr3(h, roots[i]);
			/* Half of them are new then. */
			for (unsigned n = 0; n < 10 + 10 * tracked; n++)
				assert_int_equal(
					host_access(h, FAR + n * X86_PAGE_SIZE, X86_PF_W).outcome,
					expect);
			assert_int_equal(
				host_access(h, 2 * FAR + 5 * X86_PAGE_SIZE, X86_PF_W).outcome,
				expect);
			assert_int_equal(host_access(h, 4 * FAR + GPA, X86_PF_W).outcome, expect);
		}
	}
}

static void a_large_mapping_comes_back_when_nobody_tracks_in_it(void **state)
{
	struct host *h = *state;
	struct teller a, b;

	host_map(h, h->root, FAR, 2, gpte_of(2 * DATA_GFN, LEAF | X86_PTE_PS));
	assert_int_equal(host_access(h, FAR, X86_PF_W).outcome, UMBRA_RESUME);
	assert_true(host_spte(h, FAR, 2) & X86_PTE_PS);
	teller_begin(h, &a, UMBRA_TRACK_AFTER, 2 * DATA_GFN + 7);
	teller_begin(h, &b, UMBRA_TRACK_AFTER, 2 * DATA_GFN + 8);
	assert_int_equal(host_access(h, FAR, X86_PF_W).outcome, UMBRA_RESUME);
	assert_false(host_spte(h, FAR, 2) & X86_PTE_PS);
	teller_end(&a);
	for (unsigned i = 0; i < 140; i++)
		host_cr3(h, h->root);
	assert_false(host_spte(h, FAR, 2) & X86_PTE_PS);
	teller_end(&b);
	for (unsigned i = 0; i < 140; i++)
		host_cr3(h, h->root);
	assert_true(host_spte(h, FAR, 2) & X86_PTE_PS);
}

/* ---- it lasts ---- */

/* Whatever the policy says of tables, and whatever is forgotten. */
static void tracking_outlives_what_is_forgotten(void **state)
{
	struct host *h = *state;
	struct umbra_policy policy = umbra_policy_default;
	struct teller t;
	unsigned n = 0;

	teller_begin(h, &t, UMBRA_TRACK_AFTER, GFN);
	for (unsigned how = UMBRA_WRITE_AUTO; how <= UMBRA_WRITE_ZAP; how++) {
		for (unsigned cache = 0; cache < 2; cache++) {
			policy.write = how;
			policy.cache = cache;
			assert_int_equal(umbra_set_policy(h->vm, &policy), UMBRA_OK);
			host_check(h);
			for (unsigned i = 0; i < 12; i++) {
				guest_stores(h, i);
				assert_int_equal(t.n, ++n);
				assert_int_equal(word(h), i);
				if (i % 4 == 3)
					host_cr3(h, h->root);
			}
			/* Giving it up does not help. */
			assert_false(umbra_unshadow(h->vcpu, GPA));
			host_check(h);
			guest_stores(h, 99);
			n++;
		}
	}
	assert_int_equal(umbra_stats(h->vm)->mmu_unshadow, 0);
	assert_int_equal(umbra_stats(h->vm)->mmu_unsync, 0);
	teller_end(&t);
	assert_true(umbra_unshadow(h->vcpu, GPA));
}

static void only_writable_memory_can_be_tracked(void **state)
{
	struct host *h = *state;
	struct teller t;
	static const uint64_t refused[] = {
		ROM_GFN, ABSENT_GFN, RAM_FRAMES, ~0ull, DEVICE_GFN + DEVICE_FRAMES, 1ull << 52};

	t = (struct teller){.track = {.written = teller_written, .ctx = &t}, .h = h};
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(
			umbra_track_write(h->vm, (umbra_gfn){refused[i]}, &t.track), UMBRA_BAD_ARG);
	t.track.when = UMBRA_TRACK_AFTER + 1;
	assert_int_equal(umbra_track_write(h->vm, (umbra_gfn){GFN}, &t.track), UMBRA_BAD_ARG);
	t.track.when = UMBRA_TRACK_AFTER;
	t.track.written = NULL;
	assert_int_equal(umbra_track_write(h->vm, (umbra_gfn){GFN}, &t.track), UMBRA_BAD_ARG);
	assert_int_equal(host_store(h, AT, 0).outcome, UMBRA_RESUME);
	host_check(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(each_store_is_told_before_and_after),
		T(who_is_told_gets_his_part_of_it),
		T(only_who_tracks_the_frame_is_told),
		T(several_track_a_frame_and_go_in_any_order),
		T(who_asks_twice_is_told_once),
		T(a_store_is_dropped_if_one_who_is_told_before_wants_it),
		T(each_part_is_dropped_by_itself),
		T(who_stops_is_told_no_more_and_the_store_is_made),
		T(all_may_stop_at_once),
		cmocka_unit_test(no_store_gets_by_through_what_was_cached),
		T(every_mapping_is_protected),
		T(a_large_mapping_comes_back_when_nobody_tracks_in_it),
		T(tracking_outlives_what_is_forgotten),
		T(only_writable_memory_can_be_tracked),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
